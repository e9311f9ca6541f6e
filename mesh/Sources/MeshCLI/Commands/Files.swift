import ArgumentParser
import Foundation
import MeshHTTP
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

/// `mesh get`: fetches a file by its CID.
struct Get: MeshCommand {
    static let configuration = CommandConfiguration(
        abstract: "Get a file by its CID, from here or from the mesh, and check every block.")

    @OptionGroup var global: GlobalOptions

    @Argument(help: "The file's CID.")
    var cid: String

    @Option(name: .shortAndLong, help: "Where to write it; by default standard output.", completion: .file())
    var output: String?

    func perform(_ console: Console) async throws -> ExitCode {
        let bytes = try await global.node.get(JobReference.cid(cid))
        if let output { try LocalFile.write(bytes, to: output) }
        if global.json {
            try console.json(AddedFile(cid: cid, size: bytes.count))
        } else if output == nil {
            console.data(bytes)
        }
        return .success
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

    @Argument(help: "The CID of a file or block, or a job's ID.")
    var cid: String

    func perform(_ console: Console) async throws -> ExitCode {
        let removed = try await global.node.remove(JobReference.cid(cid))
        if global.json {
            try console.json(removed)
        } else {
            console.out("Removed \(Self.text(removed)).\n")
        }
        return .success
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
        abstract: "Remove blocks that nobody put and no open job needs, and say what that freed.",
        discussion: "First go blocks that were fetched or made and nobody put; then, while the store is past its "
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
