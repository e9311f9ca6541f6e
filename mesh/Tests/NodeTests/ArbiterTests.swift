import Credit
import Foundation
import JobMarket
import LibP2P
import MeshStore
import MeshTypes
import Multiformats
import NodeAPI
import P2PTesting
import PeerIdentity
import SignedObjects
import Testing

@testable import NodeCore
@testable import PlanetaryMesh

/// Results that are left with an arbiter, and claims that are disputed: four real nodes, over sockets.
@Suite("Results left with an arbiter", .serialized) struct ArbiterTests {
    /// Runs a cooperative whose times are short, until its executor runs a job of an originator that is gone by then.
    ///
    /// - Parameters:
    ///   - windowMilliseconds: how long a claim can be disputed.
    ///   - verification: how the originator checks the result.
    ///   - body: receives the nodes, of which the originator has stopped, the job, and a way to open that again.
    private func abandoned(
        windowMilliseconds: UInt64, verification: String? = nil,
        _ body: (CreditCooperative, [CreditCooperative.Role: MeshNode], CID) async throws -> Void
    ) async throws {
        var home = CreditCooperative()
        home.prices = "0.10 0.00"
        defer { try? FileManager.default.removeItem(at: home.folder) }
        try FileManager.default.createDirectory(at: home.folder, withIntermediateDirectories: true)
        var nodes: [CreditCooperative.Role: MeshNode] = [:]
        for role in CreditCooperative.Role.allCases { nodes[role] = try await home.open(role) }
        let issuer = try #require(nodes[.issuer])
        let (executor, originator) = (try #require(nodes[.executor]), try #require(nodes[.originator]))
        try await home.found(issuer, [.executor: 10_000, .originator: 10_000])
        await originator.shortenHolds(windowMilliseconds: windowMilliseconds)
        await executor.claimSoon()
        let others = try [issuer, executor, #require(nodes[.arbiter])]
        try await NodeMesh.running(others) {
            try await home.connect(executor, to: [issuer, #require(nodes[.arbiter])])
            var job: CID?
            // However slow the rest is, the run goes on only when its originator is gone.
            executor.runs.hold(true)
            try await NodeMesh.running([originator]) {
                try await home.connect(originator, to: others)
                let made = try await submit(at: originator, paying: home.did(.issuer), verification)
                job = made
                try await eventually("the job runs") { await executor.run(of: made)?.status == .running }
            }
            executor.runs.hold(false)
            try await body(home, nodes, #require(job))
        }
    }

    /// A job that counts for a moment.
    private func submit(
        at node: MeshNode, paying issuer: DID, _ verification: String?
    ) async throws -> CID {
        let module = try Assembler.command(
            """
            (local $n i64)
            (local.set $n (i64.const 100000000))
            (loop $l (br_if $l (i32.wrap_i64 (i64.shr_u
                (local.tee $n (i64.sub (local.get $n) (i64.const 1))) (i64.const 4)))))
            """)
        var submission = JobSubmission(moduleCID: try await node.add(module).cid)
        submission.policy.payBy = [issuer.text]
        submission.limits.maxFuel = 20_000_000_000
        submission.limits.timeoutSeconds = 10
        submission.budget = 1_000
        submission.verification = verification
        return try CID(named: try await node.submit(submission).jobID, "job")
    }

    /// Opens an originator again that was gone, with the others that it asks.
    private func again(
        _ home: CreditCooperative, _ others: [MeshNode], _ body: (MeshNode) async throws -> Void
    ) async throws {
        let node = try await home.open(.originator)
        try await NodeMesh.running([node]) {
            try await home.connect(node, to: others)
            try await body(node)
        }
    }

    @Test("An originator that is gone pays all the same: its executor leaves the result with the arbiter, and claims")
    func vanished() async throws {
        try await abandoned(windowMilliseconds: 1_000) { home, nodes, job in
            let (issuer, executor) = try (#require(nodes[.issuer]), #require(nodes[.executor]))
            try await eventually("the claim is paid") {
                try await home.story(at: issuer) == ["hold_granted", "claim_lodged", "claim_paid"]
            }
            #expect(await home.balance(.executor, at: issuer) == 10)
            #expect(await home.balance(.originator, at: issuer) == -10)
            try await eventually("the executor has its proof") {
                try await executor.describe(job).credit?.last?.state == .paid
            }
        }
    }

    @Test("An originator that comes back in time gets its result from the arbiter, and pays for it")
    func returned() async throws {
        try await abandoned(windowMilliseconds: 100_000) { home, nodes, job in
            let (issuer, executor, arbiter) = try (
                #require(nodes[.issuer]), #require(nodes[.executor]), #require(nodes[.arbiter])
            )
            try await eventually("it is claimed") { try await home.story(at: issuer).last == "claim_lodged" }
            // Nobody else can give it.
            try await executor.shutdown()
            try await again(home, [issuer, arbiter]) { originator in
                // Who disputes what is right hears that all is due.
                let question = try await dispute(of: job, at: originator, home)
                let asked = ArbiterExchange(host: originator.swarm)
                var answer = ArbiterAnswer.undecided
                try await eventually("the arbiter made the run again") {
                    answer = try await asked.ask(question, of: arbiter.identity.peerID)
                    return answer != .undecided
                }
                guard case .decided(let block) = answer else {
                    Issue.record("\(answer)")
                    return
                }
                #expect(try SignedObject<HoldDecision>(reading: block).body.payable == TokenAmount(10))
                try await originator.claims.look(on: originator, until: "the result is here") {
                    try await originator.describe(job).job.result?.ending == .succeeded
                }
                try await eventually("it paid") { try await home.story(at: issuer).last == "hold_settled" }
                #expect(await home.balance(.executor, at: issuer) == 10)
                try await eventually("it has its proof") {
                    try await originator.describe(job).credit?.last?.state == .paid
                }
                #expect(try await home.story(at: issuer).suffix(2) == ["claim_lodged", "hold_settled"])
            }
        }
    }

    /// What an originator asks the arbiter about the claim to its job.
    private func dispute(
        of job: CID, at originator: MeshNode, _ home: CreditCooperative
    ) async throws -> ArbiterQuestion {
        let member = originator.parts.member
        let entries = try await member.entries(at: try await member.meet(home.did(.issuer)))
        let lodged = entries.compactMap { entry -> (hold: CID, claim: [UInt8])? in
            if case .claimLodged(let hold, let claim, _) = entry.event { (hold, claim) } else { nil }
        }.first
        let (hold, block) = try #require(lodged)
        let claim = try SignedObject<HoldClaim>(reading: block)
        let dispute = try SignedObject.sign(
            HoldDispute(
                disputerDID: home.did(.originator), claimCID: claim.bodyCID, reason: "no",
                disputedAt: NodeClock.wallClock), with: originator.identity)
        let manifest = try #require(try await originator.store.block(job))
        return .decide(
            hold: hold, claim: block, dispute: dispute.bytes, manifest: manifest,
            key: SealingKey(of: originator.identity, job: JobID(job), attempt: 1).secret)
    }

    @Test("Whoever leaves something else than its result gets nothing, and pays for the dispute")
    func garbage() async throws {
        try await abandoned(windowMilliseconds: 100_000) { home, nodes, job in
            let (issuer, executor, arbiter) = try (
                #require(nodes[.issuer]), #require(nodes[.executor]), #require(nodes[.arbiter])
            )
            try await eventually("the run is over") { await executor.run(of: job)?.receipt != nil }
            let run = try #require(await executor.run(of: job))
            let (hold, receipt) = (try #require(run.hold), try #require(run.receiptCID))
            // Before it does so itself.
            let key = try #require(run.assignment?.sealingKey)
            let sealed = try #require(
                SealedResult.seal(Array("nothing".utf8), to: key, of: receipt, for: hold.body.holdCID))
            let asked = ArbiterExchange(host: executor.swarm)
            let answer = try await asked.ask(
                .keep(certificate: hold.bytes, part: sealed[0]), of: arbiter.identity.peerID)
            guard case .kept(let statement) = answer else {
                Issue.record("\(answer)")
                return
            }
            #expect(try SignedObject<DeliveryStatement>(reading: statement).did == home.did(.arbiter))
            try await eventually("it is claimed") { try await home.story(at: issuer).last == "claim_lodged" }
            try await again(home, [issuer, arbiter]) { originator in
                try await originator.claims.look(on: originator, until: "it is decided") {
                    try await home.story(at: issuer).last == "claim_decided"
                }
                #expect(await home.balance(.executor, at: issuer) ?? 0 <= 0)
                #expect(await home.balance(.originator, at: issuer) == 0)
                #expect(try await home.story(at: issuer).contains("claim_disputed"))
                try await eventually("its own view says so") {
                    try await originator.describe(job).credit?.last?.state == .released
                }
            }
        }
    }

    @Test("A wrong result, whole and well sealed, pays nothing once a check refuted it and the arbiter made the run")
    func lie() async throws {
        try await abandoned(windowMilliseconds: 100_000, verification: "replay") { home, nodes, job in
            let (issuer, executor, arbiter) = try (
                #require(nodes[.issuer]), #require(nodes[.executor]), #require(nodes[.arbiter])
            )
            try await eventually("the run is over") { await executor.run(of: job)?.receipt != nil }
            let run = try #require(await executor.run(of: job))
            let (hold, honest) = (try #require(run.hold), try #require(run.receipt))
            var body = honest
            body.stdoutCID = CID.hashing(Array("a lie".utf8), codec: .raw)
            let receipt = try SignedObject.sign(body, with: executor.identity)
            let archive = try #require(await LodgedResult.archive(of: receipt) { _ in Array("a lie".utf8) })
            let key = try #require(run.assignment?.sealingKey)
            let sealed = try #require(
                SealedResult.seal(archive, to: key, of: receipt.cid, for: hold.body.holdCID))
            let answer = try await ArbiterExchange(host: executor.swarm).ask(
                .keep(certificate: hold.bytes, part: sealed[0]), of: arbiter.identity.peerID)
            guard case .kept(let statement) = answer else {
                Issue.record("\(answer)")
                return
            }
            let assignment = try #require(try await executor.store.block(receipt.body.assignmentCID))
            let claim = try SignedObject.sign(
                HoldClaim(
                    executorDID: home.did(.executor), receipt: receipt.bytes, assignment: assignment,
                    delivery: statement,
                    claimedAt: NodeClock.wallClock), with: executor.identity)
            let event = BookEvent.claimLodged(hold: hold.body.holdCID, claim: claim.bytes, lodging: nil)
            _ = try await executor.parts.member.ask(home.did(.issuer), .submit(event: event))
            try await executor.shutdown()
            try await again(home, [issuer, arbiter]) { originator in
                try await originator.claims.look(on: originator, until: "it is decided") {
                    try await home.story(at: issuer).last == "claim_decided"
                }
                #expect(await home.balance(.executor, at: issuer) ?? 0 <= 0)
                #expect(await home.balance(.originator, at: issuer) == 0)
            }
        }
    }
}
