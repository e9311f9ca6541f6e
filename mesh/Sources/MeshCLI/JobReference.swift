import Multiformats
import NodeAPI

/// How a user names a job: its ID, its last characters, or `last`.
struct JobReference {
    /// The number of newest jobs in which to look for the short form.
    static let searchedMax = 1_000
    /// The fewest characters of the short form.
    static let suffixMin = 4

    /// The job that a text names, or a failure that says why there is none.
    static func resolve(_ text: String, on node: some NodeService) async throws(NodeServiceError) -> CID {
        if text != "last", let cid = try? CID(parsing: text) { return cid }
        let jobs = try await node.jobs(limit: searchedMax)
        if text == "last" {
            guard let newest = jobs.first else {
                throw NodeServiceError(.jobNotFound, "This node has no jobs yet.", hint: "Submit one with mesh run.")
            }
            return try cid(newest.jobID)
        }
        let suffix = text.hasPrefix("…") ? String(text.dropFirst()) : text
        guard suffix.count >= suffixMin else { throw unknown(text) }
        var found: [String] = []
        for job in jobs where job.jobID.hasSuffix(suffix) && !found.contains(job.jobID) { found.append(job.jobID) }
        guard let only = found.first else { throw unknown(text) }
        guard found.count == 1 else {
            throw NodeServiceError(
                .invalidRequest, "\(found.count) jobs end in \"\(suffix)\".", hint: "Give more of the job's ID.")
        }
        return try cid(only)
    }

    /// The CID that a text names.
    static func cid(_ text: String) throws(NodeServiceError) -> CID {
        do {
            return try CID(parsing: text)
        } catch {
            throw NodeServiceError(
                .invalidRequest, "\"\(text)\" is no CID.",
                hint: "CIDs are printed by mesh add, mesh run and mesh jobs.")
        }
    }

    private static func unknown(_ text: String) -> NodeServiceError {
        NodeServiceError(
            .jobNotFound, "No job is called \"\(text)\".", hint: "mesh jobs lists them; the end of an ID is enough.")
    }
}
