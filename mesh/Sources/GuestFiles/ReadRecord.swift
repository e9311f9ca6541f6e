package import Multiformats

/// What of the mounts a run has read: what its receipt may name, whatever was fetched ahead.
package struct ReadRecord: Hashable, Sendable {
    /// Files, folders and links that were looked at, with the bytes that were read of each file.
    private var read: [CID: [Range<UInt64>]] = [:]
    private let rangesMax: Int
    private var rangeCount = 0
    /// Ranges begin at multiples of this.
    private var grain = FileContent.pageBytes

    /// Of a run that has read nothing.
    ///
    /// - Parameter rangesMax: ranges that are noted, besides one of each file; of more, the grain is doubled until they
    ///   are half as many.
    package init(rangesMax: Int = GuestFileSystem.Limits().readRangesMax) { self.rangesMax = rangesMax }

    /// Something of a mount that was looked at.
    package struct Entry: Hashable, Sendable, Codable {
        /// What it is.
        package let cid: CID
        /// The bytes that were read, in whole pages or more but for the last; ranges that touch are one.
        package let ranges: [Range<UInt64>]
    }

    /// Of a run in another process, which has told it in this order; nil where it contradicts itself.
    package init?(entries: [Entry]) {
        self.init()
        for entry in entries {
            for (left, right) in zip(entry.ranges, entry.ranges.dropFirst()) where left.upperBound >= right.lowerBound {
                return nil
            }
            guard read.updateValue(entry.ranges, forKey: entry.cid) == nil else { return nil }
            rangeCount += entry.ranges.count
        }
    }

    /// Everything, in the order of the CIDs.
    package var entries: [Entry] {
        read.map { Entry(cid: $0.key, ranges: $0.value) }.sorted { $0.cid < $1.cid }
    }

    mutating func lookedAt(_ cid: CID) {
        if read[cid] == nil { read[cid] = [] }
    }

    /// Adds a range, rounded to the grain within the size, so that there are never more ranges than every other page.
    mutating func took(_ cid: CID, _ range: Range<UInt64>, of bytes: UInt64) {
        let end = min(range.upperBound, bytes)
        guard range.lowerBound < end else { return lookedAt(cid) }
        let from = range.lowerBound / grain * grain
        let to = min(bytes, (end - 1) / grain * grain + grain)
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
        rangeCount += 1 - (next - first)
        if rangeCount > rangesMax + read.count { coarsen() }
    }

    /// Doubles the grain until there are half as many ranges as there may be, besides one of each file. Ranges keep
    /// their ends, which are no later than the file's.
    private mutating func coarsen() {
        let most = rangesMax / 2 + read.count
        while rangeCount > most, grain < 1 << 62 {
            grain *= 2
            for cid in read.keys { read[cid] = Self.merged(read[cid] ?? [], grain: grain) }
            rangeCount = read.values.reduce(0) { $0 + $1.count }
        }
    }

    private static func merged(_ ranges: [Range<UInt64>], grain: UInt64) -> [Range<UInt64>] {
        var merged: [Range<UInt64>] = []
        for range in ranges {
            let from = range.lowerBound / grain * grain
            if let last = merged.last, (last.upperBound - 1) / grain * grain + grain >= from {
                merged[merged.count - 1] = last.lowerBound..<range.upperBound
            } else {
                merged.append(from..<range.upperBound)
            }
        }
        return merged
    }

    func checkInvariants() {
        for (cid, ranges) in read {
            for (left, right) in zip(ranges, ranges.dropFirst()) {
                precondition(left.upperBound < right.lowerBound, "ranges of \(cid) touch")
            }
        }
    }
}
