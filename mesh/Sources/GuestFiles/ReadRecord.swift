package import Multiformats

/// What of the mounts a run has read: what its receipt may name, whatever was fetched ahead.
package struct ReadRecord: Hashable, Sendable {
    /// Files, folders and links that were looked at, with the bytes that were read of each file.
    private var read: [CID: [Range<UInt64>]] = [:]

    /// Of a run that has read nothing.
    package init() {}

    /// Something of a mount that was looked at.
    package struct Entry: Hashable, Sendable, Codable {
        /// What it is.
        package let cid: CID
        /// The bytes that were read, in whole pages but for the last; ranges that touch are one.
        package let ranges: [Range<UInt64>]
    }

    /// Of a run in another process, which has told it in this order; nil where it contradicts itself.
    package init?(entries: [Entry]) {
        for entry in entries {
            for (left, right) in zip(entry.ranges, entry.ranges.dropFirst()) where left.upperBound >= right.lowerBound {
                return nil
            }
            guard read.updateValue(entry.ranges, forKey: entry.cid) == nil else { return nil }
        }
    }

    /// Everything, in the order of the CIDs.
    package var entries: [Entry] {
        read.map { Entry(cid: $0.key, ranges: $0.value) }.sorted { $0.cid < $1.cid }
    }

    mutating func lookedAt(_ cid: CID) {
        if read[cid] == nil { read[cid] = [] }
    }

    /// Adds a range, rounded to pages within the size, so that there are never more ranges than every other page.
    mutating func took(_ cid: CID, _ range: Range<UInt64>, of bytes: UInt64) {
        let end = min(range.upperBound, bytes)
        guard range.lowerBound < end else { return lookedAt(cid) }
        let page = FileContent.pageBytes
        let from = range.lowerBound / page * page
        let to = min(bytes, (end - 1) / page * page + page)
        var ranges = read[cid] ?? []
        // The first that ends at the new one or after it; most reads go on where the last one ended.
        var first = ranges.count
        if let last = ranges.last, last.upperBound >= from {
            var low = 0
            var high = ranges.count - 1
            while low < high {
                let middle = (low + high) / 2
                if ranges[middle].upperBound < from { low = middle + 1 } else { high = middle }
            }
            first = low
        }
        var merged = from..<max(from, to)
        var next = first
        while next < ranges.count, ranges[next].lowerBound <= merged.upperBound {
            merged = min(merged.lowerBound, ranges[next].lowerBound)..<max(merged.upperBound, ranges[next].upperBound)
            next += 1
        }
        read[cid] = nil
        ranges.replaceSubrange(first..<next, with: CollectionOfOne(merged))
        read[cid] = ranges
    }

    func checkInvariants() {
        for (cid, ranges) in read {
            for (left, right) in zip(ranges, ranges.dropFirst()) {
                precondition(left.upperBound < right.lowerBound, "ranges of \(cid) touch")
            }
        }
    }
}
