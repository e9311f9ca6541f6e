import Foundation
import MeshStore
import MeshTypes
package import NodeAPI
import NodeSetup
import SignedObjects

/// Makes backups of a node's home, whether the node runs or not, and makes homes of them.
package struct HomeCopier: Sendable {
    private let home: NodeHome

    package init(home: NodeHome) { self.home = home }

    // MARK: Backup

    /// Writes a backup: the database as it is at one moment, the packs that it names, the key and the settings.
    ///
    /// - Parameter replacing: whether what is at the path goes.
    package func backUp(
        to path: String, replacing: Bool, progress: (BackupProgress) -> Void
    ) throws(NodeServiceError) -> BackupNote {
        try home.requireInitialised()
        // Refuses a key that others can read or that is no key, before a node is made of it elsewhere.
        _ = try KeyStore(path: home.keyPath).isEncrypted()
        let key = try Self.contents(home.keyPath)
        let writer = try BackupWriter(path: path, replacing: replacing)
        defer { unlink(writer.scratchPath) }
        guard access(home.databasePath, F_OK) == 0 else {
            throw NodeServiceError(
                .notInitialised, "The node in \(home.path) has never run, so there is nothing to back up but its key.",
                hint: "Copy \(home.keyPath), or start the node once.")
        }
        let store: StoreCopy
        let damaged: Int
        do {
            store = try StoreCopy(of: home.databasePath, to: writer.scratchPath) {
                progress(BackupProgress("Copying", done: $0, total: $1))
            }
            damaged = try store.damagedBlocks { progress(BackupProgress("Checking", done: $0, total: $1)) }
        } catch {
            throw NodeServiceError(storage: error)
        }
        let note = BackupNote(
            madeAt: NodeClock.wallClock.value, did: store.owner, databaseVersion: store.version, blocks: store.blocks,
            damagedBlocks: damaged)
        try writer.add(BackupFile.note, try Self.encoded(note))
        try writer.add(BackupFile.key, key)
        try writer.add(BackupFile.configuration, try Self.contents(home.configurationPath))
        let bytes = Self.size(store.path)
        let total = store.packs.reduce(bytes) { $0 + $1.bytes }
        var done = 0
        func added(_ count: Int) {
            done += count
            progress(BackupProgress("Writing", done: done, total: total))
        }
        try writer.add(BackupFile.database, contentsOf: store.path, bytes: bytes, progress: added)
        for pack in store.packs {
            try writer.add(
                "\(BackupFile.packs)/\(pack.number)", contentsOf: pack.path, bytes: pack.bytes, progress: added)
        }
        // While the copy exists, the node deletes no pack that it names.
        withExtendedLifetime(store) {}
        try writer.finish()
        return note
    }

    private static func encoded(_ note: BackupNote) throws(NodeServiceError) -> [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        do {
            return [UInt8](try encoder.encode(note))
        } catch {
            throw NodeServiceError(.internalError, "What the backup says of itself cannot be written: \(error).")
        }
    }

    private static func contents(_ path: String) throws(NodeServiceError) -> [UInt8] {
        guard let data = FileManager.default.contents(atPath: path) else {
            throw NodeServiceError(
                .permissionDenied, "The file \(path) cannot be read.", hint: "Run the command as the node's user.")
        }
        return [UInt8](data)
    }

    private static func size(_ path: String) -> Int {
        var file = stat()
        return stat(path, &file) == 0 ? Int(file.st_size) : 0
    }

    // MARK: Restoration

    /// The folder in a home in which a restoration keeps what it has not put in its place yet.
    private var draft: String { home.restorationPath }
    /// What a restoration puts into a home, the key last: without it no node starts.
    private static let places = [BackupFile.packs, BackupFile.database, BackupFile.configuration, BackupFile.key]

    /// Makes a home of a backup, where there is none: checks all sums, writes everything beside its place, checks the
    /// database, marks it as restored, and puts the key in its place last of all.
    package func restore(
        from path: String, progress: (BackupProgress) -> Void
    ) throws(NodeServiceError) -> BackupNote {
        let backup = try BackupReader(path: path)
        try backup.verify { progress(BackupProgress("Checking", done: $0, total: $1)) }
        let note = try Self.note(of: backup, at: path)
        if let reason = try home.create() { throw unwritten(reason) }
        let folder = open(home.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        defer { if folder >= 0 { close(folder) } }
        guard folder >= 0, flock(folder, LOCK_EX | LOCK_NB) == 0 else {
            throw NodeServiceError(
                .conflict, "Another restoration is under way in \(home.path).", hint: "Let it end first.")
        }
        try requireRoom()
        try prepare()
        try extract(backup, progress)
        do {
            try StoreCopy.accept("\(draft)/\(BackupFile.database)", owner: note.did, madeAt: note.madeAt)
        } catch {
            throw NodeServiceError(storage: error)
        }
        _ = try NodeConfiguration.load(path: "\(draft)/\(BackupFile.configuration)")
        try moveIn()
        return note
    }

    /// What a backup says of itself, if this program can restore it and the key is of the same node.
    private static func note(of backup: BackupReader, at path: String) throws(NodeServiceError) -> BackupNote {
        guard let bytes = try backup.bytes(of: BackupFile.note),
            let note = try? JSONDecoder().decode(BackupNote.self, from: Data(bytes)),
            note.format == BackupNote.formatName
        else { throw damaged(path, "does not say what it is") }
        guard note.version <= BackupNote.formatVersion, note.databaseVersion <= StoreCopy.versionMax else {
            throw NodeServiceError(
                .storageFailed, "The backup \(path) was made by a newer mesh (\(note.nodeVersion)).",
                hint: "Restore it with that version or a later one.")
        }
        let key = String(decoding: try backup.bytes(of: BackupFile.key) ?? [], as: UTF8.self)
        guard let did = try? KeyFile.did(in: key), did.text == note.did else {
            throw damaged(path, "has the key of another node")
        }
        return note
    }

    private static func damaged(_ path: String, _ clause: String) -> NodeServiceError {
        NodeServiceError(
            .storageFailed, "The backup \(path) \(clause).", hint: "Use another backup; nothing was restored.")
    }

    /// Refuses a home in which anything is, but for what a restoration left that was cut off.
    private func requireRoom() throws(NodeServiceError) {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: home.path)) ?? []
        if names.isEmpty { return }
        let isCutOff = names.contains(".restoring") && !names.contains(BackupFile.key)
        guard isCutOff, Set(names).isSubset(of: Self.places + [".restoring"]) else {
            throw NodeServiceError(
                .alreadyInitialised, "There is something in \(home.path) already.",
                hint: "A backup is restored only where nothing is: choose another folder with --home.")
        }
        // It began where nothing was, and no node has started since.
        for name in Self.places + [".restoring"] where access("\(home.path)/\(name)", F_OK) == 0 {
            do {
                try FileManager.default.removeItem(atPath: "\(home.path)/\(name)")
            } catch {
                throw unwritten("what an earlier restoration left cannot be removed")
            }
        }
    }

    private func prepare() throws(NodeServiceError) {
        guard mkdir(draft, 0o700) == 0, mkdir("\(draft)/\(BackupFile.packs)", 0o700) == 0 else {
            throw unwritten(String(cString: strerror(errno)))
        }
    }

    private func extract(
        _ backup: BackupReader, _ progress: (BackupProgress) -> Void
    ) throws(NodeServiceError) {
        let members = backup.members.filter { $0.name != BackupFile.note }
        let total = members.reduce(0) { $0 + $1.bytes }
        var done = 0
        for member in members {
            try backup.extract(member, to: "\(draft)/\(member.name)") { count in
                done += count
                progress(BackupProgress("Restoring", done: done, total: total))
            }
        }
    }

    /// Puts everything in its place, in an order in which no part of it is a node before all of it is there.
    private func moveIn() throws(NodeServiceError) {
        try sync("\(draft)/\(BackupFile.packs)")
        try sync(draft)
        for name in Self.places {
            if name == BackupFile.key { try sync(home.path) }
            guard access("\(home.path)/\(name)", F_OK) != 0 else { throw unwritten("\(name) was made meanwhile") }
            guard rename("\(draft)/\(name)", "\(home.path)/\(name)") == 0 else {
                throw unwritten(String(cString: strerror(errno)))
            }
        }
        try sync(home.path)
        rmdir(draft)
    }

    private func sync(_ folder: String) throws(NodeServiceError) {
        let descriptor = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        defer { if descriptor >= 0 { close(descriptor) } }
        guard descriptor >= 0, fsync(descriptor) == 0 else { throw unwritten(String(cString: strerror(errno))) }
    }

    private func unwritten(_ reason: String) -> NodeServiceError {
        NodeServiceError(
            .storageFailed, "The home \(home.path) cannot be written: \(reason).",
            hint: "Check its permissions and the room on its disk, then restore again.")
    }
}
