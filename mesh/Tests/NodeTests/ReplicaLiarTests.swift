import Credit
import Foundation
import LibP2P
import MerkleLog
import MeshTypes
import NodeAPI
import NodeSetup
import P2PTesting
import PeerIdentity
import SignedObjects
import Synchronization
import Testing

@testable import PlanetaryMesh

/// An issuer of whose four witnesses one lies about the book that it keeps, over sockets.
@Suite("A witness that lies about the book it keeps", .serialized) struct ReplicaLiarTests {
    /// What it says.
    enum Lie: CaseIterable {
        /// That it promised a term which nobody reaches.
        case superseding
        /// That it has nothing of what it took.
        case forgetting
        /// A head that the issuer never signed.
        case strange
        /// A head that the issuer signed, without giving what leads there.
        case withholding
    }

    /// Counts what it is asked, and remembers the newest head that it was given.
    private final class Heard: Sendable {
        private let state = Mutex((count: 0, head: [UInt8]?.none))
        var count: Int { state.withLock { $0.count } }
        var head: [UInt8]? { state.withLock { $0.head } }

        func note(_ question: ReplicaQuestion) {
            state.withLock { state in
                state.count += 1
                if case .propose(_, let head?, _) = question { state.head = head }
            }
        }
    }

    private let folder = URL(fileURLWithPath: "/tmp/mn-\(UUID().uuidString.prefix(8))")
    private let key = Identity.generate()
    private let keepers = (0..<4).map { _ in Identity.generate() }
    private let members = (0..<2).map { _ in Identity.generate() }
    private let officers = [Identity.generate(), Identity.generate()]

    private func open(_ name: String, _ identity: Identity, isKeeper: Bool = false) async throws -> MeshNode {
        var configuration = try NodeMesh.loopback()
        configuration.executor.isEnabled = false
        if isKeeper { configuration.witness.issuers = [key.did.text] }
        return try await NodeMesh.open(folder.appendingPathComponent(name).path, configuration, identity: identity)
    }

    private func serve(_ lie: Lie, at node: MeshNode, _ heard: Heard) async {
        await ReplicaExchange(host: node.swarm).serve { _ in
            true
        } blame: { _, _ in
        } answer: { _, question in
            heard.note(question)
            let nothing = ReplicaBatch(start: 0, entries: [])
            switch (lie, question) {
            case (.superseding, .kept): return .entries(batch: nothing, more: false)
            case (.superseding, _):
                return .superseded(term: BookTerm(number: 1 << 50, life: [UInt8](repeating: 1, count: 16)))
            case (.forgetting, .promise): return .promised(head: nil, batch: nil)
            case (.forgetting, .propose): return .behind(size: 0)
            case (.strange, .promise): return .promised(head: [1, 2, 3], batch: nil)
            case (.withholding, .promise): return .promised(head: heard.head, batch: nil)
            case (_, .kept): return .entries(batch: nothing, more: false)
            default: return .accepted
            }
        }
    }

    private func pay(_ amount: UInt64, at desk: IssuerDesk) async throws {
        let charter = try #require(await desk.issuer?.book.charterCID)
        let order = try SignedObject.sign(
            PaymentOrder(
                issuerDID: key.did, charterCID: charter, debtorDID: members[0].did, creditorDID: members[1].did,
                amount: TokenAmount(amount), unit: CreditCooperative.unit, hold: nil,
                nonce: (0..<16).map { _ in UInt8.random(in: 0...255) },
                validUntil: NodeClock.wallClock.advanced(milliseconds: 600_000)), with: members[0])
        let answer = await desk.answer(
            .submit(event: .transferred(order: order.bytes), since: nil), for: members[0].did)
        guard case .taken = answer else { throw NodeServiceError(.internalError, "\(answer)") }
    }

    @Test("Books open, take events, and begin anew with all of them", arguments: Lie.allCases)
    func lies(_ lie: Lie) async throws {
        defer { try? FileManager.default.removeItem(at: folder) }
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        let book = CreditBook(officers: officers, arbiters: [], witnesses: keepers.map(\.did))
        var witnesses: [MeshNode] = []
        for (number, keeper) in keepers.enumerated() {
            witnesses.append(try await open("witness\(number)", keeper, isKeeper: number > 0))
        }
        let heard = Heard()
        try await NodeMesh.running(witnesses) {
            await serve(lie, at: witnesses[0], heard)
            for start in 0..<2 {
                let issuer = try await open("issuer", key)
                let desk = await issuer.parts.member.own
                try await NodeMesh.running([issuer]) {
                    for witness in witnesses {
                        try await issuer.swarm.connect(
                            to: witness.identity.peerID, addresses: await witness.swarm.listenAddresses())
                    }
                    if start == 0 { try await book.found(issuer, []) }
                    try await eventually("the book is open") { await desk.obstacle == nil }
                    if start == 0 {
                        for member in members {
                            try await book.open(CreditBook.Line(did: member.did, most: 1_000), at: issuer)
                        }
                    }
                    for _ in 0..<3 { try await pay(5, at: desk) }
                    #expect(await desk.obstacle == nil)
                    let line = LineID(members[0].did, CreditCooperative.unit)
                    #expect(await desk.issuer?.book.accounts[line]?.balance == -15 * Int64(start + 1))
                    #expect(await desk.durable.size == 3 * UInt64(start + 2))
                }
            }
        }
        // What it forgets it is not given again at once.
        #expect(heard.count > 0 && heard.count < 64, "\(heard.count)")
    }
}
