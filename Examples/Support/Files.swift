// The files that a job was given (`mesh run --dir, --file, --workdir`), over WASI preview 1: whole files, and the names
// in a folder. Compile it together with the job; `Examples/build.sh` does.

// MARK: Imports

@_extern(wasm, module: "wasi_snapshot_preview1", name: "fd_prestat_get") @_extern(c)
private func wasiOpenFolder(_ descriptor: Int32, _ kindAndCount: UnsafeMutablePointer<UInt32>) -> Int32
@_extern(wasm, module: "wasi_snapshot_preview1", name: "fd_prestat_dir_name") @_extern(c)
private func wasiOpenFolderName(_ descriptor: Int32, _ name: UnsafeMutablePointer<UInt8>, _ count: Int32) -> Int32
@_extern(wasm, module: "wasi_snapshot_preview1", name: "path_open") @_extern(c)
private func wasiOpen(
    _ folder: Int32, _ follows: Int32, _ path: UnsafePointer<UInt8>, _ count: Int32, _ how: Int32, _ rights: Int64,
    _ inheritedRights: Int64, _ flags: Int32, _ descriptor: UnsafeMutablePointer<Int32>
) -> Int32
@_extern(wasm, module: "wasi_snapshot_preview1", name: "fd_close") @_extern(c)
private func wasiClose(_ descriptor: Int32) -> Int32
@_extern(wasm, module: "wasi_snapshot_preview1", name: "fd_readdir") @_extern(c)
private func wasiReadFolder(
    _ descriptor: Int32, _ buffer: UnsafeMutablePointer<UInt8>, _ capacity: Int32, _ cookie: Int64,
    _ got: UnsafeMutablePointer<Int32>
) -> Int32

// MARK: Files

/// The job's files; a path begins with `/`, or is below the working folder.
public enum Files {
    /// What a folder holds.
    public struct Entry {
        /// The name, in the bytes that the submitter gave it.
        public var name: [UInt8]
        /// Whether it is a folder itself.
        public var isFolder: Bool
    }

    /// What WASI calls the right to do something with a descriptor.
    private enum Rights {
        static let read: Int64 = 1 << 1
        static let seek: Int64 = 1 << 2
        static let write: Int64 = 1 << 6
        static let readFolder: Int64 = 1 << 14
    }

    /// All bytes of a file; `nil` if it cannot be read.
    public static func read(_ path: [UInt8]) -> [UInt8]? {
        guard let descriptor = open(path, how: 0, rights: Rights.read | Rights.seek) else { return nil }
        defer { _ = wasiClose(descriptor) }
        return Standard.readAll(from: descriptor)
    }

    /// Writes a whole file, in place of one that is there; `false` if that cannot be.
    public static func write(_ path: [UInt8], _ bytes: [UInt8]) -> Bool {
        let createsAndTruncates: Int32 = 1 | 8
        guard let descriptor = open(path, how: createsAndTruncates, rights: Rights.write | Rights.seek) else {
            return false
        }
        defer { _ = wasiClose(descriptor) }
        return Standard.write(bytes, to: descriptor)
    }

    /// What is in a folder, in the order of the host's, which in the mesh is that of the bytes; `nil` if it is none.
    public static func entries(in path: [UInt8]) -> [Entry]? {
        let onlyFolders: Int32 = 2
        guard let descriptor = open(path, how: onlyFolders, rights: Rights.read | Rights.readFolder) else { return nil }
        defer { _ = wasiClose(descriptor) }
        var entries: [Entry] = []
        var buffer = [UInt8](repeating: 0, count: 16_384)
        var cookie: Int64 = 0
        while true {
            var got: Int32 = 0
            let failure = buffer.withUnsafeMutableBufferPointer {
                wasiReadFolder(descriptor, $0.baseAddress.unsafelyUnwrapped, Int32($0.count), cookie, &got)
            }
            guard failure == 0 else { return nil }
            var offset = 0
            while offset + 24 <= Int(got) {
                let count = Int(number(buffer, at: offset + 16, bytes: 4))
                // The last one may be cut off where the buffer ends; it comes again.
                guard offset + 24 + count <= Int(got) else { break }
                let name = Array(buffer[(offset + 24)..<(offset + 24 + count)])
                cookie = number(buffer, at: offset, bytes: 8)
                if name != [0x2E], name != [0x2E, 0x2E] {
                    entries.append(Entry(name: name, isFolder: buffer[offset + 20] == 3))
                }
                offset += 24 + count
            }
            if Int(got) < buffer.count || offset == 0 { return entries }
        }
    }

    private static func number(_ bytes: [UInt8], at offset: Int, bytes count: Int) -> Int64 {
        (0..<count).reduce(0) { $0 | Int64(bytes[offset + $1]) << Int64(8 * $1) }
    }

    /// A descriptor for a path below one of the folders that are open from the start: that of the longest name.
    private static func open(_ path: [UInt8], how: Int32, rights: Int64) -> Int32? {
        var best: (descriptor: Int32, rest: [UInt8])?
        var descriptor: Int32 = 3
        while let folder = folderName(descriptor) {
            if let rest = rest(of: path, below: folder), rest.count < best?.rest.count ?? .max {
                best = (descriptor, rest)
            }
            descriptor += 1
        }
        guard let best else { return nil }
        var opened: Int32 = 0
        let followsLinks: Int32 = 1
        let failure = best.rest.withUnsafeBufferPointer {
            wasiOpen(
                best.descriptor, followsLinks, $0.baseAddress.unsafelyUnwrapped, Int32($0.count), how, rights, rights,
                0, &opened)
        }
        return failure == 0 ? opened : nil
    }

    /// The name of a folder that is open from the start; `nil` for a descriptor behind the last of them.
    private static func folderName(_ descriptor: Int32) -> [UInt8]? {
        var kindAndCount: [UInt32] = [0, 0]
        let isMissing = kindAndCount.withUnsafeMutableBufferPointer {
            wasiOpenFolder(descriptor, $0.baseAddress.unsafelyUnwrapped) != 0
        }
        if isMissing { return nil }
        var name = [UInt8](repeating: 0, count: Int(kindAndCount[1]) + 1)
        let failure = name.withUnsafeMutableBufferPointer {
            wasiOpenFolderName(descriptor, $0.baseAddress.unsafelyUnwrapped, Int32(kindAndCount[1]))
        }
        guard failure == 0 else { return nil }
        name.removeLast()
        return name
    }

    private static func rest(of path: [UInt8], below folder: [UInt8]) -> [UInt8]? {
        let slash: UInt8 = 0x2F
        let dot: [UInt8] = [0x2E]
        if folder == dot { return path.first == slash ? nil : path.isEmpty ? dot : path }
        let prefix = folder.last == slash ? Array(folder.dropLast()) : folder
        guard path.count >= prefix.count, Array(path[0..<prefix.count]) == prefix else { return nil }
        let rest = path[prefix.count...]
        if rest.isEmpty { return dot }
        return rest.first == slash ? (rest.count == 1 ? dot : Array(rest.dropFirst())) : nil
    }
}
