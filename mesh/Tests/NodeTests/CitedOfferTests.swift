import JobMarket
import LibP2P
import Logging
import MeshTypes
import Multiformats
import NodeAPI
import P2PServices
import P2PTesting
import PeerIdentity
import SignedObjects
import Testing

@testable import NodeCore
@testable import PlanetaryMesh

/// An originator fetches the offer that a bid cites from its bidder, where it never heard of it, and holds the bid
/// against it.
@Suite("Offers that bids cite", .serialized)
struct CitedOfferTests {
    /// The blocks that a bidder gives.
    private struct Shelf: BlockSource {
        let blocks: [CID: [UInt8]]

        func block(_ cid: CID) async -> [UInt8]? { blocks[cid] }
        func hasBlock(_ cid: CID) async -> Bool { blocks[cid] != nil }
    }

    /// Serves blocks for a peer while `body` runs.
    private static func serving(
        _ blocks: [SignedObject<NodeCapability>], at peer: HostilePeer, _ body: () async throws -> Void
    ) async throws {
        var logger = Logger(label: "test")
        logger.logLevel = .critical
        let shelf = Shelf(blocks: Dictionary(blocks.map { ($0.cid, $0.bytes) }) { first, _ in first })
        let service = BitswapService(host: peer.swarm, store: shelf, logger: logger)
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { await service.run() }
            defer { group.cancelAll() }
            try await body()
        }
    }

    private static func offer(
        _ identity: Identity, features: [String], region: String? = "eu"
    ) throws -> SignedObject<NodeCapability> {
        let now = NodeClock.wallClock
        var capability = NodeCapability(
            nodeDID: identity.did, peerID: identity.peerID, issuedAt: now,
            validUntil: now.advanced(milliseconds: 120_000))
        (capability.region, capability.features, capability.resources) = (region, features, ["memory_mib": 64])
        return try SignedObject.sign(capability, with: identity)
    }

    /// A message with a bid of a peer, and its job.
    private static func bid(
        by peer: HostilePeer, on job: CID, of originator: MeshNode, citing cid: CID?,
        _ change: (inout Bid) -> Void = { _ in }
    ) throws -> [UInt8] {
        let now = NodeClock.wallClock
        let terms = BidTerms(
            price: TokenAmount(10), basePrice: TokenAmount(1), pricePerMillionFuel: TokenAmount(1),
            earliestStart: now, deadline: now.advanced(milliseconds: 60_000))
        var bid = Bid(
            jobID: JobID(job), originatorPeerID: originator.identity.peerID, bidderDID: peer.identity.did,
            bidderPeerID: peer.identity.peerID, terms: terms, region: "eu", features: [originator.engineFeature],
            resources: ["memory_mib": 64], nodeMetadataCID: cid, issuedAt: now,
            expiresAt: now.advanced(milliseconds: 30_000))
        change(&bid)
        let signed = try SignedObject.sign(bid, with: peer.identity)
        return try MeshProtocolMessage.jobBid(JobBidV1(bid: ProtocolBid(signed))).encoded()
    }

    /// A job that waits for more bids than there are.
    private static func job(_ mesh: NodeMesh) async throws -> CID {
        try await mesh.submit(try Assembler.command("nop")) { submission in
            submission.policy.sufficientBids = 64
            submission.policy.bidWindowMilliseconds = 20_000
        }
    }

    private func reason(_ reply: MeshProtocolReply?) -> String? {
        guard case .refused(let refusal) = reply, refusal.code == .known(.termsInvalid) else { return nil }
        return refusal.text
    }

    @Test(
        "A bid beyond the offer that it cites, or citing what is none of its bidder's, is refused; one within is taken"
    )
    func fetched() async throws {
        try await NodeMesh.run(prices: []) { mesh in
            let node = mesh.originator
            await node.waitsForOffers(milliseconds: 30_000)
            try await HostilePeer.meeting([node]) { peer in
                let own = try Self.offer(peer.identity, features: [node.engineFeature])
                let another = try Self.offer(Identity.generate(), features: [node.engineFeature])
                try await Self.serving([own, another], at: peer) {
                    let job = try await Self.job(mesh)
                    func send(_ cid: CID, _ change: (inout Bid) -> Void = { _ in }) async throws -> MeshProtocolReply? {
                        try await peer.send(try Self.bid(by: peer, on: job, of: node, citing: cid, change), to: node)
                    }
                    let elsewhere = reason(try await send(own.cid) { $0.region = "us" })
                    #expect(elsewhere?.hasSuffix("its region is not that of the offer it cites") == true)
                    let foreign = reason(try await send(another.cid))
                    #expect(foreign?.hasSuffix("what it cites is no offer of its bidder") == true)
                    let larger = reason(try await send(own.cid) { $0.resources = ["memory_mib": 65] })
                    #expect(larger?.hasSuffix("it has more resources than the offer it cites") == true)
                    #expect(try await send(own.cid) == .ack)
                    #expect(await node.core.capabilities.offer(of: peer.identity.did, now: NodeClock.now) == nil)
                    // The third bid cites what was replaced meanwhile by the second, the fourth what the third brought.
                    #expect(node.parts.tallies.all["offers_fetched"] == 3)
                    #expect(await node.hasBid(of: peer.identity.did, on: job))
                    _ = try await node.cancel(job)
                }
            }
        }
    }

    @Test("A bidder that does not give what its bid cites waits for a moment, and its bid is judged by itself")
    func withheld() async throws {
        try await NodeMesh.run(prices: []) { mesh in
            let node = mesh.originator
            try await HostilePeer.meeting([node]) { peer in
                // It hears what it is asked for, and never answers.
                await peer.swarm.handle(BitswapService.protocolID) { stream in
                    while (try? await stream.readFrame(bytesMax: 9_999)) ?? nil != nil {}
                }
                let job = try await Self.job(mesh)
                let cid = try Self.offer(peer.identity, features: []).cid
                let bid = try Self.bid(by: peer, on: job, of: node, citing: cid) { $0.region = "us" }
                #expect(try await peer.send(bid, to: node) == .ack)
                #expect(node.parts.tallies.all["offers_not_fetched"] == 1)
                #expect(await node.hasBid(of: peer.identity.did, on: job))
                _ = try await node.cancel(job)
            }
        }
    }

    @Test("Only so many bids wait at once, and none for a job that takes none or of somebody else")
    func bounded() async throws {
        try await NodeMesh.run(prices: []) { mesh in
            let node = mesh.originator
            await node.waitsForOffers(milliseconds: 30_000)
            try await HostilePeer.meeting([node]) { peer in
                let own = try Self.offer(peer.identity, features: [node.engineFeature])
                try await Self.serving([own], at: peer) {
                    let job = try await Self.job(mesh)
                    let bid = try Self.bid(by: peer, on: job, of: node, citing: own.cid)
                    let sender = peer.identity.peerID
                    var limits = CitedOfferDesk.Limits()
                    limits.waitingMax = 0
                    let did = peer.identity.did
                    await CitedOfferDesk(node.parts, limits: limits).prepare(for: bid, from: sender, at: node)
                    #expect(await !node.core.capabilities.knows(own.cid, of: did, now: NodeClock.now))
                    let desk = CitedOfferDesk(node.parts)
                    let stranger = Identity.generate().peerID
                    await desk.prepare(for: bid, from: stranger, at: node)
                    let other = try Self.bid(
                        by: peer, on: CID.hashing([1], codec: .dagCBOR), of: node, citing: own.cid)
                    await desk.prepare(for: other, from: sender, at: node)
                    #expect(await !node.core.capabilities.knows(own.cid, of: did, now: NodeClock.now))
                    #expect(node.parts.tallies.all["offers_fetched"] == nil)
                    await desk.prepare(for: bid, from: sender, at: node)
                    #expect(await node.core.capabilities.knows(own.cid, of: did, now: NodeClock.now))
                    #expect(node.parts.tallies.all["offers_fetched"] == 1)
                    _ = try await node.cancel(job)
                }
            }
        }
    }
}

extension MeshNode {
    /// Lets bids wait as long as a busy machine may take.
    fileprivate func waitsForOffers(milliseconds: UInt64) {
        core.market.configuration.originator.citedOfferMilliseconds = milliseconds
    }

    fileprivate func hasBid(of bidder: DID, on job: CID) -> Bool {
        core.market.originatedJob(JobID(job))?.bids.contains { $0.bid.bidderDID == bidder } ?? false
    }
}
