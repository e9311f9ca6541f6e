import Determinism
import MeshTypes
import Multiformats

/// Direct messages that are owed to others until they answer or their time is over.
///
/// It is not journalled: what it holds follows from the jobs' states, and `recover` fills it again.
struct Outbox: Sendable {
    private struct Item: Sendable {
        let delivery: Delivery
        let giveUpAt: MonotonicInstant
        var attempts: Int64
        var isInFlight: Bool
    }

    private var items: [DeliveryID: Item] = [:]

    /// The number of messages that wait.
    var count: Int { items.count }

    func contains(_ id: DeliveryID) -> Bool { items[id] != nil }

    /// Takes a message in; `true` when it is to be sent now, `false` when it waits already.
    mutating func add(_ delivery: Delivery, giveUpAt: MonotonicInstant) -> Bool {
        guard items[delivery.id] == nil else { return false }
        items[delivery.id] = Item(delivery: delivery, giveUpAt: giveUpAt, attempts: 1, isInFlight: true)
        return true
    }

    /// The message was answered or is not owed any more; `false` when it did not wait.
    mutating func remove(_ id: DeliveryID) -> Bool {
        items.removeValue(forKey: id) != nil
    }

    /// The message was not answered: when to send it again, or `nil` when its time would be over by then.
    mutating func failed(_ id: DeliveryID, now: MonotonicInstant, limits: MarketLimits) -> MonotonicInstant? {
        guard var item = items[id], item.isInFlight else { return nil }
        let doublings = min(item.attempts - 1, 16)
        let pause = min(limits.deliveryRetryMilliseconds << doublings, limits.deliveryRetryMillisecondsMax)
        let next = now.advanced(milliseconds: pause)
        item.isInFlight = false
        item.attempts += 1
        items[id] = item
        return next < item.giveUpAt ? next : item.giveUpAt
    }

    /// The pause is over: the message to send again; one whose time is over is given up.
    mutating func due(_ id: DeliveryID, now: MonotonicInstant) -> Delivery? {
        guard var item = items[id], !item.isInFlight else { return nil }
        if now >= item.giveUpAt {
            items[id] = nil
            return nil
        }
        item.isInFlight = true
        items[id] = item
        return item.delivery
    }
}
