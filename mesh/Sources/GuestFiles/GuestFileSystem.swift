import Determinism
import Multiformats

/// The files of one run: a tree of mounts that exists nowhere but here, and the descriptors that the guest has open.
///
/// It is a core behind WASI preview 1: the same plan, the same content and the same calls give the same answers and
/// the same numbers on every machine. It never waits. What a call needs of a mount and the source has not, the call
/// asks for (`FileStop.needs`): it has changed nothing that the guest can see, so the caller fetches and asks the same
/// again. Sources: the witx files of `wasi_snapshot_preview1`; IEEE Std 1003.1-2017; where they leave a choice, what
/// Linux does, because programs are tried there.
///
/// The tree has a root that nobody can write to, unless a mount is there, with the mounts at their paths, the
/// directories between them, and `/dev` with `stdin`, `stdout`, `stderr`, `null`, `zero`,
/// `random` and `urandom`. A mount at a path inside another
/// one hides what that has there. A name with a mount at or below it cannot be moved or removed (EBUSY), and nothing
/// moves from one mount to another (EXDEV). What comes of a limit is said at the limit.
package struct GuestFileSystem: Sendable {
    /// Bounds on what a guest can make the host hold and do.
    package struct Limits: Hashable, Sendable {
        /// Bytes of a path and its NUL; a longer one is ENAMETOOLONG. The same for the target of a symbolic link.
        package var pathBytesMax = 4_096
        /// Directories above a node; a deeper one is ENAMETOOLONG, whether it is there or to be made.
        package var depthMax = 256
        /// Symbolic links followed for one path; one more is ELOOP.
        package var linkHopsMax = 40
        /// Names of one file; one more is EMLINK.
        package var linksMax: UInt64 = 65_000
        /// Entries of a directory; one more is ENOSPC, and a folder with more is not mounted.
        package var directoryEntriesMax = 1 << 17
        /// Entries of all folders of mounts that a run has listed; a folder with more ends the run.
        package var mountedEntriesMax = 1 << 20
        /// Bytes of memory that an entry of a mount's folder counts from when that is listed, besides its name.
        package var mountedEntryBytes: UInt64 = 512
        /// Files of mounts for which the blocks that were read last cost nothing again.
        package var readFilesKept = 4
        /// Ranges of bytes that are noted as read, of all files together; of more, the grain is doubled.
        package var readRangesMax = 16_384
        /// Open descriptors, those for the standard streams and preopens among them; one more is EMFILE.
        package var descriptorsMax = 1_024
        /// Bytes of one file; a longer one is EFBIG, and one in a mount ends the run.
        package var fileBytesMax: UInt64 = 1 << 44
        /// Bytes of one read or write; the rest is for the next call.
        package var transferBytesMax = 1 << 20
        /// Bytes of the buffer of one `fd_readdir`; a longer one is EINVAL, since a short answer would mean the end.
        /// All that is listed is looked at within one call, which nothing interrupts.
        package var listBytesMax = 256 << 10
        /// Mounts of a plan, and preopens.
        package var mountsMax = 64
        /// Nodes asked for at once; what is then still missing is asked for the next time.
        package var wantsMax = 256
        /// Entries that are collected for one output.
        package var collectedEntriesMax = 1 << 17
        /// Buffers of one call that reads or writes; more are EINVAL.
        package var vectorsMax = 1_024

        package init() {}
    }

    /// The bounds that hold.
    package let limits: Limits
    var nodes: NodeTable
    var descriptors: DescriptorTable
    let root: InodeNumber
    /// What standard input is read from: a file of a mount or bytes, and how far it was.
    let inputFile: InodeNumber?
    var inputBytes: [UInt8]
    var inputPosition: UInt64 = 0
    /// Whether standard input comes while the guest runs.
    package let hasSession: Bool
    /// What `/dev/random` and `/dev/urandom` give.
    var chance: Chance

    /// Builds the tree of a plan. Throws `FileSystemPlanFault.content(.needs(…))` until the folders that mounts begin
    /// with, and those on the way to mounts inside mounts, are at hand; ask again then.
    ///
    /// - Parameter seed: what the bytes of `/dev/random` and `/dev/urandom` follow from.
    package init(
        _ plan: FileSystemPlan, seed: UInt64 = 0, limits: Limits = Limits(), world: GuestWorld
    ) throws(FileSystemPlanFault) {
        self.limits = limits
        chance = Chance(seed: seed)
        var tree = MountTree(plan, limits: limits)
        do throws(FileStop) {
            try tree.mountAll(world)
        } catch {
            throw tree.fault ?? .content(error)
        }
        nodes = tree.nodes
        root = tree.root
        inputFile = tree.inputFile
        if case .bytes(let bytes) = plan.standardInput { inputBytes = bytes } else { inputBytes = [] }
        hasSession = plan.standardInput == .session
        descriptors = DescriptorTable(openMax: limits.descriptorsMax)
        for device in [Node.Device.standardInput, .standardOutput, .standardError] {
            openStream(device, tree.devices[device])
        }
        for (preopen, inode) in zip(plan.preopens, tree.preopens) {
            nodes.opened(inode)
            var descriptor = Descriptor(inode: inode, rights: .directory, inheriting: .inheriting)
            descriptor.preopenName = preopen.name
            _ = descriptors.open(descriptor)
        }
    }

    private mutating func openStream(_ device: Node.Device, _ inode: InodeNumber?) {
        guard let inode else { preconditionFailure("there is no \(device)") }
        nodes.opened(inode)
        let isInput = device == .standardInput
        _ = descriptors.open(
            Descriptor(
                inode: inode, rights: WASIRights.stream.subtracting(isInput ? .write : .read),
                isForReading: isInput, isForWriting: !isInput))
    }

    /// What of the mounts was read, for the receipt.
    package var record: ReadRecord { nodes.record }

    /// Bytes that the entries of listed folders of mounts count, which are the run's memory.
    package var heldBytes: UInt64 { nodes.heldBytes }

    /// What the guest has written: bytes in whole pages, and entries.
    package var usage: (bytes: UInt64, entries: Int) { nodes.usage }

    /// Whether a descriptor is open.
    package func isOpen(_ number: UInt32) -> Bool { descriptors[number] != nil }

    /// The stream that is written to through a descriptor; nil if it is none, or not to be written to.
    package func stream(of number: UInt32) -> StreamWrite.Stream? {
        guard let descriptor = descriptors[number], descriptor.isForWriting, descriptor.rights.contains(.write) else {
            return nil
        }
        return switch nodes[descriptor.inode].kind {
        case .device(.standardOutput): .standardOutput
        case .device(.standardError): .standardError
        default: nil
        }
    }

    /// How many descriptors are open.
    package var openDescriptorCount: Int { descriptors.count }

    /// Stops the process if the file system contradicts itself; tests call it after every step.
    package func checkInvariants() {
        descriptors.checkInvariants()
        var opens: [InodeNumber: Int] = [:]
        for (_, descriptor) in descriptors.all { opens[descriptor.inode, default: 0] += 1 }
        nodes.checkInvariants(opens: opens)
    }

    // MARK: Collecting

    /// What a selection fits when the run has ended; nil if nothing. Needs what it looks at, like any call; a tree
    /// deeper than the limit ends it with ENAMETOOLONG.
    ///
    /// - Parameter isToStop: asked at every entry; if so, it ends with `FileStop.stopped`.
    package mutating func collect(
        _ selection: FileSelection, in world: GuestWorld, isToStop: @escaping () -> Bool = { false }
    ) throws(FileStop) -> CollectedNode? {
        var collector = FileCollector(selection, limits: limits, world: world, isToStop: isToStop)
        return try collector.collect(from: root, &nodes)
    }

    /// Bytes of a collected file: as many as asked for, or left. What is read here the guest has not read.
    package func contents(
        of file: CollectedFile, at offset: UInt64, count: Int, in world: GuestWorld
    ) throws(FileStop) -> [UInt8] {
        try nodes.file(file.inode).read(at: offset, count: count, from: world.source)
    }

    // MARK: Descriptors

    func descriptor(_ number: UInt32) throws(FileStop) -> Descriptor {
        guard let descriptor = descriptors[number] else { throw .errno(.badDescriptor) }
        return descriptor
    }

    /// A descriptor that has a right; ENOTCAPABLE if that was given up.
    func descriptor(_ number: UInt32, with right: WASIRights) throws(FileStop) -> Descriptor {
        let descriptor = try descriptor(number)
        guard descriptor.rights.isSuperset(of: right) else { throw .errno(.notCapable) }
        return descriptor
    }

    /// A descriptor of a directory, for a path.
    func directory(_ number: UInt32, with right: WASIRights) throws(FileStop) -> Descriptor {
        let descriptor = try descriptor(number)
        guard nodes[descriptor.inode].isDirectory else { throw .errno(.notDirectory) }
        guard descriptor.rights.isSuperset(of: right) else { throw .errno(.notCapable) }
        return descriptor
    }

    func checkWritable(_ inode: InodeNumber) throws(FileStop) {
        guard nodes.mounts[nodes[inode].mount].isWritable else { throw .errno(.readOnly) }
    }

    mutating func walk(
        _ path: [UInt8], from root: InodeNumber, lastLink: PathWalk.LastLink, refusesSlash: Bool = false,
        _ world: GuestWorld
    ) throws(FileStop) -> PathWalk.Target {
        let path = try FilePath(relative: path, bytesMax: limits.pathBytesMax)
        var walk = PathWalk(path, from: root, lastLink: lastLink, in: nodes, world: world, limits: limits)
        walk.refusesSlash = refusesSlash
        return try walk.walk(&nodes)
    }

    func status(of inode: InodeNumber) -> FileStatus {
        let node = nodes[inode]
        guard let type = node.type else { preconditionFailure("node \(inode) was not looked at") }
        let bytes: UInt64 =
            switch node.kind {
            case .file: nodes.file(inode).bytes
            case .symbolicLink(let target): UInt64(target.count)
            default: 0
            }
        return FileStatus(
            device: UInt64(node.mount) + 1, inode: inode, type: type, links: node.isDirectory ? 1 : node.links,
            bytes: bytes, times: node.times)
    }

    mutating func setTimes(
        of inode: InodeNumber, accessed: UInt64, modified: UInt64, _ flags: TimeFlags, now: UInt64
    ) throws(FileStop) {
        guard flags.areValid else { throw .errno(.invalid) }
        try checkWritable(inode)
        guard !flags.isEmpty else { return }
        nodes.change(inode) { node in
            if flags.contains(.accessed) { node.times.accessed = accessed }
            if flags.contains(.accessedNow) { node.times.accessed = now }
            if flags.contains(.modified) { node.times.modified = modified }
            if flags.contains(.modifiedNow) { node.times.modified = now }
            node.times.changed = now
        }
    }
}
