/// Writes a protobuf message field by field, in the order of the calls.
public struct ProtobufWriter: Sendable {
    /// The message so far.
    public private(set) var bytes: [UInt8] = []

    /// An empty message.
    public init() {}

    /// Adds an integer, boolean or enum field.
    public mutating func varint(_ number: UInt32, _ value: UInt64) {
        key(number, wireType: 0)
        Varint.append(value, to: &bytes)
    }

    /// Adds an integer field, as the ten-byte two's complement when negative (types int32 and int64).
    public mutating func int(_ number: UInt32, _ value: Int64) {
        varint(number, UInt64(bitPattern: value))
    }

    /// Adds a boolean field.
    public mutating func bool(_ number: UInt32, _ value: Bool) {
        varint(number, value ? 1 : 0)
    }

    /// Adds a field of four bytes, little-endian.
    public mutating func fixed32(_ number: UInt32, _ value: UInt32) {
        key(number, wireType: 5)
        for shift: UInt32 in [0, 8, 16, 24] { bytes.append(UInt8(truncatingIfNeeded: value >> shift)) }
    }

    /// Adds a bytes field, or a message that was written before.
    public mutating func bytes(_ number: UInt32, _ value: [UInt8]) {
        bytes(number, value[...])
    }

    /// Adds a bytes field from a part of a buffer.
    public mutating func bytes(_ number: UInt32, _ value: ArraySlice<UInt8>) {
        key(number, wireType: 2)
        Varint.append(UInt64(value.count), to: &bytes)
        bytes.append(contentsOf: value)
    }

    /// Adds a text field.
    public mutating func text(_ number: UInt32, _ value: String) {
        bytes(number, Array(value.utf8))
    }

    /// Adds a nested message.
    public mutating func message(_ number: UInt32, _ build: (inout ProtobufWriter) -> Void) {
        var nested = ProtobufWriter()
        build(&nested)
        bytes(number, nested.bytes)
    }

    private mutating func key(_ number: UInt32, wireType: UInt64) {
        Varint.append(UInt64(number) << 3 | wireType, to: &bytes)
    }
}
