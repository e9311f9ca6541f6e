import Multiformats
import NodeAPI

/// How a user names a job: its ID, the beginning or end of it, or `last`.
struct JobReference {
    /// Help for an argument that names a job.
    static let help =
        "The job's ID, its beginning or end of at least \(partMin) characters, or last: the newest job that this node "
        + "asked for, else the newest that it knows."
    /// The fewest characters of the short form.
    static let partMin = 4
    /// Pages in which to look for the short form; the node bounds each.
    static let pagesMax = 16

    /// The job that a text names, or a failure that says why there is none.
    ///
    /// `last` is the newest job that this node asked for; on a node that asked for none, the newest of all. It means
    /// the same wherever a receipt is named.
    static func resolve(_ text: String, on node: some NodeService) async throws(NodeServiceError) -> CID {
        if text == "last" { return try await last(on: node) }
        if let cid = try? CID(parsing: text) { return cid }
        var part = text[...]
        while part.hasPrefix("…") { part.removeFirst() }
        while part.hasSuffix("…") { part.removeLast() }
        guard part.count >= partMin else { throw tooShort(text) }
        guard part.utf8.allSatisfy({ (0x30...0x7A).contains($0) }) else { throw unknown(text) }
        let found = try await jobs(named: String(part), on: node)
        guard let only = found.first else { throw unknown(text) }
        guard found.count == 1 else {
            throw NodeServiceError(
                .invalidRequest, "More than one job is called \"\(part)\".", hint: "Give more of the job's ID.")
        }
        return try cid(only)
    }

    static func last(on node: some NodeService) async throws(NodeServiceError) -> CID {
        for role in [JobSide.originator, nil] {
            let page = try await node.jobs(JobQuery(limit: 1, role: role))
            if let newest = page.jobs.first { return try cid(newest.jobID) }
        }
        throw NodeServiceError(.jobNotFound, "This node has no jobs yet.", hint: "Submit one with mesh run.")
    }

    /// Up to two IDs that begin or end so.
    private static func jobs(named part: String, on node: some NodeService) async throws(NodeServiceError) -> [String] {
        var found: [String] = []
        var query = JobQuery(limit: 2, named: part)
        for _ in 0..<pagesMax {
            let page = try await node.jobs(query)
            for job in page.jobs where !found.contains(job.jobID) { found.append(job.jobID) }
            guard found.count < 2, let next = page.next else { break }
            query.after = try cid(next)
        }
        return found
    }

    /// The CID that a text names.
    static func cid(_ text: String) throws(NodeServiceError) -> CID {
        do {
            return try CID(parsing: text)
        } catch {
            throw NodeServiceError(
                .invalidRequest, "\"\(text)\" is no CID.",
                hint: "CIDs are printed by mesh add, mesh run, mesh jobs and mesh proof ls.")
        }
    }

    /// What has too few characters to be looked up.
    static func tooShort(_ text: String) -> NodeServiceError {
        NodeServiceError(
            .invalidRequest, "\"\(text)\" is too short for a name: a part of an ID has at least \(partMin) characters.",
            hint: "Give more of its beginning or end, or last for the newest job.")
    }

    private static func unknown(_ text: String) -> NodeServiceError {
        NodeServiceError(
            .jobNotFound, "No job is called \"\(text)\".",
            hint: "mesh jobs lists them; the beginning or end of an ID is enough.")
    }
}
