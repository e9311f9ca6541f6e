import OrderedCollections

/// Who holds how much of a bounded store; names the entry to give up when the store is full.
///
/// Whoever holds most, the newcomer counted in, gives up its *oldest* entry: a holder's newest entries always find
/// room, and a flood of one holder displaces its own entries and never a stranger's single one. Shares are counted in
/// what the store is short of, entries or bytes. Among equals, the holder of the entry farthest from this node's key
/// gives up that one; so a flood of many names displaces only what is farther from this node than itself, and nobody
/// gains by choosing a late expiry. The store refuses a newcomer in one case only: its holder has no entry yet, and it
/// alone would be the largest share, or an equal one farther than all others. Distance comes in steps, `region`: the
/// number of leading bits that an entry's key shares with this node's key.
struct ShareBook<ID: Hashable & Sendable, Holder: Hashable & Sendable>: Sendable {
    /// What a full store is short of.
    enum Shortage: Sendable {
        case entries
        /// Bytes; the newcomer has this many.
        case bytes(newcomer: Int)
    }

    private struct Share: Sendable {
        var count = 0
        var bytes = 0
        /// The entries of each region with their numbers, oldest first.
        var regions: [OrderedDictionary<ID, UInt64>] = []

        var farthest: Int { regions.firstIndex { !$0.isEmpty } ?? Int.max }

        var oldest: ID? {
            regions.compactMap { $0.elements.first }.min { $0.value < $1.value }?.key
        }

        func size(_ shortage: Shortage) -> Int {
            switch shortage {
            case .entries: count
            case .bytes: bytes
            }
        }
    }

    private var shares: OrderedDictionary<Holder, Share> = [:]
    private var nextNumber: UInt64 = 0
    private(set) var count = 0
    private(set) var bytes = 0

    /// Adds a new entry, as the newest of its holder.
    mutating func add(_ id: ID, holder: Holder, region: Int, bytes: Int = 0) {
        var share = shares.updateValue(Share(), forKey: holder) ?? Share()
        while share.regions.count <= region { share.regions.append([:]) }
        nextNumber += 1
        let isNew = share.regions[region].updateValue(nextNumber, forKey: id) == nil
        precondition(isNew, "an entry was added twice")
        share.count += 1
        share.bytes += bytes
        count += 1
        self.bytes += bytes
        shares[holder] = share
    }

    /// Removes an entry, with the region and the bytes it was added with.
    mutating func remove(_ id: ID, holder: Holder, region: Int, bytes: Int = 0) {
        guard var share = shares.updateValue(Share(), forKey: holder) else {
            shares.removeValue(forKey: holder)
            return
        }
        if region < share.regions.count, share.regions[region].removeValue(forKey: id) != nil {
            share.count -= 1
            share.bytes -= bytes
            count -= 1
            self.bytes -= bytes
        }
        if share.count == 0 { shares.removeValue(forKey: holder) } else { shares[holder] = share }
    }

    /// The entry that makes room for a newcomer; `nil` if the newcomer is to be refused.
    func victim(for newcomer: Holder, region: Int, _ shortage: Shortage = .entries) -> ID? {
        let own = shares[newcomer]
        let added = if case .bytes(let bytes) = shortage { bytes } else { 1 }
        let ownSize = (own?.size(shortage) ?? 0) + added
        var most = (size: ownSize, region: min(own?.farthest ?? Int.max, region))
        var largest: Holder?
        for (holder, share) in shares where holder != newcomer && share.size(shortage) >= most.size {
            let farthest = share.farthest
            guard share.size(shortage) > most.size || farthest < most.region else { continue }
            most = (share.size(shortage), farthest)
            largest = holder
        }
        guard let largest else { return own?.oldest }
        guard let share = shares[largest] else { return nil }
        return most.size > ownSize ? share.oldest : share.regions[most.region].elements.first?.key
    }
}
