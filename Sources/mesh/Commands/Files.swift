import ArgumentParser
import Foundation
import MeshHTTP
import PlanetaryMesh

/// `mesh add`: keeps a file and offers it.
struct Add: MeshCommand {
    static let configuration = CommandConfiguration(abstract: "Keep a file, offer it to the mesh, and print its CID.")

    @OptionGroup var global: GlobalOptions

    @Argument(help: "The file; - is standard input.", completion: .file())
    var file: String

    func perform(_ console: Console) async throws -> ExitCode {
        let bytes = try LocalFile.read(file, bytesMax: MeshHTTPLimits().fileBytesMax)
        let added = try await global.node.add(bytes)
        if global.json {
            try console.json(added)
        } else {
            console.out(Terminal.safe(added.cid) + "\n")
        }
        return .success
    }
}

/// `mesh get`: has a file by its CID.
struct Get: MeshCommand {
    static let configuration = CommandConfiguration(
        abstract: "Get a file by its CID, from here or from the mesh, every block checked.")

    @OptionGroup var global: GlobalOptions

    @Argument(help: "The file's CID.")
    var cid: String

    @Option(name: .shortAndLong, help: "Where to write it; standard output unless given.", completion: .file())
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
