import MeshTypes
import SignedObjects

/// How many holds there are of each kind that is bounded, so that holding is no weapon, and how many orders of a line
/// there were in a day.
struct HoldUsage: Hashable, Sendable {
    struct Pair: Hashable, Sendable {
        let originator: DID
        let executor: DID
    }

    struct Day: Hashable, Sendable {
        var number: UInt64
        var orders = 0
        var holds: UInt64 = 0
    }

    static let dayMilliseconds: UInt64 = 86_400_000

    private(set) var all = 0
    /// By who pays: whoever gives tokens to many keys has the quota of one.
    private var originators: [DID: Int] = [:]
    private var holders: [DID: Int] = [:]
    private var executors: [DID: Int] = [:]
    private var pairs: [Pair: Int] = [:]
    private var lines: [LineID: Int] = [:]
    private var remembered: [LineID: Int] = [:]
    private var days: [LineID: Day] = [:]

    /// The first quota that one more hold would exceed.
    func exceeded(by hold: Hold, _ limits: IssuerBook.Limits) -> IssuerBook.Quota? {
        let terms = hold.terms
        let pair = Pair(originator: hold.payer, executor: terms.executorDID)
        if all >= limits.holdsMax { return .holds }
        if originators[hold.payer] ?? 0 >= limits.holdsPerOriginatorMax { return .holdsOfOriginator }
        if executors[terms.executorDID] ?? 0 >= limits.holdsPerExecutorMax { return .holdsOfExecutor }
        if pairs[pair] ?? 0 >= limits.holdsPerPairMax { return .holdsOfPair }
        let isFull = [hold.debtorLine, hold.creditorLine].contains { lines[$0] ?? 0 >= limits.holdsPerLineMax }
        if isFull { return .holdsOfLine }
        return remembered[hold.debtorLine] ?? 0 >= limits.holdsRememberedPerLineMax ? .holdsRemembered : nil
    }

    /// Whether somebody has a hold that is not over.
    func isOriginator(_ did: DID) -> Bool { holders[did] != nil }

    /// Counts a hold that is remembered from now on, or not any more.
    mutating func remember(_ hold: Hold, by step: Int) { Self.change(&remembered, hold.debtorLine, by: step) }

    mutating func change(_ hold: Hold, by step: Int) {
        let terms = hold.terms
        all += step
        Self.change(&originators, hold.payer, by: step)
        Self.change(&holders, terms.originatorDID, by: step)
        Self.change(&executors, terms.executorDID, by: step)
        Self.change(&pairs, Pair(originator: hold.payer, executor: terms.executorDID), by: step)
        Self.change(&lines, hold.debtorLine, by: step)
        Self.change(&lines, hold.creditorLine, by: step)
    }

    private static func change<Key>(_ counts: inout [Key: Int], _ key: Key, by step: Int) {
        let count = (counts[key] ?? 0) + step
        counts[key] = count == 0 ? nil : count
    }

    /// What a line ordered on the day of a date.
    func day(of line: LineID, at: UnixMilliseconds) -> Day {
        let number = at.value / Self.dayMilliseconds
        guard let day = days[line], day.number == number else { return Day(number: number) }
        return day
    }

    mutating func ordered(_ line: LineID, isHold: Bool, at: UnixMilliseconds) {
        var day = day(of: line, at: at)
        day.orders += 1
        day.holds += isHold ? 1 : 0
        days[line] = day
    }

    /// Stops the process if the counts are not those of the holds.
    func checkInvariants(_ holds: some Sequence<Hold>) {
        var again = HoldUsage()
        again.days = days
        for hold in holds {
            again.remember(hold, by: 1)
            if hold.isLive { again.change(hold, by: 1) }
        }
        precondition(again == self, "the holds are not those that were counted")
    }
}
