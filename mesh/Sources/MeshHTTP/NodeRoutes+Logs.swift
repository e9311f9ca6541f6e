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
            query: [author, .init("from", .number(0...Int64.max)), limit], answer: .json([LogBlockView].self)
        ) { request, _ in
            guard let author = request.uri.queryParameters["author"].map(String.init) else {
                throw NodeServiceError(.invalidRequest, "author is missing: the DID of whose log it is.")
            }
            let limit = try number(request, "limit", default: 50)
            let blocks = try await service.logBlocks(of: author, from: size(request, "from") ?? 0, limit: limit)
            return try json(blocks)
        }
        table.get(
            "/v1/dag/forks", "The proofs that authors told two histories of their logs",
            answer: .json([LogForkView].self)
        ) { _, _ in try json(await service.logForks()) }
        table.post(
            "/v1/dag/sync", "Fetches the log of an author, or all that are followed", query: [author],
            answer: .json([LogSyncView].self)
        ) { request, _ in
            try json(await service.syncLogs(of: request.uri.queryParameters["author"].map(String.init)))
        }
    }
}
