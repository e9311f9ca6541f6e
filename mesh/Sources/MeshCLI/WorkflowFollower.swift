import Foundation
import Multiformats
import NodeAPI
import Workflows

/// Follows a workflow to its end, shows how far its stages are, and passes the user's interrupt on to it.
struct WorkflowFollower {
    /// How following ended.
    enum End {
        /// The workflow is over.
        case ended(WorkflowView)
        /// The user stopped following it, by this signal.
        case left(Int32)
    }

    private enum Signal {
        case view(WorkflowView)
        case failure(NodeServiceError)
        case interrupt(Int32)
    }

    /// Looks that follow each other as fast as something happens; from then on there is a pause between two.
    static let quickLooksMax = 64
    /// The pause, in milliseconds.
    static let pauseMilliseconds = 50

    private let node: any NodeService
    private let id: CID
    private var line: LiveLine
    private var told: [String: StageStatus] = [:]

    init(node: any NodeService, id: CID, line: LiveLine) {
        self.node = node
        self.id = id
        self.line = line
    }

    /// Follows until the end, or until the user interrupts twice.
    mutating func follow() async throws -> End {
        let interrupts = Interrupts()
        let (signals, sink) = AsyncStream.makeStream(of: Signal.self, bufferingPolicy: .bufferingNewest(8))
        return try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { [node, id] in await Self.look(at: id, on: node, sink) }
            group.addTask { for await number in interrupts.signals { sink.yield(.interrupt(number)) } }
            defer { group.cancelAll() }
            return try await consume(signals)
        }
    }

    /// Tells how a workflow is whenever something happened to it.
    private static func look(
        at id: CID, on node: any NodeService, _ sink: AsyncStream<Signal>.Continuation
    ) async {
        var version: UInt64?
        for number in 1... {
            do throws(NodeServiceError) {
                let view = try await node.workflow(id, past: version)
                version = view.version
                sink.yield(.view(view))
                if view.isOver { return }
            } catch {
                sink.yield(.failure(error))
                return
            }
            guard number > quickLooksMax else { continue }
            guard (try? await Task.sleep(for: .milliseconds(pauseMilliseconds))) != nil else { return }
        }
    }

    private mutating func consume(_ signals: AsyncStream<Signal>) async throws -> End {
        var isCancelled = false
        defer { line.clear() }
        for await signal in signals {
            switch signal {
            case .view(let view):
                tell(view)
                if view.isOver { return .ended(view) }
            case .failure(let error): throw error
            case .interrupt(let number):
                if isCancelled { return .left(number) }
                isCancelled = true
                line.keep("cancel   every job of the workflow is being cancelled; interrupt again to leave at once")
                // It may be over by now: the next look tells.
                if try await !node.workflow(id).isOver { _ = try await node.obey(.cancel, of: id) }
            }
        }
        throw CancellationError()
    }

    private mutating func tell(_ view: WorkflowView) {
        for stage in view.stages where stage.status != .waiting && told[stage.id] != stage.status {
            told[stage.id] = stage.status
            if stage.status.isSettled { line.keep("stage    " + WorkflowWords.stage(stage)) }
        }
        line.show(fitting: { WorkflowWords.standing(view, columns: $0) })
    }
}

/// What people read about workflows.
enum WorkflowWords {
    /// A stage in a line.
    static func stage(_ stage: WorkflowStageView) -> String {
        var words = "\(stage.id): \(stage.status.rawValue)"
        if stage.items > 1 { words += ", \(stage.done) of \(stage.items) done" }
        if let served = stage.served { words += ", \(served) by earlier results" }
        if stage.failed > 0 { words += ", \(stage.failed) failed" }
        if let reason = stage.reason { words += " (\(reason))" }
        return words
    }

    /// How far the stages are that are under way, and what it has cost. Stages that do not fit are counted: what it has
    /// cost stays in sight.
    static func standing(_ view: WorkflowView, columns: Int) -> String {
        let stages = view.stages.filter { !$0.status.isSettled && $0.status != .waiting }.map { stage in
            stage.items == 0 ? "\(stage.id) …" : "\(stage.id) \(stage.done + stage.failed)/\(stage.items)"
        }
        let left = view.left.map { ", left of the budget \(Readable.tokens($0))" } ?? ""
        let paid = "paid \(Readable.tokens(view.paid))"
        func line(_ shown: Int, _ cost: String) -> String {
            let more = stages.count - shown
            let rest = more == 0 ? [] : ["+\(more) \(more == 1 ? "stage" : "stages")"]
            return (stages.prefix(shown) + rest + [cost]).joined(separator: "  ")
        }
        for cost in [paid + left, paid] {
            for shown in (min(1, stages.count)...stages.count).reversed() {
                let line = line(shown, cost)
                if line.count <= columns { return line }
            }
        }
        return line(0, paid)
    }

    /// A table of items; where results of earlier jobs served, with those who had run these.
    static func items(_ items: [WorkflowItemView]) -> String {
        let haveServed = items.contains { $0.servedBy != nil }
        var table = Table(
            [
                ("STAGE", .left), ("ITEM", .left), ("PHASE", .left), ("EXIT", .right), ("JOB", .left),
                ("STDOUT", .left),
            ] + (haveServed ? [("SERVED BY", .left)] : []))
        for item in items {
            table.add(
                [
                    item.stage, item.item, item.phase, item.exitCode.map(String.init) ?? "",
                    item.jobID.map(Readable.short) ?? "", item.outputs.first { $0.name == "stdout" }?.cid ?? "",
                ] + (haveServed ? [item.servedBy.map(Readable.short) ?? ""] : []))
        }
        return table.text
    }

    /// A line for each item that is over, or under way: by which job, and whose receipt served where none was run.
    static func story(_ items: [WorkflowItemView]) -> String {
        items.filter { $0.phase != "waiting" }.map { item in
            let name = item.item.isEmpty ? item.stage : "\(item.stage) \(item.item)"
            let (job, receipt) = (item.jobID ?? "none", item.receiptCID.map { ", receipt \($0)" } ?? "")
            let how =
                item.servedBy.map { "no job was run: the result of the job \(job) served\(receipt) by \($0)" }
                ?? "job \(job)\(receipt)"
            return Terminal.safe("\(name): \(item.phase), \(how)\(item.reason.map { "; \($0)" } ?? "")") + "\n"
        }.joined()
    }

    /// The page of a workflow.
    static func page(_ view: WorkflowView) -> String {
        // Where a stage leaves out what fails, the workflow succeeds all the same.
        let failed = view.stages.reduce(0) { $0 + $1.failed }
        let isAll = view.stages.allSatisfy { $0.done == 0 }
        let all = failed == 1 ? "its one item failed and was left out" : "all \(failed) items failed and were left out"
        let left = isAll ? ", but \(all)" : ", without \(failed) that failed"
        let leftOut = failed > 0 && view.status == .succeeded ? left : ""
        var facts = [("workflow", view.workflowID), ("status", view.status.rawValue + leftOut)]
        if !view.name.isEmpty { facts.insert(("name", view.name), at: 1) }
        if let reason = view.reason { facts.append(("reason", reason)) }
        let served = view.stages.compactMap(\.served).reduce(0, +)
        if served > 0 { facts.append(("served", "\(served) by results of earlier jobs")) }
        facts.append(("paid", Readable.tokens(view.paid)))
        if let budget = view.budget {
            facts.append(("budget", Readable.tokens(budget)))
            facts.append(("held", Readable.tokens(view.held)))
            facts.append(("left", Readable.tokens(view.left ?? 0)))
        }
        if let receipt = view.receiptCID { facts.append(("receipt", receipt)) }
        for output in view.outputs { facts.append(("output \(output.name)", output.cid)) }
        var table = Table([
            ("STAGE", .left), ("STATUS", .left), ("ITEMS", .right), ("DONE", .right), ("FAILED", .right),
            ("PAID", .right), ("REASON", .left),
        ])
        for stage in view.stages {
            table.add([
                stage.id, stage.status.rawValue, String(stage.items), String(stage.done), String(stage.failed),
                Readable.tokens(stage.paid), stage.reason ?? "",
            ])
        }
        return Table.facts(facts) + "\n" + table.text
    }
}
