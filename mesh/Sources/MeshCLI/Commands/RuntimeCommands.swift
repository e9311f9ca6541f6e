import ArgumentParser
import Foundation
import Multiformats
import NodeAPI

/// `mesh runtime`: interpreters by name.
struct RuntimeGroup: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "runtime",
        abstract: "Name the interpreters that mesh run uses for scripts.",
        discussion: """
            After mesh runtime add python python.wasm --dir lib:/lib/python3.12 --env PYTHONHOME=/, mesh run \
            script.py runs the script with that module: chosen by the script's #! line, else by the ending of its name.
            """,
        subcommands: [Add.self, List.self, Remove.self])

    /// `mesh runtime add`.
    struct Add: MeshCommand {
        static let configuration = CommandConfiguration(
            abstract: "Name an interpreter, in place of one that has the name already.")

        @OptionGroup var global: GlobalOptions

        @Option(
            help: ArgumentHelp(
                "A folder that it finds at a path, such as its standard library, as FOLDER:PATH; may be given several "
                    + "times.", valueName: "folder:path"))
        var dir: [String] = []

        @Option(help: "An environment variable, as NAME=VALUE; may be given several times.")
        var env: [String] = []

        @Option(
            name: .customLong("arg"), parsing: .unconditionalSingleValue,
            help: "An argument before the script; may be given several times.")
        var args: [String] = []

        @Option(
            help: "The ending of its scripts, such as py; may be given several times. Well-known names have theirs.")
        var ending: [String] = []

        @Argument(help: "The name: letters, digits, - and _.")
        var name: String

        @Argument(help: "The module: a file, or the CID of an added one.", completion: .file(extensions: ["wasm"]))
        var module: String

        func validate() throws {
            let isName =
                !name.isEmpty && name.utf8.count <= 64
                && name.allSatisfy { letter in
                    letter.isASCII && (letter.isLetter || letter.isNumber || "-_.".contains(letter))
                }
            guard isName else {
                throw ValidationError("The name of a runtime has letters, digits, -, _ and . in it, 64 at most.")
            }
            for folder in dir where RuntimeGroup.split(folder) == nil {
                throw ValidationError("--dir \(folder) is not of the form FOLDER:PATH with a path that begins with /.")
            }
            for variable in env where NamedPath(argument: variable) == nil {
                throw ValidationError("--env \(variable) is not of the form NAME=VALUE.")
            }
        }

        func perform(_ console: Console) async throws -> ExitCode {
            let folders = try dir.map { text in
                let (source, path) = RuntimeGroup.split(text) ?? ("", "")
                return "\(try RuntimeGroup.whole(source, isFolder: true)):\(path)"
            }
            let endings = ending.map { String($0.drop { $0 == "." }).lowercased() }
            let runtime = Runtime(
                name: name, module: try RuntimeGroup.whole(module, isFolder: false), folders: folders,
                environment: env, arguments: args,
                endings: endings.isEmpty ? Runtime.commonEndings[name] ?? [] : endings)
            var book = try RuntimeBook.load(global.nodeHome)
            guard book.add(runtime) else {
                throw NodeServiceError(
                    .tooLarge, "There are \(RuntimeBook.countMax) runtimes, and no home has more.",
                    hint: "Remove one with mesh runtime rm NAME.")
            }
            try book.save(global.nodeHome)
            if global.json {
                try console.json(runtime)
            } else {
                console.out(Terminal.safe(Self.sentence(runtime)) + "\n")
            }
            return .success
        }

        /// What was added, and for which scripts.
        static func sentence(_ runtime: Runtime) -> String {
            let scripts = ["a #! line that names \(runtime.name)"] + runtime.endings.map { ".\($0)" }
            return "\(runtime.name) runs scripts with \(scripts.joined(separator: " or "))."
        }
    }

    /// `mesh runtime ls`.
    struct List: MeshCommand {
        static let configuration = CommandConfiguration(commandName: "ls", abstract: "List the interpreters.")

        @OptionGroup var global: GlobalOptions

        func perform(_ console: Console) async throws -> ExitCode {
            let book = try RuntimeBook.load(global.nodeHome)
            if global.json {
                try console.json(book.runtimes)
            } else if book.runtimes.isEmpty {
                console.note("There are no runtimes; mesh runtime add NAME MODULE makes one.")
            } else {
                console.out(RuntimeGroup.text(book))
            }
            return .success
        }
    }

    /// `mesh runtime rm`.
    struct Remove: MeshCommand {
        static let configuration = CommandConfiguration(
            commandName: "rm", abstract: "Forget an interpreter; its module stays where it is.")

        @OptionGroup var global: GlobalOptions

        @Argument(help: "The name.")
        var name: String

        func perform(_ console: Console) async throws -> ExitCode {
            var book = try RuntimeBook.load(global.nodeHome)
            guard book.remove(name) else {
                throw NodeServiceError(
                    .invalidRequest, "There is no runtime \(name).", hint: "mesh runtime ls lists them.")
            }
            try book.save(global.nodeHome)
            if global.json { try console.json(book.runtimes) }
            return .success
        }
    }

    /// The runtimes as a table.
    static func text(_ book: RuntimeBook) -> String {
        var table = Table([("NAME", .left), ("SCRIPTS", .left), ("MODULE", .left), ("FOLDERS", .left)])
        for runtime in book.runtimes {
            table.add([
                runtime.name, runtime.endings.map { ".\($0)" }.joined(separator: " "), runtime.module,
                runtime.folders.joined(separator: " "),
            ])
        }
        return table.text
    }

    /// The two sides of `FOLDER:PATH`; nil if it has not this form.
    static func split(_ text: String) -> (source: String, path: String)? {
        guard let colon = text.range(of: ":/", options: .backwards), colon.lowerBound > text.startIndex else {
            return nil
        }
        return (String(text[..<colon.lowerBound]), "/" + String(text[colon.upperBound...]))
    }

    /// A source that means the same from every folder: a CID, or the whole path of what is there.
    static func whole(_ source: String, isFolder: Bool) throws -> String {
        if LocalFile.isCID(source) { return source }
        var isDirectory: ObjCBool = false
        guard FileManager.default.fileExists(atPath: source, isDirectory: &isDirectory) else {
            throw LocalFileError(path: source, reason: "no such file or folder")
        }
        guard isDirectory.boolValue == isFolder else {
            throw LocalFileError(
                path: source, reason: isFolder ? "a file and no folder" : "a folder, and a module is a file",
                hint: "Check the path.")
        }
        return URL(filePath: source).standardizedFileURL.path
    }
}
