import NodeAPI

/// Who could run a job, and what keeps those who do not, while the job still waits: a line of JSON for programs.
struct ExecutorsNotice: Encodable, Hashable {
    let jobID: String
    /// When it became known, in milliseconds since the Unix epoch.
    let at: UInt64
    let executors: ExecutorsView
    /// The same as a sentence.
    let text: String
    /// What to do about it, as a sentence.
    let hint: String?

    /// The notice that an event of a job makes; nil for another event.
    init?(_ event: JobProgress, of jobID: String) {
        guard let news = event.news, let executors = news.executors else { return nil }
        (self.jobID, at, text, hint) = (jobID, event.at, event.text, news.hint)
        self.executors = executors
    }

    private enum CodingKeys: String, CodingKey {
        case at, executors, text, hint
        case jobID = "job_id"
    }
}
