import MeshTypes
import Multiformats
import SignedObjects

/// What the objects about a hold's work come to; the book and its members read them alike.
extension Hold {
    /// What a settlement pays: all that is due by the receipt, no more and no less.
    func settled(
        _ settlement: [UInt8], _ receipt: [UInt8], _ assignment: [UInt8], _ origin: BlockOrigin
    ) throws(BookRefusal) -> UInt64 {
        let work = try DoneWork(receipt: receipt, assignment: assignment, of: terms, origin)
        let settled: SignedObject<Settlement> = try DoneWork.read(settlement, origin)
        guard settled.did == terms.originatorDID else { throw .wrongSigner }
        guard settled.body.receiptCID == work.receipt.cid, settled.body.jobID == terms.jobID,
            settled.body.executorDID == terms.executorDID
        else { throw .notOfThisHold }
        let due = min(work.price.units, amount)
        guard settled.body.amountPaid.units == due else { throw .notDue(due: due) }
        // Whatever else the executor signed: what it claims is owed.
        if let claim, due < claim.due { throw .notDue(due: claim.due) }
        return due
    }

    /// When an object about the hold came: now, or when a witness was given it.
    func date(
        of object: CID, _ lodging: [UInt8]?, _ at: UnixMilliseconds, under charter: IssuerCharter, _ origin: BlockOrigin
    ) throws(BookRefusal) -> UnixMilliseconds {
        guard let lodging else { return at }
        let statement: SignedObject<LodgingStatement>
        do {
            statement = try SignedObject(reading: lodging, origin)
        } catch {
            throw .malformed(error)
        }
        guard charter.witnesses.contains(statement.did), !isParty(statement.did) else { throw .wrongSigner }
        guard statement.body.issuerDID == charter.issuerDID, statement.body.objectCID == object else {
            throw .notOfThisHold
        }
        return min(at, statement.body.lodgedAt)
    }

    /// What is due to a claim, if its evidence is complete and belongs to the hold.
    func due(
        _ claim: SignedObject<HoldClaim>, under charter: IssuerCharter, _ origin: BlockOrigin
    ) throws(BookRefusal) -> UInt64 {
        guard claim.did == terms.executorDID else { throw .wrongSigner }
        let work = try DoneWork(
            receipt: claim.body.receipt, assignment: claim.body.assignment, of: terms, origin)
        let delivery: SignedObject<DeliveryStatement>
        do {
            delivery = try SignedObject(reading: claim.body.delivery, origin)
        } catch {
            throw .malformed(error)
        }
        // The originator's word is against itself; a witness that is a party has none.
        let isKeeper =
            [terms.originatorDID, terms.arbiterDID].contains(delivery.did)
            || charter.witnesses.contains(delivery.did) && !isParty(delivery.did)
        guard isKeeper else { throw .wrongSigner }
        guard delivery.body.receiptCID == work.receipt.cid,
            delivery.did == terms.originatorDID || delivery.body.bidCID == terms.bidCID
        else { throw .notOfThisHold }
        guard delivery.body.deliveredAt <= terms.deliverBy else { throw .notDelivered }
        let due = min(work.price.units, amount)
        guard due > 0 else { throw .nothingDue }
        return due
    }

    /// What a decision awards of a claim.
    func decided(
        _ decision: SignedObject<HoldDecision>, of claim: Claim
    ) throws(BookRefusal) -> UInt64 {
        guard decision.did == terms.arbiterDID else { throw .wrongSigner }
        guard decision.body.claimCID == claim.cid else { throw .notOfThisHold }
        guard decision.body.payable.units <= claim.due else { throw .notDue(due: claim.due) }
        return decision.body.payable.units
    }
}
