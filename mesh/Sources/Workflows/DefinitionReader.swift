import MeshTypes

/// Reads a definition from the tree of its file. What it does not know it refuses, with the line.
package struct DefinitionReader: Sendable {
    private let limits: WorkflowLimits

    package init(limits: WorkflowLimits = WorkflowLimits()) { self.limits = limits }

    /// The definition, read and checked whole; `files` may be paths.
    ///
    /// - Throws: the first fault, with its line.
    package func definition(_ root: DefinitionNode) throws(DefinitionFault) -> WorkflowDefinition {
        var fields = try Fields(root, "")
        let version = try fields.number("version") ?? 0
        guard version == 1 else {
            throw DefinitionFault(
                "version", "This is no definition of version 1.", remedy: "Begin the file with version: 1.",
                line: fields.line)
        }
        var definition = WorkflowDefinition(name: try fields.text("name") ?? "", stages: [])
        definition.budget = try fields.unsigned("budget")
        definition.parallel = try fields.unsigned("parallel")
        definition.verification = try fields.text("verify")
        definition.memo = try fields.memo()
        definition.inputs = CanonicalMap(
            try fields.entries("inputs") { node, path throws(DefinitionFault) in
                try Self.content(node, path)
            })
        definition.stages = try fields.list("stages") { node, path throws(DefinitionFault) in
            try Self.stage(node, path)
        }
        definition.outputs = CanonicalMap(
            try fields.entries("outputs") { node, path throws(DefinitionFault) in
                try node.source(path)
            })
        try fields.end()
        if var fault = DefinitionRules(limits).fault(in: definition) {
            fault.line = root.line(of: fault.path)
            throw fault
        }
        return definition
    }

    private static func content(_ node: DefinitionNode, _ path: String) throws(DefinitionFault) -> WorkflowContent {
        var fields = try Fields(node, path)
        let (file, folder) = (try fields.text("file"), try fields.text("folder"))
        try fields.end()
        switch (file, folder) {
        case (let file?, nil): return WorkflowContent(source: file, isFolder: false)
        case (nil, let folder?): return WorkflowContent(source: folder, isFolder: true)
        default:
            throw DefinitionFault(
                path, "An input is a file or a folder.", remedy: "Write {file: PATH} or {folder: PATH}; a CID will do.",
                line: node.line)
        }
    }

    private static func stage(_ node: DefinitionNode, _ path: String) throws(DefinitionFault) -> StageDefinition {
        var fields = try Fields(node, path)
        var stage = StageDefinition(id: try fields.required("id"), module: try fields.required("module"))
        stage.entry = try fields.text("entry")
        stage.args = try fields.texts("args") ?? []
        stage.env = CanonicalMap(
            try fields.entries("env") { node, path throws(DefinitionFault) in
                try node.text(path)
            })
        var inputs = try fields.entries("inputs") { node, path throws(DefinitionFault) in try node.source(path) }
        if let stdin = try fields.source("stdin") { inputs.append(("stdin", stdin)) }
        guard Set(inputs.map(\.0)).count == inputs.count else {
            throw DefinitionFault(
                path + ".stdin", "Standard input is given twice.", remedy: "Keep stdin, or inputs.stdin.",
                line: node.line)
        }
        stage.inputs = CanonicalMap(inputs)
        stage.mounts = try fields.list("mounts") { node, path throws(DefinitionFault) in try mount(node, path) }
        stage.workingFolder = try fields.text("workdir")
        stage.hasTemporaryFolder = try fields.flag("tmp") ?? false
        stage.collect = CanonicalMap(
            try fields.entries("collect") { node, path throws(DefinitionFault) in
                try node.text(path)
            })
        stage.outputs = try fields.texts("outputs") ?? []
        if let node = fields.take("limits") { stage.limits = try limits(node, path + ".limits") }
        if let node = fields.take("policy") { stage.policy = try policy(node, path + ".policy") }
        stage.jobBudget = try fields.unsigned("job_budget")
        stage.retries = try fields.unsigned("retries") ?? 0
        stage.verification = try fields.text("verify")
        stage.memo = try fields.memo()
        stage.determinism = try fields.text("determinism")
        stage.accept = try fields.numbers("accept") ?? [0]
        if let text = try fields.text("on_failure") {
            guard let rule = FailureRule(rawValue: text) else {
                throw DefinitionFault(
                    path + ".on_failure", "\(text) is no rule for failures.", remedy: "Write fail or skip.",
                    line: node.line)
            }
            stage.onFailure = rule
        }
        if let node = fields.take("for_each") { stage.forEach = try fanOut(node, path + ".for_each") }
        stage.when = try fields.list("when") { node, path throws(DefinitionFault) in try condition(node, path) }
        try fields.end()
        return stage
    }

    private static func mount(_ node: DefinitionNode, _ path: String) throws(DefinitionFault) -> StageMount {
        var fields = try Fields(node, path)
        let source = try fields.source("from")
        let mount = StageMount(
            path: try fields.required("path"), source: source,
            isWritable: try fields.flag("writable") ?? (source == nil))
        try fields.end()
        return mount
    }

    private static func limits(_ node: DefinitionNode, _ path: String) throws(DefinitionFault) -> StageLimits {
        var fields = try Fields(node, path)
        var limits = StageLimits()
        limits.timeoutSeconds = try fields.unsigned("timeout")
        limits.maxFuel = try fields.unsigned("fuel")
        limits.maxMemoryBytes = try fields.unsigned("memory")
        limits.maxOutputBytes = try fields.unsigned("output")
        limits.maxFileBytes = try fields.unsigned("files")
        limits.maxEntries = try fields.unsigned("entries")
        try fields.end()
        return limits
    }

    private static func policy(_ node: DefinitionNode, _ path: String) throws(DefinitionFault) -> StagePolicy {
        var fields = try Fields(node, path)
        var policy = StagePolicy()
        policy.minReputation = try fields.unsigned("min_reputation")
        policy.regions = try fields.texts("regions")
        policy.allowedDIDs = try fields.texts("allow")
        policy.deniedDIDs = try fields.texts("deny")
        policy.bidWindowMilliseconds = try fields.unsigned("bid_window_ms")
        policy.sufficientBids = try fields.unsigned("sufficient_bids")
        policy.features = try fields.texts("features")
        policy.resources = try fields.amounts("resources").map(ResourceAmounts.init)
        policy.deadline = try fields.unsigned("deadline")
        if let node = fields.take("weights") { policy.weights = try weights(node, path + ".weights") }
        policy.maxAttempts = try fields.unsigned("attempts")
        policy.publicBids = try fields.flag("public_bids")
        policy.publicStatus = try fields.flag("public_status")
        policy.hedge = try fields.flag("hedge")
        try fields.end()
        return policy
    }

    private static func weights(_ node: DefinitionNode, _ path: String) throws(DefinitionFault) -> SelectionWeights {
        var fields = try Fields(node, path)
        let weights = SelectionWeights(
            price: try fields.unsigned("price") ?? 0, reputation: try fields.unsigned("reputation") ?? 0,
            region: try fields.unsigned("region") ?? 0, latency: try fields.unsigned("latency") ?? 0,
            load: try fields.unsigned("load") ?? 0)
        try fields.end()
        return weights
    }

    private static func fanOut(_ node: DefinitionNode, _ path: String) throws(DefinitionFault) -> FanOut {
        var fields = try Fields(node, path)
        let (folder, list) = (try fields.source("folder"), try fields.texts("list"))
        let range = fields.take("range")
        try fields.end()
        switch (folder, list, range) {
        case (let folder?, nil, nil): return .folder(folder)
        case (nil, let list?, nil): return .list(list)
        case (nil, nil, let range?):
            var ends = try Fields(range, path + ".range")
            let (first, last) = (try ends.number("from"), try ends.number("to"))
            try ends.end()
            guard let first, let last else { break }
            return .range(from: first, through: last)
        default: break
        }
        throw DefinitionFault(
            path, "A fan-out is over one thing.",
            remedy: "Write {folder: SOURCE}, {list: [TEXT, …]} or {range: {from: 1, to: 9}}.", line: node.line)
    }

    private static func condition(_ node: DefinitionNode, _ path: String) throws(DefinitionFault) -> StageCondition {
        var fields = try Fields(node, path)
        let condition = StageCondition(
            stage: try fields.required("stage"), exitCodes: try fields.numbers("exit_codes") ?? [0])
        try fields.end()
        return condition
    }
}

/// The fields of a map, each taken once; what is left at the end nobody knows.
private struct Fields {
    private var left: [DefinitionNode.Entry]
    private var known: [String] = []
    private let path: String
    let line: Int

    init(_ node: DefinitionNode, _ path: String) throws(DefinitionFault) {
        guard case .map(let entries) = node.content else {
            throw DefinitionFault(
                path, "Here must be names with values.", remedy: "Write NAME: VALUE, one a line.", line: node.line)
        }
        (left, self.path, line) = (entries, path, node.line)
        var seen: Set<String> = []
        for entry in entries where !seen.insert(entry.name).inserted {
            throw DefinitionFault(
                place(entry.name), "\(entry.name) stands here twice.", remedy: "Keep one of them.",
                line: entry.node.line)
        }
    }

    private func place(_ name: String) -> String { path.isEmpty ? name : "\(path).\(name)" }

    mutating func take(_ name: String) -> DefinitionNode? {
        known.append(name)
        guard let index = left.firstIndex(where: { $0.name == name }) else { return nil }
        return left.remove(at: index).node
    }

    func end() throws(DefinitionFault) {
        guard let entry = left.first else { return }
        throw DefinitionFault(
            place(entry.name), "Nobody knows the field \(entry.name).",
            remedy: "Here may be \(known.joined(separator: ", ")).", line: entry.node.line)
    }

    mutating func text(_ name: String) throws(DefinitionFault) -> String? {
        guard let node = take(name) else { return nil }
        return try node.text(place(name))
    }

    mutating func required(_ name: String) throws(DefinitionFault) -> String {
        if let text = try text(name) { return text }
        throw DefinitionFault(place(name), "\(name) is missing.", remedy: "Add it.", line: line)
    }

    mutating func flag(_ name: String) throws(DefinitionFault) -> Bool? {
        guard let node = take(name) else { return nil }
        switch node.content {
        case .scalar("true", isPlain: true): return true
        case .scalar("false", isPlain: true): return false
        default:
            throw DefinitionFault(place(name), "This is neither true nor false.", remedy: "Write one.", line: node.line)
        }
    }

    mutating func number(_ name: String) throws(DefinitionFault) -> Int64? {
        guard let node = take(name) else { return nil }
        return try node.number(place(name))
    }

    mutating func unsigned(_ name: String) throws(DefinitionFault) -> UInt64? {
        guard let node = take(name) else { return nil }
        if let number = UInt64(exactly: try node.number(place(name))) { return number }
        throw DefinitionFault(place(name), "The number is negative.", remedy: "Write one from 0 on.", line: node.line)
    }

    mutating func memo() throws(DefinitionFault) -> MemoRule? {
        guard let text = try text("memo") else { return nil }
        if let rule = MemoRule(rawValue: text) { return rule }
        throw DefinitionFault(
            place("memo"), "\(text) does not say which results serve again.", remedy: "Write off, own or trusted.",
            line: line)
    }

    mutating func source(_ name: String) throws(DefinitionFault) -> WorkflowSource? {
        guard let node = take(name) else { return nil }
        return try node.source(place(name))
    }

    mutating func texts(_ name: String) throws(DefinitionFault) -> [String]? {
        guard left.contains(where: { $0.name == name }) else {
            known.append(name)
            return nil
        }
        return try list(name) { node, path throws(DefinitionFault) in try node.text(path) }
    }

    mutating func amounts(_ name: String) throws(DefinitionFault) -> [(String, UInt64)]? {
        guard left.contains(where: { $0.name == name }) else {
            known.append(name)
            return nil
        }
        return try entries(name) { node, path throws(DefinitionFault) in
            if let number = UInt64(exactly: try node.number(path)) { return number }
            throw DefinitionFault(path, "The number is negative.", remedy: "Write one from 0 on.", line: node.line)
        }
    }

    mutating func numbers(_ name: String) throws(DefinitionFault) -> [Int64]? {
        guard left.contains(where: { $0.name == name }) else {
            known.append(name)
            return nil
        }
        return try list(name) { node, path throws(DefinitionFault) in try node.number(path) }
    }

    mutating func list<Value>(
        _ name: String, _ read: (DefinitionNode, String) throws(DefinitionFault) -> Value
    ) throws(DefinitionFault) -> [Value] {
        guard let node = take(name) else { return [] }
        guard case .list(let nodes) = node.content else {
            throw DefinitionFault(
                place(name), "Here must be a list.", remedy: "Write [A, B], or each behind a dash.", line: node.line)
        }
        var values: [Value] = []
        for (index, node) in nodes.enumerated() { values.append(try read(node, "\(place(name))[\(index)]")) }
        return values
    }

    mutating func entries<Value>(
        _ name: String, _ read: (DefinitionNode, String) throws(DefinitionFault) -> Value
    ) throws(DefinitionFault) -> [(String, Value)] {
        guard let node = take(name) else { return [] }
        guard case .map(let entries) = node.content else {
            throw DefinitionFault(
                place(name), "Here must be names with values.", remedy: "Write NAME: VALUE, one a line.",
                line: node.line)
        }
        var values: [(String, Value)] = []
        for entry in entries {
            let path = "\(place(name)).\(entry.name)"
            guard !values.contains(where: { $0.0 == entry.name }) else {
                throw DefinitionFault(
                    path, "\(entry.name) stands here twice.", remedy: "Keep one of them.", line: entry.node.line)
            }
            values.append((entry.name, try read(entry.node, path)))
        }
        return values
    }
}

extension DefinitionNode {
    fileprivate func text(_ path: String) throws(DefinitionFault) -> String {
        if case .scalar(let text, _) = content { return text }
        throw DefinitionFault(path, "Here must be a text.", remedy: "Write one value.", line: line)
    }

    fileprivate func number(_ path: String) throws(DefinitionFault) -> Int64 {
        if case .scalar(let text, isPlain: true) = content, let number = Int64(text) { return number }
        throw DefinitionFault(
            path, "Here must be a whole number.", remedy: "Write digits alone, without quotes.", line: line)
    }

    fileprivate func source(_ path: String) throws(DefinitionFault) -> WorkflowSource {
        let text = try text(path)
        if let source = WorkflowSource(text) { return source }
        throw DefinitionFault(
            path, "\(text) names nothing that a stage can read.",
            remedy: "Write inputs.NAME, stages.STAGE.OUTPUT or item.", line: line)
    }

    /// The line of the innermost value on a path that is there.
    fileprivate func line(of path: String) -> Int? {
        var node = self
        let steps = path.split { ".[]".contains($0) }
        steps: for step in steps {
            switch node.content {
            case .map(let entries):
                guard let entry = entries.first(where: { $0.name == step }) else { break steps }
                node = entry.node
            case .list(let nodes):
                guard let index = Int(step), nodes.indices.contains(index) else { break steps }
                node = nodes[index]
            case .scalar: break steps
            }
        }
        return node.line > 0 ? node.line : nil
    }
}
