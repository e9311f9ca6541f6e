import Multiformats

@testable import GuestFiles

/// Content where all is missing.
struct NoContent: MountSource {
    func node(_ cid: CID) -> SourceAnswer<MountedNode> { .notHere }
    func listing(_ cid: CID) -> SourceAnswer<[MountedEntry]> { .notHere }
    func bytes(_ cid: CID, _ range: Range<UInt64>) -> SourceAnswer<[UInt8]> { .notHere }
    func block(_ cid: CID) -> SourceAnswer<[UInt8]> { .notHere }
}

extension GuestWorld {
    static func at(_ nowNanoseconds: UInt64, _ source: any MountSource = NoContent()) -> GuestWorld {
        GuestWorld(nowNanoseconds: nowNanoseconds, source: source)
    }
}

extension [UInt8] {
    /// The bytes of a text.
    static func text(_ text: String) -> [UInt8] { Array(text.utf8) }
}

extension FileSystemPlan.Mount {
    init(_ path: String, _ content: Content = .empty, writable: Bool = true, quota: FileSystemPlan.Quota? = nil) {
        self.init(path: .text(path), content: content, isWritable: writable, quota: quota)
    }
}

extension FileSystemPlan {
    /// Mounts, with each directory among these paths open from descriptor 3 on.
    static func of(_ mounts: [Mount], open: [String] = ["/job"], quota: Quota = .standard) -> FileSystemPlan {
        FileSystemPlan(
            mounts: mounts, preopens: open.map { Preopen(name: .text($0), path: .text($0)) }, quota: quota)
    }

    /// One writable mount at `/job`, which is descriptor 3.
    static let job = of([Mount("/job")])
}

extension GuestFileSystem.Place {
    init(_ path: String, from descriptor: UInt32 = 3, follows: Bool = false) {
        self.init(descriptor, .text(path), followsLink: follows)
    }
}

extension GuestFileSystem {
    /// Opens a file to be read and written, and makes it if it is not there.
    mutating func make(_ path: String, _ text: String = "", in world: GuestWorld = .at(0)) throws(FileStop) -> UInt32 {
        let number = try open(Place(path), .create, rights: [.read, .write], in: world)
        if !text.isEmpty { _ = try write(number, .text(text), in: world) }
        return number
    }

    /// The whole text of a file.
    mutating func text(_ path: String, in world: GuestWorld = .at(0)) throws(FileStop) -> String {
        let number = try open(Place(path, follows: true), rights: .read, in: world)
        defer { try? close(number) }
        return String(decoding: try read(number, count: 1 << 20, in: world), as: UTF8.self)
    }

    /// The names in a directory, without dots.
    mutating func names(_ path: String, in world: GuestWorld = .at(0)) throws(FileStop) -> [String] {
        let number = try open(Place(path), .directory, rights: [], in: world)
        defer { try? close(number) }
        return try list(number, after: 2, bufferBytes: 1 << 20, in: world).map {
            String(decoding: $0.name, as: UTF8.self)
        }
    }
}

/// The error number that a call ends with; nil if it succeeds.
func errno(_ body: () throws(FileStop) -> Void) -> WASIErrno? {
    do throws(FileStop) {
        try body()
        return nil
    } catch {
        guard case .errno(let number) = error else { return nil }
        return number
    }
}

/// Whatever stops a call; nil if it succeeds.
func stop(_ body: () throws(FileStop) -> Void) -> FileStop? {
    do throws(FileStop) {
        try body()
        return nil
    } catch {
        return error
    }
}
