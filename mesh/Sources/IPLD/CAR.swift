package import Multiformats

/// A content-addressable archive, version 1: blocks in a file, behind a header that names its roots.
///
/// `varint | DAG-CBOR {"roots": [links], "version": 1}`, then for each block `varint | CID | bytes`, and nothing else;
/// each varint is the length of what follows it. Source: https://ipld.io/specs/transport/car/carv1/
package struct CAR: Hashable, Sendable {
    /// The bounds of reading.
    package struct Limits: Hashable, Sendable {
        /// The whole file, in bytes.
        package var bytesMax = 256 << 20
        /// The header, in bytes; a root takes some 41.
        package var headerBytesMax = 64 << 10
        /// A section, in bytes: a block of at most 2 MiB behind its CID.
        package var sectionBytesMax = (2 << 20) + 128
        /// Blocks.
        package var blocksMax = 16_384

        /// The limits of this project: some more than what all outputs of one receipt have.
        package init() {}
    }

    /// A block and its CID.
    package struct Block: Hashable, Sendable {
        /// The CID; the block hashes to it.
        package let cid: CID
        /// The block.
        package let bytes: [UInt8]

        package init(cid: CID, bytes: [UInt8]) {
            self.cid = cid
            self.bytes = bytes
        }

        /// The block as it stands in a file, behind its CID and the length of both.
        package var encodedSection: [UInt8] {
            var section: [UInt8] = []
            section.reserveCapacity(cid.bytes.count + bytes.count + Varint.bytesMax)
            append(to: &section)
            return section
        }

        fileprivate func append(to file: inout [UInt8]) {
            Varint.append(UInt64(cid.bytes.count + bytes.count), to: &file)
            file += cid.bytes
            file += bytes
        }
    }

    /// What the archive is about; each is among the blocks of an archive that was read.
    package let roots: [CID]
    /// The blocks in their order. The format allows equal ones.
    package let blocks: [Block]

    /// An archive of blocks.
    package init(roots: [CID], blocks: [Block]) {
        self.roots = roots
        self.blocks = blocks
    }

    // MARK: Writing

    /// The bytes of the file.
    package var encoded: [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(64 + 48 * roots.count + blocks.reduce(0) { $0 + $1.bytes.count + 48 })
        bytes += Self.encodedHeader(roots: roots)
        for block in blocks { block.append(to: &bytes) }
        return bytes
    }

    /// The beginning of a file that is written block by block: the header, behind its length.
    package static func encodedHeader(roots: [CID]) -> [UInt8] {
        let header = header(of: roots)
        var bytes: [UInt8] = []
        Varint.append(UInt64(header.count), to: &bytes)
        return bytes + header
    }

    private static func header(of roots: [CID]) -> [UInt8] {
        var writer = CBORWriter()
        writer.head(.map, 2)
        writer.text(rootsKey)
        writer.head(.list, UInt64(roots.count))
        for root in roots { writer.link(root) }
        writer.text(versionKey)
        writer.unsigned(1)
        return writer.bytes
    }

    // MARK: Reading

    /// Whether bytes begin as an archive does; a signed object or a text does not.
    package static func isLikely(_ bytes: [UInt8]) -> Bool {
        guard let (length, rest) = try? Varint.decode(bytes.prefix(Varint.bytesMax + 1)) else { return false }
        return length <= UInt64(Limits().headerBytesMax) && [0xA1, 0xA2].contains(rest.first)
    }

    /// Reads a whole file: checks every block against its CID, and that every root is there, once.
    ///
    /// It takes memory for the blocks that are there, never by what a length says.
    /// - Parameter checksHashes: whether blocks are held against their CIDs; not where a store does that next.
    package init(
        decoding bytes: [UInt8], limits: Limits = Limits(), checksHashes: Bool = true
    ) throws(CARError) {
        if bytes.count > limits.bytesMax { throw .tooLarge(bytesMax: limits.bytesMax) }
        var reader = CARReader(bytes: bytes)
        let header = try reader.header(bytesMax: limits.headerBytesMax)
        let roots = try Self.roots(ofHeader: Array(header))
        var blocks: [Block] = []
        var missing = Set(roots)
        while let section = try reader.section(bytesMax: limits.sectionBytesMax) {
            if blocks.count == limits.blocksMax { throw .tooManyBlocks(max: limits.blocksMax) }
            let block = try Self.block(section, checksHash: checksHashes)
            missing.remove(block.cid)
            blocks.append(block)
        }
        if let root = roots.first(where: missing.contains) { throw .rootMissing(root) }
        self.init(roots: roots, blocks: blocks)
    }

    private static let rootsKey = "roots"
    private static let versionKey = "version"

    static func roots(ofHeader bytes: [UInt8]) throws(CARError) -> [CID] {
        guard let header = try? DAGCBORDocument(validating: bytes).root, header.isMap else { throw .malformedHeader }
        guard case .unsigned(let version)? = header[versionKey]?.value else { throw .malformedHeader }
        guard version == 1 else { throw .otherVersion(version) }
        guard header.count == 2, case .list(let list)? = header[rootsKey]?.value else { throw .malformedHeader }
        var roots: [CID] = []
        var seen: Set<CID> = []
        for element in list {
            guard case .link(let root) = element else { throw .malformedHeader }
            guard seen.insert(root).inserted else { throw .duplicateRoot(root) }
            roots.append(root)
        }
        return roots
    }

    static func block(_ section: ArraySlice<UInt8>, checksHash: Bool = true) throws(CARError) -> Block {
        guard let end = endOfCID(section), let cid = try? CID(bytes: Array(section[..<end])) else {
            throw .malformedCID(offset: section.startIndex)
        }
        let bytes = Array(section[end...])
        guard cid.isSHA256 || cid.multihash.code == Multihash.identityCode else { throw .unknownHash(cid) }
        guard !checksHash || cid.matches(bytes) else { throw .wrongHash(cid) }
        return Block(cid: cid, bytes: bytes)
    }

    /// Where the CID at the start of a section ends; `nil` if there is none.
    private static func endOfCID(_ section: ArraySlice<UInt8>) -> Int? {
        if section.starts(with: [0x12, 0x20]) {
            return section.count >= 34 ? section.startIndex + 34 : nil
        }
        // Version, codec and hash function, then the length of the digest.
        var rest = section
        var length: UInt64 = 0
        for _ in 0..<4 {
            guard let next = try? Varint.decode(rest) else { return nil }
            (length, rest) = next
        }
        guard length <= UInt64(rest.count) else { return nil }
        return rest.startIndex + Int(length)
    }
}

/// The pieces of a file, each behind its length.
private struct CARReader {
    private let bytes: [UInt8]
    private var index = 0

    init(bytes: [UInt8]) {
        self.bytes = bytes
    }

    mutating func header(bytesMax: Int) throws(CARError) -> ArraySlice<UInt8> {
        guard !bytes.isEmpty else { throw .truncated(offset: 0) }
        guard let header = try piece(bytesMax: bytesMax, tooLarge: .headerTooLarge(bytesMax: bytesMax)) else {
            throw .malformedHeader
        }
        return header
    }

    /// The next section; `nil` at the end of the file.
    mutating func section(bytesMax: Int) throws(CARError) -> ArraySlice<UInt8>? {
        let start = index
        if start == bytes.count { return nil }
        let tooLarge = CARError.sectionTooLarge(bytesMax: bytesMax, offset: start)
        guard let section = try piece(bytesMax: bytesMax, tooLarge: tooLarge) else {
            throw .emptySection(offset: start)
        }
        return section
    }

    /// The bytes behind the next length; `nil` if that is zero.
    private mutating func piece(bytesMax: Int, tooLarge: CARError) throws(CARError) -> ArraySlice<UInt8>? {
        let start = index
        let length: UInt64
        let rest: ArraySlice<UInt8>
        do {
            (length, rest) = try Varint.decode(bytes[start...])
        } catch {
            throw error == .truncated ? .truncated(offset: start) : .malformedLength(offset: start)
        }
        if length > UInt64(bytesMax) { throw tooLarge }
        guard length <= UInt64(rest.count) else { throw .truncated(offset: start) }
        index = rest.startIndex + Int(length)
        return length == 0 ? nil : rest[..<index]
    }
}

/// Why bytes are not an archive that can be trusted; offsets are those of the length before the piece, or of the piece.
package enum CARError: Error, Hashable, Sendable {
    /// The file is longer than the limit.
    case tooLarge(bytesMax: Int)
    /// The header is longer than the limit.
    case headerTooLarge(bytesMax: Int)
    /// The header is not a map of `roots`, a list of links, and `version`.
    case malformedHeader
    /// The header is of another version than 1.
    case otherVersion(UInt64)
    /// A root is named twice.
    case duplicateRoot(CID)
    /// A root is not among the blocks.
    case rootMissing(CID)
    /// A length has a shorter form, or more than 63 bits.
    case malformedLength(offset: Int)
    /// A section is longer than the limit.
    case sectionTooLarge(bytesMax: Int, offset: Int)
    /// A section has nothing in it.
    case emptySection(offset: Int)
    /// A section does not begin with a CID.
    case malformedCID(offset: Int)
    /// A block is named by a hash that cannot be checked here.
    case unknownHash(CID)
    /// A block does not hash to its CID.
    case wrongHash(CID)
    /// More blocks than the limit.
    case tooManyBlocks(max: Int)
    /// The file ends inside a piece, or something else follows the last block.
    case truncated(offset: Int)
}

extension CARError: CustomStringConvertible {
    /// What is wrong, for people, as a sentence without a full stop.
    package var description: String {
        switch self {
        case .tooLarge(let bytesMax): "it has more than \(bytesMax) bytes"
        case .headerTooLarge(let bytesMax): "its header has more than \(bytesMax) bytes"
        case .malformedHeader: "it does not begin with the header of a CAR file"
        case .otherVersion(let version): "it is a CAR file of version \(version), and only version 1 is read"
        case .duplicateRoot(let cid): "it names the root \(cid) twice"
        case .rootMissing(let cid): "its root \(cid) is not in it"
        case .malformedLength(let offset): "the length at byte \(offset) is none"
        case .sectionTooLarge(let bytesMax, let offset): "the block at byte \(offset) has more than \(bytesMax) bytes"
        case .emptySection(let offset): "the block at byte \(offset) is empty"
        case .malformedCID(let offset): "the block at byte \(offset) has no readable CID"
        case .unknownHash(let cid): "the block \(cid) is named by a hash that cannot be checked"
        case .wrongHash(let cid): "the block \(cid) does not hash to its CID"
        case .tooManyBlocks(let max): "it has more than \(max) blocks"
        case .truncated(let offset): "it breaks off inside the piece at byte \(offset)"
        }
    }
}
