import Multiformats
import Synchronization

/// The blocks read since the last transaction: eviction begins with the least recently used.
///
/// It notes a block at most once in `useMilliseconds`, so a frequently read block costs next to nothing.
final class BlockUseLog: Sendable {
    private struct State {
        var notedAt: [CID: UInt64] = [:]
        var pending: [CID] = []
    }

    private let limits: StoreLimits
    private let clock: @Sendable () -> UInt64
    private let state = Mutex(State())

    init(limits: StoreLimits, clock: @escaping @Sendable () -> UInt64) {
        self.limits = limits
        self.clock = clock
    }

    /// Notes that a block was read; ignores evidence, which is evicted by its job's age.
    func wasRead(_ cid: CID) {
        guard cid.codec != .dagCBOR else { return }
        let now = clock()
        state.withLock { state in
            if let notedAt = state.notedAt[cid], now < notedAt + limits.useMilliseconds { return }
            guard state.pending.count < limits.notedUsesMax else { return }
            if state.notedAt.count >= limits.notedUsesMax { state.notedAt.removeAll() }
            state.notedAt[cid] = now
            state.pending.append(cid)
        }
    }

    /// What the next transaction has to write.
    var pending: [CID] { state.withLock { $0.pending } }

    /// Forgets what was written.
    func written(_ cids: [CID]) {
        state.withLock { $0.pending.removeFirst(min(cids.count, $0.pending.count)) }
    }
}
