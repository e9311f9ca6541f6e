import ArgumentParser
import Foundation
import IPLD
import MeshHTTP
import Multiformats
import NodeAPI

/// `mesh car`: files and folders in archives, as other programs of IPFS read and write them.
struct Archive: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "car",
        abstract: "Write files and folders into archives (CAR), and keep what such archives hold.",
        discussion: "mesh receipt export writes the archive of a receipt.",
        subcommands: [ArchiveExport.self, ArchiveImport.self])
}

/// `mesh car export`: writes a file or folder with all its blocks.
struct ArchiveExport: MeshCommand {
    static let configuration = CommandConfiguration(
        commandName: "export",
        abstract: "Write a file or folder with all its blocks as an archive of version 1.",
        discussion: "Each block is in it once, after one that links to it, in the order that a gateway gives.")

    @OptionGroup var global: GlobalOptions

    @Argument(help: "The file or folder, as a CID or CID/folder/file.")
    var cid: String

    @Option(
        help: ArgumentHelp(
            "How much of it: all; entity, which is a whole file, or a folder's names without what they name; or block.",
            valueName: "all|entity|block"))
    var scope: ArchiveScope?

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp(
            "The blocks that have these bytes of the file, first and last, such as 0:1023, 0:* or -1024:*.",
            valueName: "from:to"))
    var bytes: String?

    @Option(
        name: .shortAndLong, help: "Where to write it; by default, and for -, standard output.", completion: .file())
    var output: String?

    func perform(_ console: Console) async throws -> ExitCode {
        let extent = try extent()
        let path = try TreePath(cid)
        let tree = TreeReader(path.root, on: global.node)
        let found = try await tree.find(path)
        // Named as it was asked for, since whoever reads the archive knows it by that.
        let root = path.names.isEmpty ? path.root : found
        guard root.codec == .dagPB || root.codec == .raw else {
            throw NodeServiceError(
                .invalidRequest, "\(root) is no file or folder.",
                hint: "mesh receipt export writes the archive of a receipt.")
        }
        let target = output ?? LocalFile.stream
        try OutputPaths.check([target])
        let file = try target == LocalFile.stream ? nil : LocalFolder.file(at: target)
        var report = ArchiveReport(roots: [root.text])
        func write(_ bytes: [UInt8]) throws {
            if let file { try file.write(bytes) } else { console.data(bytes) }
        }
        let line = TransferLine(console, quiet: global.json || file == nil)
        do {
            try write(CAR.encodedHeader(roots: [root]))
            try await Self.walk(tree, from: root, extent) { block in
                try write(block.encodedSection)
                report.add(block)
                line.show(report)
            }
            try file?.finish()
        } catch {
            line.clear()
            file?.discard()
            throw error
        }
        line.clear()
        if global.json, file != nil { try console.json(report) }
        return .success
    }

    /// What of the file or folder is asked for.
    private func extent() throws(NodeServiceError) -> ArchiveWalk.Scope {
        guard let bytes else { return (scope ?? .all).extent }
        guard scope == nil || scope == .entity else {
            throw NodeServiceError(
                .invalidRequest, "--bytes goes with --scope entity.", hint: "Leave out one of them.")
        }
        guard let range = EntityBytes(bytes) else {
            throw NodeServiceError(
                .invalidRequest, "\"\(bytes)\" is no range of bytes.",
                hint: "Give the first and the last byte, such as 0:1023; 0:* goes to the end, and -1024:* is the end.")
        }
        return .bytes(range)
    }

    /// Gives the blocks of an archive in their order; some are fetched ahead.
    static func walk(
        _ tree: TreeReader, from root: CID, _ scope: ArchiveWalk.Scope = .all, _ take: (CAR.Block) throws -> Void
    ) async throws {
        var walk = try told(root) { () throws(UnixFSError) in try ArchiveWalk(root: root, scope: scope) }
        var here: [CID: [UInt8]] = [:]
        while let cid = walk.next {
            try Task.checkCancellation()
            if here[cid] == nil {
                let ahead = walk.coming(8).filter { here[$0] == nil }
                here.merge(try await tree.blocks(ahead)) { first, _ in first }
            }
            guard let block = here.removeValue(forKey: cid) else { continue }
            let archived = try told(root) { () throws(UnixFSError) in try walk.received(block) }
            if let archived { try take(archived) }
            guard !walk.isOutside else {
                throw NodeServiceError(
                    .invalidRequest, "\(root) has none of these bytes.", hint: "mesh stat says how long it is.")
            }
        }
    }

    private static func told<Value>(
        _ root: CID, _ body: () throws(UnixFSError) -> Value
    ) throws(NodeServiceError) -> Value {
        do throws(UnixFSError) {
            return try body()
        } catch .tooManyBlocks {
            throw NodeServiceError(
                .tooLarge, "\(root) has more than \(ArchiveWalk.Limits().blocksMax) blocks.",
                hint: "Export parts of it by their paths.")
        } catch {
            throw TreeReader.failure(error)
        }
    }
}

/// How much of a file or folder an archive has.
enum ArchiveScope: String, ExpressibleByArgument, CaseIterable {
    case all, entity, block

    var extent: ArchiveWalk.Scope {
        switch self {
        case .all: .all
        case .entity: .entity
        case .block: .block
        }
    }
}

/// `mesh car import`: keeps what an archive holds.
struct ArchiveImport: MeshCommand {
    static let configuration = CommandConfiguration(
        commandName: "import",
        abstract: "Keep the blocks of archives, and what their roots name.",
        discussion: """
            Archives of version 1 and 2 are read as they come, and every block is checked against its CID. A root of \
            which blocks are missing is not kept; mesh pin add fetches the rest.
            """)

    @OptionGroup var global: GlobalOptions

    @Argument(help: "The archives; - means standard input.", completion: .file())
    var files: [String]

    func perform(_ console: Console) async throws -> ExitCode {
        var reports: [ArchiveReport] = []
        for path in files {
            let report = try await read(path, console)
            if !global.json {
                for root in report.roots { console.out(Terminal.safe(root) + "\n") }
            }
            for root in report.partial ?? [] {
                console.note(Terminal.safe("Not all of \(root) is in \(path); mesh pin add \(root) fetches the rest."))
            }
            reports.append(report)
        }
        if global.json {
            if reports.count == 1 { try console.json(reports[0]) } else { try console.json(reports) }
        }
        return .success
    }

    private func read(_ path: String, _ console: Console) async throws -> ArchiveReport {
        let item = try path == LocalFile.stream ? LocalItem.standardInput : LocalItem(following: path)
        let file = try item.open()
        let line = TransferLine(console, quiet: global.json)
        defer { line.clear() }
        return try await Self.take(path, to: global.node) {
            try item.read(file, 1 << 20)
        } progress: {
            line.show($0)
        }
    }

    /// Sends the blocks of an archive to a node, and has it keep the roots.
    static func take(
        _ path: String, to node: any NodeService, _ next: () throws -> [UInt8]?,
        progress: (ArchiveReport) -> Void
    ) async throws -> ArchiveReport {
        var reader = CARStreamReader()
        var report = ArchiveReport(roots: [])
        try await withThrowingTaskGroup(of: FolderUpload.Sent.self) { group in
            var sender = BlockSender(node: node, limits: FolderUpload.Limits())
            while let bytes = try next() {
                let blocks = try told(path) { () throws(CARError) in try reader.received(bytes) }
                for block in blocks {
                    report.add(block)
                    if block.cid.ownBlock != nil { continue }
                    let built = UnixFSBuiltBlock(cid: block.cid.version1, bytes: block.bytes)
                    try await sender.take([built], &group)
                }
                progress(report)
            }
            try told(path) { () throws(CARError) in try reader.finish() }
            try await sender.finish(&group)
        }
        for root in reader.roots ?? [] {
            report.roots.append(root.text)
            if root.codec != .dagPB, root.codec != .raw { continue }
            if try await !node.pin(root, fetching: false).isPinned {
                report.partial = (report.partial ?? []) + [root.text]
            }
        }
        return report
    }

    private static func told<Value>(
        _ path: String, _ body: () throws(CARError) -> Value
    ) throws(NodeServiceError) -> Value {
        do throws(CARError) {
            return try body()
        } catch {
            throw NodeServiceError(
                .invalidRequest, "\(path) is no archive that can be kept: \(error).",
                hint: "Get another copy; what came before is kept for a while.")
        }
    }
}

/// What was written to an archive, or read from one.
struct ArchiveReport: Hashable, Codable {
    /// What it is about.
    var roots: [String]
    /// Blocks.
    var blocks = 0
    /// Their bytes.
    var bytes: UInt64 = 0
    /// Roots of which not all is kept; nil if there are none.
    var partial: [String]?

    init(roots: [String]) {
        self.roots = roots
    }

    mutating func add(_ block: CAR.Block) {
        blocks += 1
        bytes += UInt64(block.bytes.count)
    }
}
