/// Identifies a message: the author's peer ID followed by its sequence number.
public struct MessageID: Hashable, Sendable, CustomStringConvertible {
    /// The bytes as they stand in IHAVE and IWANT.
    public let bytes: [UInt8]

    /// An ID from the bytes of the wire.
    public init(bytes: [UInt8]) {
        self.bytes = bytes
    }

    /// The last eight bytes in hexadecimal: enough to tell messages apart in a log.
    public var description: String {
        let digits = Array("0123456789abcdef")
        return String(bytes.suffix(8).flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] })
    }
}
