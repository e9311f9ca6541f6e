import Collections
import Multiformats

/// Modules of this node's own jobs that were looked at and are good for an entry point, the latest ones.
struct InspectedModules: Sendable {
    /// Modules that are remembered; the one that came first goes for one more.
    static let countMax = 256

    private struct Key: Hashable {
        let module: CID
        let entry: String
    }

    private var keys = OrderedSet<Key>()

    func contains(_ module: CID, entry: String) -> Bool { keys.contains(Key(module: module, entry: entry)) }

    mutating func insert(_ module: CID, entry: String) {
        keys.append(Key(module: module, entry: entry))
        if keys.count > Self.countMax { keys.removeFirst() }
    }
}
