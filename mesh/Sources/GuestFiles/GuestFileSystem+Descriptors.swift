import Multiformats

/// Bytes that the guest wrote to a standard stream, for the caller to keep.
package struct StreamWrite: Hashable, Sendable {
    /// Which of the two.
    package enum Stream: Hashable, Sendable {
        /// `stdout`.
        case standardOutput
        /// `stderr`.
        case standardError
    }

    /// Where to.
    package let stream: Stream
    /// What.
    package let bytes: [UInt8]
}

extension GuestFileSystem {
    // MARK: Reading and writing

    /// `fd_read`, or `fd_pread` with a position: as many bytes as asked for, or left, or the limit of one call lets
    /// through; never fewer because something is not here yet.
    package mutating func read(
        _ number: UInt32, count: Int, at position: UInt64? = nil, in world: GuestWorld
    ) throws(FileStop) -> [UInt8] {
        let descriptor = try descriptor(number)
        let kind = nodes[descriptor.inode].kind
        if kind == .directory { throw .errno(.isDirectory) }
        guard descriptor.isForReading else { throw .errno(.badDescriptor) }
        guard descriptor.rights.contains(.read) else { throw .errno(.notCapable) }
        let count = min(count, limits.transferBytesMax)
        if case .device(let device) = kind {
            if position != nil, device.isStream { throw .errno(.illegalSeek) }
            return try read(device, count, world)
        }
        let start = position ?? descriptor.position
        let bytes = try nodes.read(descriptor.inode, at: start, count: count, in: world)
        if position == nil { descriptors.change(number) { $0.position = start + UInt64(bytes.count) } }
        return bytes
    }

    private mutating func read(_ device: Node.Device, _ count: Int, _ world: GuestWorld) throws(FileStop) -> [UInt8] {
        switch device {
        case .standardInput: try readInput(count, world)
        case .zero: Array(repeating: 0, count: count)
        case .random, .urandom: chance.bytes(count)
        case .null, .standardOutput, .standardError: []
        }
    }

    private mutating func readInput(_ count: Int, _ world: GuestWorld) throws(FileStop) -> [UInt8] {
        guard let inputFile else { return takeInput(count) }
        let bytes = try nodes.read(inputFile, at: inputPosition, count: count, in: world)
        inputPosition += UInt64(bytes.count)
        return bytes
    }

    /// The next bytes of input that is in memory, as what the user sends is; no descriptor is needed for it.
    package mutating func takeInput(_ count: Int) -> [UInt8] {
        let bytes = Array(inputBytes.dropFirst(Int(inputPosition)).prefix(count))
        inputPosition += UInt64(bytes.count)
        return bytes
    }

    /// Whether a descriptor reads what the user sends, and if so, whether it waits for that; nil if it reads something
    /// else, or may not read.
    package func waitsForInput(_ number: UInt32) -> Bool? {
        guard hasSession, let descriptor = descriptors[number], descriptor.isForReading,
            descriptor.rights.contains(.read), nodes[descriptor.inode].kind == .device(.standardInput)
        else { return nil }
        return !descriptor.flags.contains(.nonBlocking)
    }

    /// Adds what the user sent to what the guest has not read.
    package mutating func giveInput(_ bytes: [UInt8]) {
        inputBytes.removeFirst(Int(inputPosition))
        inputBytes += bytes
        inputPosition = 0
    }

    /// Bytes of standard input that are left.
    package var standardInputLeft: UInt64 {
        (inputFile.map { nodes.file($0).bytes } ?? UInt64(inputBytes.count)) - inputPosition
    }

    /// What `poll_oneoff` tells of a descriptor, which is always ready: the bytes that are left to read, 0 for writing.
    package func bytesAtHand(_ number: UInt32, isForReading: Bool) throws(FileStop) -> UInt64 {
        let descriptor = try descriptor(number, with: .poll)
        guard isForReading else { return 0 }
        switch nodes[descriptor.inode].kind {
        case .device(.standardInput): return standardInputLeft
        case .file:
            let bytes = nodes.file(descriptor.inode).bytes
            return bytes > descriptor.position ? bytes - descriptor.position : 0
        case .device(.random), .device(.urandom), .device(.zero): return UInt64(limits.transferBytesMax)
        default: return 0
        }
    }

    /// `fd_write`, or `fd_pwrite` with a position: returns how many bytes were taken, and what went to a stream. Of
    /// more than the limits and quotas have room for it takes the first.
    ///
    /// A descriptor that appends does so with `fd_pwrite`, too, as on Linux.
    package mutating func write(
        _ number: UInt32, _ bytes: [UInt8], at position: UInt64? = nil, in world: GuestWorld
    ) throws(FileStop) -> (count: Int, output: StreamWrite?) {
        let descriptor = try descriptor(number)
        let kind = nodes[descriptor.inode].kind
        if kind == .directory { throw .errno(.badDescriptor) }
        guard descriptor.isForWriting else { throw .errno(.badDescriptor) }
        guard descriptor.rights.contains(.write) else { throw .errno(.notCapable) }
        let data = bytes.prefix(limits.transferBytesMax)
        if case .device(let device) = kind {
            if position != nil, device.isStream { throw .errno(.illegalSeek) }
            switch device {
            case .null, .random, .urandom, .zero: return (data.count, nil)
            case .standardInput: throw .errno(.badDescriptor)
            case .standardOutput: return (data.count, StreamWrite(stream: .standardOutput, bytes: Array(data)))
            case .standardError: return (data.count, StreamWrite(stream: .standardError, bytes: Array(data)))
            }
        }
        guard !data.isEmpty else { return (0, nil) }
        let appends = descriptor.flags.contains(.append)
        let start = appends ? nodes.file(descriptor.inode).bytes : position ?? descriptor.position
        guard start < limits.fileBytesMax else { throw .errno(.fileTooLarge) }
        let fitting = data.prefix(Int(min(limits.fileBytesMax - start, UInt64(data.count))))
        let count = try nodes.write(fitting, to: descriptor.inode, at: start, in: world)
        if position == nil { descriptors.change(number) { $0.position = start + UInt64(count) } }
        return (count, nil)
    }

    /// `fd_seek`: the new position, which may be past the end.
    package mutating func seek(_ number: UInt32, by offset: Int64, from whence: Whence) throws(FileStop) -> UInt64 {
        let descriptor = try descriptor(number)
        let bytes = try seekableBytes(descriptor, with: .seek)
        let start: UInt64 =
            switch whence {
            case .start: 0
            case .current: descriptor.position
            case .end: bytes
            }
        guard nodes[descriptor.inode].kind == .file else { return 0 }
        let (sum, overflow) = Int64(clamping: start).addingReportingOverflow(offset)
        guard !overflow, sum >= 0 else { throw .errno(.invalid) }
        descriptors.change(number) { $0.position = UInt64(sum) }
        return UInt64(sum)
    }

    /// `fd_tell`.
    package func tell(_ number: UInt32) throws(FileStop) -> UInt64 {
        let descriptor = try descriptor(number)
        _ = try seekableBytes(descriptor, with: .tell)
        return descriptor.position
    }

    /// The size of what has positions. Directories have none here, other than on Linux: WASI's suite asks for that.
    private func seekableBytes(_ descriptor: Descriptor, with right: WASIRights) throws(FileStop) -> UInt64 {
        switch nodes[descriptor.inode].kind {
        case .file: break
        case .device(let device): if device.isStream { throw .errno(.illegalSeek) }
        default: throw .errno(.badDescriptor)
        }
        guard descriptor.rights.contains(right) else { throw .errno(.notCapable) }
        return nodes[descriptor.inode].kind == .file ? nodes.file(descriptor.inode).bytes : 0
    }

    // MARK: Size

    /// `fd_filestat_set_size`.
    package mutating func setSize(_ number: UInt32, to bytes: UInt64, in world: GuestWorld) throws(FileStop) {
        let descriptor = try descriptor(number)
        guard nodes[descriptor.inode].kind == .file, descriptor.isForWriting else { throw .errno(.invalid) }
        guard descriptor.rights.contains(.setSize) else { throw .errno(.notCapable) }
        guard bytes <= limits.fileBytesMax else { throw .errno(bytes > UInt64(Int64.max) ? .invalid : .fileTooLarge) }
        nodes.truncate(descriptor.inode, to: bytes, now: world.nowNanoseconds)
    }

    /// `fd_allocate`: makes holes into pages of zeros, and the file at least so long; all of it or nothing.
    package mutating func allocate(
        _ number: UInt32, at offset: UInt64, bytes: UInt64, in world: GuestWorld
    ) throws(FileStop) {
        let descriptor = try descriptor(number)
        let kind = nodes[descriptor.inode].kind
        guard kind != .directory, descriptor.isForWriting else { throw .errno(.badDescriptor) }
        if case .device(let device) = kind { throw .errno(device.isStream ? .illegalSeek : .noDevice) }
        guard kind == .file else { throw .errno(.illegalSeek) }
        guard descriptor.rights.contains(.allocate) else { throw .errno(.notCapable) }
        let (end, overflow) = offset.addingReportingOverflow(bytes)
        guard bytes > 0, bytes <= UInt64(Int64.max), offset <= UInt64(Int64.max) else { throw .errno(.invalid) }
        guard !overflow, end <= limits.fileBytesMax else { throw .errno(.fileTooLarge) }
        try nodes.allocate(descriptor.inode, offset..<end, now: world.nowNanoseconds)
    }

    /// `fd_advise`: checked, and nothing else.
    package func advise(_ number: UInt32, advice: UInt8) throws(FileStop) {
        let descriptor = try descriptor(number)
        switch nodes[descriptor.inode].kind {
        case .file: break
        case .directory: throw .errno(.badDescriptor)
        default: throw .errno(.illegalSeek)
        }
        guard descriptor.rights.contains(.advise) else { throw .errno(.notCapable) }
        guard advice <= 5 else { throw .errno(.invalid) }
    }

    /// `fd_sync` and `fd_datasync`: there is nothing to wait for.
    package func sync(_ number: UInt32, with right: WASIRights) throws(FileStop) {
        let descriptor = try descriptor(number)
        if case .device = nodes[descriptor.inode].kind { return }
        guard descriptor.rights.isSuperset(of: right) else { throw .errno(.notCapable) }
    }

    // MARK: Status

    /// `fd_filestat_get`.
    package func status(_ number: UInt32) throws(FileStop) -> FileStatus {
        status(of: try descriptor(number, with: .status).inode)
    }

    /// `fd_filestat_set_times`.
    package mutating func setTimes(
        _ number: UInt32, accessed: UInt64, modified: UInt64, _ flags: TimeFlags, in world: GuestWorld
    ) throws(FileStop) {
        let inode = try descriptor(number, with: .setTimes).inode
        try setTimes(of: inode, accessed: accessed, modified: modified, flags, now: world.nowNanoseconds)
    }

    /// `fd_fdstat_get`.
    package func descriptorStatus(_ number: UInt32) throws(FileStop) -> DescriptorStatus {
        let descriptor = try descriptor(number)
        return DescriptorStatus(
            type: status(of: descriptor.inode).type, flags: descriptor.flags, rights: descriptor.rights,
            inheriting: descriptor.inheriting)
    }

    /// What a descriptor tells of itself (`fdstat`).
    package struct DescriptorStatus: Hashable, Sendable {
        /// What it is open on.
        package let type: WASIFileType
        /// How it works.
        package let flags: DescriptorFlags
        /// What may be done with it.
        package let rights: WASIRights
        /// What it passes on.
        package let inheriting: WASIRights
    }

    /// `fd_fdstat_set_flags`: those that only say how durable a write is stay as they are.
    package mutating func setFlags(_ number: UInt32, _ flags: DescriptorFlags) throws(FileStop) {
        let descriptor = try descriptor(number, with: .setFlags)
        let fixed = descriptor.flags.subtracting(.changeable)
        guard flags.isSubset(of: .all), flags.subtracting(.changeable).isSubset(of: fixed) else {
            throw .errno(.invalid)
        }
        descriptors.change(number) { $0.flags = fixed.union(flags) }
    }

    /// `fd_fdstat_set_rights`: rights can only be given up.
    package mutating func setRights(_ number: UInt32, _ rights: WASIRights, inheriting: WASIRights) throws(FileStop) {
        let descriptor = try descriptor(number)
        guard rights.isSubset(of: descriptor.rights), inheriting.isSubset(of: descriptor.inheriting) else {
            throw .errno(.notCapable)
        }
        descriptors.change(number) {
            $0.rights = rights
            $0.inheriting = inheriting
        }
    }

    /// `fd_prestat_get` and `fd_prestat_dir_name`: what a preopened directory is known as.
    package func preopenName(_ number: UInt32) throws(FileStop) -> [UInt8] {
        guard let name = try descriptor(number).preopenName else { throw .errno(.badDescriptor) }
        return name
    }

    // MARK: Numbers

    /// `fd_close`.
    package mutating func close(_ number: UInt32) throws(FileStop) {
        let descriptor = try descriptor(number)
        descriptors.close(number)
        if descriptor.isListing {
            let freed = nodes.changeDirectory(descriptor.inode) { $0.endReading() }
            nodes.released(freed, of: descriptor.inode)
        }
        nodes.closed(descriptor.inode)
    }

    /// `fd_renumber`: closes the second, and gives its number to the first; both must be open.
    package mutating func renumber(_ from: UInt32, to: UInt32) throws(FileStop) {
        _ = try descriptor(from)
        _ = try descriptor(to)
        guard from != to else { return }
        try close(to)
        descriptors.renumber(from, to: to)
    }

    /// Whether it is a socket; none ever is.
    package func checkSocket(_ number: UInt32) throws(FileStop) {
        _ = try descriptor(number)
        throw .errno(.notSocket)
    }

    // MARK: Listing

    /// An entry of a directory as `fd_readdir` gives it.
    package struct ListedEntry: Hashable, Sendable {
        /// Where to go on after it.
        package let cookie: UInt64
        /// The node's number.
        package let inode: UInt64
        /// What it is.
        package let type: WASIFileType
        /// Its name.
        package let name: [UInt8]
    }

    /// `fd_readdir`: entries after a cookie in the order of their bytes, `.` and `..` first, until they fill the bytes
    /// of a buffer; the last may then not fit whole.
    package mutating func list(
        _ number: UInt32, after cookie: UInt64, bufferBytes: Int, in world: GuestWorld
    ) throws(FileStop) -> [ListedEntry] {
        let descriptor = try directory(number, with: .readDirectory)
        let inode = descriptor.inode
        try nodes.list(inode, in: world)
        let start = try firstIndex(after: cookie, in: inode)
        let entries = nodes.directory(inode).entries
        var left = bufferBytes
        var listed: [ListedEntry] = []
        // In the root of a preopened tree `..` is as far as the guest gets: itself.
        let dots: [(UInt64, InodeNumber, [UInt8])] = [
            (Directory.ownCookie, inode, [46]), (Directory.parentCookie, parent(of: inode), [46, 46]),
        ]
        for (own, node, name) in dots where own > cookie && left > 0 {
            listed.append(ListedEntry(cookie: own, inode: node, type: .directory, name: name))
            left -= Self.listedBytes(name.count)
        }
        var end = start
        while end < entries.count, left > 0 {
            left -= Self.listedBytes(entries[end].name.bytes.count)
            end += 1
        }
        try resolve(entries[start..<end], world)
        for entry in entries[start..<end] {
            let type = type(of: entry.inode)
            listed.append(
                ListedEntry(cookie: entry.cookie, inode: entry.inode, type: type, name: entry.name.bytes))
        }
        remember(number, descriptor, isFromStart: cookie == 0, start..<end)
        return listed
    }

    /// Bytes of a `dirent` and its name.
    package static func listedBytes(_ nameBytes: Int) -> Int { 24 + nameBytes }

    private mutating func firstIndex(after cookie: UInt64, in inode: InodeNumber) throws(FileStop) -> Int {
        if cookie <= Directory.parentCookie { return 0 }
        if !nodes.directory(inode).hasGiven(cookie) { nodes.looked(.entries(nodes.directory(inode).entries.count)) }
        guard let index = nodes.directory(inode).index(after: cookie) else { throw .errno(.invalid) }
        return index
    }

    /// What a listed entry is; a raw block of a mount can only be a file, so that a listing does not fetch it.
    private func type(of inode: InodeNumber) -> WASIFileType {
        if let type = nodes[inode].type { return type }
        guard isRaw(inode) else { preconditionFailure("node \(inode) was not looked at") }
        return .regularFile
    }

    private func isRaw(_ inode: InodeNumber) -> Bool {
        if case .unresolved(let cid) = nodes[inode].kind { cid.codec == .raw } else { false }
    }

    private func parent(of inode: InodeNumber) -> InodeNumber {
        let parent = nodes[inode].parent
        return descriptors.all.contains { $0.descriptor.inode == inode && $0.descriptor.preopenName != nil }
            ? inode : parent
    }

    /// Looks at all entries that are listed, as far as that is needed; says what is missing at once.
    private mutating func resolve(
        _ entries: ArraySlice<Directory.Entry>, _ world: GuestWorld
    ) throws(FileStop) {
        var missing: [ContentWant] = []
        for entry in entries where missing.count < limits.wantsMax && !isRaw(entry.inode) {
            do throws(FileStop) {
                try nodes.resolve(entry.inode, in: world)
            } catch {
                guard case .needs(let wants) = error else { throw error }
                missing += wants
            }
        }
        if !missing.isEmpty { throw .needs(missing) }
    }

    private mutating func remember(
        _ number: UInt32, _ descriptor: Descriptor, isFromStart: Bool, _ range: Range<Int>
    ) {
        let freed = nodes.changeDirectory(descriptor.inode) { directory in
            if !descriptor.isListing { directory.beginReading() }
            let freed = isFromStart ? directory.rewind() : 0
            directory.gave(range)
            return freed
        }
        nodes.released(freed, of: descriptor.inode)
        descriptors.change(number) { $0.isListing = true }
    }
}
