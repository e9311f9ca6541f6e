import Multiformats
import NodeAPI

/// What `--status` asks for: a name of the API, or the words under OUTCOME, which can be more exact.
struct JobStatusFilter: Hashable {
    /// What the node is asked for.
    let status: JobStatusName
    /// The words that OUTCOME must show, as `plain` writes them; nil if the status says it all.
    let words: String?

    /// Jobs of one question, where the answers have to be looked through.
    static let pageSize = 500

    /// Reads a name or words, with blanks, hyphens or underscores between them; nil if it is neither.
    init?(_ text: String) {
        let plain = Self.plain(text)
        let name = plain.split(separator: " ", omittingEmptySubsequences: false).joined(separator: "_")
        if let status = JobStatusName(name) {
            (self.status, words) = (status, nil)
        } else if let outcome = Self.outcome(shownAs: plain), let status = JobStatusName(outcome.rawValue) {
            (self.status, words) = (status, plain)
        } else {
            return nil
        }
    }

    /// What can be asked for, as the listing shows it.
    static let choices: String = {
        func words(_ role: JobSide, _ isMeant: (JobOutcome) -> Bool) -> [String] {
            JobOutcome.allCases.filter(isMeant).flatMap { outcome -> [String] in
                if outcome == .exitedNonZero { return ["exit 3"] }
                return (outcome == .limitExceeded ? JobWords.limits : [nil]).map { limit in
                    JobWords.outcome(job(role, outcome, limit: limit))
                }
            }
        }
        func list(_ words: [String]) -> String {
            var listed: [String] = []
            for word in words where !listed.contains(word) { listed.append(word) }
            return listed.joined(separator: ", ")
        }
        let groups = JobStatusName.groups.map(\.name).filter { JobOutcome(rawValue: $0) == nil && !$0.contains("_") }
        return """
            it is a group or what OUTCOME shows, with blanks, - or _ between words.
              groups:           \(list(groups))
              under way:        \(list(words(.originator) { $0.isUnderWay }))
              ended:            \(list(words(.originator) { !$0.isUnderWay && !$0.isOfBid }))
              at an executor:   \(list(words(.executor) { $0.isUnderWay || $0.isOfBid || $0 == .executorsFailed }))
            """
    }()

    /// Whether a job that the node named is meant.
    func matches(_ job: JobView) -> Bool {
        guard let words else {
            let isPaid = job.payment.map { status.payments.contains($0) } ?? false
            return isPaid || status.outcomes.contains(job.outcome)
        }
        let shown = Self.plain(JobWords.outcome(job))
        return shown == words || shown.hasPrefix(words + ",")
    }

    /// The page of a query that these filters leave over; with none that looks at words it is the node's.
    static func page(
        _ query: JobQuery, _ filters: [JobStatusFilter], on node: some NodeService
    ) async throws(NodeServiceError) -> JobPage {
        guard filters.contains(where: { $0.words != nil }) else { return try await node.jobs(query) }
        var question = query
        question.limit = max(query.limit, pageSize)
        var found: [JobView] = []
        for _ in 0..<JobReference.pagesMax {
            let page = try await node.jobs(question)
            for job in page.jobs where filters.contains(where: { $0.matches(job) }) {
                if found.count == query.limit { return JobPage(jobs: found, next: found.last?.jobID) }
                found.append(job)
            }
            guard let next = page.next else { return JobPage(jobs: found) }
            question.after = try JobReference.cid(next)
        }
        return JobPage(jobs: found, next: question.after?.text)
    }

    private static func plain(_ text: String) -> String {
        text.lowercased().split { $0.isWhitespace || $0 == "-" || $0 == "_" }.joined(separator: " ")
    }

    /// The outcome that is shown so on either side, whether it is paid or not.
    private static func outcome(shownAs plain: String) -> JobOutcome? {
        let parts = plain.split(separator: " ")
        if parts.count == 2, parts[0] == "exit", Int32(parts[1]) != nil { return .exitedNonZero }
        for role in JobSide.allCases {
            for outcome in JobOutcome.allCases {
                for limit in JobWords.limits {
                    if Self.plain(JobWords.outcome(job(role, outcome, limit: limit))) == plain { return outcome }
                }
            }
        }
        return nil
    }

    private static func job(_ role: JobSide, _ outcome: JobOutcome, limit: String?) -> JobView {
        var job = JobView(
            jobID: "", role: role.rawValue, phase: "", status: "", outcome: outcome, reason: "",
            isTerminal: !outcome.isUnderWay, submittedAt: 0, updatedAt: 0)
        job.limit = limit
        return job
    }
}
