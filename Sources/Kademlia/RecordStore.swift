import Determinism
import Multiformats
import OrderedCollections

/// The records this node keeps for the DHT: bounded, each valid when it came in, forgotten after its time.
public struct RecordStore: Sendable {
    /// Bounds of the store.
    public struct Limits: Sendable, Hashable {
        /// Records kept.
        public var recordsMax = 1_024
        /// Bytes of all values together.
        public var bytesTotalMax = 32 * 1024 * 1024
        /// How long a record is kept after it was last put.
        public var lifetimeMilliseconds: Int64 = 48 * 3_600_000

        /// The defaults.
        public init() {}
    }

    private struct Entry: Sendable {
        let value: [UInt8]
        let holder: PeerID
        let region: Int
        let expiresAt: MonotonicInstant
    }

    /// The bounds in force.
    public let limits: Limits
    private let localKey: KademliaKey
    private var entries: OrderedDictionary<[UInt8], Entry> = [:]
    private var shares = ShareBook<[UInt8], PeerID>()
    /// Bytes of all values.
    public private(set) var bytesTotal = 0

    /// An empty store of the node with the given key.
    public init(localKey: KademliaKey, limits: Limits = Limits()) {
        self.localKey = localKey
        self.limits = limits
    }

    /// The number of records.
    public var count: Int { entries.count }

    /// The value under a key, unless its time is over.
    public func value(for key: [UInt8], now: MonotonicInstant) -> [UInt8]? {
        guard let entry = entries[key], entry.expiresAt > now else { return nil }
        return entry.value
    }

    /// Keeps a record that its validator accepted; `holder` is the peer that put it. Returns false when there is no
    /// room for it.
    public mutating func put(_ record: KademliaRecord, holder: PeerID, now: MonotonicInstant) -> Bool {
        let region = localKey.commonPrefixLength(with: KademliaKey(hashing: record.key))
        guard record.value.count <= limits.bytesTotalMax else { return false }
        let replaced = remove(record.key)
        while entries.count >= limits.recordsMax || bytesTotal > limits.bytesTotalMax - record.value.count {
            guard let victim = shares.victim(for: holder, region: region) else {
                if let replaced { insert(record.key, replaced) }
                return false
            }
            remove(victim)
        }
        let expiresAt = now.advanced(milliseconds: limits.lifetimeMilliseconds)
        insert(record.key, Entry(value: record.value, holder: holder, region: region, expiresAt: expiresAt))
        return true
    }

    /// Forgets the records whose time is over.
    public mutating func expire(now: MonotonicInstant) {
        for (key, entry) in entries where entry.expiresAt <= now { remove(key) }
    }

    /// Stops with a message when the store contradicts itself.
    public func checkInvariants() {
        precondition(entries.count <= limits.recordsMax, "\(entries.count) records")
        precondition(bytesTotal <= limits.bytesTotalMax, "\(bytesTotal) bytes of records")
        precondition(bytesTotal == entries.values.reduce(0) { $0 + $1.value.count }, "bytes are miscounted")
        precondition(shares.count == entries.count, "shares count \(shares.count), store \(entries.count)")
    }

    private mutating func insert(_ key: [UInt8], _ entry: Entry) {
        entries[key] = entry
        bytesTotal += entry.value.count
        shares.add(key, holder: entry.holder, region: entry.region)
    }

    @discardableResult
    private mutating func remove(_ key: [UInt8]) -> Entry? {
        guard let entry = entries.removeValue(forKey: key) else { return nil }
        bytesTotal -= entry.value.count
        shares.remove(key, holder: entry.holder, region: entry.region)
        return entry
    }
}
