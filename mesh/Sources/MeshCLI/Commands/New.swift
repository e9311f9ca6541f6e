import ArgumentParser
import Foundation
import NodeAPI
import NodeSetup

/// `mesh new`: begins a job in a language of one's choice.
struct New: MeshCommand {
    static let configuration = CommandConfiguration(
        abstract: "Begin a job in Swift, C, Rust or Zig: a folder that builds.",
        discussion: """
            Writes a program, the declarations of what a job can ask of the mesh, a script that builds it and a README \
            into a new folder of that name. The folder must not be there yet.
            """)

    @OptionGroup var global: GlobalOptions

    @Argument(help: "The language.", completion: .list(JobLanguage.allCases.map(\.rawValue)))
    var language: String

    @Argument(help: "The name of the project: the new folder, and the module that it builds.")
    var name: String

    func validate() throws {
        if JobLanguage(rawValue: language) == nil {
            let known = JobLanguage.allCases.map(\.rawValue)
            let likely = Spelling.likely(language, among: known).map { " Did you mean \($0)?" } ?? ""
            throw ValidationError(
                "There is no template in \"\(language)\".\(likely) There are \(known.joined(separator: ", ")).")
        }
        if let fault = JobTemplate.fault(ofName: name) {
            throw ValidationError("\"\(name)\" cannot be used: \(fault).")
        }
    }

    func perform(_ console: Console) async throws -> ExitCode {
        guard let language = JobLanguage(rawValue: language) else { return ExitCode(ExitStatus.usage.rawValue) }
        let template = JobTemplate(language: language, name: name)
        try template.write(to: name)
        if global.json {
            let report = NewReport(folder: name, files: template.files.map(\.path), commands: template.commands)
            try console.json(report)
        } else {
            let commands = (["cd \(name)"] + template.commands).map { "  \($0)\n" }.joined()
            console.out("\(name) is there. It needs \(language.toolchain). Next:\n\(commands)")
        }
        return .success
    }
}

extension JobTemplate {
    /// Writes all files into a folder that is not there yet.
    func write(to folder: String) throws {
        guard mkdir(folder, 0o777) == 0 else {
            guard errno == EEXIST else { throw LocalFileError(path: folder, reason: String(cString: strerror(errno))) }
            throw LocalFileError(path: folder, reason: "it is there already", hint: "Choose another name.")
        }
        for file in files {
            let path = "\(folder)/\(file.path)"
            let parent = path.parentFolder
            do {
                try FileManager.default.createDirectory(atPath: parent, withIntermediateDirectories: true)
            } catch {
                throw LocalFileError(path: parent, reason: error.localizedDescription)
            }
            try LocalFile.write(Array(file.text.utf8), to: path, isNew: true)
            if file.isProgram, chmod(path, 0o755) != 0 {
                throw LocalFileError(path: path, reason: String(cString: strerror(errno)))
            }
        }
    }
}

/// What `mesh new` wrote, as JSON.
struct NewReport: Encodable {
    let folder: String
    let files: [String]
    let commands: [String]
}
