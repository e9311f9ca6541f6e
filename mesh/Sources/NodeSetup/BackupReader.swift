import Crypto
import Foundation
package import NodeAPI

/// Reads a backup: its list first, then all sums, and only then what is in it.
package struct BackupReader {
    /// The files in it, but for the sums, in their order.
    package let members: [BackupFile.Member]
    private let path: String
    private let file: FileHandle
    private let limits: BackupFile.Limits
    private let sums: [String: String]

    /// Reads the list of a backup. Refuses whatever is not one to its last byte.
    package init(path: String, limits: BackupFile.Limits = BackupFile.Limits()) throws(NodeServiceError) {
        self.path = path
        self.limits = limits
        guard let file = FileHandle(forReadingAtPath: path) else {
            let reason = String(cString: strerror(errno))
            throw NodeServiceError(
                .invalidRequest, "The backup \(path) cannot be read: \(reason).",
                hint: "Check the path and its permissions.")
        }
        self.file = file
        do {
            var members = try Self.list(file, limits)
            guard let list = members.popLast(), list.name == BackupFile.sums else { throw Fault("is not whole") }
            let sums = try Self.sums(try Self.read(file, list, bytesMax: limits.sumsBytesMax))
            guard sums.count == members.count, members.allSatisfy({ sums[$0.name] != nil }) else {
                throw Fault("has no sum for each file")
            }
            let needed = [BackupFile.note, BackupFile.key, BackupFile.configuration, BackupFile.database]
            for name in needed where sums[name] == nil { throw Fault("has no \(name)") }
            (self.members, self.sums) = (members, sums)
        } catch {
            throw Self.refusal(path, error)
        }
    }

    /// What is wrong with a file, as a clause.
    private struct Fault: Error, CustomStringConvertible {
        let description: String
        init(_ description: String) { self.description = description }
    }

    /// The system's sentence about a file, not that of the library which read it.
    private static func words(_ error: any Error, _ path: String) -> String {
        var isFolder: ObjCBool = false
        if FileManager.default.fileExists(atPath: path, isDirectory: &isFolder), isFolder.boolValue {
            return "it is a folder"
        }
        return error.localizedDescription
    }

    private static func refusal(_ path: String, _ error: any Error) -> NodeServiceError {
        BackupFile.refusal(
            path, (error as? Fault)?.description ?? "cannot be read: \(Self.words(error, path))",
            hint: "Use another backup; nothing was restored.")
    }

    /// Holds every file against its sum; `progress` hears how many bytes of how many are done.
    package func verify(progress: (Int, Int) -> Void) throws(NodeServiceError) {
        let total = members.reduce(0) { $0 + $1.bytes }
        var done = 0
        do {
            for member in members {
                var sum = SHA256()
                try each(member) { part, _ in
                    sum.update(data: part)
                    done += part.count
                    progress(done, total)
                }
                guard Self.hex(sum.finalize()) == sums[member.name] else {
                    throw Fault("is damaged: \(member.name) does not have its sum")
                }
            }
        } catch {
            throw Self.refusal(path, error)
        }
    }

    /// All bytes of a small file; nil if there is none of that name.
    package func bytes(of name: String) throws(NodeServiceError) -> [UInt8]? {
        guard let member = members.first(where: { $0.name == name }) else { return nil }
        do {
            return try Self.read(file, member, bytesMax: limits.smallBytesMax)
        } catch {
            throw Self.refusal(path, error)
        }
    }

    /// Writes a file to a new one of mode 0600, with holes where it has zeros, and waits for the disk. What was read
    /// has to have its sum, too: the backup may have changed since it was verified.
    package func extract(
        _ member: BackupFile.Member, to place: String, progress: (Int) -> Void
    ) throws(NodeServiceError) {
        let descriptor = open(place, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw Self.unwritten(place, String(cString: strerror(errno))) }
        let output = FileHandle(fileDescriptor: descriptor, closeOnDealloc: true)
        var sum = SHA256()
        do {
            try each(member) { part, offset in
                sum.update(data: part)
                if part.contains(where: { $0 != 0 }) {
                    try output.seek(toOffset: UInt64(offset))
                    try output.write(contentsOf: part)
                }
                progress(part.count)
            }
        } catch {
            throw error is Fault
                ? Self.refusal(path, error) : Self.unwritten(place, error.localizedDescription)
        }
        guard Self.hex(sum.finalize()) == sums[member.name] else {
            throw Self.refusal(path, Fault("changed while it was read: \(member.name) does not have its sum"))
        }
        guard ftruncate(descriptor, off_t(member.bytes)) == 0, fsync(descriptor) == 0 else {
            throw Self.unwritten(place, String(cString: strerror(errno)))
        }
    }

    private static func unwritten(_ place: String, _ reason: String) -> NodeServiceError {
        NodeServiceError(
            .storageFailed, "\(place) cannot be written: \(reason).",
            hint: "Check the folder's permissions and the room on its disk, then restore again.")
    }

    /// The parts of a file, each with where it begins.
    private func each(_ member: BackupFile.Member, _ body: (Data, Int) throws -> Void) throws {
        try file.seek(toOffset: UInt64(member.offset))
        var done = 0
        while done < member.bytes {
            guard let part = try file.read(upToCount: min(limits.chunkBytes, member.bytes - done)), !part.isEmpty
            else { throw Fault("ends before its last file does") }
            try body(part, done)
            done += part.count
        }
    }

    private static func read(_ file: FileHandle, _ member: BackupFile.Member, bytesMax: Int) throws -> [UInt8] {
        guard member.bytes <= bytesMax else { throw Fault("has a \(member.name) of more than \(bytesMax) bytes") }
        try file.seek(toOffset: UInt64(member.offset))
        let data = try file.read(upToCount: member.bytes) ?? Data()
        guard data.count == member.bytes else { throw Fault("ends before its last file does") }
        return [UInt8](data)
    }

    private static func list(_ file: FileHandle, _ limits: BackupFile.Limits) throws -> [BackupFile.Member] {
        let end = Int(try file.seekToEnd())
        var members: [BackupFile.Member] = []
        var names: Set<String> = []
        var offset = 0
        while true {
            try file.seek(toOffset: UInt64(offset))
            let block = [UInt8](try file.read(upToCount: BackupFile.blockBytes) ?? Data())
            offset += BackupFile.blockBytes
            if block.count == BackupFile.blockBytes, block.allSatisfy({ $0 == 0 }) { break }
            guard let (name, bytes) = BackupFile.member(block) else {
                throw Fault(members.isEmpty ? "is no backup of a node" : "is damaged, or not whole")
            }
            guard names.insert(name).inserted else { throw Fault("has \(name) twice") }
            guard members.count < limits.membersMax else { throw Fault("has more than \(limits.membersMax) files") }
            guard bytes <= end - offset else { throw Fault("is not whole: it ends in \(name)") }
            members.append(BackupFile.Member(name: name, offset: offset, bytes: bytes))
            offset += (bytes + BackupFile.blockBytes - 1) / BackupFile.blockBytes * BackupFile.blockBytes
        }
        guard offset + BackupFile.blockBytes == end else { throw Fault("does not end where a backup does") }
        return members
    }

    private static func sums(_ text: [UInt8]) throws -> [String: String] {
        var sums: [String: String] = [:]
        for line in String(decoding: text, as: UTF8.self).split(separator: "\n") {
            let (sum, rest) = (line.prefix(64), line.dropFirst(64))
            guard sum.utf8.count == 64, rest.hasPrefix("  ") else {
                throw Fault("has a list of sums that does not read")
            }
            sums[String(rest.dropFirst(2))] = String(sum)
        }
        return sums
    }

    static func hex(_ digest: SHA256.Digest) -> String {
        digest.map { byte in (byte < 16 ? "0" : "") + String(byte, radix: 16) }.joined()
    }
}
