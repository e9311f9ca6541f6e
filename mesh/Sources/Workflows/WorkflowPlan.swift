package import MeshTypes
package import Multiformats

/// A workflow as it goes on: what is told becomes what is to be done.
///
/// It is a fold of its events. What it begins follows from them, so a crash loses nothing: a plan that was told its
/// journal again knows which jobs it had begun (`again`), and submitting those anew under their keys is harmless. The
/// end of a job may be told again, too. So the journal need not be on the disk before jobs go out; it must only keep
/// its order.
package struct WorkflowPlan: Hashable, Sendable {
    /// Why a stage was left out that the end of the workflow kept from running.
    package static let endedBefore = "the workflow ended before"

    /// The workflow.
    package let definition: WorkflowDefinition
    /// Where it is.
    package private(set) var status = WorkflowStatus.running
    /// Why it failed.
    package private(set) var reason: String?
    /// The stages, in the order of the definition.
    package private(set) var stages: [StagePlan]
    /// Jobs that were begun, all attempts counted.
    package private(set) var jobsBegun = 0
    /// Events that changed something.
    package private(set) var taken: UInt64 = 0
    /// The receipt that was signed last; of an end before the workflow was resumed unless it is closed.
    package private(set) var receiptCID: CID?
    /// Whether it is over and its receipt is signed.
    package private(set) var isClosed = false
    /// Withheld stages that would begin now.
    package private(set) var stopped: Set<String> = []
    private var withheld: Set<String>
    private let order: StageOrder
    private let positions: [String: Int]
    private let limits: WorkflowLimits
    private let parallel: Int
    private var running = 0
    /// Whether what ran when the workflow began to end was cancelled.
    private var hasStopped = false

    /// A plan that has not begun.
    ///
    /// - Parameters:
    ///   - definition: what is to be done.
    ///   - limits: how large it may be.
    ///   - withheld: stages that do not begin but by `giveUp`: for a verifier, which cannot know what was left of a
    ///     budget, or that a folder was out of reach.
    /// - Throws: what is wrong with the definition, which has to name its content by CIDs.
    package init(
        _ definition: WorkflowDefinition, limits: WorkflowLimits = WorkflowLimits(), withheld: Set<String> = []
    ) throws(DefinitionFault) {
        let rules = DefinitionRules(limits)
        if let fault = rules.fault(in: definition) ?? rules.unresolved(in: definition) { throw fault }
        self.definition = definition
        self.limits = limits
        self.withheld = withheld
        order = try StageOrder(definition.stages)
        stages = definition.stages.map(StagePlan.init)
        positions = Dictionary(uniqueKeysWithValues: definition.stages.enumerated().map { ($1.id, $0) })
        parallel = definition.parallel.map { Int(clamping: $0) } ?? limits.parallelUsual
    }

    /// Begins.
    package mutating func begin() -> [PlanEffect] { advance() }

    /// Takes what happened. What is told twice, or too late, changes nothing.
    package mutating func handle(_ event: PlanEvent) -> [PlanEffect] {
        guard take(event) else { return [] }
        taken += 1
        return advance()
    }

    /// Fails a withheld stage that would begin now.
    package mutating func giveUp(_ id: String, because reason: String) -> [PlanEffect] {
        guard stopped.remove(id) != nil, let position = positions[id], stages[position].status == .waiting else {
            return []
        }
        withheld.remove(id)
        fail(position, reason)
        return advance()
    }

    /// What is under way: to be done again after a start.
    package func again() -> [PlanEffect] {
        var effects: [PlanEffect] = []
        for stage in stages {
            switch stage.status {
            case .listing:
                if let folder = folder(of: stage) {
                    effects.append(.list(stage: stage.definition.id, round: stage.round, folder: folder))
                }
            case .gathering: effects.append(.gather(stage: stage.definition.id, round: stage.round))
            case .waiting, .running, .succeeded, .failed, .skipped: break
            }
            for (index, item) in stage.items.enumerated() where item.phase == .running {
                let key = ChildKey(stage: stage.definition.id, item: index, attempt: item.attempt ?? 0)
                effects.append(.submit(key))
                if status != .running { effects.append(.cancel(key)) }
            }
        }
        if status.isOver, !isClosed { effects.append(.finish) }
        return effects
    }

    /// The job of a key, as its manifest has to say; nil if the plan has no such job.
    package func params(of key: ChildKey) -> MeshJobParams? {
        guard let position = positions[key.stage], stages[position].items.indices.contains(key.item),
            let module = try? CID(parsing: stages[position].definition.module)
        else { return nil }
        let stage = stages[position]
        let item = stage.items[key.item]
        let words = stage.definition.forEach == nil ? nil : ChildTemplate.Item(text: item.text, index: key.item)
        return ChildTemplate(stage.definition).params(module: module, item: words) { source in
            source == .item ? item.content : content(of: source)
        }
    }

    /// What the folders of a fan-out's outputs have in them, by the name of the output: those that somebody reads.
    package func gatherings(of id: String) -> [(name: String, entries: [ChildOutput])] {
        guard let position = positions[id] else { return [] }
        return neededOutputs(of: id).map { name in
            let entries = stages[position].items.compactMap { item -> ChildOutput? in
                guard item.phase == .done, let output = item.outputs.first(where: { $0.name == name }) else {
                    return nil
                }
                return ChildOutput(name: item.name, cid: output.cid, isFolder: output.isFolder)
            }
            return (name: name, entries: entries)
        }
    }

    /// What came out, once the workflow is over: an output whose stage was skipped, or did not write it, is missing.
    package var outputs: CanonicalMap<CID> {
        CanonicalMap(definition.outputs.compactMap { output in content(of: output.value).map { (output.key, $0.cid) } })
    }

    /// What was paid for all jobs.
    package var paid: UInt64 { stages.reduce(0) { $0.addingSaturated($1.paid) } }

    /// What is held for jobs that have not ended, or not begun.
    package var held: UInt64 { stages.reduce(0) { $0 + $1.held } }

    /// What is left of the budget; nil if there is none.
    package var left: UInt64? { definition.budget.map { $0 - min($0, paid + held) } }

    /// The stage of a name.
    package func stage(_ id: String) -> StagePlan? { positions[id].map { stages[$0] } }

    /// The item of a key.
    package func item(of key: ChildKey) -> StagePlan.Item? {
        guard let position = positions[key.stage], stages[position].items.indices.contains(key.item) else { return nil }
        return stages[position].items[key.item]
    }

    /// The definition of the stage of a name.
    package func definition(of stage: String) -> StageDefinition? { positions[stage].map { stages[$0].definition } }

    /// How the results of a stage's jobs are checked; nil for the node's default.
    package func verification(of stage: String) -> String? {
        self.definition(of: stage).flatMap(definition.verification(of:))
    }

    /// Which earlier results serve in place of a stage's jobs.
    package func memo(of stage: String) -> MemoRule {
        self.definition(of: stage).map(definition.memo(of:)) ?? .off
    }

    /// The most that is paid to others than the executor of a stage's job for the same work; nil for no bound.
    package func priceOfReplicas(in stage: String) -> UInt64? {
        guard let stage = self.definition(of: stage), let price = stage.jobBudget else { return nil }
        return definition.price(ofJobOf: stage).map { $0 - price }
    }

    /// What must be so after every event; the first thing that is not.
    package func brokenInvariant() -> String? {
        if running != stages.reduce(0, { $0 + $1.running }) { return "the jobs that run are miscounted" }
        if running > parallel { return "\(running) jobs run, more than \(parallel)" }
        if let budget = definition.budget, paid + held > budget { return "\(paid) and \(held) are above \(budget)" }
        if jobsBegun > limits.jobsMax { return "\(jobsBegun) jobs were begun" }
        for stage in stages {
            let phases = stage.items.map(\.phase)
            let counted = phases.count { $0 == .running } == stage.running && phases.count { $0 == .done } == stage.done
            if !counted { return "the items of \(stage.definition.id) are miscounted" }
            if stage.status.isSettled, status == .running, stage.running > 0 {
                return "\(stage.definition.id) is over and runs"
            }
        }
        if status.isOver, running > 0 || held > 0 { return "it is over, and something runs or is held" }
        return nil
    }
}

extension WorkflowPlan {
    /// Takes an event in; `false` if it changes nothing.
    private mutating func take(_ event: PlanEvent) -> Bool {
        switch event {
        case .listed(let id, let round, let entries):
            guard let position = current(id, round, .listing) else { return false }
            list(entries, position)
        case .contentFailed(let id, let round, let reason):
            guard let position = current(id, round, .listing) ?? current(id, round, .gathering) else { return false }
            fail(position, reason)
        case .gathered(let id, let round, let outputs):
            guard let position = current(id, round, .gathering) else { return false }
            stages[position].outputs = outputs
            stages[position].enter(.succeeded)
        case .ended(let key, let end):
            guard let position = positions[key.stage], stages[position].items.indices.contains(key.item),
                stages[position].items[key.item].phase == .running,
                stages[position].items[key.item].attempt == key.attempt
            else { return false }
            self.end(key.item, position, end)
        case .cancelled:
            guard status == .running || status == .failing else { return false }
            status = .cancelling
        case .resumed:
            guard status.isOver else { return false }
            return resume()
        case .receiptSigned(let cid):
            guard status.isOver, !isClosed else { return false }
            (receiptCID, isClosed) = (cid, true)
        }
        return true
    }

    private func current(_ id: String, _ round: Int, _ status: StageStatus) -> Int? {
        guard let position = positions[id], stages[position].round == round, stages[position].status == status else {
            return nil
        }
        return position
    }

    private mutating func list(_ entries: [ChildOutput], _ position: Int) {
        guard entries.count <= limits.itemsMax else {
            return fail(position, "its folder has \(entries.count) entries, more than \(limits.itemsMax)")
        }
        let longest = WorkflowReceipt.Limits().itemNameBytesMax
        guard entries.allSatisfy({ $0.name.utf8.count <= longest }) else {
            return fail(position, "its folder has a name of more than \(longest) bytes")
        }
        let sorted = entries.sorted { $0.name.utf8.lexicographicallyPrecedes($1.name.utf8) }
        start(
            sorted.map { entry in
                StagePlan.Item(
                    name: entry.name, text: entry.name,
                    content: ChildTemplate.Content(cid: entry.cid, isFolder: entry.isFolder))
            }, position)
    }

    /// Gives a stage its items, and holds what they may cost.
    private mutating func start(_ items: [StagePlan.Item], _ position: Int) {
        let price = price(of: stages[position].definition)
        stages[position].begin(items)
        guard let left, let price else { return }
        let (cost, isTooMuch) = price.multipliedReportingOverflow(by: UInt64(items.count))
        guard !isTooMuch, cost <= left else {
            return fail(position, "\(items.count) jobs may cost more than what is left of the budget, \(left)")
        }
        stages[position].held = cost
    }

    private mutating func end(_ index: Int, _ position: Int, _ end: ChildEnd) {
        let definition = stages[position].definition
        running -= 1
        stages[position].running -= 1
        stages[position].paid = stages[position].paid.addingSaturated(end.paid)
        if let price = price(of: definition), self.definition.budget != nil {
            stages[position].held -= min(price, stages[position].held)
        }
        var item = stages[position].items[index]
        (item.jobID, item.receiptCID, item.paid) = (
            end.jobID, end.receiptCID, item.paid.addingSaturated(end.paid)
        )
        item.servedBy = end.servedBy
        switch end.outcome {
        case .exited(let code):
            item.exitCode = code
            let names = StageOutput.names(of: definition)
            item.outputs = end.outputs.filter { names.contains($0.name) }
            item.phase = definition.accept.contains(code) ? .done : .failed(reason: "exit code \(code)")
        case .failed(_, ofMesh: true) where canRepeat(item, position):
            item.retried += 1
            item.phase = .waiting
            stages[position].repeats.append(index)
            if let price = price(of: definition), self.definition.budget != nil { stages[position].held += price }
        case .failed(let reason, _): item.phase = .failed(reason: reason)
        case .cancelled: item.phase = .failed(reason: "it was cancelled")
        }
        stages[position].items[index] = item
        switch item.phase {
        case .done:
            stages[position].done += 1
            if item.servedBy != nil { stages[position].served += 1 }
        case .failed(let reason):
            stages[position].failed += 1
            guard status == .running, definition.onFailure == .fail else { return }
            let name = definition.forEach == nil ? "" : "item \(item.name): "
            fail(position, name + reason)
        case .waiting, .running: break
        }
    }

    private func canRepeat(_ item: StagePlan.Item, _ position: Int) -> Bool {
        let definition = stages[position].definition
        guard status == .running, item.retried < definition.retries, jobsBegun < limits.jobsMax else { return false }
        guard let left, let price = price(of: definition) else { return true }
        return price <= left
    }

    private func price(of stage: StageDefinition) -> UInt64? { definition.price(ofJobOf: stage) }

    /// Fails a stage, and by its rule the workflow.
    private mutating func fail(_ position: Int, _ reason: String) {
        let definition = stages[position].definition
        guard definition.onFailure == .fail else { return stages[position].enter(.skipped, reason) }
        stages[position].enter(.failed, reason)
        guard status == .running else { return }
        status = .failing
        self.reason = "stage \(definition.id): \(reason)"
    }

    /// Has run again what failed or was not run, and all that needs it. `false` if there is nothing.
    private mutating func resume() -> Bool {
        var changed: Set<String> = []
        let before = (status, reason, hasStopped)
        // First, so that a stage whose budget does not do fails the workflow.
        (status, reason, hasStopped) = (.running, nil, false)
        for position in order.indices {
            let stage = stages[position]
            let isDirty = !changed.isDisjoint(with: stage.definition.needs)
            guard isDirty || stage.status != .succeeded || stage.failed > 0 else { continue }
            // What a condition left out stays so unless what it looks at changes.
            if !isDirty, stage.status == .skipped, stage.items.isEmpty, stage.reason == nil { continue }
            changed.insert(stage.definition.id)
            stages[position].round += 1
            (stages[position].outputs, stages[position].repeats) = ([], [])
            if isDirty || stage.items.isEmpty || stage.done == 0 {
                stages[position].nextAttempt = stage.attemptsBegun
                stages[position].begin([])
                stages[position].enter(.waiting)
            } else {
                reopen(position)
            }
        }
        if changed.isEmpty { (status, reason, hasStopped) = before } else { isClosed = false }
        return !changed.isEmpty
    }

    /// Keeps what is done of a stage, and has the rest run again.
    private mutating func reopen(_ position: Int) {
        var stage = stages[position]
        for index in stage.items.indices where stage.items[index].phase != .done {
            stage.items[index].phase = .waiting
            stage.items[index].retried = 0
        }
        (stage.failed, stage.nextItem) = (0, 0)
        stage.enter(.running)
        stages[position] = stage
        guard let left, let price = price(of: stage.definition) else { return }
        let (cost, isTooMuch) = price.multipliedReportingOverflow(by: UInt64(stage.waiting))
        guard !isTooMuch, cost <= left else {
            return fail(position, "what is left of the budget, \(left), does not do for \(stage.waiting) jobs")
        }
        stages[position].held = cost
    }
}

extension WorkflowPlan {
    /// Goes on as far as it can.
    private mutating func advance() -> [PlanEffect] {
        var effects: [PlanEffect] = []
        var hasChanged = true
        while hasChanged, status == .running {
            hasChanged = false
            for position in order.indices where status == .running {
                if stages[position].status == .waiting, begin(position, &effects) { hasChanged = true }
                if stages[position].status == .running { startItems(position, &effects) }
                if stages[position].status == .running, stages[position].isThrough {
                    close(position, &effects)
                    hasChanged = true
                }
            }
        }
        if status != .running, !status.isOver, !hasStopped { stop(&effects) }
        if !status.isOver, running == 0, status != .running || stages.allSatisfy({ $0.status.isSettled }) {
            switch status {
            case .cancelling: status = .cancelled
            case .failing: status = .failed
            default: status = .succeeded
            }
            for position in stages.indices { stages[position].held = 0 }
            effects.append(.finish)
        }
        return effects
    }

    /// Cancels what runs; what has not begun is skipped.
    private mutating func stop(_ effects: inout [PlanEffect]) {
        hasStopped = true
        for position in stages.indices {
            let stage = stages[position]
            for (index, item) in stage.items.enumerated() where item.phase == .running {
                effects.append(
                    .cancel(ChildKey(stage: stage.definition.id, item: index, attempt: item.attempt ?? 0)))
            }
            if !stage.status.isSettled { stages[position].enter(.skipped, Self.endedBefore) }
            stages[position].held = 0
        }
    }

    /// Sees whether a stage can begin; `false` if it has to wait.
    private mutating func begin(_ position: Int, _ effects: inout [PlanEffect]) -> Bool {
        let definition = stages[position].definition
        let needs = definition.needs.compactMap { positions[$0] }.map { stages[$0] }
        guard needs.allSatisfy({ $0.status.isSettled }) else { return false }
        if needs.contains(where: { $0.status != .succeeded }) {
            // It is skipped like what it needs, and has no reason of its own.
            stages[position].enter(.skipped)
            return true
        }
        for condition in definition.when {
            guard let code = positions[condition.stage].flatMap({ stages[$0].exitCode }),
                condition.exitCodes.contains(code)
            else {
                stages[position].enter(.skipped)
                return true
            }
        }
        for (place, source) in definition.sources where source != .item && content(of: source) == nil {
            fail(position, "\(place): the output \(source.text) was not written")
            return true
        }
        if withheld.contains(definition.id) {
            stopped.insert(definition.id)
            return false
        }
        begin(position, definition, &effects)
        return true
    }

    private mutating func begin(_ position: Int, _ definition: StageDefinition, _ effects: inout [PlanEffect]) {
        switch definition.forEach {
        case nil: start([StagePlan.Item(name: definition.id, text: "")], position)
        case .list(let texts): start(Self.numbered(texts), position)
        case .range(let first, let last): start(Self.numbered((first...last).map(String.init)), position)
        case .folder:
            guard let folder = folder(of: stages[position]) else { return fail(position, "its folder is not known") }
            stages[position].status = .listing
            effects.append(.list(stage: definition.id, round: stages[position].round, folder: folder))
        }
    }

    /// Items whose names are their numbers, of equal length, so that folders have them in order.
    private static func numbered(_ texts: [String]) -> [StagePlan.Item] {
        let width = String(max(0, texts.count - 1)).count
        return texts.enumerated().map { index, text in
            let number = String(index)
            return StagePlan.Item(name: String(repeating: "0", count: width - number.count) + number, text: text)
        }
    }

    private mutating func startItems(_ position: Int, _ effects: inout [PlanEffect]) {
        while running < parallel {
            guard let index = stages[position].takeNext() else { return }
            guard jobsBegun < limits.jobsMax else {
                (status, reason) = (.failing, "it had \(jobsBegun) jobs, the most that a workflow may have")
                return
            }
            let attempt = stages[position].items[index].attempt.map { $0 + 1 } ?? stages[position].nextAttempt
            stages[position].items[index].attempt = attempt
            stages[position].attemptsBegun = max(stages[position].attemptsBegun, attempt + 1)
            stages[position].items[index].phase = .running
            stages[position].running += 1
            running += 1
            jobsBegun += 1
            effects.append(
                .submit(ChildKey(stage: stages[position].definition.id, item: index, attempt: attempt)))
        }
    }

    /// Ends a stage whose items all have their end.
    private mutating func close(_ position: Int, _ effects: inout [PlanEffect]) {
        let stage = stages[position]
        if stage.definition.forEach == nil {
            guard let item = stage.items.first, item.phase == .done else {
                return stages[position].enter(.skipped, Self.reason(stage.items.first))
            }
            stages[position].outputs = item.outputs
            return stages[position].enter(.succeeded)
        }
        if stage.done == 0, stage.failed > 0 { return stages[position].enter(.skipped, "every item failed") }
        if neededOutputs(of: stage.definition.id).isEmpty { return stages[position].enter(.succeeded) }
        stages[position].status = .gathering
        effects.append(.gather(stage: stage.definition.id, round: stage.round))
    }

    private static func reason(_ item: StagePlan.Item?) -> String? {
        if case .failed(let reason)? = item?.phase { return reason }
        return nil
    }

    /// The outputs of a stage that a stage or the workflow reads.
    private func neededOutputs(of id: String) -> [String] {
        let all = definition.stages.flatMap { $0.sources.map(\.source) } + definition.outputs.map(\.value)
        var names: Set<String> = []
        for case .output(id, let name) in all { names.insert(name) }
        return names.sorted()
    }

    private func folder(of stage: StagePlan) -> CID? {
        guard case .folder(let source) = stage.definition.forEach else { return nil }
        return content(of: source)?.cid
    }

    private func content(of source: WorkflowSource) -> ChildTemplate.Content? {
        switch source {
        case .input(let name):
            guard let input = definition.inputs[name], let cid = try? CID(parsing: input.source) else { return nil }
            return ChildTemplate.Content(cid: cid.version1, isFolder: input.isFolder)
        case .output(let id, let name):
            guard let position = positions[id], stages[position].status == .succeeded,
                let output = stages[position].outputs.first(where: { $0.name == name })
            else { return nil }
            return ChildTemplate.Content(cid: output.cid, isFolder: output.isFolder)
        case .item: return nil
        }
    }
}

extension UInt64 {
    fileprivate func addingSaturated(_ other: UInt64) -> UInt64 {
        let (sum, isTooMuch) = addingReportingOverflow(other)
        return isTooMuch ? .max : sum
    }
}
