import Credit
import Foundation
import JobMarket
import LibP2P
import MeshStore
import MeshTypes
import Multiformats
import NodeAPI
import NodeSetup
import P2PTesting
import PeerIdentity
import SignedObjects
import Testing

@testable import NodeCore
@testable import PlanetaryMesh

/// Two cooperatives of real nodes over sockets: an originator of the one, an executor that trusts the other alone, and
/// an arbiter that both charters name.
struct TwoCooperatives {
    /// The nodes by what they are.
    enum Role: Int, CaseIterable { case north, south, executor, originator, arbiter }

    let folder = URL(fileURLWithPath: "/tmp/mn-\(UUID().uuidString.prefix(8))")
    let identities = Role.allCases.map { _ in Identity.generate() }
    let officers = [Identity.generate(), Identity.generate()]

    subscript(_ role: Role) -> Identity { identities[role.rawValue] }
    func did(_ role: Role) -> DID { self[role].did }
    /// How both are founded.
    var book: CreditBook {
        CreditBook(officers: officers, arbiters: [did(.arbiter)], marginMilliseconds: 1_000)
    }

    func open(_ role: Role) async throws -> MeshNode {
        var configuration = try NodeMesh.loopback()
        configuration.executor.isEnabled = role == .executor
        if role == .executor { configuration.executor.issuers = ["\(did(.south)) hours/2 0.10 0.00"] }
        if role == .arbiter { configuration.arbiter.issuers = [did(.north).text, did(.south).text] }
        return try await NodeMesh.open(
            folder.appendingPathComponent("\(role)").path, configuration, identity: self[role])
    }

    func connect(_ node: MeshNode, to others: [MeshNode]) async throws {
        for other in others {
            // A node that was opened again may be dialing where the other was before.
            try await eventually("they are connected") {
                let addresses = await other.swarm.listenAddresses()
                return (try? await node.swarm.connect(to: other.identity.peerID, addresses: addresses)) != nil
            }
        }
    }

    /// Opens all nodes, founds both books, and opens the lines.
    func opened() async throws -> [Role: MeshNode] {
        var nodes: [Role: MeshNode] = [:]
        for role in Role.allCases { nodes[role] = try await open(role) }
        let most: UInt64 = 10_000
        try await book.found(
            #require(nodes[.north]),
            [.init(did: did(.originator), most: 10_000), .init(did: did(.south), most: most, isIssuer: true)])
        try await book.found(
            #require(nodes[.south]),
            [.init(did: did(.executor), most: 10_000), .init(did: did(.north), most: most, isIssuer: true)])
        return nodes
    }

    /// Submits a job at the originator once its issuer tells it of the other.
    func submit(
        at node: MeshNode, _ module: String = "(call $exit (i32.const 0))",
        _ change: (inout JobSubmission) async throws -> Void = { _ in }
    ) async throws -> CID {
        let questions = HoldQuestions(member: node.parts.member)
        try await eventually("the issuer tells of the other") {
            (try? await questions.neighbours(of: did(.north), in: CreditCooperative.unit)) == [did(.south)]
        }
        var submission = JobSubmission(moduleCID: try await node.add(Assembler.command(module)).cid)
        submission.policy.payBy = [did(.north).text]
        submission.limits.maxFuel = 20_000_000_000
        submission.limits.timeoutSeconds = 10
        submission.budget = 1_000
        try await change(&submission)
        return try CID(named: try await node.submit(submission).jobID, "job")
    }
}

/// Jobs that are paid across two issuers (PROTOCOL.md, "Jobs by credit").
@Suite("Jobs paid across two issuers", .serialized) struct AcrossTests {
    private let home = TwoCooperatives()

    private func running(
        _ body: ([TwoCooperatives.Role: MeshNode]) async throws -> Void
    ) async throws {
        defer { try? FileManager.default.removeItem(at: home.folder) }
        try FileManager.default.createDirectory(at: home.folder, withIntermediateDirectories: true)
        let nodes = try await home.opened()
        let (north, south) = (try #require(nodes[.north]), try #require(nodes[.south]))
        let (executor, arbiter) = (try #require(nodes[.executor]), try #require(nodes[.arbiter]))
        try await NodeMesh.running(Array(nodes.values)) {
            try await home.connect(north, to: [south])
            try await home.connect(executor, to: [south, arbiter])
            try await home.connect(#require(nodes[.originator]), to: [north, executor, arbiter, south])
            try await body(nodes)
        }
    }

    /// Checks that both books are over, and owe each other what the job cost.
    private func expectPaid(_ amount: Int64, _ nodes: [TwoCooperatives.Role: MeshNode]) async throws {
        let (north, south) = (try #require(nodes[.north]), try #require(nodes[.south]))
        #expect(await south.creditBalance(of: home.did(.executor)) == amount)
        #expect(await south.creditBalance(of: home.did(.north)) == -amount)
        #expect(await north.creditBalance(of: home.did(.south)) == amount)
        #expect(await north.creditBalance(of: home.did(.originator)) == -amount)
        for node in [north, south] {
            #expect(await node.parts.member.own.issuer?.book.holds.values.count(where: \.isLive) == 0)
        }
    }

    @Test("An executor that never heard of the originator's issuer is paid by its own, and both books agree")
    func paid() async throws {
        try await running { nodes in
            let originator = try #require(nodes[.originator])
            let job = try await home.submit(at: originator)
            try await eventually("the job is done") { try await originator.describe(job).job.result != nil }
            let result = try #require(try await originator.describe(job).job.result)
            #expect(result.ending == .succeeded && result.paid == 10, "\(result)")
            for role in [TwoCooperatives.Role.north, .south] {
                try await eventually("it is booked") {
                    try await nodes[role]?.creditStory() == ["hold_granted", "hold_settled"]
                }
            }
            for role in [TwoCooperatives.Role.originator, .executor] {
                try await eventually("both have the entry that paid") {
                    try await nodes[role]?.describe(job).credit?.last?.state == .paid
                }
            }
            try await expectPaid(10, nodes)
        }
    }

    /// Shortens the dates of holds, and runs a job whose originator is gone before its result is there, with the issuer
    /// of the executor and the arbiter alone: the originator's issuer is to be run by the body.
    private func abandoned(
        windowMilliseconds: UInt64,
        _ body: ([TwoCooperatives.Role: MeshNode], CID) async throws -> Void
    ) async throws {
        defer { try? FileManager.default.removeItem(at: home.folder) }
        try FileManager.default.createDirectory(at: home.folder, withIntermediateDirectories: true)
        let nodes = try await home.opened()
        let (north, south) = (try #require(nodes[.north]), try #require(nodes[.south]))
        let (executor, arbiter) = (try #require(nodes[.executor]), try #require(nodes[.arbiter]))
        let originator = try #require(nodes[.originator])
        await originator.shortenHolds(windowMilliseconds: windowMilliseconds)
        await executor.claimSoon()
        try await NodeMesh.running([south, executor, arbiter]) {
            try await home.connect(executor, to: [south, arbiter])
            var job: CID?
            executor.runs.hold(true)
            try await NodeMesh.running([north, originator]) {
                try await home.connect(north, to: [south])
                try await home.connect(originator, to: [north, executor, arbiter, south])
                let made = try await home.submit(at: originator)
                job = made
                try await eventually("the job runs") { await executor.run(of: made)?.status == .running }
            }
            executor.runs.hold(false)
            try await body(nodes, #require(job))
        }
    }

    /// Opens the originator's issuer, or the originator, again.
    private func again(
        _ role: TwoCooperatives.Role, _ others: [MeshNode], _ body: (MeshNode) async throws -> Void
    ) async throws {
        let node = try await home.open(role)
        try await NodeMesh.running([node]) {
            try await home.connect(node, to: others)
            try await body(node)
        }
    }

    @Test("An executor is paid whose originator is gone, and its issuer as well, which follows when it is back")
    func vanished() async throws {
        try await abandoned(windowMilliseconds: 2_500) { nodes, job in
            let (south, executor) = (try #require(nodes[.south]), try #require(nodes[.executor]))
            try await eventually("the claim is paid") {
                try await south.creditStory() == ["hold_granted", "claim_lodged", "claim_paid"]
            }
            try await eventually("the executor has its proof") {
                try await executor.describe(job).credit?.last?.state == .paid
            }
            try await again(.north, [south]) { north in
                // What was claimed in the south counts in the north, and is paid there, too.
                try await eventually("the north has the claim") {
                    try await north.creditStory() == ["hold_granted", "claim_lodged"]
                }
                let desk = await north.parts.member.own
                let hold = try #require(await desk.holdsAcross().first)
                try await eventually("the north knows that it is over below") { await desk.isKnownOver(hold.id) }
            }
        }
    }

    @Test("A dispute reaches the other book, and who left nothing of use is paid by neither")
    func disputed() async throws {
        try await abandoned(windowMilliseconds: 100_000) { nodes, job in
            let (south, executor) = (try #require(nodes[.south]), try #require(nodes[.executor]))
            let arbiter = try #require(nodes[.arbiter])
            try await eventually("the run is over") { await executor.run(of: job)?.receipt != nil }
            let run = try #require(await executor.run(of: job))
            let (hold, receipt) = (try #require(run.hold), try #require(run.receiptCID))
            let key = try #require(run.assignment?.sealingKey)
            let sealed = try #require(
                SealedResult.seal(Array("nothing".utf8), to: key, of: receipt, for: hold.body.holdCID))
            _ = try await ArbiterExchange(host: executor.swarm).ask(
                .keep(certificate: hold.bytes, part: sealed[0]), of: arbiter.identity.peerID)
            try await eventually("it is claimed") { try await south.creditStory().last == "claim_lodged" }
            try await again(.north, [south]) { north in
                try await eventually("the north has the claim") {
                    try await north.creditStory().last == "claim_lodged"
                }
                try await again(.originator, [north, south, arbiter]) { originator in
                    let decided = ["hold_granted", "claim_lodged", "claim_disputed", "claim_decided"]
                    try await originator.claims.look(on: originator, until: "it is decided") {
                        try await north.creditStory() == decided
                    }
                    #expect(try await south.creditStory() == decided)
                    for (node, did) in [(north, TwoCooperatives.Role.originator), (south, .executor)] {
                        #expect(await node.creditBalance(of: home.did(did)) == 0)
                    }
                }
            }
        }
    }

    @Test("What is brought above for a hold is booked only once the book below has it")
    func below() async throws {
        try await abandoned(windowMilliseconds: 100_000) { nodes, job in
            let (south, executor) = (try #require(nodes[.south]), try #require(nodes[.executor]))
            try await eventually("it is claimed") { try await south.creditStory().last == "claim_lodged" }
            let run = try #require(await executor.run(of: job))
            let (hold, chain) = (try #require(run.hold), try #require(run.assignmentCID))
            // In league with its originator, it gives up above what it has claimed below.
            let release = try SignedObject.sign(
                HoldRelease(
                    executorDID: home.did(.executor), holdCID: chain, bidCID: hold.body.terms.bidCID,
                    releasedAt: NodeClock.wallClock), with: executor.identity)
            try await again(.north, [south]) { north in
                let desk = await north.parts.member.own
                try await eventually("the north knows the hold") { await !desk.holdsAcross().isEmpty }
                let upper = try #require(await desk.holdsAcross().first)
                var answer = CreditAnswer.lines(lines: [], size: 0)
                try await eventually("the south refuses it") {
                    answer = await desk.answer(
                        .submit(event: .holdReleased(hold: upper.id, release: release.bytes)),
                        for: home.did(.originator))
                    if case .refused(.later, let text) = answer { return text.contains("The book does not take it") }
                    return false
                }
                #expect(try await !north.creditStory().contains("hold_released"), "\(answer)")
                // Nor does it expire, whoever asks for that.
                guard
                    case .refused(.later, let text) = await desk.answer(
                        .submit(event: .holdExpired(hold: upper.id)), for: home.did(.originator))
                else {
                    Issue.record("it expired")
                    return
                }
                #expect(text.contains("is not known yet"))
            }
        }
    }

    /// Checks that few wait for another issuer, and only with what its signer signed.
    private func bounded(_ north: MeshNode) async throws {
        let member = north.parts.member
        let hold = try #require(await member.own.holdsAcross().first)
        var limits = AcrossDesk.Limits()
        limits.waitedPerIssuerMax = 0
        let full = AcrossDesk(member: member, logger: north.parts.logger, limits: limits)
        #expect(
            await full.below(of: hold.id, at: home.did(.south))
                == .refused(reason: .later, text: "As many wait for the executor's issuer as may."))
        // What is not signed by whom it needs is not even given to the other.
        let release = try SignedObject.sign(
            HoldRelease(
                executorDID: home.did(.originator), holdCID: hold.id, bidCID: hold.terms.bidCID,
                releasedAt: NodeClock.wallClock), with: home[.originator])
        let event = BookEvent.holdReleased(hold: hold.id, release: release.bytes)
        guard case .refused(.book, _) = await member.own.answer(.submit(event: event), for: home.did(.originator))
        else {
            Issue.record("it was given to the other issuer")
            return
        }
    }

    @Test("Nobody is assigned what the executor's issuer does not hold")
    func refusedBelow() async throws {
        try await running { nodes in
            let (originator, south) = (try #require(nodes[.originator]), try #require(nodes[.south]))
            let job = try await home.submit(at: originator) { _ in
                // The officers of the south want nothing more to do with the north.
                try await home.book.carryOut(
                    .freeze(line: LineID(home.did(.north), CreditCooperative.unit), frozen: true), at: south)
            }
            var story = ""
            try await eventually("its job has no hold") {
                story = try await originator.explain(job).lines.map(\.text).joined(separator: "\n")
                return story.contains("refuses the hold")
            }
            #expect(story.contains("The executor's issuer refuses."), "\(story)")
            #expect(try await south.creditStory() == [])
            #expect(try await nodes[.north]?.creditStory() == ["hold_granted"])
            try await bounded(#require(nodes[.north]))
        }
    }
}
