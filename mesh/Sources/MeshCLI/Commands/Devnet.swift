import ArgumentParser
import Foundation
import Multiformats
import NodeAPI
import NodeSetup

/// `mesh devnet`: a mesh of processes on this machine.
struct Devnet: MeshCommand {
    static let configuration = CommandConfiguration(
        abstract: "Start a mesh of several nodes on this machine, each its own process.",
        discussion: """
            The nodes listen on the loopback interface and find each other through the first one. The last ones are \
            executors with different prices and regions; prices are in tokens. All stop at Ctrl-C, at a request to \
            terminate, when one of them ends, when this program is killed, and when standard input ends. With \
            /dev/null as standard input they go on. To change a node's config.json, end the devnet, edit the file, \
            and start it again with the same --base-dir.
            """)

    @OptionGroup var global: GlobalOptions

    @Option(help: "How many nodes, from 1 to 64; by default 4.", transform: Quantity.number("from 1 to 64"))
    var nodes = 4

    @Option(
        help: "How many of them run jobs; by default all but the first, or the only one.",
        transform: Quantity.number("from 0 to that of --nodes"))
    var executors: Int?

    @Option(
        help: """
            Where to put their home folders, which then stay; a later devnet there goes on with their keys, jobs and \
            config.json files. By default a folder that is removed at the end.
            """)
    var baseDir: String?

    @Option(
        help: """
            How much the nodes log: \(LogLevels.names). By default what their config.json says, which is notice at \
            first.
            """, transform: LogLevels.named)
    var logLevel: String?

    func validate() throws {
        guard global.home == nil else {
            throw ValidationError("A devnet makes a home for each of its nodes: --base-dir says where.")
        }
        guard (1...64).contains(nodes) else { throw ValidationError("--nodes must be from 1 to 64.") }
        guard (0...nodes).contains(executors ?? 0) else {
            throw ValidationError("--executors must be from 0 to --nodes, which is \(nodes).")
        }
    }

    func perform(_ console: Console) async throws -> ExitCode {
        umask(0o077)
        let base = baseDir ?? "/tmp/mesh-devnet-\(getpid())"
        var plans = DevnetPlan.plans(
            nodes: nodes, executors: executors ?? DevnetPlan.executorsByDefault(nodes: nodes), base: base)
        let devnet = DevnetProcesses(
            executable: try Self.executable(), interrupts: Interrupts(), logLevel: logLevel)
        defer { if baseDir == nil { try? FileManager.default.removeItem(atPath: base) } }
        var keptCount = 0
        for index in plans.indices where try plans[index].prepare() { keptCount += 1 }
        if let kept = DevnetPlan.kept(keptCount, of: plans.count, base: base) { console.note(kept) }
        try await devnet.run(plans, endsWithInput: true, keepsLogs: baseDir != nil) { [plans] statuses in
            if global.json {
                try console.jsonLine(zip(plans, statuses).map(DevnetNode.init))
            } else {
                console.out(Self.text(plans, statuses, base: baseDir))
            }
        }
        return .success
    }

    /// This program.
    static func executable() throws(NodeServiceError) -> String {
        if let path = try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe") { return path }
        if let path = Bundle.main.executablePath { return path }
        throw NodeServiceError(.internalError, "The path of this program is unknown.")
    }

    /// The table of nodes, and what to do with them; `base` is where their homes stay, if they do.
    static func text(_ plans: [DevnetPlan], _ statuses: [NodeStatus], base: String?) -> String {
        var table = Table([
            ("NODE", .right), ("NAME", .left), ("EXECUTOR", .left), ("REGION", .left), ("BASE", .right),
            ("PER MFUEL", .right), ("HOME", .left),
        ])
        for (plan, status) in zip(plans, statuses) {
            let executor = plan.configuration.executor
            table.add([
                String(plan.index), Readable.short(status.did), executor.isEnabled ? "yes" : "no",
                plan.configuration.region ?? "", executor.isEnabled ? Readable.count(executor.priceBase) : "",
                executor.isEnabled ? Readable.count(executor.pricePerMillionFuel) : "", plan.home.path,
            ])
        }
        let home = plans.first?.home.path ?? ""
        let change =
            base.map { "edit config.json in its home, then start the devnet again with --base-dir \($0)" }
            ?? "start the devnet with --base-dir, which keeps their homes, and see mesh devnet --help"
        return table.text + "\nRun a job with: mesh run --home \(home) MODULE\nCtrl-C stops all nodes. To change a "
            + "node's configuration, \(change).\n"
    }
}

/// A node of a devnet, as JSON.
struct DevnetNode: Encodable {
    let home: String
    let status: NodeStatus
    let region: String?

    init(_ plan: DevnetPlan, _ status: NodeStatus) {
        home = plan.home.path
        self.status = status
        region = plan.configuration.region
    }
}
