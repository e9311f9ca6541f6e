import Credit
import Foundation
import GossipSub
import LibP2P
import MerkleLog
import MeshTypes
import Multiformats
import NodeAPI
import NodeSetup
import P2PServices
import P2PTesting
import PeerIdentity
import SignedObjects
import Synchronization
import Testing

@testable import NodeCore
@testable import PlanetaryMesh

/// Heads of issuers by gossip, over sockets: an issuer whose key has two books.
@Suite("Heads of issuers, over sockets", .serialized) struct IssuerHeadTests {
    private let home = CreditCooperative()
    private let auditor = Identity.generate()

    private func openAuditor() async throws -> MeshNode {
        var configuration = try NodeMesh.loopback()
        configuration.executor.isEnabled = false
        configuration.executor.issuers = ["\(home.did(.issuer)) hours/2 0.10 0.01"]
        return try await NodeMesh.open(
            home.folder.appendingPathComponent("auditor").path, configuration, identity: auditor)
    }

    /// The node of the same key over a copy of the issuer's home.
    private func openTwin() async throws -> MeshNode {
        var configuration = try NodeMesh.loopback()
        configuration.executor.isEnabled = false
        return try await NodeMesh.open(
            home.folder.appendingPathComponent("twin").path, configuration, identity: home[.issuer])
    }

    private func fault(of node: MeshNode) async throws -> Int {
        try await node.parts.member.known(home.did(.issuer))?.fault.count ?? 0
    }

    @Test(
        "An issuer that shows two members two books is found out by both, and by who hears them, whoever tells first",
        .timeLimit(.minutes(2)), arguments: [0, 1])
    func twoBooks(first: Int) async throws {
        defer { try? FileManager.default.removeItem(at: home.folder) }
        try FileManager.default.createDirectory(at: home.folder, withIntermediateDirectories: true)
        let founder = try await home.open(.issuer)
        try await NodeMesh.running([founder]) {
            try await home.found(founder, [.executor: 10_000, .originator: 10_000])
        }
        try FileManager.default.copyItem(
            at: home.folder.appendingPathComponent("issuer"), to: home.folder.appendingPathComponent("twin"))
        let issuers = [try await home.open(.issuer), try await openTwin()]
        let members = [try await home.open(.executor), try await home.open(.originator)]
        let auditor = try await openAuditor()
        try await NodeMesh.running(issuers + members + [auditor]) {
            // The books are of different sizes, so no two heads that are told at first are a proof by themselves.
            try await home.openLine(home.did(.arbiter), 1, at: issuers[0])
            for most in [2, 3] as [UInt64] { try await home.openLine(home.did(.arbiter), most, at: issuers[1]) }
            for (member, issuer) in zip(members, issuers) {
                try await home.connect(member, to: [issuer])
                _ = try await member.parts.member.meet(home.did(.issuer))
                _ = try await member.parts.member.lines(at: home.did(.issuer))
            }
            // The auditor hears one of them before that hears of the other.
            try await home.connect(auditor, to: [issuers[first], members[first]])
            _ = try await auditor.parts.member.meet(home.did(.issuer))
            try await eventually("the auditor hears the first") {
                auditor.parts.tallies.all["issuer_heads_heard"] ?? 0 > 0
            }
            for node in members + [auditor] { #expect(try await fault(of: node) == 0) }
            try await home.connect(members[0], to: [members[1]])
            for node in members + [auditor] {
                try await eventually("the proof is there") { try await fault(of: node) == 2 }
            }
            #expect(members[1].parts.tallies.all["issuer_heads_compared"] ?? 0 > 0, "it asked its issuer")
            await #expect(throws: NodeServiceError.self) {
                _ = try await members[0].parts.member.meet(home.did(.issuer))
            }
        }
        // A start tells the market again, which forgets what that issuer booked for others.
        let again = try await openAuditor()
        try await NodeMesh.running([again]) {
            let parts = again.parts
            let convicted = Mutex<[DID]>([])
            let desk = IssuerHeadDesk(
                member: parts.member, gossip: parts.gossip, settings: parts.settings, logger: parts.logger)
            await desk.begin(
                admitting: { _ in true }, blame: { _, _ in },
                onConvicted: { issuer in convicted.withLock { $0.append(issuer) } })
            for _ in 0..<2 { _ = await desk.look() }
            #expect(convicted.withLock(\.self) == [home.did(.issuer)], "once")
        }
    }

    private func newest(of desk: IssuerDesk, _ issuer: DID) async throws -> SignedNote {
        let answer = await desk.answer(.head(since: 0, size: nil), for: issuer)
        guard case .head(let bytes, _) = answer else { throw CancellationError() }
        return try #require(SignedNote(bytes: bytes))
    }

    private func expectDoubt(_ issuer: DID, at member: MemberDesk) async throws {
        let faults = try await member.known(issuer)?.fault.count
        #expect(faults == 0)
        await member.doubt(issuer)
        let error = await #expect(throws: NodeServiceError.self) { _ = try await member.meet(issuer) }
        #expect(error?.code == .issuerFaulty && error?.message.contains("goes on from a head") == true)
    }

    @Test("Who signs a head and does not show how its log goes on from it is not believed, though nothing proves it")
    func echo() async throws {
        let stand = try CreditStand { $0.questionsBurstPerPeerMax = 10_000 }
        try await stand.found()
        try await stand.meeting(as: stand.members[0]) { (member: MemberDesk, liar: CreditLiar, _: Swarm) async throws in
            let copy = try CreditStand.copied(stand)
            let other = IssuerDesk(identity: stand.issuer, store: copy.store)
            try await other.load()
            let order = try await stand.payment(9)
            _ = await other.answer(.submit(event: .transferred(order: order.bytes)), for: stand.issuer.did)
            for amount in [250, 251] as [UInt64] { try await stand.pay(amount) }
            let did = stand.issuer.did
            let note = try await newest(of: other, did)
            let head = try #require(KnownIssuer.head(of: note, by: did))
            _ = try await member.issuer(did.text)
            // What it is asked for of that size it echoes.
            liar.set { question, answer in
                guard question == .head(since: 0, size: head.size) else { return answer }
                return .head(note: note.bytes, proof: [])
            }
            guard case .other = await HeadStanding.of(note, head, at: did, by: member) else {
                Issue.record("it is not apart")
                return
            }
            try await expectDoubt(did, at: member)
        }
    }

    @Test("What is no head of the topic's issuer is its author's fault, and a peer that tells too many is not heard")
    func lies() async throws {
        defer { try? FileManager.default.removeItem(at: home.folder) }
        try FileManager.default.createDirectory(at: home.folder, withIntermediateDirectories: true)
        let nodes = [try await home.open(.issuer), try await home.open(.executor)]
        try await NodeMesh.running(nodes) {
            try await home.found(nodes[0], [.executor: 10_000])
            try await home.connect(nodes[1], to: [nodes[0]])
            let known = try await nodes[1].parts.member.meet(home.did(.issuer))
            let parts = nodes[1].parts
            let desk = IssuerHeadDesk(
                member: parts.member, gossip: parts.gossip, settings: parts.settings, logger: parts.logger)
            let faults = Mutex<[String]>([])
            await desk.begin(
                admitting: { $0 != auditor.peerID }, blame: { _, fault in faults.withLock { $0.append(fault) } },
                onConvicted: { _ in })
            func judge(
                _ data: [UInt8], by author: Identity = Identity.generate(), of did: DID? = nil
            ) async throws -> GossipVerdict {
                let issuer = did ?? home.did(.issuer)
                let message = try GossipMessage.sign(
                    data, topic: MeshTopics.issuerHeads(of: issuer), sequenceNumber: 1, identity: author)
                return await desk.judge(message, of: issuer)
            }
            let good = try MeshProtocolMessage.logHead(LogHeadV1(note: known.note.bytes)).encoded()
            _ = await desk.look()
            #expect(try await judge(good) == .accept)
            #expect(try await judge(good) == .ignore, "so soon again")
            #expect(try await judge(good, by: auditor) == .ignore, "it is not admitted")
            #expect(faults.withLock(\.self) == [])
            #expect(try await judge(good, of: auditor.did) == .ignore, "nobody follows that issuer here")
            let otherIssuer = SignedNote(bytes: known.note.bytes).map { note in
                SignedNote(text: note.text, signatures: [])
            }
            let unsigned = try #require(otherIssuer)
            let bare = try MeshProtocolMessage.logHead(LogHeadV1(note: unsigned.bytes)).encoded()
            #expect(try await judge(bare) == .reject)
            #expect(try await judge([1, 2, 3]) == .reject)
            let fork = try MeshProtocolMessage.logFork(LogForkV1(proof: [])).encoded()
            #expect(try await judge(fork) == .reject)
            let long = known.note.bytes + [UInt8](repeating: 10, count: 8_192)
            #expect(try await judge(MeshProtocolMessage.logHead(LogHeadV1(note: long)).encoded()) == .reject)
            #expect(faults.withLock(\.self).count == 4)
            let author = Identity.generate()
            var faultsOf: [Bool] = []
            for _ in 0..<9 {
                let before = faults.withLock(\.self).count
                _ = try await judge([1, 2, 3], by: author)
                faultsOf.append(faults.withLock(\.self).count > before)
            }
            #expect(faultsOf == Array(repeating: true, count: 8) + [false], "headsBurstMax: the ninth is not read")
        }
    }
}
