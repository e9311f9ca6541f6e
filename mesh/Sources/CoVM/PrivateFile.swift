#if canImport(Darwin)
    import Darwin
#elseif canImport(Musl)
    import Musl
#else
    import Glibc
#endif

/// Whole files that only this user may read, written so that no reader ever sees an incomplete one.
// SAFETY: pointers are to arrays and structures that live through the system call, with their lengths.
enum PrivateFile {
    /// The text of the system's last error.
    static func reason() -> String {
        String(cString: strerror(errno))
    }

    static func exists(_ path: String) -> Bool {
        var status = stat()
        return lstat(path, &status) == 0
    }

    /// The bytes of a regular file of this user that nobody else may read; `nil` for any other, and for larger ones.
    static func read(_ path: String, bytesMax: Int) -> [UInt8]? {
        let descriptor = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        var status = stat()
        guard fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG, status.st_uid == getuid(),
            status.st_mode & 0o077 == 0, status.st_size <= bytesMax
        else { return nil }
        let count = Int(status.st_size)
        var isComplete = true
        let bytes = [UInt8](unsafeUninitializedCapacity: count) { buffer, filled in
            while filled < count {
                let got = systemRead(descriptor, buffer.baseAddress.map { $0 + filled }, count - filled)
                guard got > 0 else {
                    isComplete = false
                    return
                }
                filled += got
            }
        }
        return isComplete ? bytes : nil
    }

    /// Creates a file; if there is one already, keeps it and succeeds as well.
    static func create(_ path: String, with bytes: [UInt8]) -> Bool {
        guard let temporary = writeTemporary(path, bytes) else { return false }
        defer { unlink(temporary) }
        return link(temporary, path) == 0 || errno == EEXIST
    }

    /// Creates a file, replacing any of the same name.
    static func replace(_ path: String, with bytes: [UInt8]) -> Bool {
        guard let temporary = writeTemporary(path, bytes) else { return false }
        if rename(temporary, path) == 0 { return true }
        unlink(temporary)
        return false
    }

    /// A nameless file, open for reading from its start. The caller closes it.
    static func nameless(in directory: String, with bytes: [UInt8]) -> Int32? {
        guard let (descriptor, path) = makeTemporary("\(directory)/module") else { return nil }
        unlink(path)
        guard write(bytes, to: descriptor), lseek(descriptor, 0, SEEK_SET) == 0 else {
            close(descriptor)
            return nil
        }
        return descriptor
    }

    private static func makeTemporary(_ path: String) -> (descriptor: Int32, path: String)? {
        var generator = SystemRandomNumberGenerator()
        let temporary = "\(path).\(generator.next())"
        let descriptor = open(temporary, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        return descriptor >= 0 ? (descriptor, temporary) : nil
    }

    private static func writeTemporary(_ path: String, _ bytes: [UInt8]) -> String? {
        guard let (descriptor, temporary) = makeTemporary(path) else { return nil }
        let isWritten = write(bytes, to: descriptor)
        let isClosed = close(descriptor) == 0
        guard isWritten, isClosed else {
            unlink(temporary)
            return nil
        }
        return temporary
    }

    private static func write(_ bytes: [UInt8], to descriptor: Int32) -> Bool {
        var offset = 0
        while offset < bytes.count {
            let put = bytes.withUnsafeBytes { raw in
                systemWrite(descriptor, raw.baseAddress.map { $0 + offset }, bytes.count - offset)
            }
            guard put > 0 else { return false }
            offset += put
        }
        return true
    }

    /// Marks a file as just used.
    static func touch(_ path: String) {
        utimensat(AT_FDCWD, path, nil, 0)
    }

    /// The regular files of a directory whose names end with `suffix`.
    static func list(
        _ directory: String, suffix: String
    ) -> [(path: String, bytes: Int, modifiedNanoseconds: Int64)] {
        guard let stream = opendir(directory) else { return [] }
        defer { closedir(stream) }
        var files: [(path: String, bytes: Int, modifiedNanoseconds: Int64)] = []
        while let entry = readdir(stream) {
            let name = withUnsafeBytes(of: &entry.pointee.d_name) { raw in
                String(decoding: raw.prefix { $0 != 0 }, as: UTF8.self)
            }
            guard name.hasSuffix(suffix) else { continue }
            let path = "\(directory)/\(name)"
            var status = stat()
            guard lstat(path, &status) == 0, status.st_mode & S_IFMT == S_IFREG else { continue }
            #if canImport(Darwin)
                let time = status.st_mtimespec
            #else
                let time = status.st_mtim
            #endif
            files.append((path, Int(status.st_size), Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)))
        }
        return files
    }

    #if canImport(Darwin)
        private static let systemRead = Darwin.read
        private static let systemWrite = Darwin.write
    #elseif canImport(Musl)
        private static let systemRead = Musl.read
        private static let systemWrite = Musl.write
    #else
        private static let systemRead = Glibc.read
        private static let systemWrite = Glibc.write
    #endif
}
