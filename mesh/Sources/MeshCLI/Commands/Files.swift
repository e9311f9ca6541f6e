import ArgumentParser
import Foundation
import IPLD
import MeshHTTP
import Multiformats
import NodeAPI

/// `mesh add`: stores a file and offers it.
struct Add: MeshCommand {
    static let configuration = CommandConfiguration(abstract: "Keep a file, offer it to the mesh, and print its CID.")

    @OptionGroup var global: GlobalOptions

    @Argument(help: "The file; - means standard input.", completion: .file())
    var file: String

    func perform(_ console: Console) async throws -> ExitCode {
        let added = try await LocalFile.add(file, to: global.node)
        if global.json {
            try console.json(added)
        } else {
            console.out(Terminal.safe(added.cid) + "\n")
        }
        return .success
    }
}

/// `mesh get`: fetches a file or an object by its CID.
struct Get: MeshCommand {
    static let configuration = CommandConfiguration(
        abstract: "Get a file, a receipt or another object by its CID, from here or from the mesh, and check it.",
        discussion: "A file comes out as it went in. Objects, such as a job's manifest, its bids and its receipt, come "
            + "out as one line of DAG-JSON; with --raw as the bytes that were signed.")

    @OptionGroup var global: GlobalOptions

    @Argument(help: "The whole CID of a file or an object; of a job, that is its manifest.")
    var cid: String

    @Option(
        name: .shortAndLong, help: "Where to write it; by default, and for -, standard output.", completion: .file())
    var output: String?

    @Flag(help: "The block that the CID names, unread: an object's bytes, or of a large file its list of parts.")
    var raw = false

    func perform(_ console: Console) async throws -> ExitCode {
        let cid = try Self.named(cid)
        if let output { try OutputPaths.check([output]) }
        let bytes = try await Self.contents(of: cid, raw: raw, on: global.node)
        if let output { try LocalFile.write(bytes, to: output) }
        if global.json, output != LocalFile.stream {
            // An object is JSON already.
            if output == nil, cid.codec == .dagCBOR, !raw { return show(bytes, console) }
            try console.json(AddedFile(cid: cid.text, size: bytes.count))
        } else if let output, output != LocalFile.stream {
            console.note(Terminal.safe(Self.written(bytes.count, to: output)))
        } else if output == nil {
            console.data(bytes)
        }
        return .success
    }

    /// "wrote 1,234 bytes to FILE".
    static func written(_ count: Int, to path: String) -> String {
        "wrote \(count == 1 ? "1 byte" : "\(Readable.count(UInt64(clamping: count))) bytes") to \(path)"
    }

    private func show(_ json: [UInt8], _ console: Console) -> ExitCode {
        console.out(Terminal.safeJSON(String(decoding: json, as: UTF8.self)))
        return .success
    }

    /// The CID, which is not looked up, since it may be of anything in the mesh.
    static func named(_ text: String) throws(NodeServiceError) -> CID {
        guard CID.isText(text) else {
            throw NodeServiceError(
                .invalidRequest, "\"\(text)\" is no CID.",
                hint: "Give a whole one, as mesh add, mesh run and mesh jobs print it; mesh receipt show and "
                    + "mesh outputs also take a part of one, or last.")
        }
        return try JobReference.cid(text)
    }

    /// What a CID names: a file, an object as DAG-JSON, or its block as it is.
    static func contents(of cid: CID, raw: Bool, on node: some NodeService) async throws -> [UInt8] {
        guard raw || cid.codec == .dagCBOR else { return try await node.get(cid) }
        let block = try await node.block(cid)
        guard !raw else { return block }
        do {
            return try DAGJSON.encode(DAGCBOR.decode(block)) + [0x0A]
        } catch {
            throw NodeServiceError(
                .blockCorrupt, "\(cid) is not the DAG-CBOR that its CID says.", hint: "Get its bytes with --raw.")
        }
    }
}

/// `mesh rm`: forgets a file, or what the node keeps of a job.
struct Remove: MeshCommand {
    static let configuration = CommandConfiguration(
        commandName: "rm",
        abstract: "Remove a file, a block, or the evidence and outputs of a job.",
        discussion:
            "The node keeps what an open job needs, and the evidence of work that is not paid yet. The journal of a "
            + "job stays, so mesh explain still works.")

    @OptionGroup var global: GlobalOptions

    @Argument(help: "The CID of a file or block, or a job: its ID, the beginning or end of it, or \"last\".")
    var cid: String

    func perform(_ console: Console) async throws -> ExitCode {
        let node = global.node
        let removed = try await node.remove(Self.named(cid, on: node))
        if global.json {
            try console.json(removed)
        } else {
            console.out("Removed \(Self.text(removed)).\n")
        }
        return .success
    }

    /// What a text names: any CID, or a job as `JobReference` finds it.
    static func named(_ text: String, on node: some NodeService) async throws(NodeServiceError) -> CID {
        do {
            return try await JobReference.resolve(text, on: node)
        } catch {
            guard error.code == .jobNotFound, text != "last" else { throw error }
            throw NodeServiceError(
                .jobNotFound, "\"\(text)\" is no CID, and no job is called so.",
                hint: "mesh jobs lists the jobs; the CID of a file is what mesh add printed.")
        }
    }

    /// What was removed: "3 blocks, 2.5 MiB".
    static func text(_ removed: RemovedBlocks) -> String {
        let count = removed.blocks == 1 ? "1 block" : "\(Readable.count(UInt64(clamping: removed.blocks))) blocks"
        return "\(count), \(Readable.bytes(UInt64(clamping: removed.bytes)))"
    }
}

/// `mesh gc`: makes room in the store.
struct CollectGarbage: MeshCommand {
    static let configuration = CommandConfiguration(
        commandName: "gc",
        abstract: "Remove what nobody added and no open job needs, and say what that freed.",
        discussion:
            "First go blocks that were fetched or made and not added with mesh add; then, while the store is past its "
            + "high-water mark, the evidence of settled jobs, the oldest first. The database uses the space again; "
            + "its file does not shrink.")

    @OptionGroup var global: GlobalOptions

    func perform(_ console: Console) async throws -> ExitCode {
        let removed = try await global.node.collectGarbage()
        if global.json {
            try console.json(removed)
        } else {
            console.out(removed.blocks == 0 ? "Nothing to free.\n" : "Freed \(Remove.text(removed)).\n")
        }
        return .success
    }
}
