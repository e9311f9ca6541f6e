import Testing

@testable import GuestFiles

/// What the programs of WebAssembly/wasi-testsuite for preview 1 ask of files, each under its name there (Rust and C
/// programs of `wasm32-wasip1`); what they accept of several systems is cut down to what POSIX systems answer.
@Suite struct WASISuiteTests {
    /// As the suite's programs begin: a new directory, open with few rights asked for.
    private func start() throws -> (files: GuestFileSystem, directory: UInt32) {
        var files = try GuestFileSystem(.job, world: .at(0))
        try files.createDirectory(.init("test"), in: .at(0))
        let asked: WASIRights = [
            .status, .readDirectory, .createFile, .createDirectory, .removeDirectory, .open, .unlinkFile,
        ]
        let directory = try files.open(
            .init("test"), .directory, rights: asked, inheriting: [.read, .write, .readDirectory, .status, .seek],
            in: .at(0))
        return (files, directory)
    }

    /// The error number of opening; nil if it opens.
    private func opening(
        _ path: String, _ how: OpenFlags = [], follows: Bool = false, rights: WASIRights = [],
        in files: inout GuestFileSystem, from base: UInt32
    ) -> WASIErrno? {
        let number = errno { () throws(FileStop) in
            _ = try files.open(.init(path, from: base, follows: follows), how, rights: rights, in: .at(0))
        }
        files.checkInvariants()
        return number
    }

    @Test func interestingPaths() throws {
        var (files, base) = try start()
        try files.createDirectory(.init("dir", from: base), in: .at(0))
        try files.createDirectory(.init("dir/nested", from: base), in: .at(0))
        _ = try files.open(.init("dir/nested/file", from: base), .create, rights: [], in: .at(0))
        let cases: [(String, WASIErrno?)] = [
            ("/dir/nested/file", .notPermitted), ("dir/.//nested/../../dir/nested/../nested///./file", nil),
            ("dir/nested/file\0", .invalid), ("dir/nested/file/", .notDirectory), ("dir/nested/file///", .notDirectory),
            ("dir/nested/", nil), ("dir/nested///", nil), ("dir/nested/../../../dir/nested/file", .notPermitted),
        ]
        for (path, expected) in cases {
            #expect(opening(path, in: &files, from: base) == expected, "\(path)")
        }
    }

    @Test func nofollowErrors() throws {
        var (files, base) = try start()
        try files.createDirectory(.init("target", from: base), in: .at(0))
        try files.symlink(.text("target"), at: .init("symlink", from: base), in: .at(0))
        #expect(opening("symlink", .directory, in: &files, from: base) == .notDirectory)
        #expect(opening("symlink", in: &files, from: base) == .loop)
        #expect(opening("symlink", .directory, follows: true, in: &files, from: base) == nil)
        try files.removeDirectory(.init("target", from: base), in: .at(0))
        #expect(opening("target", .create, in: &files, from: base) == nil)
        #expect(opening("symlink", .directory, in: &files, from: base) == .notDirectory)
        #expect(opening("symlink", in: &files, from: base) == .loop)
        #expect(opening("symlink", .directory, follows: true, in: &files, from: base) == .notDirectory)
    }

    @Test func pathOpenPreopen() throws {
        var files = try GuestFileSystem(.job, world: .at(0))
        let own = try files.descriptorStatus(3)
        #expect(own.rights.isSuperset(of: WASIRights.directory.subtracting(.poll)))
        #expect(own.inheriting.isSuperset(of: WASIRights.file))
        #expect(opening(".", rights: own.rights, in: &files, from: 3) == nil)
        #expect(opening(".", in: &files, from: 3) == nil)
        #expect(opening(".", .directory, in: &files, from: 3) == nil)
        #expect(opening(".", .directory, rights: .read, in: &files, from: 3) == nil)
        #expect(opening(".", .directory, rights: [.read, .write], in: &files, from: 3) == .isDirectory)
        let nonBlocking = errno { () throws(FileStop) in
            _ = try files.open(.init("."), rights: [], flags: .nonBlocking, in: .at(0))
        }
        #expect(nonBlocking == nil)
    }

    @Test func pathOpenReadWrite() throws {
        var (files, base) = try start()
        #expect(opening("file", .create, in: &files, from: base) == nil)
        let readOnly = try files.open(.init("file", from: base), rights: .read, in: .at(0))
        #expect(try files.descriptorStatus(readOnly).rights.isDisjoint(with: .write))
        #expect(try files.read(readOnly, count: 100, in: .at(0)) == [])
        #expect(errno { () throws(FileStop) in _ = try files.write(readOnly, [1], in: .at(0)) } == .badDescriptor)
        let writeOnly = try files.open(.init("file", from: base), rights: .write, in: .at(0))
        #expect(try files.descriptorStatus(writeOnly).rights.isDisjoint(with: .read))
        #expect(errno { () throws(FileStop) in _ = try files.read(writeOnly, count: 1, in: .at(0)) } == .badDescriptor)
        #expect(try files.write(writeOnly, [1, 2], in: .at(0)).count == 2)
        let both = try files.open(.init("file", from: base), rights: [.read, .write], in: .at(0))
        #expect(try files.read(both, count: 100, in: .at(0)) == [1, 2])
        #expect(try files.write(both, [3], in: .at(0)).count == 1)
        #expect(try files.status(both).bytes == 3)
    }

    @Test func directoryOperationsFail() throws {
        var files = try GuestFileSystem(.job, world: .at(0))
        let numbers: [WASIErrno?] = [
            errno { () throws(FileStop) in _ = try files.read(3, count: 9, in: .at(0)) },
            errno { () throws(FileStop) in _ = try files.read(3, count: 9, at: 0, in: .at(0)) },
            errno { () throws(FileStop) in _ = try files.write(3, [1], in: .at(0)) },
            errno { () throws(FileStop) in _ = try files.write(3, [1], at: 0, in: .at(0)) },
            errno { () throws(FileStop) in _ = try files.seek(3, by: 0, from: .current) },
            errno { () throws(FileStop) in _ = try files.seek(3, by: 0, from: .start) },
            errno { () throws(FileStop) in _ = try files.seek(3, by: 0, from: .end) },
            errno { () throws(FileStop) in _ = try files.tell(3) },
            errno { () throws(FileStop) in try files.allocate(3, at: 0, bytes: 1, in: .at(0)) },
            errno { () throws(FileStop) in try files.setSize(3, to: 0, in: .at(0)) },
        ]
        let accepted: Set<WASIErrno> = [.isDirectory, .badDescriptor, .notCapable, .invalid]
        for (index, number) in numbers.enumerated() {
            #expect(number.map(accepted.contains) == true, "call \(index)")
        }
    }

    @Test func directorySeek() throws {
        var (files, base) = try start()
        let number = try files.open(.init(".", from: base), .directory, rights: .seek, in: .at(0))
        #expect(errno { () throws(FileStop) in _ = try files.seek(number, by: 0, from: .current) } == .badDescriptor)
        #expect(try files.descriptorStatus(number).rights.isDisjoint(with: .seek))
    }

    @Test func truncationRights() throws {
        var (files, base) = try start()
        #expect(opening("file", .create, in: &files, from: base) == nil)
        var own = try files.descriptorStatus(base)
        #expect(own.flags == [])
        #expect(own.rights.isDisjoint(with: .setSize))
        #expect(own.rights.isSuperset(of: .pathSetSize))
        #expect(opening("file", .truncate, in: &files, from: base) == nil)
        try files.setRights(base, own.rights, inheriting: own.inheriting.subtracting(.setSize))
        #expect(opening("file", .truncate, in: &files, from: base) == nil)
        try files.setRights(
            base, own.rights.subtracting(.pathSetSize), inheriting: own.inheriting.subtracting(.setSize))
        own = try files.descriptorStatus(base)
        #expect(own.rights.isDisjoint(with: .pathSetSize))
        #expect(opening("file", .truncate, in: &files, from: base) == .notCapable)
    }

    @Test func closePreopenAndOverwritePreopen() throws {
        var (files, base) = try start()
        var other = files
        try files.close(3)
        #expect(try files.descriptorStatus(base).type == .directory)
        #expect(errno { () throws(FileStop) in _ = try files.descriptorStatus(3) } == .badDescriptor)
        let before = try other.status(base)
        try other.renumber(base, to: 3)
        #expect(try other.status(3) == before)
        #expect(errno { () throws(FileStop) in _ = try other.descriptorStatus(base) } == .badDescriptor)
        other.checkInvariants()
    }

    @Test func fdReaddirLots() throws {
        var (files, base) = try start()
        for count in 0..<100 {
            let number = try files.open(.init("file.\(count)", from: base), .create, rights: .read, in: .at(0))
            try files.close(number)
        }
        var total = 0
        var cookie: UInt64 = 0
        while true {
            // Only entries that fit whole count, and only a buffer that is not full is the end.
            var left = 256
            let listed = try files.list(base, after: cookie, bufferBytes: left, in: .at(0))
            var whole = 0
            for entry in listed {
                left -= GuestFileSystem.listedBytes(entry.name.count)
                if left >= 0 { whole += 1 }
            }
            total += whole
            if left > 0 { break }
            cookie = listed[whole - 1].cookie
        }
        #expect(total == 102)
    }

    @Test func pathLink() throws {
        var (files, base) = try start()
        let file = try files.open(.init("file", from: base), .create, rights: [.read, .write], in: .at(0))
        func linking(_ old: String, _ new: String, follows: Bool = false) -> WASIErrno? {
            errno { () throws(FileStop) in
                try files.link(.init(old, from: base, follows: follows), to: .init(new, from: base), in: .at(0))
            }
        }
        #expect(linking("file", "link") == nil)
        #expect(try files.status(.init("link", from: base), in: .at(0)) == files.status(file))
        #expect(linking("file", "link") == .exists)
        #expect(linking("file", "file") == .exists)
        try files.createDirectory(.init("dir", from: base), in: .at(0))
        #expect(linking("file", "dir") == .exists)
        #expect(linking("dir", "new") == .notPermitted)
        #expect(linking("file", "new/") == .noEntry)
        try files.symlink(.text("target"), at: .init("symlink", from: base), in: .at(0))
        #expect(linking("symlink", "to-link") == nil)
        #expect(linking("file", "symlink") == .exists)
        #expect(linking("symlink", "followed", follows: true) == .noEntry)
    }

    @Test func trailingSlashes() throws {
        var (files, base) = try start()
        func place(_ path: String) -> GuestFileSystem.Place { .init(path, from: base) }
        #expect(errno { () throws(FileStop) in try files.symlink(.text("s"), at: place("t/"), in: .at(0)) } == .noEntry)
        #expect(errno { () throws(FileStop) in try files.createDirectory(place("t"), in: .at(0)) } == nil)
        #expect(errno { () throws(FileStop) in try files.symlink(.text("s"), at: place("t/"), in: .at(0)) } == .exists)
        #expect(errno { () throws(FileStop) in try files.symlink(.text("s"), at: place("t"), in: .at(0)) } == .exists)
        #expect(errno { () throws(FileStop) in try files.unlink(place("t"), in: .at(0)) } == .isDirectory)
        #expect(errno { () throws(FileStop) in try files.unlink(place("t/"), in: .at(0)) } == .isDirectory)
        #expect(errno { () throws(FileStop) in try files.rename(place("t/"), to: place("u"), in: .at(0)) } == nil)
        #expect(errno { () throws(FileStop) in try files.rename(place("u"), to: place("t/"), in: .at(0)) } == nil)
        #expect(errno { () throws(FileStop) in try files.rename(place("t/"), to: place("u/"), in: .at(0)) } == nil)
        #expect(errno { () throws(FileStop) in try files.removeDirectory(place("u/"), in: .at(0)) } == nil)
        #expect(opening("file", .create, in: &files, from: base) == nil)
        #expect(errno { () throws(FileStop) in try files.unlink(place("file/"), in: .at(0)) } == .notDirectory)
        #expect(errno { () throws(FileStop) in try files.removeDirectory(place("file"), in: .at(0)) } == .notDirectory)
        #expect(errno { () throws(FileStop) in try files.removeDirectory(place("file/"), in: .at(0)) } == .notDirectory)
    }

    @Test func standardStreamsCanBeRenumbered() throws {
        var (files, base) = try start()
        for stream in 0...2 as ClosedRange<UInt32> {
            let number = try files.open(.init("file", from: base), .create, rights: [], in: .at(0))
            try files.renumber(stream, to: number)
            #expect(try files.descriptorStatus(number).type == .unknown)
            #expect(errno { () throws(FileStop) in _ = try files.descriptorStatus(stream) } == .badDescriptor)
            try files.unlink(.init("file", from: base), in: .at(0))
            files.checkInvariants()
        }
    }

    @Test func pwriteWithAppend() throws {
        var (files, base) = try start()
        let number = try files.open(
            .init("f", from: base), [.create, .truncate], rights: .write, flags: .append, in: .at(0))
        #expect(try files.write(number, [1, 2], in: .at(0)).count == 2)
        #expect(try files.seek(number, by: 0, from: .start) == 0)
        #expect(try files.write(number, [3, 4], in: .at(0)).count == 2)
        #expect(try files.seek(number, by: 0, from: .current) == 4)
        #expect(try files.write(number, [5, 6, 7], at: 0, in: .at(0)).count == 3)
        #expect(try files.seek(number, by: 0, from: .current) == 4)
        #expect(try files.seek(number, by: 0, from: .end) == 7)
    }
}
