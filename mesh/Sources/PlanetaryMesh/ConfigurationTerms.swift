import CoVM
import Foundation
import JobMarket
import LibP2P
import MeshStore
import MeshTypes
import Multiformats
import NodeCore
import NodeSetup
import Reputation
import SignedObjects

// The operator's configuration, as each part of a node takes it.

extension MarketConfiguration {
    /// The terms of a market, of an executor that runs jobs on `machine`.
    init(_ configuration: NodeConfiguration, machine: CoVM, addresses: [Multiaddr]) {
        self.init()
        self.addresses = addresses
        limits.originatedJobsMax = configuration.limits.openJobsMax
        originator.bidWindowMilliseconds = configuration.originator.bidWindowMilliseconds
        let holds = configuration.holds
        originator.holdSlackMilliseconds = holds.deliverySeconds * 1_000
        originator.holdGraceMilliseconds = holds.claimSeconds * 1_000
        originator.holdWindowMilliseconds = holds.windowSeconds * 1_000
        originator.holdExtensionMilliseconds = holds.decisionSeconds * 1_000
        originator.biddingMilliseconds = configuration.originator.biddingDeadlineMilliseconds
        limits.checksAtOnceMax = Int(clamping: configuration.originator.checksAtOnce)
        originator.fetchingMilliseconds = Self.fetchingMilliseconds
        originator.engine = machine.engineDescription
        originator.trackRates.trust = configuration.originator.checkTrust
        originator.trackRates.floorPermille = configuration.originator.checkFloorPermille
        originator.outputBytesMax = UInt64(clamping: configuration.limits.outputBytesMax)
        guard configuration.executor.isEnabled else { return }
        let offered = configuration.executor
        var executor = ExecutorConfiguration()
        executor.bidsOnOwnJobs = true
        executor.looksModulesUp = true
        executor.region = configuration.region
        executor.features = Self.features(offered, machine.engineDescription)
        executor.basePrice = TokenAmount(offered.priceBase)
        executor.pricePerMillionFuel = TokenAmount(offered.pricePerMillionFuel)
        executor.issuers = offered.trustedIssuers
        executor.concurrentRunsMax = offered.runsAtOnce
        executor.queuedRunsMax = offered.queuedJobsMax
        executor.limitsMax = offered.limitsMax
        executor.filesBytesMax = offered.filesBytesMax
        executor.resources = offered.resources
        executor.nodeLimits = configuration.limits.offered
        executor.engine = machine.engineDescription
        executor.isWithinHours = offered.takesJobs(atMinute: NodeClock.minuteOfDay)
        executor.deniedOriginators = Set(offered.deniedOriginators.compactMap { try? DID(parsing: $0) })
        executor.allowedOriginators = Set(offered.allowedOriginators.compactMap { try? DID(parsing: $0) })
        executor.minOriginatorReputation = offered.minOriginatorReputation
        self.executor = executor
    }

    /// How long an executor may fetch and compile before another is asked, in milliseconds: a module of 70 MB takes a
    /// minute on two cores.
    private static let fetchingMilliseconds: UInt64 = 180_000

    /// What bids and capabilities state: what every executor of this version can, and what its owner says, as many as a
    /// bid may have.
    static func features(_ offered: NodeConfiguration.Executor, _ engine: EngineDescription) -> [String] {
        let common = OfferKeys.common.filter { offered.takesHedgedJobs || $0 != HedgedJob.feature }
        let credit = offered.trustedIssuers.isEmpty ? [] : [CreditJob.feature]
        let own = common + credit + [ExecutionIdentity.feature(of: engine)]
        let others = offered.features.filter { other in !own.contains { $0.isSameBytes(as: other) } }
        return (own + others.prefix(featuresMax - own.count)).sorted()
    }

    /// Features of a bid (PROTOCOL.md, "Bid").
    private static let featuresMax = 64
}

extension NodeConfiguration.Executor {
    /// Jobs that run at once.
    var runsAtOnce: Int { jobsAtOnce ?? ProcessInfo.processInfo.activeProcessorCount }

    /// The issuers by which it lets itself be paid, each once.
    var trustedIssuers: [TrustedIssuer] {
        var trusted: [TrustedIssuer] = []
        for prices in issuers.compactMap(IssuerPrices.init)
        where !trusted.contains(where: { $0.issuerDID == prices.issuerDID }) {
            trusted.append(
                TrustedIssuer(
                    issuerDID: prices.issuerDID, unit: prices.unit, basePrice: prices.base,
                    pricePerMillionFuel: prices.perMillionFuel))
        }
        return Array(trusted.prefix(CreditJob.Limits.trustedMax))
    }

    /// The most that one job may ask for.
    var limitsMax: ExecutionLimits {
        let memory = memoryMiB.multipliedReportingOverflow(by: 1 << 20)
        return ExecutionLimits(
            timeoutSeconds: runSecondsMax, maxFuel: fuelMax,
            maxMemoryBytes: min(JobRules().memoryBytesMax, memory.overflow ? .max : memory.partialValue),
            maxOutputBytes: outputBytesMax)
    }

    /// The offered resources, by kind.
    var resources: ResourceAmounts {
        let cores = cpuMillicores ?? UInt64(ProcessInfo.processInfo.activeProcessorCount) * 1000
        return CanonicalMap([
            (ResourceType.cpuMillicores.rawValue, cores), (ResourceType.memoryMiB.rawValue, memoryMiB),
            (ResourceType.storageMiB.rawValue, storageMiB),
        ])
    }
}

extension NodeConfiguration.Limits {
    /// What an executor with these limits takes, by the names of `OfferedLimit`.
    var offered: ResourceAmounts {
        let limits: [(OfferedLimit, Int)] = [
            (.moduleBytes, min(moduleBytesMax, ModuleLimits.moduleBytesCeiling)),
            (.moduleFunctions, moduleFunctionsMax), (.functionBytes, functionBytesMax),
            (.compileSeconds, compileSecondsMax), (.compileMemoryBytes, compileMemoryBytesMax),
            (.inputBytes, fileBytesMax),
        ]
        return CanonicalMap(limits.map { ($0.0.rawValue, UInt64(clamping: $0.1)) })
    }
}

extension CoVMConfiguration {
    /// A machine that keeps compiled modules in a folder, within the owner's limits.
    init(_ configuration: NodeConfiguration, cachePath: String) {
        self.init(cacheDirectory: cachePath)
        let configured = configuration.limits
        moduleLimits.moduleBytesMax = configured.moduleBytesMax
        moduleLimits.functionsMax = configured.moduleFunctionsMax
        moduleLimits.functionBodyBytesMax = configured.functionBytesMax
        compileLimits.cpuSeconds = configured.compileSecondsMax
        compileLimits.wallMilliseconds = 3_000 * configured.compileSecondsMax
        compileLimits.memoryBytes = configured.compileMemoryBytesMax
        limits.concurrentRunsMax = configuration.executor.runsAtOnce
        // Runs that wait for blocks keep at most half of what all places together may have.
        let (both, isOver) = configuration.executor.limitsMax.maxMemoryBytes.addingReportingOverflow(
            configuration.executor.filesBytesMax)
        let (all, areTooMany) = (both / 2).multipliedReportingOverflow(
            by: UInt64(clamping: configuration.executor.runsAtOnce))
        limits.parkedBytesMax = isOver || areTooMany ? .max : all
        limits.nice = Int32(clamping: configuration.executor.nice)
        // What an executor plans for blocks before a run, it grants once more in the run.
        limits.fetchMillisecondsMax = ExecutorConfiguration().preparationMilliseconds
    }
}

extension StoreLimits {
    /// The bounds of a store.
    init(_ configured: NodeConfiguration.Limits) {
        self.init()
        blockBytesTotalMax = configured.blockBytesMax
        highWaterPercent = configured.blockHighWaterPercent
        databaseBytesMax = configured.databaseBytesMax
        diskReserveBytes = configured.diskReserveBytes
        fullMillisecondsMax = Int64(configured.fullDiskSeconds) * 1_000
        evidenceKeptMilliseconds = UInt64(configured.evidenceKeptHours) * 3_600_000
        resultsKeptMilliseconds = UInt64(configured.resultsKeptHours) * 3_600_000
        unpaidEvidenceKeptMilliseconds = UInt64(configured.unpaidEvidenceKeptDays) * 86_400_000
    }
}

extension SwarmConfiguration {
    /// The defaults of a node of the mesh, as identify announces them (PROTOCOL.md).
    static func ofMesh(listening addresses: [Multiaddr]) -> SwarmConfiguration {
        var configuration = SwarmConfiguration(listenAddresses: addresses)
        configuration.agentVersion = "planetary-mesh/1"
        configuration.protocolVersion = "icn/mesh/1.0.0"
        return configuration
    }

    /// Addresses and bounds of a swarm.
    init(_ configuration: NodeConfiguration) {
        self = .ofMesh(listening: configuration.listen)
        announceAddresses = configuration.announce
        limits.connectionsMax = configuration.limits.connectionsMax
        limits.inboundConnectionsMax = min(
            limits.inboundConnectionsMax, max(1, configuration.limits.connectionsMax * 3 / 4))
        limits.heldBytesMax = configuration.limits.heldBytesMax
        limits.isLoopbackExempt =
            configuration.limits.exemptsLoopback && configuration.listen.allSatisfy(\.isLoopback)
    }
}
