import CoVM
import JobMarket
import MeshTypes
import Multiformats
import OrderedCollections
import Synchronization

/// The latest modules of this node's own jobs that were inspected and accepted for an entry point.
final class InspectedModules: Sendable {
    /// Modules remembered; one more replaces the oldest.
    static let countMax = 256

    /// What is known of a module.
    struct Inspected: Sendable {
        /// What it measures.
        var sizes = JobSizes()
        /// Whether it imports a session call, which executors of earlier versions do not have.
        var usesSessionCalls = false
        /// The function that its jobs call with numbers; nil if it is the entry of a program.
        var function: CallableFunction?
    }

    private struct Key: Hashable {
        let module: CID
        let entry: String
        let isCalled: Bool
    }

    private let modules = Mutex(OrderedDictionary<Key, Inspected>())

    /// What is known of a module with this entry, or with this function that is called with numbers; `nil` if it is
    /// not among them.
    func found(_ module: CID, entry: String, isCalled: Bool) -> Inspected? {
        modules.withLock { $0[Key(module: module, entry: entry, isCalled: isCalled)] }
    }

    func insert(_ module: CID, entry: String, _ inspected: Inspected) {
        let key = Key(module: module, entry: entry, isCalled: inspected.function != nil)
        modules.withLock { modules in
            modules[key] = inspected
            if modules.count > Self.countMax { modules.removeFirst() }
        }
    }
}
