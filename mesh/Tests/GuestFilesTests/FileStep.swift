/// One call on a tree of files, which the guest's file system and a folder of the machine both can do.
///
/// Descriptors are numbered by the order of the calls that open them; 0 is the root.
enum FileStep: Hashable, Sendable {
    enum Access: String, Hashable, Sendable, CaseIterable { case read, write, both }

    struct Opening: Hashable, Sendable {
        var access = Access.read
        var creates = false
        var isExclusive = false
        var truncates = false
        var isDirectory = false
        var appends = false
        var follows = true
    }

    case open(String, Opening, base: Int)
    case close(Int)
    case read(Int, Int)
    case write(Int, [UInt8])
    case readAt(Int, Int, UInt64)
    case writeAt(Int, [UInt8], UInt64)
    case seek(Int, Int64, whence: UInt8)
    case setSize(Int, UInt64)
    case statusOf(Int)
    case list(Int)
    case status(String, follows: Bool, base: Int)
    case createDirectory(String, base: Int)
    case removeDirectory(String, base: Int)
    case unlink(String, base: Int)
    case rename(String, String, base: Int, newBase: Int)
    case link(String, String, follows: Bool, base: Int, newBase: Int)
    case symlink(target: String, String, base: Int)
    case readLink(String, base: Int)

    /// The paths in it, and where it may lead.
    var paths: [String] {
        switch self {
        case .open(let path, _, _), .status(let path, _, _), .createDirectory(let path, _),
            .removeDirectory(let path, _), .unlink(let path, _), .readLink(let path, _):
            [path]
        case .rename(let old, let new, _, _), .link(let old, let new, _, _, _), .symlink(let old, let new, _):
            [old, new]
        default: []
        }
    }

    /// Whether it only looks, so that it leaves everything as it was.
    var onlyLooks: Bool {
        switch self {
        case .open(_, let how, _): !how.creates && !how.truncates
        case .read, .readAt, .seek, .statusOf, .list, .status, .readLink: true
        default: false
        }
    }

    // What tables of cases are made of.

    static func mkdir(_ path: String) -> FileStep { .createDirectory(path, base: 0) }
    static func rmdir(_ path: String) -> FileStep { .removeDirectory(path, base: 0) }
    static func rm(_ path: String) -> FileStep { .unlink(path, base: 0) }
    static func mv(_ old: String, _ new: String) -> FileStep { .rename(old, new, base: 0, newBase: 0) }
    static func ln(_ old: String, _ new: String) -> FileStep { .link(old, new, follows: false, base: 0, newBase: 0) }
    static func sym(_ target: String, _ path: String) -> FileStep { .symlink(target: target, path, base: 0) }
    static func stat(_ path: String) -> FileStep { .status(path, follows: true, base: 0) }
    static func lstat(_ path: String) -> FileStep { .status(path, follows: false, base: 0) }
    static func openRead(_ path: String) -> FileStep { .open(path, Opening(), base: 0) }
    static func openBoth(_ path: String) -> FileStep { .open(path, Opening(access: .both), base: 0) }
    static func openDirectory(_ path: String) -> FileStep { .open(path, Opening(isDirectory: true), base: 0) }
    static func create(_ path: String) -> FileStep { .open(path, Opening(access: .both, creates: true), base: 0) }
    static func append(_ path: String) -> FileStep {
        .open(path, Opening(access: .both, creates: true, appends: true), base: 0)
    }
    static func put(_ descriptor: Int, _ text: String) -> FileStep { .write(descriptor, Array(text.utf8)) }
}

/// What a step says, in words that both can find.
struct FileAnswer: Hashable, Sendable, CustomStringConvertible {
    let description: String

    init(_ text: String) { description = text }
}

/// Something that files are in.
protocol FileWorld {
    mutating func perform(_ step: FileStep) -> FileAnswer
}

extension FileWorld {
    /// Everything below a path: names, kinds, sizes, links, contents and targets.
    mutating func picture(of path: String = ".", first descriptor: Int) -> [String] {
        var lines: [String] = []
        var opened = descriptor
        var pending = [path]
        while let next = pending.popLast() {
            guard perform(.open(next, .init(isDirectory: true, follows: false), base: 0)).description == "ok" else {
                lines.append("\(next): no directory")
                opened += 1
                continue
            }
            let names = perform(.list(opened)).description.split(separator: " ").dropFirst().map(String.init)
            _ = perform(.close(opened))
            opened += 1
            for name in names.reversed() {
                let child = next == "." ? name : "\(next)/\(name)"
                let status = perform(.status(child, follows: false, base: 0)).description
                lines.append("\(child): \(status)")
                if status.hasPrefix("directory") {
                    pending.append(child)
                } else if status.hasPrefix("symbolicLink") {
                    lines.append(perform(.readLink(child, base: 0)).description)
                } else {
                    _ = perform(.open(child, .init(), base: 0))
                    lines.append(perform(.readAt(opened, 1 << 16, 0)).description)
                    _ = perform(.close(opened))
                    opened += 1
                }
            }
        }
        return lines.sorted()
    }
}
