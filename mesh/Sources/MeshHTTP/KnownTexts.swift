import NIOCore
import NodeAPI

/// The JSON of answers that are asked for again and again, by the addresses of the requests.
///
/// An answer's own value is its stamp: the text of one is used only for an equal one, so nothing here can be stale.
struct KnownTexts: Sendable {
    /// A text, and the tag of its bytes where it has one.
    struct Text: Sendable {
        let bytes: ByteBuffer
        let tag: EntityTag?
    }

    let pages: StampedMemo<String, JobPage, Text>
    let jobs: StampedMemo<String, JobView, Text>
    let receipts: StampedMemo<String, ReceiptView, Text>

    init(_ limits: MeshHTTPLimits) {
        pages = StampedMemo(.init(countMax: limits.knownTextsMax, weightMax: limits.knownTextBytesMax))
        jobs = StampedMemo(.init(countMax: limits.knownTextsMax, weightMax: limits.knownTextBytesMax))
        receipts = StampedMemo(.init(countMax: limits.knownTextsMax, weightMax: limits.knownTextBytesMax))
    }

    /// The text of a value.
    ///
    /// - Parameters:
    ///   - known: where it is, if it was made before.
    ///   - isTagged: whether its bytes get a tag.
    static func text<Value: Encodable>(
        of value: Value, at address: String, in known: StampedMemo<String, Value, Text>, isTagged: Bool = false
    ) throws -> Text {
        if let text = known.value(of: address, at: value) { return text }
        let bytes = try MeshJSON.encode(value)
        let text = Text(bytes: ByteBuffer(bytes: bytes), tag: isTagged ? EntityTag(hashing: bytes) : nil)
        known.keep(text, of: address, at: value, weight: bytes.count + address.utf8.count)
        return text
    }
}
