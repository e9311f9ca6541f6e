/// Decodes `Decodable` types from strict canonical DAG-CBOR, straight off the bytes.
///
/// The input is validated once, then read in place: no tree is built. Byte strings become `[UInt8]`, links `CID`; keys
/// that the type does not ask for are ignored; null reads as an absent optional. Bytes that are not canonical throw
/// `DAGCBORError`, bytes that do not fit the type `DecodingError`.
package struct DAGCBORDecoder: Sendable {
    private let limits: DAGCBOR.Limits

    /// A decoder with the limits of PROTOCOL.md, or others.
    package init(limits: DAGCBOR.Limits = DAGCBOR.Limits()) {
        self.limits = limits
    }

    /// The value of bytes.
    package func decode<Value: Decodable>(_ type: Value.Type, from bytes: [UInt8]) throws -> Value {
        try DAGCBORDocument(validating: bytes, limits: limits).root.decode(type)
    }
}
