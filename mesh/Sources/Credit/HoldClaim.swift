package import MeshTypes
package import Multiformats
package import SignedObjects

/// An executor's claim to what is held for an attempt: what it did, for which order, and that it delivered it.
///
/// It names no book, so that the same claim holds at the executor's issuer and at the originator's.
package struct HoldClaim: Hashable, CreditObject {
    /// Who claims.
    package var executorDID: DID
    /// The signed `ExecutionReceipt`.
    package var receipt: [UInt8]
    /// The signed `Assignment` that it answers.
    package var assignment: [UInt8]
    /// The signed `DeliveryStatement`.
    package var delivery: [UInt8]
    /// When it was made.
    package var claimedAt: UnixMilliseconds

    package init(
        executorDID: DID, receipt: [UInt8], assignment: [UInt8], delivery: [UInt8], claimedAt: UnixMilliseconds
    ) {
        self.executorDID = executorDID
        self.receipt = receipt
        self.assignment = assignment
        self.delivery = delivery
        self.claimedAt = claimedAt
    }

    /// The type name that is signed.
    package static let typeName = "HoldClaim"
    /// The longest receipt, assignment and statement that there are, and the rest.
    package static let bytesMax = 592 << 10
    /// The executor signs.
    package var signerDID: DID { executorDID }
    package var fieldOutOfBounds: String? { nil }

    enum CodingKeys: String, CodingKey {
        case executorDID = "executor_did"
        case receipt
        case assignment
        case delivery
        case claimedAt = "claimed_at"
    }
}

extension HoldCertificate {
    /// What a claim to the hold is for, if its executor signed it and all of it belongs to the hold.
    package func work(of claim: SignedObject<HoldClaim>) throws(BookRefusal) -> DoneWork {
        guard claim.did == terms.executorDID else { throw .wrongSigner }
        return try DoneWork(receipt: claim.body.receipt, assignment: claim.body.assignment, of: terms, .arrived)
    }
}

/// Somebody's word that a receipt and its outputs were delivered: the originator's own, or that of the arbiter or a
/// witness with whom the executor left them.
package struct DeliveryStatement: Hashable, CreditObject {
    /// Who says so.
    package var keeperDID: DID
    /// The receipt.
    package var receiptCID: CID
    /// The bid whose attempt it is the result of; absent in the originator's own word, which reads the receipt.
    ///
    /// Whoever else keeps a result cannot read it, and says so for one attempt alone: it stands in the terms of every
    /// hold for that one.
    package var bidCID: CID?
    /// When all of it was there.
    package var deliveredAt: UnixMilliseconds

    package init(keeperDID: DID, receiptCID: CID, bidCID: CID? = nil, deliveredAt: UnixMilliseconds) {
        self.keeperDID = keeperDID
        self.receiptCID = receiptCID
        self.bidCID = bidCID
        self.deliveredAt = deliveredAt
    }

    /// The type name that is signed.
    package static let typeName = "DeliveryStatement"
    package static let bytesMax = 512
    /// Who has it signs.
    package var signerDID: DID { keeperDID }
    package var fieldOutOfBounds: String? { nil }

    enum CodingKeys: String, CodingKey {
        case keeperDID = "keeper_did"
        case receiptCID = "receipt_cid"
        case bidCID = "bid_cid"
        case deliveredAt = "delivered_at"
    }
}

/// An executor's word that it wants nothing of a hold any more.
package struct HoldRelease: Hashable, CreditObject {
    /// Whose hold it is.
    package var executorDID: DID
    /// The CID of the order's body.
    package var holdCID: CID
    /// The bid of the attempt, for which nothing is due: so it also counts at the issuer that holds for this one.
    package var bidCID: CID?
    /// When it was signed.
    package var releasedAt: UnixMilliseconds

    package init(executorDID: DID, holdCID: CID, bidCID: CID? = nil, releasedAt: UnixMilliseconds) {
        self.executorDID = executorDID
        self.holdCID = holdCID
        self.bidCID = bidCID
        self.releasedAt = releasedAt
    }

    /// Whether it gives up a hold: the one that it names, or one for the same bid that pays for that.
    func isAbout(_ hold: Hold) -> Bool {
        holdCID == hold.id || (!hold.isForExecutor && bidCID == hold.terms.bidCID)
    }

    /// The type name that is signed.
    package static let typeName = "HoldRelease"
    package static let bytesMax = 512
    /// The executor signs.
    package var signerDID: DID { executorDID }
    package var fieldOutOfBounds: String? { nil }

    enum CodingKeys: String, CodingKey {
        case executorDID = "executor_did"
        case holdCID = "hold_cid"
        case bidCID = "bid_cid"
        case releasedAt = "released_at"
    }
}
