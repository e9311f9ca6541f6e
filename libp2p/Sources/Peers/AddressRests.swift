package import Determinism
package import Multiformats
import OrderedCollections

/// Addresses at which a dial found nothing, and for how long each is left alone: longer after each failure, so that
/// nobody can make a node dial a third party for ever.
package struct AddressRests: Sendable {
    /// The bounds of the memory.
    package struct Limits: Sendable {
        /// Addresses remembered; one more replaces the one that failed first.
        package var addressesMax = 256
        /// How long an address rests after its first failure, in milliseconds; each further one doubles it.
        package var restMilliseconds: Int64 = 120_000
        /// How long one rests at most.
        package var restMillisecondsMax: Int64 = 3_600_000

        /// The defaults.
        package init() {}
    }

    private struct Rest: Sendable {
        var milliseconds: Int64
        var until: MonotonicInstant
    }

    private let limits: Limits
    private var rests: OrderedDictionary<Multiaddr, Rest> = [:]

    /// A memory of nothing.
    package init(limits: Limits = Limits()) {
        self.limits = limits
    }

    /// Addresses remembered; for tests.
    package var count: Int { rests.count }

    /// Whether an address is left alone.
    package func isResting(_ address: Multiaddr, now: MonotonicInstant) -> Bool {
        rests[address].map { now < $0.until } ?? false
    }

    /// Notes that a dial found nothing.
    package mutating func failed(_ address: Multiaddr, now: MonotonicInstant) {
        let last = rests[address]?.milliseconds
        let next = min(last.map { $0 * 2 } ?? limits.restMilliseconds, limits.restMillisecondsMax)
        if last == nil, rests.count >= limits.addressesMax { rests.removeFirst() }
        rests[address] = Rest(milliseconds: next, until: now.advanced(milliseconds: next))
    }

    /// Notes that a dial found what it looked for.
    package mutating func succeeded(_ address: Multiaddr) { rests[address] = nil }
}
