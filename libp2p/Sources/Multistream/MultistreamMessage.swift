import Multiformats
package import NIOCore

/// One line of multistream-select: an unsigned-varint length, then the text and a line end (specification
/// `connections`).
package enum MultistreamMessage {
    /// The longest line that is read, its end included.
    package static let bytesMax = 1_024
    /// The first line of both sides.
    package static let header = "/multistream/1.0.0"
    /// The answer to an unsupported proposal.
    package static let notAvailable = "na"
    /// The request for all protocols.
    package static let list = "ls"

    /// Appends a line.
    package static func append(_ text: String, to bytes: inout [UInt8]) {
        Varint.append(UInt64(text.utf8.count + 1), to: &bytes)
        bytes.append(contentsOf: text.utf8)
        bytes.append(UInt8(ascii: "\n"))
    }

    /// Takes a line off the front of `bytes`; `nil` while it is incomplete, which is at most 1,026 bytes.
    package static func decode(from bytes: inout ByteBuffer) throws(MultistreamError) -> String? {
        // Two bytes of length are enough for `bytesMax`.
        let prefix = Array(bytes.readableBytesView.prefix(2))
        let length: UInt64
        let lengthByteCount: Int
        do throws(VarintError) {
            let decoded = try Varint.decode(prefix[...])
            length = decoded.value
            lengthByteCount = prefix.count - decoded.rest.count
        } catch {
            guard error == .truncated, prefix.count < 2 else { throw .messageTooLong }
            return nil
        }
        guard length <= bytesMax else { throw .messageTooLong }
        guard length > 0 else { throw .malformedMessage }
        guard bytes.readableBytes >= lengthByteCount + Int(length) else { return nil }
        bytes.moveReaderIndex(forwardBy: lengthByteCount)
        guard let line = bytes.readBytes(length: Int(length)), line.last == UInt8(ascii: "\n"),
            let text = String(validating: line.dropLast(), as: UTF8.self)
        else { throw .malformedMessage }
        return text
    }
}
