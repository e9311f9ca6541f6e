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

/// What a ban ends at once, and what it keeps away from then on, between real nodes.
@Suite("Banned and forgotten peers", .serialized)
struct BanTests {
    /// Two nodes without jobs, the first in a home that can be opened again.
    private struct Pair {
        let folder = URL(fileURLWithPath: "/tmp/mn-\(UUID().uuidString.prefix(8))")
        let identity = Identity.generate()

        func open(_ name: String, _ identity: Identity = .generate()) async throws -> MeshNode {
            var configuration = try NodeMesh.loopback()
            configuration.executor.isEnabled = false
            return try await NodeMesh.open(folder.path + "/" + name, configuration, identity: identity)
        }
    }

    private func order(_ order: PeerOrder, _ peer: MeshNode, at node: MeshNode) async throws -> PeerOrderOutcome {
        try await node.obey(order, about: OrderedPeer(peer: peer.identity.did.text))
    }

    private func refusals(_ node: MeshNode) -> Int { node.swarm.counters()[.refusedDenied] ?? 0 }

    /// Has a node dial another, and waits until that has refused it.
    private func knock(_ caller: MeshNode, at node: MeshNode) async throws {
        let before = refusals(node)
        let address = try #require(await node.swarm.listenAddresses().first)
        // Without a name in it, it is dialed in any case, also where dials of that peer have failed before. Its own
        // side of the handshake may be done before the other one refuses.
        _ = try? await caller.swarm.dial(address)
        try await eventually("the connection is refused") { refusals(node) > before }
        try await eventually("no connection is left") { !caller.swarm.isConnected(node.identity.peerID) }
    }

    @Test("A ban closes connections, refuses those in both directions, outlasts a restart, and can be lifted")
    func connections() async throws {
        let pair = Pair()
        defer { try? FileManager.default.removeItem(at: pair.folder) }
        let other = try await pair.open("other")
        let place = try #require(await other.swarm.listenAddresses().first).withPeerID(other.identity.peerID)
        try await NodeMesh.running([other]) {
            let first = try await pair.open("own", pair.identity)
            try await NodeMesh.running([first]) {
                _ = try await first.connect(place)
                let banned = try await first.obey(
                    .ban, about: OrderedPeer(peer: other.identity.peerID.text, note: "spam"))
                #expect(banned.isBanned && !banned.wasBanned && banned.closedConnections == 1)
                try await eventually("the other sees it") { !other.swarm.isConnected(pair.identity.peerID) }
                let error = await #expect(throws: NodeServiceError.self) { try await first.connect(place) }
                #expect(error?.message.contains("the owner of this node denies the peer") == true, "\(error as Any)")
                // Without a name in it the address is tried, and whoever answers is turned away.
                let unnamed = await #expect(throws: NodeServiceError.self) {
                    try await first.connect(place.withoutPeerID())
                }
                #expect(unnamed?.message.contains("denies the peer") == true, "\(unnamed as Any)")
                try await knock(other, at: first)
                let again = try await order(.ban, other, at: first)
                #expect(again.wasBanned && again.replacedNote == nil)
                let noted = OrderedPeer(peer: other.identity.did.text, note: "more spam")
                #expect(try await first.obey(.ban, about: noted).replacedNote == "spam")
                let same = try await first.obey(.ban, about: noted)
                #expect(same.replacedNote == nil, "it is the same note")
            }
            let second = try await pair.open("own", pair.identity)
            try await NodeMesh.running([second]) {
                let bans = try await second.bans()
                #expect(bans.map(\.did) == [other.identity.did.text] && bans.first?.note == "more spam")
                #expect(try await second.peers().first?.isBanned == true)
                try await knock(other, at: second)
                #expect(try await order(.allow, other, at: second).wasBanned)
                #expect(try await second.bans().isEmpty)
                #expect(try await second.connect(place).isConnected)
                #expect(try await !order(.allow, other, at: second).wasBanned)
            }
        }
    }

    @Test("The cheapest executor gets no job where it is banned, although others still forward what it says")
    func executor() async throws {
        try await NodeMesh.run(prices: [1, 50]) { mesh in
            let (cheap, dear) = (mesh.nodes[0], mesh.nodes[1])
            let before = try await mesh.result(of: try await mesh.submit(try Assembler.command("nop")))
            #expect(before.ending == .succeeded, "\(before.detail)")
            _ = try await order(.ban, cheap, at: mesh.originator)
            let offers = try await mesh.originator.offers(for: nil).offers.map(\.did)
            #expect(!offers.contains(cheap.identity.did.text))
            let result = try await mesh.result(
                of: try await mesh.submit(try Assembler.command("nop")) { $0.idempotencyKey = "second" })
            #expect(result.executorDID == dear.identity.did.text, "\(result.detail)")
            // The dear one forwards it, and the cheap one still wants the job.
            try await eventually("what the banned one says is dropped") {
                await mesh.originator.core.tallies["messages_unread"] ?? 0 > 0
            }
        }
    }

    @Test("A job that only a banned executor would run fails by that reason, and offers say who is left out")
    func bannedExecutor() async throws {
        try await NodeMesh.run(prices: [1]) { mesh in
            try await eventually("the executor's offer is known") {
                try await !mesh.originator.offers(for: nil).offers.isEmpty
            }
            _ = try await order(.ban, mesh.nodes[0], at: mesh.originator)
            #expect(try await order(.ban, mesh.nodes[0], at: mesh.originator).wasBanned)
            let left = try await mesh.originator.offers(for: nil)
            #expect(left.offers.isEmpty && left.banned == 1)
            let result = try await mesh.result(of: try await mesh.submit(try Assembler.command("nop")))
            #expect(
                result.detail.contains("no executor is known but the one that this node's owner banned"),
                "\(result.detail)")
            #expect(result.ending == .noBids && result.hint?.contains("mesh peers allow") == true, "\(result)")
            #expect(result.executors?.banned == 1)
        }
    }

    @Test("Whom an executor's owner banned is told soon that no connection to it lasts, and connects to nobody there")
    func bannedThere() async throws {
        let (banning, resting) = (0, 1)
        try await NodeMesh.run(prices: [1, 50], biddingMilliseconds: 30_000) { mesh in
            try await eventually("both offers are known") {
                try await mesh.originator.offers(for: nil).offers.count == 2
            }
            _ = try await mesh.nodes[resting].order(.pause)
            _ = try await order(.ban, mesh.originator, at: mesh.nodes[banning])
            let place = try #require(await mesh.nodes[banning].swarm.listenAddresses().first)
            let error = await #expect(throws: NodeServiceError.self) { try await mesh.originator.connect(place) }
            #expect(error?.code == .peerUnreachable, "\(error as Any)")
            #expect(error?.message.contains("closed the connection at once") == true, "\(error as Any)")
            #expect(error?.hint?.contains("may have banned this node") == true)
            let job = try await mesh.submit(try Assembler.command("nop"))
            try await eventually("the owner is told") {
                try await mesh.originator.explain(job).lines.contains {
                    $0.text.contains("its owner may have banned this node")
                }
            }
            #expect(try await !mesh.originator.job(job).isTerminal, "it was told while the job waits")
            _ = try await mesh.originator.cancel(job)
        }
    }

    @Test("An executor makes no bid to an originator that it banned, although another forwards the announcement")
    func originator() async throws {
        try await NodeMesh.run(prices: [1, 50]) { mesh in
            let (cheap, dear) = (mesh.nodes[0], mesh.nodes[1])
            try await eventually("the executors know each other") { cheap.swarm.isConnected(dear.identity.peerID) }
            _ = try await order(.ban, mesh.originator, at: cheap)
            let result = try await mesh.result(of: try await mesh.submit(try Assembler.command("nop")))
            #expect(result.executorDID == dear.identity.did.text, "\(result.detail)")
            try await eventually("the announcement is dropped") {
                await cheap.core.tallies["messages_unread"] ?? 0 > 0
            }
            #expect(try await cheap.jobs(limit: 10).isEmpty)
        }
    }

    /// A job that runs until it is stopped, and the number of its executor.
    private func running(_ mesh: NodeMesh) async throws -> (job: CID, executor: Int) {
        let job = try await mesh.submit(try Assembler.command("(loop (br 0))")) { submission in
            submission.limits.maxFuel = 900_000_000_000
            submission.limits.timeoutSeconds = 300
        }
        var executor: Int?
        try await eventually("the job runs") {
            for (index, node) in mesh.nodes.dropLast().enumerated() where executor == nil {
                if (try? await node.job(job))?.outcome == .running { executor = index }
            }
            return executor != nil
        }
        return (job, try #require(executor))
    }

    @Test("The jobs of a banned originator are stopped here")
    func runsHere() async throws {
        try await NodeMesh.run(prices: [1]) { mesh in
            let (job, _) = try await running(mesh)
            let banned = try await order(.ban, mesh.originator, at: mesh.nodes[0])
            #expect(banned.stoppedJobs == 1 && banned.reassignedJobs == 0)
            try await eventually("the run is over") { try await mesh.nodes[0].job(job).outcome != .running }
            let told = try await mesh.nodes[0].explain(job).lines.map(\.text).joined(separator: "\n")
            #expect(told.contains("the executor's owner banned the originator"), "\(told)")
        }
    }

    @Test("The jobs at a banned executor go to others at once, and the journal says why")
    func runsThere() async throws {
        try await NodeMesh.run(prices: [1, 50]) { mesh in
            let (job, executor) = try await running(mesh)
            let other = mesh.nodes[1 - executor]
            let banned = try await order(.ban, mesh.nodes[executor], at: mesh.originator)
            #expect(banned.reassignedJobs == 1 && banned.stoppedJobs == 0)
            try await eventually("the other one runs it") { (try? await other.job(job))?.outcome == .running }
            let told = try await mesh.originator.explain(job).lines.map(\.text).joined(separator: "\n")
            #expect(told.contains("this node's owner banned the executor"), "\(told)")
            _ = try await mesh.originator.cancel(job)
        }
    }

    @Test("As many are banned as fit; one more is refused by that reason, and fits once another is allowed")
    func limit() async throws {
        let pair = Pair()
        defer { try? FileManager.default.removeItem(at: pair.folder) }
        let node = try await pair.open("own", pair.identity)
        let strangers = (0...BanList.peersMax).map { _ in Identity.generate().peerID }
        let full = BanList(strangers.prefix(BanList.peersMax).map { BanList.Ban(peer: $0, at: 1, note: "") })
        try await full.keep(in: node.store)
        try await NodeMesh.running([node]) {}
        let again = try await pair.open("own", pair.identity)
        try await NodeMesh.running([again]) {
            let one = OrderedPeer(peer: try #require(strangers.last).text)
            let error = await #expect(throws: NodeServiceError.self) { try await again.obey(.ban, about: one) }
            #expect(error?.code == .tooLarge)
            #expect(error?.message.contains("\(BanList.peersMax) peers are, and no node keeps more") == true)
            #expect(try await again.obey(.allow, about: OrderedPeer(peer: strangers[0].text)).wasBanned)
            #expect(try await again.obey(.ban, about: one).isBanned)
            #expect(try await again.bans().count == BanList.peersMax)
            let long = OrderedPeer(peer: one.peer, note: String(repeating: "x", count: BanList.noteBytesMax + 1))
            let tooLong = await #expect(throws: NodeServiceError.self) { try await again.obey(.ban, about: long) }
            #expect(tooLong?.message.contains("a ban has room for \(BanList.noteBytesMax)") == true)
        }
    }

    @Test("A forgotten peer leaves no address and no fault, here and on the disk; what is kept is said")
    func forgetting() async throws {
        let pair = Pair()
        defer { try? FileManager.default.removeItem(at: pair.folder) }
        let (other, node) = (try await pair.open("other"), try await pair.open("own", pair.identity))
        let peer = other.identity.peerID
        try await NodeMesh.running([node]) {
            try await NodeMesh.running([other]) {
                let place = try #require(await other.swarm.listenAddresses().first)
                _ = try await node.connect(place.withPeerID(peer))
                try await eventually("it is remembered") {
                    try await node.store.peers().contains { $0.peerID == peer && !$0.addresses.isEmpty }
                }
            }
            try await eventually("it is gone") { !node.swarm.isConnected(peer) }
            await node.take(.misbehaved(peer, "a fault", isConnected: true))
            let outcome = try await order(.forget, other, at: node)
            #expect(outcome.forgottenAddresses > 0 && !outcome.isBootstrap)
            #expect(outcome.kept == ["evidence", "ledger", "reputation"])
            #expect(await node.swarm.addresses(of: peer).isEmpty)
            #expect(try await !node.peers().contains { $0.peerID == peer.text })
        }
    }

    @Test("A message that was read before its sender was banned is refused, and nothing follows from it")
    func earlyMessage() async throws {
        let pair = Pair()
        defer { try? FileManager.default.removeItem(at: pair.folder) }
        let (node, other) = (try await pair.open("own", pair.identity), Identity.generate())
        let sealed = JobBidsSealedV1(jobID: JobID(CID.hashing([1], codec: .dagCBOR)), bids: [])
        let bytes = try MeshProtocolMessage.jobBidsSealed(sealed).encoded()
        let input = NodeInput.message(bytes, from: other.peerID, roundTripMilliseconds: nil, request: 7)
        try await NodeMesh.running([node]) {
            func answer() async -> String? {
                var core = await node.core
                for case .answer(7, .refused(let refusal)) in core.handle(input, at: await node.moment) {
                    return refusal.code.text
                }
                return nil
            }
            let before = await answer()
            #expect(before != nil && before != "not_accepting")
            _ = try await node.obey(.ban, about: OrderedPeer(peer: other.peerID.text))
            #expect(await answer() == "not_accepting")
        }
    }

    @Test("Who is no peer, and who is this node itself, is refused by name")
    func names() async throws {
        let pair = Pair()
        defer { try? FileManager.default.removeItem(at: pair.folder) }
        let node = try await pair.open("own", pair.identity)
        try await NodeMesh.running([node]) {
            let none = await #expect(throws: NodeServiceError.self) {
                try await node.obey(.ban, about: OrderedPeer(peer: "nobody"))
            }
            #expect(none?.message.contains("\"nobody\" is no DID, no peer ID") == true)
            let own = await #expect(throws: NodeServiceError.self) { try await order(.ban, node, at: node) }
            #expect(own?.message.contains("is this node itself") == true)
            // The hash of a key is a peer ID, too, and no node's.
            let hash = try PeerID(parsing: "QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N")
            let hashed = await #expect(throws: NodeServiceError.self) {
                try await node.obey(.ban, about: OrderedPeer(peer: hash.text))
            }
            #expect(hashed?.message.contains("names no Ed25519 key, so it is no node") == true, "\(hashed as Any)")
            #expect(try await node.bans().isEmpty)
        }
    }
}
