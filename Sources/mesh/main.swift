import CoVM

/// Runs the command line; in a function of its own, where the asynchronous form of `main` is the one that is meant.
func runCommandLine() async {
    await Mesh.main(Mesh.arguments(Array(CommandLine.arguments.dropFirst())))
}

// The engine compiles modules in a child of this program, which must not do anything else first.
if CommandLine.arguments.dropFirst().first == "__compile-worker" {
    CompileWorker.main(arguments: Array(CommandLine.arguments.dropFirst(2)))
}
await runCommandLine()
