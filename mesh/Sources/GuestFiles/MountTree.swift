import Multiformats

/// Builds the tree of a plan: the root, `/dev`, the mounts from the outermost to the innermost, and what is between.
struct MountTree {
    private let plan: FileSystemPlan
    private let limits: GuestFileSystem.Limits
    private(set) var nodes: NodeTable
    private(set) var root: InodeNumber = 0
    /// What standard input is read from, if it is a file.
    private(set) var inputFile: InodeNumber?
    private(set) var devices: [Node.Device: InodeNumber] = [:]
    private(set) var preopens: [InodeNumber] = []
    /// What is wrong with the plan, if it is not the content of a mount.
    private(set) var fault: FileSystemPlanFault?

    init(_ plan: FileSystemPlan, limits: GuestFileSystem.Limits) {
        self.plan = plan
        self.limits = limits
        nodes = NodeTable(limits: limits, quota: plan.quota)
    }

    /// Throws what is needed, or any error number with `fault` set.
    mutating func mountAll(_ world: GuestWorld) throws(FileStop) {
        var mounts: [(names: [FileName], mount: FileSystemPlan.Mount)]
        do throws(FileSystemPlanFault) {
            mounts = try plan.placedMounts(limits: limits)
        } catch {
            throw refuse(error)
        }
        if let first = mounts.first, first.names.isEmpty {
            mounts.removeFirst()
            root = try add(first.mount, world)
            guard nodes[root].isDirectory else { throw refuse(.insideFile(first.mount.path)) }
        } else {
            root = nodes.addMount(.directory, cid: nil, isWritable: false, quota: nil)
        }
        nodes.change(root) { $0.parent = root }
        try makeDevices()
        for (names, mount) in mounts { try self.mount(mount, at: names, world) }
        for preopen in plan.preopens { preopens.append(try find(preopen, world)) }
        try makeInput(world)
    }

    private mutating func refuse(_ fault: FileSystemPlanFault) -> FileStop {
        self.fault = fault
        return .errno(.invalid)
    }

    private mutating func names(of path: [UInt8]) throws(FileStop) -> [FileName] {
        guard let names = FilePath.names(fromRoot: path, limits: limits) else { throw refuse(.path(path)) }
        return names
    }

    private mutating func makeDevices() throws(FileStop) {
        let folder = nodes.addMount(.directory, cid: nil, isWritable: false, quota: nil)
        nodes.place(folder, name("dev"), in: root)
        for device in Node.Device.allCases {
            devices[device] = try nodes.create(
                .device(device), name(device.name), in: folder, now: 0, isCounted: false)
        }
    }

    private func name(_ text: String) -> FileName {
        guard let name = try? FileName(Array(text.utf8)) else { preconditionFailure("\(text) is no name") }
        return name
    }

    private mutating func mount(
        _ mount: FileSystemPlan.Mount, at names: [FileName], _ world: GuestWorld
    ) throws(FileStop) {
        guard let last = names.last else { throw refuse(.occupied(mount.path)) }
        var directory = root
        for name in names.dropLast() { directory = try enter(name, in: directory, of: mount, world) }
        try list(directory, of: mount, world)
        nodes.place(try add(mount, world), last, in: directory)
    }

    /// The first node of a mount.
    private mutating func add(_ mount: FileSystemPlan.Mount, _ world: GuestWorld) throws(FileStop) -> InodeNumber {
        guard case .tree(let cid) = mount.content else {
            return nodes.addMount(.directory, cid: nil, isWritable: mount.isWritable, quota: mount.quota)
        }
        let inode = nodes.addMount(.unresolved(cid), cid: cid, isWritable: mount.isWritable, quota: mount.quota)
        try nodes.resolve(inode, in: world)
        if case .symbolicLink = nodes[inode].kind { throw .broken(.notFiles(cid)) }
        if nodes[inode].isDirectory { try nodes.list(inode, in: world) }
        return inode
    }

    /// The directory of this name on the way to a mount; makes it if there is none.
    private mutating func enter(
        _ name: FileName, in directory: InodeNumber, of mount: FileSystemPlan.Mount, _ world: GuestWorld
    ) throws(FileStop) -> InodeNumber {
        try list(directory, of: mount, world)
        guard let entry = nodes.directory(directory)[name] else {
            return try nodes.create(.directory, name, in: directory, now: 0, isCounted: false)
        }
        try nodes.resolve(entry.inode, in: world)
        return entry.inode
    }

    private mutating func list(
        _ directory: InodeNumber, of mount: FileSystemPlan.Mount, _ world: GuestWorld
    ) throws(FileStop) {
        guard nodes[directory].isDirectory else { throw refuse(.insideFile(mount.path)) }
        try nodes.list(directory, in: world)
    }

    private mutating func find(_ preopen: FileSystemPlan.Preopen, _ world: GuestWorld) throws(FileStop) -> InodeNumber {
        guard !preopen.name.isEmpty, preopen.name.count < limits.pathBytesMax, !preopen.name.contains(0) else {
            throw refuse(.preopenName(preopen.name))
        }
        var directory = root
        for name in try names(of: preopen.path) {
            try nodes.list(directory, in: world)
            guard let entry = nodes.directory(directory)[name] else { throw refuse(.preopen(preopen.path)) }
            try nodes.resolve(entry.inode, in: world)
            guard nodes[entry.inode].isDirectory else { throw refuse(.preopen(preopen.path)) }
            directory = entry.inode
        }
        return directory
    }

    /// Standard input as a file without a name, in a mount of its own.
    private mutating func makeInput(_ world: GuestWorld) throws(FileStop) {
        guard case .file(let cid) = plan.standardInput else { return }
        let inode = nodes.addMount(.unresolved(cid), cid: cid, isWritable: false, quota: nil)
        nodes.change(inode) { $0.parent = inode }
        try nodes.resolve(inode, in: world)
        guard nodes[inode].kind == .file else { throw refuse(.standardInput(cid)) }
        inputFile = inode
    }
}
