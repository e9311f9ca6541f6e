import Determinism
import Testing

@testable import GuestFiles

/// Listings go on where they were, whatever happens to the directory.
@Suite struct ListingTests {
    private func names(_ entries: [GuestFileSystem.ListedEntry]) -> [String] {
        entries.map { String(decoding: $0.name, as: UTF8.self) }
    }

    @Test func dotsComeFirst() throws {
        var files = try GuestFileSystem(.job, world: .at(0))
        try files.createDirectory(.init("d"), in: .at(0))
        let own = try files.status(3)
        let listed = try files.list(3, after: 0, bufferBytes: 999, in: .at(0))
        #expect(names(listed) == [".", "..", "d"])
        #expect(listed[0].inode == own.inode)
        // Above the root of the guest's tree there is nothing.
        #expect(listed[1].inode == own.inode)
        #expect(listed.map(\.type) == [.directory, .directory, .directory])
        let inner = try files.open(.init("d"), .directory, rights: [], in: .at(0))
        #expect(try files.list(inner, after: 0, bufferBytes: 999, in: .at(0))[1].inode == own.inode)
        #expect(try names(files.list(3, after: 1, bufferBytes: 999, in: .at(0))) == ["..", "d"])
    }

    @Test func aBufferIsFilledAndNoMore() throws {
        var files = try GuestFileSystem(.job, world: .at(0))
        for name in ["aa", "bb", "cc"] { _ = try files.make(name) }
        // `.` and `..` take 25 and 26 bytes, and each name 26: the last begins in the buffer.
        #expect(try names(files.list(3, after: 0, bufferBytes: 51, in: .at(0))) == [".", ".."])
        #expect(try names(files.list(3, after: 0, bufferBytes: 52, in: .at(0))) == [".", "..", "aa"])
        #expect(try names(files.list(3, after: 0, bufferBytes: 0, in: .at(0))) == [])
    }

    @Test func cookiesStandForNamesThatAreGone() throws {
        var files = try GuestFileSystem(.job, world: .at(0))
        for name in ["a", "b", "c", "d"] { try files.close(try files.make(name)) }
        let listed = try files.list(3, after: 0, bufferBytes: 999, in: .at(0))
        let afterB = listed[3].cookie
        try files.unlink(.init("a"), in: .at(0))
        try files.unlink(.init("b"), in: .at(0))
        #expect(try names(files.list(3, after: afterB, bufferBytes: 999, in: .at(0))) == ["c", "d"])
        // What is new and comes before is not seen, what comes after is.
        _ = try files.make("aa")
        _ = try files.make("bb")
        #expect(try names(files.list(3, after: afterB, bufferBytes: 999, in: .at(0))) == ["bb", "c", "d"])
        // The same name again is another entry, and the old cookie still stands where it stood.
        _ = try files.make("b")
        #expect(try names(files.list(3, after: afterB, bufferBytes: 999, in: .at(0))) == ["bb", "c", "d"])
        try files.rename(.init("c"), to: .init("0"), in: .at(0))
        #expect(try names(files.list(3, after: afterB, bufferBytes: 999, in: .at(0))) == ["bb", "d"])
        #expect(
            try names(files.list(3, after: 0, bufferBytes: 999, in: .at(0))) == [".", "..", "0", "aa", "b", "bb", "d"])
        files.checkInvariants()
    }

    @Test func cookiesNobodyGaveAreRefused() throws {
        var files = try GuestFileSystem(.job, world: .at(0))
        _ = try files.make("a")
        #expect(
            errno { () throws(FileStop) in _ = try files.list(3, after: 99, bufferBytes: 99, in: .at(0)) } == .invalid)
        // One that another descriptor got is as good.
        let cookie = try files.list(3, after: 0, bufferBytes: 99, in: .at(0))[2].cookie
        let other = try files.open(.init("."), .directory, rights: [], in: .at(0))
        #expect(try files.list(other, after: cookie, bufferBytes: 99, in: .at(0)) == [])
        #expect(try names(files.list(other, after: 2, bufferBytes: 99, in: .at(0))) == ["a"])
    }

    /// Removing all that a listing gives, as `rm -r` does, and what else programs do while they list.
    @Test(arguments: 1...30 as ClosedRange<UInt64>)
    func whatStaysIsListedOnce(seed: UInt64) throws {
        var generator = SeededGenerator(seed: seed)
        var files = try GuestFileSystem(.job, world: .at(0))
        var all: Set<String> = []
        for _ in 0..<Int.random(in: 1...40, using: &generator) {
            let name = "n\(Int.random(in: 0...99, using: &generator))"
            if all.insert(name).inserted { try files.close(try files.make(name)) }
        }
        var staying = all
        var seen: [String] = []
        var cookie: UInt64 = 0
        while true {
            let listed = try files.list(
                3, after: cookie, bufferBytes: Int.random(in: 30...120, using: &generator), in: .at(0))
            guard let last = listed.last else { break }
            seen += names(listed)
            cookie = last.cookie
            for _ in 0..<Int.random(in: 0...3, using: &generator) {
                guard let name = staying.sorted().randomElement(using: &generator) else { break }
                staying.remove(name)
                if Bool.random(using: &generator) {
                    try files.unlink(.init(name), in: .at(0))
                } else {
                    try files.rename(.init(name), to: .init("moved-\(name)"), in: .at(0))
                }
            }
            files.checkInvariants()
        }
        let times = Dictionary(grouping: seen, by: { $0 }).mapValues(\.count)
        for name in staying { #expect(times[name] == 1, "seed \(seed): \(name)") }
        #expect(times.values.allSatisfy { $0 == 1 }, "seed \(seed)")
        #expect(seen.dropFirst(2).elementsEqual(seen.dropFirst(2).sorted()), "seed \(seed)")
    }

    @Test func aListingFetchesNoRawBlocks() throws {
        let source = HeldContent(isAllHere: false)
        let raw = source.rawFile(.text("raw"))
        let node = source.file("node")
        let folder = source.folder([("node", node), ("raw", raw)])
        source.fetch([.node(folder), .listing(folder)])
        var files = try GuestFileSystem(.of([.init("/job", .tree(folder))]), world: .at(0, source))
        let needed = stop { () throws(FileStop) in
            _ = try files.list(3, after: 0, bufferBytes: 999, in: .at(0, source))
        }
        #expect(needed == .needs([.node(node)]))
        source.fetch([.node(node)])
        let listed = try files.list(3, after: 2, bufferBytes: 999, in: .at(0, source))
        #expect(listed.map(\.type) == [.regularFile, .regularFile])
        // What was only listed was not read.
        #expect(Set(files.record.entries.map(\.cid)) == [folder, node])
        source.fetch([.node(raw), .bytes(raw, 0..<3)])
        #expect(try files.text("raw", in: .at(0, source)) == "raw")
        files.checkInvariants()
    }
}
