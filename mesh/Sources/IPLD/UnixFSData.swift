import Multiformats

/// A moment as UnixFS keeps it.
package struct UnixFSTime: Hashable, Sendable {
    /// Seconds since 1970; before it negative.
    package let seconds: Int64
    /// What is added, less than a second.
    package let nanoseconds: UInt32

    /// A moment; nil if the nanoseconds are a second or more.
    package init?(seconds: Int64, nanoseconds: UInt32 = 0) {
        guard nanoseconds < 1_000_000_000 else { return nil }
        self.seconds = seconds
        self.nanoseconds = nanoseconds
    }

    /// Nanoseconds since 1970: 0 for what is earlier, and the largest number for what is too late for it.
    package var nanosecondsSince1970: UInt64 {
        if seconds < 0 { return 0 }
        let (whole, isOver) = UInt64(seconds).multipliedReportingOverflow(by: 1_000_000_000)
        let (sum, isOverToo) = whole.addingReportingOverflow(UInt64(nanoseconds))
        return isOver || isOverToo ? .max : sum
    }
}

/// The UnixFS message inside a DAG-PB node. Source: https://specs.ipfs.tech/unixfs/#data
struct UnixFSData: Hashable, Sendable {
    static let rawType: UInt64 = 0
    static let directoryType: UInt64 = 1
    static let fileType: UInt64 = 2
    static let symbolicLinkType: UInt64 = 4
    static let shardType: UInt64 = 5

    var type: UInt64?
    var content: [UInt8] = []
    var fileBytes: UInt64?
    var blockSizes: [UInt64] = []
    var hashFunction: UInt64?
    var fanout: UInt64?
    var mode: UInt32?
    var modified: UnixFSTime?

    init(type: UInt64) {
        self.type = type
    }

    /// Whether it is a file or a piece of one.
    var isFile: Bool { type == Self.fileType || type == Self.rawType }

    // MARK: Reading

    /// The message in `data`; nil if it is none, or has more fields than that.
    init?(decoding data: [UInt8], fieldsMax: Int) {
        var reader = ProtobufReader(data, maxFields: fieldsMax)
        do {
            while let field = try reader.next() {
                guard take(field) else { return nil }
            }
        } catch {
            return nil
        }
    }

    private mutating func take(_ field: ProtobufField) -> Bool {
        switch field.number {
        case 1: type = field.varint
        case 2: content = field.bytes ?? content
        case 3: fileBytes = field.varint
        case 4:
            guard let size = field.varint else { return false }
            blockSizes.append(size)
        case 5: hashFunction = field.varint
        case 6: fanout = field.varint
        // What is above the permissions has no meaning yet.
        case 7: mode = field.varint.map { UInt32(truncatingIfNeeded: $0) & 0xFFF }
        case 8: modified = field.slice.flatMap(Self.time)
        default: break
        }
        return true
    }

    /// A moment; nil if it is malformed, which leaves the rest of the block as good as it is.
    private static func time(_ message: ArraySlice<UInt8>) -> UnixFSTime? {
        var reader = ProtobufReader(message, maxFields: 8)
        var seconds: Int64?
        var nanoseconds: UInt32 = 0
        do {
            while let field = try reader.next() {
                switch (field.number, field.value) {
                case (1, .varint(let value)): seconds = Int64(bitPattern: value)
                case (2, .fixed32(let value)): nanoseconds = value
                default: break
                }
            }
        } catch {
            return nil
        }
        return seconds.flatMap { UnixFSTime(seconds: $0, nanoseconds: nanoseconds) }
    }

    // MARK: Writing

    /// The bytes of the message, with the fields in the order of their numbers.
    func encoded() -> [UInt8] {
        var writer = ProtobufWriter()
        if let type { writer.varint(1, type) }
        if !content.isEmpty { writer.bytes(2, content) }
        if let fileBytes { writer.varint(3, fileBytes) }
        for size in blockSizes { writer.varint(4, size) }
        if let hashFunction { writer.varint(5, hashFunction) }
        if let fanout { writer.varint(6, fanout) }
        if let mode { writer.varint(7, UInt64(mode)) }
        if let modified {
            writer.message(8) { nested in
                nested.int(1, modified.seconds)
                if modified.nanoseconds > 0 { nested.fixed32(2, modified.nanoseconds) }
            }
        }
        return writer.bytes
    }
}
