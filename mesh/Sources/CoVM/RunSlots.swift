import NIOConcurrencyHelpers

/// A bounded number of slots with a bounded queue, first come, first served; but whoever had a slot and parked comes
/// before those who never had one.
final class RunSlots: Sendable {
    enum Admission {
        case admitted
        case queueFull
        case cancelled
    }

    /// What a run counts as while it is parked.
    struct Parking: Sendable {
        /// Whose job it is.
        var owner: String
        /// Bytes of memory and files that it keeps.
        var bytes: UInt64
    }

    /// How much may be parked; one owner has half of it.
    struct ParkingLimits: Sendable {
        var runsMax = 0
        var bytesMax: UInt64 = 0
    }

    private struct Waiter {
        var key: Int
        var parking: Parking?
        var wake: @Sendable (Admission) -> Void
    }

    private struct State {
        var used = 0
        var slotsMax: Int
        var parked = 0
        var parkedBytes: UInt64 = 0
        var owners: [String: (runs: Int, bytes: UInt64)] = [:]
        var nextKey = 0
        /// Those who parked and want a slot again.
        var returning: [Waiter] = []
        var waiters: [Waiter] = []

        init(slotsMax: Int) { self.slotsMax = slotsMax }

        mutating func takeKey() -> Int {
            nextKey += 1
            return nextKey
        }

        /// Frees a slot or gives it to the next; returns whom to wake.
        mutating func free() -> Waiter? {
            used -= 1
            return next()
        }

        /// Gives a free slot to whoever waits longest; returns whom to wake.
        mutating func next() -> Waiter? {
            guard used < slotsMax else { return nil }
            if !returning.isEmpty {
                let next = returning.removeFirst()
                if let parking = next.parking { unpark(parking) }
                used += 1
                return next
            }
            if !waiters.isEmpty {
                used += 1
                return waiters.removeFirst()
            }
            return nil
        }

        /// `false` when all that may be parked is, or the owner's half.
        mutating func park(_ parking: Parking, _ limits: ParkingLimits) -> Bool {
            let own = owners[parking.owner] ?? (0, 0)
            let (bytes, isOver) = parkedBytes.addingReportingOverflow(parking.bytes)
            guard !isOver, parked < limits.runsMax, bytes <= limits.bytesMax, own.runs < max(1, limits.runsMax / 2),
                own.bytes + parking.bytes <= limits.bytesMax / 2
            else { return false }
            parked += 1
            parkedBytes = bytes
            owners[parking.owner] = (own.runs + 1, own.bytes + parking.bytes)
            return true
        }

        mutating func unpark(_ parking: Parking) {
            parked -= 1
            parkedBytes -= parking.bytes
            guard let own = owners[parking.owner] else { return }
            owners[parking.owner] = own.runs > 1 ? (own.runs - 1, own.bytes - parking.bytes) : nil
        }
    }

    private let waitersMax: Int
    private let parkingLimits: ParkingLimits
    private let state: NIOLockedValueBox<State>

    init(slotsMax: Int, waitersMax: Int, parking: ParkingLimits = ParkingLimits()) {
        state = NIOLockedValueBox(State(slotsMax: max(1, slotsMax)))
        self.waitersMax = max(0, waitersMax)
        parkingLimits = parking
    }

    /// Waits for a slot. Only after `.admitted` must ``leave()`` be called.
    func enter(_ cancellation: ExecutionCancellation) async -> Admission {
        let key = state.withLockedValue { $0.takeKey() }
        var handler = 0
        let admission: Admission = await withCheckedContinuation { continuation in
            let immediate: Admission? = state.withLockedValue { state in
                if state.used < state.slotsMax {
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

    /// Changes the number of slots. With fewer, those that are taken stay so until their runs end or park.
    func resize(slotsMax: Int) {
        let woken = state.withLockedValue { state in
            state.slotsMax = max(1, slotsMax)
            var woken: [Waiter] = []
            while let next = state.next() { woken.append(next) }
            return woken
        }
        for waiter in woken { waiter.wake(.admitted) }
    }

    /// Gives the slot to the first in the queue.
    func leave() {
        state.withLockedValue { $0.free() }?.wake(.admitted)
    }

    // MARK: Parking

    /// Gives the slot to the first in the queue, to take one again later; `false` if too much has parked.
    func park(_ parking: Parking) -> Bool {
        let (isParked, next) = state.withLockedValue { state -> (Bool, Waiter?) in
            guard state.park(parking, parkingLimits) else { return (false, nil) }
            return (true, state.free())
        }
        next?.wake(.admitted)
        return isParked
    }

    /// Takes a slot again on a thread that may block; `false` when it was cancelled, and then it is still parked.
    func comeBack(_ parking: Parking, _ cancellation: ExecutionCancellation) -> Bool {
        let signal = ThreadSignal<Admission>()
        let key = state.withLockedValue { state -> Int? in
            if state.used < state.slotsMax {
                state.used += 1
                state.unpark(parking)
                return nil
            }
            let key = state.takeKey()
            state.returning.append(Waiter(key: key, parking: parking) { signal.send($0) })
            return key
        }
        guard let key else { return true }
        let handler = cancellation.onCancel { self.cancel(key) }
        defer { cancellation.removeHandler(handler) }
        return signal.wait() == .admitted
    }

    /// Ends parking without a slot.
    func leaveParked(_ parking: Parking) {
        state.withLockedValue { $0.unpark(parking) }
    }

    /// Slots in use and waiters, for tests and for the node's load factor.
    var load: (used: Int, waiting: Int, parked: Int) {
        state.withLockedValue { ($0.used, $0.waiters.count, $0.parked) }
    }
}

/// The slot of one run, which it may park.
final class RunPlace: Sendable {
    private let slots: RunSlots
    private let owner: String
    private let parking = NIOLockedValueBox<RunSlots.Parking?>(nil)

    /// A place in one of the slots, which is taken, for a job of this owner.
    init(in slots: RunSlots, of owner: String) {
        self.slots = slots
        self.owner = owner
    }

    /// Gives the slot away for a while, but keeps so many bytes; `false` if too much has parked, and then the slot is
    /// still the run's.
    func park(holding bytes: UInt64) -> Bool {
        let parked = RunSlots.Parking(owner: owner, bytes: bytes)
        guard slots.park(parked) else { return false }
        parking.withLockedValue { $0 = parked }
        return true
    }

    /// Takes a slot again, if it was parked; `false` when it was cancelled meanwhile.
    func comeBack(_ cancellation: ExecutionCancellation) -> Bool {
        guard let parked = parking.withLockedValue({ $0 }) else { return true }
        guard slots.comeBack(parked, cancellation) else { return false }
        parking.withLockedValue { $0 = nil }
        return true
    }

    /// The run has ended.
    func leave() {
        if let parked = parking.withLockedValue({ $0 }) { slots.leaveParked(parked) } else { slots.leave() }
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
