public import Multiformats
import Synchronization

/// Who is asked for the blocks of one file or folder, so that all who have it give at the same time.
///
/// Each block is asked of one peer first: the one of whom the fewest are awaited, so that a peer gets as much to do as
/// it gives. The others follow, as `BitswapService` asks them when the first lacks the block or stays silent. A peer
/// that let others give what it was asked for counts as if more were awaited of it, twice as many each time in a row.
public final class BlockSources: Sendable {
    /// The bounds of one file or folder.
    public struct Limits: Sendable, Hashable {
        /// Peers that are remembered; further ones are not.
        public var peersMax = 32
        /// Faults of a peer in a row that count: with this many it comes after all that have fewer.
        public var faultsMax = 8

        /// The defaults.
        public init() {}
    }

    private struct Source {
        let peer: PeerID
        var awaited = 0
        var faults = 0

        /// How many blocks it counts as having to give before another.
        var load: Int { awaited + (1 << faults) - 1 }
    }

    private let limits: Limits
    private let sources: Mutex<[Source]>

    /// The peers that may have the blocks, the likeliest first.
    public init(_ peers: [PeerID] = [], limits: Limits = Limits()) {
        self.limits = limits
        sources = Mutex([])
        add(peers)
    }

    /// Peers that may have the blocks too; those that are known already stay as they are.
    public func add(_ peers: [PeerID]) {
        sources.withLock { sources in
            for peer in peers where !sources.contains(where: { $0.peer == peer }) {
                guard sources.count < limits.peersMax else { return }
                sources.append(Source(peer: peer))
            }
        }
    }

    /// All of them, in the order in which they came.
    public var peers: [PeerID] { sources.withLock { $0.map(\.peer) } }

    /// Whom to ask for a block, the first of them at once. Say with `ended` what came of it.
    public func takeTurn() -> [PeerID] {
        sources.withLock { sources in
            // Of equals the earlier one: the sort is stable.
            let order = sources.indices.sorted { (sources[$0].load, $0) < (sources[$1].load, $1) }
            if let first = order.first { sources[first].awaited += 1 }
            return order.map { sources[$0].peer }
        }
    }

    /// Notes what came of a turn.
    /// - Parameters:
    ///   - turn: What `takeTurn` gave.
    ///   - giver: Who gave the block; nil if nobody had to, since it was here.
    public func ended(_ turn: [PeerID], givenBy giver: PeerID?) {
        end(turn) { source in
            guard let giver else { return }
            source.faults = giver == source.peer ? max(0, source.faults - 1) : min(limits.faultsMax, source.faults + 1)
        }
        if let giver { add([giver]) }
    }

    /// Notes that nobody gave the block.
    public func failed(_ turn: [PeerID]) {
        end(turn) { $0.faults = min(limits.faultsMax, $0.faults + 1) }
    }

    private func end(_ turn: [PeerID], _ note: (inout Source) -> Void) {
        sources.withLock { sources in
            guard let index = sources.firstIndex(where: { $0.peer == turn.first }) else { return }
            sources[index].awaited -= 1
            note(&sources[index])
        }
    }
}
