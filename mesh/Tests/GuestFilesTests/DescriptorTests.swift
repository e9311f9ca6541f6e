import Testing

@testable import GuestFiles

/// Descriptors: rights, flags, numbers, streams, and paths that lead out of their tree.
@Suite struct DescriptorTests {
    private func made() throws -> GuestFileSystem { try GuestFileSystem(.job, world: .at(0)) }

    @Test(arguments: ["/f", "/", "..", "../job/f", "d/../../job/f", "d/../..", "up/f", "d/up2/x"])
    func pathsThatLeadOutAreRefused(path: String) throws {
        var files = try made()
        _ = try files.make("f")
        try files.createDirectory(.init("d"), in: .at(0))
        try files.symlink(.text(".."), at: .init("up"), in: .at(0))
        try files.symlink(.text("../.."), at: .init("d/up2"), in: .at(0))
        #expect(errno { () throws(FileStop) in _ = try files.status(.init(path), in: .at(0)) } == .notPermitted)
        #expect(errno { () throws(FileStop) in try files.createDirectory(.init(path), in: .at(0)) } == .notPermitted)
        // A descriptor is a root of its own: what is above it is out of its tree, though it is in the mount.
        let inner = try files.open(.init("d"), .directory, rights: [], in: .at(0))
        #expect(
            errno { () throws(FileStop) in _ = try files.status(.init("../f", from: inner), in: .at(0)) }
                == .notPermitted)
    }

    @Test func targetsFromTheRootAreRefused() throws {
        var files = try made()
        #expect(
            errno { () throws(FileStop) in try files.symlink(.text("/f"), at: .init("l"), in: .at(0)) } == .notPermitted
        )
        #expect(errno { () throws(FileStop) in try files.symlink([], at: .init("l"), in: .at(0)) } == .noEntry)
    }

    @Test func bytesThatAreNoPathAreRefused() throws {
        var files = try made()
        #expect(errno { () throws(FileStop) in _ = try files.status(.init("f\0"), in: .at(0)) } == .invalid)
        #expect(errno { () throws(FileStop) in _ = try files.status(.init(""), in: .at(0)) } == .noEntry)
        // Any other bytes are a name.
        let odd: [UInt8] = [0xff, 0xfe, 0x01]
        _ = try files.open(.init(3, odd), .create, rights: .write, in: .at(0))
        #expect(try files.list(3, after: 2, bufferBytes: 99, in: .at(0)).map(\.name) == [odd])
    }

    @Test func whatIsNoDirectoryHasNoPaths() throws {
        var files = try made()
        let file = try files.make("f")
        for number in [file, 0, 1, 2] {
            #expect(
                errno { () throws(FileStop) in _ = try files.status(.init("x", from: number), in: .at(0)) }
                    == .notDirectory)
            #expect(
                errno { () throws(FileStop) in _ = try files.list(number, after: 0, bufferBytes: 9, in: .at(0)) }
                    == .notDirectory)
        }
        #expect(
            errno { () throws(FileStop) in _ = try files.status(.init("x", from: 99), in: .at(0)) } == .badDescriptor)
    }

    @Test func rightsAreThoseOfTheKind() throws {
        var files = try made()
        let read = try files.open(.init("f"), .create, rights: .read, in: .at(0))
        #expect(try files.descriptorStatus(read).rights == WASIRights.file.subtracting(.write))
        let none = try files.open(.init("f"), rights: [], in: .at(0))
        #expect(try files.descriptorStatus(none).rights == WASIRights.file.subtracting([.read, .write]))
        #expect(try files.descriptorStatus(none).inheriting == [])
        let directory = try files.open(.init("."), rights: .read, in: .at(0))
        #expect(try files.descriptorStatus(directory).rights == .directory)
        #expect(try files.descriptorStatus(directory).inheriting == .inheriting)
        #expect(try files.descriptorStatus(directory).type == .directory)
    }

    @Test func rightsThatAreGivenUpAreGone() throws {
        var files = try made()
        let number = try files.make("f", "text")
        let all = try files.descriptorStatus(number).rights
        try files.setRights(number, all.subtracting([.read, .write, .seek]), inheriting: [])
        #expect(errno { () throws(FileStop) in _ = try files.read(number, count: 1, in: .at(0)) } == .notCapable)
        #expect(errno { () throws(FileStop) in _ = try files.write(number, [1], in: .at(0)) } == .notCapable)
        #expect(errno { () throws(FileStop) in _ = try files.seek(number, by: 0, from: .start) } == .notCapable)
        #expect(errno { () throws(FileStop) in try files.setRights(number, all, inheriting: []) } == .notCapable)
        #expect(try files.tell(number) == 4)
    }

    /// Every right of a directory, and the call that needs it.
    @Test func everyRightOfADirectoryIsNeeded() throws {
        try check(.createDirectory) { (f: inout GuestFileSystem) throws(FileStop) in
            try f.createDirectory(.init("x"), in: .at(0))
        }
        try check(.createFile) { (f: inout GuestFileSystem) throws(FileStop) in
            _ = try f.open(.init("x"), .create, rights: [], in: .at(0))
        }
        try check(.linkSource) { (f: inout GuestFileSystem) throws(FileStop) in
            try f.link(.init("f"), to: .init("x"), in: .at(0))
        }
        try check(.linkTarget) { (f: inout GuestFileSystem) throws(FileStop) in
            try f.link(.init("f"), to: .init("x"), in: .at(0))
        }
        try check(.open) { (f: inout GuestFileSystem) throws(FileStop) in
            _ = try f.open(.init("f"), rights: [], in: .at(0))
        }
        try check(.readDirectory) { (f: inout GuestFileSystem) throws(FileStop) in
            _ = try f.list(3, after: 0, bufferBytes: 9, in: .at(0))
        }
        try check(.readLink) { (f: inout GuestFileSystem) throws(FileStop) in _ = try f.readLink(.init("l"), in: .at(0))
        }
        try check(.renameSource) { (f: inout GuestFileSystem) throws(FileStop) in
            try f.rename(.init("f"), to: .init("x"), in: .at(0))
        }
        try check(.renameTarget) { (f: inout GuestFileSystem) throws(FileStop) in
            try f.rename(.init("f"), to: .init("x"), in: .at(0))
        }
        try check(.pathStatus) { (f: inout GuestFileSystem) throws(FileStop) in _ = try f.status(.init("f"), in: .at(0))
        }
        try check(.pathSetSize) { (f: inout GuestFileSystem) throws(FileStop) in
            _ = try f.open(.init("f"), .truncate, rights: [], in: .at(0))
        }
        try check(.pathSetTimes) { (f: inout GuestFileSystem) throws(FileStop) in
            try f.setTimes(.init("f"), accessed: 0, modified: 0, [], in: .at(0))
        }
        try check(.symlink) { (f: inout GuestFileSystem) throws(FileStop) in
            try f.symlink(.text("f"), at: .init("x"), in: .at(0))
        }
        try check(.removeDirectory) { (f: inout GuestFileSystem) throws(FileStop) in
            try f.removeDirectory(.init("d"), in: .at(0))
        }
        try check(.unlinkFile) { (f: inout GuestFileSystem) throws(FileStop) in try f.unlink(.init("f"), in: .at(0)) }
        try check(.status) { (f: inout GuestFileSystem) throws(FileStop) in _ = try f.status(3) }
        try check(.setTimes) { (f: inout GuestFileSystem) throws(FileStop) in
            try f.setTimes(3, accessed: 0, modified: 0, [], in: .at(0))
        }
        try check(.setFlags) { (f: inout GuestFileSystem) throws(FileStop) in try f.setFlags(3, []) }
        try check(.sync) { (f: inout GuestFileSystem) throws(FileStop) in try f.sync(3, with: .sync) }
        try check(.dataSync) { (f: inout GuestFileSystem) throws(FileStop) in try f.sync(3, with: .dataSync) }
    }

    /// The call goes with the right, and does not go without it.
    private func check(
        _ right: WASIRights, _ call: (inout GuestFileSystem) throws(FileStop) -> Void
    ) throws {
        var files = try made()
        try files.close(try files.make("f"))
        try files.createDirectory(.init("d"), in: .at(0))
        try files.symlink(.text("f"), at: .init("l"), in: .at(0))
        var with = files
        #expect(errno { () throws(FileStop) in try call(&with) } == nil, "\(right)")
        try files.setRights(3, WASIRights.directory.subtracting(right), inheriting: .inheriting)
        #expect(errno { () throws(FileStop) in try call(&files) } == .notCapable, "\(right)")
    }

    @Test func whatADirectoryDoesNotPassOnIsNotGiven() throws {
        var files = try made()
        try files.close(try files.make("f", "text"))
        try files.setRights(3, .directory, inheriting: WASIRights.inheriting.subtracting([.write, .setSize]))
        #expect(
            errno { () throws(FileStop) in _ = try files.open(.init("f"), rights: .write, in: .at(0)) } == .notCapable)
        let number = try files.open(.init("f"), rights: .read, in: .at(0))
        #expect(try files.descriptorStatus(number).rights == WASIRights.file.subtracting([.write, .setSize]))
    }

    @Test func flagsAreKeptAndSet() throws {
        var files = try made()
        let number = try files.open(
            .init("f"), .create, rights: [.read, .write], flags: [.append, .sync], in: .at(0))
        #expect(try files.descriptorStatus(number).flags == [.append, .sync])
        try files.setFlags(number, [.nonBlocking, .sync])
        #expect(try files.descriptorStatus(number).flags == [.nonBlocking, .sync])
        try files.setFlags(number, [])
        #expect(try files.descriptorStatus(number).flags == .sync)
        #expect(errno { () throws(FileStop) in try files.setFlags(number, .dataSync) } == .invalid)
        #expect(
            errno { () throws(FileStop) in try files.setFlags(number, DescriptorFlags(rawValue: 1 << 9)) } == .invalid)
        let wrong = errno { () throws(FileStop) in
            _ = try files.open(.init("f"), OpenFlags(rawValue: 1 << 4), rights: [], in: .at(0))
        }
        #expect(wrong == .invalid)
        let both = errno { () throws(FileStop) in
            _ = try files.open(.init("g"), [.create, .directory], rights: [], in: .at(0))
        }
        #expect(both == .invalid)
    }

    @Test func numbersAreTheLowestThatAreFree() throws {
        var files = try made()
        let numbers = try ["a", "b", "c"].map { try files.make($0) }
        #expect(numbers == [4, 5, 6])
        try files.close(5)
        try files.close(0)
        #expect(try files.make("d") == 0)
        #expect(try files.make("e") == 5)
        #expect(try files.make("f") == 7)
        files.checkInvariants()
    }

    @Test func renumberingClosesAndMoves() throws {
        var files = try made()
        let from = try files.make("a", "text")
        let to = try files.make("b")
        try files.unlink(.init("b"), in: .at(0))
        try files.renumber(from, to: to)
        files.checkInvariants()
        #expect(try files.read(to, count: 9, at: 0, in: .at(0)) == .text("text"))
        #expect(errno { () throws(FileStop) in try files.close(from) } == .badDescriptor)
        #expect(errno { () throws(FileStop) in try files.renumber(to, to: from) } == .badDescriptor)
        #expect(errno { () throws(FileStop) in try files.renumber(from, to: to) } == .badDescriptor)
        try files.renumber(to, to: to)
        // A stream can take the number of another, and of a preopened directory.
        try files.renumber(2, to: 1)
        #expect(try files.write(1, [1], in: .at(0)).output?.stream == .standardError)
        try files.renumber(1, to: 3)
        #expect(errno { () throws(FileStop) in _ = try files.preopenName(3) } == .badDescriptor)
        files.checkInvariants()
    }

    @Test func preopensHaveTheirNames() throws {
        let plan = FileSystemPlan(
            mounts: [.init("/lib"), .init("/job")],
            preopens: FileSystemPlan.standardPreopens(of: [.text("/lib"), .text("/job")], workingFolder: .text("/job")))
        var files = try GuestFileSystem(plan, world: .at(0))
        #expect(
            try (3...6).map { String(decoding: try files.preopenName($0), as: UTF8.self) }
                == ["/job", "/lib", ".", "/dev"])
        #expect(errno { () throws(FileStop) in _ = try files.preopenName(0) } == .badDescriptor)
        #expect(errno { () throws(FileStop) in _ = try files.preopenName(7) } == .badDescriptor)
        try files.createDirectory(.init("d", from: 5), in: .at(0))
        #expect(try files.status(.init("d", from: 3), in: .at(0)).type == .directory)
        try files.close(4)
        #expect(errno { () throws(FileStop) in _ = try files.preopenName(4) } == .badDescriptor)
    }

    @Test func positionsOfDirectoriesAndStreams() throws {
        var files = try made()
        #expect(errno { () throws(FileStop) in _ = try files.seek(3, by: 0, from: .start) } == .badDescriptor)
        #expect(errno { () throws(FileStop) in _ = try files.tell(3) } == .badDescriptor)
        #expect(errno { () throws(FileStop) in _ = try files.seek(1, by: 0, from: .start) } == .illegalSeek)
        #expect(errno { () throws(FileStop) in _ = try files.read(0, count: 1, at: 0, in: .at(0)) } == .illegalSeek)
        #expect(errno { () throws(FileStop) in _ = try files.write(1, [1], at: 0, in: .at(0)) } == .illegalSeek)
        let number = try files.make("f")
        #expect(errno { () throws(FileStop) in _ = try files.seek(number, by: .max, from: .start) } == nil)
        #expect(errno { () throws(FileStop) in _ = try files.seek(number, by: 1, from: .current) } == .invalid)
        #expect(errno { () throws(FileStop) in _ = try files.seek(number, by: .min, from: .current) } == .invalid)
        #expect(try files.read(number, count: 5, in: .at(0)) == [])
        #expect(errno { () throws(FileStop) in _ = try files.write(number, [1], in: .at(0)) } == .fileTooLarge)
    }

    @Test func whatIsLeftIsAtHand() throws {
        var files = try made()
        let number = try files.make("f", "abcdef")
        #expect(try files.bytesAtHand(number, isForReading: true) == 0)
        _ = try files.seek(number, by: 2, from: .start)
        #expect(try files.bytesAtHand(number, isForReading: true) == 4)
        #expect(try files.bytesAtHand(number, isForReading: false) == 0)
        #expect(try files.bytesAtHand(0, isForReading: true) == 0)
        #expect(errno { () throws(FileStop) in _ = try files.bytesAtHand(9, isForReading: true) } == .badDescriptor)
    }

    @Test func adviceAndAllocation() throws {
        var files = try made()
        let number = try files.make("f")
        #expect(errno { () throws(FileStop) in try files.advise(number, advice: 5) } == nil)
        #expect(errno { () throws(FileStop) in try files.advise(number, advice: 6) } == .invalid)
        #expect(errno { () throws(FileStop) in try files.advise(3, advice: 0) } == .badDescriptor)
        #expect(errno { () throws(FileStop) in try files.advise(1, advice: 0) } == .illegalSeek)
        try files.allocate(number, at: 0, bytes: 100, in: .at(0))
        #expect(try files.status(number).bytes == 100)
        try files.allocate(number, at: 10, bytes: 10, in: .at(0))
        #expect(try files.status(number).bytes == 100)
        try files.allocate(number, at: 90, bytes: 20, in: .at(0))
        #expect(try files.status(number).bytes == 110)
        #expect(files.usage.bytes == 4_096)
        #expect(errno { () throws(FileStop) in try files.allocate(number, at: 0, bytes: 0, in: .at(0)) } == .invalid)
        #expect(errno { () throws(FileStop) in try files.allocate(number, at: .max, bytes: 1, in: .at(0)) } == .invalid)
        #expect(errno { () throws(FileStop) in try files.allocate(3, at: 0, bytes: 1, in: .at(0)) } == .badDescriptor)
        #expect(errno { () throws(FileStop) in try files.allocate(1, at: 0, bytes: 1, in: .at(0)) } == .illegalSeek)
        files.checkInvariants()
    }

    @Test func timesAreSetAsAsked() throws {
        var files = try made()
        let number = try files.make("f", in: .at(10))
        try files.setTimes(number, accessed: 1, modified: 2, [.accessed, .modified], in: .at(20))
        #expect(try files.status(number).times.accessed == 1)
        #expect(try files.status(number).times.modified == 2)
        #expect(try files.status(number).times.changed == 20)
        try files.setTimes(.init("f"), accessed: 3, modified: 4, [.accessedNow, .modified], in: .at(30))
        #expect(try files.status(number).times.accessed == 30)
        #expect(try files.status(number).times.modified == 4)
        for flags: TimeFlags in [[.accessed, .accessedNow], [.modified, .modifiedNow], TimeFlags(rawValue: 16)] {
            let number = errno { () throws(FileStop) in
                try files.setTimes(number, accessed: 9, modified: 9, flags, in: .at(40))
            }
            #expect(number == .invalid)
        }
        // Of a link itself, or of what it leads to.
        try files.symlink(.text("f"), at: .init("l"), in: .at(50))
        try files.setTimes(.init("l"), accessed: 0, modified: 5, .modified, in: .at(60))
        #expect(try files.status(.init("l"), in: .at(0)).times.modified == 5)
        try files.setTimes(.init("l", follows: true), accessed: 0, modified: 6, .modified, in: .at(60))
        #expect(try files.status(number).times.modified == 6)
    }
}
