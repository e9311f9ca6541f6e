public import Determinism
import Multiformats
import OrderedCollections

/// Who provides which block, as providers say themselves: bounded in all, per key and per address group.
///
/// A full key gives up the provider farthest from it (exclusive or) of the address group with the largest share, which
/// may be the newcomer; a full store gives up an entry by the rule of `ShareBook`. Expiry alone never decides: it is
/// clamped on arrival, so "soonest to expire" would always be the honest first-comer.
public struct ProviderStore: Sendable {
    /// Bounds of the store.
    public struct Limits: Sendable, Hashable {
        /// Provider records in all.
        public var recordsMax = 8_192
        /// Providers of one key.
        public var providersPerKeyMax = 20
        /// Bytes of a key: a multihash has fewer.
        package var keyBytesMax = 80
        /// Addresses kept per provider.
        public var addressesPerPeerMax = 16
        /// How long a record is kept after it was last announced; 24 to 48 hours.
        public var lifetimeMilliseconds: Int64 = 48 * 3_600_000

        /// The defaults.
        public init() {}
    }

    /// Whom a record counts for: an address group, or the peer itself where it has none (loopback).
    enum Holder: Hashable, Sendable {
        case group(AddressGroup)
        case peer(PeerID)
    }

    private struct RecordID: Hashable, Sendable {
        let key: [UInt8]
        let peer: PeerID
    }

    private struct Entry: Sendable {
        let info: PeerInfo
        let holder: Holder
        let region: Int
        let distance: KademliaKey
        let expiresAt: MonotonicInstant
    }

    /// The bounds in force.
    public let limits: Limits
    private let localKey: KademliaKey
    private var providers: OrderedDictionary<[UInt8], OrderedDictionary<PeerID, Entry>> = [:]
    private var shares = ShareBook<RecordID, Holder>()

    /// An empty store of the node with the given key.
    public init(localKey: KademliaKey, limits: Limits = Limits()) {
        self.localKey = localKey
        self.limits = limits
    }

    /// The number of provider records.
    public var count: Int { shares.count }

    /// The providers of a key that have not expired, in the order of their announcements.
    public func providers(of key: [UInt8], now: MonotonicInstant) -> [PeerInfo] {
        guard let entries = providers[key] else { return [] }
        return entries.values.compactMap { $0.expiresAt > now ? $0.info : nil }
    }

    /// Notes that a peer provides a key. Returns how many others it displaced, or `nil` if there was no room.
    public mutating func add(_ provider: PeerInfo, key: [UInt8], now: MonotonicInstant) -> Int? {
        let point = KademliaKey(hashing: key)
        let region = localKey.commonPrefixLength(with: point)
        let addresses = Array(provider.addresses.prefix(limits.addressesPerPeerMax))
        let holder = AddressGroup.groups(of: addresses).first.map(Holder.group) ?? .peer(provider.peerID)
        let entry = Entry(
            info: PeerInfo(peerID: provider.peerID, addresses: addresses), holder: holder, region: region,
            distance: KademliaKey(of: provider.peerID).distance(to: point),
            expiresAt: now.advanced(milliseconds: limits.lifetimeMilliseconds))
        let id = RecordID(key: key, peer: provider.peerID)
        if let known = providers[key]?[provider.peerID] {
            shares.remove(id, holder: known.holder, region: region)
            providers[key]?[provider.peerID] = entry
            shares.add(id, holder: holder, region: region)
            return 0
        }
        // One place is enough, and the displaced provider of a full key has made it.
        var victim: RecordID?
        if let entries = providers[key], entries.count >= limits.providersPerKeyMax {
            guard let peer = self.victim(among: entries, for: entry) else { return nil }
            victim = RecordID(key: key, peer: peer)
        } else if shares.count >= limits.recordsMax {
            guard let other = shares.victim(for: holder, region: region) else { return nil }
            victim = other
        }
        if let victim { remove(victim) }
        providers[key, default: [:]][provider.peerID] = entry
        shares.add(id, holder: holder, region: region)
        return victim == nil ? 0 : 1
    }

    /// Drops expired records.
    public mutating func expire(now: MonotonicInstant) {
        for (key, entries) in providers {
            for (peer, entry) in entries where entry.expiresAt <= now { remove(RecordID(key: key, peer: peer)) }
        }
    }

    /// Stops the process if the store contradicts itself.
    public func checkInvariants() {
        precondition(shares.count <= limits.recordsMax, "\(shares.count) provider records")
        precondition(shares.count == providers.values.reduce(0) { $0 + $1.count }, "records are miscounted")
        for entries in providers.values {
            precondition(!entries.isEmpty && entries.count <= limits.providersPerKeyMax, "\(entries.count) per key")
        }
    }

    private mutating func remove(_ id: RecordID) {
        guard let entry = providers[id.key]?.removeValue(forKey: id.peer) else { return }
        if providers[id.key]?.isEmpty == true { providers.removeValue(forKey: id.key) }
        shares.remove(id, holder: entry.holder, region: entry.region)
    }

    /// The provider of a full key that makes room for a newcomer; `nil` if the newcomer is to be refused.
    private func victim(among entries: OrderedDictionary<PeerID, Entry>, for newcomer: Entry) -> PeerID? {
        var shareCounts: [Holder: Int] = [newcomer.holder: 1]
        for entry in entries.values { shareCounts[entry.holder, default: 0] += 1 }
        let largest = shareCounts.values.max() ?? 1
        var worst = shareCounts[newcomer.holder] == largest ? newcomer : nil
        for entry in entries.values where shareCounts[entry.holder] == largest {
            if worst.map({ $0.distance < entry.distance }) ?? true { worst = entry }
        }
        return worst.flatMap { $0.info.peerID == newcomer.info.peerID ? nil : $0.info.peerID }
    }
}
