package import GuestFiles
package import IPLD
package import Multiformats

/// Files and folders out of blocks at hand, as a run's mounts ask for them. It is UnixFS, and what is none is broken.
package struct MountedBlocks: MountSource {
    /// A block by its CID, verified; nil if it is not at hand.
    private let held: @Sendable (CID) -> [UInt8]?

    package init(held: @escaping @Sendable (CID) -> [UInt8]?) { self.held = held }

    private func block<Value>(
        of cid: CID, _ body: ([UInt8]) throws(UnixFSError) -> Value
    ) -> SourceAnswer<Value> {
        guard let block = cid.ownBlock ?? held(cid) else { return .notHere }
        do {
            return .here(try body(block))
        } catch {
            return .broken
        }
    }

    package func block(_ cid: CID) -> SourceAnswer<[UInt8]> { block(of: cid) { $0 } }

    package func node(_ cid: CID) -> SourceAnswer<MountedNode> {
        block(of: cid) { bytes throws(UnixFSError) in
            let block = try UnixFSBlock(bytes, of: cid)
            let kind: MountedNode.Kind =
                switch block.kind {
                case .file(let bytes): .file(bytes: bytes)
                case .directory, .shard: .directory
                case .symbolicLink(let target): .symbolicLink(target)
                }
            return MountedNode(kind: kind, modifiedNanoseconds: block.modified?.nanosecondsSince1970 ?? 0)
        }
    }

    package func listing(_ cid: CID) -> SourceAnswer<[MountedEntry]> {
        do {
            switch try UnixFSDirectoryReader.entries(of: cid, from: held) {
            case .here(let entries): return .here(entries.map { MountedEntry(name: $0.name, cid: $0.cid) })
            case .missing: return .notHere
            }
        } catch {
            return .broken
        }
    }

    package func bytes(_ cid: CID, _ range: Range<UInt64>) -> SourceAnswer<[UInt8]> {
        var reader = UnixFSRangeReader(root: cid)
        return bytes(&reader, range)
    }

    package func way(_ cid: CID, to offset: UInt64) -> SourceAnswer<[MountedPiece]> {
        var reader = UnixFSRangeReader(root: cid)
        return way(&reader, to: offset)
    }

    /// The same with a reader that may know the file already.
    package func way(_ reader: inout UnixFSRangeReader, to offset: UInt64) -> SourceAnswer<[MountedPiece]> {
        do {
            switch try reader.way(to: offset, from: held) {
            case .here(let way): return .here(way.map { MountedPiece(cid: $0.cid, bytes: $0.bytes) })
            case .missing: return .notHere
            }
        } catch {
            return .broken
        }
    }

    /// Bytes of a file, with a reader that may know it already.
    package func bytes(_ reader: inout UnixFSRangeReader, _ range: Range<UInt64>) -> SourceAnswer<[UInt8]> {
        do {
            switch try reader.read(range, from: held) {
            case .here(let bytes): return .here(bytes)
            case .missing: return .notHere
            }
        } catch {
            return .broken
        }
    }

    /// Blocks that a want needs and that are not at hand, as far as those that are tell; none where all are here, or
    /// where they are not what they should be, which the mount finds out.
    package func missing(for want: ContentWant) -> [CID] {
        func missing(_ cid: CID) -> [CID] { cid.ownBlock ?? held(cid) == nil ? [cid] : [] }
        switch want {
        case .node(let cid), .block(let cid): return missing(cid)
        case .listing(let cid):
            guard case .missing(let cids)? = try? UnixFSDirectoryReader.entries(of: cid, from: held) else { return [] }
            return cids
        case .bytes(let cid, let range):
            var reader = UnixFSRangeReader(root: cid)
            return (try? reader.missing(in: range, from: held)) ?? []
        }
    }
}
