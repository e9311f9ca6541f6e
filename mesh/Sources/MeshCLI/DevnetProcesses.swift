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
        // What other starts logged says nothing about this one.
        let begin = max(0, lseek(log, 0, SEEK_END))
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
            return Self.ending(
                result.terminationStatus, lastLine: Self.lastLine(of: plan.home.logPath, from: UInt64(begin)))
        } catch {
            return NodeServiceError(.internalError, "the program \(executable) could not be started.")
        }
    }

    /// The last line that a node logged since its log had a length; nil if there is none.
    static func lastLine(of log: String, from begin: UInt64) -> String? {
        guard let file = FileHandle(forReadingAtPath: log), let end = try? file.seekToEnd(), end > begin else {
            return nil
        }
        let bytesMax: UInt64 = 4_096
        guard (try? file.seek(toOffset: max(begin, end - min(end, bytesMax)))) != nil,
            let tail = try? file.read(upToCount: Int(bytesMax))
        else { return nil }
        return String(decoding: tail, as: UTF8.self).split(separator: "\n").last.map(String.init)
    }

    /// How a node ended: in its own words, else by the last line it logged.
    private static func ending(_ status: TerminationStatus, lastLine: String?) -> NodeServiceError {
        switch status {
        case .exited(let code): ending("exit code \(code)", isStop: code == 0, lastLine: lastLine)
        case .signaled(let signal): ending("signal \(signal)", isStop: false, lastLine: lastLine)
        }
    }

    /// The same, from what the system tells; a node that was stopped left nothing to explain.
    static func ending(_ manner: String, isStop: Bool, lastLine: String?) -> NodeServiceError {
        guard !isStop else {
            return NodeServiceError(
                .shuttingDown, "it was stopped, and a devnet ends with any of its nodes.",
                hint: "To change a node's config.json, end the devnet with Ctrl-C, edit the file and start the devnet "
                    + "again with the same --base-dir.")
        }
        let last = lastLine ?? "its log is empty"
        if let told = try? MeshJSON.decode(CommandFailure.self, from: Array(last.utf8)) { return told.error }
        return NodeServiceError(.internalError, "\(manner), \(last).")
    }
}
