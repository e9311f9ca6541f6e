import Multiformats

/// DAG-JSON: the same values as DAG-CBOR in a form that people and other tools read.
///
/// Links are `{"/": "cid"}`, bytes `{"/": {"bytes": "base64"}}`. The canonical text has no whitespace and its keys
/// sorted by bytes. Source: https://ipld.io/specs/codecs/dag-json/spec/
package enum DAGJSON {
    /// How exactly a text must be written.
    package enum Form: Sendable {
        /// Only the text that `encode` gives for the value.
        case canonical
        /// Any JSON of the value: whitespace, keys in any order, other escapes and number forms.
        case relaxed
    }

    /// The bounds of decoding and encoding.
    package typealias Limits = DAGCBOR.Limits

    /// The UTF-8 text of a value; fails on NaN, infinities, nesting beyond the limit, and maps whose only key is `/`
    /// with a value that would read as a link or bytes.
    package static func encode(_ value: IPLDValue, limits: Limits = Limits()) throws(DAGJSONEncodingError) -> [UInt8] {
        var writer = DAGJSONWriter()
        try writer.append(value, depthLeft: limits.depthMax)
        return writer.bytes
    }

    /// The text of a value as a string.
    package static func text(of value: IPLDValue) throws(DAGJSONEncodingError) -> String {
        String(decoding: try encode(value), as: UTF8.self)
    }

    /// The value of a UTF-8 text; without recursion, in memory that is a small multiple of the text.
    package static func decode(
        _ bytes: [UInt8], form: Form = .canonical, limits: Limits = Limits()
    ) throws(DAGJSONError) -> IPLDValue {
        var parser = try DAGJSONParser(bytes, limits: limits)
        let value = try parser.parse()
        guard case .canonical = form else { return value }
        guard let canonical = try? encode(value, limits: limits), canonical == bytes else { throw .notCanonical }
        return value
    }
}

/// Why a text is not DAG-JSON.
package enum DAGJSONError: Error, Hashable, Sendable {
    /// The text is longer than the limit.
    case tooLarge(bytesMax: Int)
    /// The text is not UTF-8.
    case invalidUTF8
    /// The text ends inside a value.
    case truncated
    /// A character in the wrong place.
    case unexpectedCharacter(offset: Int)
    /// Text follows the value.
    case trailingCharacters(offset: Int)
    /// A control character or an escape that strings may not have.
    case invalidString(offset: Int)
    /// A number that is not JSON's.
    case invalidNumber(offset: Int)
    /// An integer outside of -2^63 to 2^64 - 1, or a float that is infinite.
    case numberOutOfRange(offset: Int)
    /// A key that occurs twice in its map.
    case duplicateKey(offset: Int)
    /// A map with the key `/` that is neither a link nor bytes; the offset is that of the map's end.
    case reservedMap(offset: Int)
    /// More nested lists and maps than the limit.
    case tooDeep(depthMax: Int)
    /// The text is not the canonical one of its value.
    case notCanonical
}

extension DAGJSONError: CustomStringConvertible {
    /// One sentence without a full stop, for people.
    package var description: String {
        switch self {
        case .tooLarge(let bytesMax): "more than \(bytesMax) bytes"
        case .invalidUTF8: "text that is not UTF-8"
        case .truncated: "it ends too early"
        case .unexpectedCharacter(let offset): "an unexpected character, at byte \(offset)"
        case .trailingCharacters(let offset): "something follows its end, at byte \(offset)"
        case .invalidString(let offset): "a malformed text, at byte \(offset)"
        case .invalidNumber(let offset): "a malformed number, at byte \(offset)"
        case .numberOutOfRange(let offset): "a number is out of range, at byte \(offset)"
        case .duplicateKey(let offset): "a key twice, at byte \(offset)"
        case .reservedMap(let offset): "a malformed link or bytes, at byte \(offset)"
        case .tooDeep(let depthMax): "nested deeper than \(depthMax)"
        case .notCanonical: "it is not in canonical form"
        }
    }
}

/// Why a value has no DAG-JSON encoding.
package enum DAGJSONEncodingError: Error, Hashable, Sendable {
    /// A float that is NaN or infinite.
    case notFinite
    /// More nested lists and maps than the limit.
    case tooDeep
    /// A map with the key `/`, which is reserved for links and bytes.
    case reservedMap
}

extension DAGJSONEncodingError: CustomStringConvertible {
    /// One sentence without a full stop, for people.
    package var description: String {
        switch self {
        case .notFinite: "a number is not finite"
        case .tooDeep: "it is nested too deeply"
        case .reservedMap: "a map has the form of a link"
        }
    }
}
