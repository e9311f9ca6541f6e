import Multiformats
import Testing

@testable import GuestFiles

/// What calls look at is paid for, also where their arguments do not tell how much it is.
@Suite struct CallWorkTests {
    private func newGuest() throws -> PreviewTableTests.Guest {
        PreviewTableTests.Guest(
            table: PreviewTable<TestMemory>(), files: try GuestFileSystem(.job, world: .at(0)))
    }

    @Test func pathsCostTheirStepsAndLinks() throws {
        var guest = try newGuest()
        try guest.files.createDirectory(.init("a"), in: .at(0))
        // 30 names, and a link to them: 60 bytes.
        let long = String(repeating: "a/../", count: 12)
        try guest.files.symlink(.text(long), at: .init("b"), in: .at(0))
        try guest.files.symlink(.text("b/" + long), at: .init("c"), in: .at(0))
        var length = guest.text("a")
        #expect(try guest.call("path_filestat_get", 3, 0, 1_000, length, 100) == .success)
        #expect(guest.work == 8)
        length = guest.text("c/a")
        #expect(try guest.call("path_filestat_get", 3, 0, 1_000, length, 100) == .success)
        // `c`, its 25 components, the 24 of `b`, and `a`; the bytes of both targets.
        #expect(guest.work == 51 * 8 + 62 + 60)
        // A walk that fails costs what it took, and each call its own.
        length = guest.text("c/none")
        #expect(try guest.call("path_filestat_get", 3, 0, 1_000, length, 100) == .noEntry)
        #expect(guest.work == 51 * 8 + 62 + 60)
        #expect(try guest.call("fd_filestat_get", 3, 100) == .success)
        #expect(guest.work == 0)
    }

    @Test func aCallThatWaitedCostsNoMore() throws {
        let source = HeldContent(isAllHere: false)
        let folder = source.folder([("f", source.file("1"))])
        source.fetch([.node(folder), .listing(folder)])
        let files = try GuestFileSystem(.of([.init("/job", .tree(folder))]), world: .at(0, source))
        var guest = PreviewTableTests.Guest(table: PreviewTable<TestMemory>(), files: files, source: source)
        let length = guest.text("./f")
        while case .needs(let wants) = try guest.outcome("path_filestat_get", [3, 0, 1_000, length, 100]) {
            source.fetch(wants)
        }
        #expect(try guest.call("path_filestat_get", 3, 0, 1_000, length, 100) == .success)
        #expect(guest.work == 2 * 8)
    }

    @Test func cuttingAFileCostsThePagesThatAreLookedAt() throws {
        var guest = try newGuest()
        let number = UInt64(try guest.files.make("f"))
        try guest.files.allocate(UInt32(number), at: 0, bytes: 100 * FileContent.pageBytes, in: .at(0))
        _ = try guest.files.write(UInt32(number), [1], at: 1 << 40, in: .at(0))
        // One page goes; all are looked at, since it lies far away.
        #expect(try guest.call("fd_filestat_set_size", number, 100 * FileContent.pageBytes) == .success)
        #expect(guest.work == 101)
        #expect(try guest.call("fd_filestat_set_size", number, 90 * FileContent.pageBytes) == .success)
        #expect(guest.work == 10)
        #expect(try guest.call("fd_filestat_set_size", number, 89 * FileContent.pageBytes) == .success)
        #expect(guest.work == 1)
        #expect(try guest.call("fd_filestat_set_size", number, 1 << 40) == .success)
        #expect(guest.work == 0)
    }

    @Test func cookiesThatNoListingGaveCostTheSearch() throws {
        var guest = try newGuest()
        for index in 0..<80 { try guest.files.close(try guest.files.make("f\(index)")) }
        #expect(try guest.call("fd_readdir", 3, 5_000, 100, 0, 100) == .success)
        #expect(guest.work == 0)
        #expect(try guest.call("fd_readdir", 3, 5_000, 100, 3, 100) == .success)
        #expect(guest.work == 0)
        #expect(try guest.call("fd_readdir", 3, 5_000, 100, 999_999, 100) == .invalid)
        #expect(guest.work == 10)
    }

    @Test func namesCostTheEntriesThatMove() throws {
        var guest = try newGuest()
        for index in 0..<640 { try guest.files.close(try guest.files.make("f\(index)")) }
        let length = guest.text("d")
        // The name itself, and 640 entries.
        #expect(try guest.call("path_create_directory", 3, 1_000, length) == .success)
        #expect(guest.work == 8 + 10)
        #expect(try guest.call("path_remove_directory", 3, 1_000, length) == .success)
        #expect(guest.work >= 8 + 10)
    }

    /// One file in pieces of 1,000 bytes, below a node of 100.
    private struct Pieces: MountSource {
        let inner: HeldContent
        let file: CID

        func node(_ cid: CID) -> SourceAnswer<MountedNode> { inner.node(cid) }
        func listing(_ cid: CID) -> SourceAnswer<[MountedEntry]> { inner.listing(cid) }
        func bytes(_ cid: CID, _ range: Range<UInt64>) -> SourceAnswer<[UInt8]> { inner.bytes(cid, range) }
        func block(_ cid: CID) -> SourceAnswer<[UInt8]> { inner.block(cid) }
        func way(_ cid: CID, to offset: UInt64) -> SourceAnswer<[MountedPiece]> {
            let chunk = CID.hashing([UInt8(truncatingIfNeeded: offset / 6_400)], codec: .raw)
            return .here([MountedPiece(cid: file, bytes: 320), MountedPiece(cid: chunk, bytes: 6_400)])
        }
    }

    @Test func readsCostTheBlocksThatTheyAreTheFirstToLookAt() throws {
        let inner = HeldContent()
        let file = inner.file([UInt8](repeating: 7, count: 64_000))
        let source = Pieces(inner: inner, file: file)
        var files = try GuestFileSystem(
            .of([.init("/job", .tree(inner.folder([("f", file)])))]), world: .at(0, source))
        let number = try files.open(.init("f"), rights: .read, in: .at(0, source))
        func work(at offset: UInt64, _ count: Int) throws -> UInt64 {
            files.nodes.beginCall()
            _ = try files.read(number, count: count, at: offset, in: .at(0, source))
            return files.nodes.work
        }
        #expect(try work(at: 0, 10) == 210)
        #expect(try work(at: 6_000, 400) == 0)
        #expect(try work(at: 6_400, 1) == 200)
        #expect(try work(at: 0, 1) == 200)
        // Over two pieces: the first is the one before, the second is what is held then.
        #expect(try work(at: 6_399, 2) == 200)
        #expect(try work(at: 6_400, 1) == 0)
        #expect(try work(at: 30_000, 0) == 0)
    }

    @Test func removingAFolderCostsTheWaysToMounts() throws {
        var guest = PreviewTableTests.Guest(
            table: PreviewTable<TestMemory>(),
            files: try GuestFileSystem(
                .of([.init("/job"), .init("/x/y/z")], open: ["/job"]), world: .at(0)))
        try guest.files.createDirectory(.init("d"), in: .at(0))
        let length = guest.text("d")
        #expect(try guest.call("path_remove_directory", 3, 1_000, length) == .success)
        // The name, and at least `/x/y/z`, `/x/y`, `/x`, `/job` and the root.
        #expect(guest.work >= 6 * 8)
    }
}
