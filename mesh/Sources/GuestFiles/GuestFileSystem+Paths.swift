extension GuestFileSystem {
    /// Which descriptor a path is relative to, the path, and whether a link at its end is followed.
    package struct Place: Hashable, Sendable {
        /// A descriptor of a directory.
        package var descriptor: UInt32
        /// The path's bytes.
        package var path: [UInt8]
        /// Whether a symbolic link at the end is followed.
        package var followsLink: Bool

        package init(_ descriptor: UInt32, _ path: [UInt8], followsLink: Bool = false) {
            self.descriptor = descriptor
            self.path = path
            self.followsLink = followsLink
        }
    }

    /// `path_open`: opens, and creates or empties the file if asked.
    package mutating func open(
        _ place: Place, _ how: OpenFlags = [], rights: WASIRights, inheriting: WASIRights = [],
        flags: DescriptorFlags = [], in world: GuestWorld
    ) throws(FileStop) -> UInt32 {
        var needed: WASIRights = .open
        if how.contains(.create) { needed.insert(.createFile) }
        if how.contains(.truncate) { needed.insert(.pathSetSize) }
        let base = try directory(place.descriptor, with: needed)
        guard how.isSubset(of: .all), flags.isSubset(of: .all) else { throw .errno(.invalid) }
        if how.isSuperset(of: [.create, .directory]) { throw .errno(.invalid) }
        let access = rights.intersection([.read, .write])
        guard base.inheriting.isSuperset(of: access) else { throw .errno(.notCapable) }
        guard descriptors.hasRoom else { throw .errno(.tooManyDescriptors) }
        let makesAnew = how.isSuperset(of: [.create, .exclusive])
        let target = try walk(
            place.path, from: base.inode, lastLink: place.followsLink && !makesAnew ? .follow : .followBeforeSlash,
            refusesSlash: how.contains(.create), world)
        let inode: InodeNumber
        if let found = target.inode {
            if makesAnew { throw .errno(.exists) }
            try checkOpening(found, how, access, mustBeDirectory: target.mustBeDirectory)
            if how.contains(.truncate), nodes[found].kind == .file {
                nodes.truncate(found, to: 0, now: world.nowNanoseconds)
            }
            inode = found
        } else {
            guard how.contains(.create) else { throw .errno(.noEntry) }
            inode = try create(.file, target, world)
        }
        return open(inode, base, access, flags)
    }

    private func checkOpening(
        _ inode: InodeNumber, _ how: OpenFlags, _ access: WASIRights, mustBeDirectory: Bool
    ) throws(FileStop) {
        let changes = access.contains(.write) || how.contains(.truncate)
        switch nodes[inode].kind {
        case .directory:
            if how.contains(.create) || changes { throw .errno(.isDirectory) }
        case .symbolicLink:
            throw .errno(how.contains(.directory) ? .notDirectory : .loop)
        case .file, .device, .unresolved:
            if how.contains(.directory) || mustBeDirectory { throw .errno(.notDirectory) }
            if changes, nodes[inode].kind == .file { try checkWritable(inode) }
        }
    }

    /// Opens a node with every right that it can have and that the directory passes on.
    private mutating func open(
        _ inode: InodeNumber, _ base: Descriptor, _ access: WASIRights, _ flags: DescriptorFlags
    ) -> UInt32 {
        let most: WASIRights =
            switch nodes[inode].kind {
            case .directory: .directory
            case .device(let device): device.isStream ? .stream : [.stream, .seek, .tell]
            default: .file
            }
        let unasked = WASIRights([.read, .write]).subtracting(access)
        nodes.opened(inode)
        return descriptors.open(
            Descriptor(
                inode: inode, rights: most.intersection(base.inheriting).subtracting(unasked),
                inheriting: nodes[inode].isDirectory ? base.inheriting : [],
                isForReading: access.contains(.read), isForWriting: access.contains(.write), flags: flags))
    }

    /// Makes a node where a walk found none.
    private mutating func create(
        _ kind: Node.Kind, _ target: PathWalk.Target, _ world: GuestWorld
    ) throws(FileStop) -> InodeNumber {
        guard let name = target.name else { throw .errno(.exists) }
        try checkRoom(in: target.directory)
        return try nodes.create(kind, name, in: target.directory, now: world.nowNanoseconds)
    }

    /// Whether a directory can have new names: it still has its own, and its mount is writable.
    private func checkRoom(in directory: InodeNumber) throws(FileStop) {
        guard nodes[directory].links > 0 || directory == root else { throw .errno(.noEntry) }
        try checkWritable(directory)
    }

    /// `path_create_directory`.
    package mutating func createDirectory(_ place: Place, in world: GuestWorld) throws(FileStop) {
        let base = try directory(place.descriptor, with: .createDirectory)
        let target = try walk(place.path, from: base.inode, lastLink: .keep, world)
        if target.inode != nil { throw .errno(.exists) }
        _ = try create(.directory, target, world)
    }

    /// `path_symlink`: makes a link. A target from the root leads out of every tree, so it is refused at once.
    package mutating func symlink(_ target: [UInt8], at place: Place, in world: GuestWorld) throws(FileStop) {
        let base = try directory(place.descriptor, with: .symlink)
        _ = try FilePath(relative: target, bytesMax: limits.pathBytesMax)
        let link = try walk(place.path, from: base.inode, lastLink: .keep, world)
        if link.inode != nil { throw .errno(.exists) }
        if link.mustBeDirectory { throw .errno(.noEntry) }
        _ = try create(.symbolicLink(target), link, world)
    }

    /// `path_readlink`: the target, whole.
    package mutating func readLink(_ place: Place, in world: GuestWorld) throws(FileStop) -> [UInt8] {
        let base = try directory(place.descriptor, with: .readLink)
        let target = try walk(place.path, from: base.inode, lastLink: .followBeforeSlash, world)
        guard let inode = target.inode else { throw .errno(.noEntry) }
        guard case .symbolicLink(let text) = nodes[inode].kind else {
            throw .errno(target.mustBeDirectory && !nodes[inode].isDirectory ? .notDirectory : .invalid)
        }
        return text
    }

    /// The node at a place, for calls that only look or set times.
    private mutating func node(
        _ place: Place, with right: WASIRights, _ world: GuestWorld
    ) throws(FileStop) -> InodeNumber {
        let base = try directory(place.descriptor, with: right)
        let target = try walk(
            place.path, from: base.inode, lastLink: place.followsLink ? .follow : .followBeforeSlash, world)
        guard let inode = target.inode else { throw .errno(.noEntry) }
        if target.mustBeDirectory, !nodes[inode].isDirectory { throw .errno(.notDirectory) }
        return inode
    }

    /// `path_filestat_get`.
    package mutating func status(_ place: Place, in world: GuestWorld) throws(FileStop) -> FileStatus {
        let inode = try node(place, with: .pathStatus, world)
        return status(of: inode)
    }

    /// `path_filestat_set_times`.
    package mutating func setTimes(
        _ place: Place, accessed: UInt64, modified: UInt64, _ flags: TimeFlags, in world: GuestWorld
    ) throws(FileStop) {
        let inode = try node(place, with: .pathSetTimes, world)
        try setTimes(of: inode, accessed: accessed, modified: modified, flags, now: world.nowNanoseconds)
    }

    /// `path_link`: gives a file another name. A directory has one name only (EPERM).
    package mutating func link(_ old: Place, to new: Place, in world: GuestWorld) throws(FileStop) {
        let inode = try node(old, with: .linkSource, world)
        let base = try directory(new.descriptor, with: .linkTarget)
        let target = try walk(new.path, from: base.inode, lastLink: .keep, world)
        guard target.inode == nil, let name = target.name else { throw .errno(.exists) }
        if target.mustBeDirectory { throw .errno(.noEntry) }
        guard nodes[inode].mount == nodes[target.directory].mount else { throw .errno(.crossDevice) }
        if nodes[inode].isDirectory { throw .errno(.notPermitted) }
        try checkRoom(in: target.directory)
        try nodes.link(inode, name, in: target.directory, now: world.nowNanoseconds)
    }

    /// `path_unlink_file`: takes the name of anything but a directory away. What is open stays until it is closed.
    package mutating func unlink(_ place: Place, in world: GuestWorld) throws(FileStop) {
        let base = try directory(place.descriptor, with: .unlinkFile)
        let target = try walk(place.path, from: base.inode, lastLink: .keep, world)
        guard let name = target.name else { throw .errno(.isDirectory) }
        guard let inode = target.inode else { throw .errno(.noEntry) }
        if nodes[inode].isDirectory { throw .errno(.isDirectory) }
        if target.mustBeDirectory { throw .errno(.notDirectory) }
        if nodes.isMountRoot(inode) { throw .errno(.busy) }
        try checkWritable(target.directory)
        nodes.unlink(name, from: target.directory, now: world.nowNanoseconds)
    }

    /// `path_remove_directory`: takes the name of an empty directory away.
    package mutating func removeDirectory(_ place: Place, in world: GuestWorld) throws(FileStop) {
        let base = try directory(place.descriptor, with: .removeDirectory)
        let target = try walk(place.path, from: base.inode, lastLink: .keep, world)
        guard let name = target.name else { throw .errno(target.isDotDot ? .notEmpty : .invalid) }
        guard let inode = target.inode else { throw .errno(.noEntry) }
        guard nodes[inode].isDirectory else { throw .errno(.notDirectory) }
        if nodes.holdsMount(inode) { throw .errno(nodes.isMountRoot(inode) ? .busy : .notEmpty) }
        try checkWritable(target.directory)
        try checkEmpty(inode, world)
        nodes.unlink(name, from: target.directory, now: world.nowNanoseconds)
    }

    private mutating func checkEmpty(_ inode: InodeNumber, _ world: GuestWorld) throws(FileStop) {
        try nodes.list(inode, in: world)
        guard nodes.directory(inode).entries.isEmpty else { throw .errno(.notEmpty) }
    }

    /// `path_rename`: moves a name, over a file or an empty directory if that is there.
    package mutating func rename(_ old: Place, to new: Place, in world: GuestWorld) throws(FileStop) {
        let oldBase = try directory(old.descriptor, with: .renameSource)
        let source = try walk(old.path, from: oldBase.inode, lastLink: .keep, world)
        let newBase = try directory(new.descriptor, with: .renameTarget)
        let target = try walk(new.path, from: newBase.inode, lastLink: .keep, world)
        guard nodes[source.directory].mount == nodes[target.directory].mount else { throw .errno(.crossDevice) }
        guard let oldName = source.name, let newName = target.name else { throw .errno(.busy) }
        guard let moved = source.inode else { throw .errno(.noEntry) }
        if !nodes[moved].isDirectory, source.mustBeDirectory || target.mustBeDirectory {
            throw .errno(.notDirectory)
        }
        try checkRoom(in: target.directory)
        if nodes[moved].isDirectory, nodes.isInside(target.directory, moved) { throw .errno(.invalid) }
        if let replaced = target.inode {
            if nodes[replaced].isDirectory, nodes.isInside(source.directory, replaced) { throw .errno(.notEmpty) }
            if replaced == moved { return }
            try checkReplacing(replaced, by: moved, world)
        }
        if nodes.isMountRoot(moved) || nodes[moved].isDirectory && nodes.holdsMount(moved) { throw .errno(.busy) }
        try nodes.move(
            oldName, from: source.directory, to: newName, in: target.directory, now: world.nowNanoseconds)
    }

    private mutating func checkReplacing(
        _ replaced: InodeNumber, by moved: InodeNumber, _ world: GuestWorld
    ) throws(FileStop) {
        if nodes[moved].isDirectory {
            guard nodes[replaced].isDirectory else { throw .errno(.notDirectory) }
        } else if nodes[replaced].isDirectory {
            throw .errno(.isDirectory)
        }
        if nodes.isMountRoot(replaced) { throw .errno(.busy) }
        if nodes[replaced].isDirectory { try checkEmpty(replaced, world) }
    }
}
