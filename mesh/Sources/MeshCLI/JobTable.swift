import NodeAPI

/// A listing of jobs: one line each, and on a terminal the receipt in full on a line of its own.
struct JobTable {
    private enum Column: CaseIterable {
        case job, side, outcome, submitted, price, with, what

        var title: String {
            switch self {
            case .job: "JOB"
            case .side: "AS"
            case .outcome: "OUTCOME"
            case .submitted: "SUBMITTED"
            case .price: "PRICE"
            case .with: "WITH"
            case .what: "WHAT"
            }
        }

        var alignment: Table.Alignment { self == .submitted || self == .price ? .right : .left }
    }

    /// The columns that go first where there is no room for all.
    private static let dispensable: [Column] = [.with, .price, .side, .submitted, .what]
    /// The fewest columns that say something about what a job is.
    private static let wordsMin = 10

    private let jobs: [JobView]
    private let full: Bool
    private let now: UInt64

    init(_ jobs: [JobView], full: Bool, now: UInt64) {
        self.jobs = jobs
        self.full = full
        self.now = now
    }

    /// The table; without a width one line per job with its receipt at the end, else no line longer than that.
    func text(width: Int?) -> String {
        guard let width else { return wide }
        let columns = columns(width: width)
        let lines = lines(columns, wordsMax: max(Self.wordsMin, width - self.width(columns.filter { $0 != .what }) - 2))
        return join(lines.map { TextLayout.cut($0, to: width) }, width)
    }

    /// Which columns there is no room for, and how to see them; nil if all are there.
    func leftOut(width: Int?) -> String? {
        guard let width else { return nil }
        let shown = columns(width: width)
        let missing = Column.allCases.filter { !shown.contains($0) }
        guard !missing.isEmpty else { return nil }
        return "No room here for \(missing.map(\.title).joined(separator: ", ")); --full has them, and so has a file."
    }

    /// The columns that a width has room for. Where not all fit, the side of jobs that all have the same one goes
    /// first.
    private func columns(width: Int) -> [Column] {
        let isUniform = Set(jobs.map(\.role)).count == 1
        var columns = Column.allCases
        for column in (isUniform ? [.side] : []) + Self.dispensable {
            let room = columns.contains(.what) ? width - 2 - Self.wordsMin : width
            if self.width(columns.filter { $0 != .what }) <= room { return columns }
            columns.removeAll { $0 == column }
        }
        return columns
    }

    private func width(_ columns: [Column]) -> Int { lines(columns).map(\.count).max() ?? 0 }

    private var wide: String {
        var table = Table(Column.allCases.map { ($0.title, $0.alignment) } + [("RECEIPT", .left)])
        for job in jobs { table.add(Column.allCases.map { cell($0, job) } + [job.receiptCID ?? ""]) }
        return table.text(columns: .max)
    }

    private func lines(_ columns: [Column], wordsMax: Int = .max) -> [String] {
        var table = Table(columns.map { ($0.title, $0.alignment) })
        for job in jobs {
            table.add(
                columns.map { column in
                    let cell = Terminal.safe(column == .side ? Self.side(job.role) : cell(column, job))
                    return column == .what ? TextLayout.cut(cell, to: wordsMax) : cell
                })
        }
        return table.text(columns: .max).split(separator: "\n", omittingEmptySubsequences: false).dropLast().map(
            String.init)
    }

    /// Puts each receipt under its job: never shortened, at the edge where it needs all the room.
    private func join(_ lines: [String], _ width: Int) -> String {
        var text = (lines.first ?? "") + "\n"
        let label = "  receipt  "
        let receipts = jobs.compactMap(\.receiptCID).map { Terminal.safe($0).count }
        // Where there is no room for it beside a receipt, the title says what stands below.
        if let longest = receipts.max(), label.count + longest > width {
            let title = (lines.first ?? "") + " / RECEIPT"
            text = title.count <= width ? title + "\n" : text + "/ RECEIPT\n"
        }
        for (job, line) in zip(jobs, lines.dropFirst()) {
            text += line + "\n"
            guard let receipt = job.receiptCID.map(Terminal.safe) else { continue }
            text += (label.count + receipt.count <= width ? label : "") + receipt + "\n"
        }
        return text
    }

    /// The side in little room; one of a later version as it is called.
    private static func side(_ role: String) -> String {
        switch JobSide(rawValue: role) {
        case .originator: "orig."
        case .executor: "exec."
        case nil: role
        }
    }

    private func cell(_ column: Column, _ job: JobView) -> String {
        switch column {
        case .job: full ? job.jobID : Readable.short(job.jobID)
        case .side: job.role
        case .outcome: JobWords.outcome(job)
        case .submitted: Readable.ago(job.submittedAt, now: now)
        case .price: JobWords.priceCell(job)
        case .with: JobWords.counterparty(job, full: full)
        // What became of it is the outcome; why is what mesh describe tells.
        case .what: job.label ?? ""
        }
    }
}
