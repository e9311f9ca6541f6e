import Testing

@testable import GuestFiles

/// Every limit, reached.
@Suite struct LimitTests {
    private func made(
        _ plan: FileSystemPlan = .job, _ change: (inout GuestFileSystem.Limits) -> Void
    ) throws -> GuestFileSystem {
        var limits = GuestFileSystem.Limits()
        change(&limits)
        return try GuestFileSystem(plan, limits: limits, world: .at(0))
    }

    @Test func pathsEndAtTheirBytes() throws {
        var files = try made { $0.pathBytesMax = 10 }
        #expect(errno { () throws(FileStop) in try files.createDirectory(.init("123456789"), in: .at(0)) } == nil)
        #expect(
            errno { () throws(FileStop) in try files.createDirectory(.init("1234567890"), in: .at(0)) } == .nameTooLong)
        #expect(
            errno { () throws(FileStop) in try files.symlink(.text("1234567890"), at: .init("l"), in: .at(0)) }
                == .nameTooLong)
        files.checkInvariants()
    }

    @Test func treesEndAtTheirDepth() throws {
        var files = try made { $0.depthMax = 3 }
        // The root, `job`, and two below it.
        try files.createDirectory(.init("a"), in: .at(0))
        try files.createDirectory(.init("a/b"), in: .at(0))
        #expect(errno { () throws(FileStop) in try files.createDirectory(.init("a/b/c"), in: .at(0)) } == .nameTooLong)
        #expect(errno { () throws(FileStop) in _ = try files.status(.init("a/b/c"), in: .at(0)) } == .nameTooLong)
        // What is moved too deep is out of reach until it is moved back.
        try files.createDirectory(.init("x"), in: .at(0))
        try files.createDirectory(.init("x/y"), in: .at(0))
        try files.rename(.init("x"), to: .init("a/x"), in: .at(0))
        #expect(errno { () throws(FileStop) in _ = try files.status(.init("a/x/y"), in: .at(0)) } == .nameTooLong)
        let deep = try files.open(.init("a/x"), .directory, rights: [], in: .at(0))
        #expect(
            errno { () throws(FileStop) in _ = try files.status(.init("y", from: deep), in: .at(0)) } == .nameTooLong)
        try files.rename(.init("a/x"), to: .init("x"), in: .at(0))
        #expect(try files.status(.init("x/y"), in: .at(0)).type == .directory)
        files.checkInvariants()
    }

    @Test func linksEndAtTheirHops() throws {
        var files = try made { $0.linkHopsMax = 2 }
        _ = try files.make("f")
        try files.symlink(.text("f"), at: .init("1"), in: .at(0))
        try files.symlink(.text("1"), at: .init("2"), in: .at(0))
        try files.symlink(.text("2"), at: .init("3"), in: .at(0))
        #expect(errno { () throws(FileStop) in _ = try files.status(.init("2", follows: true), in: .at(0)) } == nil)
        #expect(errno { () throws(FileStop) in _ = try files.status(.init("3", follows: true), in: .at(0)) } == .loop)
    }

    @Test func filesEndAtTheirLinks() throws {
        var files = try made { $0.linksMax = 2 }
        _ = try files.make("f")
        try files.link(.init("f"), to: .init("g"), in: .at(0))
        #expect(
            errno { () throws(FileStop) in try files.link(.init("f"), to: .init("h"), in: .at(0)) } == .tooManyLinks)
        try files.unlink(.init("g"), in: .at(0))
        #expect(errno { () throws(FileStop) in try files.link(.init("f"), to: .init("h"), in: .at(0)) } == nil)
        files.checkInvariants()
    }

    @Test func directoriesEndAtTheirEntries() throws {
        var files = try made { $0.directoryEntriesMax = 2 }
        _ = try files.make("a")
        _ = try files.make("b")
        #expect(errno { () throws(FileStop) in _ = try files.make("c") } == .noSpace)
        #expect(errno { () throws(FileStop) in try files.link(.init("a"), to: .init("c"), in: .at(0)) } == .noSpace)
        // A name that only changes needs no room.
        try files.rename(.init("a"), to: .init("c"), in: .at(0))
        #expect(try files.names(".") == ["b", "c"])
        files.checkInvariants()
    }

    @Test func foldersWithTooManyEntriesAreNotMounted() throws {
        let source = HeldContent()
        let folder = source.folder([("a", source.file("1")), ("b", source.file("2")), ("c", source.file("3"))])
        var limits = GuestFileSystem.Limits()
        limits.directoryEntriesMax = 2
        #expect(throws: FileSystemPlanFault.content(.broken(.tooManyEntries(folder, entriesMax: 2)))) {
            try GuestFileSystem(.of([.init("/job", .tree(folder))]), limits: limits, world: .at(0, source))
        }
    }

    @Test func listedFoldersEndAtTheirEntriesTogether() throws {
        let source = HeldContent()
        let inner = source.folder([("a", source.file("1")), ("b", source.file("2"))])
        let folder = source.folder([("one", inner), ("two", inner)])
        var limits = GuestFileSystem.Limits()
        limits.mountedEntriesMax = 5
        var files = try GuestFileSystem(.of([.init("/job", .tree(folder))]), limits: limits, world: .at(0, source))
        #expect(try files.names("one", in: .at(0, source)) == ["a", "b"])
        let stop = stop { () throws(FileStop) in _ = try files.names("two", in: .at(0, source)) }
        #expect(stop == .broken(.tooManyMountedEntries(entriesMax: 5)))
    }

    @Test func descriptorsEndAtTheirNumber() throws {
        var files = try made { $0.descriptorsMax = 5 }
        let number = try files.make("f")
        #expect(number == 4)
        #expect(errno { () throws(FileStop) in _ = try files.make("g") } == .tooManyDescriptors)
        // Nothing was made that could not be opened.
        #expect(
            try files.list(3, after: 2, bufferBytes: 999, in: .at(0)).map { String(decoding: $0.name, as: UTF8.self) }
                == ["f"])
        try files.close(number)
        #expect(try files.make("g") == 4)
    }

    @Test func filesEndAtTheirBytes() throws {
        var files = try made { $0.fileBytesMax = 10 }
        let number = try files.make("f")
        #expect(try files.write(number, .text("123456789012"), in: .at(0)).count == 10)
        #expect(errno { () throws(FileStop) in _ = try files.write(number, [1], in: .at(0)) } == .fileTooLarge)
        #expect(errno { () throws(FileStop) in try files.setSize(number, to: 11, in: .at(0)) } == .fileTooLarge)
        #expect(
            errno { () throws(FileStop) in try files.allocate(number, at: 1, bytes: 10, in: .at(0)) } == .fileTooLarge)
        #expect(errno { () throws(FileStop) in try files.setSize(number, to: 10, in: .at(0)) } == nil)
        files.checkInvariants()
    }

    @Test func filesOfMountsEndAtTheirBytes() throws {
        let source = HeldContent()
        let giant = source.giant(bytes: 11)
        let folder = source.folder([("giant", giant)])
        var limits = GuestFileSystem.Limits()
        limits.fileBytesMax = 10
        var files = try GuestFileSystem(.of([.init("/job", .tree(folder))]), limits: limits, world: .at(0, source))
        let stop = stop { () throws(FileStop) in _ = try files.status(.init("giant"), in: .at(0, source)) }
        #expect(stop == .broken(.fileTooLarge(giant, bytesMax: 10)))
    }

    @Test func transfersEndAtTheirBytes() throws {
        var files = try made { $0.transferBytesMax = 4 }
        let number = try files.make("f")
        #expect(try files.write(number, .text("123456"), in: .at(0)).count == 4)
        #expect(try files.write(number, .text("56"), in: .at(0)).count == 2)
        #expect(try files.read(number, count: 9, at: 0, in: .at(0)) == .text("1234"))
        let written = try files.write(1, .text("123456"), in: .at(0))
        #expect(written.count == 4)
        #expect(written.output == StreamWrite(stream: .standardOutput, bytes: .text("1234")))
    }

    @Test func mountsEndAtTheirNumber() throws {
        var limits = GuestFileSystem.Limits()
        limits.mountsMax = 1
        #expect(throws: FileSystemPlanFault.tooMany(max: 1)) {
            try GuestFileSystem(.of([.init("/job"), .init("/tmp")]), limits: limits, world: .at(0))
        }
        #expect(throws: FileSystemPlanFault.tooMany(max: 1)) {
            try GuestFileSystem(.of([.init("/job")], open: ["/job", "/dev"]), limits: limits, world: .at(0))
        }
    }

    @Test func wantsEndAtTheirNumber() throws {
        let source = HeldContent(isAllHere: false)
        let folder = source.folder((0..<5).map { ("\($0)", source.file("\($0)")) })
        source.fetch([.node(folder), .listing(folder)])
        var limits = GuestFileSystem.Limits()
        limits.wantsMax = 2
        var files = try GuestFileSystem(.of([.init("/job", .tree(folder))]), limits: limits, world: .at(0, source))
        var asked: [Int] = []
        while case .needs(let wants)? = stop({ () throws(FileStop) in
            _ = try files.list(3, after: 0, bufferBytes: 4_096, in: .at(0, source))
        }) {
            asked.append(wants.count)
            source.fetch(wants)
        }
        #expect(asked == [2, 2, 1])
    }

    @Test func collectionsEndAtTheirEntries() throws {
        var files = try made { $0.collectedEntriesMax = 3 }
        for name in ["a", "b", "c"] { _ = try files.make(name) }
        let some = try FileSelection(.text("/job/[ab]"), workingFolder: nil)
        let all = try FileSelection(.text("/job"), workingFolder: nil)
        #expect(try files.collect(some, in: .at(0)) != nil)
        let stop = stop { () throws(FileStop) in _ = try files.collect(all, in: .at(0)) }
        #expect(stop == .tooManyCollected(entriesMax: 3))
    }

    @Test func bytesOfTheRunEndAtTheQuota() throws {
        let quota = FileSystemPlan.Quota(bytesMax: 3 * FileContent.pageBytes, entriesMax: 10)
        var files = try GuestFileSystem(.of([.init("/job"), .init("/tmp")], quota: quota), world: .at(0))
        let number = try files.make("f")
        // As much as there is room for, then nothing.
        #expect(try files.write(number, [UInt8](repeating: 1, count: 20_000), in: .at(0)).count == 12_288)
        #expect(errno { () throws(FileStop) in _ = try files.write(number, [1], in: .at(0)) } == .noSpace)
        #expect(files.usage.bytes == 12_288)
        // What is there can be written over.
        #expect(try files.write(number, [1], at: 0, in: .at(0)).count == 1)
        #expect(errno { () throws(FileStop) in try files.symlink(.text("x"), at: .init("l"), in: .at(0)) } == .noSpace)
        #expect(
            errno { () throws(FileStop) in try files.allocate(number, at: 0, bytes: 12_289, in: .at(0)) } == .noSpace)
        #expect(try files.status(number).bytes == 12_288)
        // A hole costs nothing.
        try files.setSize(number, to: 4_000, in: .at(0))
        try files.setSize(number, to: 1 << 30, in: .at(0))
        #expect(files.usage.bytes == 4_096)
        // What is open and has no name counts until it is closed.
        try files.unlink(.init("f"), in: .at(0))
        #expect(files.usage.bytes == 4_096)
        try files.close(number)
        #expect(files.usage.bytes == 0)
        files.checkInvariants()
    }

    @Test func entriesOfTheRunEndAtTheQuota() throws {
        let quota = FileSystemPlan.Quota(bytesMax: 1 << 20, entriesMax: 2)
        var files = try GuestFileSystem(.of([.init("/job")], quota: quota), world: .at(0))
        try files.close(try files.make("a"))
        try files.createDirectory(.init("b"), in: .at(0))
        #expect(errno { () throws(FileStop) in _ = try files.make("c") } == .noSpace)
        #expect(errno { () throws(FileStop) in try files.createDirectory(.init("c"), in: .at(0)) } == .noSpace)
        #expect(errno { () throws(FileStop) in try files.link(.init("a"), to: .init("c"), in: .at(0)) } == .noSpace)
        try files.rename(.init("a"), to: .init("b/a"), in: .at(0))
        try files.unlink(.init("b/a"), in: .at(0))
        #expect(files.usage.entries == 1)
        _ = try files.make("c")
        files.checkInvariants()
    }

    @Test func mountsEndAtTheirOwnQuota() throws {
        let small = FileSystemPlan.Quota(bytesMax: FileContent.pageBytes, entriesMax: 1)
        var files = try GuestFileSystem(
            .of([.init("/job"), .init("/tmp", quota: small)], open: ["/tmp", "/job"]), world: .at(0))
        let number = try files.make("f")
        #expect(try files.write(number, [UInt8](repeating: 1, count: 5_000), in: .at(0)).count == 4_096)
        #expect(errno { () throws(FileStop) in _ = try files.write(number, [1], in: .at(0)) } == .quotaExceeded)
        #expect(errno { () throws(FileStop) in _ = try files.make("g") } == .quotaExceeded)
        let other = try files.open(.init("g", from: 4), .create, rights: .write, in: .at(0))
        #expect(try files.write(other, [1], in: .at(0)).count == 1)
        files.checkInvariants()
    }

    @Test func namesOfThePastCountUntilNobodyLists() throws {
        let quota = FileSystemPlan.Quota(bytesMax: 1 << 20, entriesMax: 3)
        var files = try GuestFileSystem(.of([.init("/job")], quota: quota), world: .at(0))
        for name in ["a", "b", "c"] { try files.close(try files.make(name)) }
        let listing = try files.open(.init("."), .directory, rights: [], in: .at(0))
        #expect(try files.list(listing, after: 0, bufferBytes: 4_096, in: .at(0)).count == 5)
        for name in ["a", "b", "c"] { try files.unlink(.init(name), in: .at(0)) }
        #expect(files.usage.entries == 3)
        #expect(errno { () throws(FileStop) in _ = try files.make("d") } == .noSpace)
        // Starting again forgets them, and so does closing.
        #expect(try files.list(listing, after: 0, bufferBytes: 4_096, in: .at(0)).count == 2)
        #expect(files.usage.entries == 0)
        files.checkInvariants()
        try files.close(try files.make("d"))
        _ = try files.list(listing, after: 0, bufferBytes: 4_096, in: .at(0))
        try files.unlink(.init("d"), in: .at(0))
        #expect(files.usage.entries == 1)
        try files.close(listing)
        #expect(files.usage.entries == 0)
        files.checkInvariants()
    }
}
