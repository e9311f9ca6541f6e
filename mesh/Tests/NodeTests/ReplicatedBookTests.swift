import Credit
import Foundation
import GRDB
import LibP2P
import MerkleLog
import MeshTypes
import Multiformats
import NodeAPI
import NodeSetup
import P2PTesting
import PeerIdentity
import SignedObjects
import Testing

@testable import PlanetaryMesh

/// An issuer whose book its witnesses keep, over sockets: what was shown survives its machine, its backups and its
/// copies.
@Suite("Books that witnesses keep", .serialized) struct ReplicatedBookTests {
    private let folder = URL(fileURLWithPath: "/tmp/mn-\(UUID().uuidString.prefix(8))")
    private let key = Identity.generate()
    private let keepers = (0..<3).map { _ in Identity.generate() }
    private let members = (0..<2).map { _ in Identity.generate() }
    private let officers = [Identity.generate(), Identity.generate()]
    private var book: CreditBook { CreditBook(officers: officers, arbiters: [], witnesses: keepers.map(\.did)) }

    private func open(_ name: String, _ identity: Identity) async throws -> MeshNode {
        var configuration = try NodeMesh.loopback()
        configuration.executor.isEnabled = false
        if identity.did != key.did { configuration.witness.issuers = [key.did.text] }
        return try await NodeMesh.open(folder.appendingPathComponent(name).path, configuration, identity: identity)
    }

    private func open(_ witness: Int) async throws -> MeshNode { try await open("witness\(witness)", keepers[witness]) }

    private func connect(_ issuer: MeshNode, to witnesses: [MeshNode]) async throws {
        for witness in witnesses {
            try await issuer.swarm.connect(
                to: witness.identity.peerID, addresses: await witness.swarm.listenAddresses())
        }
    }

    /// Runs an issuer until its book is open, and then `body`.
    private func running(
        _ issuer: MeshNode, with witnesses: [MeshNode], _ body: (IssuerDesk) async throws -> Void
    ) async throws {
        try await NodeMesh.running([issuer]) {
            try await connect(issuer, to: witnesses)
            let desk = await issuer.parts.member.own
            try await eventually("the book is open") { await desk.obstacle == nil }
            try await body(desk)
        }
    }

    /// Founds the book of an issuer, with two lines.
    private func found(_ issuer: MeshNode, _ witnesses: [MeshNode], _ book: CreditBook) async throws {
        let desk = await issuer.parts.member.own
        try await NodeMesh.running([issuer]) {
            try await connect(issuer, to: witnesses)
            try await book.found(issuer, [])
            try await eventually("the book is open") { await desk.obstacle == nil }
            for member in members { try await book.open(CreditBook.Line(did: member.did, most: 1_000), at: issuer) }
        }
    }

    private func payment(_ amount: UInt64, at desk: IssuerDesk) async throws -> CreditQuestion {
        let charter = try #require(await desk.issuer?.book.charterCID)
        let order = try SignedObject.sign(
            PaymentOrder(
                issuerDID: key.did, charterCID: charter, debtorDID: members[0].did, creditorDID: members[1].did,
                amount: TokenAmount(amount), unit: CreditCooperative.unit, hold: nil,
                nonce: (0..<16).map { _ in UInt8.random(in: 0...255) },
                validUntil: NodeClock.wallClock.advanced(milliseconds: 600_000)), with: members[0])
        return .submit(event: .transferred(order: order.bytes))
    }

    private func pay(_ amount: UInt64, times: Int, at desk: IssuerDesk) async throws {
        for _ in 0..<times {
            let answer = await desk.answer(try await payment(amount, at: desk), for: members[0].did)
            guard case .taken = answer else { throw NodeServiceError(.internalError, "\(answer)") }
        }
    }

    private func balances(_ desk: IssuerDesk) async -> [Int64?] {
        var balances: [Int64?] = []
        for member in members {
            balances.append(await desk.issuer?.book.accounts[LineID(member.did, CreditCooperative.unit)]?.balance)
        }
        return balances
    }

    private func copy(_ from: String, to: String) throws {
        try FileManager.default.copyItem(
            at: folder.appendingPathComponent(from), to: folder.appendingPathComponent(to))
    }

    /// Marks a home as one that was restored, as `mesh restore` does.
    private func markRestored(_ name: String) throws {
        let path = folder.appendingPathComponent(name).appendingPathComponent("mesh.sqlite").path
        let queue = try DatabaseQueue(path: path)
        try queue.write { try $0.execute(sql: "UPDATE issuer SET restored = 1") }
        try queue.close()
    }

    private func withWitnesses(_ body: ([MeshNode], CreditBook) async throws -> Void) async throws {
        defer { try? FileManager.default.removeItem(at: folder) }
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        var witnesses: [MeshNode] = []
        for number in keepers.indices { witnesses.append(try await open(number)) }
        try await NodeMesh.running(witnesses) { try await body(witnesses, book) }
    }

    @Test("A backup catches up with what its witnesses keep before it signs, and goes on from there")
    func restored() async throws {
        try await withWitnesses { witnesses, book in
            try await found(try await open("issuer", key), witnesses, book)
            try copy("issuer", to: "backup")
            var last = TreeHead(MerkleTree())
            try await running(try await open("issuer", key), with: witnesses) { desk in
                // More than one batch of a witness.
                try await pay(2, times: 300, at: desk)
                last = TreeHead(await desk.durable)
            }
            #expect(last.size == 303)
            try markRestored("backup")
            try await running(try await open("backup", key), with: witnesses) { desk in
                #expect(TreeHead(await desk.durable) == last)
                #expect(await balances(desk) == [-600, 600])
                try await pay(1, times: 1, at: desk)
                #expect(await balances(desk) == [-601, 601])
                await desk.issuer?.book.checkInvariants()
            }
            // What came of that is on its disk.
            try await running(try await open("backup", key), with: Array(witnesses.dropFirst())) { desk in
                #expect(await balances(desk) == [-601, 601])
            }
        }
    }

    @Test("Of two copies of a home the one that started last writes, and the other shows nothing any more")
    func copies() async throws {
        try await withWitnesses { witnesses, book in
            try await found(try await open("issuer", key), witnesses, book)
            try copy("issuer", to: "copy")
            try await running(try await open("issuer", key), with: witnesses) { first in
                try await pay(5, times: 2, at: first)
                try await running(try await open("copy", key), with: witnesses) { second in
                    #expect(await balances(second) == [-10, 10])
                    let order = try await payment(7, at: first)
                    let answer = await first.answer(order, for: members[0].did)
                    #expect(CreditStand.reason(answer) == .closed)
                    try await eventually("the first copy is closed") {
                        await first.obstacle?.contains("Another copy of this issuer's home") == true
                    }
                    #expect(await first.durable.size == 5)
                    try await pay(3, times: 1, at: second)
                    #expect(await balances(second) == [-13, 13])
                }
            }
            // What it took and nobody was shown is gone.
            try await running(try await open("issuer", key), with: witnesses) { desk in
                #expect(await balances(desk) == [-13, 13])
            }
        }
    }

    @Test("Without a quorum of its witnesses an issuer tells nobody what it booked, and then tells it once")
    func away() async throws {
        defer { try? FileManager.default.removeItem(at: folder) }
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        let (first, issuer) = (try await open(0), try await open("issuer", key))
        let desk = await issuer.parts.member.own
        try await NodeMesh.running([first, issuer]) {
            let others = [try await open(1), try await open(2)]
            try await NodeMesh.running(others) {
                try await connect(issuer, to: [first] + others)
                try await book.found(issuer, [])
                try await eventually("the book is open") { await desk.obstacle == nil }
                for member in members { try await book.open(CreditBook.Line(did: member.did, most: 1_000), at: issuer) }
                try await pay(5, times: 1, at: desk)
            }
            let order = try await payment(7, at: desk)
            let answer = await desk.answer(order, for: members[0].did)
            #expect(CreditStand.reason(answer) == .closed)
            guard case .refused(_, let text) = answer else { return }
            #expect(text.hasPrefix("Too few of the issuer's witnesses answer"))
            #expect(await desk.durable.size == 4)
            let again = [try await open(1), try await open(2)]
            try await NodeMesh.running(again) {
                try await connect(issuer, to: again)
                try await eventually("the entry is shown") { await desk.durable.size == 5 }
                #expect(await desk.answer(order, for: members[0].did) == .taken(entry: 4, certificate: nil))
                #expect(await balances(desk) == [-12, 12])
            }
        }
    }
}
