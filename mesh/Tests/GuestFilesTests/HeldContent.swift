import Multiformats

@testable import GuestFiles

/// Content that a test made, of which the file system sees only what was fetched.
final class HeldContent: MountSource, @unchecked Sendable {
    // SAFETY: every test uses its own from one thread.
    private var nodes: [CID: MountedNode] = [:]
    private var listings: [CID: [MountedEntry]] = [:]
    private var contents: [CID: [UInt8]] = [:]
    private var fetched: Set<ContentWant> = []
    private let isAllHere: Bool

    init(isAllHere: Bool = true) { self.isAllHere = isAllHere }

    func fetch(_ wants: [ContentWant]) { fetched.formUnion(wants) }

    private func isHere(_ want: ContentWant) -> Bool { isAllHere || fetched.contains(want) }

    func node(_ cid: CID) -> SourceAnswer<MountedNode> {
        guard isHere(.node(cid)) else { return .notHere }
        return nodes[cid].map { .here($0) } ?? .broken
    }

    func listing(_ cid: CID) -> SourceAnswer<[MountedEntry]> {
        guard isHere(.listing(cid)) else { return .notHere }
        return listings[cid].map { .here($0) } ?? .broken
    }

    func bytes(_ cid: CID, _ range: Range<UInt64>) -> SourceAnswer<[UInt8]> {
        guard isHere(.bytes(cid, range)) else { return .notHere }
        guard let bytes = contents[cid], range.upperBound <= bytes.count else { return .broken }
        return .here(Array(bytes[Int(range.lowerBound)..<Int(range.upperBound)]))
    }

    /// Nothing here has blocks.
    func block(_ cid: CID) -> SourceAnswer<[UInt8]> { .broken }

    // MARK: Making

    private func name(_ text: String, _ codec: CID.Codec = .dagPB) -> CID {
        CID.hashing(Array(text.utf8), codec: codec)
    }

    func file(_ bytes: [UInt8], modified: UInt64 = 0) -> CID {
        let cid = name("file \(bytes) \(modified)")
        nodes[cid] = MountedNode(kind: .file(bytes: UInt64(bytes.count)), modifiedNanoseconds: modified)
        contents[cid] = bytes
        return cid
    }

    /// A file in one raw block.
    func rawFile(_ bytes: [UInt8]) -> CID {
        let cid = name("raw \(bytes)", .raw)
        nodes[cid] = MountedNode(kind: .file(bytes: UInt64(bytes.count)))
        contents[cid] = bytes
        return cid
    }

    func file(_ text: String) -> CID { file(Array(text.utf8)) }

    func link(_ target: String) -> CID {
        let cid = name("link \(target)")
        nodes[cid] = MountedNode(kind: .symbolicLink(Array(target.utf8)))
        return cid
    }

    func folder(_ entries: [(String, CID)], modified: UInt64 = 0) -> CID {
        folder(raw: entries.map { MountedEntry(name: Array($0.0.utf8), cid: $0.1) }, modified: modified)
    }

    func folder(raw entries: [MountedEntry], modified: UInt64 = 0) -> CID {
        let cid = name("folder \(entries) \(modified)")
        nodes[cid] = MountedNode(kind: .directory, modifiedNanoseconds: modified)
        listings[cid] = entries
        return cid
    }

    /// A file that claims a size, with no bytes behind it.
    func giant(bytes: UInt64) -> CID {
        let cid = name("giant \(bytes)")
        nodes[cid] = MountedNode(kind: .file(bytes: bytes))
        return cid
    }
}
