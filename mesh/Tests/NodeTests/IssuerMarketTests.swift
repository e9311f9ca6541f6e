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
    private let folder = URL(fileURLWithPath: "/tmp/mn-\(UUID().uuidString.prefix(8))")
    private let identities = (0..<3).map { _ in Identity.generate() }
    private let officers = [Identity.generate(), Identity.generate()]
    private let arbiter = Identity.generate()
    private static let unit = CreditUnit(name: "hours", decimals: 2)

    private var issuer: DID { identities[0].did }
    private var executor: DID { identities[1].did }
    private var originator: DID { identities[2].did }

    /// A cooperative: its issuer, an executor that trusts it, and an originator.
    private func cooperative(
        lines: [Int: UInt64] = [1: 10_000, 2: 10_000], _ body: ([MeshNode]) async throws -> Void
    ) async throws {
        defer { try? FileManager.default.removeItem(at: folder) }
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        var nodes: [MeshNode] = []
        for number in 0..<3 {
            var configuration = try NodeMesh.loopback()
            configuration.executor.isEnabled = number == 1
            if number == 1 { configuration.executor.issuers = ["\(issuer) hours/2 0.10 0.01"] }
            nodes.append(
                try await NodeMesh.open(
                    folder.appendingPathComponent("\(number)").path, configuration, identity: identities[number]))
        }
        try await found(nodes[0], lines)
        try await NodeMesh.running(nodes) {
            for (from, to) in [(1, 0), (2, 0), (2, 1)] {
                try await nodes[from].swarm.connect(
                    to: nodes[to].identity.peerID, addresses: await nodes[to].swarm.listenAddresses())
            }
            try await body(nodes)
        }
    }

    /// Founds the book, and has its officers, who need no nodes for that, open lines.
    private func found(_ node: MeshNode, _ lines: [Int: UInt64]) async throws {
        let desk = await node.parts.member.own
        _ = try await desk.found(
            IssuerFounding(
                unit: Self.unit.name, decimals: Self.unit.decimals, officers: officers.map(\.did.text), approvals: 2,
                arbiters: [arbiter.did.text]))
        for (member, most) in lines {
            let charter = try #require(await desk.issuer?.book.charterCID)
            guard case .number(let number) = await desk.answer(.number, for: officers[0].did) else {
                throw NodeServiceError(.internalError, "no number")
            }
            let order = OfficerOrder(
                issuerDID: issuer, charterCID: charter, number: number,
                action: .limit(
                    line: LineID(identities[member].did, Self.unit), owed: TokenAmount(most),
                    owing: TokenAmount(most), issuer: false))
            let cid = try #require(order.cid)
            let now = NodeClock.wallClock
            let approvals = try officers.map { officer in
                try SignedObject.sign(
                    Approval(
                        approverDID: officer.did, orderCID: cid, approvedAt: now,
                        validUntil: now.advanced(milliseconds: 60_000)), with: officer
                ).bytes
            }
            _ = await desk.answer(.propose(order: order, approval: approvals[0]), for: officers[0].did)
            guard
                case .taken = await desk.answer(.approve(order: cid, approval: approvals[1]), for: officers[1].did)
            else { throw NodeServiceError(.internalError, "the line is not open") }
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

    private func balance(_ member: DID, at node: MeshNode) async -> Int64? {
        await node.parts.member.own.issuer?.book.accounts[LineID(member, Self.unit)]?.balance
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
            #expect(await balance(executor, at: nodes[0]) == Int64(paid))
            #expect(await balance(originator, at: nodes[0]) == -Int64(paid))
            #expect(await nodes[0].parts.member.own.issuer?.book.holds.values.count(where: \.isLive) == 0)
            let after = try await nodes[2].wallet(WalletQuery(limit: 0))
            #expect(after.available == before.available && after.held == 0 && after.paid == before.paid)
            let statement = try await nodes[1].statement(at: issuer.text)
            #expect(statement.bookings.map(\.kind) == ["limit", "hold_granted", "hold_settled"])
        }
    }

    @Test("A budget beyond the line is refused, and so is a job without one")
    func refused() async throws {
        try await cooperative(lines: [1: 10_000, 2: 5]) { nodes in
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
