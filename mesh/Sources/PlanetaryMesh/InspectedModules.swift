import MeshTypes
import Multiformats
import OrderedCollections
import Synchronization

/// The latest modules of this node's own jobs that were inspected and accepted for an entry point.
final class InspectedModules: Sendable {
    /// Modules remembered; one more replaces the oldest.
    static let countMax = 256

    private struct Key: Hashable {
        let module: CID
        let entry: String
    }

    private let modules = Mutex(OrderedDictionary<Key, JobSizes>())

    func contains(_ module: CID, entry: String) -> Bool { sizes(of: module, entry: entry) != nil }

    /// What a module measures; `nil` if it is not among them.
    func sizes(of module: CID, entry: String) -> JobSizes? {
        modules.withLock { $0[Key(module: module, entry: entry)] }
    }

    func insert(_ module: CID, entry: String, _ sizes: JobSizes = JobSizes()) {
        modules.withLock { modules in
            modules[Key(module: module, entry: entry)] = sizes
            if modules.count > Self.countMax { modules.removeFirst() }
        }
    }
}
