import Multiformats

/// Why bytes are not strict DAG-CBOR; offsets are those of the item's first byte.
package enum DAGCBORError: Error, Hashable, Sendable {
    /// The input is longer than the limit.
    case tooLarge(bytesMax: Int)
    /// The input ends inside an item, or a length says more than the input can hold.
    case truncated(offset: Int)
    /// Bytes follow the value.
    case trailingBytes(offset: Int)
    /// An integer, length or tag that has a shorter form.
    case notShortest(offset: Int)
    /// A negative integer below -2^63, which no 64-bit integer holds.
    case integerOutOfRange(offset: Int)
    /// An integer above the limit.
    case integerTooLarge(integerMax: UInt64, offset: Int)
    /// A list, map, text or byte string of indefinite length, or the break that ends one.
    case indefiniteLength(offset: Int)
    /// Additional information 28, 29 or 30.
    case reservedInformation(offset: Int)
    /// A float of 16 or 32 bits.
    case shortFloat(offset: Int)
    /// NaN or an infinity.
    case notFinite(offset: Int)
    /// `undefined` and the other simple values that are not false, true or null.
    case unsupportedSimpleValue(offset: Int)
    /// A tag other than 42.
    case unsupportedTag(UInt64, offset: Int)
    /// What tag 42 holds is not a byte string of zero and a CID.
    case malformedLink(offset: Int)
    /// A text that is not UTF-8.
    case invalidUTF8(offset: Int)
    /// A map key that is not a text.
    case keyNotText(offset: Int)
    /// A map key that does not sort after the key before it.
    case keysNotSorted(offset: Int)
    /// A map key that is equal to the key before it.
    case duplicateKey(offset: Int)
    /// More nested lists and maps than the limit.
    case tooDeep(depthMax: Int, offset: Int)
}

extension DAGCBORError: CustomStringConvertible {
    /// One sentence without a full stop, for people.
    package var description: String {
        switch self {
        case .tooLarge(let bytesMax): "more than \(bytesMax) bytes"
        case .truncated(let offset): "it ends too early, at byte \(offset)"
        case .trailingBytes(let offset): "something follows its end, at byte \(offset)"
        case .notShortest(let offset): "a number is longer than it needs to be, at byte \(offset)"
        case .integerOutOfRange(let offset): "a number is out of range, at byte \(offset)"
        case .integerTooLarge(let integerMax, let offset): "a number is above \(integerMax), at byte \(offset)"
        case .indefiniteLength(let offset): "a length is left open, at byte \(offset)"
        case .reservedInformation(let offset): "a reserved value, at byte \(offset)"
        case .shortFloat(let offset): "a fraction of fewer than 64 bits, at byte \(offset)"
        case .notFinite(let offset): "a number that is not finite, at byte \(offset)"
        case .unsupportedSimpleValue(let offset): "a value of an unsupported kind, at byte \(offset)"
        case .unsupportedTag(let tag, let offset): "the unsupported tag \(tag), at byte \(offset)"
        case .malformedLink(let offset): "a link that is no CID, at byte \(offset)"
        case .invalidUTF8(let offset): "text that is not UTF-8, at byte \(offset)"
        case .keyNotText(let offset): "a key that is not text, at byte \(offset)"
        case .keysNotSorted(let offset): "keys out of order, at byte \(offset)"
        case .duplicateKey(let offset): "a key twice, at byte \(offset)"
        case .tooDeep(let depthMax, let offset): "nested deeper than \(depthMax), at byte \(offset)"
        }
    }
}

/// Why a value has no DAG-CBOR encoding.
package enum DAGCBOREncodingError: Error, Hashable, Sendable {
    /// A float that is NaN or infinite.
    case notFinite
    /// More nested lists and maps than the limit.
    case tooDeep
    /// Two entries of a map have the same key.
    case duplicateKey(String)
}

extension DAGCBOREncodingError: CustomStringConvertible {
    /// One sentence without a full stop, for people.
    package var description: String {
        switch self {
        case .notFinite: "a number is not finite"
        case .tooDeep: "it is nested too deeply"
        case .duplicateKey(let key): "the key \(key) comes twice"
        }
    }
}
