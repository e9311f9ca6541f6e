import CoVM

/// Runs the command line; in a function of its own, where the asynchronous form of `main` is the one that is meant.
func runCommandLine() async {
    await Mesh.start(Array(CommandLine.arguments.dropFirst()))
}

// The engine compiles modules in a child of this very program, which must not do anything else first.
CompileWorker.runIfAsked()
await runCommandLine()
