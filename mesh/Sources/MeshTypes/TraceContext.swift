import Multiformats
package import SignedObjects

/// Where a span belongs, as W3C Trace Context writes it (https://www.w3.org/TR/trace-context-2/).
///
/// It travels beside what is signed, in `traceparent`, and nobody has to believe it. The identifiers of a job's trace
/// and of its spans follow from the job (`trace(of:)`, `span(of:by:_:)`), so that no context can lead into another
/// job's trace, and none tells which jobs belong together.
package struct TraceContext: Hashable, Sendable {
    /// The trace, 16 bytes, not all zero.
    package let traceID: [UInt8]
    /// The span, 8 bytes, not all zero.
    package let spanID: [UInt8]
    /// Whether whoever made the span records it.
    package let isSampled: Bool

    /// The length of the text in the version that is written, in bytes.
    package static let textBytes = 55

    package init(traceID: [UInt8], spanID: [UInt8], isSampled: Bool) {
        self.traceID = traceID
        self.spanID = spanID
        self.isSampled = isSampled
    }

    /// Reads a `traceparent` of version 00, or what a later version has in common with it; nil for anything else, which
    /// counts as if it were not there.
    package init?(parsing text: String) {
        let bytes = Array(text.utf8)
        guard bytes.count >= Self.textBytes, bytes[2] == 0x2D, bytes[35] == 0x2D, bytes[52] == 0x2D,
            let version = Self.hex(bytes[0..<2])?.first, version != 0xFF,
            bytes.count == Self.textBytes || version != 0 && bytes[Self.textBytes] == 0x2D,
            let traceID = Self.hex(bytes[3..<35]), traceID.contains(where: { $0 != 0 }),
            let spanID = Self.hex(bytes[36..<52]), spanID.contains(where: { $0 != 0 }),
            let flags = Self.hex(bytes[53..<55])?.first
        else { return nil }
        self.init(traceID: traceID, spanID: spanID, isSampled: flags & 1 == 1)
    }

    /// The `traceparent`, of version 00.
    package var text: String {
        "00-\(Self.text(of: traceID))-\(Self.text(of: spanID))-\(isSampled ? "01" : "00")"
    }

    /// The trace of a job: the first 16 bytes of SHA-256 over `icn-mesh/v1/Trace`, a zero byte and the binary JobID.
    package static func trace(of job: JobID) -> [UInt8] {
        digest("icn-mesh/v1/Trace", job, [], byteCount: 16)
    }

    /// A span of a job that a node makes: the first 8 bytes of SHA-256 over `icn-mesh/v1/Span`, a zero byte, the binary
    /// JobID, the node's DID, a zero byte and a name that the node gives to no other span of the job.
    package static func span(of job: JobID, by node: DID, _ name: String) -> [UInt8] {
        digest("icn-mesh/v1/Span", job, Array(node.text.utf8) + [0] + Array(name.utf8), byteCount: 8)
    }

    /// The lower-case hex of an identifier.
    package static func text(of bytes: [UInt8]) -> String {
        let digits = Array("0123456789abcdef")
        return String(bytes.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] })
    }

    private static func digest(_ purpose: String, _ job: JobID, _ rest: [UInt8], byteCount: Int) -> [UInt8] {
        let hash = Multihash.sha256(of: Array(purpose.utf8) + [0] + job.cid.bytes + rest)
        return Array(hash.digest.prefix(byteCount))
    }

    /// The bytes of lower-case hex; nil if it is something else.
    private static func hex(_ text: ArraySlice<UInt8>) -> [UInt8]? {
        var bytes: [UInt8] = []
        var high: UInt8?
        for character in text {
            let digit: UInt8
            switch character {
            case 0x30...0x39: digit = character - 0x30
            case 0x61...0x66: digit = character - 0x61 + 10
            default: return nil
            }
            if let first = high {
                bytes.append(first << 4 | digit)
                high = nil
            } else {
                high = digit
            }
        }
        return bytes
    }
}
