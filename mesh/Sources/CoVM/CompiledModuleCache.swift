import Crypto
import NIOConcurrencyHelpers

#if canImport(Darwin)
    import Darwin
#elseif canImport(Musl)
    import Musl
#else
    import Glibc
#endif

/// Compiled modules on disk, each under a keyed hash.
///
/// A compiled module is native code that the engine trusts: it would run one flipped bit. So an entry counts only if
/// its HMAC-SHA256 under this directory's own key fits its name and bytes; otherwise the cache deletes it, and the
/// module is compiled again. The directory (0700) and its files (0600) belong to one user. A node never sends them to
/// another node or takes them from one.
final class CompiledModuleCache: Sendable {
    /// What the cache found under a name.
    enum Entry {
        case hit([UInt8])
        case missing
        /// The entry was not as this node wrote it, and is deleted.
        case corrupted
    }

    private static let magic = Array("planetary-mesh compiled module 1\n".utf8)
    private static let keyBytes = 32
    private static let suffix = ".compiled"

    private let directory: String
    private let entryBytesMax: Int
    private let bytesMax: Int
    private let key: SymmetricKey
    private let context: [UInt8]
    private let corrupted = NIOLockedValueBox(0)

    /// Opens the cache, and creates directory and key if missing.
    ///
    /// - Parameter context: engine version and configuration digest; entries of another context have other names.
    init(directory: String, entryBytesMax: Int, bytesMax: Int, context: String) throws(CoVMError) {
        self.directory = directory
        self.entryBytesMax = entryBytesMax
        self.bytesMax = bytesMax
        self.context = Array(context.utf8)
        try Self.prepare(directory)
        key = try Self.loadKey(directory)
    }

    /// Entries refused since the start.
    var corruptedCount: Int { corrupted.withLockedValue { $0 } }

    private func name(_ moduleDigest: [UInt8]) -> String {
        var hash = SHA256()
        hash.update(data: moduleDigest)
        hash.update(data: context)
        return Hexadecimal.text(hash.finalize())
    }

    private func path(_ name: String) -> String { "\(directory)/\(name)\(Self.suffix)" }

    private func code(_ name: String, _ compiled: some Sequence<UInt8>) -> HMAC<SHA256>.MAC {
        var hash = HMAC<SHA256>(key: key)
        hash.update(data: Array(name.utf8))
        hash.update(data: Array(compiled))
        return hash.finalize()
    }

    // MARK: Entries

    /// The machine code of a module, if it is there as this node wrote it.
    func load(_ moduleDigest: [UInt8]) -> Entry {
        let name = name(moduleDigest)
        let head = Self.magic.count + SHA256.byteCount
        guard let bytes = PrivateFile.read(path(name), bytesMax: entryBytesMax + head) else {
            guard PrivateFile.exists(path(name)) else { return .missing }
            return refuse(name)
        }
        guard bytes.count > head, bytes.starts(with: Self.magic) else { return refuse(name) }
        let compiled = Array(bytes[head...])
        var hash = HMAC<SHA256>(key: key)
        hash.update(data: Array(name.utf8))
        hash.update(data: compiled)
        let expected = Array(hash.finalize())
        guard Self.isEqual(expected, bytes[Self.magic.count..<head]) else { return refuse(name) }
        PrivateFile.touch(path(name))
        return .hit(compiled)
    }

    /// Removes an entry that the engine refused although its hash was right, for example after a change of processor.
    func forget(_ moduleDigest: [UInt8]) {
        unlink(path(name(moduleDigest)))
    }

    private func refuse(_ name: String) -> Entry {
        unlink(path(name))
        corrupted.withLockedValue { $0 += 1 }
        return .corrupted
    }

    /// Keeps machine code that this node compiled. A full disk only costs another compilation later.
    func store(_ moduleDigest: [UInt8], _ compiled: [UInt8]) {
        let name = name(moduleDigest)
        let bytes = Self.magic + Array(code(name, compiled)) + compiled
        guard bytes.count <= bytesMax else { return }
        evict(until: bytesMax - bytes.count)
        _ = PrivateFile.replace(path(name), with: bytes)
    }

    private func evict(until limit: Int) {
        var files = PrivateFile.list(directory, suffix: Self.suffix)
        var total = files.reduce(0) { $0 + $1.bytes }
        guard total > limit else { return }
        files.sort { ($0.modifiedNanoseconds, $0.path) < ($1.modifiedNanoseconds, $1.path) }
        for file in files where total > limit {
            unlink(file.path)
            total -= file.bytes
        }
    }

    // Without a branch on the bytes, so that its time tells nothing.
    private static func isEqual(_ left: [UInt8], _ right: ArraySlice<UInt8>) -> Bool {
        left.count == right.count && zip(left, right).reduce(0) { $0 | ($1.0 ^ $1.1) } == 0
    }

    // MARK: Directory and key

    private static func prepare(_ directory: String) throws(CoVMError) {
        if mkdir(directory, 0o700) != 0, errno != EEXIST {
            throw .cacheUnusable(path: directory, reason: PrivateFile.reason())
        }
        var status = stat()
        guard lstat(directory, &status) == 0 else {
            throw .cacheUnusable(path: directory, reason: PrivateFile.reason())
        }
        guard status.st_mode & S_IFMT == S_IFDIR else {
            throw .cacheUnusable(path: directory, reason: "it is not a directory")
        }
        guard status.st_uid == getuid() else {
            throw .cacheUnusable(path: directory, reason: "it belongs to another user")
        }
        guard status.st_mode & 0o077 == 0 else {
            throw .cacheUnusable(path: directory, reason: "others can read it; run chmod 700 on it")
        }
    }

    private static func loadKey(_ directory: String) throws(CoVMError) -> SymmetricKey {
        let path = "\(directory)/cache.key"
        if !PrivateFile.exists(path) {
            // SAFETY: the key is copied before the pointer dies.
            let fresh = SymmetricKey(size: .bits256).withUnsafeBytes { Array($0) }
            // Another process may have been first, and then its key stands.
            guard PrivateFile.create(path, with: fresh) else {
                throw .cacheUnusable(path: directory, reason: "its key could not be written: \(PrivateFile.reason())")
            }
        }
        guard let bytes = PrivateFile.read(path, bytesMax: keyBytes), bytes.count == keyBytes else {
            throw .cacheUnusable(
                path: directory, reason: "its key is damaged or readable by others; delete the directory")
        }
        return SymmetricKey(data: bytes)
    }
}
