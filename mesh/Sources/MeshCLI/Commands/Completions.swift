import ArgumentParser

/// `mesh completions`: the completion script of a shell.
struct Completions: MeshCommand {
    static let configuration = CommandConfiguration(
        abstract: "Print the completion script for a shell: bash, zsh or fish.",
        discussion: "For bash: mesh completions bash > ~/.local/share/bash-completion/completions/mesh")

    @OptionGroup var global: GlobalOptions

    @Argument(help: "The shell.", completion: .list(["bash", "zsh", "fish"]))
    var shell: String

    func validate() throws {
        guard CompletionShell(rawValue: shell) != nil else {
            throw ValidationError("\"\(shell)\" is no shell that completions are made for; choose bash, zsh or fish.")
        }
    }

    func perform(_ console: Console) async throws -> ExitCode {
        guard let known = CompletionShell(rawValue: shell) else { return ExitCode(ExitStatus.usage.rawValue) }
        let script = Mesh.completionScript(for: known)
        if global.json {
            try console.json(CompletionReport(shell: shell, script: script))
        } else {
            console.out(script + "\n")
        }
        return .success
    }
}

/// The completion script of a shell, as JSON.
struct CompletionReport: Encodable {
    let shell: String
    let script: String
}
