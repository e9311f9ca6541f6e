import Credit
import Foundation
import IPLD
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

/// A cooperative of real nodes: its issuer, an executor that trusts it, an originator, and an arbiter.
struct CreditCooperative {
    static let unit = CreditUnit(name: "hours", decimals: 2)
    /// The nodes by what they are.
    enum Role: Int, CaseIterable { case issuer, executor, originator, arbiter }

    let folder = URL(fileURLWithPath: "/tmp/mn-\(UUID().uuidString.prefix(8))")
    let identities = Role.allCases.map { _ in Identity.generate() }
    let officers = [Identity.generate(), Identity.generate()]
    /// What a run costs, and a million fuel.
    var prices = "0.10 0.01"

    subscript(_ role: Role) -> Identity { identities[role.rawValue] }
    func did(_ role: Role) -> DID { self[role].did }

    func open(_ role: Role) async throws -> MeshNode {
        var configuration = try NodeMesh.loopback()
        configuration.executor.isEnabled = role == .executor
        if role == .executor { configuration.executor.issuers = ["\(did(.issuer)) hours/2 \(prices)"] }
        if role == .arbiter { configuration.arbiter.issuers = [did(.issuer).text] }
        return try await NodeMesh.open(
            folder.appendingPathComponent("\(role)").path, configuration, identity: self[role])
    }

    func connect(_ node: MeshNode, to others: [MeshNode]) async throws {
        for other in others {
            try await node.swarm.connect(
                to: other.identity.peerID, addresses: await other.swarm.listenAddresses())
        }
    }

    /// Founds the book, and has its officers, who need no nodes for that, open lines.
    func found(_ node: MeshNode, _ lines: [Role: UInt64]) async throws {
        try await book.found(node, lines.map { CreditBook.Line(did: did($0.key), most: $0.value) })
    }

    private var book: CreditBook { CreditBook(officers: officers, arbiters: [did(.arbiter)]) }

    /// Has the officers open a line, by which as much may be owed either way.
    func openLine(_ member: DID, _ most: UInt64, at node: MeshNode) async throws {
        try await book.open(CreditBook.Line(did: member, most: most), at: node)
    }

    /// What a line has; negative for what it owes.
    func balance(_ role: Role, at issuer: MeshNode) async -> Int64? { await balance(did(role), at: issuer) }

    func balance(_ did: DID, at issuer: MeshNode) async -> Int64? { await issuer.creditBalance(of: did) }

    /// The names of the events about holds in an issuer's book, in their order.
    func story(at issuer: MeshNode) async throws -> [String] { try await issuer.creditStory() }
}

/// How a book is founded, and by whom its lines are opened.
struct CreditBook {
    /// A line that is opened.
    struct Line {
        let did: DID
        let most: UInt64
        var isIssuer = false
    }

    var officers = [Identity.generate(), Identity.generate()]
    let arbiters: [DID]
    /// Who dates what is lodged.
    var witnesses: [DID] = []
    /// How much earlier end the holds that it orders at others.
    var marginMilliseconds: UInt64 = 30_000

    /// Founds the book of a node, and has its officers, who need no nodes for that, open lines.
    func found(_ node: MeshNode, _ lines: [Line]) async throws {
        let desk = await node.parts.member.own
        try await desk.found(
            IssuerCharter(
                issuerDID: node.identity.did, unit: CreditCooperative.unit, officers: officers.map(\.did), approvals: 2,
                witnesses: witnesses, arbiters: arbiters, marginMilliseconds: marginMilliseconds,
                openedAt: NodeClock.wallClock))
        for line in lines { try await open(line, at: node) }
    }

    /// Opens a line, or changes it.
    func open(_ line: Line, at node: MeshNode) async throws {
        try await carryOut(
            .limit(
                line: LineID(line.did, CreditCooperative.unit), owed: TokenAmount(line.most),
                owing: TokenAmount(line.most), issuer: line.isIssuer), at: node)
    }

    /// Has two officers order something.
    func carryOut(_ action: OfficerOrder.Action, at node: MeshNode) async throws {
        let desk = await node.parts.member.own
        let charter = try #require(await desk.issuer?.book.charterCID)
        guard case .number(let number) = await desk.answer(.number, for: officers[0].did) else {
            throw NodeServiceError(.internalError, "no number")
        }
        let order = OfficerOrder(
            issuerDID: node.identity.did, charterCID: charter, number: number, action: action)
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
        guard case .taken = await desk.answer(.approve(order: cid, approval: approvals[1]), for: officers[1].did)
        else { throw NodeServiceError(.internalError, "it is not carried out") }
    }
}

extension MeshNode {
    /// What somebody's line in this node's book has; negative for what it owes.
    func creditBalance(of did: DID) async -> Int64? {
        await parts.member.own.issuer?.book.accounts[LineID(did, CreditCooperative.unit)]?.balance
    }

    /// The names of the events about holds in this node's book, in their order.
    func creditStory() async throws -> [String] {
        let rows = try await IssuerEntryRow.entries(from: 0, limit: 1_000, bytesMax: 1 << 24, in: store)
        return try rows.map { try DAGCBORDecoder().decode(BookEntry.self, from: $0.entry).event.name }.filter {
            $0.hasPrefix("hold_") || $0.hasPrefix("claim_")
        }
    }
}

extension ClaimDesk {
    /// Looks for claims several times a second until something is so: an issuer does not answer who asks without end.
    nonisolated func look(
        on node: MeshNode, until what: String, _ isReached: () async throws -> Bool
    ) async throws {
        var next = ContinuousClock.now
        try await eventually(what) {
            if ContinuousClock.now >= next {
                next = .now + .milliseconds(300)
                await look(on: node)
            }
            return try await isReached()
        }
    }
}

extension MeshNode {
    /// Changes the terms of the market, as no owner can.
    func change(_ body: @Sendable (inout MarketConfiguration) -> Void) {
        body(&core.market.configuration)
    }

    /// Has holds for this node's jobs last for seconds, as an originator.
    func shortenHolds(windowMilliseconds: UInt64) {
        change { configuration in
            configuration.originator.holdSlackMilliseconds = 4_000
            configuration.originator.holdCheckTimesMax = 0
            configuration.originator.holdGraceMilliseconds = 120_000
            configuration.originator.holdWindowMilliseconds = windowMilliseconds
            configuration.originator.holdExtensionMilliseconds = 100_000
        }
    }

    /// Has this node claim soon, as an executor.
    func claimSoon() {
        change { configuration in
            configuration.executor?.settlementMilliseconds = 1_000
            configuration.executor?.preparationMilliseconds = 4_000
        }
    }

    /// The run of a job here.
    func run(of job: CID) -> ExecutedJob? { core.market.executedJob(JobID(job)) }
}
