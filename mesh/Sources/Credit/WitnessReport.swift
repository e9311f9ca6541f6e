package import MeshTypes
package import Multiformats
package import SignedObjects

/// A witness's word that it was given an object for an issuer: a claim, a dispute or a decision.
///
/// One witness's word dates an object. To be sure that no issuer can pass it over, who lodges it gives it to as many
/// witnesses as a quorum has: any quorum of reports then has one of an honest witness among these.
package struct LodgingStatement: Hashable, CreditObject {
    /// Who was given it.
    package var witnessDID: DID
    /// For which issuer.
    package var issuerDID: DID
    /// The CID of the object's block.
    package var objectCID: CID
    /// When.
    package var lodgedAt: UnixMilliseconds

    package init(witnessDID: DID, issuerDID: DID, objectCID: CID, lodgedAt: UnixMilliseconds) {
        self.witnessDID = witnessDID
        self.issuerDID = issuerDID
        self.objectCID = objectCID
        self.lodgedAt = lodgedAt
    }

    /// The type name that is signed.
    package static let typeName = "LodgingStatement"
    package static let bytesMax = 512
    /// The witness signs.
    package var signerDID: DID { witnessDID }
    package var fieldOutOfBounds: String? { nil }

    enum CodingKeys: String, CodingKey {
        case witnessDID = "witness_did"
        case issuerDID = "issuer_did"
        case objectCID = "object_cid"
        case lodgedAt = "lodged_at"
    }
}

/// A witness's word about all that it was given for an issuer in some time.
package struct WitnessReport: Hashable, CreditObject {
    /// An object that it was given.
    package struct Lodged: Hashable, Sendable, Codable {
        /// The CID of the object's block.
        package var objectCID: CID
        /// When.
        package var lodgedAt: UnixMilliseconds

        package init(objectCID: CID, lodgedAt: UnixMilliseconds) {
            self.objectCID = objectCID
            self.lodgedAt = lodgedAt
        }

        enum CodingKeys: String, CodingKey {
            case objectCID = "object_cid"
            case lodgedAt = "lodged_at"
        }
    }

    /// The most objects of a report; a witness with more reports a shorter time.
    package static let lodgedMax = 256
    /// The most bytes of refused blocks that come with reports in one entry.
    package static let refusedBytesMax = 2 << 20

    /// Who reports.
    package var witnessDID: DID
    /// For which issuer.
    package var issuerDID: DID
    /// Since when it names everything.
    package var from: UnixMilliseconds
    /// Until when; later than all that it names.
    package var until: UnixMilliseconds
    /// What it was given, each later than the one before.
    package var lodged: [Lodged]

    package init(
        witnessDID: DID, issuerDID: DID, from: UnixMilliseconds, until: UnixMilliseconds, lodged: [Lodged]
    ) {
        self.witnessDID = witnessDID
        self.issuerDID = issuerDID
        self.from = from
        self.until = until
        self.lodged = lodged
    }

    /// The type name that is signed.
    package static let typeName = "WitnessReport"
    package static let bytesMax = 32 << 10
    /// The witness signs.
    package var signerDID: DID { witnessDID }

    package var fieldOutOfBounds: String? {
        if until < from { return "until" }
        if lodged.count > Self.lodgedMax { return "lodged" }
        let isAscending = zip(lodged, lodged.dropFirst()).allSatisfy { $0.lodgedAt < $1.lodgedAt }
        return isAscending && lodged.last.map { $0.lodgedAt <= until } ?? true ? nil : "lodged"
    }

    enum CodingKeys: String, CodingKey {
        case witnessDID = "witness_did"
        case issuerDID = "issuer_did"
        case from
        case until
        case lodged
    }
}

extension UnixMilliseconds {
    /// The date a millisecond earlier.
    var before: UnixMilliseconds { UnixMilliseconds(value - min(1, value)) }
}
