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
    private static let dispensable: [Column] = [.what, .with, .price, .side, .submitted]
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
        var columns = Column.allCases
        for column in Self.dispensable {
            let bare = lines(columns.filter { $0 != .what }).map(\.count).max() ?? 0
            if !columns.contains(.what), bare <= width { break }
            if columns.contains(.what), bare + 2 + Self.wordsMin <= width {
                return join(lines(columns, wordsMax: width - bare - 2), width)
            }
            columns.removeAll { $0 == column }
        }
        return join(lines(columns).map { TextLayout.cut($0, to: width) }, width)
    }

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
                    let cell = Terminal.safe(cell(column, job))
                    return column == .what ? TextLayout.cut(cell, to: wordsMax) : cell
                })
        }
        return table.text(columns: .max).split(separator: "\n", omittingEmptySubsequences: false).dropLast().map(
            String.init)
    }

    /// Puts each receipt under its job: never shortened, at the edge where it needs all the room.
    private func join(_ lines: [String], _ width: Int) -> String {
        var text = (lines.first ?? "") + "\n"
        for (job, line) in zip(jobs, lines.dropFirst()) {
            text += line + "\n"
            guard let receipt = job.receiptCID.map(Terminal.safe) else { continue }
            let label = "  receipt  "
            text += (label.count + receipt.count <= width ? label : "") + receipt + "\n"
        }
        return text
    }

    private func cell(_ column: Column, _ job: JobView) -> String {
        switch column {
        case .job: full ? job.jobID : Readable.short(job.jobID)
        case .side: job.role
        case .outcome: JobWords.outcome(job)
        case .submitted: Readable.ago(job.submittedAt, now: now)
        case .price: JobWords.price(job).map(Readable.count) ?? ""
        case .with: JobWords.counterparty(job, full: full)
        // What became of it is the outcome; why is what mesh describe tells.
        case .what: job.label ?? ""
        }
    }
}
