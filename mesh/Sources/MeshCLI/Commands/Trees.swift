import ArgumentParser
import Foundation
import IPLD
import MeshHTTP
import Multiformats
import NodeAPI

/// `mesh cat`: writes files to standard output.
struct Cat: MeshCommand {
    static let configuration = CommandConfiguration(
        abstract: "Write files to standard output, one after the other.")

    @OptionGroup var global: GlobalOptions

    @Argument(help: "The files, each as a CID or CID/folder/file.")
    var files: [String]

    func perform(_ console: Console) async throws -> ExitCode {
        for path in try files.map({ text throws in try TreePath(text) }) {
            let tree = TreeReader(path.root, on: global.node)
            try await Self.show(try await tree.find(path), of: tree, path, console)
        }
        return .success
    }

    /// Writes a file to standard output, a few MiB at a time.
    static func show(
        _ cid: CID, of tree: TreeReader, _ path: TreePath, _ console: Console, refusingBinary: Bool = false
    ) async throws {
        let block = try await tree.look(at: cid)
        guard case .file(let size) = block.kind else {
            let name = path.text(upTo: path.names.count)
            let kind = block.isDirectory ? "folder" : "symbolic link"
            throw NodeServiceError(
                .invalidRequest, "\(name) is a \(kind), not a file.",
                hint: block.isDirectory
                    ? "Get it with mesh get \(name) --output FOLDER; mesh ls lists it."
                    : "mesh stat \(name) says where it leads.")
        }
        if refusingBinary {
            let name = path.text(upTo: path.names.count)
            try await tree.read(cid, bytes: min(size, Get.lookMax)) { beginning in
                if Get.isBinary(beginning) { throw Get.binary(name, bytes: size) }
            }
        }
        try await tree.read(cid, bytes: size) { console.data($0) }
    }
}

/// What `mesh ls` and `mesh stat` say of a file, folder or link.
struct TreeFacts: Hashable, Codable {
    /// Its name in its folder; nil of a root.
    var name: String?
    /// Its CID.
    var cid: String
    /// `file`, `folder` or `link`.
    var kind: String
    /// Bytes of a file; of a folder, as far as its blocks say.
    var size: UInt64
    /// Where a link leads.
    var target: String?
    /// Permissions in octal digits, as `0644`.
    var mode: String?
    /// When it changed, in milliseconds since 1970.
    var modified: Int64?
    /// Entries of a folder.
    var entries: Int?
    /// Blocks that its root links to.
    var parts: Int?

    init(name: [UInt8]? = nil, _ cid: CID, _ block: UnixFSBlock) {
        self.name = name.map { String(decoding: $0, as: UTF8.self) }
        self.cid = cid.text
        switch block.kind {
        case .file(let bytes): (kind, size) = ("file", bytes)
        case .directory, .shard: (kind, size) = ("folder", block.treeBytes)
        case .symbolicLink(let bytes):
            (kind, size) = ("link", UInt64(bytes.count))
            target = String(decoding: bytes, as: UTF8.self)
        }
        mode = block.mode.map { Self.octal($0) }
        modified = block.modified.flatMap { time in
            let (milliseconds, isOver) = time.seconds.multipliedReportingOverflow(by: 1_000)
            return isOver ? nil : milliseconds + Int64(time.nanoseconds / 1_000_000)
        }
    }

    /// A file of one raw block, as its folder says.
    init(file entry: UnixFSEntry) {
        name = String(decoding: entry.name, as: UTF8.self)
        cid = entry.cid.text
        (kind, size) = ("file", entry.totalBytes)
    }

    private static func octal(_ mode: UInt32) -> String {
        let digits = String(mode, radix: 8)
        return String(repeating: "0", count: max(0, 4 - digits.count)) + digits
    }

    /// The lines of `mesh stat`.
    var text: String {
        var facts: [(name: String, value: String)] = [("kind", kind), ("CID", cid)]
        facts.append(("size", "\(Readable.count(size)) bytes"))
        if let target { facts.append(("leads to", target)) }
        if let entries { facts.append(("entries", Readable.count(UInt64(entries)))) }
        if let parts { facts.append(("parts", Readable.count(UInt64(parts)))) }
        if let mode { facts.append(("mode", mode)) }
        if let modified, modified >= 0 { facts.append(("modified", Readable.date(UInt64(modified)))) }
        return Table.facts(facts)
    }
}

/// `mesh ls`: lists a folder.
struct List: MeshCommand {
    static let configuration = CommandConfiguration(
        commandName: "ls",
        abstract: "List the entries of a folder by its CID.",
        discussion: "The size of a folder is what its blocks say that they and all below them have.")

    @OptionGroup var global: GlobalOptions

    @Argument(help: "The folder, as a CID or CID/folder.")
    var folder: String

    @Flag(help: "Only names and CIDs, without a look at each entry.")
    var names = false

    func perform(_ console: Console) async throws -> ExitCode {
        let path = try TreePath(folder)
        let tree = TreeReader(path.root, on: global.node)
        let found = try await tree.find(path)
        let block = try await tree.look(at: found)
        guard block.isDirectory else {
            let facts = TreeFacts(name: path.names.last, found, block)
            return try show([facts], console)
        }
        let entries = try await tree.entries(of: found)
        if names {
            let pairs = entries.map { NamedCID(name: String(decoding: $0.name, as: UTF8.self), cid: $0.cid.text) }
            if global.json { try console.json(pairs) } else { console.out(Self.table(pairs)) }
            return .success
        }
        return try show(try await Self.facts(of: entries, in: tree), console)
    }

    private func show(_ facts: [TreeFacts], _ console: Console) throws -> ExitCode {
        if global.json { try console.json(facts) } else { console.out(Self.table(facts)) }
        return .success
    }

    /// What each entry is; some are looked at at the same time.
    static func facts(of entries: [UnixFSEntry], in tree: TreeReader) async throws -> [TreeFacts] {
        var facts: [TreeFacts] = []
        var rest = entries[...]
        while !rest.isEmpty {
            let some = rest.prefix(16)
            rest = rest.dropFirst(some.count)
            let roots = try await tree.blocks(some.filter { $0.cid.codec != .raw }.map(\.cid))
            for entry in some {
                guard let block = roots[entry.cid] else {
                    facts.append(TreeFacts(file: entry))
                    continue
                }
                do {
                    facts.append(TreeFacts(name: entry.name, entry.cid, try UnixFSBlock(block, of: entry.cid)))
                } catch {
                    throw TreeReader.failure(error)
                }
            }
        }
        return facts
    }

    /// The listing for people.
    static func table(_ facts: [TreeFacts]) -> String {
        guard !facts.isEmpty else { return "" }
        var table = Table([("KIND", .left), ("SIZE", .right), ("CID", .left), ("NAME", .left)])
        for fact in facts {
            let name = (fact.name ?? "") + (fact.kind == "folder" ? "/" : "")
            table.add([fact.kind, Readable.count(fact.size), fact.cid, name + (fact.target.map { " -> \($0)" } ?? "")])
        }
        return table.text
    }

    private static func table(_ pairs: [NamedCID]) -> String {
        pairs.map { Terminal.safe("\($0.cid) \($0.name)") + "\n" }.joined()
    }

    private struct NamedCID: Codable {
        let name: String
        let cid: String
    }
}

/// `mesh stat`: says what a CID names.
struct Stat: MeshCommand {
    static let configuration = CommandConfiguration(
        abstract: "Say what a CID names: a file, a folder or a link, its size, and what else is kept of it.")

    @OptionGroup var global: GlobalOptions

    @Argument(help: "A CID or CID/folder/file.")
    var path: String

    func perform(_ console: Console) async throws -> ExitCode {
        let path = try TreePath(path)
        let tree = TreeReader(path.root, on: global.node)
        let found = try await tree.find(path)
        let block = try await tree.look(at: found)
        var facts = TreeFacts(name: path.names.last, found, block)
        if block.isDirectory {
            facts.entries = try await tree.entries(of: found).count
        } else if !block.links.isEmpty {
            facts.parts = block.links.count
        }
        if global.json { try console.json(facts) } else { console.out(facts.text) }
        return .success
    }
}
