package import MeshTypes
package import Multiformats

/// What the parties to a hold ask its arbiter, over `/icn/mesh/arbiter/1.0.0`. Whoever asks is known by its key.
/// Source: PROTOCOL.md, "Results left with an arbiter".
package enum ArbiterQuestion: Hashable, Sendable, Codable {
    /// The most bytes of a question: a claim, a dispute and a manifest.
    package static let bytesMax = 1_048_576

    /// Keeps one part of a sealed result, by its executor.
    case keep(certificate: [UInt8], part: SealedPart)
    /// A part of what was left for a hold, by its originator.
    case part(hold: CID, number: UInt64)
    /// Decides about a claim that its originator disputes, who gives the key of the attempt.
    case decide(hold: CID, claim: [UInt8], dispute: [UInt8], manifest: [UInt8], key: [UInt8])
}

/// A part of a sealed result.
package struct SealedPart: Hashable, Sendable, Codable {
    /// The bounds of what can be left with an arbiter.
    package enum Limits {
        /// Bytes of a part before it is sealed.
        package static let partBytes = 524_288
        /// Bytes that sealing adds to a part: its tag, and to the first one the key.
        package static let sealBytes = 48
        /// Parts of a result.
        package static let partsMax: UInt64 = 192
        /// Bytes of a whole result before it is sealed: 96 MiB.
        package static let bytesMax = Int(partsMax) * partBytes
        /// The most that a job by credit may put out, in bytes: what else a result has takes less than the rest.
        package static let outputBytesMax: UInt64 = 64 << 20

        /// The most parts that a result of a job has: its outputs, a quarter more for what stands around the blocks,
        /// and 2 MiB for the receipt.
        package static func countMax(of params: MeshJobParams) -> UInt64 {
            let outputs = min(params.outputBlockBytesMax, UInt64(bytesMax))
            let bytes = outputs + outputs / 4 + (2 << 20)
            return min(partsMax, (bytes + UInt64(partBytes) - 1) / UInt64(partBytes))
        }
    }

    /// The receipt that the result is of.
    package var receiptCID: CID
    /// Counts from 0.
    package var number: UInt64
    /// How many there are.
    package var count: UInt64
    /// The bytes as they were sealed.
    package var bytes: [UInt8]

    package init(receiptCID: CID, number: UInt64, count: UInt64, bytes: [UInt8]) {
        (self.receiptCID, self.number, self.count, self.bytes) = (receiptCID, number, count, bytes)
    }

    /// Whether it is one that there can be.
    package var isPossible: Bool {
        (1...Limits.partsMax).contains(count) && number < count && !bytes.isEmpty
            && bytes.count <= Limits.partBytes + Limits.sealBytes
    }

    enum CodingKeys: String, CodingKey {
        case receiptCID = "receipt_cid"
        case number
        case count
        case bytes
    }
}

/// What an arbiter answers.
package enum ArbiterAnswer: Hashable, Sendable, Codable {
    /// The most bytes of an answer: one part.
    package static let bytesMax = 1_048_576

    /// It does not do that: why, by a stable name and for people.
    case refused(reason: Reason, text: String)
    /// The part that it wants next.
    case wanted(number: UInt64)
    /// All parts are there: the signed `DeliveryStatement`.
    case kept(statement: [UInt8])
    /// A part.
    case part(part: SealedPart)
    /// It has yet to find out.
    case undecided
    /// The signed `HoldDecision`.
    case decided(decision: [UInt8])

    /// Why an arbiter refuses.
    package enum Reason: String, Hashable, Sendable, Codable {
        /// What it was given does not hold, or is too late.
        case invalid
        /// It has nothing for this hold.
        case unknown
        /// It has as much as it may: ask again later.
        case full
        /// It cannot find out, so it decides nothing.
        case undecidable
    }
}
