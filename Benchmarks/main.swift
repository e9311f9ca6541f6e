import ArgumentParser

/// Measures the parts of the mesh that have a figure in docs/performance.md.
struct MeshBenchmarks: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "mesh-benchmarks", abstract: "Measures the parts of the mesh; run a release build.",
        subcommands: [
            FormatsBenchmarks.self, DHTBenchmarks.self, GossipBenchmarks.self, TransportBenchmarks.self,
            YieldBenchmarks.self, LogBenchmarks.self, CreditBenchmarks.self,
        ])
}

/// At the top level the name would mean the `main` that does not wait.
func measure() async {
    await MeshBenchmarks.main()
}

await measure()
