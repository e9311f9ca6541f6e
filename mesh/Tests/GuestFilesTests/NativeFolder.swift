import Glibc

@testable import GuestFiles

/// A new folder of this machine, used by the calls of libc: what the guest's file system is compared with.
final class NativeFolder: FileWorld {
    private let path: String
    private var descriptors: [Int32?] = []

    init() {
        var template = Array("/tmp/guest-files-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else {
            preconditionFailure("no temporary folder: \(errno)")
        }
        path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
        descriptors = [Glibc.open(path, O_RDONLY | O_DIRECTORY)]
    }

    deinit {
        for case let descriptor? in descriptors { close(descriptor) }
        Self.removeAll(path)
    }

    private static func removeAll(_ path: String) {
        var status = Glibc.stat()
        guard lstat(path, &status) == 0 else { return }
        guard status.st_mode & S_IFMT == S_IFDIR else {
            Glibc.unlink(path)
            return
        }
        let folder = Glibc.open(path, O_RDONLY)
        for name in names(in: folder) { removeAll("\(path)/\(name)") }
        close(folder)
        rmdir(path)
    }

    static func names(in descriptor: Int32) -> [String] {
        guard let stream = fdopendir(dup(descriptor)) else { return [] }
        defer {
            closedir(stream)
            // The position is shared, and one past the end would make later reads EINVAL.
            lseek(descriptor, 0, SEEK_SET)
        }
        rewinddir(stream)
        var names: [String] = []
        while let entry = readdir(stream) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) { pointer in
                pointer.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if name != ".", name != ".." { names.append(name) }
        }
        return names.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
    }

    var descriptorOfRoot: Int32 { descriptors[0] ?? -1 }

    private func descriptor(_ number: Int) -> Int32? {
        number < descriptors.count ? descriptors[number] : nil
    }

    /// Counts a descriptor that was not opened.
    func skipOpening() { descriptors.append(nil) }

    /// Closes descriptors of a preparation, so that the next one has this number.
    func forgetDescriptors(from number: Int) {
        guard number < descriptors.count else { return }
        for case let descriptor? in descriptors[number...] { close(descriptor) }
        descriptors.removeSubrange(number...)
    }

    func perform(_ step: FileStep) -> FileAnswer {
        switch step {
        case .open(let path, let how, let base):
            let opened = descriptor(base).map { openat($0, path, flags(how), 0o644) } ?? -2
            descriptors.append(opened >= 0 ? opened : nil)
            return opened == -2 ? Self.badDescriptor : answer(opened)
        case .close(let number):
            guard let own = descriptor(number) else { return Self.badDescriptor }
            descriptors[number] = nil
            return answer(close(own))
        case .read, .write, .readAt, .writeAt, .seek, .setSize, .statusOf, .list: return onDescriptor(step)
        default: return onPath(step)
        }
    }

    private func flags(_ how: FileStep.Opening) -> Int32 {
        var flags: Int32 =
            switch how.access {
            case .read: O_RDONLY
            case .write: O_WRONLY
            case .both: O_RDWR
            }
        if how.creates { flags |= O_CREAT }
        if how.isExclusive { flags |= O_EXCL }
        if how.truncates { flags |= O_TRUNC }
        if how.isDirectory { flags |= O_DIRECTORY }
        if how.appends { flags |= O_APPEND }
        if !how.follows { flags |= O_NOFOLLOW }
        return flags
    }

    private func onDescriptor(_ step: FileStep) -> FileAnswer {
        switch step {
        case .read(let number, let count):
            return withDescriptor(number) { own in
                var bytes = [UInt8](repeating: 0, count: count)
                let result = Glibc.read(own, &bytes, count)
                return result < 0 ? answer(-1) : FileAnswer("ok \(bytes[..<result])")
            }
        case .readAt(let number, let count, let offset):
            return withDescriptor(number) { own in
                var bytes = [UInt8](repeating: 0, count: count)
                let result = pread(own, &bytes, count, Int(offset))
                return result < 0 ? answer(-1) : FileAnswer("ok \(bytes[..<result])")
            }
        case .write(let number, let bytes):
            return withDescriptor(number) { count(Glibc.write($0, bytes, bytes.count)) }
        case .writeAt(let number, let bytes, let offset):
            return withDescriptor(number) { count(pwrite($0, bytes, bytes.count, Int(offset))) }
        case .seek(let number, let offset, let whence):
            return withDescriptor(number) { count(lseek($0, Int(offset), Int32(whence))) }
        case .setSize(let number, let bytes):
            return withDescriptor(number) { answer(ftruncate($0, Int(bytes))) }
        case .statusOf(let number):
            return withDescriptor(number) { own in
                var status = Glibc.stat()
                return fstat(own, &status) < 0 ? answer(-1) : told(status)
            }
        case .list(let number):
            return withDescriptor(number) { own in
                var status = Glibc.stat()
                guard fstat(own, &status) == 0, status.st_mode & S_IFMT == S_IFDIR else {
                    return FileAnswer("\(WASIErrno.notDirectory)")
                }
                return FileAnswer((["ok"] + Self.names(in: own)).joined(separator: " "))
            }
        default: preconditionFailure("\(step) is of paths")
        }
    }

    private func onPath(_ step: FileStep) -> FileAnswer {
        switch step {
        case .status(let path, let follows, let base):
            return withDescriptor(base) { own in
                var status = Glibc.stat()
                return fstatat(own, path, &status, follows ? 0 : AT_SYMLINK_NOFOLLOW) < 0 ? answer(-1) : told(status)
            }
        case .createDirectory(let path, let base): return withDescriptor(base) { answer(mkdirat($0, path, 0o755)) }
        case .removeDirectory(let path, let base):
            return withDescriptor(base) { answer(unlinkat($0, path, AT_REMOVEDIR)) }
        case .unlink(let path, let base): return withDescriptor(base) { answer(unlinkat($0, path, 0)) }
        case .rename(let old, let new, let base, let newBase):
            return withDescriptor(base) { from in
                withDescriptor(newBase) { answer(renameat(from, old, $0, new)) }
            }
        case .link(let old, let new, let follows, let base, let newBase):
            return withDescriptor(base) { from in
                withDescriptor(newBase) { answer(linkat(from, old, $0, new, follows ? AT_SYMLINK_FOLLOW : 0)) }
            }
        case .symlink(let target, let path, let base):
            return withDescriptor(base) { answer(symlinkat(target, $0, path)) }
        case .readLink(let path, let base):
            return withDescriptor(base) { own in
                var bytes = [CChar](repeating: 0, count: 4_200)
                let result = readlinkat(own, path, &bytes, bytes.count)
                return result < 0
                    ? answer(-1)
                    : FileAnswer(
                        "ok \(String(decoding: bytes[..<result].map { UInt8(bitPattern: $0) }, as: UTF8.self))")
            }
        default: preconditionFailure("\(step) is of descriptors")
        }
    }

    private static let badDescriptor = FileAnswer("\(WASIErrno.badDescriptor)")

    private func withDescriptor(_ number: Int, _ body: (Int32) -> FileAnswer) -> FileAnswer {
        descriptor(number).map(body) ?? Self.badDescriptor
    }

    private func count(_ result: Int) -> FileAnswer { result < 0 ? answer(-1) : FileAnswer("ok \(result)") }

    private func answer(_ result: Int32) -> FileAnswer {
        guard result < 0 else { return FileAnswer("ok") }
        guard let name = Self.names[errno] else { return FileAnswer("errno \(errno)") }
        return FileAnswer("\(name)")
    }

    private func told(_ status: Glibc.stat) -> FileAnswer {
        switch status.st_mode & S_IFMT {
        case S_IFDIR: FileAnswer("directory")
        case S_IFLNK: FileAnswer("symbolicLink \(status.st_size) bytes \(status.st_nlink) links")
        case S_IFREG: FileAnswer("regularFile \(status.st_size) bytes \(status.st_nlink) links")
        default: FileAnswer("mode \(status.st_mode)")
        }
    }

    private static let names: [Int32: WASIErrno] = [
        EACCES: .accessDenied, EBADF: .badDescriptor, EBUSY: .busy, EEXIST: .exists, EFBIG: .fileTooLarge,
        EINVAL: .invalid, EISDIR: .isDirectory, ELOOP: .loop, EMFILE: .tooManyDescriptors, EMLINK: .tooManyLinks,
        ENAMETOOLONG: .nameTooLong, ENOENT: .noEntry, ENOTDIR: .notDirectory, ENOTEMPTY: .notEmpty,
        EPERM: .notPermitted, ESPIPE: .illegalSeek, EXDEV: .crossDevice, ENODEV: .noDevice,
    ]
}
