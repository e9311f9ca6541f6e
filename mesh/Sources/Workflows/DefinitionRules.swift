import MeshTypes
import Multiformats
import SignedObjects

/// What a definition must keep, checked whole before anything is announced.
package struct DefinitionRules: Sendable {
    private let limits: WorkflowLimits

    package init(_ limits: WorkflowLimits = WorkflowLimits()) { self.limits = limits }

    /// What is wrong with a definition, the first thing; nil if nothing is.
    package func fault(in definition: WorkflowDefinition) -> DefinitionFault? {
        do throws(DefinitionFault) {
            try checkWhole(definition)
            let stages = try named(definition)
            for (index, stage) in definition.stages.enumerated() {
                try checkParts(stage, "stages[\(index)]", definition)
                try checkSources(stage, "stages[\(index)]", definition, stages)
            }
            for output in definition.outputs {
                try check(output.value, "outputs.\(output.key)", of: nil, definition, stages)
            }
            let order = try StageOrder(definition.stages)
            try checkReach(order, definition)
            try checkBudget(definition)
            return nil
        } catch {
            return error
        }
    }

    /// What of a definition is no CID yet, though a node only takes content that was added.
    package func unresolved(in definition: WorkflowDefinition) -> DefinitionFault? {
        let inputs = definition.inputs.map { (place: "inputs.\($0.key)", text: $0.value.source) }
        let modules = definition.stages.enumerated().map { (place: "stages[\($0)].module", text: $1.module) }
        for (place, text) in inputs + modules where (try? CID(parsing: text))?.version1.namesMeshContent != true {
            return DefinitionFault(
                place, "\(text) is no CID of content that jobs accept.",
                remedy: "Add the file with mesh add, or let mesh workflow run do it.")
        }
        return nil
    }

    private func checkWhole(_ definition: WorkflowDefinition) throws(DefinitionFault) {
        guard definition.version == 1 else {
            throw DefinitionFault("version", "This is no definition of version 1.", remedy: "Write version: 1.")
        }
        try bound("name", definition.name.utf8.count, limits.nameBytesMax, "bytes")
        try bound("stages", definition.stages.count, limits.stagesMax, "stages")
        try bound("inputs", definition.inputs.count, limits.namesMax, "inputs")
        try bound("outputs", definition.outputs.count, limits.namesMax, "outputs")
        guard !definition.stages.isEmpty else {
            throw DefinitionFault("stages", "There is no stage.", remedy: "Add one with an id and a module.")
        }
        for input in definition.inputs { try checkName(input.key, "inputs.\(input.key)") }
        for output in definition.outputs { try checkName(output.key, "outputs.\(output.key)") }
        try checkVerification(definition.verification, "verify")
        if let parallel = definition.parallel, !(1...UInt64(limits.parallelMax)).contains(parallel) {
            throw DefinitionFault(
                "parallel", "\(parallel) jobs cannot run at the same time.",
                remedy: "Write a number from 1 to \(limits.parallelMax).")
        }
    }

    private func named(_ definition: WorkflowDefinition) throws(DefinitionFault) -> [String: StageDefinition] {
        var stages: [String: StageDefinition] = [:]
        for (index, stage) in definition.stages.enumerated() {
            try checkName(stage.id, "stages[\(index)].id")
            guard stages.updateValue(stage, forKey: stage.id) == nil else {
                throw DefinitionFault(
                    "stages[\(index)].id", "Two stages are called \(stage.id).",
                    remedy: "Give every stage its own name.")
            }
        }
        return stages
    }

    private func checkName(_ name: String, _ path: String) throws(DefinitionFault) {
        let isName = name.utf8.allSatisfy { byte in
            UInt8(ascii: "a")...UInt8(ascii: "z") ~= byte || UInt8(ascii: "A")...UInt8(ascii: "Z") ~= byte
                || UInt8(ascii: "0")...UInt8(ascii: "9") ~= byte || byte == UInt8(ascii: "_")
                || byte == UInt8(ascii: "-")
        }
        guard !name.isEmpty, isName, name.utf8.count <= limits.nameBytesMax else {
            throw DefinitionFault(
                path, "\"\(name)\" is no name.",
                remedy: "Use letters, digits, - and _, \(limits.nameBytesMax) at most.")
        }
    }

    private func bound(
        _ path: String, _ count: Int, _ most: Int, _ what: String
    ) throws(DefinitionFault) {
        guard count > most else { return }
        throw DefinitionFault(
            path, "\(count) \(what) are more than the \(most) that a workflow may have.",
            remedy: "Make it smaller, or make two workflows of it.")
    }

    private func checkParts(
        _ stage: StageDefinition, _ path: String, _ definition: WorkflowDefinition
    ) throws(DefinitionFault) {
        let counts = [
            ("args", stage.args.count), ("env", stage.env.count), ("inputs", stage.inputs.count),
            ("mounts", stage.mounts.count), ("collect", stage.collect.count), ("outputs", stage.outputs.count),
            ("when", stage.when.count), ("accept", stage.accept.count),
        ]
        for (name, count) in counts { try bound("\(path).\(name)", count, limits.partsMax, name) }
        for condition in stage.when { try bound("\(path).when", condition.exitCodes.count, limits.partsMax, "codes") }
        for text in stage.args + stage.env.map(\.value) {
            try bound("\(path).args", text.utf8.count, limits.textBytesMax, "bytes")
        }
        guard stage.retries <= UInt64(limits.retriesMax) else {
            throw DefinitionFault(
                "\(path).retries", "\(stage.retries) repetitions are more than \(limits.retriesMax).",
                remedy: "Write a number from 0 to \(limits.retriesMax).")
        }
        try checkVerification(stage.verification, "\(path).verify")
        try checkDeterminism(stage, path, in: definition)
        if definition.memo(of: stage) == .own, let level = definition.level(of: stage),
            level == .none || level.isByExecutor || level.executors > 1
        {
            throw DefinitionFault(
                "\(path).memo",
                "Only results that this node has checked by a run of its own are to serve again, and with "
                    + "verify: \(level) it makes none.",
                remedy: "Take a verify that does (replay, spot:P% or adaptive; --verify replay on the command line), "
                    + "or memo: trusted.")
        }
        if stage.policy.hedge == true, let level = definition.level(of: stage), level.executorsMost > 1 {
            throw DefinitionFault(
                "\(path).policy.hedge", "Other executors do the stage's work anyway, as its check is \(level).",
                remedy: "Leave hedge out, or take a verify of none, spot:P%, replay or adaptive.")
        }
        guard !stage.accept.isEmpty, stage.accept.allSatisfy({ Int32(exactly: $0) != nil }) else {
            throw DefinitionFault(
                "\(path).accept", "These are no exit codes.", remedy: "Write those that count as success, such as [0].")
        }
        let names = stage.collect.map(\.key) + stage.outputs
        for name in names { try checkName(name, "\(path).outputs") }
        guard Set(names + StageOutput.standard).count == names.count + StageOutput.standard.count else {
            throw DefinitionFault(
                "\(path).outputs", "Two outputs have the same name.",
                remedy: "Give each its own; stdout, stderr and log are there already.")
        }
        for did in (stage.policy.allowedDIDs ?? []) + (stage.policy.deniedDIDs ?? [])
        where (try? DID(parsing: did)) == nil {
            throw DefinitionFault(
                "\(path).policy", "\(did) is no DID of this mesh.", remedy: "A DID looks like did:key:z6Mk….")
        }
        let sample = ChildTemplate(stage).sample { StageOutput.isFolder($0, definition) ?? false }
        if let refusal = JobRules().refusal(of: sample) {
            throw DefinitionFault(
                path, "No executor would take the stage's job: \(refusal).", remedy: "Change the stage accordingly.")
        }
        try checkFanOut(stage, path)
    }

    /// What nobody can repeat is not checked, and serves nobody.
    private func checkDeterminism(
        _ stage: StageDefinition, _ path: String, in definition: WorkflowDefinition
    ) throws(DefinitionFault) {
        guard let word = stage.determinism else { return }
        guard DeterminismProfile(rawValue: word) != nil else {
            throw DefinitionFault(
                "\(path).determinism", "\(word) says of no run whether it can be repeated.",
                remedy: "Write deterministic or attested.")
        }
        guard stage.isAttested else { return }
        if let level = definition.level(of: stage), level.mayReplay {
            throw DefinitionFault(
                "\(path).verify", "Nobody can repeat an attested run, and verify: \(level) asks for that.",
                remedy: "Take verify: none, or leave determinism out.")
        }
        if definition.memo(of: stage) != .off {
            throw DefinitionFault(
                "\(path).memo", "The result of an attested run is not the next one's.",
                remedy: "Take memo: off, or leave determinism out.")
        }
    }

    /// A way to check results has one reader, whoever names it.
    private func checkVerification(_ text: String?, _ path: String) throws(DefinitionFault) {
        guard let text, VerificationLevel(text: text) == nil else { return }
        throw DefinitionFault(
            path, "\"\(text.cut(bytesMax: limits.nameBytesMax))\" is no way to check a result.",
            remedy: "Write none, spot:P% with P from 0.1 to 100, replay or adaptive, each also with @executor, or "
                + "quorum:K/N.")
    }

    private func checkFanOut(_ stage: StageDefinition, _ path: String) throws(DefinitionFault) {
        switch stage.forEach {
        case .list(let items):
            try bound("\(path).for_each.list", items.count, limits.itemsMax, "items")
            for item in items { try bound("\(path).for_each.list", item.utf8.count, limits.textBytesMax, "bytes") }
        case .range(let first, let last):
            let (distance, isTooFar) = last.subtractingReportingOverflow(first)
            guard first <= last, !isTooFar, distance < Int64(limits.itemsMax) else {
                throw DefinitionFault(
                    "\(path).for_each.range", "The range has no item, or more than \(limits.itemsMax).",
                    remedy: "Write {from: FIRST, to: LAST} with a first number that is not above the last.")
            }
        case .folder, nil: break
        }
        // With the longest item in its places; names in folders have at most 255 bytes, and their numbers fewer.
        var longest = 255
        if case .list(let items) = stage.forEach { longest = items.map(\.utf8.count).max() ?? 0 }
        for text in stage.args + stage.env.map(\.value) {
            let places = text.split(separator: "{item}", omittingEmptySubsequences: false).count - 1
            try bound(path, text.utf8.count + places * longest, limits.textBytesMax, "bytes of one text with its items")
        }
    }

    private func checkSources(
        _ stage: StageDefinition, _ path: String, _ definition: WorkflowDefinition, _ stages: [String: StageDefinition]
    ) throws(DefinitionFault) {
        for (place, source) in stage.sources {
            try check(source, "\(path).\(place)", of: stage, definition, stages)
            let isFolder = StageOutput.isFolder(source, definition)
            if place == "for_each.folder", isFolder == false || source == .item {
                throw DefinitionFault(
                    "\(path).\(place)", "\(source.text) is no folder.",
                    remedy: "A folder is an input {folder: …}, what a stage collects, or any output of a fan-out.")
            }
            if place.hasPrefix("inputs."), isFolder == true {
                throw DefinitionFault(
                    "\(path).\(place)", "\(source.text) is a folder, and an input is a file.",
                    remedy: "Mount it: {path: /in, from: \(source.text)}.")
            }
        }
        for (index, condition) in stage.when.enumerated() {
            let place = "\(path).when[\(index)]"
            guard let other = stages[condition.stage] else {
                throw DefinitionFault(
                    place, "There is no stage \(condition.stage).", remedy: Self.choices(Array(stages.keys)))
            }
            guard other.forEach == nil else {
                throw DefinitionFault(
                    place, "\(condition.stage) is a fan-out and has no one exit code.",
                    remedy: "Name a stage that runs once.")
            }
            guard !Set(condition.exitCodes).isDisjoint(with: other.accept) else {
                throw DefinitionFault(
                    place, "The stage is never reached: \(condition.stage) never succeeds with such a code.",
                    remedy: "Add the code to the list accept of \(condition.stage).")
            }
        }
    }

    private func check(
        _ source: WorkflowSource, _ path: String, of stage: StageDefinition?, _ definition: WorkflowDefinition,
        _ stages: [String: StageDefinition]
    ) throws(DefinitionFault) {
        switch source {
        case .input(let name):
            guard definition.inputs[name] != nil else {
                throw DefinitionFault(
                    path, "There is no input \(name).", remedy: Self.choices(definition.inputs.map(\.key)))
            }
        case .output(let id, let name):
            guard let other = stages[id] else {
                throw DefinitionFault(path, "There is no stage \(id).", remedy: Self.choices(Array(stages.keys)))
            }
            let outputs = StageOutput.names(of: other)
            guard outputs.contains(name) else {
                throw DefinitionFault(
                    path, "The stage \(id) has no output \(name).", remedy: Self.choices(outputs))
            }
        case .item:
            if case .folder = stage?.forEach { return }
            throw DefinitionFault(
                path, "There is no item that is a file here.",
                remedy: "Only a stage with for_each: {folder: …} has one; {item} in arguments is its text.")
        }
    }

    private static func choices(_ names: [String]) -> String {
        names.isEmpty ? "There is none." : "There is \(names.sorted().prefix(16).joined(separator: ", "))."
    }

    /// Refuses stages whose conditions, with those of the stages that they need, contradict each other.
    private func checkReach(_ order: StageOrder, _ definition: WorkflowDefinition) throws(DefinitionFault) {
        var demands: [String: [String: Set<Int64>]] = [:]
        for index in order.indices {
            let stage = definition.stages[index]
            var codes: [String: Set<Int64>] = [:]
            for condition in stage.when {
                codes[condition.stage] = (codes[condition.stage] ?? Set(condition.exitCodes))
                    .intersection(condition.exitCodes)
            }
            for need in stage.needs {
                for (other, wanted) in demands[need] ?? [:] {
                    codes[other] = (codes[other] ?? wanted).intersection(wanted)
                }
            }
            if let contradiction = codes.keys.sorted().first(where: { codes[$0]?.isEmpty == true }) {
                throw DefinitionFault(
                    "stages[\(index)].when",
                    "The stage is never reached: it and what it needs ask for different exit codes of "
                        + "\(contradiction).", remedy: "Let its inputs come from stages that run under the same codes.")
            }
            demands[stage.id] = codes
        }
    }

    private func checkBudget(_ definition: WorkflowDefinition) throws(DefinitionFault) {
        var (jobs, least): (Int, UInt64) = (0, 0)
        for (index, stage) in definition.stages.enumerated() {
            let count = stage.knownItems ?? 0
            jobs += count
            guard let budget = definition.budget else { continue }
            guard let price = definition.price(ofJobOf: stage) else {
                throw DefinitionFault(
                    "stages[\(index)]", "The workflow has a budget and this stage has none.",
                    remedy: "Add job_budget: the most that one of its jobs may cost.")
            }
            let (cost, isTooMuch) = price.multipliedReportingOverflow(by: UInt64(count))
            let (sum, isTooMuchInAll) = least.addingReportingOverflow(cost)
            guard !isTooMuch, !isTooMuchInAll, sum <= budget else {
                throw DefinitionFault(
                    "budget", "The budget of \(budget) cannot do: the jobs up to \(stage.id) may cost more.",
                    remedy:
                        "Raise the budget, or lower job_budget, the number of items, or that of executors of one job.")
            }
            least = sum
        }
        try bound("stages", jobs, limits.jobsMax, "jobs")
    }
}

extension WorkflowDefinition {
    /// The most that one job of a stage may cost, in the smallest unit: each executor of a quorum, or of a check by
    /// others, may cost all of `job_budget`. Nil for no bound.
    package func price(ofJobOf stage: StageDefinition) -> UInt64? {
        guard let price = stage.jobBudget else { return nil }
        let (product, isTooMuch) = price.multipliedReportingOverflow(by: level(of: stage)?.executorsMost ?? 1)
        return isTooMuch ? .max : product
    }
}

extension StageDefinition {
    /// How many jobs it has, each attempt left out; nil if only a folder tells.
    package var knownItems: Int? {
        switch forEach {
        case nil: 1
        case .list(let items): items.count
        case .range(let first, let last): Int(clamping: last - first) + 1
        case .folder: nil
        }
    }
}

/// The outputs of a stage.
package enum StageOutput {
    /// What every job has, if it writes there.
    package static let standard = ["stdout", "stderr", "log"]

    /// The names of all outputs of a stage.
    package static func names(of stage: StageDefinition) -> [String] {
        standard + stage.collect.map(\.key) + stage.outputs
    }

    /// Whether what a stage reads from is a folder; nil if that is known only when it is there.
    static func isFolder(_ source: WorkflowSource, _ definition: WorkflowDefinition) -> Bool? {
        switch source {
        case .input(let name): return definition.inputs[name]?.isFolder ?? false
        case .output(let id, let name):
            guard let other = definition.stages.first(where: { $0.id == id }) else { return false }
            if other.forEach != nil { return true }
            return other.collect[name] == nil ? false : nil
        case .item: return nil
        }
    }
}

/// The stages in an order in which each comes after those that it needs.
package struct StageOrder: Hashable, Sendable {
    /// The positions of the stages in their definition, in that order.
    package private(set) var indices: [Int] = []
    /// How many stages come before one at least, by its position in the definition.
    package private(set) var depths: [Int]

    /// - Throws: a fault that names the stages of a cycle.
    package init(_ stages: [StageDefinition]) throws(DefinitionFault) {
        depths = Array(repeating: 0, count: stages.count)
        var positions: [String: Int] = [:]
        for (index, stage) in stages.enumerated() { positions[stage.id] = index }
        let needs = stages.map { stage in stage.needs.compactMap { positions[$0] } }
        var isPlaced = Array(repeating: false, count: stages.count)
        while indices.count < stages.count {
            let before = indices.count
            for index in stages.indices where !isPlaced[index] && needs[index].allSatisfy({ isPlaced[$0] }) {
                isPlaced[index] = true
                indices.append(index)
                depths[index] = (needs[index].map { depths[$0] + 1 }.max() ?? 0)
            }
            guard indices.count == before else { continue }
            // Whoever is left needs somebody who is left: going from one to the next comes to a cycle.
            var path: [Int] = []
            var at = isPlaced.firstIndex(of: false)
            while let index = at, !path.contains(index) {
                path.append(index)
                at = needs[index].first { !isPlaced[$0] }
            }
            let cycle = path.drop { $0 != at } + [at].compactMap(\.self)
            throw DefinitionFault(
                "stages[\(at ?? 0)]",
                "The stages wait for each other: \(cycle.map { stages[$0].id }.joined(separator: " needs ")).",
                remedy: "Take one of these inputs or conditions away.")
        }
    }
}
