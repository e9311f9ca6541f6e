import ArgumentParser
import Foundation
import IPLD
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
        discussion: "Each block is in it once, after the one that links to it.")

    @OptionGroup var global: GlobalOptions

    @Argument(help: "The file or folder, as a CID or CID/folder/file.")
    var cid: String

    @Option(
        name: .shortAndLong, help: "Where to write it; by default, and for -, standard output.", completion: .file())
    var output: String?

    func perform(_ console: Console) async throws -> ExitCode {
        let path = try TreePath(cid)
        let tree = TreeReader(path.root, on: global.node)
        let root = try await tree.find(path)
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
            try await Self.walk(tree, from: root) { block in
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

    /// The most blocks of one archive.
    static let blocksMax = 1 << 20

    /// Gives the blocks of a tree, each once, depth first; some are fetched ahead.
    static func walk(
        _ tree: TreeReader, from root: CID, _ take: (CAR.Block) throws -> Void
    ) async throws {
        var wanted = [root]
        var seen: Set<CID> = [root]
        var here: [CID: [UInt8]] = [:]
        while let cid = wanted.popLast() {
            try Task.checkCancellation()
            if here[cid] == nil {
                let ahead = [cid] + wanted.suffix(7).reversed().filter { here[$0] == nil }
                here.merge(try await tree.blocks(ahead)) { first, _ in first }
            }
            guard let block = here.removeValue(forKey: cid) else { continue }
            try take(CAR.Block(cid: cid, bytes: block))
            guard cid.codec == .dagPB else { continue }
            for link in try links(of: cid, block).reversed() where link.ownBlock == nil && seen.insert(link).inserted {
                wanted.append(link)
            }
            guard seen.count <= blocksMax else {
                throw NodeServiceError(
                    .tooLarge, "\(root) has more than \(blocksMax) blocks.", hint: "Export parts of it by their paths.")
            }
        }
    }

    private static func links(of cid: CID, _ block: [UInt8]) throws(NodeServiceError) -> [CID] {
        do {
            return try UnixFSBlock(block, of: cid).links
        } catch {
            throw TreeReader.failure(error)
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
