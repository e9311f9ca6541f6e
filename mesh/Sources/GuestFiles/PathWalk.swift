/// A walk along a path: from the directory of a descriptor to the node that the path names, never out of the tree
/// below that directory.
///
/// The rules are those of POSIX pathname resolution, with what WASI adds: the root of the walk is the descriptor's
/// directory, `..` there and links to paths from the root are refused. Source: IEEE Std 1003.1-2017, 4.13.
struct PathWalk {
    /// What a path names.
    struct Target {
        /// The directory that the last name is in; for `.` and `..` the directory itself.
        let directory: InodeNumber
        /// The last name; nil for `.` and `..`.
        let name: FileName?
        /// Whether the last component is `..`.
        let isDotDot: Bool
        /// The node; nil if there is none of that name.
        let inode: InodeNumber?
        /// Whether a slash at the end says that it is a directory.
        let mustBeDirectory: Bool
    }

    /// What becomes of a symbolic link at the end.
    enum LastLink {
        /// It is followed.
        case follow
        /// It is followed only before a slash at the end: for calls that look at a node.
        case followBeforeSlash
        /// It is never followed: for calls that make or take away a name.
        case keep
    }

    private let limits: GuestFileSystem.Limits
    private let world: GuestWorld
    private let lastLink: LastLink
    /// The directories from the root of the walk to where it is.
    private var way: [InodeNumber]
    /// What is still to be walked, last first.
    private var pending: [FilePath.Component]
    private var endsWithSlash: Bool
    private var hops = 0
    private let rootDepth: Int
    /// Whether a name with a slash at the end is refused (EISDIR), also before a link is followed: no file that is to
    /// be made has such a name.
    var refusesSlash = false

    init(
        _ path: FilePath, from root: InodeNumber, lastLink: LastLink, in nodes: NodeTable, world: GuestWorld,
        limits: GuestFileSystem.Limits
    ) {
        self.limits = limits
        self.world = world
        self.lastLink = lastLink
        way = [root]
        pending = path.components.reversed()
        endsWithSlash = path.endsWithSlash
        rootDepth = nodes.depth(of: root)
    }

    /// Walks to the end. Lists the directories on the way, which is all that it changes.
    mutating func walk(_ nodes: inout NodeTable) throws(FileStop) -> Target {
        while let component = pending.popLast() {
            nodes.looked(.steps(1))
            if let target = try step(component, &nodes) { return target }
        }
        // Only dots, or a link to them.
        return Target(
            directory: here, name: nil, isDotDot: false, inode: here, mustBeDirectory: true)
    }

    private var here: InodeNumber { way[way.count - 1] }

    private mutating func step(_ component: FilePath.Component, _ nodes: inout NodeTable) throws(FileStop) -> Target? {
        switch component {
        case .dot:
            return nil
        case .dotDot:
            guard way.count > 1 else { throw .errno(.notPermitted) }
            way.removeLast()
            guard pending.isEmpty else { return nil }
            return Target(directory: here, name: nil, isDotDot: true, inode: here, mustBeDirectory: true)
        case .name(let bytes):
            // What is too long is too long wherever it stands; NUL, slash and dots are cut off before.
            guard let name = try? FileName(bytes) else { throw .errno(.nameTooLong) }
            return try step(name, &nodes)
        }
    }

    private mutating func step(_ name: FileName, _ nodes: inout NodeTable) throws(FileStop) -> Target? {
        guard rootDepth + way.count <= limits.depthMax else { throw .errno(.nameTooLong) }
        if refusesSlash, pending.isEmpty, endsWithSlash { throw .errno(.isDirectory) }
        let directory = here
        try nodes.list(directory, in: world)
        guard let entry = nodes.directory(directory)[name] else {
            guard pending.isEmpty else { throw .errno(.noEntry) }
            return target(directory, name, nil)
        }
        try nodes.resolve(entry.inode, in: world)
        switch nodes[entry.inode].kind {
        case .symbolicLink(let target) where !pending.isEmpty || followsLast:
            nodes.looked(.link(bytes: target.count))
            try enter(target)
            return nil
        case .directory where !pending.isEmpty:
            way.append(entry.inode)
            // What follows may be nothing but dots.
            return nil
        default:
            guard pending.isEmpty else { throw .errno(.notDirectory) }
            return target(directory, name, entry.inode)
        }
    }

    private func target(_ directory: InodeNumber, _ name: FileName, _ inode: InodeNumber?) -> Target {
        Target(directory: directory, name: name, isDotDot: false, inode: inode, mustBeDirectory: endsWithSlash)
    }

    private var followsLast: Bool {
        switch lastLink {
        case .follow: true
        case .followBeforeSlash: endsWithSlash
        case .keep: false
        }
    }

    /// Puts the target of a link in the place of its name.
    private mutating func enter(_ target: [UInt8]) throws(FileStop) {
        hops += 1
        guard hops <= limits.linkHopsMax else { throw .errno(.loop) }
        let path = try FilePath(relative: target, bytesMax: limits.pathBytesMax)
        if pending.isEmpty, path.endsWithSlash { endsWithSlash = true }
        pending += path.components.reversed()
    }
}
