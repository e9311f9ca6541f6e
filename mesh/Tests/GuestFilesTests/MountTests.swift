import Determinism
import Multiformats
import Synchronization
import Testing

@testable import GuestFiles

/// What mounts show, what they refuse, and what is asked for.
@Suite struct MountTests {
    private let source = HeldContent()

    private func mounted(_ mounts: [FileSystemPlan.Mount], open: [String] = ["/job"]) throws -> GuestFileSystem {
        let files = try GuestFileSystem(.of(mounts, open: open), world: .at(0, source))
        files.checkInvariants()
        return files
    }

    @Test func aFolderIsSeenInTheOrderOfItsBytes() throws {
        let folder = source.folder([
            ("b", source.file("2")), ("a", source.file("1")), ("é", source.file("3")), ("B", source.file("4")),
        ])
        var files = try mounted([.init("/job", .tree(folder))])
        #expect(try files.names(".", in: .at(0, source)) == ["B", "a", "b", "é"])
        #expect(try files.text("a", in: .at(0, source)) == "1")
    }

    @Test(arguments: [
        ("", FileName.Fault.empty), ("a/b", .slash), ("a\0", .zeroByte), (".", .dots), ("..", .dots),
        (String(repeating: "n", count: 256), .tooLong),
    ])
    func foldersWithImproperNamesAreRefused(name: String, fault: FileName.Fault) throws {
        let folder = source.folder([("good", source.file("1")), (name, source.file("2"))])
        #expect(throws: FileSystemPlanFault.content(.broken(.name(folder, fault)))) {
            try mounted([.init("/job", .tree(folder))])
        }
        // The same deeper down, when the guest comes there.
        let above = source.folder([("inner", folder)])
        var files = try mounted([.init("/job", .tree(above))])
        let stop = stop { () throws(FileStop) in _ = try files.status(.init("inner/good"), in: .at(0, source)) }
        #expect(stop == .broken(.name(folder, fault)))
    }

    @Test func foldersWithOneNameTwiceAreRefused() throws {
        let folder = source.folder([("a", source.file("1")), ("b", source.file("2")), ("a", source.file("3"))])
        #expect(throws: FileSystemPlanFault.content(.broken(.duplicateName(folder, try FileName(.text("a")))))) {
            try mounted([.init("/job", .tree(folder))])
        }
    }

    @Test(arguments: ["", "a\0b", String(repeating: "t", count: 4_096)])
    func linksWithImproperTargetsAreRefused(target: String) throws {
        let link = source.link(target)
        var files = try mounted([.init("/job", .tree(source.folder([("l", link)])))])
        let stop = stop { () throws(FileStop) in _ = try files.status(.init("l"), in: .at(0, source)) }
        #expect(stop == .broken(.target(link)))
    }

    @Test func contentThatIsNoFilesIsRefused() throws {
        let nothing = CID.hashing(.text("nothing"), codec: .raw)
        #expect(throws: FileSystemPlanFault.content(.broken(.notFiles(nothing)))) {
            try mounted([.init("/job", .tree(nothing))])
        }
        let link = source.link("x")
        #expect(throws: FileSystemPlanFault.content(.broken(.notFiles(link)))) {
            try mounted([.init("/job", .tree(link))])
        }
    }

    @Test func aSourceThatGivesTooLittleIsFound() throws {
        struct Short: MountSource {
            let inner: HeldContent
            func node(_ cid: CID) -> SourceAnswer<MountedNode> { inner.node(cid) }
            func listing(_ cid: CID) -> SourceAnswer<[MountedEntry]> { inner.listing(cid) }
            func bytes(_ cid: CID, _ range: Range<UInt64>) -> SourceAnswer<[UInt8]> { .here([1]) }
            func block(_ cid: CID) -> SourceAnswer<[UInt8]> { inner.block(cid) }
        }
        let file = source.file("content")
        let short = Short(inner: source)
        var files = try GuestFileSystem(
            .of([.init("/job", .tree(source.folder([("f", file)])))]), world: .at(0, short))
        let stop = stop { () throws(FileStop) in _ = try files.text("f", in: .at(0, short)) }
        #expect(stop == .broken(.wrongLength(file)))
    }

    /// However many names a block has, it is looked at once: a look may cost as much as the block is long.
    @Test func manyNamesOfOneBlockCostOneLook() throws {
        final class Counting: MountSource {
            let inner: HeldContent
            let looks = Mutex(0)
            init(_ inner: HeldContent) { self.inner = inner }
            func node(_ cid: CID) -> SourceAnswer<MountedNode> {
                looks.withLock { $0 += 1 }
                return inner.node(cid)
            }
            func listing(_ cid: CID) -> SourceAnswer<[MountedEntry]> { inner.listing(cid) }
            func bytes(_ cid: CID, _ range: Range<UInt64>) -> SourceAnswer<[UInt8]> { inner.bytes(cid, range) }
            func block(_ cid: CID) -> SourceAnswer<[UInt8]> { inner.block(cid) }
        }
        let folder = source.folder([])
        let names = (0..<1_000).map { ("n\($0)", folder) }
        let root = source.folder(names)
        let counting = Counting(source)
        let world = GuestWorld.at(0, counting)
        var files = try GuestFileSystem(.of([.init("/job", .tree(root))]), world: world)
        #expect(try files.list(3, after: 0, bufferBytes: 1 << 18, in: world).count == 1_002)
        #expect(counting.looks.withLock { $0 } == 2, "the folder that is mounted, and the one in it")
    }

    @Test func plansThatCannotBeAreRefused() throws {
        let file = source.file("1")
        let cases: [(FileSystemPlan, FileSystemPlanFault)] = [
            (.of([.init("job")]), .path(.text("job"))),
            (.of([.init("/a/../job")]), .path(.text("/a/../job"))),
            (.of([.init("/a/./job")]), .path(.text("/a/./job"))),
            (.of([.init("/job"), .init("/job/")]), .occupied(.text("/job/"))),
            (.of([.init("/dev")], open: []), .occupied(.text("/dev"))),
            (.of([.init("/dev/x")], open: []), .occupied(.text("/dev/x"))),
            (.of([.init("/job/x"), .init("/job", .tree(file))], open: []), .insideFile(.text("/job/x"))),
            (.of([.init("/", .tree(file))], open: []), .insideFile(.text("/"))),
            (.of([.init("/job")], open: ["/other"]), .preopen(.text("/other"))),
            (.of([.init("/job", .tree(file))]), .preopen(.text("/job"))),
            (
                FileSystemPlan(mounts: [], preopens: [.init(name: [], path: .text("/dev"))]),
                .preopenName([])
            ),
            (
                FileSystemPlan(mounts: [], standardInput: .file(source.folder([]))),
                .standardInput(source.folder([]))
            ),
        ]
        for (plan, fault) in cases {
            #expect(throws: fault) { try GuestFileSystem(plan, world: .at(0, source)) }
        }
    }

    @Test func mountsInsideMountsHideWhatIsThere() throws {
        let inner = source.folder([("x", source.file("inner"))])
        let outer = source.folder([("lib", source.folder([("hidden", source.file("h"))])), ("f", source.file("outer"))])
        var files = try mounted([
            .init("/job/lib", .tree(inner), writable: false), .init("/job", .tree(outer)),
            .init("/job/deep/er", .empty), .init("/job/data.csv", .tree(source.file("1,2")), writable: false),
        ])
        #expect(try files.names(".", in: .at(0, source)) == ["data.csv", "deep", "f", "lib"])
        #expect(try files.names("lib", in: .at(0, source)) == ["x"])
        #expect(try files.text("data.csv", in: .at(0, source)) == "1,2")
        #expect(try files.names("deep", in: .at(0, source)) == ["er"])
        let world = GuestWorld.at(1, source)
        // They stay where they are, whoever holds them.
        #expect(errno { () throws(FileStop) in try files.removeDirectory(.init("deep/er"), in: world) } == .busy)
        #expect(errno { () throws(FileStop) in try files.removeDirectory(.init("deep"), in: world) } == .notEmpty)
        #expect(errno { () throws(FileStop) in try files.rename(.init("deep"), to: .init("d"), in: world) } == .busy)
        #expect(errno { () throws(FileStop) in try files.rename(.init("lib"), to: .init("l"), in: world) } == .busy)
        #expect(errno { () throws(FileStop) in try files.unlink(.init("data.csv"), in: world) } == .busy)
        #expect(
            errno { () throws(FileStop) in try files.rename(.init("f"), to: .init("data.csv"), in: world) } == .busy)
        #expect(
            errno { () throws(FileStop) in try files.rename(.init("data.csv"), to: .init("f"), in: world) } == .busy)
        // Nothing moves from one to another.
        #expect(
            errno { () throws(FileStop) in try files.rename(.init("f"), to: .init("deep/er/f"), in: world) }
                == .crossDevice)
        #expect(
            errno { () throws(FileStop) in try files.link(.init("f"), to: .init("deep/er/f"), in: world) }
                == .crossDevice)
        #expect(
            errno { () throws(FileStop) in try files.link(.init("data.csv"), to: .init("d"), in: world) }
                == .crossDevice)
        #expect(errno { () throws(FileStop) in try files.createDirectory(.init("lib/y"), in: world) } == .readOnly)
        let devices = Set(
            try ["f", "lib", "deep/er", "data.csv"].map { try files.status(.init($0), in: world).device })
        #expect(devices.count == 4)
        files.checkInvariants()
    }

    @Test func aMountCanBeTheRoot() throws {
        let root = source.folder([("f", source.file("1")), ("dev", source.file("hidden"))])
        var files = try mounted([.init("/", .tree(root)), .init("/tmp")], open: ["/"])
        #expect(try files.names(".", in: .at(0, source)) == ["dev", "f", "tmp"])
        #expect(
            try files.names("dev", in: .at(0, source)) == [
                "null", "random", "stderr", "stdin", "stdout", "urandom", "zero",
            ])
        try files.createDirectory(.init("new"), in: .at(0, source))
        #expect(
            errno { () throws(FileStop) in try files.createDirectory(.init("dev/new"), in: .at(0, source)) }
                == .readOnly)
    }

    @Test func readOnlyMountsAreOnlyRead() throws {
        let folder = source.folder([
            ("f", source.file("text")), ("d", source.folder([])), ("l", source.link("f")),
        ])
        var files = try mounted([.init("/job", .tree(folder), writable: false)])
        let world = GuestWorld.at(5, source)
        let calls: [(name: String, number: WASIErrno?)] = [
            ("mkdir", errno { () throws(FileStop) in try files.createDirectory(.init("x"), in: world) }),
            ("rmdir", errno { () throws(FileStop) in try files.removeDirectory(.init("d"), in: world) }),
            ("unlink", errno { () throws(FileStop) in try files.unlink(.init("f"), in: world) }),
            ("rename", errno { () throws(FileStop) in try files.rename(.init("f"), to: .init("g"), in: world) }),
            ("link", errno { () throws(FileStop) in try files.link(.init("f"), to: .init("g"), in: world) }),
            ("symlink", errno { () throws(FileStop) in try files.symlink(.text("f"), at: .init("g"), in: world) }),
            (
                "create",
                errno { () throws(FileStop) in _ = try files.open(.init("g"), .create, rights: .read, in: world) }
            ),
            (
                "open to write",
                errno { () throws(FileStop) in _ = try files.open(.init("f"), rights: .write, in: world) }
            ),
            (
                "truncate",
                errno { () throws(FileStop) in _ = try files.open(.init("f"), .truncate, rights: .read, in: world) }
            ),
            (
                "set times",
                errno { () throws(FileStop) in
                    try files.setTimes(.init("f"), accessed: 1, modified: 1, .modified, in: world)
                }
            ),
        ]
        for call in calls { #expect(call.number == .readOnly, "\(call.name)") }
        #expect(try files.open(.init("f"), .create, rights: .read, in: world) == 4)
        #expect(try files.names(".", in: world) == ["d", "f", "l"])
    }

    @Test func filesAreCopiedWhenTheyAreWritten() throws {
        let base = (0..<10_000).map { UInt8(truncatingIfNeeded: $0) }
        let file = source.file(base)
        let folder = source.folder([("f", file), ("g", file)])
        var files = try mounted([.init("/job", .tree(folder))])
        let world = GuestWorld.at(9, source)
        let number = try files.make("f", in: world)
        _ = try files.write(number, [1, 2, 3], at: 4_095, in: world)
        var expected = base
        expected.replaceSubrange(4_095..<4_098, with: [1, 2, 3])
        #expect(try files.read(number, count: 20_000, at: 0, in: world) == expected)
        #expect(files.usage.bytes == 8_192)
        // The other name of the same content is another file.
        let other = try files.open(.init("g"), rights: .read, in: world)
        #expect(try files.read(other, count: 20_000, in: world) == base)
        // What was cut off does not come back.
        try files.setSize(number, to: 9_000, in: world)
        try files.setSize(number, to: 10_000, in: world)
        expected.replaceSubrange(9_000..<10_000, with: repeatElement(0, count: 1_000))
        #expect(try files.read(number, count: 20_000, at: 0, in: world) == expected)
        files.checkInvariants()
    }

    @Test func timesAreThoseOfTheMountAndThenOfTheClock() throws {
        let folder = source.folder([("f", source.file([1], modified: 77)), ("g", source.file([2]))], modified: 66)
        var files = try mounted([.init("/job", .tree(folder))])
        #expect(try files.status(3).times == NodeTimes(all: 66))
        #expect(try files.status(.init("f"), in: .at(5, source)).times == NodeTimes(all: 77))
        #expect(try files.status(.init("g"), in: .at(5, source)).times == NodeTimes(all: 0))
        let number = try files.make("f", "x", in: .at(100, source))
        _ = try files.read(number, count: 1, at: 0, in: .at(200, source))
        let times = try files.status(number).times
        #expect(times.accessed == 77)
        #expect(times.modified == 100)
        #expect(times.changed == 100)
        #expect(try files.status(3).times == NodeTimes(all: 66))
        _ = try files.make("new", in: .at(300, source))
        #expect(try files.status(.init("new"), in: .at(301, source)).times == NodeTimes(all: 300))
        #expect(try files.status(3).times.modified == 300)
    }

    @Test func numbersFollowTheOrderOfCreation() throws {
        let folder = source.folder([("b", source.file("1")), ("a", source.folder([("x", source.file("2"))]))])
        var files = try mounted([.init("/job", .tree(folder))])
        func inode(_ path: String) throws -> UInt64 { try files.status(.init(path), in: .at(0, source)).inode }
        // Root, `/dev` and four in it, the mount, and then its entries by name.
        let own = try files.status(3).inode
        #expect(try inode("a") == own + 1)
        #expect(try inode("b") == own + 2)
        _ = try files.make("new", in: .at(0, source))
        #expect(try inode("new") == own + 3)
        #expect(try inode("a/x") == own + 4)
        try files.unlink(.init("b"), in: .at(0, source))
        _ = try files.make("b", in: .at(0, source))
        #expect(try inode("b") == own + 5)
    }

    @Test func linksInMountsLeadNowhereElse() throws {
        let folder = source.folder([
            ("root", source.link("/etc/passwd")), ("up", source.link("../x")), ("far", source.link("d/../../x")),
            ("in", source.link("d/../f")), ("d", source.folder([])), ("f", source.file("text")),
        ])
        var files = try mounted([.init("/job", .tree(folder)), .init("/x")])
        for name in ["root", "up", "far"] {
            let number = errno { () throws(FileStop) in
                _ = try files.status(.init(name, follows: true), in: .at(0, source))
            }
            #expect(number == .notPermitted, "\(name)")
        }
        #expect(try files.text("in", in: .at(0, source)) == "text")
    }

    @Test func whatIsReadIsRecordedAndNothingElse() throws {
        let big = source.file([UInt8](repeating: 1, count: 20_000))
        let small = source.file("small")
        let unread = source.file("unread")
        let inner = source.folder([("unseen", source.file("unseen"))])
        let folder = source.folder([("big", big), ("small", small), ("unread", unread), ("inner", inner)])
        var files = try mounted([.init("/job", .tree(folder))])
        let world = GuestWorld.at(0, source)
        let number = try files.open(.init("big"), rights: [.read, .write], in: world)
        _ = try files.read(number, count: 10, at: 5_000, in: world)
        _ = try files.read(number, count: 10, at: 8_190, in: world)
        _ = try files.read(number, count: 10, at: 19_999, in: world)
        _ = try files.status(.init("small"), in: world)
        let ranges = Dictionary(uniqueKeysWithValues: files.record.entries.map { ($0.cid, $0.ranges) })
        #expect(ranges[big] == [4_096..<12_288, 16_384..<20_000])
        #expect(ranges[small] == [])
        #expect(ranges[folder] == [])
        #expect(ranges[unread] == nil)
        #expect(ranges[inner] == nil)
        // What is copied to be written around was read, what is written over whole was not.
        _ = try files.write(number, [9], at: 0, in: world)
        #expect(files.record.entries.first { $0.cid == big }?.ranges == [0..<12_288, 16_384..<20_000])
        files.checkInvariants()
    }

    @Test func theRecordGrowsCoarserInsteadOfLonger() throws {
        let (sparse, other) = (source.file("x"), source.file("y"))
        var record = ReadRecord(rangesMax: 64)
        let bytes: UInt64 = 1 << 40
        record.took(other, 8_192..<8_193, of: 1 << 20)
        for index in (0..<10_000 as Range<UInt64>).reversed() {
            let at = index * 16_384 + 5
            record.took(sparse, at..<at + 1, of: bytes)
            record.checkInvariants()
            let entries = record.entries
            #expect(entries.reduce(0) { $0 + $1.ranges.count } <= 64 + entries.count)
            let isThere = entries.first { $0.cid == sparse }?.ranges.contains { $0.contains(at) }
            #expect(isThere == true)
        }
        let ranges = record.entries.first { $0.cid == sparse }?.ranges ?? []
        for index in 0..<10_000 as Range<UInt64> {
            #expect(ranges.contains { $0.contains(index * 16_384 + 5) })
        }
        #expect(record.entries.first { $0.cid == other }?.ranges.contains { $0.contains(8_192) } == true)
    }

    @Test func rangesOfTheRecordMergeHoweverTheyCome() throws {
        let cid = source.file("x")
        for seed in 1...40 as ClosedRange<UInt64> {
            var generator = SeededGenerator(seed: seed)
            var record = ReadRecord()
            var pages: Set<UInt64> = []
            let bytes = UInt64.random(in: 1...200_000, using: &generator)
            for _ in 0..<60 {
                let start = UInt64.random(in: 0..<bytes, using: &generator)
                let end = min(bytes, start + UInt64.random(in: 1...9_000, using: &generator))
                record.took(cid, start..<end, of: bytes)
                record.checkInvariants()
                pages.formUnion(start / 4_096...(end - 1) / 4_096)
                let told = record.entries.flatMap(\.ranges).flatMap {
                    $0.lowerBound / 4_096...($0.upperBound - 1) / 4_096
                }
                #expect(told == pages.sorted(), "seed \(seed)")
                #expect(record.entries.flatMap(\.ranges).allSatisfy { $0.upperBound <= bytes }, "seed \(seed)")
            }
        }
    }
}
