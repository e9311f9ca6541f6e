import OrderedCollections
package import SignedObjects

/// What a node knows of executors from results that it checked itself: how many were right since the last wrong one,
/// and what they were worth.
///
/// By that it decides how often it checks an executor (BOINC's adaptive replication). Somebody with `n` right results
/// is checked with probability `trust / (trust + n)`, never less than the floor; where a job is worth more than those
/// of the record on average, they count as fewer. So of all results of one who is honest until it pays to lie, and then
/// never again, at most one in `trust` is wrong and accepted, whenever it begins; and nobody is believed with more than
/// it ever proved.
package struct TrackRecords: Hashable, Sendable {
    /// The bounds of the records.
    package struct Limits: Hashable, Sendable {
        /// Executors with a record; of more, the one not heard of for longest is unknown again, and so always checked.
        package var executorsMax = 4_096

        /// The standard bounds.
        package init() {}
    }

    /// How much a record counts.
    package struct Rates: Hashable, Sendable {
        /// Right results after which every second one is checked.
        package var trust: UInt64 = 50
        /// The least share of results that is checked, in thousandths.
        package var floorPermille: UInt64 = 50

        /// The standard rates.
        package init() {}
    }

    private struct Record: Hashable {
        /// Right results.
        var count: UInt64 = 0
        /// What was paid for them.
        var worth: UInt64 = 0
    }

    private let limits: Limits
    private var records: OrderedDictionary<DID, Record> = [:]

    /// Nobody is known.
    package init(limits: Limits = Limits()) { self.limits = limits }

    /// The number of executors with a record.
    package var count: Int { records.count }

    /// Notes that a result was checked and right.
    ///
    /// - Parameter worth: what was paid for it.
    package mutating func wasRight(_ executor: DID, worth: UInt64) {
        var record = records.removeValue(forKey: executor) ?? Record()
        record.count &+= 1
        record.worth = record.worth.addingReportingOverflow(worth).overflow ? .max : record.worth + worth
        records[executor] = record
        if records.count > limits.executorsMax { records.removeFirst() }
    }

    /// Right results of an executor since the last wrong one, and what was paid for them.
    package func record(of executor: DID) -> (count: UInt64, worth: UInt64) {
        records[executor].map { ($0.count, $0.worth) } ?? (0, 0)
    }

    /// Notes that a result was wrong: what was right before does not count any more.
    package mutating func wasWrong(_ executor: DID) { records.removeValue(forKey: executor) }

    /// With what probability a result is to be checked, in thousandths.
    ///
    /// - Parameter stake: what the job is worth.
    package func permille(of executor: DID, stake: UInt64, rates: Rates = Rates()) -> UInt64 {
        guard let record = records[executor], stake <= record.worth else { return 1_000 }
        let equal = min(record.count, record.worth / max(1, stake))
        let (sum, overflow) = equal.addingReportingOverflow(rates.trust)
        guard !overflow, sum > 0 else { return max(1, rates.floorPermille) }
        return min(1_000, max(rates.floorPermille, (1_000 * rates.trust + sum - 1) / sum))
    }
}
