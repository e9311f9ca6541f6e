/// The unsigned varint of multiformats: seven bits per byte, lowest first, minimal, at most nine bytes (63 bits).
///
/// CIDs, multiaddrs and multistream messages use it. Protobuf has another rule (ten bytes, padding allowed), see
/// `ProtobufReader`. Source: https://github.com/multiformats/unsigned-varint
public enum Varint {
    /// The longest encoding that is read, in bytes.
    public static let bytesMax = 9

    /// The encoding of a value. Values of 2^63 and more take ten bytes, which `decode` refuses.
    public static func encode(_ value: UInt64) -> [UInt8] {
        var bytes: [UInt8] = []
        append(value, to: &bytes)
        return bytes
    }

    /// Appends the encoding of a value to `bytes`.
    public static func append(_ value: UInt64, to bytes: inout [UInt8]) {
        var rest = value
        while rest >= 0x80 {
            bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        bytes.append(UInt8(truncatingIfNeeded: rest))
    }

    /// How many bytes the encoding of a value takes.
    public static func encodedCount(_ value: UInt64) -> Int {
        value == 0 ? 1 : (70 - value.leadingZeroBitCount) / 7
    }

    /// The value at the start of `bytes` and what follows it.
    ///
    /// `VarintError.truncated` means that more bytes could make it valid; the other errors are final.
    public static func decode(_ bytes: ArraySlice<UInt8>) throws(VarintError) -> (
        value: UInt64, rest: ArraySlice<UInt8>
    ) {
        var value: UInt64 = 0
        var index = bytes.startIndex
        var shift: UInt64 = 0
        while index < bytes.endIndex {
            let byte = bytes[index]
            index += 1
            value |= UInt64(byte & 0x7F) << shift
            if byte < 0x80 {
                if byte == 0 && shift > 0 { throw .notMinimal }
                return (value, bytes[index...])
            }
            shift += 7
            if shift == 63 { throw .tooLong }
        }
        throw .truncated
    }

    /// The value of an encoding with nothing after it; `nil` if it is none.
    public static func decode(exactly bytes: [UInt8]) -> UInt64? {
        guard let decoded = try? decode(bytes[...]), decoded.rest.isEmpty else { return nil }
        return decoded.value
    }
}

/// Why bytes are not a varint.
public enum VarintError: Error, Hashable, Sendable {
    /// The bytes end before the varint does.
    case truncated
    /// A shorter encoding of the same value exists.
    case notMinimal
    /// The ninth byte says that a tenth follows.
    case tooLong
}

extension VarintError: CustomStringConvertible {
    /// One sentence without a full stop, for people.
    public var description: String {
        switch self {
        case .truncated: "a number in it ends too early"
        case .notMinimal: "a number in it is longer than it needs to be"
        case .tooLong: "a number in it is too long"
        }
    }
}
