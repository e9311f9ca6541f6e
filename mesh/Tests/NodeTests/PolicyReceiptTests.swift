import MeshStore
import MeshTypes
import Multiformats
import NodeAPI
import NodeSetup
import PeerIdentity
import SignedObjects
import Testing

@testable import PlanetaryMesh

/// A receipt is held against what its job asked of an executor, by anybody who gets the evidence.
@Suite("Receipts against their jobs' policies", .serialized)
struct PolicyReceiptTests {
    private static let titles = [
        "price within the budget", "paid as the job says", "executor admitted by the job", "region as the job asks",
        "features as the job asks", "resources as the job asks", "reputation as the job asks",
        "result promised in time", "run within the timeout",
    ]

    private func lines(_ report: ReceiptReport) -> [String: ReceiptReport.Line] {
        Dictionary(report.lines.filter { Self.titles.contains($0.name) }.map { ($0.name, $0) }) { first, _ in first }
    }

    /// The evidence behind a receipt, signed again with other words, in the store of a node that passes it on.
    private func forge(
        _ receipt: CID, in mesh: NodeMesh, at node: MeshNode, _ change: (inout JobManifest, inout Bid) -> Void
    ) async throws -> CID {
        let (executor, originator) = (mesh.nodes[0], mesh.originator)
        func body<Body: SignedBody>(_ cid: CID) async throws -> Body {
            try SignedObject<Body>(verifying: try #require(try await originator.store.block(cid))).body
        }
        var run: ExecutionReceipt = try await body(receipt)
        var assignment: Assignment = try await body(run.assignmentCID)
        var bid: Bid = try await body(assignment.bidCID)
        var manifest: JobManifest = try await body(run.jobID.cid)
        change(&manifest, &bid)
        let job = try SignedObject.sign(manifest, with: originator.identity)
        bid.jobID = JobID(job.cid)
        let offer = try SignedObject.sign(bid, with: executor.identity)
        (assignment.jobID, assignment.bidCID) = (bid.jobID, offer.cid)
        let order = try SignedObject.sign(assignment, with: originator.identity)
        (run.jobID, run.assignmentCID) = (bid.jobID, order.cid)
        run.previousReceiptCID = receipt
        let signed = try SignedObject.sign(run, with: executor.identity)
        let blocks = [
            (job.cid, job.bytes), (offer.cid, offer.bytes), (order.cid, order.bytes), (signed.cid, signed.bytes),
        ]
        try await node.store.commit(blocks.map { .block(cid: $0.0, bytes: $0.1) })
        return signed.cid
    }

    @Test("A stranger sees line by line that a receipt keeps its job's policy, and what of it nobody can see")
    func kept() async throws {
        func place(_ index: Int, _ configuration: inout NodeConfiguration) {
            if index == 0 { configuration.region = "eu" }
        }
        try await NodeMesh.run(prices: [10, 20], configure: place) { mesh in
            let executor = mesh.nodes[0].identity.did.text
            let job = try await mesh.submit(try Assembler.command("nop")) { submission in
                submission.policy.regions = ["us", "eu"]
                submission.policy.allowedDIDs = [executor]
                submission.policy.deniedDIDs = [mesh.nodes[1].identity.did.text]
                submission.policy.deadline = NodeClock.wallClock.value + 3_600_000
            }
            let result = try await mesh.result(of: job)
            #expect(result.ending == .succeeded, "\(result.detail)")
            let receipt = try CID(named: try #require(result.receiptCID), "receipt")
            let report = try await mesh.nodes[1].verifyReceipt(receipt)
            #expect(report.isValid, "\(report.lines.filter { $0.verdict != .passed })")
            let checks = lines(report)
            #expect(checks.count == Self.titles.count)
            #expect(checks.values.allSatisfy { $0.verdict == .passed }, "\(checks.values.map(\.detail))")
            #expect(checks["executor admitted by the job"]?.detail == "the one that the job admits")
            #expect(checks["region as the job asks"]?.detail == "the bid is of eu, one of us, eu")
            #expect(checks["features as the job asks"]?.detail.hasPrefix("the bid has execution-v1/") == true)
        }
    }

    @Test("Two sides that agree to break the job's policy do not make a stranger's verification pass")
    func broken() async throws {
        try await NodeMesh.run(prices: [10, 20]) { mesh in
            let executor = mesh.nodes[0].identity.did.text
            let job = try await mesh.submit(try Assembler.command("nop")) { $0.policy.allowedDIDs = [executor] }
            let result = try await mesh.result(of: job)
            let receipt = try CID(named: try #require(result.receiptCID), "receipt")
            try #require(result.executorDID == executor)
            let asker = mesh.nodes[1]
            let forged = try await forge(receipt, in: mesh, at: asker) { manifest, bid in
                var policy = manifest.policy
                policy.regionFilter = ["eu"]
                policy.deniedDIDs = [bid.bidderDID]
                policy.require("made-up-v1")
                policy.minReputation = 900
                manifest.params.executionPolicy = policy
                manifest.params.resourcesRequired = ["gpu": 1]
                bid.region = "us"
            }
            let report = try await asker.verifyReceipt(forged)
            #expect(!report.isValid)
            let checks = lines(report)
            #expect(
                Set(checks.filter { $0.value.verdict == .failed }.keys) == [
                    "executor admitted by the job", "region as the job asks", "features as the job asks",
                    "resources as the job asks",
                ])
            #expect(report.lines.filter { $0.verdict == .failed }.count == 4, "nothing else is wrong with it")
            #expect(checks["features as the job asks"]?.detail == "the bid is without made-up-v1")
            #expect(checks["resources as the job asks"]?.detail == "the bid has 0 of gpu, the job needs 1")
            #expect(checks["reputation as the job asks"]?.verdict == .skipped)
            // Honest demands of the same two sides hold.
            let kept = try await forge(receipt, in: mesh, at: asker) { manifest, bid in
                manifest.params.executionPolicy = manifest.params.executionPolicy ?? ExecutionPolicy()
                manifest.params.executionPolicy?.regionFilter = ["us"]
                bid.region = "us"
            }
            let honest = lines(try await asker.verifyReceipt(kept))
            #expect(honest["region as the job asks"]?.verdict == .passed)
        }
    }
}
