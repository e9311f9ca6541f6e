import Multiformats

/// All nodes of a run, with their content, their mounts, and what they use of the quotas.
///
/// What is in a mount becomes a node when its folder is listed for the first time, in the order of the names; so a
/// number depends on what the guest did, and never on what was here when it did it.
struct NodeTable: Sendable {
    /// The mount of the root and of all between mounts.
    struct Mount: Sendable {
        let root: InodeNumber
        let isWritable: Bool
        /// Its own quota, if it has one.
        let quota: FileSystemPlan.Quota?
        var pages: UInt64 = 0
        var entries = 0
    }

    private let limits: GuestFileSystem.Limits
    private let quota: FileSystemPlan.Quota
    private var nodes: [InodeNumber: Node] = [:]
    private var files: [InodeNumber: FileContent] = [:]
    private var directories: [InodeNumber: Directory] = [:]
    private var nextInode: InodeNumber = 1
    private(set) var mounts: [Mount] = []
    private var mountedEntries = 0
    /// Bytes that listed entries of mounts count; they stay when an entry is removed.
    private(set) var heldBytes: UInt64 = 0
    private var pages: UInt64 = 0
    private var entries = 0
    private(set) var record: ReadRecord
    /// What CIDs of mounts name, as far as that was looked at: many names of one block cost one look.
    private var known: [CID: MountedNode] = [:]
    /// The blocks that the last reads of mounts looked at, one of each file, the latest last.
    private var lastWays: [(file: CID, way: [MountedPiece])] = []
    /// What the call under way has looked at, in fuel: work that its arguments do not tell.
    private(set) var work: UInt64 = 0

    init(limits: GuestFileSystem.Limits, quota: FileSystemPlan.Quota) {
        self.limits = limits
        self.quota = quota
        record = ReadRecord(rangesMax: limits.readRangesMax)
    }

    /// Bytes in whole pages, and entries, that the guest has written.
    var usage: (bytes: UInt64, entries: Int) { (pages * FileContent.pageBytes, entries) }

    subscript(inode: InodeNumber) -> Node {
        guard let node = nodes[inode] else { preconditionFailure("there is no node \(inode)") }
        return node
    }

    mutating func change(_ inode: InodeNumber, _ body: (inout Node) -> Void) {
        guard nodes[inode] != nil else { preconditionFailure("there is no node \(inode) to change") }
        body(&nodes[inode, default: Node(kind: .file, mount: 0, times: NodeTimes(all: 0), cid: nil)])
    }

    /// A call begins, or begins again: what counts is what it does when all is here.
    mutating func beginCall() { work = 0 }

    /// Counts something that was looked at.
    mutating func looked(_ what: CallWork) { work += what.fuel }

    /// The content of a file.
    func file(_ inode: InodeNumber) -> FileContent {
        guard let file = files[inode] else { preconditionFailure("node \(inode) is no file") }
        return file
    }

    /// The entries of a directory that was listed.
    func directory(_ inode: InodeNumber) -> Directory {
        guard let directory = directories[inode] else { preconditionFailure("directory \(inode) was not listed") }
        return directory
    }

    func isListed(_ inode: InodeNumber) -> Bool { directories[inode] != nil }

    // MARK: Mounts

    /// Begins a mount at a node that is its root.
    mutating func addMount(
        _ kind: Node.Kind, cid: CID?, isWritable: Bool, quota: FileSystemPlan.Quota?
    ) -> InodeNumber {
        let inode = make(kind, mount: mounts.count, times: NodeTimes(all: 0), cid: cid)
        mounts.append(Mount(root: inode, isWritable: isWritable, quota: quota))
        return inode
    }

    /// Whether a mount begins at this node.
    func isMountRoot(_ inode: InodeNumber) -> Bool { mounts[self[inode].mount].root == inode }

    /// Whether a mount begins at this directory or somewhere below it.
    mutating func holdsMount(_ inode: InodeNumber) -> Bool {
        var steps = 0
        defer { looked(.steps(steps)) }
        return mounts.contains { mount in
            var next = mount.root
            while true {
                steps += 1
                if next == inode { return true }
                let parent = self[next].parent
                if parent == next || parent == 0 { return false }
                next = parent
            }
        }
    }

    /// Whether a directory is another one or lies in it.
    func isInside(_ inode: InodeNumber, _ ancestor: InodeNumber) -> Bool {
        var next = inode
        while next != ancestor {
            let parent = self[next].parent
            if parent == next || parent == 0 { return false }
            next = parent
        }
        return true
    }

    /// How many directories are above this one, counted no further than one past the limit.
    func depth(of inode: InodeNumber) -> Int {
        var depth = 0
        var next = inode
        while depth <= limits.depthMax {
            let parent = self[next].parent
            if parent == next || parent == 0 { break }
            next = parent
            depth += 1
        }
        return depth
    }

    // MARK: Looking

    private mutating func mounted(_ cid: CID, in world: GuestWorld) throws(FileStop) -> MountedNode {
        if let node = known[cid] { return node }
        switch world.source.node(cid) {
        case .here(let node):
            known[cid] = node
            return node
        case .notHere: throw .needs([.node(cid)])
        case .broken: throw .broken(.notFiles(cid))
        }
    }

    /// Makes sure that a node's kind is known.
    mutating func resolve(_ inode: InodeNumber, in world: GuestWorld) throws(FileStop) {
        guard case .unresolved(let cid) = self[inode].kind else { return }
        let mounted = try mounted(cid, in: world)
        let kind: Node.Kind
        switch mounted.kind {
        case .file(let bytes):
            guard bytes <= limits.fileBytesMax else {
                throw .broken(.fileTooLarge(cid, bytesMax: limits.fileBytesMax))
            }
            files[inode] = FileContent(base: cid, bytes: bytes)
            kind = .file
        case .directory:
            kind = .directory
        case .symbolicLink(let target):
            guard !target.isEmpty, target.count < limits.pathBytesMax, !target.contains(0) else {
                throw .broken(.target(cid))
            }
            kind = .symbolicLink(target)
        }
        record.lookedAt(cid)
        change(inode) {
            $0.kind = kind
            $0.times = NodeTimes(all: mounted.modifiedNanoseconds)
        }
    }

    /// Makes sure that a directory's entries are known.
    mutating func list(_ inode: InodeNumber, in world: GuestWorld) throws(FileStop) {
        guard directories[inode] == nil, let cid = self[inode].cid else { return }
        let listing: [MountedEntry]
        switch world.source.listing(cid) {
        case .here(let entries): listing = entries
        case .notHere: throw .needs([.listing(cid)])
        case .broken: throw .broken(.notFiles(cid))
        }
        let checked = try Self.check(listing, of: cid, entriesMax: limits.directoryEntriesMax)
        guard checked.count <= limits.mountedEntriesMax - mountedEntries else {
            throw .broken(.tooManyMountedEntries(entriesMax: limits.mountedEntriesMax))
        }
        let bytes = checked.reduce(UInt64(0)) { $0 + limits.mountedEntryBytes + UInt64($1.name.bytes.count) }
        guard heldBytes + bytes <= world.heldBytesMax else { throw .outOfMemory }
        heldBytes += bytes
        mountedEntries += checked.count
        record.lookedAt(cid)
        let mount = self[inode].mount
        let names = checked.map { name, cid in
            let child = make(.unresolved(cid), mount: mount, times: NodeTimes(all: 0), cid: cid)
            nodes[child]?.links = 1
            nodes[child]?.parent = inode
            return (name: name, inode: child)
        }
        directories[inode] = Directory(mounted: names)
    }

    /// The entries of a folder in order; throws what makes them no folder.
    static func check(
        _ listing: [MountedEntry], of cid: CID, entriesMax: Int
    ) throws(FileStop) -> [(name: FileName, cid: CID)] {
        guard listing.count <= entriesMax else { throw .broken(.tooManyEntries(cid, entriesMax: entriesMax)) }
        var names: [(name: FileName, cid: CID)] = []
        names.reserveCapacity(listing.count)
        for entry in listing {
            do throws(FileName.Fault) {
                names.append((try FileName(entry.name), entry.cid))
            } catch {
                throw .broken(.name(cid, error))
            }
        }
        names.sort { $0.name < $1.name }
        for (left, right) in zip(names, names.dropFirst()) where left.name == right.name {
            throw .broken(.duplicateName(cid, left.name))
        }
        return names
    }

    /// Bytes of a file.
    mutating func read(
        _ inode: InodeNumber, at offset: UInt64, count: Int, in world: GuestWorld
    ) throws(FileStop) -> [UInt8] {
        let content = file(inode)
        let bytes = try content.read(at: offset, count: count, from: world.source)
        if let base = content.base, !bytes.isEmpty {
            let shown = content.shown(of: offset..<offset + UInt64(bytes.count))
            try lookAtBlocks(of: base, shown, in: world)
            record.took(base, shown, of: content.baseBytes)
        }
        return bytes
    }

    /// Counts the blocks in which a range begins and ends, but for those of the last read of the same file, if that was
    /// one of the last few files that were read; those between are no larger than the range.
    private mutating func lookAtBlocks(of base: CID, _ range: Range<UInt64>, in world: GuestWorld) throws(FileStop) {
        guard let last = range.last else { return }
        func way(to offset: UInt64) throws(FileStop) -> [MountedPiece] {
            switch world.source.way(base, to: offset) {
            case .here(let way): return way
            case .notHere: throw .needs([.bytes(base, range)])
            case .broken: throw .broken(.notFiles(base))
            }
        }
        let (begin, end) = (try way(to: range.lowerBound), try way(to: last))
        let index = lastWays.firstIndex { $0.file == base }
        let before = index.map { lastWays.remove(at: $0).way } ?? []
        let new = (begin + end.filter { !begin.contains($0) }).filter { !before.contains($0) }
        looked(.blocks(bytes: new.reduce(0) { $0 + $1.bytes }))
        // What the host holds last is where the range ends.
        if lastWays.count == limits.readFilesKept { lastWays.removeFirst() }
        lastWays.append((base, end))
    }

    // MARK: Making and removing

    private mutating func make(_ kind: Node.Kind, mount: Int, times: NodeTimes, cid: CID?) -> InodeNumber {
        let inode = nextInode
        nextInode += 1
        nodes[inode] = Node(kind: kind, mount: mount, times: times, cid: cid)
        if cid == nil {
            if kind == .directory { directories[inode] = Directory() }
            if kind == .file { files[inode] = FileContent() }
        }
        return inode
    }

    /// Makes a node with this name; the directory was listed and has no such name. Takes from the quotas only for what
    /// the guest makes.
    mutating func create(
        _ kind: Node.Kind, _ name: FileName, in directory: InodeNumber, now: UInt64, isCounted: Bool = true
    ) throws(FileStop) -> InodeNumber {
        let mount = self[directory].mount
        if isCounted {
            try checkRoom(entriesIn: directory)
            try take(pages: pagesOf(kind), entries: 1, mount: mount)
        }
        let inode = make(kind, mount: mount, times: NodeTimes(all: now), cid: nil)
        add(name, inode, to: directory, now: now, isCounted: isCounted)
        return inode
    }

    /// Gives a file another name.
    mutating func link(
        _ inode: InodeNumber, _ name: FileName, in directory: InodeNumber, now: UInt64
    ) throws(FileStop) {
        guard self[inode].links < limits.linksMax else { throw .errno(.tooManyLinks) }
        try checkRoom(entriesIn: directory)
        try take(pages: 0, entries: 1, mount: self[directory].mount)
        add(name, inode, to: directory, now: now, isCounted: true)
        change(inode) { $0.times.changed = now }
    }

    /// Puts a mount where a name is, or where none is yet.
    mutating func place(_ root: InodeNumber, _ name: FileName, in directory: InodeNumber) {
        if let entry = directories[directory]?[name] {
            directories[directory]?.replace(name, with: root)
            nodes[entry.inode]?.links = 0
            dropIfUnused(entry.inode)
        } else {
            directories[directory]?.insert(name, root, isCounted: false)
        }
        change(root) {
            $0.links = 1
            $0.parent = directory
        }
    }

    private mutating func add(
        _ name: FileName, _ inode: InodeNumber, to directory: InodeNumber, now: UInt64, isCounted: Bool
    ) {
        looked(.moved(self.directory(directory).entries.count))
        directories[directory]?.insert(name, inode, isCounted: isCounted)
        change(inode) {
            $0.links += 1
            $0.parent = directory
        }
        touch(directory, now: now)
    }

    /// Takes a name away; the node goes with its last name and descriptor.
    mutating func unlink(_ name: FileName, from directory: InodeNumber, now: UInt64) {
        guard let entry = directories[directory]?[name] else { preconditionFailure("no \(name) to unlink") }
        looked(.moved(self.directory(directory).entries.count))
        release(entries: directories[directory]?.remove(name) ?? 0, mount: self[directory].mount)
        change(entry.inode) {
            $0.links -= 1
            $0.times.changed = now
        }
        touch(directory, now: now)
        dropIfUnused(entry.inode)
    }

    /// Moves a name, over another one if that is there; the caller has checked that it may.
    mutating func move(
        _ oldName: FileName, from oldDirectory: InodeNumber, to newName: FileName, in newDirectory: InodeNumber,
        now: UInt64
    ) throws(FileStop) {
        guard let entry = directories[oldDirectory]?[oldName] else { preconditionFailure("no \(oldName) to move") }
        let mount = self[newDirectory].mount
        let freed = directories[oldDirectory]?.freed(byRemoving: oldName) ?? 0
        let replaced = directories[newDirectory]?[newName]
        if replaced == nil {
            if oldDirectory != newDirectory { try checkRoom(entriesIn: newDirectory) }
            if freed == 0 { try take(pages: 0, entries: 1, mount: mount) }
        }
        looked(.moved(self.directory(oldDirectory).entries.count))
        looked(.moved(self.directory(newDirectory).entries.count))
        let freedNow = directories[oldDirectory]?.remove(oldName) ?? 0
        if let replaced {
            release(entries: freedNow, mount: mount)
            directories[newDirectory]?.replace(newName, with: entry.inode)
            change(replaced.inode) {
                $0.links -= 1
                $0.times.changed = now
            }
            dropIfUnused(replaced.inode)
        } else {
            directories[newDirectory]?.insert(newName, entry.inode, isCounted: true)
        }
        change(entry.inode) {
            $0.times.changed = now
            if $0.isDirectory { $0.parent = newDirectory }
        }
        touch(oldDirectory, now: now)
        touch(newDirectory, now: now)
    }

    private mutating func touch(_ inode: InodeNumber, now: UInt64) {
        change(inode) {
            $0.times.modified = now
            $0.times.changed = now
        }
    }

    mutating func opened(_ inode: InodeNumber) { change(inode) { $0.opens += 1 } }

    mutating func closed(_ inode: InodeNumber) {
        change(inode) { $0.opens -= 1 }
        dropIfUnused(inode)
    }

    private mutating func dropIfUnused(_ inode: InodeNumber) {
        let node = self[inode]
        guard node.links == 0 else { return }
        if node.isDirectory { change(inode) { $0.parent = inode } }
        guard node.opens == 0, !isMountRoot(inode) else { return }
        release(pages: UInt64(files[inode]?.pageCount ?? 0) + (node.cid == nil ? pagesOf(node.kind) : 0), node.mount)
        nodes[inode] = nil
        files[inode] = nil
        directories[inode] = nil
    }

    // MARK: Content

    /// Writes as much as the quotas have room for, at least a byte.
    mutating func write(
        _ data: ArraySlice<UInt8>, to inode: InodeNumber, at offset: UInt64, in world: GuestWorld
    ) throws(FileStop) -> Int {
        let mount = self[inode].mount
        let count = file(inode).fitting(data.count, at: offset, newPagesMax: pagesLeft(mount))
        guard count > 0 else { throw .errno(isOwnQuotaUsedUp(mount) ? .quotaExceeded : .noSpace) }
        let before = file(inode).pageCount
        let copied = file(inode).copied(toWrite: offset..<offset + UInt64(count))
        if let base = file(inode).base {
            for range in copied { try lookAtBlocks(of: base, range, in: world) }
        }
        try changeFile(inode) { (file: inout FileContent) throws(FileStop) in
            try file.write(data.prefix(count), at: offset, from: world.source)
        }
        if let base = file(inode).base {
            for range in copied { record.took(base, range, of: file(inode).baseBytes) }
        }
        let added = UInt64(file(inode).pageCount - before)
        pages += added
        mounts[mount].pages += added
        touch(inode, now: world.nowNanoseconds)
        return count
    }

    mutating func truncate(_ inode: InodeNumber, to bytes: UInt64, now: UInt64) {
        looked(.pages(file(inode).pagesLookedAt(toTruncateTo: bytes)))
        var freed = 0
        changeFile(inode) { freed = $0.truncate(to: bytes) }
        release(pages: UInt64(freed), self[inode].mount)
        touch(inode, now: now)
    }

    mutating func allocate(_ inode: InodeNumber, _ range: Range<UInt64>, now: UInt64) throws(FileStop) {
        let mount = self[inode].mount
        let added = file(inode).pagesToAllocate(range, pagesMax: pagesLeft(mount))
        try take(pages: added, entries: 0, mount: mount)
        changeFile(inode) { $0.allocate(range) }
        touch(inode, now: now)
    }

    /// Changes a file where it lies, without a copy of its table of pages.
    private mutating func changeFile<Failure: Error>(
        _ inode: InodeNumber, _ body: (inout FileContent) throws(Failure) -> Void
    ) throws(Failure) {
        precondition(files[inode] != nil, "node \(inode) is no file to change")
        try body(&files[inode, default: FileContent()])
    }

    // MARK: Listing

    mutating func changeDirectory<Result>(_ inode: InodeNumber, _ body: (inout Directory) -> Result) -> Result {
        precondition(directories[inode] != nil, "directory \(inode) was not listed")
        return body(&directories[inode, default: Directory()])
    }

    /// Gives entries back to the quota that a listing kept.
    mutating func released(_ count: Int, of inode: InodeNumber) {
        release(entries: count, mount: self[inode].mount)
    }

    // MARK: Quotas

    private func pagesOf(_ kind: Node.Kind) -> UInt64 {
        if case .symbolicLink = kind { return 1 }
        return 0
    }

    private func checkRoom(entriesIn directory: InodeNumber) throws(FileStop) {
        guard self.directory(directory).entries.count < limits.directoryEntriesMax else { throw .errno(.noSpace) }
    }

    private func pagesLeft(_ mount: Int) -> UInt64 {
        let all = quota.bytesMax / FileContent.pageBytes
        let left = all > pages ? all - pages : 0
        guard let own = mounts[mount].quota.map({ $0.bytesMax / FileContent.pageBytes }) else { return left }
        return min(left, own > mounts[mount].pages ? own - mounts[mount].pages : 0)
    }

    /// Whether the mount's own quota is what ends writing, not that of the run.
    private func isOwnQuotaUsedUp(_ mount: Int) -> Bool {
        guard let own = mounts[mount].quota else { return false }
        return mounts[mount].pages >= own.bytesMax / FileContent.pageBytes
    }

    private mutating func take(pages more: UInt64, entries newEntries: Int, mount: Int) throws(FileStop) {
        if let own = mounts[mount].quota {
            guard mounts[mount].pages + more <= own.bytesMax / FileContent.pageBytes,
                mounts[mount].entries + newEntries <= own.entriesMax
            else { throw .errno(.quotaExceeded) }
        }
        guard pages + more <= quota.bytesMax / FileContent.pageBytes, entries + newEntries <= quota.entriesMax else {
            throw .errno(.noSpace)
        }
        pages += more
        entries += newEntries
        mounts[mount].pages += more
        mounts[mount].entries += newEntries
    }

    private mutating func release(pages count: UInt64, _ mount: Int) {
        pages -= count
        mounts[mount].pages -= count
    }

    private mutating func release(entries count: Int, mount: Int) {
        entries -= count
        mounts[mount].entries -= count
    }
}

extension NodeTable {
    /// Stops the process if nodes, names, descriptors or quotas contradict each other.
    func checkInvariants(opens: [InodeNumber: Int]) {
        record.checkInvariants()
        var links: [InodeNumber: UInt64] = [:]
        var entryCounts = Array(repeating: 0, count: mounts.count)
        var pageCounts = Array(repeating: UInt64(0), count: mounts.count)
        for (inode, directory) in directories {
            directory.checkInvariants()
            let mount = self[inode].mount
            entryCounts[mount] += directory.countedPastNames + directory.entries.count(where: \.isCounted)
            for entry in directory.entries {
                links[entry.inode, default: 0] += 1
                guard self[entry.inode].isDirectory else { continue }
                precondition(self[entry.inode].parent == inode, "directory \(entry.inode) is not in \(inode)")
            }
        }
        for (inode, node) in nodes {
            precondition(inode < nextInode, "node \(inode) was not made")
            precondition(node.opens == opens[inode] ?? 0, "node \(inode) has \(node.opens) descriptors")
            precondition(node.links == links[inode] ?? 0, "node \(inode) has \(node.links) links")
            let isKept = node.links > 0 || node.opens > 0 || isMountRoot(inode)
            precondition(isKept, "node \(inode) is of no use")
            precondition((files[inode] != nil) == (node.kind == .file), "node \(inode) and its content differ")
            precondition(directories[inode] == nil || node.isDirectory, "entries of no directory")
            files[inode]?.checkInvariants()
            pageCounts[node.mount] += UInt64(files[inode]?.pageCount ?? 0)
            pageCounts[node.mount] += node.cid == nil ? pagesOf(node.kind) : 0
            if node.isDirectory { precondition(node.links <= 1, "directory \(inode) has two names") }
        }
        for (index, mount) in mounts.enumerated() {
            precondition(mount.pages == pageCounts[index], "mount \(index) counts \(mount.pages) pages")
            precondition(mount.entries == entryCounts[index], "mount \(index) counts \(mount.entries) entries")
        }
        precondition(pages == mounts.reduce(0) { $0 + $1.pages }, "pages of all mounts")
        precondition(entries == mounts.reduce(0) { $0 + $1.entries }, "entries of all mounts")
        precondition(opens.keys.allSatisfy { nodes[$0] != nil }, "a descriptor of no node")
    }
}
