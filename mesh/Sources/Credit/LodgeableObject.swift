package import MeshTypes
package import Multiformats
package import SignedObjects

/// A claim, a dispute or a decision about the hold of a certificate: what a witness of its issuer takes.
///
/// An issuer's certificate is asked for so that nobody without a part in a hold can fill a witness: keys cost nothing,
/// holds do.
package struct LodgeableObject: Sendable {
    /// Why an object is not taken.
    package enum Refusal: Error, Hashable, Sendable, CustomStringConvertible {
        /// The certificate does not read.
        case certificate(CreditObjectError)
        /// The object is none of the three, or does not read.
        case noObject
        /// Somebody without that part in the hold signed it.
        case wrongSigner
        /// The claim's evidence belongs to something else.
        case otherWork(BookRefusal)

        /// One sentence without a full stop.
        package var description: String {
            switch self {
            case .certificate(let error): "the certificate does not read: \(error)"
            case .noObject: "it is neither a claim nor a dispute nor a decision"
            case .wrongSigner: "it is signed by nobody who may say that about the hold"
            case .otherWork(let refusal): "the claim is not for the hold: \(refusal)"
            }
        }
    }

    /// What the issuer promised.
    package let certificate: HoldCertificate
    /// The CID of the object's block.
    package let cid: CID
    /// Who signed it.
    package let signer: DID
    /// When it is of use for the last time; nil where that depends on entries that nobody has yet.
    package let until: UnixMilliseconds?

    /// Reads an object with every signature that it has.
    package init(certificate block: [UInt8], object: [UInt8]) throws(Refusal) {
        let certificate: SignedObject<HoldCertificate>
        do {
            certificate = try SignedObject(reading: block)
        } catch {
            throw .certificate(error)
        }
        self.certificate = certificate.body
        let terms = certificate.body.terms
        cid = CID.hashing(object, codec: .dagCBOR)
        if let claim = try? SignedObject<HoldClaim>(reading: object) {
            (signer, until) = (claim.did, terms.claimBy)
            do throws(BookRefusal) {
                _ = try certificate.body.work(of: claim)
            } catch {
                throw error == .wrongSigner ? .wrongSigner : .otherWork(error)
            }
        } else if let dispute = try? SignedObject<HoldDispute>(reading: object) {
            (signer, until) = (dispute.did, nil)
            guard [terms.originatorDID, certificate.body.debtorDID].contains(dispute.did) else { throw .wrongSigner }
        } else if let decision = try? SignedObject<HoldDecision>(reading: object) {
            (signer, until) = (decision.did, nil)
            guard terms.arbiterDID == decision.did else { throw .wrongSigner }
        } else {
            throw .noObject
        }
    }
}

extension HoldCertificate {
    /// Whether somebody gives, gets or did what it is for, as far as the certificate says: such a witness dates nothing
    /// about it.
    package func isParty(_ did: DID) -> Bool {
        [terms.originatorDID, terms.executorDID, debtorDID, creditorDID].contains(did)
    }
}

extension BookEvent {
    /// The block that witnesses take, of a claim, a dispute or a decision; nil of all others.
    package var lodgeable: [UInt8]? {
        switch self {
        case .claimLodged(_, let block, _), .claimDisputed(_, let block, _), .claimDecided(_, let block, _): block
        default: nil
        }
    }

    /// The same with a witness's statement that it was given the block; of others the same.
    package func dated(by statement: [UInt8]) -> BookEvent {
        switch self {
        case .claimLodged(let hold, let block, _): .claimLodged(hold: hold, claim: block, lodging: statement)
        case .claimDisputed(let hold, let block, _): .claimDisputed(hold: hold, dispute: block, lodging: statement)
        case .claimDecided(let hold, let block, _): .claimDecided(hold: hold, decision: block, lodging: statement)
        default: self
        }
    }

    /// What has an object booked for a hold, with a witness's statement; nil if it is none of the three.
    init?(_ object: [UInt8], for hold: CID, lodging statement: [UInt8]) {
        if (try? SignedObject<HoldClaim>(reading: object)) != nil {
            self = .claimLodged(hold: hold, claim: object, lodging: statement)
        } else if (try? SignedObject<HoldDispute>(reading: object)) != nil {
            self = .claimDisputed(hold: hold, dispute: object, lodging: statement)
        } else if (try? SignedObject<HoldDecision>(reading: object)) != nil {
            self = .claimDecided(hold: hold, decision: object, lodging: statement)
        } else {
            return nil
        }
    }
}
