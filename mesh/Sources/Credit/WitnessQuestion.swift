package import MeshTypes
package import Multiformats

/// What is asked of a witness of issuers' charters, over `/icn/mesh/witness/1.0.0`. Whoever asks is known by its key.
/// Source: PROTOCOL.md, "Witnesses of a charter".
package enum WitnessQuestion: Hashable, Sendable, Codable {
    /// The most bytes of a question: a claim, a certificate and what stands around them.
    package static let bytesMax = 655_360

    /// Takes a claim, a dispute or a decision about the hold of a certificate, and says when it came; by anybody.
    case lodge(certificate: [UInt8], object: [UInt8])
    /// All that the witness was given since a date, by the issuer.
    case report(from: UnixMilliseconds)
}

/// What a witness of issuers' charters answers.
package enum WitnessReply: Hashable, Sendable, Codable {
    /// The most bytes of an answer: the objects of a report, their statements and the report.
    package static let bytesMax = 3_145_728
    /// The most bytes of the objects of a report; it has one at least.
    package static let objectBytesMax = WitnessReport.refusedBytesMax

    /// It does not do that: why, by a stable name and for people.
    case refused(reason: Reason, text: String)
    /// The signed `LodgingStatement`.
    case lodged(statement: [UInt8])
    /// The signed `WitnessReport`, and the objects that it names, in its order.
    case report(report: [UInt8], objects: [LodgedObject])

    /// Why a witness refuses.
    package enum Reason: String, Hashable, Sendable, Codable {
        /// What it was given does not hold, is of another issuer, or is none that it takes.
        case invalid
        /// It comes after the last date for it.
        case late
        /// It knows nothing certain of that time: it was restored from a backup, or forgot what is old.
        case unknown
        /// It has as much as it may, or its disk takes nothing: ask again later.
        case full
        /// Its clock is behind what it said before.
        case clock
    }
}

/// An object that a witness was given.
package struct LodgedObject: Hashable, Sendable, Codable {
    /// The hold that it was given for, by the CID of the order's body.
    package var hold: CID
    /// The block.
    package var object: [UInt8]
    /// The signed `LodgingStatement`.
    package var statement: [UInt8]

    package init(hold: CID, object: [UInt8], statement: [UInt8]) {
        (self.hold, self.object, self.statement) = (hold, object, statement)
    }
}
