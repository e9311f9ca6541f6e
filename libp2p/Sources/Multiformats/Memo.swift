import Synchronization

/// Remembers what a pure function gave, so that what comes again and again is not computed again.
///
/// Nobody can tell it from the function, except by the time. When it is full it forgets everything: strangers who fill
/// it make it no slower than the function is.
package final class Memo<Key: Hashable & Sendable, Value: Sendable>: Sendable {
    private let entriesMax: Int
    private let entries = Mutex<[Key: Value]>([:])

    /// An empty memo for at most so many entries.
    package init(entriesMax: Int) {
        self.entriesMax = entriesMax
    }

    /// How many it remembers.
    package var count: Int { entries.withLock { $0.count } }

    /// What was kept for a key.
    package func value(of key: Key) -> Value? { entries.withLock { $0[key] } }

    /// Keeps a value.
    package func keep(_ value: Value, of key: Key) {
        entries.withLock { entries in
            if entries.count >= entriesMax, entries[key] == nil { entries.removeAll() }
            entries[key] = value
        }
    }
}
