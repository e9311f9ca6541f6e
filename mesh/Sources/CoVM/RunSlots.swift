import NIOConcurrencyHelpers

/// A bounded number of slots with a bounded queue, first come, first served; but whoever had a slot and parked comes
/// before those who never had one.
final class RunSlots: Sendable {
    enum Admission {
        case admitted
        case queueFull
        case cancelled
    }

    private struct Waiter {
        var key: Int
        var wake: @Sendable (Admission) -> Void
    }

    private struct State {
        var used = 0
        var parked = 0
        var nextKey = 0
        /// Those who parked and want a slot again.
        var returning: [Waiter] = []
        var waiters: [Waiter] = []

        mutating func takeKey() -> Int {
            nextKey += 1
            return nextKey
        }

        /// Frees a slot or gives it to the next; returns whom to wake.
        mutating func free() -> Waiter? {
            if !returning.isEmpty {
                parked -= 1
                return returning.removeFirst()
            }
            if !waiters.isEmpty { return waiters.removeFirst() }
            used -= 1
            return nil
        }
    }

    private let slotsMax: Int
    private let waitersMax: Int
    private let parkedMax: Int
    private let state = NIOLockedValueBox(State())

    init(slotsMax: Int, waitersMax: Int, parkedMax: Int = 0) {
        self.slotsMax = max(1, slotsMax)
        self.waitersMax = max(0, waitersMax)
        self.parkedMax = max(0, parkedMax)
    }

    /// Waits for a slot. Only after `.admitted` must ``leave()`` be called.
    func enter(_ cancellation: ExecutionCancellation) async -> Admission {
        let key = state.withLockedValue { $0.takeKey() }
        var handler = 0
        let admission: Admission = await withCheckedContinuation { continuation in
            let immediate: Admission? = state.withLockedValue { state in
                if state.used < slotsMax {
                    state.used += 1
                    return .admitted
                }
                guard state.waiters.count < waitersMax else { return .queueFull }
                state.waiters.append(Waiter(key: key) { continuation.resume(returning: $0) })
                return nil
            }
            if let immediate { return continuation.resume(returning: immediate) }
            handler = cancellation.onCancel { self.cancel(key) }
        }
        cancellation.removeHandler(handler)
        return admission
    }

    private func cancel(_ key: Int) {
        let waiter = state.withLockedValue { state -> Waiter? in
            if let index = state.returning.firstIndex(where: { $0.key == key }) {
                return state.returning.remove(at: index)
            }
            return state.waiters.firstIndex { $0.key == key }.map { state.waiters.remove(at: $0) }
        }
        waiter?.wake(.cancelled)
    }

    /// Gives the slot to the first in the queue.
    func leave() {
        state.withLockedValue { $0.free() }?.wake(.admitted)
    }

    // MARK: Parking

    /// Gives the slot to the first in the queue, to take one again later; `false` if too many have parked.
    func park() -> Bool {
        let (isParked, next) = state.withLockedValue { state -> (Bool, Waiter?) in
            guard state.parked < parkedMax else { return (false, nil) }
            state.parked += 1
            return (true, state.free())
        }
        next?.wake(.admitted)
        return isParked
    }

    /// Takes a slot again on a thread that may block; `false` when it was cancelled, and then it is still parked.
    func comeBack(_ cancellation: ExecutionCancellation) -> Bool {
        let signal = ThreadSignal<Admission>()
        let key = state.withLockedValue { state -> Int? in
            if state.used < slotsMax {
                state.used += 1
                state.parked -= 1
                return nil
            }
            let key = state.takeKey()
            state.returning.append(Waiter(key: key) { signal.send($0) })
            return key
        }
        guard let key else { return true }
        let handler = cancellation.onCancel { self.cancel(key) }
        defer { cancellation.removeHandler(handler) }
        return signal.wait() == .admitted
    }

    /// Ends parking without a slot.
    func leaveParked() {
        state.withLockedValue { $0.parked -= 1 }
    }

    /// Slots in use and waiters, for tests and for the node's load factor.
    var load: (used: Int, waiting: Int, parked: Int) {
        state.withLockedValue { ($0.used, $0.waiters.count, $0.parked) }
    }
}

/// The slot of one run, which it may park.
final class RunPlace: Sendable {
    private let slots: RunSlots
    private let isParked = NIOLockedValueBox(false)

    /// A place in one of the slots, which is taken.
    init(in slots: RunSlots) { self.slots = slots }

    /// Gives the slot away for a while; `false` if too many have parked.
    func park() -> Bool {
        guard slots.park() else { return false }
        isParked.withLockedValue { $0 = true }
        return true
    }

    /// Takes a slot again, if it was parked; `false` when it was cancelled meanwhile.
    func comeBack(_ cancellation: ExecutionCancellation) -> Bool {
        guard isParked.withLockedValue({ $0 }) else { return true }
        guard slots.comeBack(cancellation) else { return false }
        isParked.withLockedValue { $0 = false }
        return true
    }

    /// The run has ended.
    func leave() {
        if isParked.withLockedValue({ $0 }) { slots.leaveParked() } else { slots.leave() }
    }
}

/// Something that one thread waits for; the first that is sent counts.
final class ThreadSignal<Value: Sendable>: Sendable {
    private let value = NIOLockedValueBox<Value?>(nil)
    private let lock = ConditionLock(value: false)

    func send(_ new: Value) {
        let isFirst = value.withLockedValue { value in
            guard value == nil else { return false }
            value = new
            return true
        }
        guard isFirst else { return }
        lock.lock()
        lock.unlock(withValue: true)
    }

    /// Blocks the thread until something is sent.
    func wait() -> Value? {
        lock.lock(whenValue: true)
        lock.unlock()
        return value.withLockedValue { $0 }
    }

    /// Blocks the thread until something is sent or the time is over; then `nil`.
    func wait(milliseconds: UInt64) -> Value? {
        guard lock.lock(whenValue: true, timeoutSeconds: Double(milliseconds) / 1_000) else { return nil }
        lock.unlock()
        return value.withLockedValue { $0 }
    }
}
