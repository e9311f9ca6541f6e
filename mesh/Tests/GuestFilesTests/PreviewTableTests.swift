import Multiformats
import Testing

@testable import GuestFiles

/// A memory of a guest.
struct TestMemory: GuestBytes {
    var bytes = [UInt8](repeating: 0, count: 65_536)

    private func range(_ pointer: UInt32, _ count: Int) -> Range<Int>? {
        Int(pointer) + count <= bytes.count ? Int(pointer)..<Int(pointer) + count : nil
    }

    func bytes(at pointer: UInt32, count: UInt32) -> [UInt8]? { range(pointer, Int(count)).map { Array(bytes[$0]) } }
    func holds(_ pointer: UInt32, count: UInt32) -> Bool { range(pointer, Int(count)) != nil }

    mutating func write(_ data: [UInt8], at pointer: UInt32) -> Bool {
        guard let range = range(pointer, data.count) else { return false }
        bytes.replaceSubrange(range, with: data)
        return true
    }

    func word(_ pointer: Int) -> UInt32 { (0..<4).reduce(0) { $0 | UInt32(bytes[pointer + $1]) << (8 * UInt32($1)) } }
    func long(_ pointer: Int) -> UInt64 { (0..<8).reduce(0) { $0 | UInt64(bytes[pointer + $1]) << (8 * UInt64($1)) } }
}

/// The functions as a guest calls them: layouts, pointers, and what they cost.
@Suite struct PreviewTableTests {
    private let table = PreviewTable<TestMemory>()

    /// A guest with a file system: calls by name, with a path at 1,000 and results from 100 on.
    struct Guest {
        let table: PreviewTable<TestMemory>
        var files: GuestFileSystem
        var memory = TestMemory()
        var source: any MountSource = NoContent()
        var output: StreamWrite?
        /// Fuel for what the last call looked at.
        var work: UInt64 = 0

        mutating func call(_ name: String, _ arguments: UInt64...) throws -> WASIErrno {
            guard case .answered(let number, let output, _, let work) = try outcome(name, arguments) else {
                Issue.record("\(name) was not answered")
                return .success
            }
            self.output = output
            self.work = work
            return number
        }

        mutating func outcome(_ name: String, _ arguments: [UInt64]) throws -> PreviewOutcome {
            let function = try #require(table.functions.first { $0.name == name })
            #expect(function.parameters.count == arguments.count, "\(name)")
            defer { files.checkInvariants() }
            return function.call(&files, arguments, memory: &memory, in: .at(5, source))
        }

        /// Writes a text at 1,000 and returns its length.
        mutating func text(_ text: String, at pointer: UInt32 = 1_000) -> UInt64 {
            put(.text(text), at: pointer)
            return UInt64(text.utf8.count)
        }

        /// A list of buffers at 2,000.
        mutating func buffers(_ list: [(UInt32, UInt32)]) {
            let bytes = list.flatMap { PreviewCall<TestMemory>.encoded($0.0) + PreviewCall<TestMemory>.encoded($0.1) }
            put(bytes, at: 2_000)
        }

        private mutating func put(_ bytes: [UInt8], at pointer: UInt32) {
            let fits = memory.write(bytes, at: pointer)
            #expect(fits)
        }
    }

    private func newGuest() throws -> Guest { Guest(table: table, files: try GuestFileSystem(.job, world: .at(0))) }

    /// What today's host declares of them (`WASIPreview1`), and wasi-libc imports.
    static let signatures = [
        "fd_advise": "iIIi", "fd_allocate": "iII", "fd_close": "i", "fd_datasync": "i", "fd_fdstat_get": "ii",
        "fd_fdstat_set_flags": "ii", "fd_fdstat_set_rights": "iII", "fd_filestat_get": "ii",
        "fd_filestat_set_size": "iI", "fd_filestat_set_times": "iIIi", "fd_pread": "iiiIi", "fd_prestat_get": "ii",
        "fd_prestat_dir_name": "iii", "fd_pwrite": "iiiIi", "fd_read": "iiii", "fd_readdir": "iiiIi",
        "fd_renumber": "ii", "fd_seek": "iIii", "fd_sync": "i", "fd_tell": "ii", "fd_write": "iiii",
        "path_create_directory": "iii", "path_filestat_get": "iiiii", "path_filestat_set_times": "iiiiIIi",
        "path_link": "iiiiiii", "path_open": "iiiiiIIii", "path_readlink": "iiiiii", "path_remove_directory": "iii",
        "path_rename": "iiiiii", "path_symlink": "iiiii", "path_unlink_file": "iii", "sock_accept": "iii",
        "sock_recv": "iiiiii", "sock_send": "iiiii", "sock_shutdown": "ii",
    ]

    @Test func theTableIsThatOfPreview1() {
        let own = Dictionary(uniqueKeysWithValues: table.functions.map { ($0.name, $0.parameters) })
        #expect(own == Self.signatures)
        #expect(WASIErrno.allCases.map(\.rawValue) == Array(0...76))
    }

    @Test func aFileIsWrittenAndReadThroughBuffers() throws {
        var guest = try newGuest()
        let length = guest.text("f")
        #expect(try guest.call("path_open", 3, 0, 1_000, length, 1, 1 << 1 | 1 << 6, 0, 0, 100) == .success)
        #expect(guest.memory.word(100) == 4)
        _ = guest.text("hello, world", at: 3_000)
        guest.buffers([(3_000, 5), (3_005, 0), (3_005, 7)])
        #expect(try guest.call("fd_write", 4, 2_000, 3, 104) == .success)
        #expect(guest.memory.word(104) == 12)
        #expect(try guest.call("fd_seek", 4, UInt64(bitPattern: -5), 1, 112) == .success)
        #expect(guest.memory.long(112) == 7)
        guest.buffers([(4_000, 3), (5_000, 100)])
        #expect(try guest.call("fd_read", 4, 2_000, 2, 104) == .success)
        #expect(guest.memory.word(104) == 5)
        #expect(guest.memory.bytes(at: 4_000, count: 3) == .text("wor"))
        #expect(guest.memory.bytes(at: 5_000, count: 3) == .text("ld\0"))
        #expect(try guest.call("fd_pread", 4, 2_000, 1, 1, 104) == .success)
        #expect(guest.memory.bytes(at: 4_000, count: 3) == .text("ell"))
        #expect(try guest.call("fd_pread", 4, 2_000, 1, 1 << 63, 104) == .invalid)
        #expect(try guest.call("fd_tell", 4, 112) == .success)
        #expect(guest.memory.long(112) == 12)
    }

    @Test func statusHasItsLayout() throws {
        var guest = try newGuest()
        let length = guest.text("f")
        _ = try guest.call("path_open", 3, 0, 1_000, length, 1, 1 << 6, 0, 1, 100)
        #expect(try guest.call("fd_filestat_set_size", 4, 77) == .success)
        #expect(try guest.call("path_link", 3, 0, 1_000, length, 3, 1_000, length) == .exists)
        #expect(try guest.call("path_filestat_set_times", 3, 0, 1_000, length, 1, 2, 5) == .success)
        #expect(try guest.call("path_filestat_get", 3, 0, 1_000, length, 200) == .success)
        let own = try guest.files.status(4)
        #expect(guest.memory.long(200) == own.device)
        #expect(guest.memory.long(208) == own.inode)
        #expect(guest.memory.bytes[216] == 4)
        #expect(guest.memory.long(224) == 1)
        #expect(guest.memory.long(232) == 77)
        #expect(guest.memory.long(240) == 1)
        #expect(guest.memory.long(248) == 2)
        #expect(guest.memory.long(256) == 5)
        #expect(try guest.call("fd_fdstat_get", 4, 300) == .success)
        #expect(guest.memory.bytes[300] == 4)
        #expect(guest.memory.bytes[302] == 1)
        #expect(guest.memory.long(308) == WASIRights.file.subtracting(.read).rawValue)
        #expect(guest.memory.long(316) == 0)
        #expect(try guest.call("fd_prestat_get", 3, 400) == .success)
        #expect(guest.memory.long(400) == 4 << 32)
        #expect(try guest.call("fd_prestat_dir_name", 3, 500, 3) == .nameTooLong)
        #expect(try guest.call("fd_prestat_dir_name", 3, 500, 5) == .success)
        #expect(guest.memory.bytes(at: 500, count: 5) == .text("/job\0"))
        #expect(try guest.call("fd_prestat_get", 4, 400) == .badDescriptor)
    }

    @Test func listingHasItsLayout() throws {
        var guest = try newGuest()
        let length = guest.text("name")
        #expect(try guest.call("path_create_directory", 3, 1_000, length) == .success)
        #expect(try guest.call("fd_readdir", 3, 5_000, 200, 0, 100) == .success)
        #expect(guest.memory.word(100) == 25 + 26 + 28)
        let entry = 5_000 + 51
        #expect(guest.memory.long(entry) == 3)
        #expect(guest.memory.long(entry + 8) == 11)
        #expect(guest.memory.word(entry + 16) == 4)
        #expect(guest.memory.bytes[entry + 20] == 3)
        #expect(guest.memory.bytes(at: UInt32(entry) + 24, count: 4) == .text("name"))
        // One that does not fit fills the buffer, which says that there is more.
        #expect(try guest.call("fd_readdir", 3, 6_000, 60, 0, 100) == .success)
        #expect(guest.memory.word(100) == 60)
        #expect(try guest.call("fd_readdir", 3, 6_000, 60, 3, 100) == .success)
        #expect(guest.memory.word(100) == 0)
    }

    @Test func aListingHasABoundedBuffer() throws {
        var guest = try newGuest()
        guest.files = try GuestFileSystem(
            .job,
            limits: {
                var limits = $0
                limits.listBytesMax = 59
                return limits
            }(GuestFileSystem.Limits()), world: .at(0))
        #expect(try guest.call("fd_readdir", 3, 6_000, 60, 0, 100) == .invalid)
        #expect(try guest.call("fd_readdir", 3, 6_000, 59, 0, 100) == .success)
    }

    @Test func linksAreReadIntoWhatRoomThereIs() throws {
        var guest = try newGuest()
        let target = guest.text("target")
        let link = guest.text("link", at: 1_100)
        #expect(try guest.call("path_symlink", 1_000, target, 3, 1_100, link) == .success)
        #expect(try guest.call("path_readlink", 3, 1_100, link, 3_000, 100, 100) == .success)
        #expect(guest.memory.word(100) == 6)
        #expect(try guest.call("path_readlink", 3, 1_100, link, 4_000, 4, 100) == .success)
        #expect(guest.memory.word(100) == 4)
        #expect(guest.memory.bytes(at: 4_000, count: 5) == .text("targ\0"))
        #expect(try guest.call("path_rename", 3, 1_100, link, 3, 1_000, target) == .success)
        #expect(try guest.call("path_unlink_file", 3, 1_000, target) == .success)
        #expect(try guest.call("path_remove_directory", 3, 1_000, target) == .noEntry)
    }

    @Test func streamsGoToTheCaller() throws {
        var guest = try newGuest()
        _ = guest.text("hi", at: 3_000)
        guest.buffers([(3_000, 2)])
        #expect(try guest.call("fd_write", 1, 2_000, 1, 104) == .success)
        #expect(guest.output == StreamWrite(stream: .standardOutput, bytes: .text("hi")))
        #expect(try guest.call("sock_shutdown", 1, 0) == .notSocket)
        #expect(try guest.call("sock_accept", 9, 0, 100) == .badDescriptor)
    }

    /// Every function with pointers, with each of them in turn outside the memory: nothing happens.
    @Test func aPointerOutsideTheMemoryChangesNothing() throws {
        let out: UInt64 = 65_530
        let calls: [(String, [UInt64])] = [
            ("path_open", [3, 0, out, 9, 1, 64, 0, 0, 100]), ("path_open", [3, 0, 1_000, 1, 1, 64, 0, 0, 65_534]),
            ("fd_write", [4, 2_000, 1, 65_534]), ("fd_write", [4, out, 1, 104]), ("fd_write", [4, 2_008, 1, 104]),
            ("fd_pwrite", [4, 2_000, 1, 0, 65_534]), ("fd_read", [4, 2_000, 1, 65_534]),
            ("fd_read", [4, 2_008, 1, 104]),
            ("fd_pread", [4, out, 1, 0, 104]), ("fd_seek", [4, 1, 0, out]), ("fd_readdir", [3, out, 9, 0, 100]),
            ("fd_readdir", [3, 5_000, 99, 0, 65_534]), ("fd_fdstat_get", [4, out]), ("fd_filestat_get", [4, out]),
            ("fd_prestat_get", [3, out]), ("fd_prestat_dir_name", [3, 65_534, 9]), ("fd_tell", [4, out]),
            ("path_filestat_get", [3, 0, 1_000, 1, out]), ("path_filestat_get", [3, 0, out, 9, 100]),
            ("path_readlink", [3, 1_000, 1, out, 9, 100]), ("path_create_directory", [3, out, 9]),
            ("path_rename", [3, 1_000, 1, 3, out, 9]), ("path_link", [3, 0, 1_000, 1, 3, out, 9]),
            ("path_symlink", [out, 9, 3, 1_000, 1]), ("path_unlink_file", [3, out, 9]),
            ("path_remove_directory", [3, out, 9]), ("path_filestat_set_times", [3, 0, out, 9, 0, 0, 0]),
        ]
        for (name, arguments) in calls {
            var guest = try newGuest()
            _ = guest.text("f")
            guest.buffers([(3_000, 5), (UInt32(out), 9)])
            let number = try guest.files.make("f", "0123456789")
            #expect(number == 4)
            _ = try guest.files.seek(number, by: 2, from: .start)
            let before = guest
            let outcome = try guest.outcome(name, arguments)
            #expect(outcome == .answered(.fault, output: nil, bytesRead: 0, work: 0), "\(name) \(arguments)")
            #expect(guest.memory.bytes == before.memory.bytes, "\(name)")
            #expect(try guest.files.tell(4) == 2)
            #expect(try guest.files.status(4) == before.files.status(4))
            #expect(guest.files.openDescriptorCount == before.files.openDescriptorCount)
            #expect(try guest.files.names(".") == ["f"])
        }
    }

    @Test func numbersOutOfTheirRangeAreRefused() throws {
        var guest = try newGuest()
        let length = guest.text("f")
        #expect(try guest.call("path_open", 3, 2, 1_000, length, 0, 0, 0, 0, 100) == .invalid)
        #expect(try guest.call("path_open", 3, 0, 1_000, length, 1 << 16, 0, 0, 0, 100) == .invalid)
        #expect(try guest.call("path_open", 3, 0, 1_000, length, 0, 0, 0, 1 << 5, 100) == .invalid)
        #expect(try guest.call("fd_seek", 1, 0, 3, 100) == .invalid)
        #expect(try guest.call("fd_seek", 1, 0, 256, 100) == .invalid)
        #expect(try guest.call("path_create_directory", 3, 1_000, 4_097) == .nameTooLong)
        var limits = GuestFileSystem.Limits()
        limits.vectorsMax = 2
        guest.files = try GuestFileSystem(.job, limits: limits, world: .at(0))
        guest.buffers([(3_000, 1), (3_000, 1), (3_000, 1)])
        #expect(try guest.call("fd_write", 1, 2_000, 2, 100) == .success)
        #expect(try guest.call("fd_write", 1, 2_000, 3, 100) == .invalid)
    }

    @Test func aCallIsAskedAgainWithTheSame() throws {
        let source = HeldContent(isAllHere: false)
        let file = source.file("content")
        let folder = source.folder([("f", file)])
        source.fetch([.node(folder), .listing(folder)])
        var guest = Guest(
            table: table,
            files: try GuestFileSystem(.of([.init("/job", .tree(folder))]), world: .at(0, source)), source: source)
        let length = guest.text("f")
        let open: [UInt64] = [3, 0, 1_000, length, 0, 1 << 1, 0, 0, 100]
        #expect(try guest.outcome("path_open", open) == .needs([.node(file)]))
        source.fetch([.node(file)])
        #expect(try guest.outcome("path_open", open) == .answered(.success, output: nil, bytesRead: 0, work: 8))
        guest.buffers([(4_000, 3)])
        #expect(try guest.outcome("fd_read", [4, 2_000, 1, 104]) == .needs([.bytes(file, 0..<3)]))
        #expect(guest.memory.bytes(at: 4_000, count: 3) == [0, 0, 0])
        source.fetch([.bytes(file, 0..<3)])
        let read = try guest.outcome("fd_read", [4, 2_000, 1, 104])
        #expect(read == .answered(.success, output: nil, bytesRead: 3, work: 0))
        #expect(guest.memory.bytes(at: 4_000, count: 3) == .text("con"))
    }

    @Test func whatIsAskedForIsPaidFor() throws {
        var guest = try newGuest()
        guest.buffers([(3_000, 100), (3_000, 50)])
        let limits = guest.files.limits
        func fuel(_ name: String, _ arguments: [UInt64]) throws -> UInt64 {
            try #require(table.functions.first { $0.name == name }).fuel(
                arguments, memory: guest.memory, limits: limits)
        }
        #expect(try fuel("fd_close", [3]) == 0)
        // What is read is paid for when it is known.
        #expect(try fuel("fd_read", [4, 2_000, 2, 100]) == 16)
        #expect(try fuel("fd_pwrite", [4, 2_000, 1, 0, 100]) == 8 + 100)
        #expect(try fuel("fd_readdir", [3, 5_000, 4_096, 0, 100]) == 4_096)
        #expect(try fuel("path_open", [3, 0, 1_000, 7, 0, 0, 0, 0, 100]) == 7)
        #expect(try fuel("path_rename", [3, 1_000, 7, 3, 1_000, 9]) == 16)
        #expect(try fuel("path_readlink", [3, 1_000, 7, 3_000, 100, 100]) == 107)
        #expect(try fuel("fd_allocate", [4, 0, 6_400]) == 100)
        // What is refused for its size costs no more than the most.
        #expect(try fuel("path_unlink_file", [3, 1_000, 1 << 31]) == 4_096)
        guest.buffers([(3_000, .max), (3_000, .max)])
        #expect(try fuel("fd_write", [4, 2_000, 2, 100]) == 16 + 1 << 20)
        #expect(try fuel("fd_write", [4, 65_530, 2, 100]) == 0)
        #expect(try fuel("fd_read", [4, 65_530, 2, 100]) == 16)
        #expect(try fuel("fd_read", [4, 2_000, 1 << 31, 100]) == 0)
    }
}
