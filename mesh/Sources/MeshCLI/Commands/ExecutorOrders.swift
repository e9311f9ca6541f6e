import ArgumentParser
import MeshHTTP
import NodeAPI

/// `mesh pause`: the owner wants the machine back for a while.
struct Pause: MeshCommand {
    static let configuration = CommandConfiguration(
        abstract: "Take no new jobs, and let those that run for others stand still.",
        discussion: """
            Jobs that the node accepted wait for mesh resume, their clocks too. After 60 s they end as this node's \
            failure, and others run them. A pause outlasts restarts of the node; its owner's own submissions to others \
            go on. docs/executors.md in the repository tells more.
            """)

    @OptionGroup var global: GlobalOptions

    func perform(_ console: Console) async throws -> ExitCode {
        try await ExecutorWords.tell(global.node.order(.pause), console, json: global.json)
        return .success
    }
}

/// `mesh drain`: the owner wants to be rid of others' jobs without breaking a promise.
struct Drain: MeshCommand {
    static let configuration = CommandConfiguration(
        abstract: "Take no new jobs, and finish those that were accepted.",
        discussion: "It outlasts restarts of the node; mesh resume ends it. With --wait, mesh returns when nothing is "
            + "left to do, so that the machine can be switched off.")

    @OptionGroup var global: GlobalOptions

    @Flag(help: "Wait until all accepted jobs have ended.")
    var wait = false

    /// How often a waiting drain asks the node, in milliseconds.
    static let askedMilliseconds = 500

    func perform(_ console: Console) async throws -> ExitCode {
        let node = global.node
        var state = try await node.order(.drain)
        var told: UInt64?
        while wait, state.state == "draining" {
            if !global.json, told != state.jobs {
                told = state.jobs
                console.note(ExecutorWords.text(state))
            }
            try await Task.sleep(for: .milliseconds(Self.askedMilliseconds))
            guard let now = try await node.status().executorState else { break }
            state = now
        }
        try ExecutorWords.tell(state, console, json: global.json)
        return .success
    }
}

/// `mesh resume`: ends a pause or a drain.
struct Resume: MeshCommand {
    static let configuration = CommandConfiguration(
        abstract: "Take jobs again, after mesh pause or mesh drain.",
        discussion: "Jobs that stand still go on where they were.")

    @OptionGroup var global: GlobalOptions

    func perform(_ console: Console) async throws -> ExitCode {
        try await ExecutorWords.tell(global.node.order(.resume), console, json: global.json)
        return .success
    }
}

/// What a person reads about the executor of a node.
enum ExecutorWords {
    /// Prints the state after an order.
    static func tell(_ state: ExecutorState, _ console: Console, json: Bool) throws {
        if json { try console.json(state) } else { console.out(text(state) + "\n") }
    }

    /// One sentence.
    static func text(_ state: ExecutorState) -> String {
        let jobs = count(state.jobs)
        switch state.state {
        case "open": return "The node takes jobs."
        case "paused":
            guard state.jobs > 0 else { return "Paused: the node takes no new jobs, and has none." }
            let (verb, them) = state.jobs == 1 ? ("stands", "it") : ("stand", "them")
            let kept = state.keptMilliseconds.map {
                ", for \(Readable.count(($0 + 999) / 1_000)) s yet; then others run \(them)"
            }
            return "Paused: the node takes no new jobs, and \(jobs) \(verb) still\(kept ?? "")."
        case "draining":
            return
                "Draining: the node takes no new jobs, and finishes \(jobs) (\(Readable.count(state.running)) running)."
        case "drained": return "Drained: the node takes no new jobs, and has none."
        case "out_of_hours":
            let has = state.jobs > 0 ? "; \(jobs) \(state.jobs == 1 ? "goes" : "go") on" : ""
            return "The node takes jobs at \(state.hours.joined(separator: ", ")), and not now\(has)."
        case "stopping": return "The node is about to stop."
        default: return "The node runs no jobs for others."
        }
    }

    /// The state in a few words, for a list of facts.
    static func fact(_ state: ExecutorState) -> String {
        let jobs = state.jobs > 0 ? ", \(count(state.jobs)) here" : ""
        let nice = state.nice > 0 ? ", nice \(state.nice)" : ""
        switch state.state {
        case "open":
            let hours = state.hours.isEmpty ? "" : ", at \(state.hours.joined(separator: ", "))"
            return "yes\(hours)\(jobs)\(nice)"
        case "paused": return "paused (mesh resume)\(jobs)\(nice)"
        case "draining": return "draining\(jobs)\(nice)"
        case "drained": return "drained (mesh resume)\(nice)"
        case "out_of_hours": return "not now, at \(state.hours.joined(separator: ", "))\(jobs)\(nice)"
        case "stopping": return "stopping\(jobs)\(nice)"
        default: return "no"
        }
    }

    private static func count(_ jobs: UInt64) -> String { "\(Readable.count(jobs)) \(jobs == 1 ? "job" : "jobs")" }
}
