import ArgumentParser
import Foundation
import MeshHTTP
import Multiformats
import NodeAPI

/// `mesh pin`: what the node keeps of files and folders.
struct Pin: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Keep files and folders of others, list and give up what is kept, and make it public or private.",
        discussion: "What mesh add adds is kept from the start.",
        subcommands: [PinAdd.self, PinList.self, PinPublic.self, PinPrivate.self, PinRemove.self])
}

/// `mesh pin add`: has the node fetch and keep files and folders.
struct PinAdd: MeshCommand {
    static let configuration = CommandConfiguration(
        commandName: "add",
        abstract: "Fetch what is missing of files and folders, keep them, and offer them to the mesh.",
        discussion: "What was fetched stays when this is interrupted, so it goes on where it stopped.")

    @OptionGroup var global: GlobalOptions

    @Flag(
        name: .customLong("public"), help: "Let strangers have them over the node's gateway, as mesh pin public does.")
    var isPublic = false

    @Argument(help: "The files and folders, each as a CID or CID/folder/file.")
    var cids: [String]

    func perform(_ console: Console) async throws -> ExitCode {
        let node = global.node
        var pinned: [PinnedTree] = []
        var publications: [Publication] = []
        for path in try cids.map({ text throws in try TreePath(text) }) {
            let root = try await TreeReader(path.root, on: node).find(path)
            let line = TransferLine(console, quiet: global.json)
            do {
                pinned.append(try await Self.pin(root, on: node) { line.show($0) })
                if isPublic { publications.append(try await node.publish(root, isPublic: true)) }
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
        PinPublic.tell(publications, console)
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
        commandName: "ls", abstract: "List the CIDs of the files and folders that the node keeps, the newest first.",
        discussion: "Behind those that strangers may have stands public.")

    /// CIDs in one request to the node.
    static let pageCount = 1_000

    @OptionGroup var global: GlobalOptions

    @Flag(name: .customLong("public"), help: "Only those that are public.")
    var isPublic = false

    func perform(_ console: Console) async throws -> ExitCode {
        let node = global.node
        var all: [String] = []
        var next: Int64?
        repeat {
            let page = try await node.pins(after: next, limit: Self.pageCount)
            let open = Set(page.publicPins ?? [])
            let listed = isPublic ? page.pins.filter(open.contains) : page.pins
            if global.json {
                all += listed
            } else {
                for cid in listed {
                    console.out(Terminal.safe(cid + (open.contains(cid) ? "  public" : "")) + "\n")
                }
            }
            next = page.next
        } while next != nil
        if global.json { try console.json(all) }
        return .success
    }
}

/// `mesh pin public`: lets strangers have what is kept.
struct PinPublic: MeshCommand {
    static let configuration = CommandConfiguration(
        commandName: "public", abstract: "Let strangers have what is kept, over the node's gateway.",
        discussion: """
            The gateway serves a public file or folder, and all that is in it, to whoever has its CID or that of a \
            part of it. It listens where gateway.listen of config.json says; without that nothing is served.
            """)

    @OptionGroup var global: GlobalOptions

    @Argument(help: "The CIDs that mesh pin ls lists.")
    var cids: [String]

    func perform(_ console: Console) async throws -> ExitCode {
        try await Self.publish(cids, isPublic: true, global, console)
    }

    /// Has the node make kept files and folders public or private.
    static func publish(
        _ cids: [String], isPublic: Bool, _ global: GlobalOptions, _ console: Console
    ) async throws -> ExitCode {
        var publications: [Publication] = []
        for path in try cids.map({ text throws in try TreePath(text) }) {
            guard path.names.isEmpty else {
                throw NodeServiceError(
                    .invalidRequest, "\(path.text(upTo: path.names.count)) is a part of what is kept.",
                    hint: "Give the CID alone, or keep the part by itself with mesh pin add.")
            }
            publications.append(try await global.node.publish(path.root, isPublic: isPublic))
        }
        if global.json {
            try console.json(publications)
        } else {
            for one in publications {
                console.out(Terminal.safe("\(one.cid) is \(one.isPublic ? "public" : "private")") + "\n")
            }
        }
        tell(publications, console)
        return .success
    }

    /// Says so where what is public is served by nobody.
    static func tell(_ publications: [Publication], _ console: Console) {
        guard publications.contains(where: { $0.isPublic && !$0.isServed }) else { return }
        console.note(
            "This node has no gateway, so nothing is served yet: set gateway.listen in config.json, such as "
                + "/ip4/127.0.0.1/tcp/8080, and restart the node.")
    }
}

/// `mesh pin private`: keeps from strangers what is kept.
struct PinPrivate: MeshCommand {
    static let configuration = CommandConfiguration(
        commandName: "private", abstract: "Let strangers have what is kept no more over the node's gateway.",
        discussion: """
            Who has it already keeps it. Other nodes of the mesh get the blocks of a private file as before, if they \
            have its CID.
            """)

    @OptionGroup var global: GlobalOptions

    @Argument(help: "The CIDs that mesh pin ls --public lists.")
    var cids: [String]

    func perform(_ console: Console) async throws -> ExitCode {
        try await PinPublic.publish(cids, isPublic: false, global, console)
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
