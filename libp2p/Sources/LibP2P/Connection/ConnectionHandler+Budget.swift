import Determinism
import NIOCore
import Yamux

/// What a connection does when its streams' bytes do not fit into the budget (`ByteLedger`).
extension ConnectionHandler {
    /// Charges a stream for bytes that arrived. If they do not fit, resets streams whose data nobody takes until they
    /// do; `false` when that was this one.
    func charge(_ count: Int, received id: YamuxStreamID) -> Bool {
        guard let charge = slots[id]?.charge else { return false }
        while !charge.received(count) {
            let victim = streamThatHoldsMost(ofStalledAlone: false) ?? id
            resetOverBudget(victim)
            if victim == id { return false }
        }
        return true
    }

    /// A writer waits because its bytes cannot be charged.
    func streamIsShort(_ id: YamuxStreamID) {
        guard !isGone, slots[id] != nil else { return }
        shortStreams.insert(id)
        guard roomWantedAt == nil else { return }
        wantRoom(now: SwarmClock.now)
    }

    private func wantRoom(now: MonotonicInstant) {
        let at = now.advanced(milliseconds: shared.limits.roomRetryMilliseconds)
        roomWantedAt = at
        arm(at)
    }

    /// Admits writers that waited for room. While there is none, resets streams whose data nobody has taken for some
    /// time.
    func makeRoomForWriters(now: MonotonicInstant) {
        guard let roomWantedAt, roomWantedAt <= now else { return }
        self.roomWantedAt = nil
        while !admitShortWriters() {
            guard let victim = streamThatHoldsMost(ofStalledAlone: true) else { return wantRoom(now: now) }
            resetOverBudget(victim)
        }
        forgetFinishedStreams()
    }

    /// Whether no writer waits for room.
    private func admitShortWriters() -> Bool {
        for id in shortStreams.sorted() where slots[id]?.channel.outbox.admitWriters() != true {
            shortStreams.remove(id)
        }
        return shortStreams.isEmpty
    }

    /// Gives up streams whose data nobody takes while the connection is charged for more than this many bytes.
    func giveUp(above bytes: Int) {
        guard !isGone else { return }
        while let held = connectionCharge?.bytes, held > bytes, let victim = streamThatHoldsMost(ofStalledAlone: true) {
            resetOverBudget(victim)
        }
        forgetFinishedStreams()
        pump()
    }

    private func resetOverBudget(_ id: YamuxStreamID) {
        shared.count(.streamsOverBudget)
        session?.reset(id)
        streamFailed(id, .limitReached("heldBytesPerConnectionMax"))
    }

    /// The stream that holds most untaken bytes. Streams of which nobody took any for some time go first; on request,
    /// only those count.
    private func streamThatHoldsMost(ofStalledAlone: Bool) -> YamuxStreamID? {
        let stalledBefore = SwarmClock.now.advanced(milliseconds: -shared.limits.stalledStreamMilliseconds)
        var most: (id: YamuxStreamID, isStalled: Bool, bytes: Int)?
        for (id, slot) in slots {
            let held = slot.charge.held
            let isStalled = held.since < stalledBefore
            guard held.bytes > 0, isStalled || !ofStalledAlone else { continue }
            let isMore = most.map { known in
                isStalled != known.isStalled ? isStalled : (held.bytes, known.id) > (known.bytes, id)
            }
            if isMore ?? true { most = (id, isStalled, held.bytes) }
        }
        return most?.id
    }

    /// What the connection is charged for, and what its streams and its socket are charged for; for tests of the books.
    var charges: (connection: Int, streams: Int, socket: Int) {
        (connectionCharge?.bytes ?? 0, slots.values.reduce(0) { $0 + $1.charge.bytes }, socketBytes)
    }
}
