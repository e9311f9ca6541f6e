package import GuestFiles
import IPLD
package import Multiformats

/// What of its mounts a run has read: the block that a receipt names as `read_cid`.
///
/// It follows from the run alone, so a replay gives the same block. Files, folders and links that were looked at stand
/// in it by the order of their CIDs; a file with the ranges of bytes that were read. What would be too long is said
/// more coarsely, and what is still too long is left out and counted.
package struct ReadList: Hashable, Sendable, Codable {
    /// Bounds on the block, so that no guest makes it long: it never has more than `bytesMax` bytes.
    package struct Limits: Hashable, Sendable {
        /// Entries; of more, those with the lowest CIDs stand in the list, and the others are counted.
        package var entriesMax = 8_192
        /// Ranges of all entries together; of more, the grain is doubled until they are no more.
        package var rangesMax = 16_384
        /// Bytes of the block; follows from the others.
        package var bytesMax = 1 << 20

        package init() {}
    }

    /// Something that was looked at.
    package struct Entry: Hashable, Sendable, Codable {
        /// What it is.
        package var cid: CID
        /// The bytes that were read: where each range begins and where it ends, in turn.
        package var bounds: [UInt64]

        /// The ranges.
        package var ranges: [Range<UInt64>] {
            stride(from: 0, to: bounds.count - 1, by: 2).map { index in
                bounds[index]..<max(bounds[index], bounds[index + 1])
            }
        }

        enum CodingKeys: String, CodingKey {
            case cid
            case bounds = "ranges"
        }
    }

    /// What was looked at.
    package var entries: [Entry]
    /// How many entries are left out.
    package var omittedEntries: UInt64
    /// Ranges that begin where another one ends, or both in one part of the file of this many bytes, are one.
    package var grain: UInt64

    /// The list of a run.
    package init(_ record: ReadRecord, limits: Limits = Limits()) {
        let all = record.entries
        let kept = all.prefix(limits.entriesMax)
        omittedEntries = UInt64(all.count - kept.count)
        var grain = FileContent.pageBytes
        var ranges = kept.map(\.ranges)
        while ranges.reduce(0, { $0 + $1.count }) > max(limits.rangesMax, kept.count), grain < 1 << 62 {
            grain *= 2
            ranges = ranges.map { Self.merged($0, grain: grain) }
        }
        self.grain = grain
        entries = zip(kept, ranges).map { entry, ranges in
            Entry(cid: entry.cid, bounds: ranges.flatMap { [$0.lowerBound, $0.upperBound] })
        }
    }

    private static func merged(_ ranges: [Range<UInt64>], grain: UInt64) -> [Range<UInt64>] {
        var merged: [Range<UInt64>] = []
        for range in ranges {
            if let last = merged.last, (last.upperBound - 1) / grain == range.lowerBound / grain {
                merged[merged.count - 1] = last.lowerBound..<range.upperBound
            } else {
                merged.append(range)
            }
        }
        return merged
    }

    /// The list as a block.
    package var block: (cid: CID, bytes: [UInt8]) {
        // Integers and CIDs always encode.
        let bytes = (try? DAGCBOREncoder().encode(self)) ?? []
        return (CID.hashing(bytes, codec: .dagCBOR), bytes)
    }

    /// Reads a block; nil if it is no list that a run can have.
    package init?(block: [UInt8], limits: Limits = Limits()) {
        let bounds = DAGCBOR.Limits(depthMax: 8, bytesMax: limits.bytesMax, integerMax: UInt64(Int64.max))
        guard block.count <= limits.bytesMax,
            let list = try? DAGCBORDecoder(limits: bounds).decode(Self.self, from: block), list.isInOrder(limits)
        else { return nil }
        self = list
    }

    private func isInOrder(_ limits: Limits) -> Bool {
        guard entries.count <= limits.entriesMax, omittedEntries == 0 || entries.count == limits.entriesMax,
            zip(entries, entries.dropFirst()).allSatisfy({ $0.cid < $1.cid })
        else { return false }
        return entries.allSatisfy { entry in
            entry.bounds.count.isMultiple(of: 2)
                && zip(entry.bounds, entry.bounds.dropFirst()).allSatisfy { $0 < $1 }
        }
    }

    enum CodingKeys: String, CodingKey {
        case entries
        case omittedEntries = "omitted_entries"
        case grain
    }
}
