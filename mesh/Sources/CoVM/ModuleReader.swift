/// Reads the binary format of WebAssembly byte by byte, never past its end, and allocates nothing by what a header
/// claims.
struct ModuleReader {
    private let bytes: [UInt8]
    private(set) var offset: Int
    private let end: Int

    init(_ bytes: [UInt8]) {
        self.bytes = bytes
        offset = 0
        end = bytes.count
    }

    private init(_ bytes: [UInt8], from: Int, to end: Int) {
        self.bytes = bytes
        offset = from
        self.end = end
    }

    var isAtEnd: Bool { offset >= end }
    var remaining: Int { end - offset }

    mutating func byte() throws(ModuleRefusal) -> UInt8 {
        guard offset < end else { throw .truncated(offset: offset) }
        defer { offset += 1 }
        return bytes[offset]
    }

    /// An unsigned LEB128 number of at most 32 bits in at most five bytes, as the specification requires.
    mutating func unsigned32() throws(ModuleRefusal) -> UInt32 {
        var value: UInt64 = 0
        for shift in stride(from: UInt64(0), through: 28, by: 7) {
            let next = try byte()
            value |= UInt64(next & 0x7F) << shift
            if next & 0x80 == 0 {
                guard value <= UInt64(UInt32.max) else { break }
                return UInt32(value)
            }
        }
        throw .malformed(offset: offset, what: "a number of more than 32 bits")
    }

    /// The next byte, which stays; `nil` at the end.
    func peek() -> UInt8? { offset < end ? bytes[offset] : nil }

    /// Skips a LEB128 number of at most 64 bits, signed or not.
    mutating func skipNumber() throws(ModuleRefusal) {
        for _ in 0..<10 {
            if try byte() & 0x80 == 0 { return }
        }
        throw .malformed(offset: offset, what: "a number of more than 64 bits")
    }

    mutating func count() throws(ModuleRefusal) -> Int {
        Int(try unsigned32())
    }

    mutating func skip(_ count: Int) throws(ModuleRefusal) {
        guard count <= remaining else { throw .truncated(offset: end) }
        offset += count
    }

    /// A reader of the next `count` bytes, which this reader skips.
    mutating func slice(_ count: Int) throws(ModuleRefusal) -> ModuleReader {
        let start = offset
        try skip(count)
        return ModuleReader(bytes, from: start, to: start + count)
    }

    mutating func name(bytesMax: Int) throws(ModuleRefusal) -> String {
        let start = offset
        let count = try count()
        guard count <= bytesMax else { throw .tooMany(what: "bytes in a name", count: count, limit: bytesMax) }
        guard count <= remaining else { throw .truncated(offset: end) }
        let slice = bytes[offset..<offset + count]
        guard let text = String(validating: slice, as: UTF8.self) else {
            throw .malformed(offset: start, what: "a name that is not UTF-8")
        }
        offset += count
        return text
    }

    mutating func expectEnd(of section: String) throws(ModuleRefusal) {
        guard isAtEnd else { throw .malformed(offset: offset, what: "bytes after the end of the \(section) section") }
    }
}
