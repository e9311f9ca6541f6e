/// All functions of WASI preview 1 that are about files, descriptors and sockets, as pure functions from arguments,
/// memory and file system to an error number and results.
///
/// Pointers for results are looked at before anything is done, so EFAULT changes nothing. Arguments, environment,
/// clocks, chance and the process are the host's own. Source: the witx files of `wasi_snapshot_preview1`, whose layouts
/// of `fdstat`, `filestat`, `prestat` and `dirent` these are.
package struct PreviewTable<Memory: GuestBytes>: Sendable {
    typealias Body = @Sendable (inout GuestFileSystem, inout PreviewCall<Memory>) throws(FileStop) -> Void

    /// The functions, each name once.
    package private(set) var functions: [PreviewFunction<Memory>] = []

    package init() {
        defineDescriptors()
        defineTransfers()
        definePositions()
        definePreopens()
        definePaths()
        defineNames()
        defineSockets()
    }

    private mutating func add(
        _ name: String, _ parameters: String, _ price: PreviewPrice = .call, _ body: @escaping Body
    ) {
        functions.append(PreviewFunction(name: name, parameters: parameters, price: price, body: body))
    }

    // MARK: Descriptors

    private mutating func defineDescriptors() {
        add("fd_close", "i") { (files, call) throws(FileStop) in try files.close(call.word(0)) }
        add("fd_renumber", "ii") { (files, call) throws(FileStop) in
            try files.renumber(call.word(0), to: call.word(1))
        }
        add("fd_sync", "i") { (files, call) throws(FileStop) in try files.sync(call.word(0), with: .sync) }
        add("fd_datasync", "i") { (files, call) throws(FileStop) in try files.sync(call.word(0), with: .dataSync) }
        add("fd_advise", "iIIi") { (files, call) throws(FileStop) in
            try files.advise(call.word(0), advice: try call.small(3, UInt8.self))
        }
        add("fd_fdstat_get", "ii") { (files, call) throws(FileStop) in
            let status = try files.descriptorStatus(call.word(0))
            try call.answer(Self.encoded(status), at: 1)
        }
        add("fd_fdstat_set_flags", "ii") { (files, call) throws(FileStop) in
            try files.setFlags(call.word(0), DescriptorFlags(rawValue: try call.small(1, UInt16.self)))
        }
        add("fd_fdstat_set_rights", "iII") { (files, call) throws(FileStop) in
            try files.setRights(
                call.word(0), WASIRights(rawValue: call.long(1)), inheriting: WASIRights(rawValue: call.long(2)))
        }
        add("fd_filestat_get", "ii") { (files, call) throws(FileStop) in
            try call.answer(Self.encoded(try files.status(call.word(0))), at: 1)
        }
        add("fd_filestat_set_size", "iI") { (files, call) throws(FileStop) in
            try files.setSize(call.word(0), to: call.long(1), in: call.world)
        }
        add("fd_filestat_set_times", "iIIi") { (files, call) throws(FileStop) in
            try files.setTimes(
                call.word(0), accessed: call.long(1), modified: call.long(2),
                TimeFlags(rawValue: try call.small(3, UInt16.self)), in: call.world)
        }
        add("fd_allocate", "iII", .pages(2)) { (files, call) throws(FileStop) in
            try files.allocate(call.word(0), at: call.long(1), bytes: call.long(2), in: call.world)
        }
    }

    private static func encoded(_ status: GuestFileSystem.DescriptorStatus) -> [UInt8] {
        typealias Call = PreviewCall<Memory>
        return [status.type.rawValue, 0] + Call.encoded(status.flags.rawValue) + [0, 0, 0, 0]
            + Call.encoded(status.rights.rawValue) + Call.encoded(status.inheriting.rawValue)
    }

    private static func encoded(_ status: FileStatus) -> [UInt8] {
        typealias Call = PreviewCall<Memory>
        let head = Call.encoded(status.device) + Call.encoded(status.inode)
        let type = [status.type.rawValue] + [UInt8](repeating: 0, count: 7)
        let times = [status.times.accessed, status.times.modified, status.times.changed]
        return head + type + Call.encoded(status.links) + Call.encoded(status.bytes)
            + times.flatMap { Call.encoded($0) }
    }

    // MARK: Reading and writing

    private mutating func defineTransfers() {
        add("fd_read", "iiii", .emptyBuffers(1)) { (files, call) throws(FileStop) in
            try Self.read(&files, &call, at: nil, result: 3)
        }
        add("fd_pread", "iiiIi", .emptyBuffers(1)) { (files, call) throws(FileStop) in
            try Self.read(&files, &call, at: call.long(3), result: 4)
        }
        add("fd_write", "iiii", .buffers(1)) { (files, call) throws(FileStop) in
            try Self.write(&files, &call, at: nil, result: 3)
        }
        add("fd_pwrite", "iiiIi", .buffers(1)) { (files, call) throws(FileStop) in
            try Self.write(&files, &call, at: call.long(3), result: 4)
        }
        add("fd_readdir", "iiiIi", .buffer(2, texts: [])) { (files, call) throws(FileStop) in
            try call.require(1, bytes: Int(call.word(2)))
            try call.require(4, bytes: 4)
            let room = Int(call.word(2))
            guard room <= files.limits.listBytesMax else { throw .errno(.invalid) }
            let listed = try files.list(call.word(0), after: call.long(3), bufferBytes: room, in: call.world)
            var bytes: [UInt8] = []
            for entry in listed { bytes += Self.encoded(entry) }
            try call.answer(Array(bytes.prefix(room)), at: 1)
            try call.answer(UInt32(min(bytes.count, room)), at: 4)
        }
    }

    private static func read(
        _ files: inout GuestFileSystem, _ call: inout PreviewCall<Memory>, at position: UInt64?, result: Int
    ) throws(FileStop) {
        try call.require(result, bytes: 4)
        if let position, position > UInt64(Int64.max) { throw .errno(.invalid) }
        let buffers = try call.buffers(1)
        let count = buffers.reduce(0) { $0 + Int($1.count) }
        let bytes = try files.read(call.word(0), count: count, at: position, in: call.world)
        try call.scatter(bytes, buffers)
        try call.answer(UInt32(bytes.count), at: result)
        call.bytesRead = bytes.count
    }

    private static func write(
        _ files: inout GuestFileSystem, _ call: inout PreviewCall<Memory>, at position: UInt64?, result: Int
    ) throws(FileStop) {
        try call.require(result, bytes: 4)
        if let position, position > UInt64(Int64.max) { throw .errno(.invalid) }
        let bytes = try call.gather(try call.buffers(1))
        let written = try files.write(call.word(0), bytes, at: position, in: call.world)
        call.output = written.output
        try call.answer(UInt32(written.count), at: result)
    }

    private static func encoded(_ entry: GuestFileSystem.ListedEntry) -> [UInt8] {
        typealias Call = PreviewCall<Memory>
        return Call.encoded(entry.cookie) + Call.encoded(entry.inode) + Call.encoded(UInt32(entry.name.count))
            + [entry.type.rawValue, 0, 0, 0] + entry.name
    }

    private mutating func definePositions() {
        add("fd_seek", "iIii") { (files, call) throws(FileStop) in
            try call.require(3, bytes: 8)
            guard let whence = Whence(rawValue: try call.small(2, UInt8.self)) else { throw .errno(.invalid) }
            let offset = Int64(bitPattern: call.long(1))
            try call.answer(try files.seek(call.word(0), by: offset, from: whence), at: 3)
        }
        add("fd_tell", "ii") { (files, call) throws(FileStop) in
            try call.answer(try files.tell(call.word(0)), at: 1)
        }
    }

    // MARK: Preopens and sockets

    private mutating func definePreopens() {
        add("fd_prestat_get", "ii") { (files, call) throws(FileStop) in
            let name = try files.preopenName(call.word(0))
            // The tag of a directory, and the length of its name.
            try call.answer([0, 0, 0, 0] + PreviewCall<Memory>.encoded(UInt32(name.count)), at: 1)
        }
        add("fd_prestat_dir_name", "iii", .texts([2])) { (files, call) throws(FileStop) in
            let name = try files.preopenName(call.word(0))
            guard name.count <= call.word(2) else { throw .errno(.nameTooLong) }
            try call.answer(name, at: 1)
        }
    }

    private mutating func defineSockets() {
        for (name, parameters) in [
            ("sock_accept", "iii"), ("sock_recv", "iiiiii"), ("sock_send", "iiiii"), ("sock_shutdown", "ii"),
        ] {
            add(name, parameters) { (files, call) throws(FileStop) in try files.checkSocket(call.word(0)) }
        }
    }

    // MARK: Paths

    private mutating func definePaths() {
        add("path_open", "iiiiiIIii", .texts([3])) { (files, call) throws(FileStop) in
            try call.require(8, bytes: 4)
            let opened = try files.open(
                try call.place(0, path: 2, lookup: 1), OpenFlags(rawValue: try call.small(4, UInt16.self)),
                rights: WASIRights(rawValue: call.long(5)), inheriting: WASIRights(rawValue: call.long(6)),
                flags: DescriptorFlags(rawValue: try call.small(7, UInt16.self)), in: call.world)
            try call.answer(opened, at: 8)
        }
        add("path_filestat_get", "iiiii", .texts([3])) { (files, call) throws(FileStop) in
            try call.require(4, bytes: 64)
            let place = try call.place(0, path: 2, lookup: 1)
            try call.answer(Self.encoded(try files.status(place, in: call.world)), at: 4)
        }
        add("path_filestat_set_times", "iiiiIIi", .texts([3])) { (files, call) throws(FileStop) in
            try files.setTimes(
                try call.place(0, path: 2, lookup: 1), accessed: call.long(4), modified: call.long(5),
                TimeFlags(rawValue: try call.small(6, UInt16.self)), in: call.world)
        }
        add("path_readlink", "iiiiii", .buffer(4, texts: [2])) { (files, call) throws(FileStop) in
            try call.require(3, bytes: Int(call.word(4)))
            try call.require(5, bytes: 4)
            let target = try files.readLink(try call.place(0, path: 1), in: call.world).prefix(Int(call.word(4)))
            try call.answer(Array(target), at: 3)
            try call.answer(UInt32(target.count), at: 5)
        }
    }

    private mutating func defineNames() {
        add("path_create_directory", "iii", .texts([2])) { (files, call) throws(FileStop) in
            try files.createDirectory(try call.place(0, path: 1), in: call.world)
        }
        add("path_remove_directory", "iii", .texts([2])) { (files, call) throws(FileStop) in
            try files.removeDirectory(try call.place(0, path: 1), in: call.world)
        }
        add("path_unlink_file", "iii", .texts([2])) { (files, call) throws(FileStop) in
            try files.unlink(try call.place(0, path: 1), in: call.world)
        }
        add("path_symlink", "iiiii", .texts([1, 4])) { (files, call) throws(FileStop) in
            try files.symlink(try call.text(0), at: try call.place(2, path: 3), in: call.world)
        }
        add("path_link", "iiiiiii", .texts([3, 6])) { (files, call) throws(FileStop) in
            let old = try call.place(0, path: 2, lookup: 1)
            try files.link(old, to: try call.place(4, path: 5), in: call.world)
        }
        add("path_rename", "iiiiii", .texts([2, 5])) { (files, call) throws(FileStop) in
            try files.rename(try call.place(0, path: 1), to: try call.place(3, path: 4), in: call.world)
        }
    }
}
