import Multiformats

@testable import GuestFiles

/// The guest's file system as something that steps can be done in: one writable mount, open as descriptor 0.
struct GuestFolder: FileWorld {
    var files: GuestFileSystem
    let source: HeldContent
    private var descriptors: [UInt32?]
    private var now: UInt64 = 0
    /// How often content had to be fetched before a step was answered.
    private(set) var fetches = 0
    var checksInvariants = true

    /// Descriptors that were ever opened, and the root.
    var openedCount: Int { descriptors.count }

    init(content: FileSystemPlan.Mount.Content = .empty, source: HeldContent = HeldContent()) throws {
        let plan = FileSystemPlan(
            mounts: [.init(path: Array("/job".utf8), content: content, isWritable: true)],
            preopens: [.init(name: Array(".".utf8), path: Array("/job".utf8))])
        self.source = source
        files = try GuestFileSystem(plan, world: GuestWorld(nowNanoseconds: 0, source: source))
        descriptors = [3]
    }

    mutating func perform(_ step: FileStep) -> FileAnswer {
        now += 1
        let world = GuestWorld(nowNanoseconds: now, source: source)
        while true {
            do throws(FileStop) {
                let answer = try attempt(step, world)
                if checksInvariants { files.checkInvariants() }
                return answer
            } catch {
                if checksInvariants { files.checkInvariants() }
                switch error {
                case .errno(let number):
                    if case .open = step { descriptors.append(nil) }
                    return FileAnswer("\(number)")
                case .needs(let wants):
                    fetches += 1
                    source.fetch(wants)
                case .broken(let fault): return FileAnswer("broken \(fault)")
                case .tooManyCollected, .stopped, .outOfMemory: return FileAnswer("collected")
                }
            }
        }
    }

    private func number(_ descriptor: Int) throws(FileStop) -> UInt32 {
        guard descriptor < descriptors.count, let number = descriptors[descriptor] else {
            throw .errno(.badDescriptor)
        }
        return number
    }

    private mutating func attempt(_ step: FileStep, _ world: GuestWorld) throws(FileStop) -> FileAnswer {
        switch step {
        case .open(let path, let how, let base): return try open(path, how, base, world)
        case .close(let descriptor):
            try files.close(try number(descriptor))
            descriptors[descriptor] = nil
        case .read(let descriptor, let count):
            return FileAnswer("ok \(try files.read(number(descriptor), count: count, in: world))")
        case .readAt(let descriptor, let count, let offset):
            return FileAnswer("ok \(try files.read(number(descriptor), count: count, at: offset, in: world))")
        case .write(let descriptor, let bytes):
            return FileAnswer("ok \(try files.write(number(descriptor), bytes, in: world).count)")
        case .writeAt(let descriptor, let bytes, let offset):
            return FileAnswer("ok \(try files.write(number(descriptor), bytes, at: offset, in: world).count)")
        case .seek(let descriptor, let offset, let whence):
            guard let whence = Whence(rawValue: whence) else { throw .errno(.invalid) }
            return FileAnswer("ok \(try files.seek(number(descriptor), by: offset, from: whence))")
        case .setSize(let descriptor, let bytes): try files.setSize(number(descriptor), to: bytes, in: world)
        case .statusOf(let descriptor): return told(try files.status(number(descriptor)))
        case .list(let descriptor): return try list(descriptor, world)
        default: return try onPath(step, world)
        }
        return FileAnswer("ok")
    }

    private mutating func open(
        _ path: String, _ how: FileStep.Opening, _ base: Int, _ world: GuestWorld
    ) throws(FileStop) -> FileAnswer {
        var flags: OpenFlags = []
        if how.creates { flags.insert(.create) }
        if how.isExclusive { flags.insert(.exclusive) }
        if how.truncates { flags.insert(.truncate) }
        if how.isDirectory { flags.insert(.directory) }
        let rights: WASIRights =
            switch how.access {
            case .read: .read
            case .write: .write
            case .both: [.read, .write]
            }
        let opened = try files.open(
            place(path, base, follows: how.follows), flags, rights: rights, flags: how.appends ? .append : [],
            in: world)
        descriptors.append(opened)
        return FileAnswer("ok")
    }

    private func place(_ path: String, _ base: Int, follows: Bool = false) throws(FileStop) -> GuestFileSystem.Place {
        GuestFileSystem.Place(try number(base), Array(path.utf8), followsLink: follows)
    }

    private mutating func onPath(_ step: FileStep, _ world: GuestWorld) throws(FileStop) -> FileAnswer {
        switch step {
        case .status(let path, let follows, let base):
            return told(try files.status(place(path, base, follows: follows), in: world))
        case .createDirectory(let path, let base): try files.createDirectory(place(path, base), in: world)
        case .removeDirectory(let path, let base): try files.removeDirectory(place(path, base), in: world)
        case .unlink(let path, let base): try files.unlink(place(path, base), in: world)
        case .rename(let old, let new, let base, let newBase):
            try files.rename(place(old, base), to: place(new, newBase), in: world)
        case .link(let old, let new, let follows, let base, let newBase):
            try files.link(place(old, base, follows: follows), to: place(new, newBase), in: world)
        case .symlink(let target, let path, let base):
            try files.symlink(Array(target.utf8), at: place(path, base), in: world)
        case .readLink(let path, let base):
            return FileAnswer("ok \(String(decoding: try files.readLink(place(path, base), in: world), as: UTF8.self))")
        default: preconditionFailure("\(step) is of descriptors")
        }
        return FileAnswer("ok")
    }

    /// Lists in small buffers, so that every listing goes on from cookies.
    private mutating func list(_ descriptor: Int, _ world: GuestWorld) throws(FileStop) -> FileAnswer {
        let number = try number(descriptor)
        var cookie: UInt64 = 0
        var names: [String] = ["ok"]
        while true {
            let listed = try files.list(number, after: cookie, bufferBytes: 60, in: world)
            guard let last = listed.last else { break }
            names += listed.filter { $0.cookie > 2 }.map { String(decoding: $0.name, as: UTF8.self) }
            cookie = last.cookie
        }
        return FileAnswer(names.joined(separator: " "))
    }

    private func told(_ status: FileStatus) -> FileAnswer {
        status.type == .directory
            ? FileAnswer("directory") : FileAnswer("\(status.type) \(status.bytes) bytes \(status.links) links")
    }
}
