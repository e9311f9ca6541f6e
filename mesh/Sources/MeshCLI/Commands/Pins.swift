import ArgumentParser
import Foundation
import MeshHTTP
import Multiformats
import NodeAPI

/// `mesh pin`: what the node keeps of files and folders.
struct Pin: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Keep files and folders of others, and list and give up what is kept.",
        discussion: "What mesh add adds is kept from the start.",
        subcommands: [PinAdd.self, PinList.self, PinRemove.self])
}

/// `mesh pin add`: has the node fetch and keep files and folders.
struct PinAdd: MeshCommand {
    static let configuration = CommandConfiguration(
        commandName: "add",
        abstract: "Fetch what is missing of files and folders, keep them, and offer them to the mesh.",
        discussion: "What was fetched stays when this is interrupted, so it goes on where it stopped.")

    @OptionGroup var global: GlobalOptions

    @Argument(help: "The files and folders, each as a CID or CID/folder/file.")
    var cids: [String]

    func perform(_ console: Console) async throws -> ExitCode {
        let node = global.node
        var pinned: [PinnedTree] = []
        for path in try cids.map({ text throws in try TreePath(text) }) {
            let root = try await TreeReader(path.root, on: node).find(path)
            let line = TransferLine(console, quiet: global.json)
            do {
                pinned.append(try await Self.pin(root, on: node) { line.show($0) })
            } catch {
                line.clear()
                throw error
            }
            line.clear()
        }
        if global.json {
            try console.json(pinned)
        } else {
            for tree in pinned { console.out(Terminal.safe(Self.text(tree)) + "\n") }
        }
        return .success
    }

    /// Asks the node until it has all of a tree.
    static func pin(
        _ root: CID, on node: some NodeService, progress: (PinnedTree) -> Void
    ) async throws -> PinnedTree {
        while true {
            let tree = try await node.pin(root, fetching: true)
            if tree.isPinned { return tree }
            try Task.checkCancellation()
            progress(tree)
        }
    }

    /// What is said of a tree that is kept now.
    static func text(_ tree: PinnedTree) -> String {
        let blocks = tree.blocks == 1 ? "1 block" : "\(Readable.count(UInt64(clamping: tree.blocks))) blocks"
        return "Kept \(tree.cid): \(blocks), \(Readable.bytes(UInt64(clamping: tree.bytes)))"
    }
}

/// `mesh pin ls`: lists what the node keeps.
struct PinList: MeshCommand {
    static let configuration = CommandConfiguration(
        commandName: "ls", abstract: "List the CIDs of the files and folders that the node keeps, the newest first.")

    /// CIDs in one request to the node.
    static let pageCount = 1_000

    @OptionGroup var global: GlobalOptions

    func perform(_ console: Console) async throws -> ExitCode {
        let node = global.node
        var all: [String] = []
        var next: Int64?
        repeat {
            let page = try await node.pins(after: next, limit: Self.pageCount)
            if global.json {
                all += page.pins
            } else {
                for cid in page.pins { console.out(Terminal.safe(cid) + "\n") }
            }
            next = page.next
        } while next != nil
        if global.json { try console.json(all) }
        return .success
    }
}

/// `mesh pin rm`: gives up what the node keeps of a file or folder.
struct PinRemove: MeshCommand {
    static let configuration = CommandConfiguration(
        commandName: "rm",
        abstract: "Remove files and folders that are kept, with all blocks that nothing else needs.")

    @OptionGroup var global: GlobalOptions

    @Argument(help: "The CIDs that mesh pin ls lists.")
    var cids: [String]

    func perform(_ console: Console) async throws -> ExitCode {
        var removed = RemovedBlocks(blocks: 0, bytes: 0)
        for path in try cids.map({ text throws in try TreePath(text) }) {
            guard path.names.isEmpty else {
                throw NodeServiceError(
                    .invalidRequest, "\(path.text(upTo: path.names.count)) is a part of what is kept.",
                    hint: "Give the CID alone.")
            }
            let gone = try await global.node.remove(path.root.version1)
            removed.blocks += gone.blocks
            removed.bytes += gone.bytes
        }
        if global.json {
            try console.json(removed)
        } else {
            console.out("Removed \(Remove.text(removed)).\n")
        }
        return .success
    }
}
