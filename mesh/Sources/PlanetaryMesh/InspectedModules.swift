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

    private let keys = Mutex(OrderedSet<Key>())

    func contains(_ module: CID, entry: String) -> Bool {
        keys.withLock { $0.contains(Key(module: module, entry: entry)) }
    }

    func insert(_ module: CID, entry: String) {
        keys.withLock { keys in
            keys.append(Key(module: module, entry: entry))
            if keys.count > Self.countMax { keys.removeFirst() }
        }
    }
}
