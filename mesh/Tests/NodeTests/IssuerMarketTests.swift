import Credit
import Foundation
import JobMarket
import LibP2P
import MeshTypes
import Multiformats
import NodeAPI
import NodeSetup
import P2PTesting
import PeerIdentity
import SignedObjects
import Testing

@testable import PlanetaryMesh

/// Jobs that are paid by the credit of an issuer: three real nodes, over sockets.
@Suite("Jobs by credit, over sockets", .serialized) struct IssuerMarketTests {
    private let home = CreditCooperative()

    private var issuer: DID { home.did(.issuer) }
    private var executor: DID { home.did(.executor) }

    /// A cooperative: its issuer, an executor that trusts it, and an originator.
    private func cooperative(
        lines: [CreditCooperative.Role: UInt64] = [.executor: 10_000, .originator: 10_000],
        _ body: ([MeshNode]) async throws -> Void
    ) async throws {
        defer { try? FileManager.default.removeItem(at: home.folder) }
        try FileManager.default.createDirectory(at: home.folder, withIntermediateDirectories: true)
        var nodes: [MeshNode] = []
        for role in [CreditCooperative.Role.issuer, .executor, .originator] { nodes.append(try await home.open(role)) }
        try await home.found(nodes[0], lines)
        try await NodeMesh.running(nodes) {
            try await home.connect(nodes[1], to: [nodes[0]])
            try await home.connect(nodes[2], to: [nodes[0], nodes[1]])
            try await body(nodes)
        }
    }

    private func submit(
        _ node: MeshNode, budget: UInt64? = 1_000, _ change: (inout JobSubmission) -> Void = { _ in }
    ) async throws -> CID {
        let module = try Assembler.command("(call $exit (i32.const 0))")
        var submission = JobSubmission(moduleCID: try await node.add(module).cid)
        submission.policy.payBy = [issuer.text]
        submission.limits.maxFuel = 100_000_000
        submission.budget = budget
        change(&submission)
        return try CID(named: try await node.submit(submission).jobID, "job")
    }

    private func result(of job: CID, at node: MeshNode) async throws -> JobResult {
        for await event in try await node.progress(of: job) {
            if let result = event.result { return result }
        }
        throw NodeServiceError(.internalError, "The stream of \(job) ended without a result.")
    }

    private func credit(_ job: CID, at node: MeshNode) async throws -> HoldView? {
        try await node.describe(job).credit?.last
    }

    @Test("A job is paid by a hold: both sides have the entry that paid it, and no token moves")
    func paid() async throws {
        try await cooperative { nodes in
            let before = try await nodes[2].wallet(WalletQuery(limit: 0))
            let job = try await submit(nodes[2])
            let result = try await result(of: job, at: nodes[2])
            #expect(result.ending == .succeeded, "\(result)")
            #expect(result.unit == "hours" && result.decimals == 2)
            let paid = try #require(result.paid)
            #expect((10...110).contains(paid))
            for node in [nodes[1], nodes[2]] {
                try await eventually("the entry that paid is proved") {
                    try await credit(job, at: node)?.state == .paid
                }
            }
            let (theirs, own) = (try await credit(job, at: nodes[1]), try await credit(job, at: nodes[2]))
            #expect(theirs == own && own?.amount == paid && own?.issuer == issuer.text)
            #expect(await home.balance(.executor, at: nodes[0]) == Int64(paid))
            #expect(await home.balance(.originator, at: nodes[0]) == -Int64(paid))
            #expect(await nodes[0].parts.member.own.issuer?.book.holds.values.count(where: \.isLive) == 0)
            let after = try await nodes[2].wallet(WalletQuery(limit: 0))
            #expect(after.available == before.available && after.held == 0 && after.paid == before.paid)
            let statement = try await nodes[1].statement(at: issuer.text)
            #expect(statement.bookings.map(\.kind) == ["limit", "hold_granted", "hold_settled"])
        }
    }

    @Test("A budget beyond the line is refused, and so is a job without one")
    func refused() async throws {
        try await cooperative(lines: [.executor: 10_000, .originator: 5]) { nodes in
            let short = await #expect(throws: NodeServiceError.self) { _ = try await submit(nodes[2]) }
            #expect(short?.code == .issuerRefused)
            #expect(short?.message.contains("can give 0.05 hours at most") == true, "\(short as Any)")
            let free = await #expect(throws: NodeServiceError.self) { _ = try await submit(nodes[2], budget: nil) }
            #expect(free?.message.contains("--pay-by") == true)
            let many = await #expect(throws: NodeServiceError.self) {
                _ = try await submit(nodes[2]) { $0.policy.payBy = [executor.text] }
            }
            #expect(many?.code == .peerUnreachable, "it is no issuer")
        }
    }
}
