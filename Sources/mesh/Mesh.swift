import ArgumentParser
import PlanetaryMesh

/// `mesh`: the node and its command line in one program.
struct Mesh: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "mesh",
        abstract: "Run WebAssembly on other people's machines, and prove that it ran.",
        discussion: "Begin with mesh init and mesh up, then mesh run MODULE.\n\n" + ExitStatus.help,
        version: NodeVersion.current,
        subcommands: [
            Init.self, Up.self, Run.self, Jobs.self, Explain.self, Cancel.self, Receipt.self, Status.self, Peers.self,
            Connect.self, Wallet.self, Add.self, Get.self, Stop.self, Devnet.self, Bench.self, Completions.self,
        ])

    /// Puts `--home` and `--json` that stand before the command behind it, where the command reads them.
    static func arguments(_ given: [String]) -> [String] {
        var globals: [String] = []
        var index = 0
        while index < given.count {
            let argument = given[index]
            if argument == "--home", index + 1 < given.count {
                globals += [argument, given[index + 1]]
                index += 2
            } else if argument == "--json" || argument.hasPrefix("--home=") {
                globals.append(argument)
                index += 1
            } else {
                break
            }
        }
        guard !globals.isEmpty, index < given.count else { return given }
        var command: any ParsableCommand.Type = Mesh.self
        var position = index
        while position < given.count,
            let next = command.configuration.subcommands.first(where: { $0._commandName == given[position] })
        {
            command = next
            position += 1
        }
        return Array(given[index..<position]) + globals + Array(given[position...])
    }
}
