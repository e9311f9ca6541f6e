import Multiformats

/// DAG-CBOR, strict and deterministic: what decodes re-encodes to the same bytes, and nothing else decodes.
///
/// Shortest integers, 64-bit floats only and no NaN or infinity, text keys sorted by length and then bytes without
/// duplicates, no indefinite lengths, tag 42 only, UTF-8 only, nothing after the value. Integers are those of 64 bits:
/// from -2^63 to 2^64 - 1. Source: https://ipld.io/specs/codecs/dag-cbor/spec/ and PROTOCOL.md, "Encodings".
package enum DAGCBOR {
    /// The bounds of decoding and encoding.
    package struct Limits: Hashable, Sendable {
        /// The deepest nesting of lists and maps; one container in another is two.
        package var depthMax: Int
        /// The longest input, in bytes.
        package var bytesMax: Int
        /// The largest integer.
        package var integerMax: UInt64

        /// The limits of PROTOCOL.md: 128 nested containers; and 4 MiB of input, which is more than any block. The
        /// format itself has integers up to 2^64 - 1.
        package init(depthMax: Int = 128, bytesMax: Int = 4 << 20, integerMax: UInt64 = .max) {
            self.depthMax = depthMax
            self.bytesMax = min(bytesMax, Int(Int32.max))
            self.integerMax = integerMax
        }
    }

    /// The bytes of a value; fails on NaN, infinity, and containers nested deeper than the limit.
    package static func encode(_ value: IPLDValue, limits: Limits = Limits()) throws(DAGCBOREncodingError) -> [UInt8] {
        var writer = CBORWriter()
        try append(value, to: &writer, depthLeft: limits.depthMax)
        return writer.bytes
    }

    /// The value of bytes.
    ///
    /// A value takes at most some twenty times the memory of its bytes (a list of one-byte values); `DAGCBORDecoder`
    /// needs no such tree.
    package static func decode(_ bytes: [UInt8], limits: Limits = Limits()) throws(DAGCBORError) -> IPLDValue {
        try DAGCBORDocument(validating: bytes, limits: limits).root.value
    }

    /// Recurses on values that this program made; the limit bounds the depth.
    private static func append(
        _ value: IPLDValue, to writer: inout CBORWriter, depthLeft: Int
    ) throws(DAGCBOREncodingError) {
        switch value {
        case .null: writer.null()
        case .bool(let bool): writer.bool(bool)
        case .unsigned(let integer): writer.unsigned(integer)
        case .negative(let integer): writer.integer(integer)
        case .float(let double):
            if !double.isFinite { throw .notFinite }
            writer.float(double)
        case .string(let text): writer.text(text)
        case .bytes(let bytes): writer.byteString(bytes[...])
        case .link(let cid): writer.link(cid)
        case .list(let list):
            if depthLeft == 0 { throw .tooDeep }
            writer.head(.list, UInt64(list.count))
            for element in list { try append(element, to: &writer, depthLeft: depthLeft - 1) }
        case .map(let map):
            if depthLeft == 0 { throw .tooDeep }
            writer.head(.map, UInt64(map.entries.count))
            for entry in map.entries {
                writer.text(entry.key)
                try append(entry.value, to: &writer, depthLeft: depthLeft - 1)
            }
        }
    }
}
