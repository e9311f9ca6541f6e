import IPLD
import MeshTypes
import Multiformats
import PeerIdentity
import SignedObjects
import Testing

@Suite("Signed bodies")
struct SignedBodyTests {
    /// Signs, verifies the block, and gives the body that came back with the names of its fields.
    private func roundTrip<Body: SignedBody & Hashable>(_ body: Body, by identity: Identity) throws -> [String] {
        let signed = try SignedObject.sign(body, with: identity)
        let read = try SignedObject<Body>(verifying: signed.bytes)
        #expect(read.body == body)
        #expect(read.cid == signed.cid)
        let again = try DAGCBOREncoder().encode(read.body)
        #expect(CID.hashing(again, codec: .dagCBOR) == signed.bodyCID)
        guard case .map(let map) = try DAGCBOR.decode(again) else { return [] }
        return map.entries.map(\.key)
    }

    @Test func everyBodyComesBackFromItsBlock() throws {
        let (originator, executor) = (Samples.originator, Samples.executor)
        let manifest = try roundTrip(Samples.manifest, by: originator)
        #expect(manifest.contains("bidding_deadline") && manifest.contains("params") && manifest.contains("nonce"))
        #expect(try roundTrip(Samples.bid, by: executor).contains("node_metadata_cid"))
        #expect(try roundTrip(Samples.assignment, by: originator).contains("lease_ms"))
        let receipt = try roundTrip(Samples.receipt, by: executor)
        #expect(receipt.contains("resource_usage") && receipt.contains("execution_started_at"))
        #expect(!receipt.contains("previous_receipt_cid"), "absent optionals are left out")
        #expect(try roundTrip(Samples.capability, by: executor).contains("abi_versions"))
        let settlement = Settlement(
            jobID: Samples.bid.jobID, receiptCID: Samples.input, originatorDID: originator.did,
            executorDID: executor.did, amountPaid: TokenAmount(7), amountRefunded: TokenAmount(13), verdict: .paid,
            settledAt: Samples.date)
        #expect(try roundTrip(settlement, by: originator).contains("amount_refunded"))
        let record = ReputationRecord(
            raterDID: originator.did, subjectDID: executor.did, receiptCID: Samples.input, verdict: .fulfilled,
            weight: 7,
            recordedAt: Samples.date,
            pay: RecordedPay(issuerDID: executor.did, settlementCID: Samples.input, proofCID: Samples.module))
        #expect(try roundTrip(record, by: originator).contains("subject_did"))
        let anchor = AnchorEntry(
            nodeDID: executor.did, parents: [Samples.input], payload: [Samples.module], scope: "global", height: 1,
            recordedAt: Samples.date)
        #expect(try roundTrip(anchor, by: executor).contains("recorded_at"))
        var logged = anchor
        (logged.size, logged.root, logged.openedAt) = (7, [UInt8](repeating: 1, count: 32), Samples.date)
        #expect(Set(try roundTrip(logged, by: executor)).isSuperset(of: ["size", "root", "opened_at"]))
        let opening = ChainOpening(executorDID: executor.did, afterCID: nil, openedAt: Samples.date)
        #expect(try roundTrip(opening, by: executor) == ["opened_at", "executor_did"])
    }

    @Test func noObjectIsTakenForAnother() throws {
        let assignment = try SignedObject.sign(Samples.assignment, with: Samples.originator)
        #expect(throws: SignedObjectError.badSignature) { try SignedObject<Settlement>(verifying: assignment.bytes) }
        let bid = Samples.signedBid
        #expect(throws: SignedObjectError.badSignature) { try SignedObject<NodeCapability>(verifying: bid.bytes) }
    }

    @Test func theManifestCarriesTheParametersUnchanged() throws {
        let read = try SignedObject<JobManifest>(verifying: Samples.signedManifest.bytes)
        #expect(read.body.params == Samples.params)
        #expect(read.body.params.limits == .standard)
        #expect(read.body.params.priceCeiling == TokenAmount(25))
    }

    @Test func leanAndCanonicalBidsConvertWithoutLoss() throws {
        let lean = ProtocolBid(Samples.signedBid)
        #expect(lean.price == Samples.bid.terms.price)
        let canonical = try lean.verified()
        #expect(canonical.body == Samples.bid)
        #expect(ProtocolBid(canonical) == lean)
        var changed = lean
        changed.price = TokenAmount(1)
        #expect(throws: ProtocolBidError.leanFieldsDiffer) { try changed.verified() }
        changed = lean
        changed.region = nil
        #expect(throws: ProtocolBidError.leanFieldsDiffer) { try changed.verified() }
        changed = lean
        changed.signedBid[changed.signedBid.count - 1] ^= 1
        #expect(throws: ProtocolBidError.self) { try changed.verified() }
        var other = Samples.bid
        other.bidderPeerID = Samples.originator.peerID
        let foreign = try SignedObject.sign(other, with: Samples.executor)
        #expect(throws: ProtocolBidError.peerIDOfAnotherKey) { try ProtocolBid(foreign).verified() }
    }

    @Test func theRequestsPolicyWins() {
        var policy = ExecutionPolicy()
        policy.maxPrice = TokenAmount(1)
        let request = JobRequest(
            requesterDID: Samples.originator.did, submittedAt: Samples.date, params: Samples.params,
            executionPolicy: policy, idempotencyKey: "key")
        #expect(request.effectiveParams.executionPolicy == policy)
        #expect(request.effectiveParams.priceCeiling == TokenAmount(1))
    }
}
