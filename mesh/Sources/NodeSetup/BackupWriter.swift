import Crypto
import Foundation
package import NodeAPI

/// Writes a backup beside its place, with mode 0600, and moves it there when all of it is on the disk.
package final class BackupWriter {
    private let path: String
    private let draft: String
    private let file: FileHandle
    private let limits: BackupFile.Limits
    private var sums = ""
    private var members = 0
    private var isFinished = false

    /// Begins a backup; refuses a place where something is, unless it is to be replaced.
    package init(
        path: String, replacing: Bool, limits: BackupFile.Limits = BackupFile.Limits()
    ) throws(NodeServiceError) {
        self.path = path
        self.limits = limits
        if !replacing, access(path, F_OK) == 0 {
            throw NodeServiceError(
                .conflict, "There is something at \(path) already.",
                hint: "Name another file, or replace this one with --force.")
        }
        var generator = SystemRandomNumberGenerator()
        draft = "\(path).\(String(generator.next(), radix: 36))"
        let descriptor = open(draft, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw Self.refusal(path, String(cString: strerror(errno))) }
        file = FileHandle(fileDescriptor: descriptor, closeOnDealloc: true)
    }

    deinit { if !isFinished { unlink(draft) } }

    /// A name beside the backup for a file that is only needed while it is made.
    package var scratchPath: String { draft + ".sqlite" }

    /// Adds a member with these bytes.
    package func add(_ name: String, _ bytes: [UInt8]) throws(NodeServiceError) {
        try begin(name, bytes.count)
        try write(bytes)
        try end(name, SHA256.hash(data: bytes), bytes.count)
    }

    /// Adds a member with the first bytes of a file; `progress` hears how many were added by each step.
    package func add(
        _ name: String, contentsOf source: String, bytes count: Int, progress: (Int) -> Void
    ) throws(NodeServiceError) {
        try begin(name, count)
        var (sum, left) = (SHA256(), count)
        do {
            guard let input = FileHandle(forReadingAtPath: source) else {
                throw Self.refusal(path, "\(source) cannot be read, \(String(cString: strerror(errno)))")
            }
            while left > 0 {
                guard let part = try input.read(upToCount: min(limits.chunkBytes, left)), !part.isEmpty else {
                    throw Self.refusal(path, "\(source) ended before all of it was read")
                }
                sum.update(data: part)
                try file.write(contentsOf: part)
                left -= part.count
                progress(part.count)
            }
        } catch {
            throw error as? NodeServiceError ?? Self.refusal(path, error.localizedDescription)
        }
        try end(name, sum.finalize(), count)
    }

    /// Writes the sums, has all of it written to the disk, and moves it to its place.
    package func finish() throws(NodeServiceError) {
        let text = Array(sums.utf8)
        try begin(BackupFile.sums, text.count)
        try write(text)
        try pad(text.count)
        try write([UInt8](repeating: 0, count: 2 * BackupFile.blockBytes))
        guard fsync(file.fileDescriptor) == 0, rename(draft, path) == 0 else {
            throw Self.refusal(path, String(cString: strerror(errno)))
        }
        isFinished = true
        let folder = path.parentFolder
        let descriptor = open(folder.isEmpty ? "." : folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        if descriptor >= 0 {
            fsync(descriptor)
            close(descriptor)
        }
    }

    private func begin(_ name: String, _ count: Int) throws(NodeServiceError) {
        // The sums are one more.
        guard name == BackupFile.sums || members + 1 < limits.membersMax else {
            throw Self.refusal(path, "it would have more than \(limits.membersMax) files")
        }
        members += 1
        try write(BackupFile.header(name, bytes: count))
    }

    private func end(_ name: String, _ sum: SHA256.Digest, _ count: Int) throws(NodeServiceError) {
        sums += BackupReader.hex(sum) + "  \(name)\n"
        try pad(count)
    }

    private func pad(_ count: Int) throws(NodeServiceError) {
        let over = count % BackupFile.blockBytes
        if over > 0 { try write([UInt8](repeating: 0, count: BackupFile.blockBytes - over)) }
    }

    private func write(_ bytes: [UInt8]) throws(NodeServiceError) {
        do {
            try file.write(contentsOf: bytes)
        } catch {
            throw Self.refusal(path, error.localizedDescription)
        }
    }

    private static func refusal(_ path: String, _ reason: String) -> NodeServiceError {
        NodeServiceError(
            .storageFailed, "The backup \(path) cannot be written: \(reason).",
            hint: "Check the folder's permissions and the room on its disk; nothing is left there.")
    }
}
