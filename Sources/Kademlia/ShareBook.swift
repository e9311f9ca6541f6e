import OrderedCollections

/// Who holds how much of a bounded store: it names the entry to give up when the store is full.
///
/// Whoever holds most gives up the oldest of its entries that are farthest from this node's key; among equals it is
/// the one with the farthest entry. So a flood of one holder displaces its own entries and never a stranger's single
/// one, a flood of many names displaces only what is farther from this node than itself, and nobody gains by choosing
/// a late expiry. Distance comes in steps, `region`: the number of leading bits that an entry's key shares with this
/// node's key.
struct ShareBook<ID: Hashable & Sendable, Holder: Hashable & Sendable>: Sendable {
    private struct Share: Sendable {
        var count = 0
        var regions: [OrderedSet<ID>] = []

        var farthest: Int { regions.firstIndex { !$0.isEmpty } ?? Int.max }
    }

    private var shares: OrderedDictionary<Holder, Share> = [:]
    private(set) var count = 0

    mutating func add(_ id: ID, holder: Holder, region: Int) {
        var share = shares.updateValue(Share(), forKey: holder) ?? Share()
        while share.regions.count <= region { share.regions.append([]) }
        if share.regions[region].append(id).inserted {
            share.count += 1
            count += 1
        }
        shares[holder] = share
    }

    mutating func remove(_ id: ID, holder: Holder, region: Int) {
        guard var share = shares.updateValue(Share(), forKey: holder) else {
            shares.removeValue(forKey: holder)
            return
        }
        if region < share.regions.count, share.regions[region].remove(id) != nil {
            share.count -= 1
            count -= 1
        }
        if share.count == 0 { shares.removeValue(forKey: holder) } else { shares[holder] = share }
    }

    /// The entry that makes room for a newcomer; `nil` when the newcomer itself is the one to refuse.
    func victim(for newcomer: Holder, region: Int) -> ID? {
        let own = shares[newcomer]
        var most = (count: (own?.count ?? 0) + 1, region: min(own?.farthest ?? Int.max, region))
        var largest: Holder?
        for (holder, share) in shares where holder != newcomer && share.count >= most.count {
            let farthest = share.farthest
            guard share.count > most.count || farthest < most.region else { continue }
            most = (share.count, farthest)
            largest = holder
        }
        if let largest { return oldest(of: largest, in: most.region) }
        return own.map { region >= $0.farthest } == true ? oldest(of: newcomer, in: most.region) : nil
    }

    private func oldest(of holder: Holder, in region: Int) -> ID? {
        guard let share = shares[holder], region < share.regions.count else { return nil }
        return share.regions[region].first
    }
}
