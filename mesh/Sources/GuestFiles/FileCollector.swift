package import Multiformats

/// What is collected of a run's files: a tree that the caller writes as UnixFS.
package indirect enum CollectedNode: Hashable, Sendable {
    /// The same as in a mount, with all that is below: its CID can stand for it.
    case mounted(CID)
    /// A file; `GuestFileSystem.contents` has its bytes.
    case file(CollectedFile)
    /// A folder, with its entries in the order of their bytes.
    case directory([CollectedEntry], modifiedNanoseconds: UInt64)
    /// A symbolic link to this target.
    case symbolicLink([UInt8], modifiedNanoseconds: UInt64)
}

/// An entry of a collected folder.
package struct CollectedEntry: Hashable, Sendable {
    /// Its name.
    package let name: FileName
    /// What it names.
    package let node: CollectedNode
}

/// A collected file.
package struct CollectedFile: Hashable, Sendable {
    /// The node's number: the same for two names of one file.
    package let inode: UInt64
    /// The size.
    package let bytes: UInt64
    /// When its content changed.
    package let modifiedNanoseconds: UInt64
}

/// Walks the tree from the root of a selection and picks what it fits.
struct FileCollector {
    private let selection: FileSelection
    private let limits: GuestFileSystem.Limits
    private let world: GuestWorld
    private let isToStop: () -> Bool
    private var entriesLeft: Int

    init(
        _ selection: FileSelection, limits: GuestFileSystem.Limits, world: GuestWorld,
        isToStop: @escaping () -> Bool
    ) {
        self.isToStop = isToStop
        self.selection = selection
        self.limits = limits
        self.world = world
        entriesLeft = limits.collectedEntriesMax
    }

    /// What the selection fits; nil if nothing.
    mutating func collect(from root: InodeNumber, _ nodes: inout NodeTable) throws(FileStop) -> CollectedNode? {
        var inode = root
        for name in selection.root {
            guard nodes[inode].isDirectory else { return nil }
            try nodes.list(inode, in: world)
            guard let entry = nodes.directory(inode)[name] else { return nil }
            try nodes.resolve(entry.inode, in: world)
            inode = entry.inode
        }
        if selection.isMatched(selection.start) { return try whole(inode, depth: selection.root.count, &nodes) }
        guard nodes[inode].isDirectory else { return nil }
        return try part(inode, selection.start, depth: selection.root.count, &nodes)
    }

    /// A folder with those entries that the selection fits; nil if it fits none.
    private mutating func part(
        _ inode: InodeNumber, _ current: Set<Int>, depth: Int, _ nodes: inout NodeTable
    ) throws(FileStop) -> CollectedNode? {
        guard depth < limits.depthMax else { throw .errno(.nameTooLong) }
        try nodes.list(inode, in: world)
        var entries: [CollectedEntry] = []
        for entry in nodes.directory(inode).entries {
            if isToStop() { throw .stopped }
            let next = selection.next(after: entry.name, current)
            guard !next.isEmpty else { continue }
            try nodes.resolve(entry.inode, in: world)
            var node: CollectedNode?
            if selection.isMatched(next) {
                node = try whole(entry.inode, depth: depth + 1, &nodes)
            } else if nodes[entry.inode].isDirectory {
                node = try part(entry.inode, next, depth: depth + 1, &nodes)
            }
            if let node { entries.append(CollectedEntry(name: entry.name, node: node)) }
        }
        return entries.isEmpty
            ? nil : .directory(entries, modifiedNanoseconds: nodes[inode].times.modified)
    }

    /// A node with all that is below it; nil for a device.
    private mutating func whole(
        _ inode: InodeNumber, depth: Int, _ nodes: inout NodeTable
    ) throws(FileStop) -> CollectedNode? {
        guard depth <= limits.depthMax else { throw .errno(.nameTooLong) }
        if isToStop() { throw .stopped }
        guard entriesLeft > 0 else { throw .tooManyCollected(entriesMax: limits.collectedEntriesMax) }
        entriesLeft -= 1
        let node = nodes[inode]
        switch node.kind {
        case .device: return nil
        case .unresolved(let cid): return .mounted(cid)
        case .symbolicLink(let target):
            if let cid = node.cid { return .mounted(cid) }
            return .symbolicLink(target, modifiedNanoseconds: node.times.modified)
        case .file:
            let content = nodes.file(inode)
            if let cid = content.unchanged { return .mounted(cid) }
            return .file(
                CollectedFile(inode: inode, bytes: content.bytes, modifiedNanoseconds: node.times.modified))
        case .directory:
            if let cid = node.cid, !nodes.isListed(inode) { return .mounted(cid) }
            return try wholeDirectory(inode, depth: depth, &nodes)
        }
    }

    private mutating func wholeDirectory(
        _ inode: InodeNumber, depth: Int, _ nodes: inout NodeTable
    ) throws(FileStop) -> CollectedNode {
        let directory = nodes.directory(inode)
        var entries: [CollectedEntry] = []
        var isUnchanged = directory.isUnchanged
        for entry in directory.entries {
            guard let node = try whole(entry.inode, depth: depth + 1, &nodes) else { continue }
            if case .mounted = node {} else { isUnchanged = false }
            entries.append(CollectedEntry(name: entry.name, node: node))
        }
        if isUnchanged, let cid = nodes[inode].cid { return .mounted(cid) }
        return .directory(entries, modifiedNanoseconds: nodes[inode].times.modified)
    }
}
