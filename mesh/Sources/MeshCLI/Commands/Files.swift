import ArgumentParser
import Foundation
import IPLD
import MeshHTTP
import Multiformats
import NodeAPI

/// `mesh add`: stores files and folders and offers them.
struct Add: MeshCommand {
    static let configuration = CommandConfiguration(
        abstract: "Keep files and folders, offer them to the mesh, and print their CIDs.",
        discussion: """
            The CID of a file or folder is the one that others give it who cut it the same way (--profile): \
            unixfs-v1-2025 as ipfs add does with that profile, unixfs-v0-2015 as it did for ten years. A folder comes \
            with everything in it, links as links. What the node has already is not sent again, so a run that was \
            interrupted is simply repeated.
            """)

    @OptionGroup var global: GlobalOptions

    @Argument(help: "The files and folders; - means standard input.", completion: .file())
    var paths: [String]

    @Flag(name: .shortAndLong, help: "Take folders too, with all that is in them.")
    var recursive = false

    @Option(help: "How to cut files and folders into blocks: unixfs-v1-2025 or unixfs-v0-2015.")
    var profile = UnixFSProfile.v1in2025.name

    @Flag(help: "Keep permissions and times too, which changes the CIDs.")
    var preserve = false

    @Flag(help: "Leave out what has a name that begins with a dot.")
    var skipHidden = false

    func perform(_ console: Console) async throws -> ExitCode {
        var options = FolderUpload.Options(preserves: preserve, skipsHidden: skipHidden)
        options.profile = try Self.profile(profile)
        var added: [AddedTree] = []
        for path in paths { try Self.require(path, recursive: recursive) }
        for path in paths {
            let tree = try await send(path, options, console)
            if !global.json {
                console.out(Terminal.safe(paths.count == 1 ? tree.cid : "\(tree.cid) \(path)") + "\n")
            }
            added.append(tree)
        }
        if global.json {
            if added.count == 1 { try console.json(added[0]) } else { try console.json(added) }
        }
        return .success
    }

    private func send(_ path: String, _ options: FolderUpload.Options, _ console: Console) async throws -> AddedTree {
        let line = TransferLine(console, quiet: global.json)
        let upload = FolderUpload(to: global.node, options) { line.show($0) }
        let uploaded: FolderUpload.Uploaded
        do {
            uploaded = try await upload.send(path)
        } catch {
            line.clear()
            throw error
        }
        line.clear()
        return AddedTree(uploaded, path: path, profile: options.profile)
    }

    /// The profile of that name.
    static func profile(_ name: String) throws(NodeServiceError) -> UnixFSProfile {
        if let profile = UnixFSProfile.named(name) { return profile }
        let names = UnixFSProfile.all.map(\.name).joined(separator: " or ")
        throw NodeServiceError(
            .invalidRequest, "There is no profile \"\(name)\".", hint: "Write --profile \(names).")
    }

    /// Refuses a folder that nobody asked for.
    private static func require(_ path: String, recursive: Bool) throws {
        guard path != LocalFile.stream, !recursive, try LocalItem(following: path).kind == .folder else { return }
        throw LocalFileError(path: path, reason: "a folder", hint: "Take it with all that is in it by mesh add -r.")
    }
}

/// What `mesh add` says of a file or folder.
struct AddedTree: Hashable, Codable {
    /// Its CID, in the form of the profile.
    let cid: String
    /// Bytes of its files.
    let size: UInt64
    /// What it was added from.
    let path: String
    /// How it was cut.
    let profile: String
    /// Files, folders and links.
    let files, folders, links: Int
    /// Blocks that the node did not have.
    let blocksSent: Int
    /// Their bytes.
    let bytesSent: UInt64

    init(_ uploaded: FolderUpload.Uploaded, path: String, profile: UnixFSProfile) {
        cid = profile.form(of: uploaded.root).text
        size = uploaded.bytes
        self.path = path
        self.profile = profile.name
        (files, folders, links) = (uploaded.files, uploaded.folders, uploaded.links)
        blocksSent = uploaded.blocksSent
        bytesSent = uploaded.bytesSent
    }

    private enum CodingKeys: String, CodingKey {
        case cid, size, path, profile, files, folders, links
        case blocksSent = "blocks_sent"
        case bytesSent = "bytes_sent"
    }
}

/// `mesh get`: fetches a file, a folder or an object by its CID.
struct Get: MeshCommand {
    static let configuration = CommandConfiguration(
        abstract:
            "Get a file, a folder, a receipt or another object by its CID, from here or from the mesh, and check it.",
        discussion: """
            A file comes out as it went in. A folder is written to --output, a folder that may be there already: \
            files in it are replaced, nothing outside it is touched, and links that lead out of it are left out. \
            Objects, such as a job's manifest, its bids and its receipt, come out as one line of DAG-JSON; with \
            --raw as the bytes that were signed.
            """)

    @OptionGroup var global: GlobalOptions

    @Argument(help: "The whole CID of a file, a folder or an object, or CID/folder/file; of a job, its manifest.")
    var cid: String

    @Option(
        name: .shortAndLong, help: "Where to write it; by default, and for -, standard output.", completion: .file())
    var output: String?

    @Flag(help: "The block that the CID names, unread: an object's bytes, or of a large file its list of parts.")
    var raw = false

    @Flag(help: "Set the permissions and times that were kept with mesh add --preserve.")
    var preserve = false

    func perform(_ console: Console) async throws -> ExitCode {
        let path = try TreePath(cid)
        let node = global.node
        if !raw, path.names.isEmpty, path.root.codec == .dagCBOR {
            let object = try await Self.object(path.root, on: node)
            return try finish(object, of: path.root, isObject: true, console)
        }
        let tree = TreeReader(path.root, on: node)
        let found = try await tree.find(path)
        if raw {
            let block = path.names.isEmpty ? try await node.block(found) : try await tree.block(found)
            return try finish(block, of: found, isObject: false, console)
        }
        let target = output ?? LocalFile.stream
        if target == LocalFile.stream {
            let isForTerminal = output == nil && isatty(STDOUT_FILENO) == 1
            try await Cat.show(found, of: tree, path, console, refusingBinary: isForTerminal)
            return .success
        }
        let line = TransferLine(console, quiet: global.json)
        var download = FolderDownload(from: tree, preserves: preserve, progress: { line.show($0) })
        let written: FolderDownload.Written
        do {
            written = try await download.write(found, to: target)
        } catch {
            line.clear()
            throw error
        }
        line.clear()
        for link in written.leftOut { console.note(Terminal.safe("Left out \(link), a link that leads elsewhere.")) }
        if written.leftOutCount > written.leftOut.count {
            console.note("Left out \(Readable.count(UInt64(written.leftOutCount))) such links in all.")
        }
        if global.json {
            try console.json(GottenTree(found, written))
        } else {
            console.note(Terminal.safe(Self.written(written, to: target)))
        }
        return .success
    }

    private func finish(
        _ bytes: [UInt8], of cid: CID, isObject: Bool, _ console: Console
    ) throws -> ExitCode {
        if let output { try OutputPaths.check([output]) }
        if let output { try LocalFile.write(bytes, to: output) }
        if global.json, output != LocalFile.stream {
            // An object is JSON already.
            if output == nil, isObject { return show(bytes, console) }
            try console.json(AddedFile(cid: cid.text, size: bytes.count))
        } else if let output, output != LocalFile.stream {
            console.note(Terminal.safe(Self.written(bytes.count, to: output)))
        } else if output == nil {
            if isatty(STDOUT_FILENO) == 1, Self.isBinary(bytes) {
                throw Self.binary(self.cid, bytes: UInt64(clamping: bytes.count), raw: raw)
            }
            console.data(bytes)
        }
        return .success
    }

    /// The first bytes that are looked at for whether a terminal can show them.
    static let lookMax: UInt64 = 4_096

    /// Whether bytes are no text: there is a zero in their beginning, or it is no UTF-8, cut as it may be.
    static func isBinary(_ bytes: [UInt8]) -> Bool {
        let beginning = bytes.prefix(Int(lookMax))
        if beginning.contains(0) { return true }
        return (0...3).allSatisfy { String(validating: beginning.dropLast($0), as: UTF8.self) == nil }
    }

    /// That a terminal cannot show something.
    static func binary(_ name: String, bytes: UInt64, raw: Bool = false) -> NodeServiceError {
        NodeServiceError(
            .invalidRequest, "\(name) is binary, \(bytes == 1 ? "1 byte" : "\(Readable.count(bytes)) bytes").",
            hint:
                "Write it to a file with mesh get \(name)\(raw ? " --raw" : "") -o FILE, or to the terminal with -o -.")
    }

    /// "wrote 1,234 bytes to FILE".
    static func written(_ tree: FolderDownload.Written, to path: String) -> String {
        if tree.folders == 0 { return written(Int(clamping: tree.bytes), to: path) }
        let files = tree.files == 1 ? "1 file" : "\(Readable.count(UInt64(clamping: tree.files))) files"
        return "wrote \(files) with \(Readable.bytes(tree.bytes)) to \(path)"
    }

    static func written(_ count: Int, to path: String) -> String {
        "wrote \(count == 1 ? "1 byte" : "\(Readable.count(UInt64(clamping: count))) bytes") to \(path)"
    }

    private func show(_ json: [UInt8], _ console: Console) -> ExitCode {
        console.out(Terminal.safeJSON(String(decoding: json, as: UTF8.self)))
        return .success
    }

    /// An object as one line of DAG-JSON.
    static func object(_ cid: CID, on node: some NodeService) async throws -> [UInt8] {
        let block = try await node.block(cid)
        do {
            return try DAGJSON.encode(DAGCBOR.decode(block)) + [0x0A]
        } catch {
            throw NodeServiceError(
                .blockCorrupt, "\(cid) is not the DAG-CBOR that its CID says.", hint: "Get its bytes with --raw.")
        }
    }
}

/// What `mesh get` says of what it wrote.
struct GottenTree: Hashable, Codable {
    /// The CID.
    let cid: String
    /// Bytes of its files.
    let size: UInt64
    /// Files, folders and links.
    let files, folders, links: Int
    /// Links that lead out of the folder, and were left out.
    let linksLeftOut: Int

    init(_ cid: CID, _ written: FolderDownload.Written) {
        self.cid = cid.text
        size = written.bytes
        (files, folders, links) = (written.files, written.folders, written.links)
        linksLeftOut = written.leftOutCount
    }

    private enum CodingKeys: String, CodingKey {
        case cid, size, files, folders, links
        case linksLeftOut = "links_left_out"
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
