import GRDB

/// What ended and what was booked in a time, counted in equal parts of it.
package struct ActivityRows: Hashable, Sendable {
    /// The bounds of one look.
    package struct Limits: Hashable, Sendable {
        /// Ended jobs, and movements, that one look counts; beyond this, only the newest.
        package var rowsMax = 200_000

        /// The standard bounds.
        package init() {}
    }

    /// What was counted in one part.
    package struct Part: Hashable, Sendable {
        /// Jobs whose outcome is `succeeded`.
        package var succeeded: UInt64 = 0
        /// Other jobs that ended.
        package var endedOtherwise: UInt64 = 0
        /// The sum of incomes, in the smallest unit.
        package var earned: UInt64 = 0
        /// The sum of payments, in the smallest unit.
        package var paid: UInt64 = 0
    }

    /// The parts, the oldest first.
    package private(set) var parts: [Part]
    /// Whether everything was counted.
    package private(set) var isWhole = true

    /// Version 17 added the ended jobs by the time of their end.
    static let index = """
        CREATE INDEX IF NOT EXISTS jobs_ended ON jobs(updated_at, outcome) WHERE terminal = 1;
        """

    /// A clock that was set back by no more than this, in milliseconds, hides no movement.
    private static let clockSlack: Int64 = 3_600_000

    /// Counts what ended from a time on, in parts of `step` milliseconds.
    ///
    /// - Parameters:
    ///   - from: where the first part begins, in milliseconds since the Unix epoch.
    ///   - filter: which jobs count; the time is that of their end, and not that of `filter.since`.
    ///   - others: outcomes that do not count.
    package init(
        from: UInt64, step: UInt64, parts count: Int, of filter: JobFilter, without others: [String],
        in store: MeshStore, limits: Limits = Limits()
    ) async throws(MeshStoreError) {
        precondition(step > 0 && count > 0, "a time has parts")
        let (begin, length) = (Int64(clamping: from), Int64(clamping: step))
        let (end, overflow) = begin.addingReportingOverflow(length.multipliedReportingOverflow(by: Int64(count)).0)
        let span = [
            "from": begin, "until": overflow ? Int64.max : end, "step": length, "rows": Int64(limits.rowsMax),
        ]
        self = try await store.read { db in
            var found = ActivityRows(parts: Array(repeating: Part(), count: count))
            try found.countJobs(db, filter, without: others, span, limits)
            try found.countMovements(db, span, begin - Self.clockSlack, limits)
            return found
        }
    }

    private init(parts: [Part]) { self.parts = parts }

    private mutating func countJobs(
        _ db: Database, _ filter: JobFilter, without others: [String],
        _ span: [String: Int64], _ limits: Limits
    ) throws {
        var (condition, arguments) = filter.condition
        for (name, number) in span { arguments[name] = number }
        for (index, outcome) in others.enumerated() { arguments["other\(index)"] = outcome }
        let names = others.indices.map { ":other\($0)" }.joined(separator: ", ")
        condition += " AND outcome NOT IN (\(names))"
        let rows = try Row.fetchCursor(
            db,
            sql: """
                SELECT (updated_at - :from) / :step AS part, outcome = 'succeeded' AS good, count(*) AS amount
                FROM (SELECT updated_at, outcome FROM jobs INDEXED BY jobs_ended
                    WHERE terminal = 1 AND updated_at >= :from AND updated_at < :until AND \(condition)
                    ORDER BY updated_at DESC LIMIT :rows)
                GROUP BY part, good
                """, arguments: StatementArguments(arguments))
        var seen = 0
        while let row = try rows.next() {
            let (part, amount) = try Self.place(row)
            seen += Int(clamping: amount)
            guard parts.indices.contains(part) else { continue }
            if row["good"] as Bool? ?? false {
                parts[part].succeeded += amount
            } else {
                parts[part].endedOtherwise += amount
            }
        }
        if seen >= limits.rowsMax { isWhole = false }
    }

    private mutating func countMovements(
        _ db: Database, _ span: [String: Int64], _ slack: Int64, _ limits: Limits
    ) throws {
        let before = try Int64.fetchOne(
            db, sql: "SELECT seq FROM ledger WHERE at < ? ORDER BY seq DESC LIMIT 1", arguments: [slack])
        let newest = try Int64.fetchOne(db, sql: "SELECT max(seq) FROM ledger") ?? 0
        let first = max(before ?? 0, newest - Int64(limits.rowsMax))
        if first > before ?? 0 { isWhole = false }
        var arguments = span.filter { $0.key != "rows" }
        arguments["first"] = first
        // Each amount is at most the largest integer of a store, and so is what all of them together can be.
        let rows = try Row.fetchCursor(
            db,
            sql: """
                SELECT (at - :from) / :step AS part, kind = 'income' AS good, sum(amount) AS amount FROM ledger
                WHERE seq > :first AND at >= :from AND at < :until AND (kind = 'income' OR credit LIKE 'paid/%')
                GROUP BY part, good
                """, arguments: StatementArguments(arguments))
        while let row = try rows.next() {
            let (part, amount) = try Self.place(row)
            guard parts.indices.contains(part) else { continue }
            if row["good"] as Bool? ?? false {
                parts[part].earned += amount
            } else {
                parts[part].paid += amount
            }
        }
    }

    private static func place(_ row: Row) throws -> (part: Int, amount: UInt64) {
        guard let part = Int.fromDatabaseValue(row["part"]), let amount = Int64.fromDatabaseValue(row["amount"]) else {
            throw MeshStoreError.recordCorrupt(table: "jobs", row: 0)
        }
        return (part, UInt64(clamping: amount))
    }
}
