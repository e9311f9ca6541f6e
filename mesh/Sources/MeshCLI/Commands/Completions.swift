import ArgumentParser

/// `mesh completions`: the completion script of a shell.
struct Completions: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Print the completion script for a shell: bash, zsh or fish.",
        discussion: "For bash: mesh completions bash > ~/.local/share/bash-completion/completions/mesh")

    @Argument(help: "The shell.", completion: .list(["bash", "zsh", "fish"]))
    var shell: String

    func run() throws {
        guard let known = CompletionShell(rawValue: shell) else {
            throw ValidationError("\"\(shell)\" is no shell that completions are made for; choose bash, zsh or fish.")
        }
        Console().out(Mesh.completionScript(for: known) + "\n")
    }
}
