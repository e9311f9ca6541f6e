import Collections
import MeshTypes
import Multiformats
import SignedObjects

/// Verified manifests that wait until the own store was asked for their modules, by module.
struct ModuleLooks: Sendable {
    /// What became of a manifest.
    enum Added: Sendable {
        /// It is the first one of its module: the store is to be asked.
        case isFirst
        /// The store is being asked already.
        case joined
        /// Too many wait.
        case full
    }

    private var waiting: [CID: OrderedDictionary<JobID, SignedObject<JobManifest>>] = [:]
    /// How many wait.
    private(set) var count = 0

    /// Lets a manifest wait, unless so many do; one that waits already is not taken twice.
    mutating func add(_ signed: SignedObject<JobManifest>, max: Int) -> Added {
        let (module, job) = (signed.body.params.wasmCID, JobID(signed.cid))
        if waiting[module]?[job] != nil { return .joined }
        guard count < max else { return .full }
        count += 1
        let isFirst = waiting[module] == nil
        waiting[module, default: [:]][job] = signed
        return isFirst ? .isFirst : .joined
    }

    /// Lets those of a module go, in the order in which they came.
    mutating func remove(_ module: CID) -> [SignedObject<JobManifest>] {
        let manifests = waiting.removeValue(forKey: module).map { Array($0.values) } ?? []
        count -= manifests.count
        return manifests
    }
}
