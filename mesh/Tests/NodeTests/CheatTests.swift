import CoVM
import JobMarket
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

/// A real executor that lies, as a peer with a key of its own beside an honest node: nothing of it is part of `mesh`.
@Suite("Cheats among executors", .serialized)
struct CheatTests {
    /// What the cheat says instead of running the job.
    private struct Lie: CustomStringConvertible {
        let outcome: ExecutionOutcome
        let fuel: UInt64
        /// Whether it shows only in a run of the job, which proves it.
        var isProved = true
        var level = "replay"
        /// What its settlement says.
        var verdict = SettlementVerdict.refuted
        /// The fuel that the job may use, where it is not the usual.
        var maxFuel: UInt64?

        var description: String { "\(outcome), \(fuel) fuel, \(level)" }
    }

    /// A module that counts down, and so uses some 700,000 fuel.
    private static func module() throws -> [UInt8] {
        try Assembler.command(
            """
            (local $n i32)
            (local.set $n (i32.const 100000))
            (loop $l (br_if $l (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
            """)
    }

    /// Bids least, takes the assignment, runs nothing, and signs the lie.
    private func cheat(
        _ peer: HostilePeer, on job: CID, of originator: MeshNode, _ lie: Lie
    ) async throws -> SignedObject<ExecutionReceipt> {
        try await peer.bid(on: JobID(job), of: originator)
        let order = try await peer.order()
        #expect(order.manifest.params.verification == .none, "the cheat can tell that it is watched")
        let receipt = try peer.receipt(of: order, lie.outcome, fuel: lie.fuel)
        try await peer.deliver(receipt, to: originator)
        return receipt
    }

    @Test("Whoever runs nothing is caught, gets nothing, and the honest node does the job; anybody can check the proof")
    func caught() async throws {
        let lies = [
            Lie(outcome: .exited(code: 0), fuel: 1), Lie(outcome: .exited(code: 0), fuel: 40_000_000),
            Lie(outcome: .exited(code: 7), fuel: 700_000),
            Lie(outcome: .trapped(kind: .unreachable, message: "no"), fuel: 10),
            Lie(outcome: .limitExceeded(.memory), fuel: 10), Lie(outcome: .limitExceeded(.fuel), fuel: 40_000_000),
            Lie(outcome: .limitExceeded(.fuel), fuel: 1_000), Lie(outcome: .limitExceeded(.wallClock), fuel: 900_000),
            Lie(outcome: .moduleRefused(reason: "no"), fuel: 0),
            Lie(
                outcome: .moduleRefused(reason: "no"), fuel: 0, isProved: false, level: "none", verdict: .unverified),
            // Nobody else can see that it came too soon.
            Lie(outcome: .limitExceeded(.wallClock), fuel: 1, isProved: false),
            Lie(outcome: .limitExceeded(.wallClock), fuel: 1, isProved: false, level: "none"),
            // More than any machine burns in a moment, so that the job's whole budget would be due for nothing.
            Lie(outcome: .exited(code: 0), fuel: 900_000_000_000, level: "none", maxFuel: 1_000_000_000_000),
        ]
        // So many liars at one originator leave no room for another stranger beside an executor that proved itself.
        for start in stride(from: 0, to: lies.count, by: 3) {
            try await caught(telling: lies[start..<min(start + 3, lies.count)])
        }
    }

    /// Has a liar tell each of these to one originator, which has one honest executor besides.
    private func caught(telling lies: ArraySlice<Lie>) async throws {
        try await NodeMesh.run(prices: [900]) { mesh in
            for lie in lies {
                try await HostilePeer.meeting([mesh.originator]) { peer in
                    let job = try await mesh.submit(Self.module()) { submission in
                        submission.verification = lie.level
                        submission.limits.maxFuel = lie.maxFuel ?? submission.limits.maxFuel
                        submission.policy.sufficientBids = 2
                        submission.policy.bidWindowMilliseconds = 20_000
                    }
                    let receipt = try await cheat(peer, on: job, of: mesh.originator, lie)
                    let result = try await mesh.result(of: job)
                    #expect(result.ending == .succeeded, "\(lie): \(result.detail)")
                    #expect(result.executorDID == mesh.nodes[0].identity.did.text, "\(lie)")
                    #expect(result.finding == (lie.level == "replay" ? "confirmed" : nil), "\(lie)")
                    let settled = try #require(
                        await peer.awaiting { message -> Settlement? in
                            guard case .jobSettled(let settled) = message else { return nil }
                            return try? SignedObject<Settlement>(verifying: settled.settlement).body
                        })
                    #expect(settled.amountPaid == .zero && settled.receiptCID == receipt.cid, "\(lie)")
                    #expect(settled.verdict == lie.verdict, "\(lie)")
                    let proofs = try await mesh.originator.proofs(against: nil, limit: 50)
                    let made = proofs.first { $0.receiptCID == receipt.cid.text }
                    #expect((made != nil) == lie.isProved, "\(lie)")
                    guard let made else { return }
                    // A node that saw nothing of it: from the proof's CID alone.
                    let report = try await mesh.nodes[0].verifyProof(CID(named: made.proofCID, "proof"))
                    #expect(report.verdict == .holds, "\(lie): \(report.detail)")
                    let judged = try await mesh.nodes[0].reputation(of: made.executorDID).subjects.first
                    #expect(judged?.receipts == ["invalid": 1], "\(lie): it counts at whoever checked it, too")
                    #expect(judged?.reasons?.map(\.receiptCID) == [receipt.cid.text], "\(lie)")
                }
            }
        }
    }

    /// Takes the next assignment, and says that it failed by its own doing.
    private func fail(_ peer: HostilePeer, in mesh: NodeMesh) async throws {
        let order = try await peer.order()
        let receipt = try peer.receipt(of: order, .nodeFailed(reason: "no power"), fuel: 0)
        try await peer.deliver(receipt, to: mesh.originator)
    }

    @Test("Two that say they failed end no job that runs at its originator, which runs it and asks the next one")
    func failureClaimers() async throws {
        try await NodeMesh.run(prices: [900]) { mesh in
            try await HostilePeer.meeting([mesh.originator]) { first in
                try await HostilePeer.meeting([mesh.originator]) { second in
                    let job = try await mesh.submit(Self.module()) { submission in
                        submission.policy.sufficientBids = 3
                        submission.policy.bidWindowMilliseconds = 20_000
                    }
                    for peer in [first, second] { try await peer.bid(on: JobID(job), of: mesh.originator) }
                    async let one: Void = fail(first, in: mesh)
                    async let two: Void = fail(second, in: mesh)
                    _ = try await (one, two)
                    let result = try await mesh.result(of: job)
                    #expect(result.ending == .succeeded, "\(result.detail)")
                    #expect(result.executorDID == mesh.nodes[0].identity.did.text)
                    let lines = try await mesh.originator.explain(job).lines.map(\.text)
                    #expect(lines.contains { $0.contains("here the module ended with exit code 0") }, "\(lines)")
                }
            }
        }
    }

    @Test("The proof of a receipt that does not lie does not hold, whoever signs it")
    func falseProof() async throws {
        try await NodeMesh.run(prices: [10, 900]) { mesh in
            let job = try await mesh.submit(Self.module()) { $0.verification = "replay" }
            let result = try await mesh.result(of: job)
            #expect(result.finding == "confirmed")
            let cid = try CID(named: try #require(result.receiptCID), "receipt")
            let executor = try #require(mesh.nodes.first { $0.identity.did.text == result.executorDID })
            let block = try #require(try await executor.store.block(cid))
            let receipt = try SignedObject<ExecutionReceipt>(verifying: block).body
            let liar = try #require(mesh.nodes.dropLast().first { $0.identity.did != executor.identity.did })
            let proof = try SignedObject.sign(
                FraudProof(
                    jobID: receipt.jobID, assignmentCID: receipt.assignmentCID, receiptCID: cid,
                    executorDID: receipt.executorDID, makerDID: liar.identity.did,
                    found: ReplayedResult(
                        outcome: .exited(code: 9), outputs: [:], stdoutCID: nil, stderrCID: nil, logCID: nil,
                        readCID: nil, anchoredCIDs: [], fuel: 3, engine: receipt.engine), fuelMax: 10,
                    madeAt: NodeClock.wallClock), with: liar.identity)
            try await liar.store.commit([.block(cid: proof.cid, bytes: proof.bytes)])
            let view = try await liar.proof(proof.cid)
            #expect(view.cost?.fuelMax == JobSubmission.Limits.standard.maxFuel)
            #expect(try await liar.verifyProof(proof.cid).verdict == .fails)
            #expect(try await liar.proofs(against: nil, limit: 10).isEmpty, "only what a node found itself is listed")
        }
    }

    @Test("A result is told to be checked, its settlement opens how, and a job that is too large here is refused")
    func honest() async throws {
        try await NodeMesh.run(prices: [10]) { _, configuration in
            configuration.originator.verification = "spot:100%"
            configuration.executor.memoryMiB = 256
        } _: { mesh in
            let job = try await mesh.submit(Self.module())
            #expect(try await mesh.result(of: job).finding == "confirmed")
            let lines = try await mesh.originator.explain(job).lines
            #expect(lines.contains { $0.phase == "Verifying" && $0.text.contains("runs the job again") })
            let receipt = try #require(try await mesh.result(of: job).receiptCID)
            let report = try await mesh.originator.verifyReceipt(CID(named: receipt, "receipt"))
            let line = report.lines.first { $0.name == "check as committed" }
            #expect(line?.verdict == .passed, "\(report.lines)")
            await #expect(throws: NodeServiceError.self) {
                try await mesh.submit(Self.module()) { $0.limits.maxMemoryBytes = 1 << 30 }
            }
            await #expect(throws: NodeServiceError.self) {
                try await mesh.submit(Self.module()) { $0.verification = "spot:0%" }
            }
        }
    }
}
