public import Determinism
public import Multiformats
import OrderedCollections

/// The DHT servers that this node knows, in buckets by the length of the prefix that their keys share with ours.
///
/// Bucket *i* holds peers that share exactly *i* leading bits; each holds at most `k` peers, least recently useful
/// first. A newcomer to a full bucket waits in a short replacement list and takes the place of the first member that
/// stops answering. Newcomers never displace members that answer (Maymounkov and Mazieres, section 2.2), which is what
/// makes an old table hard to take over. At most `groupPerBucketMax` members of a bucket and `groupPerTableMax` of the
/// table may share an address group, so one /24 cannot fill it.
public struct RoutingTable: Sendable {
    /// Bounds of the table.
    public struct Limits: Sendable, Hashable {
        /// Members of one bucket, the k of the specification.
        public var bucketPeersMax = 20
        /// Peers waiting for a place in one bucket.
        public var replacementsPerBucketMax = 5
        /// Members of one bucket from one address group.
        public var groupPerBucketMax = 2
        /// Members of the table from one address group.
        public var groupPerTableMax = 10
        /// Unanswered requests in a row that remove a member.
        public var failuresMax = 3
        /// Addresses kept per peer.
        public var addressesPerPeerMax = 16
        /// Former members remembered, in case no member is left.
        public var formerMembersMax = 20

        /// The defaults.
        public init() {}
    }

    /// What happened to a peer offered to the table.
    public enum Insertion: Sendable, Hashable {
        /// It is a new member.
        case added
        /// It was a member; its addresses and place are fresh now.
        case refreshed
        /// The bucket is full and the peer waits. `oldest` is the member to probe.
        case waiting(oldest: PeerInfo)
        /// Its address group has all the places it may have.
        case groupFull(AddressGroup)
        /// It is this node.
        case isLocal
    }

    private struct Member: Sendable {
        var info: PeerInfo
        var key: KademliaKey
        var groups: [AddressGroup]
        var usefulAt: MonotonicInstant
        var failures = 0
    }

    private struct Bucket: Sendable {
        var members: OrderedDictionary<PeerID, Member> = [:]
        var replacements: OrderedDictionary<PeerID, Member> = [:]
    }

    /// The bounds in force.
    public let limits: Limits
    private let localPeer: PeerID
    private let localKey: KademliaKey
    private var buckets: [Bucket] = []
    private var groupCounts: [AddressGroup: Int] = [:]
    private var former: OrderedDictionary<PeerID, PeerInfo> = [:]
    /// The number of members.
    public private(set) var count = 0

    /// An empty table of the given node.
    public init(localPeer: PeerID, limits: Limits = Limits()) {
        self.localPeer = localPeer
        self.localKey = KademliaKey(of: localPeer)
        self.limits = limits
    }

    /// Offers a peer that speaks our protocol as a server.
    public mutating func insert(_ offered: PeerInfo, now: MonotonicInstant) -> Insertion {
        guard offered.peerID != localPeer else { return .isLocal }
        var info = offered
        info.addresses = Array(offered.addresses.prefix(limits.addressesPerPeerMax))
        let key = KademliaKey(of: info.peerID)
        let index = bucketIndex(of: key)
        while buckets.count <= index { buckets.append(Bucket()) }
        if let member = buckets[index].members[info.peerID] {
            return refresh(member, with: info, in: index, now: now)
        }
        let groups = AddressGroup.groups(of: info.addresses)
        let member = Member(info: info, key: key, groups: groups, usefulAt: now)
        if let full = fullGroup(among: groups, in: index) { return .groupFull(full) }
        if buckets[index].members.count < limits.bucketPeersMax {
            add(member, to: index)
            return .added
        }
        for candidate in buckets[index].members.values where candidate.failures > 0 {
            remove(candidate, from: index)
            add(member, to: index)
            return .added
        }
        buckets[index].replacements.removeValue(forKey: info.peerID)
        if buckets[index].replacements.count >= limits.replacementsPerBucketMax {
            buckets[index].replacements.removeFirst()
        }
        buckets[index].replacements[info.peerID] = member
        guard let oldest = buckets[index].members.values.first else { return .refreshed }
        return .waiting(oldest: oldest.info)
    }

    /// Notes that a peer answered: a member moves to the young end of its bucket. Returns false for strangers.
    @discardableResult
    public mutating func answered(_ peer: PeerID, now: MonotonicInstant) -> Bool {
        guard let (index, found) = find(peer) else { return false }
        var member = found
        member.usefulAt = now
        member.failures = 0
        buckets[index].members.removeValue(forKey: peer)
        buckets[index].members[peer] = member
        return true
    }

    /// Notes that a peer did not answer; past the limit, or when another waits, it loses its place.
    public mutating func failed(_ peer: PeerID, now: MonotonicInstant) {
        guard let (index, found) = find(peer) else {
            removeReplacement(peer)
            return
        }
        var member = found
        member.failures += 1
        buckets[index].members[peer] = member
        if member.failures >= limits.failuresMax || !buckets[index].replacements.isEmpty {
            remove(member, from: index)
            remember(member.info)
            promote(in: index, now: now)
        }
    }

    /// The members that stopped answering last: where to begin again when a node was cut off until none was left.
    public var formerMembers: [PeerInfo] { Array(former.values) }

    /// Removes a peer, for instance because it no longer speaks our protocol.
    public mutating func remove(_ peer: PeerID, now: MonotonicInstant) {
        removeReplacement(peer)
        former.removeValue(forKey: peer)
        guard let (index, member) = find(peer) else { return }
        remove(member, from: index)
        promote(in: index, now: now)
    }

    /// The member with this ID.
    public func member(_ peer: PeerID) -> PeerInfo? {
        find(peer)?.member.info
    }

    /// The members closest to a key, nearest first, without `excluded`.
    public func closest(to key: KademliaKey, count wanted: Int, excluding excluded: PeerID? = nil) -> [PeerInfo] {
        var found: [PeerInfo] = []
        let shared = localKey.commonPrefixLength(with: key)
        // Peers of the key's own bucket share one bit more with the key than those of longer prefixes, and those share
        // more than peers of shorter prefixes; so three sorted runs give the order without sorting the whole table.
        if shared < buckets.count { append(shared...shared, to: &found, key, wanted, excluded) }
        if found.count < wanted, shared + 1 < buckets.count {
            append((shared + 1)...(buckets.count - 1), to: &found, key, wanted, excluded)
        }
        var index = min(shared, buckets.count) - 1
        while found.count < wanted, index >= 0 {
            append(index...index, to: &found, key, wanted, excluded)
            index -= 1
        }
        return found
    }

    /// All members, by bucket and from the least to the most recently useful.
    public var members: [PeerInfo] {
        buckets.flatMap { $0.members.values.map(\.info) }
    }

    /// The number of members per bucket.
    public var bucketCounts: [Int] {
        buckets.map(\.members.count)
    }

    /// Stops the process if the table contradicts itself; tests and the simulator call it after every input.
    public func checkInvariants() {
        var total = 0
        var groups: [AddressGroup: Int] = [:]
        for (index, bucket) in buckets.enumerated() {
            precondition(bucket.members.count <= limits.bucketPeersMax, "bucket \(index) is over its limit")
            precondition(
                bucket.replacements.count <= limits.replacementsPerBucketMax, "replacements of \(index) over limit")
            total += bucket.members.count
            var bucketGroups: [AddressGroup: Int] = [:]
            for (peer, member) in bucket.members {
                precondition(peer == member.info.peerID && peer != localPeer, "member filed under another ID")
                precondition(bucketIndex(of: member.key) == index, "member in the wrong bucket")
                precondition(bucket.replacements[peer] == nil, "member waits for its own place")
                for group in member.groups {
                    groups[group, default: 0] += 1
                    bucketGroups[group, default: 0] += 1
                }
            }
            precondition(
                bucketGroups.values.allSatisfy { $0 <= limits.groupPerBucketMax }, "a group fills bucket \(index)")
        }
        precondition(former.count <= limits.formerMembersMax, "\(former.count) former members")
        precondition(total == count, "count says \(count), buckets hold \(total)")
        precondition(groups == groupCounts, "group counts differ from the members' groups")
        precondition(groups.values.allSatisfy { $0 <= limits.groupPerTableMax }, "a group fills the table")
    }

    private func bucketIndex(of key: KademliaKey) -> Int {
        min(localKey.commonPrefixLength(with: key), KademliaKey.bitCount - 1)
    }

    private func find(_ peer: PeerID) -> (index: Int, member: Member)? {
        let index = bucketIndex(of: KademliaKey(of: peer))
        guard index < buckets.count, let member = buckets[index].members[peer] else { return nil }
        return (index, member)
    }

    private mutating func refresh(
        _ old: Member, with info: PeerInfo, in index: Int, now: MonotonicInstant
    ) -> Insertion {
        var member = old
        member.usefulAt = now
        member.failures = 0
        remove(old, from: index)
        let groups = AddressGroup.groups(of: info.addresses)
        // Addresses that would put the member into a full group are ignored; it keeps what it had.
        if !info.addresses.isEmpty, fullGroup(among: groups, in: index) == nil {
            member.info = info
            member.groups = groups
        }
        add(member, to: index)
        return .refreshed
    }

    private func fullGroup(among groups: [AddressGroup], in index: Int) -> AddressGroup? {
        for group in groups {
            if groupCounts[group, default: 0] >= limits.groupPerTableMax { return group }
            let inBucket = buckets[index].members.values.count { $0.groups.contains(group) }
            if inBucket >= limits.groupPerBucketMax { return group }
        }
        return nil
    }

    private mutating func remember(_ info: PeerInfo) {
        former.removeValue(forKey: info.peerID)
        if former.count >= limits.formerMembersMax { former.removeFirst() }
        former[info.peerID] = info
    }

    private mutating func add(_ member: Member, to index: Int) {
        former.removeValue(forKey: member.info.peerID)
        buckets[index].replacements.removeValue(forKey: member.info.peerID)
        buckets[index].members[member.info.peerID] = member
        for group in member.groups { groupCounts[group, default: 0] += 1 }
        count += 1
    }

    private mutating func remove(_ member: Member, from index: Int) {
        buckets[index].members.removeValue(forKey: member.info.peerID)
        for group in member.groups {
            let left = groupCounts[group, default: 0] - 1
            groupCounts[group] = left > 0 ? left : nil
        }
        count -= 1
    }

    private mutating func removeReplacement(_ peer: PeerID) {
        let index = bucketIndex(of: KademliaKey(of: peer))
        guard index < buckets.count else { return }
        buckets[index].replacements.removeValue(forKey: peer)
    }

    /// Gives a free place to the peer that asked last: it is the likeliest to be there still.
    private mutating func promote(in index: Int, now: MonotonicInstant) {
        while buckets[index].members.count < limits.bucketPeersMax, let next = buckets[index].replacements.values.last {
            buckets[index].replacements.removeLast()
            if fullGroup(among: next.groups, in: index) == nil { add(next, to: index) }
        }
    }

    private func append(
        _ range: ClosedRange<Int>, to found: inout [PeerInfo], _ key: KademliaKey, _ wanted: Int, _ excluded: PeerID?
    ) {
        var run: [(distance: KademliaKey, info: PeerInfo)] = []
        for index in range {
            for member in buckets[index].members.values where member.info.peerID != excluded {
                run.append((member.key.distance(to: key), member.info))
            }
        }
        run.sort { $0.distance < $1.distance }
        found.append(contentsOf: run.prefix(max(0, wanted - found.count)).map(\.info))
    }
}
