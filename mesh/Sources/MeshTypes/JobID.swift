package import Multiformats

/// The name of a job: the CID of its signed `JobManifest` block.
package struct JobID: Hashable, Comparable, Sendable, Codable, CustomStringConvertible {
    /// The CID of the signed manifest.
    package let cid: CID

    /// The job whose signed manifest has this CID.
    package init(_ cid: CID) {
        self.cid = cid
    }

    /// Reads a bare link.
    package init(from decoder: any Decoder) throws {
        cid = try decoder.singleValueContainer().decode(CID.self)
    }

    /// Writes a bare link.
    package func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(cid)
    }

    /// The text of the CID.
    package var description: String { cid.text }

    /// The last eight characters of the CID, for lines that people read.
    package var short: String { String(cid.text.suffix(8)) }

    package static func < (left: JobID, right: JobID) -> Bool {
        left.cid < right.cid
    }
}
