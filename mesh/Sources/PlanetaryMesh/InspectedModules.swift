import Multiformats
import OrderedCollections
import Synchronization

/// Modules of this node's own jobs that were looked at and are good for an entry point, the latest ones.
final class InspectedModules: Sendable {
    /// Modules that are remembered; the one that came first goes for one more.
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
