import Determinism
import MeshTypes
import Multiformats
import OrderedCollections
import SignedObjects

/// What an executor knows of modules before it fetches them: which exceed its limits or crashed its engine, and which
/// jobs wait for a lookup
/// in the store. Not journalled, so a restart tries again.
struct ModuleLooks: Sendable {
    /// Modules that this node could not compile or hold within its own limits.
    private var beyondLimits = ModuleMemory()
    /// Modules that crashed the engine here, each for a while: for strangers, whoever brought them, and for those who
    /// did. Otherwise one that finds a way to crash what many use would keep it from all of them.
    private var crashed = (anybody: RecentFailures<CID>(), who: RecentFailures<BroughtModule>())
    /// Modules looked up in the store and acceptable as far as it knew.
    private var runnable = ModuleMemory()
    /// Verified manifests that wait, by module.
    private var waiting: [CID: OrderedDictionary<JobID, SignedObject<JobManifest>>] = [:]
    private var waitingCount = 0

    func isBeyondLimits(_ module: CID) -> Bool { beyondLimits.contains(module) }

    /// Notes that a module exceeds this node's limits.
    mutating func foundBeyondLimits(_ module: CID, _ limits: MarketLimits) {
        beyondLimits.insert(module, max: limits.modulesBeyondLimitsMax)
    }

    /// Whether the module of a job crashed the engine here lately: that of a stranger in anybody's run, that of an
    /// originator who paid before in a run of its own.
    func hasCrashed(_ job: JobManifest, _ context: MarketContext) -> Bool {
        let brought = BroughtModule(job)
        if crashed.who.contains(brought, now: context.now) { return true }
        return !context.knows(job.originatorDID) && crashed.anybody.contains(brought.module, now: context.now)
    }

    /// Notes that the module of a job crashed the engine.
    mutating func crashed(_ job: JobManifest, until date: MonotonicInstant, _ limits: MarketLimits) {
        let brought = BroughtModule(job)
        crashed.anybody.insert(brought.module, until: date, max: limits.modulesCrashedMax)
        crashed.who.insert(brought, until: date, max: limits.modulesCrashedMax)
    }

    /// Whether a job waits for a lookup of its module: the node does not bid if the module is here and too long.
    /// Modules of this node's own jobs were checked at submission. If too many jobs wait, no further one does.
    mutating func waits(_ signed: SignedObject<JobManifest>, _ context: inout MarketContext) -> Bool {
        let (module, job) = (signed.body.params.wasmCID, JobID(signed.cid))
        guard signed.body.originatorDID != context.did, !runnable.contains(module) else { return false }
        if waiting[module]?[job] != nil { return true }
        guard waitingCount < context.limits.moduleLooksMax else { return false }
        waitingCount += 1
        if waiting[module] == nil { context.emit(.lookUpModule(module)) }
        waiting[module, default: [:]][job] = signed
        return true
    }

    /// Notes that a module was looked up; returns the jobs that waited for that, in order of arrival.
    mutating func lookedUp(
        _ module: CID, isBeyondLimits: Bool, _ limits: MarketLimits
    ) -> [SignedObject<JobManifest>] {
        let manifests = waiting.removeValue(forKey: module).map { Array($0.values) } ?? []
        waitingCount -= manifests.count
        if isBeyondLimits {
            foundBeyondLimits(module, limits)
        } else {
            runnable.insert(module, max: limits.modulesLookedUpMax)
        }
        return manifests
    }
}

/// A module, and who brought it.
private struct BroughtModule: Hashable, Sendable {
    let module: CID
    let originator: DID

    init(_ job: JobManifest) {
        module = job.params.wasmCID
        originator = job.originatorDID
    }
}

/// Modules, the latest ones.
private struct ModuleMemory: Sendable {
    private var modules = OrderedSet<CID>()

    func contains(_ module: CID) -> Bool { modules.contains(module) }

    mutating func insert(_ module: CID, max: Int) {
        modules.append(module)
        while modules.count > max { modules.removeFirst() }
    }
}
