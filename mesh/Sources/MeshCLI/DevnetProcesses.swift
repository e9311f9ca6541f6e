import Foundation
import MeshHTTP
import NodeAPI
import Subprocess
import SystemPackage

/// Starts the nodes of a devnet as processes and stops them all together.
///
/// Every node's standard input is a pipe from this process, and the node stops when it closes, so none outlives this
/// process, even if it is killed.
struct DevnetProcesses: Sendable {
    /// How long a node may take to close its store before it is killed.
    static let graceSeconds: Int64 = 5

    private enum Event: Sendable {
        case ready(Int, NodeStatus)
        case ended(Int, NodeServiceError)
        case stop
    }

    let executable: String
    /// The signals that ask for the end; listened to before the first node is made.
    let interrupts: Interrupts
    /// How much the nodes log; nil leaves it to their configurations.
    let logLevel: String?

    /// Runs the nodes until the user asks for the end; calls `started` once all are up.
    ///
    /// - Throws: if a node cannot be started or ends by itself.
    func run(
        _ plans: [DevnetPlan], endsWithInput: Bool, keepsLogs: Bool, started: ([NodeStatus]) async throws -> Void
    ) async throws {
        // BOUNDED: each node is up once and ends once, and a user can interrupt only so often.
        let (events, sink) = AsyncStream.makeStream(of: Event.self)
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { for await _ in interrupts.signals { sink.yield(.stop) } }
            if endsWithInput {
                group.addTask {
                    await InputEnd().wait()
                    sink.yield(.stop)
                }
            }
            // The first node starts alone: the others need its address.
            var waiting = plans
            var statuses: [Int: NodeStatus] = [:]
            if let first = waiting.first {
                waiting.removeFirst()
                group.addTask { sink.yield(.ended(first.index, await self.run(first, bootstrap: [], sink))) }
            }
            for await event in events {
                switch event {
                case .ready(let index, let status):
                    statuses[index] = status
                    for plan in waiting {
                        let bootstrap = status.addresses
                        group.addTask {
                            sink.yield(.ended(plan.index, await self.run(plan, bootstrap: bootstrap, sink)))
                        }
                    }
                    waiting = []
                    if statuses.count == plans.count { try await started(plans.compactMap { statuses[$0.index] }) }
                case .ended(let index, let reason):
                    let log = plans[index].home.logPath
                    let advice = keepsLogs ? "Its log is \(log)." : "Give --base-dir to keep its log."
                    throw NodeServiceError(
                        reason.code, "Node \(index) ended: \(reason.message)", hint: reason.hint ?? advice)
                case .stop:
                    group.cancelAll()
                    return
                }
            }
        }
    }

    /// Runs one node until it ends, and returns how it ended; reports when it is up.
    private func run(
        _ plan: DevnetPlan, bootstrap: [String], _ sink: AsyncStream<Event>.Continuation
    ) async -> NodeServiceError {
        let log = open(plan.home.logPath, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o600)
        guard log >= 0 else {
            return NodeServiceError(.internalError, "\(plan.home.logPath): \(String(cString: strerror(errno))).")
        }
        var options = PlatformOptions()
        options.teardownSequence = [.gracefulShutDown(allowedDurationToNextStep: .seconds(Self.graceSeconds))]
        let arguments =
            ["up", "--home", plan.home.path, "--json", "--until-input-ends"]
            + bootstrap.flatMap { ["--bootstrap", $0] } + (logLevel.map { ["--log-level", $0] } ?? [])
        do {
            let result = try await Subprocess.run(
                .path(.init(executable)), arguments: .init(arguments), platformOptions: options, input: .inputWriter,
                output: .sequence, error: .fileDescriptor(.init(rawValue: log), closeAfterSpawningProcess: true)
            ) { execution in
                for try await line in execution.standardOutput.strings() {
                    guard let status = try? MeshJSON.decode(NodeStatus.self, from: Array(line.utf8)) else { continue }
                    sink.yield(.ready(plan.index, status))
                }
            }
            return Self.ending(result.terminationStatus, log: plan.home.logPath)
        } catch {
            return NodeServiceError(.internalError, "the program \(executable) could not be started.")
        }
    }

    /// How a node ended: in its own words, else by the last line it logged.
    private static func ending(_ status: TerminationStatus, log: String) -> NodeServiceError {
        let text = FileManager.default.contents(atPath: log).map { String(decoding: $0.suffix(4_096), as: UTF8.self) }
        let last = text?.split(separator: "\n").last.map(String.init) ?? "its log is empty"
        if let told = try? MeshJSON.decode(CommandFailure.self, from: Array(last.utf8)) { return told.error }
        switch status {
        case .exited(let code): return NodeServiceError(.internalError, "exit code \(code), \(last).")
        case .signaled(let signal): return NodeServiceError(.internalError, "signal \(signal), \(last).")
        }
    }
}
