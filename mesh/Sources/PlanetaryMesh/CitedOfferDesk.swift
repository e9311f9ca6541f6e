import JobMarket
import MeshTypes
import Multiformats
import NodeCore
import P2PServices
import SignedObjects
import Synchronization

/// Fetches the offer that a bid cites (`node_metadata_cid`) from its bidder, where this node did not hear of it, before
/// the bid is judged.
///
/// Bids are judged one by one as they come, so only the bid that cites something unknown waits, and for a moment at the
/// most: what does not come by then is unknown, as if the bid cited nothing.
final class CitedOfferDesk: Sendable {
    /// The bounds of fetching.
    struct Limits: Sendable {
        /// Bids that wait at once; others are judged without.
        var waitingMax = 64
        /// An offer, in bytes.
        var offerBytesMax = MarketLimits().capabilityBytesMax
    }

    private let parts: NodeParts
    private let limits: Limits
    private let waiting = Mutex(0)
    /// What the encoding of a message with a bid begins with: a map of one, and the name of its variant.
    private static let bidPrefix: [UInt8] = [0xA1, 0x60 + UInt8(variant.count)] + variant
    private static let variant = Array(MeshProtocolMessage.Variant.jobBid.rawValue.utf8)

    init(_ parts: NodeParts, limits: Limits = Limits()) {
        self.parts = parts
        self.limits = limits
    }

    /// Answers the direct messages of peers by a node, as soon as it knows what their bids cite.
    func answers(of node: MeshNode) -> @Sendable (PeerID, [UInt8]) async -> MeshProtocolReply? {
        { [weak node] peer, bytes in
            guard let node else { return nil }
            await self.prepare(for: bytes, from: peer, at: node)
            return await node.answer(bytes, from: peer)
        }
    }

    /// Fetches what the bid in a message cites, if the node does not know it and the bid may count.
    func prepare(for bytes: [UInt8], from peer: PeerID, at node: MeshNode) async {
        guard bytes.starts(with: Self.bidPrefix), case .jobBid(let message)? = try? MeshProtocolMessage.decode(bytes),
            message.bid.executionNodeID == peer, message.bid.executorDID.peerID == peer,
            let bid = try? SignedObject<Bid>(verifiedBefore: message.bid.signedBid).body,
            let cid = bid.nodeMetadataCID, cid.namesEvidence, cid.codec == .dagCBOR,
            let milliseconds = await Self.wait(for: cid, by: message.bid, at: node), begin()
        else { return }
        defer { waiting.withLock { $0 -= 1 } }
        let found = try? await parts.bitswap.fetched(
            cid, from: [peer], maxBytes: limits.offerBytesMax, timeout: .milliseconds(milliseconds))
        guard let found else { return parts.tallies.add("offers_not_fetched") }
        parts.tallies.add("offers_fetched")
        await node.take(.offerFetched(found.block, cid, of: message.bid.executorDID))
    }

    /// How long to wait for what a bid cites, in milliseconds, if the job takes bids and the node knows nothing of this
    /// name.
    private static func wait(for cid: CID, by bid: ProtocolBid, at node: isolated MeshNode) -> UInt64? {
        guard let job = node.core.market.originatedJob(bid.jobID), job.takesBids,
            !node.core.capabilities.knows(cid, of: bid.executorDID, now: NodeClock.now)
        else { return nil }
        return node.core.market.configuration.originator.citedOfferMilliseconds
    }

    private func begin() -> Bool {
        waiting.withLock { waiting in
            guard waiting < limits.waitingMax else { return false }
            waiting += 1
            return true
        }
    }
}
