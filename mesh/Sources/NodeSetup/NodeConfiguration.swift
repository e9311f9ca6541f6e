package import Foundation
import MerkleLog
package import Multiformats
package import NodeAPI
package import SignedObjects

/// What the owner of a node may set in `config.json`; everything has a default.
package struct NodeConfiguration: Hashable, Sendable, Codable {
    /// Where to listen.
    package var listen: [Multiaddr] = NodeConfiguration.defaultListen
    /// Addresses to announce instead of those listened on, such as the outside of a router that forwards a port.
    package var announce: [Multiaddr] = []
    /// Peers to stay connected to: dialed at the start, and again whenever lost.
    package var bootstrap: [Multiaddr] = []
    /// Whether to look for nodes on the local network, and be found there (mDNS).
    package var findsLocalNodes = false
    /// What sets the nodes of one mesh apart from others that look around on the same network, in hex; nil for all.
    package var localNetwork: String?
    /// Whether to run jobs for others, and on which terms.
    package var executor = Executor()
    /// How long the owner's jobs wait for bids.
    package var originator = Originator()
    /// Where the node is, for jobs that ask for a region.
    package var region: String?
    /// The opening grant of a new ledger, in the smallest unit of tokens.
    package var creditGrant: UInt64 = 1_000_000_000
    /// The DHT's protocol, so that a node can join another network.
    package var kademliaProtocol = "/icn/kad/1.0.0"
    /// How long a stop waits for running jobs, in seconds; with 0 it leaves them to the next start at once.
    package var drainSeconds: UInt64 = 10
    /// Where strangers get what the owner made public over HTTP.
    package var gateway = Gateway()
    /// Where the owner's browser and programs reach the node over TCP.
    package var api = API()
    /// What is recorded of jobs for a receiver of traces.
    package var traces = Traces()
    /// Who witnesses the log of what the node anchored, and whose logs it keeps.
    package var log = Log()
    /// Whose logs the node witnesses, and of whose charters it is a witness.
    package var witness = Witness()
    /// How long holds for the owner's jobs last.
    package var holds = HoldDates()
    /// Whose holds the node is an arbiter of.
    package var arbiter = Arbiter()
    /// The bounds of the node.
    package var limits = Limits()
    /// `trace`, `debug`, `info`, `notice`, `warning`, `error` or `critical`.
    package var logLevel = "notice"
    /// How lines of the log are written: `text` or `json`.
    package var logFormat = "text"

    /// The terms on which a node runs jobs.
    package struct Executor: Hashable, Sendable, Codable {
        /// Whether it runs jobs.
        package var isEnabled = true
        /// The base price of a job, in the smallest unit.
        package var priceBase: UInt64 = 100
        /// The price of a million units of fuel, in the smallest unit.
        package var pricePerMillionFuel: UInt64 = 10
        /// Jobs that run at once; nil means one per processor.
        package var jobsAtOnce: Int?
        /// Processor time offered, in thousandths of a core; nil means what the machine has.
        package var cpuMillicores: UInt64?
        /// Accepted jobs that wait for a free place.
        package var queuedJobsMax = 64
        /// Memory offered, in MiB; a job that asks for more is not run.
        package var memoryMiB: UInt64 = 1_024
        /// Storage offered, in MiB.
        package var storageMiB: UInt64 = 4_096
        /// The most fuel of one job.
        package var fuelMax: UInt64 = 1_000_000_000_000
        /// The longest run of one job, in seconds.
        package var runSecondsMax: UInt64 = 3_600
        /// The outputs of one job together, in bytes.
        package var outputBytesMax: UInt64 = 256 * 1024 * 1024
        /// What one job may write to its files, in bytes of memory.
        package var filesBytesMax: UInt64 = 1 << 30
        /// Hardware features to state.
        package var features: [String] = []
        /// The hours of the day at which it takes jobs, by the machine's local time, such as `22:00-06:00`; none means
        /// all.
        package var hours: [String] = []
        /// The only originators, by DID, for which it works besides its owner; none means all that are not denied.
        package var allowedOriginators: [String] = []
        /// Originators, by DID, for which it does not work.
        package var deniedOriginators: [String] = []
        /// The least reputation, from 0 to 1,000, of an originator that left receipts unpaid, for which it works.
        package var minOriginatorReputation: UInt64 = 0
        /// The credential by which its operator is known: what `mesh operator sign` prints.
        package var operatorText: String?
        /// Whether it takes jobs of which another executor may be asked for a second copy where its run is slow, and
        /// where only the first result is paid.
        package var takesHedgedJobs = true
        /// The issuers by which it lets itself be paid, the preferred ones first, each with its prices there
        /// (`IssuerPrices`); at most `CreditJob.Limits.trustedMax` of them count.
        package var issuers: [String] = []
        /// How nice runs are to the rest of the machine, from 0 to 19.
        package var nice = 0

        /// The defaults.
        package init() {}

        /// Writes every key, those without a value as null, so that the file shows what there is to set.
        package func encode(to encoder: any Encoder) throws {
            var container = encoder.container(keyedBy: CodingKeys.self)
            try container.encode(isEnabled, forKey: .isEnabled)
            try container.encode(priceBase, forKey: .priceBase)
            try container.encode(pricePerMillionFuel, forKey: .pricePerMillionFuel)
            try container.encode(jobsAtOnce, forKey: .jobsAtOnce)
            try container.encode(queuedJobsMax, forKey: .queuedJobsMax)
            try container.encode(cpuMillicores, forKey: .cpuMillicores)
            try container.encode(memoryMiB, forKey: .memoryMiB)
            try container.encode(storageMiB, forKey: .storageMiB)
            try container.encode(fuelMax, forKey: .fuelMax)
            try container.encode(runSecondsMax, forKey: .runSecondsMax)
            try container.encode(outputBytesMax, forKey: .outputBytesMax)
            try container.encode(filesBytesMax, forKey: .filesBytesMax)
            try container.encode(features, forKey: .features)
            try container.encode(hours, forKey: .hours)
            try container.encode(allowedOriginators, forKey: .allowedOriginators)
            try container.encode(deniedOriginators, forKey: .deniedOriginators)
            try container.encode(minOriginatorReputation, forKey: .minOriginatorReputation)
            try container.encode(takesHedgedJobs, forKey: .takesHedgedJobs)
            try container.encode(issuers, forKey: .issuers)
            try container.encode(nice, forKey: .nice)
            try container.encode(operatorText, forKey: .operatorText)
        }

        private enum CodingKeys: String, CodingKey {
            case features, hours, nice, issuers
            case isEnabled = "enabled"
            case priceBase = "price_base"
            case pricePerMillionFuel = "price_per_million_fuel"
            case jobsAtOnce = "jobs_at_once"
            case queuedJobsMax = "queued_jobs_max"
            case cpuMillicores = "cpu_millicores"
            case memoryMiB = "memory_mib"
            case storageMiB = "storage_mib"
            case fuelMax = "fuel_max"
            case runSecondsMax = "run_seconds_max"
            case outputBytesMax = "output_bytes_max"
            case filesBytesMax = "files_bytes_max"
            case allowedOriginators = "allowed_originators"
            case deniedOriginators = "denied_originators"
            case minOriginatorReputation = "min_originator_reputation"
            case operatorText = "operator"
            case takesHedgedJobs = "takes_hedged_jobs"
        }

        /// Reads what is given; `ConfigurationRule` has checked it.
        package init(from decoder: any Decoder) throws {
            let container = try decoder.container(keyedBy: CodingKeys.self)
            try container.read(.isEnabled, into: &isEnabled)
            try container.read(.priceBase, into: &priceBase)
            try container.read(.pricePerMillionFuel, into: &pricePerMillionFuel)
            jobsAtOnce = try container.decodeIfPresent(Int.self, forKey: .jobsAtOnce)
            try container.read(.queuedJobsMax, into: &queuedJobsMax)
            cpuMillicores = try container.decodeIfPresent(UInt64.self, forKey: .cpuMillicores)
            try container.read(.memoryMiB, into: &memoryMiB)
            try container.read(.storageMiB, into: &storageMiB)
            try container.read(.fuelMax, into: &fuelMax)
            try container.read(.runSecondsMax, into: &runSecondsMax)
            try container.read(.outputBytesMax, into: &outputBytesMax)
            try container.read(.filesBytesMax, into: &filesBytesMax)
            try container.read(.features, into: &features)
            try container.read(.hours, into: &hours)
            try container.read(.allowedOriginators, into: &allowedOriginators)
            try container.read(.deniedOriginators, into: &deniedOriginators)
            try container.read(.minOriginatorReputation, into: &minOriginatorReputation)
            try container.read(.takesHedgedJobs, into: &takesHedgedJobs)
            try container.read(.issuers, into: &issuers)
            try container.read(.nice, into: &nice)
            operatorText = try container.decodeIfPresent(String.self, forKey: .operatorText)
        }
    }

    /// How long the jobs that a node submits wait for bids.
    package struct Originator: Hashable, Sendable, Codable {
        /// The time for bids if a job's policy names none, in milliseconds.
        package var bidWindowMilliseconds: UInt64 = 1_000
        /// The time after which a job without an acceptable bid fails, in milliseconds.
        package var biddingDeadlineMilliseconds: UInt64 = 30_000
        /// How results are checked where a job says nothing: `none`, `spot:P%`, `replay`, `adaptive`, `quorum:K/N`;
        /// `spot:P%@executor` and the like where another executor makes the second run.
        package var verification = "none"
        /// Jobs that are run again at once to check their results.
        package var checksAtOnce: UInt64 = 1
        /// Right results of an executor after which every second one is checked at the level `adaptive`.
        package var checkTrust: UInt64 = 50
        /// The least share of results that is checked at that level, in thousandths.
        package var checkFloorPermille: UInt64 = 50

        /// The defaults.
        package init() {}

        private enum CodingKeys: String, CodingKey {
            case bidWindowMilliseconds = "bid_window_ms"
            case biddingDeadlineMilliseconds = "bidding_deadline_ms"
            case verification
            case checksAtOnce = "checks_at_once"
            case checkTrust = "check_trust"
            case checkFloorPermille = "check_floor_permille"
        }

        /// Reads what is given; `ConfigurationRule` has checked it.
        package init(from decoder: any Decoder) throws {
            let container = try decoder.container(keyedBy: CodingKeys.self)
            try container.read(.bidWindowMilliseconds, into: &bidWindowMilliseconds)
            try container.read(.biddingDeadlineMilliseconds, into: &biddingDeadlineMilliseconds)
            try container.read(.verification, into: &verification)
            try container.read(.checksAtOnce, into: &checksAtOnce)
            try container.read(.checkTrust, into: &checkTrust)
            try container.read(.checkFloorPermille, into: &checkFloorPermille)
        }
    }

    /// The gateway over HTTP, which serves what the owner made public.
    package struct Gateway: Hashable, Sendable, Codable {
        /// Where it listens; nil means that there is none.
        package var listen: Multiaddr?
        /// Connections to it.
        package var connectionsMax = 256
        /// Connections from one address (IPv6: from one network of 64 bits).
        package var connectionsPerAddressMax = 16

        /// None.
        package init() {}

        /// The host and the port that it listens on; nil if there is no gateway.
        package var place: (host: String, port: Int)? { listen.flatMap(Self.place) }

        /// The host and the port of an address that is an IP address and a TCP port and nothing else.
        static func place(of address: Multiaddr) -> (host: String, port: Int)? {
            let parts = address.text.split(separator: "/")
            guard parts.count == 4, ["ip4", "ip6"].contains(parts[0]), parts[2] == "tcp", let port = Int(parts[3])
            else { return nil }
            return (String(parts[1]), port)
        }

        /// Writes every key, one without a value as null.
        package func encode(to encoder: any Encoder) throws {
            var container = encoder.container(keyedBy: CodingKeys.self)
            try container.encode(listen, forKey: .listen)
            try container.encode(connectionsMax, forKey: .connectionsMax)
            try container.encode(connectionsPerAddressMax, forKey: .connectionsPerAddressMax)
        }

        private enum CodingKeys: String, CodingKey {
            case listen
            case connectionsMax = "connections_max"
            case connectionsPerAddressMax = "connections_per_address_max"
        }

        /// Reads what is given; `ConfigurationRule` has checked it.
        package init(from decoder: any Decoder) throws {
            let container = try decoder.container(keyedBy: CodingKeys.self)
            listen = try container.decodeIfPresent(Multiaddr.self, forKey: .listen)
            try container.read(.connectionsMax, into: &connectionsMax)
            try container.read(.connectionsPerAddressMax, into: &connectionsPerAddressMax)
        }
    }

    /// Who witnesses the log of what a node anchored, and whose logs it keeps.
    package struct Log: Hashable, Sendable, Codable {
        /// The witnesses: the key of each, as `mesh dag witness` prints it there, and behind a space the address of its
        /// gateway.
        package var witnesses: [String] = []
        /// How often a log that has grown is handed to them, in seconds.
        package var witnessSeconds: UInt64 = 60
        /// Whose logs the node keeps: DIDs, and `all` for whoever is heard of.
        package var follow: [String] = []

        /// None.
        package init() {}

        /// What stands for whoever is heard of.
        static let everybody = "all"

        /// Whose logs are kept by name, read; `ConfigurationRule` has checked them.
        package var followed: [DID] { follow.compactMap { try? DID(parsing: $0) } }

        /// Whether the logs of all others are kept, too.
        package var followsAll: Bool { follow.contains(Self.everybody) }

        /// The witnesses, read; `ConfigurationRule` has checked them. Those after `countMax` are not asked.
        package var addresses: [WitnessAddress] {
            witnesses.prefix(WitnessEntry.countMax).compactMap { text in
                guard let entry = WitnessEntry(text: text), let place = entry.place else { return nil }
                return WitnessAddress(
                    name: entry.key.name, key: entry.key.text, host: place.host, port: place.port,
                    prefix: place.prefix)
            }
        }

        private enum CodingKeys: String, CodingKey {
            case witnesses, follow
            case witnessSeconds = "witness_seconds"
        }

        /// Reads what is given; `ConfigurationRule` has checked it.
        package init(from decoder: any Decoder) throws {
            let container = try decoder.container(keyedBy: CodingKeys.self)
            try container.read(.witnesses, into: &witnesses)
            try container.read(.witnessSeconds, into: &witnessSeconds)
            try container.read(.follow, into: &follow)
        }
    }

    /// Whose logs a node witnesses, at its gateway, and of whose charters it is a witness.
    package struct Witness: Hashable, Sendable, Codable {
        /// Their authors, by DID; nobody's means that it is no witness.
        package var authors: [String] = []
        /// The issuers whose charters name this node as a witness, by DID.
        package var issuers: [String] = []

        /// Nobody's.
        package init() {}

        /// The authors, read; `ConfigurationRule` has checked them.
        package var dids: Set<DID> { Set(authors.compactMap { try? DID(parsing: $0) }) }

        /// The issuers, read; `ConfigurationRule` has checked them.
        package var issuerDIDs: Set<DID> { Set(issuers.compactMap { try? DID(parsing: $0) }) }

        private enum CodingKeys: String, CodingKey {
            case authors, issuers
        }

        /// Reads what is given; `ConfigurationRule` has checked it.
        package init(from decoder: any Decoder) throws {
            let container = try decoder.container(keyedBy: CodingKeys.self)
            try container.read(.authors, into: &authors)
            try container.read(.issuers, into: &issuers)
        }
    }

    /// Whose holds a node is an arbiter of.
    package struct Arbiter: Hashable, Sendable, Codable {
        /// The issuers, by DID; nobody's means that it is no arbiter.
        package var issuers: [String] = []

        /// Nobody's.
        package init() {}

        /// The issuers, read; `ConfigurationRule` has checked them.
        package var dids: Set<DID> { Set(issuers.compactMap { try? DID(parsing: $0) }) }

        private enum CodingKeys: String, CodingKey {
            case issuers
        }

        /// Reads what is given; `ConfigurationRule` has checked it.
        package init(from decoder: any Decoder) throws {
            try decoder.container(keyedBy: CodingKeys.self).read(.issuers, into: &issuers)
        }
    }

    /// The bounds of a node.
    package struct Limits: Hashable, Sendable, Codable {
        /// All blocks together, in bytes.
        package var blockBytesMax = 16 * 1024 * 1024 * 1024
        /// The share of that, in percent, beyond which the node evicts blocks; if it cannot, it accepts no new work.
        package var blockHighWaterPercent = 90
        /// How long the node keeps the evidence of a settled job in any case, in hours.
        package var evidenceKeptHours = 1
        /// How long what a job of this node's own user made stays at least, in hours since the job's end; 0 leaves it
        /// to eviction.
        package var resultsKeptHours = 24
        /// How long the node keeps the evidence of work that nobody pays, in days.
        package var unpaidEvidenceKeptDays = 30
        /// The most bytes of the database, with journals; beyond its high-water mark the node accepts no new work. nil
        /// leaves the bound to the disk.
        package var databaseBytesMax: Int?
        /// Bytes on the disk reserved for what is under way: with less free, the node accepts no new work.
        package var diskReserveBytes = 64 * 1024 * 1024
        /// How long the node waits for room on a full disk before it stops, in seconds.
        package var fullDiskSeconds = 600
        /// A module, in bytes.
        package var moduleBytesMax = 96 * 1024 * 1024
        /// The functions of a module.
        package var moduleFunctionsMax = 200_000
        /// The body of one function of a module, in bytes.
        package var functionBytesMax = 4 * 1024 * 1024
        /// Processor time for compiling a module, in seconds; it may last three times as long. Small modules get less
        /// of both.
        package var compileSecondsMax = 120
        /// Memory for compiling a module, in bytes.
        package var compileMemoryBytesMax = 2 * 1024 * 1024 * 1024
        /// A file to add or fetch, in bytes.
        package var fileBytesMax = 64 * 1024 * 1024
        /// Connections to peers.
        package var connectionsMax = 256
        /// Jobs of the owner that may be open at once.
        package var openJobsMax = 1_024
        /// Bytes held for peers: received and not taken, written and not sent.
        package var heldBytesMax = 256 * 1024 * 1024
        /// Bytes of blocks that one peer gets in a second; nil means no bound.
        package var servedBytesPerSecondPerPeerMax: Int?
        /// Whether peers on this machine may open any number of connections; without effect if the node listens on
        /// another address than loopback, since everything that a tunnel or proxy forwards comes from loopback too.
        package var exemptsLoopback = true

        /// A file that the owner adds or gets, in bytes: one that may be a module may be as long as one.
        package var addedBytesMax: Int { max(fileBytesMax, moduleBytesMax) }

        /// The outputs of one job that the node accepts, together, in bytes.
        package var outputBytesMax: Int { min(fileBytesMax, blockBytesMax) }

        /// The defaults.
        package init() {}

        /// Writes every key, those without a value as null.
        package func encode(to encoder: any Encoder) throws {
            var container = encoder.container(keyedBy: CodingKeys.self)
            try container.encode(blockBytesMax, forKey: .blockBytesMax)
            try container.encode(blockHighWaterPercent, forKey: .blockHighWaterPercent)
            try container.encode(evidenceKeptHours, forKey: .evidenceKeptHours)
            try container.encode(resultsKeptHours, forKey: .resultsKeptHours)
            try container.encode(unpaidEvidenceKeptDays, forKey: .unpaidEvidenceKeptDays)
            try container.encode(databaseBytesMax, forKey: .databaseBytesMax)
            try container.encode(diskReserveBytes, forKey: .diskReserveBytes)
            try container.encode(fullDiskSeconds, forKey: .fullDiskSeconds)
            try container.encode(moduleBytesMax, forKey: .moduleBytesMax)
            try container.encode(moduleFunctionsMax, forKey: .moduleFunctionsMax)
            try container.encode(functionBytesMax, forKey: .functionBytesMax)
            try container.encode(compileSecondsMax, forKey: .compileSecondsMax)
            try container.encode(compileMemoryBytesMax, forKey: .compileMemoryBytesMax)
            try container.encode(fileBytesMax, forKey: .fileBytesMax)
            try container.encode(connectionsMax, forKey: .connectionsMax)
            try container.encode(openJobsMax, forKey: .openJobsMax)
            try container.encode(heldBytesMax, forKey: .heldBytesMax)
            try container.encode(servedBytesPerSecondPerPeerMax, forKey: .servedBytesPerSecondPerPeerMax)
            try container.encode(exemptsLoopback, forKey: .exemptsLoopback)
        }

        private enum CodingKeys: String, CodingKey {
            case blockBytesMax = "block_bytes_max"
            case blockHighWaterPercent = "block_high_water_percent"
            case evidenceKeptHours = "evidence_kept_hours"
            case resultsKeptHours = "results_kept_hours"
            case unpaidEvidenceKeptDays = "unpaid_evidence_kept_days"
            case databaseBytesMax = "database_bytes_max"
            case diskReserveBytes = "disk_reserve_bytes"
            case fullDiskSeconds = "full_disk_seconds"
            case moduleBytesMax = "module_bytes_max"
            case moduleFunctionsMax = "module_functions_max"
            case functionBytesMax = "function_bytes_max"
            case compileSecondsMax = "compile_seconds_max"
            case compileMemoryBytesMax = "compile_memory_bytes_max"
            case fileBytesMax = "file_bytes_max"
            case connectionsMax = "connections_max"
            case openJobsMax = "open_jobs_max"
            case heldBytesMax = "held_bytes_max"
            case servedBytesPerSecondPerPeerMax = "served_bytes_per_second_per_peer_max"
            case exemptsLoopback = "exempts_loopback"
        }

        /// Reads what is given; `ConfigurationRule` has checked it.
        package init(from decoder: any Decoder) throws {
            let container = try decoder.container(keyedBy: CodingKeys.self)
            try container.read(.blockBytesMax, into: &blockBytesMax)
            try container.read(.blockHighWaterPercent, into: &blockHighWaterPercent)
            try container.read(.evidenceKeptHours, into: &evidenceKeptHours)
            try container.read(.resultsKeptHours, into: &resultsKeptHours)
            try container.read(.unpaidEvidenceKeptDays, into: &unpaidEvidenceKeptDays)
            databaseBytesMax = try container.decodeIfPresent(Int.self, forKey: .databaseBytesMax)
            try container.read(.diskReserveBytes, into: &diskReserveBytes)
            try container.read(.fullDiskSeconds, into: &fullDiskSeconds)
            try container.read(.moduleBytesMax, into: &moduleBytesMax)
            try container.read(.moduleFunctionsMax, into: &moduleFunctionsMax)
            try container.read(.functionBytesMax, into: &functionBytesMax)
            try container.read(.compileSecondsMax, into: &compileSecondsMax)
            try container.read(.compileMemoryBytesMax, into: &compileMemoryBytesMax)
            try container.read(.fileBytesMax, into: &fileBytesMax)
            try container.read(.connectionsMax, into: &connectionsMax)
            try container.read(.openJobsMax, into: &openJobsMax)
            try container.read(.heldBytesMax, into: &heldBytesMax)
            servedBytesPerSecondPerPeerMax = try container.decodeIfPresent(
                Int.self, forKey: .servedBytesPerSecondPerPeerMax)
            try container.read(.exemptsLoopback, into: &exemptsLoopback)
        }
    }

    /// The defaults: any port on IPv4 and IPv6, an executor, no bootstrap peers.
    package init() {}

    /// Port 4001 on every interface, like other libp2p nodes.
    package static let defaultListen: [Multiaddr] = ["/ip4/0.0.0.0/tcp/4001", "/ip6/::/tcp/4001"].compactMap {
        try? Multiaddr(parsing: $0)
    }

    /// Writes every key, one without a value as null.
    package func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(listen, forKey: .listen)
        try container.encode(announce, forKey: .announce)
        try container.encode(bootstrap, forKey: .bootstrap)
        try container.encode(findsLocalNodes, forKey: .findsLocalNodes)
        try container.encode(localNetwork, forKey: .localNetwork)
        try container.encode(executor, forKey: .executor)
        try container.encode(originator, forKey: .originator)
        try container.encode(region, forKey: .region)
        try container.encode(creditGrant, forKey: .creditGrant)
        try container.encode(kademliaProtocol, forKey: .kademliaProtocol)
        try container.encode(drainSeconds, forKey: .drainSeconds)
        try container.encode(gateway, forKey: .gateway)
        try container.encode(api, forKey: .api)
        try container.encode(traces, forKey: .traces)
        try container.encode(log, forKey: .log)
        try container.encode(witness, forKey: .witness)
        try container.encode(holds, forKey: .holds)
        try container.encode(arbiter, forKey: .arbiter)
        try container.encode(limits, forKey: .limits)
        try container.encode(logLevel, forKey: .logLevel)
        try container.encode(logFormat, forKey: .logFormat)
    }

    private enum CodingKeys: String, CodingKey {
        case listen, announce, bootstrap, executor, originator, region, gateway, api, traces, log, witness, arbiter
        case limits, holds
        case findsLocalNodes = "mdns"
        case localNetwork = "mdns_network"
        case creditGrant = "credit_grant"
        case drainSeconds = "drain_seconds"
        case kademliaProtocol = "kademlia_protocol"
        case logLevel = "log_level"
        case logFormat = "log_format"
    }

    /// Reads what is given; everything else has its default.
    package init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        try container.read(.listen, into: &listen)
        try container.read(.announce, into: &announce)
        try container.read(.bootstrap, into: &bootstrap)
        try container.read(.findsLocalNodes, into: &findsLocalNodes)
        localNetwork = try container.decodeIfPresent(String.self, forKey: .localNetwork)
        try container.read(.executor, into: &executor)
        try container.read(.originator, into: &originator)
        region = try container.decodeIfPresent(String.self, forKey: .region)
        try container.read(.creditGrant, into: &creditGrant)
        try container.read(.kademliaProtocol, into: &kademliaProtocol)
        try container.read(.drainSeconds, into: &drainSeconds)
        try container.read(.gateway, into: &gateway)
        try container.read(.api, into: &api)
        try container.read(.traces, into: &traces)
        try container.read(.log, into: &log)
        try container.read(.witness, into: &witness)
        try container.read(.holds, into: &holds)
        try container.read(.arbiter, into: &arbiter)
        try container.read(.limits, into: &limits)
        try container.read(.logLevel, into: &logLevel)
        try container.read(.logFormat, into: &logFormat)
    }

    /// The bytes of `config.json`.
    package func encoded() throws -> Data {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        return try encoder.encode(self) + Data("\n".utf8)
    }

    /// Reads `config.json`; the error is one sentence that names the file and the key.
    package static func load(path: String) throws(NodeServiceError) -> NodeConfiguration {
        let data = try bytes(of: path)
        if let fault = ConfigurationRule.fault(in: data) { throw refusal(of: path, fault) }
        return try decoded(data, of: path)
    }

    /// The values of a configuration that was checked.
    static func decoded(_ data: Data, of path: String) throws(NodeServiceError) -> NodeConfiguration {
        do {
            return try JSONDecoder().decode(NodeConfiguration.self, from: data)
        } catch {
            throw refusal(of: path, "a value in it cannot be read")
        }
    }

    // MARK: At run time

    /// The keys whose values a node takes while it runs; the others need a restart.
    package static let changesAtOnce: Set<String> = [
        "executor.price_base", "executor.price_per_million_fuel", "executor.jobs_at_once",
        "executor.queued_jobs_max", "executor.hours", "executor.allowed_originators",
        "executor.denied_originators", "executor.min_originator_reputation", "originator.bid_window_ms",
        "originator.bidding_deadline_ms",
        "drain_seconds", "log_level", "log.follow",
    ]

    /// Takes the values of those keys from another configuration.
    package mutating func takeWhatChangesAtOnce(from other: NodeConfiguration) {
        executor.priceBase = other.executor.priceBase
        executor.pricePerMillionFuel = other.executor.pricePerMillionFuel
        executor.jobsAtOnce = other.executor.jobsAtOnce
        executor.queuedJobsMax = other.executor.queuedJobsMax
        executor.hours = other.executor.hours
        executor.allowedOriginators = other.executor.allowedOriginators
        executor.deniedOriginators = other.executor.deniedOriginators
        executor.minOriginatorReputation = other.executor.minOriginatorReputation
        originator.bidWindowMilliseconds = other.originator.bidWindowMilliseconds
        originator.biddingDeadlineMilliseconds = other.originator.biddingDeadlineMilliseconds
        drainSeconds = other.drainSeconds
        logLevel = other.logLevel
        log.follow = other.log.follow
    }

    /// The bytes of a file that is to be a configuration.
    static func bytes(of path: String) throws(NodeServiceError) -> Data {
        if let data = FileManager.default.contents(atPath: path) { return data }
        throw unreadable(path)
    }

    /// The refusal of a file that cannot be read.
    static func unreadable(_ path: String) -> NodeServiceError {
        let isThere = FileManager.default.fileExists(atPath: path)
        return NodeServiceError.noPermission(for: .reading, of: path)
            ?? NodeServiceError(
                .configurationInvalid, "The configuration \(path) \(isThere ? "cannot be read" : "is missing").",
                hint: "Run mesh init again for a fresh one; the node keeps its key.")
    }

    /// The refusal of a file for a reason, a clause.
    static func refusal(of path: String, _ clause: String) -> NodeServiceError {
        NodeServiceError(
            .configurationInvalid, "The configuration \(path) cannot be used: \(clause).",
            hint: "Correct the file, or move it away and run mesh init for a fresh one.")
    }

    /// Why no node can work with these values, as a clause that names the key; nil if one can.
    package var refusal: String? {
        guard let data = try? encoded() else { return "the values cannot be written as JSON" }
        return ConfigurationRule.fault(in: data)
    }
}

extension KeyedDecodingContainer {
    /// Sets a value if its key is present, and leaves the default otherwise.
    func read<Value: Decodable>(_ key: Key, into value: inout Value) throws {
        if let given = try decodeIfPresent(Value.self, forKey: key) { value = given }
    }
}
