import Hummingbird
import NodeAPI

extension NodeRoutes {
    /// The routes of what nodes anchored.
    func addLogs(to table: inout APITable) {
        let author = APIOperation.Parameter("author", .text)
        table.get(
            "/v1/dag/log", "What this node anchored, or another author, the newest first",
            query: [.init("after", .number(0...Int64.max)), limit, author], answer: .json([LogEntryView].self)
        ) { request, _ in
            let limit = try number(request, "limit", default: 50)
            let below = try size(request, "after")
            let author = request.uri.queryParameters["author"].map(String.init)
            let entries =
                if let author { try await service.log(of: author, below: below, limit: limit) } else {
                    try await service.log(below: below, limit: limit)
                }
            let last = entries.count == limit ? entries.last.flatMap { $0.number > 0 ? $0.number : nil } : nil
            return try NextPage.link(to: last.map(String.init), from: json(entries), for: request)
        }
        table.get(
            "/v1/dag/head", "The signed head of the log of what this node anchored",
            query: [.init("since", .number(0...Int64.max))], answer: .json(LogHeadView.self)
        ) { request, _ in try json(await service.logHead(since: size(request, "since"))) }
        table.get(
            "/v1/dag/witness", "The key with which this node cosigns others' logs, and whose",
            answer: .json(WitnessKeyView.self)
        ) { _, _ in try json(await service.witnessKey()) }
        table.get(
            "/v1/dag/proofs/:cid", "The proof that this node's log anchors a receipt", conditions: .tag,
            answer: .json(LogProofView.self)
        ) { request, context in
            let proof = try MeshJSON.encode(await service.logProof(of: cid(context)))
            return tagged(bytes(proof, type: "application/json"), proof, for: request)
        }
        table.get(
            "/v1/dag/logs", "The logs of others that this node keeps, follows or has heard of",
            answer: .json([FollowedLogView].self)
        ) { _, _ in try json(await service.followedLogs()) }
        table.get(
            "/v1/dag/blocks", "The signed entries of a log from a number on, in their order",
            query: [.init("author", .text, isRequired: true), .init("from", .number(0...Int64.max)), limit],
            answer: .json([LogBlockView].self)
        ) { request, _ in
            let (author, limit) = (try required(author: request), try number(request, "limit", default: 50))
            return try json(await service.logBlocks(of: author, from: size(request, "from") ?? 0, limit: limit))
        }
        table.get(
            "/v1/dag/forks", "The proofs that authors told two histories of their logs, by author",
            query: [author, .init("after", .text), limit], answer: .json([LogForkView].self)
        ) { request, _ in
            let (query, limit) = (request.uri.queryParameters, try number(request, "limit", default: 50))
            let forks = try await service.logForks(
                of: query["author"].map(String.init), after: query["after"].map(String.init), limit: limit)
            let last = forks.count == limit ? forks.last?.author : nil
            return try NextPage.link(to: last, from: json(forks), for: request)
        }
        table.delete(
            "/v1/dag/logs", "Removes what is kept of the logs of an author that is not followed",
            query: [.init("author", .text, isRequired: true)], answer: .json(ForgottenLog.self)
        ) { request, _ in try json(await service.forgetLog(of: required(author: request))) }
        table.post(
            "/v1/dag/sync", "Fetches the log of an author, or all that are followed", query: [author],
            answer: .json([LogSyncView].self)
        ) { request, _ in
            try json(await service.syncLogs(of: request.uri.queryParameters["author"].map(String.init)))
        }
    }

    private func required(author request: Request) throws(NodeServiceError) -> String {
        guard let author = request.uri.queryParameters["author"] else {
            throw NodeServiceError(.invalidRequest, "author is missing: the DID of whose log it is.")
        }
        return String(author)
    }
}
