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
    let copier = HomeCopying(
        backUp: { home, path, replacing, progress in
            try HomeCopier(home: home).backUp(to: path, replacing: replacing, progress: progress)
        },
        restore: { home, path, progress in try HomeCopier(home: home).restore(from: path, progress: progress) })
    await Mesh.start(
        Array(CommandLine.arguments.dropFirst()), opening: opener, checking: checker, copying: copier)
}

// Modules are compiled and run in children of this very program, which must not do anything else first.
RunWorker.runIfAsked()
CompileWorker.runIfAsked()
await runCommandLine()
