import MeshTypes
import Multiformats
import SignedObjects

/// The plan, told again what the receipts say.
extension WorkflowExamination {
    /// What of a plan is under way.
    private struct Course {
        var plan: WorkflowPlan
        var effects: [PlanEffect]
        /// Failures that end the workflow: told last, since what is recorded of the others came before.
        var failures: [PlanEvent] = []
        /// Stages that failed before their first item, by the originator's word, and why.
        var reasons: [String: String] = [:]
        /// Jobs that were not run.
        var notRun: [ChildKey] = []
        /// Whether something is missing without which it cannot go on.
        var isStuck = false
        var position = 0
        /// Jobs whose receipts were held against the plan.
        var checked = 0

        mutating func stop() { isStuck = true }

        mutating func tell(_ event: PlanEvent) { effects += plan.handle(event) }
    }

    /// Lets the plan go on by what is recorded, and compares what it comes to.
    mutating func replay(_ receipt: WorkflowReceipt, _ manifest: WorkflowManifest, _ records: [String: [ItemRecord]]) {
        guard receipt.stages.map({ ExactText($0.id) }) == manifest.definition.stages.map({ ExactText($0.id) }) else {
            return fail(.items, "its stages are others than those of the plan")
        }
        guard var course = course(receipt, manifest) else { return }
        while !course.plan.status.isOver {
            while course.position < course.effects.count, !(course.isStuck && isRefuted) {
                course.position += 1
                step(course.effects[course.position - 1], &course, receipt, records)
            }
            if course.plan.status.isOver || !goOn(&course, receipt) { break }
        }
        conclude(course, receipt, records)
    }

    private mutating func course(_ receipt: WorkflowReceipt, _ manifest: WorkflowManifest) -> Course? {
        var definition = manifest.definition
        var limits = WorkflowLimits()
        // What ran beside what is not recorded: here everything may.
        (definition.parallel, limits.parallelUsual) = (nil, limits.jobsMax)
        var reasons: [String: String] = [:]
        for stage in receipt.stages where stage.items == 0 && stage.status != .succeeded {
            if let reason = stage.reason, reason != WorkflowPlan.endedBefore { reasons[stage.id] = reason }
        }
        do {
            var plan = try WorkflowPlan(definition, limits: limits, withheld: Set(reasons.keys))
            let effects = plan.begin()
            return Course(plan: plan, effects: effects, reasons: reasons)
        } catch {
            fail(.plan, "the plan is not well formed: \(error.path): \(error.message)")
            return nil
        }
    }

    /// Ends what is left once nothing else can go on; `false` if there is nothing to end.
    private mutating func goOn(_ course: inout Course, _ receipt: WorkflowReceipt) -> Bool {
        if course.isStuck { return false }
        let stopped = course.plan.stopped.sorted()
        let skipped = stopped.first { course.plan.definition(of: $0)?.onFailure == .skip }
        if let skipped {
            giveUp(skipped, &course)
        } else if receipt.status == .cancelled, course.plan.status == .running {
            course.tell(.cancelled)
        } else if let failing = stopped.first, course.plan.status == .running {
            giveUp(failing, &course)
        } else if !course.failures.isEmpty {
            course.tell(course.failures.removeFirst())
        } else if !course.notRun.isEmpty, course.plan.status != .running {
            course.tell(.ended(course.notRun.removeFirst(), ChildEnd(.cancelled)))
        } else {
            return false
        }
        return true
    }

    private mutating func giveUp(_ stage: String, _ course: inout Course) {
        let reason = course.reasons[stage] ?? ""
        miss(.words, "\(stage) failed by the originator's word: \(reason)")
        course.effects += course.plan.giveUp(stage, because: reason)
    }

    private mutating func step(
        _ effect: PlanEffect, _ course: inout Course, _ receipt: WorkflowReceipt, _ records: [String: [ItemRecord]]
    ) {
        switch effect {
        case .list(let stage, let round, let folder):
            guard let entries = entries(of: folder, "the folder of \(stage)") else { return course.stop() }
            course.tell(.listed(stage: stage, round: round, entries: entries))
        case .gather(let stage, let round): gather(stage, round, &course, receipt)
        case .submit(let key): submit(key, &course, receipt, records)
        case .cancel, .finish: break
        }
    }

    private mutating func submit(
        _ key: ChildKey, _ course: inout Course, _ receipt: WorkflowReceipt, _ records: [String: [ItemRecord]]
    ) {
        let items = records[key.stage] ?? []
        guard let name = course.plan.item(of: key)?.name else { return }
        guard items.indices.contains(key.item), items[key.item].end != .notRun else {
            let stage = receipt.stages.first { $0.id == key.stage }
            if receipt.status == .succeeded, stage?.status == .skipped, let reason = stage?.reason, !items.isEmpty {
                // What was left of a budget when it was taken up again is not known here.
                miss(.words, "\(key.stage) was not finished by the originator's word: \(reason)")
                course.isStuck = true
            } else if stage?.status == .succeeded || receipt.status == .succeeded {
                fail(.items, "\(key.stage) has no result for its item \(name)")
                course.isStuck = true
            }
            return course.notRun.append(key)
        }
        let record = items[key.item]
        guard record.name.isSameBytes(as: name) else {
            fail(.items, "an item of \(key.stage) is called \(record.name), by the plan \(name)")
            return course.stop()
        }
        guard let end = end(of: record, key, course.plan, receipt.originatorDID) else { return course.stop() }
        if end.receiptCID != nil { course.checked += 1 }
        if record.end == .failed, course.plan.definition(of: key.stage)?.onFailure == .fail {
            course.failures.append(.ended(key, end))
        } else {
            course.tell(.ended(key, end))
        }
    }

    /// Holds the folders of a fan-out against what its items made.
    private mutating func gather(_ id: String, _ round: Int, _ course: inout Course, _ receipt: WorkflowReceipt) {
        guard let stage = receipt.stages.first(where: { $0.id == id }) else { return course.stop() }
        guard stage.status == .succeeded else {
            let reason = stage.reason ?? "no reason is given"
            // The end of the workflow, which comes last, leaves it as it is.
            if receipt.status != .succeeded, reason == WorkflowPlan.endedBefore { return }
            miss(.words, "\(id) has no outputs by the originator's word: \(reason)")
            let event = PlanEvent.contentFailed(stage: id, round: round, reason: reason)
            guard course.plan.definition(of: id)?.onFailure == .fail else { return course.tell(event) }
            return course.failures.append(event)
        }
        var outputs: [ChildOutput] = []
        for (name, made) in course.plan.gatherings(of: id) {
            guard let folder = stage.folders[name] else {
                fail(.folders, "\(id) has no folder \(name)")
                return course.stop()
            }
            guard let entries = entries(of: folder, "\(name) of \(id)") else { return course.stop() }
            if let wrong = Self.difference(of: entries, from: made) {
                fail(.folders, "\(name) of \(id) has under \(wrong) something else than that item made")
                return course.stop()
            }
            outputs.append(ChildOutput(name: name, cid: folder, isFolder: true))
        }
        course.tell(.gathered(stage: id, round: round, outputs: outputs))
    }

    /// The first name under which a folder has something else than is due, by its bytes; `nil` if there is none.
    private static func difference(of entries: [ChildOutput], from made: [ChildOutput]) -> String? {
        func sorted(_ entries: [ChildOutput]) -> [ChildOutput] {
            entries.sorted { $0.name.utf8.lexicographicallyPrecedes($1.name.utf8) }
        }
        let (has, due) = (sorted(entries), sorted(made))
        for (has, due) in zip(has, due) where !has.name.isSameBytes(as: due.name) || has.cid != due.cid {
            return has.name.utf8.lexicographicallyPrecedes(due.name.utf8) ? has.name : due.name
        }
        let common = min(has.count, due.count)
        return has.dropFirst(common).first?.name ?? due.dropFirst(common).first?.name
    }

    // MARK: What it came to

    private mutating func conclude(
        _ course: Course, _ receipt: WorkflowReceipt, _ records: [String: [ItemRecord]]
    ) {
        guard !course.isStuck else { return }
        for stage in course.plan.stages {
            let count = records[stage.definition.id]?.count ?? 0
            guard count > stage.items.count else { continue }
            let items = stage.items.count
            return fail(.items, "\(stage.definition.id) has \(count) records, and \(items) items by the plan")
        }
        let jobs = "\(GroupedNumber.of(UInt64(course.checked))) of them"
        for check in [WorkflowCheckName.jobs, .receipts, .ends, .once] { pass(check, jobs) }
        pass(.items, "\(GroupedNumber.of(UInt64(records.values.reduce(0) { $0 + $1.count }))) of them")
        pass(.folders, "as far as stages read or make some")
        if receipt.status == .failed, course.plan.status != .failing, course.plan.status != .failed {
            miss(.words, "that it failed is the originator's word: its items do not make it fail")
        }
        pass(.words, "each of them")
        compare(course.plan, receipt)
    }

    /// A workflow that did not succeed claims no more than it shows: what is said to have succeeded has to have, and
    /// what is said to have failed must not have.
    private mutating func compare(_ plan: WorkflowPlan, _ receipt: WorkflowReceipt) {
        let isWhole = receipt.status == .succeeded
        for (record, stage) in zip(receipt.stages, plan.stages) where record.status != stage.status {
            let claims = record.status == .succeeded || record.status == .failed && stage.status == .succeeded
            guard isWhole || claims else { continue }
            let (said, made) = (record.status.rawValue, stage.status.rawValue)
            return fail(.stages, "\(record.id) is said to be \(said); its items make it \(made)")
        }
        if isWhole, plan.status != .succeeded {
            return fail(.stages, "it is said to have succeeded; its stages make it \(plan.status.rawValue)")
        }
        pass(.stages, "\(receipt.status.rawValue), stages: \(plan.stages.count)")
        let due = plan.outputs
        if isWhole, let missing = due.first(where: { receipt.outputs[$0.key] == nil }) {
            return fail(.outputs, "\(missing.key) is missing")
        }
        for output in receipt.outputs where due[output.key] != output.value {
            return fail(.outputs, "\(output.key) is said to be \(output.value), which no stage gives it")
        }
        pass(.outputs, receipt.outputs.isEmpty ? "there are none" : receipt.outputs.keys.joined(separator: ", "))
    }
}
