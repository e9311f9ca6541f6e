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

    /// One side of a job in a page.
    struct Row: Hashable, Sendable {
        let jobID: String
        let role: String
    }

    let pages: StampedMemo<String, JobPage, Text>
    /// The jobs in pages: pages differ more often than the jobs in them.
    let rows: StampedMemo<Row, JobView, [UInt8]>
    let jobs: StampedMemo<String, JobView, Text>
    let receipts: StampedMemo<String, ReceiptView, Text>

    init(_ limits: MeshHTTPLimits) {
        pages = StampedMemo(.init(countMax: limits.knownTextsMax, weightMax: limits.knownTextBytesMax))
        rows = StampedMemo(.init(countMax: limits.knownRowsMax, weightMax: limits.knownTextBytesMax))
        jobs = StampedMemo(.init(countMax: limits.knownTextsMax, weightMax: limits.knownTextBytesMax))
        receipts = StampedMemo(.init(countMax: limits.knownTextsMax, weightMax: limits.knownTextBytesMax))
    }

    /// The text of a page, of those of its jobs.
    func text(of page: JobPage, at address: String) throws -> Text {
        if let text = pages.value(of: address, at: page) { return text }
        let text = Text(bytes: ByteBuffer(bytes: try bytes(of: page)), tag: nil)
        pages.keep(text, of: address, at: page, weight: text.bytes.readableBytes + address.utf8.count)
        return text
    }

    private func bytes(of page: JobPage) throws -> [UInt8] {
        // The jobs are its first field. Whatever else it has is written as it is.
        let start = Array(#"{"jobs":["#.utf8)
        let frame = try MeshJSON.encode(JobPage(jobs: [], next: page.next))
        guard frame.starts(with: start) else { return try MeshJSON.encode(page) }
        let texts = try page.jobs.map(row)
        var whole = start
        whole.reserveCapacity(texts.reduce(frame.count) { $0 + $1.count + 1 })
        for (index, text) in texts.enumerated() {
            if index > 0 { whole.append(UInt8(ascii: ",")) }
            whole += text
        }
        whole += frame[start.count...]
        return whole
    }

    private func row(_ job: JobView) throws -> [UInt8] {
        let name = Row(jobID: job.jobID, role: job.role)
        if let known = rows.value(of: name, at: job) { return known }
        let bytes = try MeshJSON.encode(job)
        rows.keep(bytes, of: name, at: job, weight: bytes.count)
        return bytes
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
