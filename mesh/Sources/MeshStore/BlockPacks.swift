import Foundation
import Synchronization

/// The bytes of large blocks: appended to files (packs) in a folder beside the database, whose rows say where each is.
///
/// - Each byte is written once, and never over another: a pack only grows, up to `StoreLimits.packBytesMax`. What is
///   deleted becomes a hole, whose room the file system has back; an empty pack is removed.
/// - The database decides: bytes without a row are nobody's, and are cut off at the next start. A row is written in the
///   transaction after its bytes; `sync` goes before every transaction that somebody relies on.
/// - Reading checks against the CID, so a row whose bytes are gone is a damaged block and never data.
///
/// Only the store's writing thread appends, frees and syncs; anybody reads.
final class BlockPacks: Sendable {
    /// Where a block's bytes begin.
    struct Place: Hashable, Comparable, Sendable {
        /// The number of the pack, from 1.
        var pack: Int
        /// The offset of the first byte.
        var at: Int

        static func < (left: Self, right: Self) -> Bool { (left.pack, left.at) < (right.pack, right.at) }
    }

    /// A part of a pack.
    struct Extent: Hashable, Sendable {
        var place: Place
        var count: Int
    }

    private struct State {
        /// Where the next bytes go.
        var end = Place(pack: 1, at: 0)
        /// Where the bytes begin that `sync` has to write.
        var synced = Place(pack: 1, at: 0)
        /// Bytes since then.
        var unsyncedBytes = 0
        /// The packs that have them.
        var unsynced: Set<Int> = []
        /// Whether one of these was made since then.
        var hasNewPack = false
        /// Packs that are open, those used last at the end.
        var files: [(pack: Int, file: PackFile)] = []
    }

    /// What keeps deleted bytes while somebody copies the home.
    let copying: CopyLock
    private let folder: String
    private let limits: StoreLimits
    private let state = Mutex(State())

    /// The packs of a database.
    init(databasePath: String, limits: StoreLimits) {
        folder = databasePath + "-blocks"
        copying = CopyLock(databasePath: databasePath)
        self.limits = limits
    }

    /// Begins behind the last bytes that a row names, and cuts off what lies there; `synced` is what was on the disk
    /// for certain. While somebody copies the home it begins a new pack, since a copied row may name what lies there.
    func begin(at end: Place, synced: Place) throws {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
        let packs = names.compactMap { Int($0) }
        let isCut = try copying.unlessCopied {
            start(at: end, synced: synced, packs)
            for pack in packs where pack > end.pack { remove(pack) }
            if packs.contains(end.pack) { try file(end.pack, creating: false).cut(at: end.at) }
        }
        if !isCut { start(at: Place(pack: max(end.pack, packs.max() ?? 0) + 1, at: 0), synced: synced, packs) }
    }

    private func start(at end: Place, synced: Place, _ packs: [Int]) {
        state.withLock {
            $0.end = end
            $0.synced = min(synced, end)
            guard $0.synced < end else { return }
            // What a killed process wrote is here, but may not be on the disk.
            $0.unsynced = Set(packs.filter { (synced.pack...max(synced.pack, end.pack)).contains($0) })
            $0.hasNewPack = true
            $0.unsyncedBytes = 1
        }
    }

    /// Where the next bytes go.
    var end: Place { state.withLock { $0.end } }

    /// Where the bytes begin that are not on the disk for certain.
    var synced: Place { state.withLock { $0.synced } }

    /// How many bytes may not be on the disk.
    var unsyncedBytes: Int { state.withLock { $0.unsyncedBytes } }

    /// Appends bytes, and says where they are.
    func append(_ bytes: [UInt8]) throws -> Place {
        var place = end
        if place.at > 0, place.at + bytes.count > limits.packBytesMax { place = Place(pack: place.pack + 1, at: 0) }
        let file = try file(place.pack, creating: true)
        state.withLock {
            $0.unsynced.insert(place.pack)
            if place.at == 0 { $0.hasNewPack = true }
        }
        try file.write(bytes, at: place.at)
        file.startWriting(bytes.count, at: place.at)
        state.withLock {
            $0.end = Place(pack: place.pack, at: place.at + bytes.count)
            $0.unsyncedBytes += bytes.count
        }
        return place
    }

    /// Takes back what was appended since `end` was `place`, as its transaction failed.
    func rewind(to place: Place) {
        state.withLock {
            $0.end = place
            $0.synced = min($0.synced, place)
        }
    }

    /// The bytes at a place; `nil` if they are not there. They have to be checked.
    func read(_ count: Int, at place: Place) -> [UInt8]? {
        guard count >= 0, count <= limits.blockBytesMax, place.at >= 0 else { return nil }
        return (try? file(place.pack, creating: false))?.read(count, at: place.at)
    }

    /// Waits until everything that was appended is on the disk; returns where the next bytes go.
    func sync() throws -> Place {
        let (packs, hasNewPack, end) = state.withLock { ($0.unsynced, $0.hasNewPack, $0.end) }
        for pack in packs { try file(pack, creating: true).sync() }
        if hasNewPack, access(folder, F_OK) == 0 {
            try Self.sync(folder: folder)
            try Self.sync(folder: URL(fileURLWithPath: folder).deletingLastPathComponent().path)
        }
        state.withLock {
            $0.synced = end
            $0.unsyncedBytes = 0
            $0.unsynced = []
            $0.hasNewPack = false
        }
        return end
    }

    /// Gives the room of deleted blocks back; neighbours go together.
    func punch(_ extents: [Extent]) {
        var joined: [Extent] = []
        for extent in extents.sorted(by: { $0.place < $1.place }) {
            if let last = joined.last, last.place.pack == extent.place.pack,
                last.place.at + last.count == extent.place.at
            {
                joined[joined.count - 1].count += extent.count
            } else {
                joined.append(extent)
            }
        }
        for extent in joined {
            (try? file(extent.place.pack, creating: false))?.punch(extent.count, at: extent.place.at)
        }
    }

    /// Removes a pack that no row names, unless the next bytes go there.
    func remove(_ pack: Int) {
        guard pack != end.pack else { return }
        state.withLock {
            $0.files.removeAll { $0.pack == pack }
            $0.unsynced.remove(pack)
        }
        unlink(path(of: pack))
    }

    private func path(of pack: Int) -> String { "\(folder)/\(pack)" }

    private func file(_ pack: Int, creating: Bool) throws -> PackFile {
        if let file = known(pack) { return file }
        if creating { mkdir(folder, 0o700) }
        let file = try PackFile(path: path(of: pack), creating: creating)
        return state.withLock { state in
            if let other = state.files.first(where: { $0.pack == pack }) { return other.file }
            if state.files.count >= limits.packsOpenMax { state.files.removeFirst() }
            state.files.append((pack, file))
            return file
        }
    }

    private func known(_ pack: Int) -> PackFile? {
        state.withLock { state in
            guard let index = state.files.firstIndex(where: { $0.pack == pack }) else { return nil }
            let found = state.files.remove(at: index)
            state.files.append(found)
            return found.file
        }
    }

    /// Waits until the names in a folder are on the disk.
    private static func sync(folder: String) throws {
        let descriptor = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else { throw PackFile.failure(folder) }
        defer { close(descriptor) }
        guard fsync(descriptor) == 0 else { throw PackFile.failure(folder) }
    }
}
