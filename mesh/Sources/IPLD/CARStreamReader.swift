package import Multiformats

/// Reads an archive of any length as its bytes come, and holds no more than one block.
///
/// It reads version 1, and of version 2 the archive inside; the index behind it is not needed. Every block is checked
/// against its CID. Whether the roots are among the blocks, whoever takes the blocks finds out. Source:
/// https://ipld.io/specs/transport/car/carv2/
package struct CARStreamReader: Sendable {
    /// The bounds of reading.
    package struct Limits: Hashable, Sendable {
        /// The header, in bytes; a root takes some 41.
        package var headerBytesMax = 64 << 10
        /// A section, in bytes: a block of at most 2 MiB behind its CID.
        package var sectionBytesMax = (2 << 20) + 128

        /// The limits of this project.
        package init() {}
    }

    private enum State {
        /// The first header, of either version.
        case start
        /// The header of version 2.
        case header2
        /// Bytes before the archive inside.
        case skip(UInt64)
        /// The header of version 1.
        case header
        case sections
        /// Behind the archive inside one of version 2.
        case end
    }

    private static let pragma: [UInt8] = [0x0A, 0xA1, 0x67] + Array("version".utf8) + [0x02]
    private static let header2Bytes = 40

    private let limits: Limits
    private var state = State.start
    private var buffer: [UInt8] = []
    /// Bytes of the buffer that were read.
    private var index = 0
    /// Where in the file the buffer begins.
    private var offset = 0
    /// Bytes that the archive inside has left; nil if there is no other end than that of the file.
    private var left: UInt64?

    /// What the archive is about; nil until its header came.
    package private(set) var roots: [CID]?

    /// A reader at the beginning of a file.
    package init(limits: Limits = Limits()) {
        self.limits = limits
    }

    /// Takes the next bytes of the file; gives the blocks that are complete.
    package mutating func received(_ bytes: [UInt8]) throws(CARError) -> [CAR.Block] {
        buffer.append(contentsOf: bytes)
        var blocks: [CAR.Block] = []
        while try step(&blocks) {}
        buffer.removeFirst(index)
        offset += index
        index = 0
        return blocks
    }

    /// Ends the file; throws if it breaks off.
    package mutating func finish() throws(CARError) {
        switch state {
        case .sections where buffer.isEmpty && (left ?? 0) == 0: return
        case .end: return
        default: throw .truncated(offset: offset)
        }
    }

    /// Reads one piece; false if more bytes are needed.
    private mutating func step(_ blocks: inout [CAR.Block]) throws(CARError) -> Bool {
        switch state {
        case .start:
            let start = buffer.prefix(Self.pragma.count)
            guard start.count == Self.pragma.count || !Self.pragma.starts(with: start) else { return false }
            guard start.elementsEqual(Self.pragma) else {
                state = .header
                return true
            }
            index = Self.pragma.count
            state = .header2
            return true
        case .header2: return try readHeader2()
        case .skip(let count):
            let taken = min(count, UInt64(buffer.count - index))
            index += Int(taken)
            state = taken == count ? .header : .skip(count - taken)
            return taken == count
        case .header:
            guard let header = try piece(bytesMax: limits.headerBytesMax, isHeader: true) else { return false }
            roots = try CAR.roots(ofHeader: header)
            state = .sections
            return true
        case .sections:
            if left == 0 {
                state = .end
                return true
            }
            guard let section = try piece(bytesMax: limits.sectionBytesMax, isHeader: false) else { return false }
            blocks.append(try CAR.block(section[...]))
            return true
        case .end:
            index = buffer.count
            return false
        }
    }

    private mutating func readHeader2() throws(CARError) -> Bool {
        guard buffer.count - index >= Self.header2Bytes else { return false }
        func number(_ start: Int) -> UInt64 {
            buffer[(index + start)..<(index + start + 8)].reversed().reduce(0) { $0 << 8 | UInt64($1) }
        }
        let (dataOffset, dataBytes) = (number(16), number(24))
        index += Self.header2Bytes
        let position = UInt64(offset + index)
        guard dataOffset >= position else { throw .malformedHeader }
        left = dataBytes
        state = .skip(dataOffset - position)
        return true
    }

    /// The next piece behind its length; nil if it is not all here yet.
    private mutating func piece(bytesMax: Int, isHeader: Bool) throws(CARError) -> [UInt8]? {
        let start = index
        let length: UInt64
        let rest: ArraySlice<UInt8>
        do {
            (length, rest) = try Varint.decode(buffer[start...])
        } catch {
            guard error == .truncated, buffer.count - start < Varint.bytesMax else {
                throw .malformedLength(offset: offset + start)
            }
            return nil
        }
        if length > UInt64(bytesMax) {
            throw isHeader
                ? .headerTooLarge(bytesMax: bytesMax)
                : .sectionTooLarge(bytesMax: bytesMax, offset: offset + start)
        }
        if length == 0 { throw isHeader ? .malformedHeader : .emptySection(offset: offset + start) }
        let end = rest.startIndex + Int(length)
        if let left {
            guard UInt64(end - start) <= left else { throw .truncated(offset: offset + start) }
        }
        guard end <= buffer.count else { return nil }
        if let left { self.left = left - UInt64(end - start) }
        index = end
        return Array(buffer[rest.startIndex..<end])
    }
}
