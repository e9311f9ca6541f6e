/// One field of a protobuf message.
public struct ProtobufField: Hashable, Sendable {
    /// The value by wire type.
    public enum Value: Hashable, Sendable {
        /// Wire type 0: integers, booleans and enums.
        case varint(UInt64)
        /// Wire type 1, little-endian.
        case fixed64(UInt64)
        /// Wire type 2: bytes, texts and messages.
        case bytes(ArraySlice<UInt8>)
        /// Wire type 5, little-endian.
        case fixed32(UInt32)
    }

    /// The field number, from 1 to 2^29 - 1.
    public let number: UInt32
    /// The value.
    public let value: Value

    /// The integer of a varint field; `nil` for another wire type.
    public var varint: UInt64? {
        if case .varint(let value) = value { return value }
        return nil
    }

    /// The bytes of a length-delimited field; `nil` for another wire type.
    public var bytes: [UInt8]? {
        if case .bytes(let bytes) = value { return Array(bytes) }
        return nil
    }

    /// The slice of the message that a length-delimited field covers; `nil` for another wire type.
    public var slice: ArraySlice<UInt8>? {
        if case .bytes(let bytes) = value { return bytes }
        return nil
    }

    /// The text of a length-delimited field; `nil` for another wire type and for bytes that are not UTF-8.
    public var text: String? {
        if case .bytes(let bytes) = value { return String(validating: bytes, as: UTF8.self) }
        return nil
    }
}

/// Why bytes are not a protobuf message.
public enum ProtobufError: Error, Hashable, Sendable {
    /// The bytes end inside a field.
    case truncated
    /// A varint of more than ten bytes or more than 64 bits.
    case varintTooLong
    /// Field number zero, or above 2^29 - 1.
    case invalidFieldNumber
    /// Groups (3 and 4) and the wire types that do not exist.
    case unsupportedWireType(UInt8)
    /// More fields than the message may have.
    case tooManyFields(fieldsMax: Int)
}

extension ProtobufError: CustomStringConvertible {
    /// One sentence without a full stop, for people.
    public var description: String {
        switch self {
        case .truncated: "it ends too early"
        case .varintTooLong: "a number is too long"
        case .invalidFieldNumber: "a field has an impossible number"
        case .unsupportedWireType(let type): "the wire type \(type) is not supported"
        case .tooManyFields(let fieldsMax): "it has more than \(fieldsMax) fields"
        }
    }
}

/// Reads the fields of a protobuf message one by one, without recursion and with a bound on their number.
///
/// The wire rules are those of proto2 and proto3: a field may repeat, the caller skips unknown ones, and varints may be
/// padded up to ten bytes. A nested message is a `bytes` field; read it with another reader. Source:
/// https://protobuf.dev/programming-guides/encoding/
public struct ProtobufReader: Sendable {
    private let bytes: ArraySlice<UInt8>
    private var index: Int
    private var fieldsLeft: Int
    private let fieldsMax: Int

    /// A reader over a message that may have at most `maxFields` fields, repeated ones counted each.
    public init(_ bytes: [UInt8], maxFields: Int) {
        self.init(bytes[...], maxFields: maxFields)
    }

    /// A reader over a message in a larger buffer that may have at most `maxFields` fields.
    public init(_ bytes: ArraySlice<UInt8>, maxFields: Int) {
        self.bytes = bytes
        index = bytes.startIndex
        fieldsLeft = maxFields
        fieldsMax = maxFields
    }

    /// The next field; `nil` at the end of the message.
    public mutating func next() throws(ProtobufError) -> ProtobufField? {
        if index == bytes.endIndex { return nil }
        if fieldsLeft == 0 { throw .tooManyFields(fieldsMax: fieldsMax) }
        fieldsLeft -= 1
        let key = try varint()
        guard let number = UInt32(exactly: key >> 3), (1...0x1FFF_FFFF).contains(number) else {
            throw .invalidFieldNumber
        }
        let value: ProtobufField.Value
        switch key & 7 {
        case 0: value = .varint(try varint())
        case 1: value = .fixed64(littleEndian(try take(8)))
        case 2:
            let length = try varint()
            if length > UInt64(bytes.endIndex - index) { throw .truncated }
            value = .bytes(try take(Int(length)))
        case 5: value = .fixed32(UInt32(truncatingIfNeeded: littleEndian(try take(4))))
        default: throw .unsupportedWireType(UInt8(truncatingIfNeeded: key & 7))
        }
        return ProtobufField(number: number, value: value)
    }

    private mutating func varint() throws(ProtobufError) -> UInt64 {
        var value: UInt64 = 0
        var shift: UInt64 = 0
        while true {
            if index == bytes.endIndex { throw .truncated }
            let byte = bytes[index]
            index += 1
            if shift == 63 && byte > 1 { throw .varintTooLong }
            value |= UInt64(byte & 0x7F) << shift
            if byte < 0x80 { return value }
            shift += 7
        }
    }

    private mutating func take(_ count: Int) throws(ProtobufError) -> ArraySlice<UInt8> {
        if bytes.endIndex - index < count { throw .truncated }
        let taken = bytes[index..<(index + count)]
        index += count
        return taken
    }

    private func littleEndian(_ bytes: ArraySlice<UInt8>) -> UInt64 {
        bytes.reversed().reduce(0) { $0 << 8 | UInt64($1) }
    }
}
