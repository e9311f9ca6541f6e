import ArgumentParser
import MeshSimulation

/// The simulator on the command line.
struct MeshSimulator: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "mesh-sim",
        abstract: "Plays the market, its network and its issuers from a seed: rounds, unless a command is named.",
        subcommands: [RoundsCommand.self, MarketCommand.self], defaultSubcommand: RoundsCommand.self)
}

/// Rounds of the job market with the real cores in a virtual world.
struct RoundsCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "rounds",
        abstract: "Runs rounds of the job market in a virtual network; the same seed gives the same trace.")

    @Option(help: "The first seed.")
    var seed: UInt64 = 1

    @Option(help: "How many seeds to run, one after the other.")
    var seeds: UInt64 = 1

    @Option(help: "Nodes; every other one executes, the first fifth also originates.")
    var nodes = 50

    @Option(help: "Jobs per round; with a strategy, for every twenty executors.")
    var jobs = 20

    @Option(help: "Messages lost, in percent.")
    var loss = 10

    @Option(help: "Nodes killed while jobs run.")
    var crashes = 4

    @Option(help: "Nodes paused while jobs run.")
    var pauses = 4

    @Option(help: "Connections that die for one of their ends alone, or unseen by both.")
    var cuts = 6

    @Option(help: "Times at which the network falls into two parts.")
    var partitions = 1

    @Option(help: "Play a situation instead of a round: \(Situation.allCases.map(\.rawValue).joined(separator: ", ")).")
    var situation: Situation?

    @Option(help: "Play a round of composite jobs among cheats instead, as many as this; see HACKING.md.")
    var composite: Int?

    @Option(
        help: """
            Play a round against one executor in twenty that lies, on --jobs jobs, instead; repeat it for several: \
            \(StrategyScenario.Strategy.allCases.map(\.rawValue).joined(separator: ", ")).
            """)
    var strategy: [StrategyScenario.Strategy] = []

    @Option(help: "Keys of a strategy: each comes when the one before was proved a liar.")
    var keys = 3

    @Flag(help: "Play a round against each of these strategies, one after the other.")
    var strategies = false

    @Option(help: "Play this many rounds of two cooperatives with issuers and cheats instead; see HACKING.md.")
    var issuers: UInt64?

    @Flag(help: "Let no executor advertise, which makes long rounds cheaper.")
    var silent = false

    @Flag(help: "Run every seed twice and compare the traces.")
    var twice = false

    @Flag(help: "One JSON object per round.")
    var json = false

    func validate() throws {
        guard (2...10_000).contains(nodes) else { throw ValidationError("--nodes must be from 2 to 10000") }
        guard (0...90).contains(loss) else { throw ValidationError("--loss must be from 0 to 90 percent") }
        guard (1...100_000).contains(jobs) else { throw ValidationError("--jobs must be from 1 to 100000") }
        guard (0...nodes).contains(crashes), (0...nodes).contains(pauses) else {
            throw ValidationError("--crashes and --pauses must be from 0 to the number of nodes")
        }
        guard (0...10_000).contains(cuts), (0...100).contains(partitions) else {
            throw ValidationError("--cuts must be from 0 to 10000, --partitions from 0 to 100")
        }
        guard (1...10_000).contains(composite ?? 1) else {
            throw ValidationError("--composite must be from 1 to 10000")
        }
        guard (1...1_000_000).contains(issuers ?? 1), issuers == nil || seeds == 1 else {
            throw ValidationError("--issuers must be from 1 to 1000000, and takes the place of --seeds")
        }
        guard (1...1_000_000).contains(seeds) else { throw ValidationError("--seeds must be from 1 to 1000000") }
    }

    func run() throws {
        let strategies = strategies ? StrategyScenario.Strategy.allCases : strategy
        if !strategies.isEmpty { return try play(strategies) }
        if let issuers { return try playIssuers(issuers) }
        var failures = 0
        for number in 0..<seeds {
            let report = try play(seed &+ number)
            print(json ? report.json : report.summary)
            var isGood = report.violations.isEmpty
            if twice {
                let again = try play(seed &+ number)
                isGood = isGood && again == report
                if again != report { print("seed \(report.seed): the second run differs, trace \(again.trace)") }
            }
            if !isGood { failures += 1 }
        }
        if failures > 0 {
            print("\(failures) of \(seeds) rounds failed")
            throw ExitCode(1)
        }
    }

    private func play(_ strategies: [StrategyScenario.Strategy]) throws {
        var isGood = true
        for strategy in strategies {
            var reports: [StrategyReport] = []
            for number in 0..<seeds {
                var scenario = StrategyScenario(strategy, seed: seed &+ number)
                (scenario.jobs, scenario.keys) = (jobs, keys)
                let report = try scenario.run()
                print(report.summary)
                isGood = isGood && report.violations.isEmpty
                reports.append(report)
            }
            guard reports.count > 1 else { continue }
            let means = StrategyMeans(reports)
            print(means.summary)
            isGood = isGood && means.violations.isEmpty
        }
        if !isGood { throw ExitCode(1) }
    }

    private func playIssuers(_ rounds: UInt64) throws {
        var failures = 0
        for number in 0..<rounds {
            let report = try IssuerScenario(seed: seed &+ number).run()
            print(json ? report.json : report.summary)
            var isGood = report.violations.isEmpty
            if twice { isGood = try IssuerScenario(seed: seed &+ number).run() == report && isGood }
            if !isGood { failures += 1 }
        }
        if failures > 0 {
            print("\(failures) of \(rounds) rounds failed")
            throw ExitCode(1)
        }
    }

    private func play(_ seed: UInt64) throws -> MarketReport {
        if let situation { return try situation.run(seed: seed) }
        if let composite { return try MarketScenario.composite(seed: seed, jobs: composite).run() }
        var scenario = MarketScenario(seed: seed, lossPermille: loss * 10)
        scenario.nodes = nodes
        scenario.jobs = jobs
        scenario.checksMesh = true
        scenario.advertises = !silent
        scenario.faults.crashes = crashes
        scenario.faults.pauses = pauses
        scenario.faults.cuts = cuts
        scenario.faults.partitions = partitions
        return try scenario.run()
    }
}

extension Situation: ExpressibleByArgument {}
extension StrategyScenario.Strategy: ExpressibleByArgument {}

MeshSimulator.main()
