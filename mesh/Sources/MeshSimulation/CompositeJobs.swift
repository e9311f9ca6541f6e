import Determinism
import JobMarket
import MeshTypes
import Multiformats
import SignedObjects
import Workflows

/// Composite jobs made by chance: pipelines, fan-outs with their conditions and rules, folders that are listed, stages
/// that several executors run, and jobs that several executors run.
struct CompositeJobs {
    /// What one is.
    enum Job: Sendable {
        case workflow(WorkflowDefinition, key: String)
        case quorum(JobRequest)

        /// What its client calls it.
        var key: String {
            switch self {
            case .workflow(_, let key): key
            case .quorum(let request): request.idempotencyKey
            }
        }
    }

    private static let quorums = ["quorum:2/3", "quorum:2/2", "quorum:3/4", "replay@executor"]
    /// The most that a job may cost: a bid's highest price is less.
    private static let price: UInt64 = 130

    /// The job of a number; the same dice give the same.
    static func job(_ number: Int, of requester: DID, _ dice: inout SeededGenerator) -> Job {
        let key = "composite \(number)"
        if dice.next() % 5 == 0 { return .quorum(quorum(number, of: requester, key, &dice)) }
        let shape = dice.next() % 4
        var definition =
            switch shape {
            case 0: pipeline(number, &dice)
            case 1: fanOut(number, &dice)
            case 2: listed(number, &dice)
            default: checked(number, &dice)
            }
        if dice.next() % 2 == 0 { definition.verification = dice.next() % 2 == 0 ? "replay" : "spot:20%" }
        definition.parallel = 1 + dice.next() % 4
        if dice.next() % 2 == 0 { definition.budget = budget(of: definition, &dice) }
        return .workflow(definition, key: key)
    }

    /// A budget that does for the jobs that are known, and now and then for few more.
    private static func budget(of definition: WorkflowDefinition, _ dice: inout SeededGenerator) -> UInt64 {
        let known = definition.stages.reduce(UInt64(0)) { sum, stage in
            sum + UInt64(stage.knownItems ?? 0) * (definition.price(ofJobOf: stage) ?? 0)
        }
        return known + dice.next() % 8 * price
    }

    private static func quorum(
        _ number: Int, of requester: DID, _ key: String, _ dice: inout SeededGenerator
    ) -> JobRequest {
        var params = MeshJobParams(wasmCID: module("quorum \(number)"))
        params.maxFuel = 1_000_000_000
        params.timeoutSeconds = 20
        params.maxAcceptableBidTokens = TokenAmount(price)
        params.executionPolicy = ExecutionPolicy()
        params.executionPolicy?.bidWindowMilliseconds = 300
        var request = JobRequest(requesterDID: requester, submittedAt: .epoch, params: params, idempotencyKey: key)
        request.verification = VerificationLevel(text: quorums[Int(dice.next() % UInt64(quorums.count))])
        return request
    }

    private static func module(_ name: String) -> CID { CID.hashing(Array("module \(name)".utf8), codec: .raw) }

    private static func stage(_ id: String, _ number: Int, _ dice: inout SeededGenerator) -> StageDefinition {
        var stage = StageDefinition(id: id, module: module("\(number) \(id)").text)
        stage.limits.timeoutSeconds = 20
        stage.limits.maxFuel = 1_000_000_000
        stage.policy.bidWindowMilliseconds = 300
        stage.jobBudget = price
        stage.policy.hedge = number % 2 == 0 ? true : nil
        stage.retries = dice.next() % 3
        stage.accept = dice.next() % 2 == 0 ? [0, 2] : [0]
        stage.onFailure = dice.next() % 2 == 0 ? .skip : .fail
        return stage
    }

    /// Each stage reads what the one before wrote.
    private static func pipeline(_ number: Int, _ dice: inout SeededGenerator) -> WorkflowDefinition {
        var stages: [StageDefinition] = []
        for place in 0..<(2 + Int(dice.next() % 2)) {
            var stage = stage("s\(place)", number, &dice)
            if let last = stages.last { stage.inputs["stdin"] = .output(stage: last.id, name: "stdout") }
            stages.append(stage)
        }
        return WorkflowDefinition(
            name: "pipeline", stages: stages,
            outputs: ["end": .output(stage: stages[stages.count - 1].id, name: "stdout")])
    }

    /// A stage that may be left out, one job for each of some numbers or texts, and one that reads what they wrote.
    private static func fanOut(_ number: Int, _ dice: inout SeededGenerator) -> WorkflowDefinition {
        var probe = stage("probe", number, &dice)
        probe.accept = [0, 2]
        var many = stage("many", number, &dice)
        many.forEach =
            dice.next() % 2 == 0 ? .range(from: 1, through: 2 + Int64(dice.next() % 3)) : .list(["one", "two"])
        many.args = ["{item}"]
        var join = stage("join", number, &dice)
        join.mounts = [StageMount(path: "/all", source: .output(stage: "many", name: "stdout"))]
        if dice.next() % 2 == 0 { join.when = [StageCondition(stage: "probe", exitCodes: [0])] }
        return WorkflowDefinition(
            name: "fan-out", stages: [probe, many, join], outputs: ["end": .output(stage: "join", name: "stdout")])
    }

    /// One job for each file of the folder that others made.
    private static func listed(_ number: Int, _ dice: inout SeededGenerator) -> WorkflowDefinition {
        var first = stage("first", number, &dice)
        first.forEach = .range(from: 1, through: 2 + Int64(dice.next() % 2))
        var second = stage("second", number, &dice)
        second.forEach = .folder(.output(stage: "first", name: "stdout"))
        second.inputs["stdin"] = .item
        return WorkflowDefinition(
            name: "folder", stages: [first, second], outputs: ["all": .output(stage: "second", name: "stdout")])
    }

    /// A stage that several executors run, and one that reads what they agreed on.
    private static func checked(_ number: Int, _ dice: inout SeededGenerator) -> WorkflowDefinition {
        var several = stage("several", number, &dice)
        several.policy.hedge = nil
        several.verification = quorums[Int(dice.next() % UInt64(quorums.count))]
        var one = stage("one", number, &dice)
        one.inputs["stdin"] = .output(stage: "several", name: "stdout")
        return WorkflowDefinition(
            name: "checked", stages: [several, one],
            outputs: [
                "several": .output(stage: "several", name: "stdout"), "end": .output(stage: "one", name: "stdout"),
            ])
    }
}
