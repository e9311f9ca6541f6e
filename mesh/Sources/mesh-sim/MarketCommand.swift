import ArgumentParser
import Foundation
import MeshSimulation

/// `mesh-sim market`: what strategies earn among members of several issuers, over many seeds.
struct MarketCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "market",
        abstract: "Plays members of issuers, some of whom cheat, over many seeds, and says what that earns.",
        discussion: """
            The books, the ranking of bids, prices, reputations and records are the product's; docs/economics.md says \
            what is not. Of each fifty nodes in a row one plays each strategy. With four seeds or more the gains are \
            compared with those of honest nodes of the same rounds, by one-sided tests, corrected by Holm, at 95 %. \
            It ends with 1 if an invariant was violated.
            """)

    @Option(help: "The first seed.")
    var seed: UInt64 = 1

    @Option(help: "How many seeds to play.")
    var seeds: UInt64 = 1

    @Option(help: "Members, from 50.")
    var nodes = 1_000

    @Option(help: "Jobs of each, one in a round of an hour.")
    var jobs = 8

    @Option(help: "Write the pictures economics-means.svg and economics-seeds.svg to this folder.")
    var plots: String?

    @Flag(
        help: """
            Let friends and socks show receipts that they paid, as if each had been booked and the pay had come back \
            unseen: more than cheats can have.
            """)
    var hearsay = false

    @Flag(help: "Let the books check every signature, as nodes do: the same report, in more time.")
    var signatures = false

    @Flag(help: "Play every seed twice and compare the reports.")
    var twice = false

    @Flag(help: "One JSON object per seed, and nothing else.")
    var json = false

    func validate() throws {
        guard (50...10_000).contains(nodes) else { throw ValidationError("--nodes must be from 50 to 10000") }
        guard (1...1_000).contains(jobs) else { throw ValidationError("--jobs must be from 1 to 1000") }
        guard (1...1_000_000).contains(seeds) else { throw ValidationError("--seeds must be from 1 to 1000000") }
        guard plots == nil || seeds >= 4 else { throw ValidationError("--plots needs 4 seeds at least") }
    }

    private func tell(_ text: String) { FileHandle.standardError.write(Data((text + "\n").utf8)) }

    private var command: String {
        "mesh-sim market --seed \(seed) --seeds \(seeds) --nodes \(nodes) --jobs \(jobs)"
            + (hearsay ? " --hearsay" : "")
    }

    func run() throws {
        let scenario = try EconomyScenario(
            nodes: nodes, jobs: jobs, hasHearsay: hearsay, checksSignatures: signatures)
        var reports: [EconomyReport] = []
        var failures = 0
        for number in 0..<seeds {
            // Whatever stops the process stands behind its seed.
            tell("seed \(seed &+ number), \(number + 1) of \(seeds)")
            let report = try scenario.run(seed: seed &+ number)
            reports.append(report)
            if json { print(report.json) } else if seeds < 4 { print(report.summary) }
            var isGood = report.violations.isEmpty
            if !isGood { tell(report.summary) }
            if twice { isGood = try scenario.run(seed: seed &+ number) == report && isGood }
            if !isGood { failures += 1 }
        }
        if reports.count >= 4 { try tell(of: reports) }
        if failures > 0 {
            tell("\(failures) of \(seeds) seeds failed")
            throw ExitCode(1)
        }
    }

    private func tell(of reports: [EconomyReport]) throws {
        let statistics = EconomyStatistics(reports)
        if !json {
            print("`\(command)`\n\n| parameter | value |\n| --- | --- |")
            for row in EconomyTerms.rows { print("| \(row.name) | \(row.value) |") }
            print("\n\(statistics.table)\n\n\(EconomyReport.totals(reports))")
        }
        guard let plots else { return }
        let plot = EconomyPlot(statistics, command: command)
        for (name, text) in [("economics-means.svg", plot.means), ("economics-seeds.svg", plot.seeds)] {
            try text.write(toFile: plots + "/" + name, atomically: true, encoding: .utf8)
        }
    }
}
