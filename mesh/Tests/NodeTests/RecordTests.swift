import Credit
import Foundation
import IPLD
import JobMarket
import LibP2P
import Logging
import MerkleLog
import MeshStore
import MeshTypes
import Multiformats
import NodeAPI
import NodeSetup
import P2PTesting
import PeerIdentity
import Reputation
import SignedObjects
import Synchronization
import Testing

@testable import NodeCore
@testable import PlanetaryMesh

/// Records that travel: a job paid in a cooperative, and two strangers to it that hear of that over sockets.
@Suite("Records that travel, over sockets", .serialized) struct RecordTests {
    private let home = CreditCooperative()
    private let judge = Identity.generate()
    private let stranger = Identity.generate()

    private var executor: DID { home.did(.executor) }

    private func open(_ identity: Identity, trusting issuers: [String]) async throws -> MeshNode {
        var configuration = try NodeMesh.loopback()
        configuration.executor.isEnabled = false
        configuration.executor.issuers = issuers
        return try await NodeMesh.open(
            home.folder.appendingPathComponent("\(identity.did.text.suffix(8))").path, configuration,
            identity: identity)
    }

    private func openJudge() async throws -> MeshNode {
        try await open(judge, trusting: ["\(home.did(.issuer)) hours/2 0.10 0.01"])
    }

    private func paidJob(at node: MeshNode) async throws -> JobResult {
        let module = try Assembler.command("(call $exit (i32.const 0))")
        var submission = JobSubmission(moduleCID: try await node.add(module).cid)
        submission.policy.payBy = [home.did(.issuer).text]
        submission.limits.maxFuel = 100_000_000
        submission.budget = 1_000
        let job = try CID(named: try await node.submit(submission).jobID, "job")
        for await event in try await node.progress(of: job) {
            if let result = event.result { return result }
        }
        throw NodeServiceError(.internalError, "The stream of \(job) ended without a result.")
    }

    /// Keeps what a check told.
    private final class Told: Sendable {
        private let items = Mutex<[ReputationEvidence]>([])
        var all: [ReputationEvidence] { items.withLock { $0 } }
        func add(_ item: ReputationEvidence) { items.withLock { $0.append(item) } }
    }

    @Test("Who trusts the issuer counts a receipt that others paid, the same after a restart; nobody else does")
    func travels() async throws {
        defer { try? FileManager.default.removeItem(at: home.folder) }
        try FileManager.default.createDirectory(at: home.folder, withIntermediateDirectories: true)
        var nodes: [MeshNode] = []
        for role in [CreditCooperative.Role.issuer, .executor, .originator] { nodes.append(try await home.open(role)) }
        try await home.found(nodes[0], [.executor: 10_000, .originator: 10_000])
        let others = [try await openJudge(), try await open(stranger, trusting: [])]
        var amount: UInt64 = 0
        try await NodeMesh.running(nodes + others) {
            try await home.connect(nodes[1], to: [nodes[0]])
            try await home.connect(nodes[2], to: [nodes[0], nodes[1]] + others)
            try await home.connect(others[0], to: [nodes[0]])
            amount = try #require(try await paidJob(at: nodes[2]).paid)
            try await eventually("the judge counts it") {
                await others[0].core.market.reputation.elsewhere.count == 1
            }
            try await eventually("the stranger heard of it") {
                others[1].parts.tallies.all["records_heard"] ?? 0 >= 1
            }
            #expect(await others[1].core.market.reputation.elsewhere.count == 0)
            try await checkLies(at: others[0], told: try await record(of: nodes[2]), fetching: nodes[2])
        }
        let restarted = try await openJudge()
        try await NodeMesh.running([restarted]) {
            let view = try await restarted.reputation(of: executor.text)
            let subject = try #require(view.subjects.first)
            #expect(subject.goodElsewhere > 990 && subject.score > 240 && !subject.isProven, "\(subject)")
            let payer = try #require(subject.elsewhere?.first)
            #expect(payer.did == home.did(.originator).text && payer.keptPermille == 1_000)
            #expect(payer.receipts.map(\.amount) == [amount] && payer.receipts.map(\.unit) == ["hours"])
            #expect(payer.receipts.map(\.issuer) == [home.did(.issuer).text])
            #expect(try await restarted.reputation(of: nil).subjects.map(\.did) == [executor.text])
        }
    }

    @Test("An issuer that signs a history for strangers is found out, and what it booked is forgotten")
    func fork() async throws {
        defer { try? FileManager.default.removeItem(at: home.folder) }
        try FileManager.default.createDirectory(at: home.folder, withIntermediateDirectories: true)
        var nodes: [MeshNode] = []
        for role in [CreditCooperative.Role.issuer, .executor, .originator] { nodes.append(try await home.open(role)) }
        try await home.found(nodes[0], [.executor: 10_000, .originator: 10_000])
        let judge = try await openJudge()
        try await NodeMesh.running(nodes + [judge]) {
            try await home.connect(nodes[1], to: [nodes[0]])
            try await home.connect(nodes[2], to: [nodes[0], nodes[1], judge])
            try await home.connect(judge, to: [nodes[0]])
            _ = try await paidJob(at: nodes[2])
            try await eventually("the judge counts it") { await judge.core.market.reputation.elsewhere.count == 1 }
            try await checkFork(at: judge, told: try await record(of: nodes[2]), nodes)
        }
        let restarted = try await openJudge()
        try await NodeMesh.running([restarted]) {
            #expect(await restarted.core.market.reputation.elsewhere.count == 0, "nor after a restart")
        }
    }

    /// The record that an originator told.
    private func record(of node: MeshNode) async throws -> ReputationRecord {
        let told = await node.parts.records.lastTold
        return try SignedObject<ReputationRecord>(verifying: try #require(told)).body
    }

    /// A desk of a node that did not check anything yet, with a way to fetch of its own.
    private func desk(of node: MeshNode, _ fetch: @escaping RecordDesk.Fetch) -> RecordDesk {
        let parts = node.parts
        return RecordDesk(
            member: parts.member, gossip: parts.gossip, settings: parts.settings, logger: parts.logger, fetch: fetch)
    }

    /// What a record cites has to be what it says, and its issuer's log the one that this node is shown.
    private func checkLies(
        at node: MeshNode, told record: ReputationRecord, fetching source: MeshNode
    ) async throws {
        let honest = try #require(try await source.store.block(record.pay.proofCID))
        func shows(_ proof: [UInt8]? = nil, _ change: (inout ReputationRecord) -> Void = { _ in }) async -> Int {
            var lie = record
            change(&lie)
            let told = Told()
            await desk(of: node) { _, _ in proof ?? honest }.check(lie) { finding in
                if case .holds(let evidence) = finding { told.add(evidence) }
            }
            return told.all.count
        }
        #expect(await shows() == 1, "the record itself holds")
        let other = home.did(.arbiter)
        #expect(await shows { $0.raterDID = other } == 0)
        #expect(await shows { $0.subjectDID = other } == 0)
        #expect(await shows { $0.weight += 1 } == 0)
        #expect(await shows { $0.receiptCID = record.pay.settlementCID } == 0)
        #expect(await shows { $0.pay.settlementCID = record.receiptCID } == 0)
        #expect(await shows { $0.pay.issuerDID = other } == 0, "nobody here trusts that issuer")
        #expect(await shows([]) == 0)
        let late = desk(of: node) { _, _ in throw CancellationError() }
        await late.check(record) { _ in Issue.record("nothing came") }
        #expect(await late.isPaused(record.raterDID))
    }

    /// The proof of the same entries in another log of their issuer, which it signs for strangers alone.
    private func privateProof(like honest: [UInt8], of issuer: MeshNode) async throws -> [UInt8] {
        let proof = try PaidReceipt(reading: honest)
        let rows = try await IssuerEntryRow.entries(from: 0, limit: 1_000, bytesMax: 1 << 24, in: issuer.store)
        let entries = try rows.map { try DAGCBORDecoder().decode(BookEntry.self, from: $0.entry) }
        let other = try Issuer(
            replaying: entries, salts: EntrySalts(secret: [UInt8](repeating: 7, count: EntryOpening.saltBytes)))
        var (tree, hashes) = (MerkleTree(), [HashPlace: MerkleHash]())
        for (index, entry) in entries.enumerated() {
            for (level, hash) in tree.append(.leaf(try other.opening(of: entry).commitment)).enumerated() {
                hashes[HashPlace(level: UInt64(level), index: UInt64(index) >> UInt64(level))] = hash
            }
        }
        func opened(_ number: UInt64) throws -> OpenedEntry {
            let plan = try #require(ProofPlan.inclusion(of: number, in: UInt64(entries.count)))
            return OpenedEntry(
                number: number, opening: try other.opening(of: entries[Int(number)]),
                proof: try #require(plan.proof(of: hashes)).flatMap(\.bytes))
        }
        let head = try #require(try other.head(signedBy: home[.issuer]))
        let made = PaidReceipt(
            charter: proof.charter, head: head.bytes, granted: try opened(proof.granted.number),
            settled: try opened(proof.settled.number))
        return try #require(made.block)
    }

    /// An issuer that signs a history for strangers is found out by the log that it shows.
    private func checkFork(at node: MeshNode, told record: ReputationRecord, _ nodes: [MeshNode]) async throws {
        let honest = try #require(try await nodes[2].store.block(record.pay.proofCID))
        let forged = try await privateProof(like: honest, of: nodes[0])
        #expect(try PaidReceipt(reading: forged).verified().receiptCID == record.receiptCID, "by itself it is good")
        let convicted = Mutex<[DID]>([])
        await desk(of: node) { _, _ in forged }.check(record) { finding in
            switch finding {
            case .holds: Issue.record("it holds")
            case .issuerConvicted(let issuer): convicted.withLock { $0.append(issuer) }
            }
        }
        #expect(convicted.withLock { $0 } == [home.did(.issuer)])
        #expect(await node.parts.records.trustedIssuers().isEmpty)
    }

    @Test("One record of a rater is checked at once, and a bounded number of all; the others are left out")
    func bounds() async throws {
        defer { try? FileManager.default.removeItem(at: home.folder) }
        try FileManager.default.createDirectory(at: home.folder, withIntermediateDirectories: true)
        let node = try await openJudge()
        let asked = Mutex<[PeerID]>([])
        let (gate, opening) = AsyncStream.makeStream(of: Void.self)
        let desk = desk(of: node) { _, peer in
            asked.withLock { $0.append(peer) }
            for await _ in gate {}
            throw CancellationError()
        }
        let raters = (0..<5).map { _ in Identity.generate() }
        func record(_ rater: Identity) -> ReputationRecord {
            let cid = CID.hashing(Array(rater.did.text.utf8), codec: .dagCBOR)
            return ReputationRecord(
                raterDID: rater.did, subjectDID: executor, receiptCID: cid, verdict: .fulfilled, weight: 1,
                recordedAt: NodeClock.wallClock,
                pay: RecordedPay(issuerDID: home.did(.issuer), settlementCID: cid, proofCID: cid))
        }
        for rater in raters[2...3] { await desk.trust(rater.did) }
        await withTaskGroup(of: Void.self) { group in
            for rater in raters.prefix(4) {
                group.addTask { await desk.check(record(rater)) { _ in } }
                let count = (raters.firstIndex { $0.did == rater.did } ?? 0) + 1
                try? await eventually("it is checked") { asked.withLock(\.count) == count }
                // A third newcomer finds no place, whatever is free for those who kept their word.
                if count == 2 { await desk.check(record(raters[4])) { _ in } }
            }
            #expect(asked.withLock(\.count) == RecordDesk.Limits().checksAtOnceMax)
            await desk.trust(raters[4].did)
            // Neither a fifth nor the same again begins: both return at once.
            await desk.check(record(raters[4])) { _ in }
            await desk.check(record(raters[0])) { _ in }
            #expect(asked.withLock(\.count) == 4)
            opening.finish()
        }
        #expect(asked.withLock { $0 } == raters.prefix(4).map(\.peerID))
        await desk.check(record(raters[4])) { _ in }
        #expect(asked.withLock(\.count) == 5, "once there is room")
        await desk.check(record(raters[0])) { _ in }
        #expect(asked.withLock(\.count) == 5, "whose proof did not come is not listened to for a while")
        try node.store.close()
    }
}
