import Multiformats

/// The bytes of a file: pages that the guest wrote over a file of a mount, and holes, which read as zeros.
///
/// A page is copied from the mount when a part of it is written. Bytes of a page past the end of the file are zero,
/// so that a file that grows shows zeros.
package struct FileContent: Sendable {
    /// Bytes of a page: what is copied on write, and what the quota counts in.
    package static let pageBytes: UInt64 = 4_096

    /// The file below, if there is one.
    private(set) var base: CID?
    /// The size of the file below.
    let baseBytes: UInt64
    /// How many bytes of the file below still show, where no page covers them.
    private var shownBaseBytes: UInt64
    /// The size.
    private(set) var bytes: UInt64
    private var pages: [UInt64: [UInt8]] = [:]
    /// No page has this index or a higher one.
    private var pagesEnd: UInt64 = 0

    private static let zeroPage = [UInt8](repeating: 0, count: Int(pageBytes))

    /// An empty file.
    init() {
        base = nil
        baseBytes = 0
        shownBaseBytes = 0
        bytes = 0
    }

    /// A file of a mount.
    init(base: CID, bytes: UInt64) {
        self.base = base
        baseBytes = bytes
        shownBaseBytes = bytes
        self.bytes = bytes
    }

    /// How many pages count.
    var pageCount: Int { pages.count }

    /// The file below where this is still the same, byte for byte.
    var unchanged: CID? { pages.isEmpty && bytes == baseBytes && shownBaseBytes == baseBytes ? base : nil }

    // MARK: Reading

    /// The bytes from an offset on, as many as asked for or left.
    func read(at offset: UInt64, count: Int, from source: any MountSource) throws(FileStop) -> [UInt8] {
        guard offset < bytes, count > 0 else { return [] }
        let end = bytes - offset > UInt64(count) ? offset + UInt64(count) : bytes
        let parts = try baseParts(baseRanges(in: offset..<end), from: source)
        if let first = parts.first, first.range == offset..<end { return first.bytes }
        var result = [UInt8](repeating: 0, count: Int(end - offset))
        for (range, part) in parts {
            let start = Int(range.lowerBound - offset)
            result.replaceSubrange(start..<start + part.count, with: part)
        }
        guard !pages.isEmpty else { return result }
        for index in Self.pageRange(offset..<end) where index < pagesEnd {
            guard let page = pages[index] else { continue }
            let pageStart = index * Self.pageBytes
            let from = max(offset, pageStart)
            let to = min(end, pageStart + Self.pageBytes)
            let start = Int(from - offset)
            result.replaceSubrange(
                start..<start + Int(to - from), with: page[Int(from - pageStart)..<Int(to - pageStart)])
        }
        return result
    }

    /// The part of a range in which the file below may show.
    func shown(of range: Range<UInt64>) -> Range<UInt64> { range.clamped(to: 0..<shownBaseBytes) }

    /// Where the file below shows, as few ranges as there are.
    private func baseRanges(in range: Range<UInt64>) -> [Range<UInt64>] {
        let end = min(range.upperBound, shownBaseBytes)
        guard base != nil, range.lowerBound < end else { return [] }
        if pages.isEmpty { return [range.lowerBound..<end] }
        var ranges: [Range<UInt64>] = []
        for index in Self.pageRange(range.lowerBound..<end) where pages[index] == nil {
            let from = max(range.lowerBound, index * Self.pageBytes)
            let to = min(end, (index + 1) * Self.pageBytes)
            if let last = ranges.last, last.upperBound == from {
                ranges[ranges.count - 1] = last.lowerBound..<to
            } else {
                ranges.append(from..<to)
            }
        }
        return ranges
    }

    /// The bytes of the file below; says all that is missing at once.
    private func baseParts(
        _ ranges: [Range<UInt64>], from source: any MountSource
    ) throws(FileStop) -> [(range: Range<UInt64>, bytes: [UInt8])] {
        guard let base else { return [] }
        var parts: [(range: Range<UInt64>, bytes: [UInt8])] = []
        var missing: [ContentWant] = []
        for range in ranges {
            switch source.bytes(base, range) {
            case .here(let part):
                guard part.count == range.count else { throw .broken(.wrongLength(base)) }
                parts.append((range, part))
            case .notHere: missing.append(.bytes(base, range))
            case .broken: throw .broken(.notFiles(base))
            }
        }
        if !missing.isEmpty { throw .needs(missing) }
        return parts
    }

    static func pageRange(_ range: Range<UInt64>) -> Range<UInt64> {
        guard !range.isEmpty else { return 0..<0 }
        return range.lowerBound / pageBytes..<(range.upperBound - 1) / pageBytes + 1
    }

    // MARK: Writing

    /// How many of `count` bytes at an offset fit into so many new pages.
    func fitting(_ count: Int, at offset: UInt64, newPagesMax: UInt64) -> Int {
        guard count > 0 else { return 0 }
        let range = offset..<offset + UInt64(count)
        var left = newPagesMax
        for index in Self.pageRange(range) where pages[index] == nil {
            if left == 0 { return Int(max(range.lowerBound, index * Self.pageBytes) - offset) }
            left -= 1
        }
        return count
    }

    /// Writes; what of the file below stands in the same pages must be here. The caller has seen that offset and count
    /// are within the limits, and that the pages fit.
    mutating func write(
        _ data: some RandomAccessCollection<UInt8>, at offset: UInt64, from source: any MountSource
    ) throws(FileStop) {
        guard !data.isEmpty else { return }
        let range = offset..<offset + UInt64(data.count)
        let indices = Self.pageRange(range)
        var below: [UInt64: [UInt8]] = [:]
        for (part, bytes) in try baseParts(copied(toWrite: range), from: source) {
            below[part.lowerBound / Self.pageBytes] = bytes
        }
        for index in indices {
            let pageStart = index * Self.pageBytes
            let from = max(range.lowerBound, pageStart)
            let to = min(range.upperBound, pageStart + Self.pageBytes)
            let start = data.index(data.startIndex, offsetBy: Int(from - offset))
            let slice = data[start..<data.index(start, offsetBy: Int(to - from))]
            var page = pages.removeValue(forKey: index) ?? Self.zeroPage
            if let part = below[index] { page.replaceSubrange(0..<part.count, with: part) }
            page.replaceSubrange(Int(from - pageStart)..<Int(to - pageStart), with: slice)
            pages[index] = page
        }
        pagesEnd = max(pagesEnd, indices.upperBound)
        bytes = max(bytes, range.upperBound)
    }

    /// What of the file below is copied when a range is written: in its first and last page.
    func copied(toWrite range: Range<UInt64>) -> [Range<UInt64>] {
        let indices = Self.pageRange(range)
        guard base != nil, let last = indices.last else { return [] }
        let edges = indices.count == 1 ? [last] : [indices.lowerBound, last]
        return edges.compactMap { baseRange(ofPage: $0, besides: range) }
    }

    /// What of the file below has to be copied into a page before a range of it is written; nil if nothing.
    private func baseRange(ofPage index: UInt64, besides range: Range<UInt64>) -> Range<UInt64>? {
        let start = index * Self.pageBytes
        let end = min(start + Self.pageBytes, shownBaseBytes)
        guard base != nil, pages[index] == nil, start < end else { return nil }
        return range.lowerBound <= start && range.upperBound >= end ? nil : start..<end
    }

    /// How many pages `truncate` looks at.
    func pagesLookedAt(toTruncateTo newBytes: UInt64) -> UInt64 {
        let end = (newBytes + Self.pageBytes - 1) / Self.pageBytes
        return newBytes < bytes && end < pagesEnd ? min(pagesEnd - end, UInt64(pages.count)) : 0
    }

    /// Makes the file shorter or longer; returns how many pages are free now.
    mutating func truncate(to newBytes: UInt64) -> Int {
        defer { bytes = newBytes }
        guard newBytes < bytes else { return 0 }
        shownBaseBytes = min(shownBaseBytes, newBytes)
        let before = pages.count
        let end = (newBytes + Self.pageBytes - 1) / Self.pageBytes
        if end < pagesEnd {
            // Whichever is less work: the pages that go, or all that are there.
            if pagesEnd - end < UInt64(pages.count) {
                for index in end..<pagesEnd { pages[index] = nil }
            } else {
                pages = pages.filter { $0.key < end }
            }
            pagesEnd = end
        }
        let tail = Int(newBytes % Self.pageBytes)
        if tail > 0, var page = pages.removeValue(forKey: newBytes / Self.pageBytes) {
            page.replaceSubrange(tail..<page.count, with: repeatElement(0, count: page.count - tail))
            pages[newBytes / Self.pageBytes] = page
        }
        return before - pages.count
    }

    /// How many pages `allocate` would add, counted no further than one past `pagesMax`.
    func pagesToAllocate(_ range: Range<UInt64>, pagesMax: UInt64) -> UInt64 {
        var count: UInt64 = 0
        for index in holes(in: range) {
            count += pages[index] == nil ? 1 : 0
            if count > pagesMax { break }
        }
        return count
    }

    /// Fills holes with pages of zeros, and makes the file at least as long as the range. Where the file below shows
    /// nothing is taken, so that a later write there may still find the quota used up.
    mutating func allocate(_ range: Range<UInt64>) {
        for index in holes(in: range) where pages[index] == nil {
            pages[index] = Self.zeroPage
            pagesEnd = max(pagesEnd, index + 1)
        }
        bytes = max(bytes, range.upperBound)
    }

    /// The pages of a range that the file below does not show in.
    private func holes(in range: Range<UInt64>) -> Range<UInt64> {
        let all = Self.pageRange(range)
        let covered = (shownBaseBytes + Self.pageBytes - 1) / Self.pageBytes
        return max(all.lowerBound, min(covered, all.upperBound))..<all.upperBound
    }

    func checkInvariants() {
        precondition(shownBaseBytes <= baseBytes, "more of the file below shows than there is")
        precondition(shownBaseBytes <= bytes, "the file below shows past the end")
        precondition(base != nil || baseBytes == 0, "bytes of no file below")
        for (index, page) in pages {
            precondition(page.count == Int(Self.pageBytes), "a page of \(page.count) bytes")
            precondition(index < pagesEnd, "page \(index) is not before \(pagesEnd)")
            precondition(index * Self.pageBytes < bytes, "page \(index) is past the end at \(bytes)")
            let inside = Int(min(Self.pageBytes, bytes - index * Self.pageBytes))
            precondition(page[inside...].allSatisfy { $0 == 0 }, "page \(index) is not zero past the end")
        }
    }
}
