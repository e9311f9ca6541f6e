import ArgumentParser
import MeshHTTP
import Multiformats
import NodeAPI

/// `mesh warm`: makes a module ready for jobs.
struct Warm: MeshCommand {
    static let configuration = CommandConfiguration(
        abstract: "Compile a module ahead, so that its first job on this node does not wait for that.",
        discussion: "A node compiles a module once, on all its cores, and keeps the code until it needs the room. "
            + "docs/modules.md in the repository says which modules run, and what limits there are.")

    @OptionGroup var global: GlobalOptions

    @Argument(help: "The module: a file, or its CID; - means standard input.", completion: .file())
    var module: String

    func perform(_ console: Console) async throws -> ExitCode {
        let node = global.node
        let cid: String
        if LocalFile.isCID(module) {
            cid = module
        } else {
            cid = try await LocalFile.addModule(module, to: node).cid
        }
        let warm = try await node.warm(JobReference.cid(cid))
        if global.json {
            try console.json(warm)
        } else {
            console.out(Self.text(warm))
        }
        return .success
    }

    /// What a person reads: the CID alone on standard output's first line would hide how it went.
    static func text(_ module: WarmModule) -> String {
        let took = Readable.duration(milliseconds: module.milliseconds)
        let how =
            switch module.source {
            case "compiled": "Compiled in \(took)"
            case "disk": "Compiled before, and loaded in \(took)"
            default: "Ready already"
            }
        let functions = "\(Readable.count(UInt64(clamping: module.functions))) functions"
        let uses = module.features.isEmpty ? "" : ", uses \(module.features.joined(separator: ", "))"
        let size = Readable.bytes(UInt64(clamping: module.size))
        return Terminal.safeLines("\(how): \(module.cid) (\(size), \(functions)\(uses)).\n")
    }
}
