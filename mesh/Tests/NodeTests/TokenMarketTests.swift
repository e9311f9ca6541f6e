import Credit
import Foundation
import JobMarket
import MeshTypes
import Multiformats
import NodeAPI
import P2PTesting
import PeerIdentity
import SignedObjects
import Testing

@testable import PlanetaryMesh

/// Jobs that are paid by tokens: an issuer, an executor and an originator without a line, over sockets.
/// Whoever gives a token signs it on a node of its own.
@Suite("Jobs by tokens, over sockets", .serialized) struct TokenMarketTests {
    private let home = CreditCooperative()
    private let giver = Identity.generate()

    private var issuer: DID { home.did(.issuer) }

    /// A cooperative whose originator has no line; the giver of tokens has one.
    private func cooperative(_ body: ([MeshNode]) async throws -> Void) async throws {
        defer { try? FileManager.default.removeItem(at: home.folder) }
        try FileManager.default.createDirectory(at: home.folder, withIntermediateDirectories: true)
        var nodes: [MeshNode] = []
        for role in [CreditCooperative.Role.issuer, .executor, .originator] { nodes.append(try await home.open(role)) }
        // A fourth node, with a line.
        nodes.append(
            try await NodeMesh.open(
                home.folder.appendingPathComponent("giver").path, try NodeMesh.loopback(), identity: giver))
        try await home.found(nodes[0], [.executor: 10_000])
        try await home.openLine(giver.did, 10_000, at: nodes[0])
        try await NodeMesh.running(nodes) {
            try await home.connect(nodes[1], to: [nodes[0]])
            try await home.connect(nodes[2], to: [nodes[0], nodes[1]])
            try await home.connect(nodes[3], to: [nodes[0]])
            try await body(nodes)
        }
    }

    private func submission(
        _ node: MeshNode, by token: String, budget: UInt64? = 500
    ) async throws -> JobSubmission {
        let module = try Assembler.command("(call $exit (i32.const 0))")
        var submission = JobSubmission(moduleCID: try await node.add(module).cid)
        submission.policy.token = token
        submission.limits.maxFuel = 100_000_000
        submission.budget = budget
        return submission
    }

    private func result(of job: CID, at node: MeshNode) async throws -> JobResult {
        for await event in try await node.progress(of: job) {
            if let result = event.result { return result }
        }
        throw NodeServiceError(.internalError, "The stream of \(job) ended without a result.")
    }

    /// Has the giver give a token, and the originator take it.
    private func hand(
        _ nodes: [MeshNode], amount: UInt64 = 500, _ change: (inout TokenGift) -> Void = { _ in }
    ) async throws -> TokenView {
        var gift = TokenGift(
            holder: home.did(.originator).text, amount: amount,
            expiresAt: NodeClock.wallClock.advanced(milliseconds: 3_600_000).value)
        gift.issuer = issuer.text
        change(&gift)
        let given = try await nodes[3].give(gift)
        let bytes = try Multibase.decodeWithoutPrefix(given.chain, .base64pad)
        let taken = try await nodes[2].takeToken(bytes)
        #expect(taken.isOwn && !given.isOwn && taken.token == given.token)
        return taken
    }

    @Test("Whoever has no line runs a job by a token; the giver's line pays, and both see it")
    func paid() async throws {
        try await cooperative { nodes in
            let token = try await hand(nodes) { $0.scope = .executors([home.did(.executor).text]) }
            let before = try await nodes[2].token(token.token)
            #expect(before.left == 500 && before.isFrozen == false && before.revokedBy == nil)
            let submission = try await submission(nodes[2], by: token.token)
            let job = try CID(named: try await nodes[2].submit(submission).jobID, "job")
            let result = try await result(of: job, at: nodes[2])
            #expect(result.ending == .succeeded, "\(result)")
            let paid = try #require(result.paid)
            #expect(result.unit == "hours" && (10...110).contains(paid))
            for node in [nodes[1], nodes[2]] {
                try await eventually("the entry that paid is proved") {
                    try await node.describe(job).credit?.last?.state == .paid
                }
            }
            #expect(await home.balance(giver.did, at: nodes[0]) == -Int64(paid))
            #expect(await home.balance(.executor, at: nodes[0]) == Int64(paid))
            #expect(try await nodes[2].token(token.token).left == 500 - paid)
            let spent = try await nodes[3].statement(at: issuer.text)
            #expect(spent.bookings.map(\.kind) == ["limit", "hold_granted_by_token", "hold_settled"])
            #expect(spent.isComplete == true && spent.bookings.last?.amount == -Int64(paid))
            let own = try await nodes[2].statement(at: issuer.text)
            #expect(own.bookings.map(\.kind) == ["hold_granted_by_token", "hold_settled"])
            #expect(own.lines.isEmpty && own.isComplete == true)
            // What is left is what the issuer counts, whoever asks.
            let more = await #expect(throws: NodeServiceError.self) {
                _ = try await nodes[2].submit(try await self.submission(nodes[2], by: token.token))
            }
            #expect(more?.code == .issuerRefused && more?.message.contains("the token can give") == true)
        }
    }

    @Test("What is asked for again under one key is one token, also where the issuer is away and at once")
    func givenOnce() async throws {
        try await cooperative { nodes in
            var gift = TokenGift(
                holder: home.did(.originator).text, amount: 500,
                expiresAt: NodeClock.wallClock.advanced(milliseconds: 3_600_000).value)
            (gift.issuer, gift.scope) = (issuer.text, .executors([home.did(.executor).text]))
            gift.idempotencyKey = "guest"
            let asked = gift
            async let (one, two) = (nodes[3].give(asked), nodes[3].give(asked))
            let given = try await one
            #expect(try await two == given)
            #expect(try await nodes[3].give(gift) == given)
            #expect(try await nodes[3].tokens().map(\.token) == [given.token])
            let changes: [(inout TokenGift) -> Void] = [
                { $0.amount = 501 }, { $0.expiresAt += 1 }, { $0.scope = nil }, { $0.notBefore = 1 },
                { [executor = home.did(.executor).text] in $0.holder = executor }, { $0.parent = given.token },
                { [giver] in $0.issuer = giver.did.text },
            ]
            for change in changes {
                var other = gift
                change(&other)
                let asked = other
                let error = await #expect(throws: NodeServiceError.self) { _ = try await nodes[3].give(asked) }
                #expect(error?.code == .conflict && error?.message == "The key was used for another token.")
            }
            for key in ["", String(repeating: "k", count: 257)] {
                gift.idempotencyKey = key
                let asked = gift
                let error = await #expect(throws: NodeServiceError.self) { _ = try await nodes[3].give(asked) }
                #expect(error?.code == .invalidRequest)
            }
            // A part of it, by its holder; another key is another token.
            _ = try await nodes[2].takeToken(try Multibase.decodeWithoutPrefix(given.chain, .base64pad))
            var part = TokenGift(holder: home.did(.executor).text, amount: 200, expiresAt: given.expiresAt)
            (part.parent, part.idempotencyKey) = (given.token, "guest")
            let below = try await nodes[2].give(part)
            #expect(try await nodes[2].give(part) == below)
            part.idempotencyKey = nil
            #expect(try await nodes[2].give(part).token != below.token)
            gift.idempotencyKey = "guest, again"
            #expect(try await nodes[3].give(gift).token != given.token)
        }
    }

    @Test("A scope that only the manifest shows is held against it by the issuer")
    func scoped() async throws {
        try await cooperative { nodes in
            let module = try await nodes[2].add(try Assembler.command("(call $exit (i32.const 0))")).cid
            let token = try await hand(nodes) {
                $0.scope = .modules([module])
                $0.scope?.resources = ["cpu_millicores"]
            }
            var submission = try await submission(nodes[2], by: token.token)
            let job = try CID(named: try await nodes[2].submit(submission).jobID, "job")
            #expect(try await result(of: job, at: nodes[2]).ending == .succeeded)
            let foreign = try await hand(nodes) { $0.scope = .modules([job.text]) }
            submission.policy.token = foreign.token
            let other = submission
            let refused = await #expect(throws: NodeServiceError.self) { _ = try await nodes[2].submit(other) }
            #expect(refused?.message == "The token does not pay for this job: modules.")
        }
    }

    @Test("A token that its giver ended pays no more, and one that was handed on is counted above")
    func revoked() async throws {
        try await cooperative { nodes in
            let token = try await hand(nodes)
            // Its holder hands a part on to the giver of nothing else, the executor; it cannot have it back.
            var part = TokenGift(
                holder: home.did(.executor).text, amount: 200, expiresAt: token.expiresAt)
            part.parent = token.token
            let given = try await nodes[2].give(part)
            #expect(given.givers == [giver.did.text, home.did(.originator).text])
            part.holder = giver.did.text
            let loop = part
            let back = await #expect(throws: NodeServiceError.self) { _ = try await nodes[2].give(loop) }
            #expect(back?.message == "The token cannot be given: a token is given to who gave it away.")
            part.amount = 501
            let wider = part
            let wide = await #expect(throws: NodeServiceError.self) { _ = try await nodes[2].give(wider) }
            #expect(wide?.message.contains("amount") == true)
            let theirs = try Multibase.decodeWithoutPrefix(given.chain, .base64pad)
            let lost = await #expect(throws: NodeServiceError.self) { _ = try await nodes[0].takeToken(theirs) }
            #expect(lost?.message.contains("not for this node") == true)
            let holder = await #expect(throws: NodeServiceError.self) {
                _ = try await nodes[2].revokeToken(token.token)
            }
            #expect(holder?.message.contains("cannot end it") == true)
            let ended = try await nodes[3].revokeToken(token.token)
            #expect(ended.revokedBy != nil && ended.left == 0)
            #expect(try await nodes[3].revokeToken(token.token).revokedBy == ended.revokedBy)
            #expect(try await nodes[2].token(given.token).revokedBy == ended.revokedBy)
            let late = await #expect(throws: NodeServiceError.self) {
                _ = try await nodes[2].submit(try await self.submission(nodes[2], by: token.token))
            }
            #expect(late?.code == .issuerRefused)
            let shown = try await nodes[2].statement(at: issuer.text)
            #expect(shown.bookings.map(\.kind) == ["token_revoked"])
        }
    }
}

extension TokenScopeView {
    fileprivate static func executors(_ list: [String]) -> TokenScopeView {
        var scope = TokenScopeView()
        scope.executors = list
        return scope
    }

    fileprivate static func modules(_ list: [String]) -> TokenScopeView {
        var scope = TokenScopeView()
        scope.modules = list
        return scope
    }
}
