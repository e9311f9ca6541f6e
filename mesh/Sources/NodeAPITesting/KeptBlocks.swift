package import Multiformats
package import NodeAPI
import Synchronization

/// The blocks that a `ScriptedNode` was given.
package final class KeptBlocks: Sendable {
    private struct State {
        var blocks: [CID: [UInt8]] = [:]
        var puts: [Int] = []
        var pinned: [CID] = []
        var published: Set<CID> = []
    }

    private let state = Mutex(State())

    /// None.
    package init() {}

    /// A block that was given.
    package func block(_ cid: CID) -> [UInt8]? { state.withLock { $0.blocks[cid] } }

    /// How many blocks each call gave.
    package var puts: [Int] { state.withLock { $0.puts } }

    /// The roots that were pinned, in their order.
    package var pinned: [CID] { state.withLock { $0.pinned } }

    /// The roots that are public.
    package var published: Set<CID> { state.withLock { $0.published } }

    /// Makes a root public or private; false if it was not pinned.
    package func publish(_ root: CID, _ isPublic: Bool) -> Bool {
        state.withLock { state in
            guard state.pinned.contains(root) else { return false }
            if isPublic { state.published.insert(root) } else { state.published.remove(root) }
            return true
        }
    }

    /// All blocks.
    package var blocks: [CID: [UInt8]] { state.withLock { $0.blocks } }

    /// Notes a call.
    package func add(_ blocks: [ContentBlock]) {
        state.withLock { state in
            state.puts.append(blocks.count)
            for block in blocks { state.blocks[block.cid] = block.bytes }
        }
    }

    /// Notes a root.
    package func pin(_ root: CID) { state.withLock { $0.pinned.append(root) } }

    /// Loses a block, as a store does that evicts it.
    package func lose(_ cid: CID) { state.withLock { $0.blocks[cid] = nil } }
}
