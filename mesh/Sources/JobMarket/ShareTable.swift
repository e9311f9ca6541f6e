/// How much of a bounded resource each originator holds, and strangers hold together.
///
/// Keys are free, so a share per key does not help against somebody with many: the total of strangers is bounded too,
/// once this node knows anybody (`MarketLimits`, THREATS.md).
struct ShareTable<Holder: Hashable & Sendable>: Sendable {
    private struct Holding: Sendable {
        var amount: Int
        /// Whether it counts towards the strangers' total.
        var isStrangers: Bool
    }

    private var holdings: [Holder: Holding] = [:]
    /// What all hold together.
    private(set) var total = 0
    /// What strangers hold together.
    private(set) var ofStrangers = 0

    /// What one holds.
    subscript(holder: Holder) -> Int { holdings[holder]?.amount ?? 0 }

    mutating func add(_ amount: Int = 1, to holder: Holder, isStranger: Bool) {
        var holding = holdings[holder] ?? Holding(amount: 0, isStrangers: isStranger)
        holding.amount += amount
        total += amount
        if holding.isStrangers { ofStrangers += amount }
        holdings[holder] = holding
    }

    mutating func remove(_ amount: Int = 1, from holder: Holder) {
        guard var holding = holdings[holder] else { return }
        precondition(holding.amount >= amount, "\(amount) of \(holding.amount) are given back")
        holding.amount -= amount
        total -= amount
        if holding.isStrangers { ofStrangers -= amount }
        holdings[holder] = holding.amount == 0 ? nil : holding
    }

    /// Notes that somebody is no longer a stranger, so what it holds does not count towards the strangers' total.
    mutating func met(_ holder: Holder) {
        guard let holding = holdings[holder], holding.isStrangers else { return }
        ofStrangers -= holding.amount
        holdings[holder]?.isStrangers = false
    }

    /// Whether one may hold more.
    ///
    /// - Parameters:
    ///   - max: the whole resource.
    ///   - each: what one may hold at most.
    ///   - strangers: what strangers may hold together; `nil` for somebody known, or while nobody is.
    func hasRoom(for amount: Int = 1, of holder: Holder, max: Int, each: Int, strangers: Int?) -> Bool {
        total + amount <= max && self[holder] + amount <= each
            && strangers.map { ofStrangers + amount <= $0 } ?? true
    }
}
