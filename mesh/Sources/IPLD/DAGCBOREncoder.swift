import Multiformats

/// Encodes `Encodable` types as canonical DAG-CBOR.
///
/// `[UInt8]` becomes a byte string, `CID` a link (tag 42); an absent optional is omitted from its map; keys are sorted,
/// whatever the order of encoding. NaN, infinities, a key that is encoded twice and nesting beyond the limit throw
/// `EncodingError`.
package struct DAGCBOREncoder: Sendable {
    private let limits: DAGCBOR.Limits

    /// An encoder with the limits of PROTOCOL.md.
    package init(limits: DAGCBOR.Limits = DAGCBOR.Limits()) {
        self.limits = limits
    }

    /// The bytes of a value.
    package func encode<Value: Encodable>(_ value: Value) throws -> [UInt8] {
        let state = CBOREncodingState(depth: 0, depthMax: limits.depthMax)
        try state.encode(value)
        return state.writer.bytes
    }
}
