import Foundation
import MeshHTTP
import Multiformats
import NodeAPI
import NodeSetup
import Peers

/// Says what is wrong with a node and its machine, and what to do about it.
struct Doctor {
    /// The program that asks.
    let version: String
    let facts: DoctorFacts

    /// Free bytes beyond the reserve below which a disk is soon full.
    static let roomBytes: UInt64 = 1 << 30

    /// Days before its end from which a certificate has to be renewed.
    static let certificateDays = 14

    /// Everything that was looked at, in a fixed order.
    var findings: [DoctorFinding] {
        guard facts.home.fault == nil else { return [home] }
        return [home, key, tokens, certificate, configuration, node, issuer, clock].compactMap { $0 } + ports
            + [reachability, bootstrap, peers, disk, files, memory, sandbox].compactMap { $0 }
    }

    private var status: NodeStatus? { try? facts.node.get() }
    private var settings: NodeConfiguration? { try? facts.configuration.get() }
    private var isStopped: Bool {
        if case .failure(let error) = facts.node { error.code == .nodeNotRunning } else { false }
    }

    private func failed(_ check: String, _ error: NodeServiceError) -> DoctorFinding {
        let sentence = error.message.hasSuffix(".") ? String(error.message.dropLast()) : error.message
        return .bad(check, sentence, error.hint ?? "Look into the node's log.")
    }

    // MARK: The home

    private var home: DoctorFinding {
        let home = facts.home
        if let fault = home.fault { return failed("home", fault) }
        guard home.isWritable else {
            return .bad("home", "\(home.path) cannot be written to", "Run mesh as its owner, or mount it for writing.")
        }
        guard home.othersMode & 0o022 == 0 else {
            return .bad("home", "others can write to \(home.path)", "Close it with: chmod 700 \(home.path)")
        }
        guard home.othersMode == 0 else {
            return .warn("home", "others can look into \(home.path)", "Close it with: chmod 700 \(home.path)")
        }
        return .ok("home", home.path)
    }

    private var key: DoctorFinding {
        switch facts.key {
        case .success(let isEncrypted):
            .ok("key", isEncrypted ? "its owner's alone, and encrypted" : "its owner's alone")
        case .failure(let error): failed("key", error)
        }
    }

    private var tokens: DoctorFinding {
        facts.tokenFault.map { failed("tokens", $0) } ?? .ok("tokens", "their owner's alone, as far as there are any")
    }

    private var certificate: DoctorFinding? {
        switch facts.certificate {
        case nil: return nil
        case .failure(let error)?: return failed("certificate", error)
        case .success(let known)?:
            let detail = "the API's is good until \(known.end.formatted(.iso8601))"
            // What ends soon comes first: a client can be told to take another name, and no old certificate.
            guard known.end.timeIntervalSince(facts.now) >= Double(Self.certificateDays) * 86_400 else {
                return .warn("certificate", "\(detail), soon", "Renew it, and have it read with mesh config reload.")
            }
            let host = settings.flatMap { $0.api.name ?? $0.api.place?.host }
            if let host, !known.isFor(host) {
                return .warn(
                    "certificate", "the API's is not for \(host), as clients call it, so they turn away",
                    "Get one with that name in it (subjectAltName), or change api.name.")
            }
            if let running = status?.apiCertificate, running != known.fingerprint {
                return .warn(
                    "certificate", "the API's was renewed, and the node that runs has the one before",
                    "Have it read with mesh config reload.")
            }
            return .ok("certificate", detail)
        }
    }

    private var configuration: DoctorFinding {
        switch facts.configuration {
        case .failure(let error): return failed("config", error)
        case .success where facts.isConfigurationNewer:
            return .warn(
                "config", "the settings were changed, and the node that runs has not taken all of them",
                "See mesh config list --running: mesh config reload takes some, mesh stop and mesh up all.")
        case .success: return .ok("config", "config.json can be used")
        }
    }

    // MARK: The node

    private var node: DoctorFinding {
        switch facts.node {
        case .success(let status):
            if status.version != version {
                return .warn(
                    "node", "version \(status.version) runs, and this program is \(version)",
                    "Restart the node with mesh stop and mesh up.")
            }
            if let warning = status.keyWarning { return .bad("node", Self.clause(warning), "Stop one of the two.") }
            if let warning = status.journalWarning {
                return .warn("node", Self.clause(warning), "Look into the node's log.")
            }
            return .ok("node", "version \(status.version) runs as process \(status.processID)")
        case .failure(let error):
            if isStopped { return .ok("node", "does not run, so less can be said; mesh up starts it") }
            return failed("node", error)
        }
    }

    private var issuer: DoctorFinding? {
        status?.issuerWarning.map {
            .bad(
                "issuer", Self.clause($0),
                "Have the witnesses of its charter run, with this node in their witness.issuers, and reachable.")
        }
    }

    private var clock: DoctorFinding {
        if let warning = status?.clockWarning { return .bad("clock", Self.clause(warning), Self.setClock) }
        switch facts.isClockSet {
        case true?: return .ok("clock", "a time service keeps it")
        case false?: return .warn("clock", "no time service keeps it, by what the kernel knows", Self.setClock)
        case nil:
            return .ok("clock", status == nil ? "the kernel does not say who keeps it" : "peers do not object to it")
        }
    }

    private static let setClock = "Let a time service set it, such as systemd-timesyncd or chrony."

    // MARK: The network

    private var ports: [DoctorFinding] {
        let taken = facts.places.filter(\.isTaken)
        guard taken.isEmpty else {
            return taken.map { place in
                let key = place.name == "peers" ? "listen" : "\(place.name).listen"
                return .bad(
                    "ports", "another program has \(place.address), where the node is to listen (\(place.name))",
                    "End that program, or set another address: mesh config set \(key) ADDRESS.")
            }
        }
        guard !facts.places.isEmpty else {
            return [.warn("ports", "the node listens nowhere", "Name an address: mesh config set listen ADDRESS.")]
        }
        return [.ok("ports", facts.places.map(\.address).joined(separator: ", "))]
    }

    private var reachability: DoctorFinding? {
        guard let settings else { return nil }
        let listening = status?.addresses ?? settings.listen.map(\.text)
        let addresses = (settings.announce.map(\.text) + listening).compactMap { try? Multiaddr(parsing: $0) }
        if let example = addresses.first(where: \.isForDocumentation) {
            let key = settings.announce.contains(example) ? "announce" : "listen"
            return .warn(
                "reachability", "\(example) is an address for documentation, at which nobody can be reached",
                "Name an address that the node has: mesh config set \(key) ADDRESS.")
        }
        // An address of all interfaces, of a node that does not run, says nothing.
        let reach = addresses.compactMap(\.reach).max()
        let isEverywhere = status == nil && addresses.contains { $0.reach == nil }
        let advice =
            "Forward a port to it and name its outside: mesh config set announce ADDRESS. To ask others to run jobs it "
            + "needs none of that."
        switch reach {
        case .open?:
            return .ok("reachability", "it tells of an address of the open internet; a firewall may still close it")
        case _ where isEverywhere:
            return .ok("reachability", "listens on all interfaces; with the node running more can be said")
        case .local?: return .warn("reachability", "only its own network reaches it, by its addresses", advice)
        case .loopback?, nil:
            return .warn(
                "reachability", "only this machine reaches it, by its addresses",
                "Listen on an interface: mesh config set listen /ip4/0.0.0.0/tcp/4001.")
        }
    }

    private var bootstrap: DoctorFinding? {
        let tried = facts.contacts.filter { $0.answers != nil }
        let hasPeers = status?.connectedPeers ?? 0 > 0
        guard !facts.contacts.isEmpty else {
            if hasPeers { return .ok("bootstrap", "no peer is named, and none is needed now") }
            return .warn(
                "bootstrap", "the node knows nobody to begin with",
                "Name a node that you know: mesh config set bootstrap ADDRESS. For those of the local network: mesh "
                    + "config set mdns true. If others come to it, leave it so."
            )
        }
        guard !tried.isEmpty else {
            return .warn(
                "bootstrap", "none of the \(facts.contacts.count) that are named could be tried",
                "Only addresses with an IP address are tried; mesh peers tells who is connected.")
        }
        let silent = tried.filter { $0.answers == false }.map(\.address.text)
        guard !silent.isEmpty else {
            let (named, answer) = (facts.contacts.count, tried.count == 1 ? "it answers" : "they answer")
            return .ok("bootstrap", named == tried.count ? answer : "\(tried.count) of \(named) were tried; \(answer)")
        }
        let detail = "nothing answers at \(silent.joined(separator: ", "))"
        let remedy = "Check these addresses, and what keeps this machine from them."
        return silent.count == tried.count && !hasPeers
            ? .bad("bootstrap", detail, remedy) : .warn("bootstrap", detail, remedy)
    }

    private var peers: DoctorFinding? {
        guard let status else { return nil }
        guard status.connectedPeers > 0 else {
            return .warn("peers", "none is connected", "Connect to one that you know: mesh connect ADDRESS.")
        }
        return .ok("peers", "\(status.connectedPeers) connected")
    }

    // MARK: The machine

    private var disk: DoctorFinding? {
        switch status?.storage?.state {
        case "full"?:
            return .bad(
                "disk", "the node's share of it is full, so it takes no new work",
                "Remove what you do not need (mesh gc, mesh rm), or raise limits.block_bytes_max.")
        case "locked"?:
            return .bad("disk", "another program has locked the database", "End that program.")
        default: break
        }
        guard let free = facts.diskFreeBytes else { return nil }
        let reserve = UInt64(max(0, (settings ?? NodeConfiguration()).limits.diskReserveBytes))
        let detail = "\(Readable.bytes(free)) are free"
        if free < reserve {
            return .bad(
                "disk", "\(detail), less than the \(Readable.bytes(reserve)) that the node keeps for jobs under way",
                "Free some space; until then the node takes no new work.")
        }
        guard free - reserve >= Self.roomBytes else { return .warn("disk", detail, "Free some space soon.") }
        return .ok("disk", detail)
    }

    private var files: DoctorFinding? {
        guard let plan = facts.descriptors else { return nil }
        guard plan.isShort else { return .ok("files", "as many may be open as the node may need (\(plan.wanted))") }
        return .warn(
            "files",
            "\(plan.allowed) may be open and the node may need \(plan.wanted), so it takes \(plan.connectionsMax) "
                + "connections to peers", "Raise the limit (ulimit -Hn, or LimitNOFILE of the service).")
    }

    private var memory: DoctorFinding? {
        guard let settings, settings.executor.isEnabled, let memory = facts.memoryBytes else { return nil }
        let offered = settings.executor.memoryMiB.multipliedReportingOverflow(by: 1 << 20)
        guard !offered.overflow, offered.partialValue <= memory else {
            return .warn(
                "memory",
                "the node offers \(Readable.count(settings.executor.memoryMiB)) MiB for runs, and the machine has "
                    + Readable.bytes(memory), "Offer less: mesh config set executor.memory_mib NUMBER.")
        }
        return .ok(
            "memory", "\(Readable.bytes(memory)), of which runs may have \(Readable.bytes(offered.partialValue))")
    }

    private var sandbox: DoctorFinding? {
        guard let settings, settings.executor.isEnabled else { return nil }
        let missing = ["seccomp", "landlock"].filter { !(status?.runIsolation ?? facts.isolation).contains($0) }
        guard !missing.isEmpty else { return .ok("sandbox", "runs are kept apart by seccomp and landlock") }
        return .warn(
            "sandbox",
            "this kernel has no \(missing.joined(separator: " and no ")), so runs are kept apart by the rest",
            "Use a kernel that has it (landlock: 5.13 or later, in the list of lsm=), or run no jobs of others: mesh "
                + "config set executor.enabled false.")
    }

    private static func clause(_ sentence: String) -> String {
        sentence.hasSuffix(".") ? String(sentence.dropLast()) : sentence
    }
}

extension Multiaddr {
    /// Whether it is one of the addresses that are kept for examples (RFC 5737, RFC 3849).
    fileprivate var isForDocumentation: Bool {
        switch unmapped.components.first {
        case .ip4(let bytes): [[192, 0, 2], [198, 51, 100], [203, 0, 113]].contains(Array(bytes.prefix(3)))
        case .ip6(let bytes): bytes.prefix(4).elementsEqual([0x20, 0x01, 0x0D, 0xB8])
        default: false
        }
    }
}
