public import Determinism
public import Multiformats

/// The records that this node keeps for the DHT: bounded, each valid on arrival, dropped after its time.
///
/// A full store makes room by the rule of `ShareBook`: the holder with most gives up its oldest record. It is a window
/// over what was put last, not an archive: whoever made a record keeps it.
public struct RecordStore: Sendable {
    /// Bounds of the store.
    public struct Limits: Sendable, Hashable {
        /// Records; with values of 2 KiB they fill `bytesTotalMax`. A further one displaces another, see `ShareBook`.
        public var recordsMax = 16_384
        /// Bytes of all values together; a further value displaces as many records as it needs.
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
    /// Unordered, because removing from the middle of an order costs time; no answer depends on it.
    private var entries: [[UInt8]: Entry] = [:]
    private var shares = ShareBook<[UInt8], PeerID>()
    /// Bytes of all values.
    public var bytesTotal: Int { shares.bytes }

    /// An empty store of the node with the given key.
    public init(localKey: KademliaKey, limits: Limits = Limits()) {
        self.localKey = localKey
        self.limits = limits
    }

    /// The number of records.
    public var count: Int { entries.count }

    /// The value under a key, unless it expired.
    public func value(for key: [UInt8], now: MonotonicInstant) -> [UInt8]? {
        guard let entry = entries[key], entry.expiresAt > now else { return nil }
        return entry.value
    }

    /// Keeps a record that its validator accepted; `holder` is the peer that put it. Returns how many others it
    /// displaced, or `nil` if there was no room, and then displaces none.
    public mutating func put(_ record: KademliaRecord, holder: PeerID, now: MonotonicInstant) -> Int? {
        let region = localKey.commonPrefixLength(with: KademliaKey(hashing: record.key))
        guard record.value.count <= limits.bytesTotalMax, limits.recordsMax > 0 else { return nil }
        let expiresAt = now.advanced(milliseconds: limits.lifetimeMilliseconds)
        if let known = entries[record.key], known.holder != holder, known.value == record.value {
            // Repeating another's record prolongs it, and changes neither its holder nor its place.
            entries[record.key] = Entry(
                value: known.value, holder: known.holder, region: region, expiresAt: expiresAt)
            return 0
        }
        let replaced = remove(record.key)
        var displaced: [(key: [UInt8], entry: Entry)] = []
        while let shortage = shortage(for: record.value.count) {
            guard let victim = shares.victim(for: holder, region: region, shortage), let entry = remove(victim) else {
                for given in displaced.reversed() { insert(given.key, given.entry) }
                if let replaced { insert(record.key, replaced) }
                return nil
            }
            displaced.append((victim, entry))
        }
        insert(record.key, Entry(value: record.value, holder: holder, region: region, expiresAt: expiresAt))
        return displaced.count
    }

    /// Drops expired records.
    public mutating func expire(now: MonotonicInstant) {
        for (key, entry) in entries where entry.expiresAt <= now { remove(key) }
    }

    /// Stops the process if the store contradicts itself.
    public func checkInvariants() {
        precondition(entries.count <= limits.recordsMax, "\(entries.count) records")
        precondition(bytesTotal <= limits.bytesTotalMax, "\(bytesTotal) bytes of records")
        precondition(bytesTotal == entries.values.reduce(0) { $0 + $1.value.count }, "bytes are miscounted")
        precondition(shares.count == entries.count, "shares count \(shares.count), store \(entries.count)")
    }

    private func shortage(for byteCount: Int) -> ShareBook<[UInt8], PeerID>.Shortage? {
        if bytesTotal > limits.bytesTotalMax - byteCount { return .bytes(newcomer: byteCount) }
        return entries.count >= limits.recordsMax ? .entries : nil
    }

    private mutating func insert(_ key: [UInt8], _ entry: Entry) {
        entries[key] = entry
        shares.add(key, holder: entry.holder, region: entry.region, bytes: entry.value.count)
    }

    @discardableResult
    private mutating func remove(_ key: [UInt8]) -> Entry? {
        guard let entry = entries.removeValue(forKey: key) else { return nil }
        shares.remove(key, holder: entry.holder, region: entry.region, bytes: entry.value.count)
        return entry
    }
}
