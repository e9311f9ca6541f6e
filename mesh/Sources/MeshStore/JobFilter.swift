import Foundation
import GRDB
package import Multiformats

/// Which summaries of jobs to read.
package struct JobFilter: Hashable, Sendable {
    /// Only this side; nil for each job once, from its originator's side if this node has both.
    package var role: StoreRole?
    /// Only these outcomes, or one of `payments`; with neither, all.
    package var outcomes: [String] = []
    /// Only these payments, or one of `outcomes`.
    package var payments: [String] = []
    /// Only jobs submitted then or later, in milliseconds since the Unix epoch.
    package var since: UInt64?
    /// Only jobs whose label contains this, whatever the case of ASCII letters.
    package var label: String?
    /// Only jobs whose ID begins or ends with this.
    package var named: String?
    /// No jobs that this node asked for under keys that begin with this.
    package var withoutKeysFrom: String?

    /// All jobs.
    package init(role: StoreRole? = nil) { self.role = role }

    /// Whether its condition is one of the few texts whose statements are kept: each name that is picked out takes
    /// another one, so those with names are as many as their owner likes.
    fileprivate var isFrequent: Bool { outcomes.isEmpty && payments.isEmpty }

    /// The condition in SQL, without that on the name.
    var condition: (sql: String, arguments: [String: (any DatabaseValueConvertible)?]) {
        var parts = [
            role == nil
                ? """
                (role = 'originator' OR NOT EXISTS (
                    SELECT 1 FROM jobs asked WHERE asked.job_id = jobs.job_id AND asked.role = 'originator'))
                """ : "role = :role"
        ]
        var arguments: [String: (any DatabaseValueConvertible)?] = role.map { ["role": $0.rawValue] } ?? [:]
        func marks(_ values: [String], _ name: String) -> String {
            let values = Set(values).sorted()
            for (index, value) in values.enumerated() { arguments["\(name)\(index)"] = value }
            return values.indices.map { ":\(name)\($0)" }.joined(separator: ", ")
        }
        if !outcomes.isEmpty || !payments.isEmpty {
            parts.append(
                "(outcome IN (\(marks(outcomes, "outcome"))) OR payment IN (\(marks(payments, "payment"))))")
        }
        if let prefix = withoutKeysFrom {
            parts.append("NOT (role = 'originator' AND substr(idempotency_key, 1, length(:prefix)) = :prefix)")
            arguments["prefix"] = prefix
        }
        if let since {
            parts.append("submitted_at >= :since")
            arguments["since"] = Int64(clamping: since)
        }
        if let label {
            parts.append("instr(lower(label), lower(:label)) > 0")
            arguments["label"] = label
        }
        return (parts.joined(separator: " AND "), arguments)
    }

    fileprivate func names(_ row: Row) -> Bool {
        guard let named else { return true }
        guard let bytes = row[0] as? Data, let text = try? CID(bytes: [UInt8](bytes)).text else { return false }
        return text.hasSuffix(named) || text.hasPrefix(named)
    }
}

/// A page of summaries of jobs.
package struct JobRowPage: Hashable, Sendable {
    /// The summaries, newest first.
    package var rows: [JobRow]
    /// The job after which the next page begins; nil on the last one.
    package var next: CID?
}

/// One look at the summaries, from a place on.
struct JobListing {
    /// A place in the order of the listing.
    typealias Place = (at: Int64, job: Data)

    let db: Database
    let filter: JobFilter
    let begin: Place?
    let examinedMax: Int

    /// A look after a job; nil if that is not known.
    init?(_ db: Database, _ filter: JobFilter, _ after: CID?, _ examinedMax: Int) throws {
        (self.db, self.filter, self.examinedMax) = (db, filter, examinedMax)
        guard let after else {
            begin = nil
            return
        }
        let job = Data(after.bytes)
        let at = try Int64.fetchOne(db, sql: "SELECT submitted_at FROM jobs WHERE job_id = ? LIMIT 1", arguments: [job])
        guard let at else { return nil }
        begin = (at, job)
    }

    private func after(_ name: String) -> String {
        "(submitted_at < :\(name)_at OR (submitted_at = :\(name)_at AND job_id > :\(name)_job))"
    }

    private func arguments(_ place: Place, _ name: String) -> [String: (any DatabaseValueConvertible)?] {
        ["\(name)_at": place.at, "\(name)_job": place.job]
    }

    /// The last row that is looked at; nil if that is the last one of all.
    private func end() throws -> Place? {
        var sql = "SELECT submitted_at, job_id FROM jobs"
        var values: [String: (any DatabaseValueConvertible)?] = ["examined": max(0, examinedMax - 1)]
        if let begin {
            sql += " WHERE \(after("begin"))"
            values.merge(arguments(begin, "begin")) { first, _ in first }
        }
        sql += " ORDER BY submitted_at DESC, job_id LIMIT 1 OFFSET :examined"
        let statement = try db.cachedStatement(sql: sql)
        guard let row = try Row.fetchOne(statement, arguments: StatementArguments(values)) else { return nil }
        // A damaged row is no place; the look then goes on to the last row.
        guard let at = Int64.fromDatabaseValue(row[0]), let job = Data.fromDatabaseValue(row[1]) else { return nil }
        return (at, job)
    }

    func page(_ rowsMax: Int) throws -> (JobRowPage, damagedCount: Int) {
        var (sql, values) = filter.condition
        if let begin {
            sql += " AND \(after("begin"))"
            values.merge(arguments(begin, "begin")) { first, _ in first }
        }
        let end = try end()
        if let end {
            // The range of dates besides, since the index has it.
            sql += " AND submitted_at >= :end_at AND NOT \(after("end"))"
            values.merge(arguments(end, "end")) { first, _ in first }
        }
        sql = "\(StoredRow.jobs) WHERE \(sql) ORDER BY submitted_at DESC, job_id"
        // To prepare one takes as long as to read twenty jobs by it.
        let statement = try filter.isFrequent ? db.cachedStatement(sql: sql) : db.makeStatement(sql: sql)
        let cursor = try Row.fetchCursor(statement, arguments: StatementArguments(values))
        var page = JobRowPage(rows: [])
        var damagedCount = 0
        while let row = try cursor.next() {
            guard filter.names(row) else { continue }
            guard page.rows.count < rowsMax else {
                page.next = page.rows.last?.jobID
                return (page, damagedCount)
            }
            if let job = try? StoredRow(row).jobRow() { page.rows.append(job) } else { damagedCount += 1 }
        }
        page.next = end.flatMap { try? CID(bytes: [UInt8]($0.job)) } ?? (end == nil ? nil : page.rows.last?.jobID)
        return (page, damagedCount)
    }
}
