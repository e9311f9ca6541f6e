import Determinism
import MeshTypes
import Multiformats

/// Direct messages to send until the recipients answer or their time is over.
///
/// Not journalled: its contents follow from the jobs' states, and `recover` refills it.
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

    /// Takes in a message; `true` to send it now, `false` if it already waits.
    mutating func add(_ delivery: Delivery, giveUpAt: MonotonicInstant) -> Bool {
        guard items[delivery.id] == nil else { return false }
        items[delivery.id] = Item(delivery: delivery, giveUpAt: giveUpAt, attempts: 1, isInFlight: true)
        return true
    }

    /// Removes a message that was answered or is obsolete; `false` if it did not wait.
    mutating func remove(_ id: DeliveryID) -> Bool {
        items.removeValue(forKey: id) != nil
    }

    /// Notes that a message was not answered; returns when to send it again, or `nil` if its time is over by then.
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

    /// Ends a pause; returns the message to send again, and gives up one whose time is over.
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
