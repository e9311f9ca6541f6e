import CoVM
import MeshCLI
import PlanetaryMesh

extension MeshNode: RunningNode {}

/// Runs the command line; in a function of its own, where the asynchronous form of `main` is the one that is meant.
func runCommandLine() async {
    let opener = NodeOpener { home, configuration, layers, identity, logger in
        EventLoops.plan()
        return try await MeshNode.open(
            home: home, configuration: configuration, identity: identity, logger: logger, layers: layers)
    }
    let checker = ModuleChecker { module, question in
        let check = ModuleCheck(
            entry: question.entry, function: question.function, compiles: question.compiles,
            configuration: question.configuration,
            home: question.home)
        return try await check.report(on: module)
    }
    await Mesh.start(Array(CommandLine.arguments.dropFirst()), opening: opener, checking: checker)
}

// Modules are compiled and run in children of this very program, which must not do anything else first.
RunWorker.runIfAsked()
CompileWorker.runIfAsked()
await runCommandLine()
