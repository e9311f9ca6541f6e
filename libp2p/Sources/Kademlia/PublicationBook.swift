import Determinism
import OrderedCollections

/// What this node repeats in time: its values and the blocks that it provides. Each kind has its own bounds, so that a
/// node that puts many values goes on announcing its blocks.
///
/// At a bound it forgets the oldest announcement of the same kind; what others hold of it expires.
struct PublicationBook: Sendable {
    private struct Publication: Sendable {
        let operation: KademliaOperation
        let dueAt: MonotonicInstant
    }

    private let valuesMax: Int
    private let valueBytesMax: Int
    private let providersMax: Int
    /// In the order they fall due.
    private var values: OrderedDictionary<[UInt8], Publication> = [:]
    private var providers: OrderedDictionary<[UInt8], Publication> = [:]
    private var valueBytes = 0
    /// Publications that reached nobody, in the order they are tried again.
    private var retries: OrderedDictionary<[UInt8], MonotonicInstant> = [:]

    init(configuration: KademliaConfiguration) {
        valuesMax = configuration.publishedValuesMax
        valueBytesMax = configuration.publishedValueBytesMax
        providersMax = configuration.publishedProvidersMax
    }

    /// The number of announcements.
    var count: Int { values.count + providers.count }

    /// The value that is announced under a key.
    func value(under key: [UInt8]) -> [UInt8]? {
        if case .putValue(_, let value) = values[key]?.operation { value } else { nil }
    }

    /// Whether this node announces a multihash as provided.
    func isProvided(_ multihash: [UInt8]) -> Bool { providers[multihash] != nil }

    /// Whether exactly this announcement is kept.
    func contains(_ operation: KademliaOperation) -> Bool {
        values[operation.key]?.operation == operation || providers[operation.key]?.operation == operation
    }

    /// When the next announcement falls due, or is tried again.
    var nextDeadline: MonotonicInstant? {
        [values.values.first?.dueAt, providers.values.first?.dueAt, retries.values.first].compactMap(\.self).min()
    }

    /// The announcement to make again now.
    func due(now: MonotonicInstant) -> KademliaOperation? {
        if let key = retries.keys.first, let at = retries.values.first, at <= now {
            return (values[key] ?? providers[key])?.operation
        }
        let first = [values.values.first, providers.values.first].compactMap(\.self).min { $0.dueAt < $1.dueAt }
        return first.flatMap { $0.dueAt <= now ? $0.operation : nil }
    }

    /// Keeps an announcement, the newest of its kind; returns how many older ones it displaced. Ignores operations that
    /// announce nothing.
    mutating func add(_ operation: KademliaOperation, dueAt: MonotonicInstant) -> Int {
        remove(operation.key)
        let publication = Publication(operation: operation, dueAt: dueAt)
        var dropped = 0
        switch operation {
        case .putValue(let key, let value):
            guard value.count <= valueBytesMax, valuesMax > 0 else { return 1 }
            values[key] = publication
            valueBytes += value.count
            while values.count > valuesMax || valueBytes > valueBytesMax, let oldest = values.keys.first {
                remove(oldest)
                dropped += 1
            }
        case .provide(let multihash):
            providers[multihash] = publication
            while providers.count > providersMax, let oldest = providers.keys.first {
                remove(oldest)
                dropped += 1
            }
        case .findPeer, .findClosest, .getValue, .findProviders: break
        }
        return dropped
    }

    /// Tries an announcement again at a time, before it falls due.
    mutating func retry(_ key: [UInt8], at time: MonotonicInstant) {
        retries.removeValue(forKey: key)
        if values[key] != nil || providers[key] != nil { retries[key] = time }
    }

    mutating func remove(_ key: [UInt8]) {
        if let gone = values.removeValue(forKey: key), case .putValue(_, let value) = gone.operation {
            valueBytes -= value.count
        }
        providers.removeValue(forKey: key)
        retries.removeValue(forKey: key)
    }

    func checkInvariants() {
        precondition(values.count <= valuesMax, "\(values.count) published values of \(valuesMax)")
        precondition(valueBytes <= valueBytesMax, "\(valueBytes) bytes of published values of \(valueBytesMax)")
        precondition(providers.count <= providersMax, "\(providers.count) provided keys of \(providersMax)")
        let bytes = values.keys.reduce(0) { $0 + (value(under: $1)?.count ?? 0) }
        precondition(bytes == valueBytes, "published bytes are miscounted")
        for key in retries.keys { precondition(values[key] != nil || providers[key] != nil, "a retry of nothing") }
    }
}
