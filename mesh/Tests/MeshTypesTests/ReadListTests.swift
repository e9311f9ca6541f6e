import GuestFiles
import IPLD
import MeshTypes
import Multiformats
import Testing

@Suite("What a run read")
struct ReadListTests {
    private static let page = FileContent.pageBytes

    /// Content that a test makes up: files of any CID.
    private struct Endless: MountSource {
        let names: [CID]

        func node(_ cid: CID) -> SourceAnswer<MountedNode> {
            cid == ReadListTests.root
                ? .here(MountedNode(kind: .directory)) : .here(MountedNode(kind: .file(bytes: 1 << 40)))
        }

        func listing(_ cid: CID) -> SourceAnswer<[MountedEntry]> {
            .here(names.enumerated().map { MountedEntry(name: Array("\($0.offset)".utf8), cid: $0.element) })
        }

        func bytes(_ cid: CID, _ range: Range<UInt64>) -> SourceAnswer<[UInt8]> {
            .here(Array(repeating: 1, count: range.count))
        }

        func block(_ cid: CID) -> SourceAnswer<[UInt8]> { .notHere }
    }

    fileprivate static let root = CID.hashing([0], codec: .dagPB)

    /// What a run reads that opens `count` files and takes a byte of every other page of the first, `pages` times.
    private func record(files count: Int, pages: UInt64) throws -> ReadRecord {
        let names = (0..<count).map { CID.hashing(Array("\($0)".utf8), codec: .raw) }
        let plan = FileSystemPlan(
            mounts: [.init(path: [0x2F], content: .tree(Self.root), isWritable: false)],
            preopens: [.init(name: [0x2E], path: [0x2F])])
        let world = GuestWorld(nowNanoseconds: 0, source: Endless(names: names))
        var files = try GuestFileSystem(plan, world: world)
        for index in 0..<count {
            let opened = try files.open(
                .init(3, Array("\(index)".utf8)), rights: [.read, .seek], in: world)
            if index == 0 {
                for page in 0..<pages { _ = try files.read(opened, count: 1, at: page * 2 * Self.page, in: world) }
            }
            try files.close(opened)
        }
        return files.record
    }

    @Test func aListSaysWhatWasReadToThePage() throws {
        let list = ReadList(try record(files: 3, pages: 2))
        #expect(list.entries.count == 4 && list.omittedEntries == 0 && list.grain == Self.page)
        #expect(list.entries == list.entries.sorted { $0.cid < $1.cid })
        let first = CID.hashing(Array("0".utf8), codec: .raw)
        #expect(
            list.entries.first { $0.cid == first }?.ranges == [0..<Self.page, 2 * Self.page..<3 * Self.page])
        #expect(list.entries.filter { $0.ranges.isEmpty }.count == 3)
        let block = list.block
        #expect(block.cid.codec == .dagCBOR && ReadList(block: block.bytes) == list)
    }

    @Test func aListThatWouldBeTooLongIsCoarser() throws {
        var limits = ReadList.Limits()
        limits.rangesMax = 100
        let record = try record(files: 2, pages: 1_000)
        let list = ReadList(record, limits: limits)
        #expect(list.grain > Self.page && list.grain.nonzeroBitCount == 1)
        let ranges = list.entries.flatMap(\.ranges)
        #expect(ranges.count <= 100 && ranges.count > 10)
        // It covers what was read, and no more than from the first byte to the last.
        let all = record.entries.flatMap(\.ranges)
        #expect(
            all.allSatisfy { read in
                ranges.contains { $0.contains(read.lowerBound) && $0.upperBound >= read.upperBound }
            })
        #expect(ranges.first?.lowerBound == 0 && ranges.last?.upperBound == all.last?.upperBound)
    }

    @Test func entriesPastTheLimitAreCounted() throws {
        var limits = ReadList.Limits()
        limits.entriesMax = 4
        limits.rangesMax = 1
        let record = try record(files: 9, pages: 50)
        let list = ReadList(record, limits: limits)
        #expect(list.entries.map(\.cid) == record.entries.prefix(4).map(\.cid) && list.omittedEntries == 6)
        #expect(list.entries.flatMap(\.ranges).count <= 4)
        #expect(ReadList(block: list.block.bytes, limits: limits) == list)
    }

    @Test func theLongestListIsABlock() throws {
        let limits = ReadList.Limits()
        let entries = (0..<limits.entriesMax).map { CID.hashing(Array("\($0)".utf8), codec: .raw) }.sorted()
        let huge = UInt64(Int64.max)
        var map: [IPLDValue] = []
        for cid in entries {
            // Two ranges each are as many as all may have together.
            let ranges: [IPLDValue] = (0..<4).map { .unsigned(huge - 4 + $0) }
            map.append(.map(["cid": .link(cid), "ranges": .list(ranges)]))
        }
        let bytes = try DAGCBOR.encode(
            .map([
                "entries": .list(map), "omitted_entries": .unsigned(huge), "grain": .unsigned(1 << 62),
            ]))
        #expect(bytes.count < limits.bytesMax && bytes.count > limits.bytesMax / 2)
        #expect(ReadList(block: bytes)?.entries.count == limits.entriesMax)
    }

    @Test func whatNoRunCanHaveReadIsNoList() throws {
        var list = ReadList(try record(files: 3, pages: 2))
        let block = list.block.bytes
        #expect(ReadList(block: Array(block.dropLast())) == nil)
        #expect(ReadList(block: block + [0]) == nil)
        list.entries.swapAt(0, 1)
        #expect(ReadList(block: list.block.bytes) == nil)
        list.entries.swapAt(0, 1)
        list.entries[0].bounds = [1, 2, 3]
        #expect(ReadList(block: list.block.bytes) == nil)
        list.entries[0].bounds = [5, 5]
        #expect(ReadList(block: list.block.bytes) == nil)
        list.entries[0].bounds = []
        list.omittedEntries = 1
        #expect(ReadList(block: list.block.bytes) == nil)
    }
}
