import ArgumentParser
import Foundation
import NodeAPI

/// A script that is run by a runtime: the job that `mesh run SCRIPT` stands for.
struct ScriptRun {
    /// The interpreter.
    let module: String
    /// Its own arguments, the script, and what the user gives the script.
    let arguments: [String]
    /// The options, with the script and what the interpreter needs added.
    let job: JobOptions

    /// Where scripts lie unless the user has another working folder.
    static let folder = "/job"

    /// The job of a script.
    ///
    /// - Parameter withFolder: whether the script finds its whole folder beside it, in a copy that it may change.
    init(_ script: String, _ given: [String], of job: JobOptions, by runtime: Runtime, withFolder: Bool) throws {
        let path = URL(filePath: script).standardizedFileURL
        var job = job
        let folder = job.files.workingFolder.map(GuestPath.tidied) ?? Self.folder
        let place = (folder == "/" ? "" : folder) + "/" + path.lastPathComponent
        job.files.workingFolder = folder
        if withFolder {
            job.files.folders.append(
                MountArgument(source: path.deletingLastPathComponent().path, path: folder, isWritable: true))
        } else {
            job.files.files.append(MountArgument(source: path.path, path: place, isWritable: false))
        }
        job.files.folders += try runtime.folders.map { text in
            guard let (source, path) = RuntimeGroup.split(text) else { throw Self.damaged(runtime) }
            return MountArgument(source: source, path: GuestPath.tidied(path), isWritable: false)
        }
        let chosen = Set(job.env.map(\.name))
        job.env =
            try runtime.environment.compactMap { text in
                guard let variable = NamedPath(argument: text) else { throw Self.damaged(runtime) }
                return chosen.contains(variable.name) ? nil : variable
            } + job.env
        job.label = job.label ?? path.lastPathComponent
        // What the user gives with --arg is for the script, too.
        arguments = runtime.arguments + [place] + job.args + given
        job.args = []
        try job.files.check()
        module = runtime.module
        self.job = job
    }

    private static func damaged(_ runtime: Runtime) -> NodeServiceError {
        NodeServiceError(
            .invalidRequest, "The runtime \(runtime.name) is not as mesh runtime add writes it.",
            hint: "Add it again.")
    }

    /// Whether a file may be a script: it is there, and does not begin as modules do.
    static func head(of path: String) -> [UInt8]? {
        guard path != LocalFile.stream, !LocalFile.isCID(path), let file = FileHandle(forReadingAtPath: path) else {
            return nil
        }
        defer { try? file.close() }
        guard let head = try? file.read(upToCount: RuntimeBook.headBytesMax) else { return [] }
        return head.starts(with: [0x00, 0x61, 0x73, 0x6D]) ? nil : [UInt8](head)
    }

    /// Why a file is neither a module nor a script of a known runtime.
    static func unknown(_ path: String, _ head: [UInt8]) -> NodeServiceError {
        let ending = path.fileEnding
        let program = RuntimeBook.interpreter(head)
        let name = program ?? (ending.isEmpty ? nil : ".\(ending) files")
        let missing = name.map { "there is no runtime for \($0)" } ?? "nothing says what runs it"
        return NodeServiceError(
            .moduleRefused, "\(path) is no WebAssembly module, and \(missing).",
            hint: "Name an interpreter once with mesh runtime add \(program ?? "NAME") MODULE"
                + (program == nil && !ending.isEmpty ? " --ending \(ending)" : "") + ".")
    }
}

extension Run {
    /// What is to run: the module as given, or the interpreter of a script.
    func resolved() throws -> (module: String, arguments: [String], job: JobOptions) {
        guard let head = ScriptRun.head(of: module) else {
            guard runtime == nil, !withDir else {
                throw NodeServiceError(
                    .invalidRequest, "\(module) is a module, and --runtime and --with-dir are for scripts.",
                    hint: "Leave them out, or name a script.")
            }
            return (module, arguments, job)
        }
        let book = try RuntimeBook.load(global.nodeHome)
        let chosen = try runtime.map { name in
            guard let chosen = book.runtimes.first(where: { $0.name == name }) else {
                throw NodeServiceError(
                    .invalidRequest, "There is no runtime \(name).", hint: "mesh runtime ls lists them.")
            }
            return chosen
        }
        // Whatever is neither is for the node to refuse, in its own words.
        guard let runtime = chosen ?? book.runtime(for: module, head: head) else {
            let isScript = RuntimeBook.interpreter(head) != nil || module.fileEnding != "wasm"
            guard isScript, !head.isEmpty else { return (module, arguments, job) }
            throw ScriptRun.unknown(module, head)
        }
        guard job.invoke == nil else {
            throw NodeServiceError(
                .invalidRequest, "--invoke calls a function of a module, and \(module) is a script.",
                hint: "Name a module, or leave --invoke out.")
        }
        let script = try ScriptRun(module, arguments, of: job, by: runtime, withFolder: withDir)
        return (script.module, script.arguments, script.job)
    }
}
