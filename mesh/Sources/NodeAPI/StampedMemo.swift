import Synchronization

/// What took work to make, each with what it was made from: it is given again as long as that is the same.
///
/// The stamp is the whole promise: whatever changes what would be made has to change it. What is made while the stamp
/// changes belongs to no stamp, so its maker reads the stamp before and after, and keeps nothing where they differ.
package final class StampedMemo<Key: Hashable & Sendable, Stamp: Equatable & Sendable, Value: Sendable>: Sendable {
    /// Every bound of a memo.
    package struct Limits: Hashable, Sendable {
        /// Values at once; with one more all are forgotten.
        package var countMax: Int
        /// What they may weigh together, in a unit of their maker's; with more all are forgotten.
        package var weightMax: Int

        package init(countMax: Int, weightMax: Int) {
            self.countMax = countMax
            self.weightMax = weightMax
        }
    }

    private struct Known {
        let stamp: Stamp
        let value: Value
        let weight: Int
    }

    private struct State {
        /// BOUNDED: by `Limits`.
        var known: [Key: Known] = [:]
        var weight = 0
    }

    private let limits: Limits
    private let state = Mutex(State())

    package init(_ limits: Limits) { self.limits = limits }

    /// How many values are kept now.
    package var count: Int { state.withLock(\.known.count) }

    /// What they weigh together.
    package var weight: Int { state.withLock(\.weight) }

    /// What is kept under a name, if it was made from the same.
    package func value(of key: Key, at stamp: Stamp) -> Value? {
        guard let known = state.withLock({ $0.known[key] }), known.stamp == stamp else { return nil }
        return known.value
    }

    /// Keeps what was made, in the place of what was kept under this name; what weighs too much by itself is not kept.
    package func keep(_ value: Value, of key: Key, at stamp: Stamp, weight: Int = 1) {
        state.withLock { state in
            if let former = state.known.removeValue(forKey: key) { state.weight -= former.weight }
            guard weight <= limits.weightMax else { return }
            if state.known.count >= limits.countMax || state.weight + weight > limits.weightMax {
                state.known.removeAll()
                state.weight = 0
            }
            state.known[key] = Known(stamp: stamp, value: value, weight: weight)
            state.weight += weight
        }
    }
}
