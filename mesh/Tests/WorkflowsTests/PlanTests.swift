import Determinism
import MeshTypes
import Multiformats
import Testing

@testable import Workflows

/// A plan among random definitions, random ends of jobs, and crashes between any two events.
@Suite("The plan of a workflow")
struct PlanTests {
    /// A market that never starts a job twice: what it is asked again under one key has one end.
    private struct World {
        var generator: SeededGenerator
        var begun: [ChildKey] = []
        var asked: Set<ChildKey> = []
        var cancelled: Set<ChildKey> = []
        var pending: [PlanEvent] = []
        var hasFinished = false
        var paid: UInt64 = 0

        mutating func carryOut(_ effects: [PlanEffect], of plan: WorkflowPlan) {
            for effect in effects {
                switch effect {
                case .list(let stage, let round, _):
                    let count = Int.random(in: 0...6, using: &generator)
                    pending.append(
                        .listed(stage: stage, round: round, entries: (0..<count).map { output("f\($0)") }))
                case .gather(let stage, let round):
                    let folders = plan.gatherings(of: stage).map { output($0.name, isFolder: true) }
                    pending.append(.gathered(stage: stage, round: round, outputs: folders))
                case .submit(let key):
                    #expect(plan.params(of: key) != nil)
                    guard asked.insert(key).inserted else { continue }
                    begun.append(key)
                case .cancel(let key): cancelled.insert(key)
                case .finish: hasFinished = true
                }
            }
        }

        func output(_ name: String, isFolder: Bool = false) -> ChildOutput {
            ChildOutput(
                name: name, cid: CID.hashing(Array(name.utf8), codec: isFolder ? .dagPB : .raw), isFolder: isFolder)
        }

        /// The next thing that happens; nil if nothing is under way.
        mutating func next(price: UInt64) -> PlanEvent? {
            if !pending.isEmpty, begun.isEmpty || Bool.random(using: &generator) { return pending.removeFirst() }
            guard let index = begun.indices.randomElement(using: &generator) else { return nil }
            let key = begun.remove(at: index)
            let cost = UInt64.random(in: 0...price, using: &generator)
            paid += cost
            let outputs = ["stdout", "made"].map { output("\($0)") }
            let outcome: ChildOutcome =
                switch Int.random(in: 0..<10, using: &generator) {
                case 0: .failed(reason: "no executor", ofMesh: true)
                case 1: .exited(code: 3)
                case 2 where cancelled.contains(key): .cancelled
                case 3: .failed(reason: "it trapped", ofMesh: false)
                default: .exited(code: 0)
                }
            return .ended(key, ChildEnd(outcome, jobID: output("job").cid, outputs: outputs, paid: cost))
        }
    }

    private static let module = CID.hashing([1], codec: .raw).text
    private static let folder = CID.hashing([2], codec: .dagPB).text

    private func definition(_ generator: inout SeededGenerator) -> WorkflowDefinition {
        var stages: [StageDefinition] = []
        for number in 0..<Int.random(in: 1...6, using: &generator) {
            var stage = StageDefinition(id: "s\(number)", module: Self.module)
            stage.outputs = ["made"]
            stage.jobBudget = 10
            stage.retries = UInt64.random(in: 0...2, using: &generator)
            stage.onFailure = Bool.random(using: &generator) ? .skip : .fail
            stage.accept = Bool.random(using: &generator) ? [0, 3] : [0]
            switch Int.random(in: 0..<5, using: &generator) {
            case 0: stage.forEach = .list(["a", "b", "{x}"])
            case 1: stage.forEach = .range(from: -1, through: 4)
            case 2:
                let source = stages.last { $0.forEach != nil }.map { WorkflowSource.output(stage: $0.id, name: "made") }
                stage.forEach = .folder(source ?? .input("photos"))
                stage.inputs["stdin"] = .item
            default: break
            }
            if let other = stages.randomElement(using: &generator) {
                stage.mounts = [StageMount(path: "/in", source: .output(stage: other.id, name: "stdout"))]
                if other.forEach == nil, Bool.random(using: &generator) {
                    stage.when = [StageCondition(stage: other.id, exitCodes: other.accept)]
                }
            }
            stages.append(stage)
        }
        var definition = WorkflowDefinition(
            name: "random", inputs: ["photos": WorkflowContent(source: Self.folder, isFolder: true)], stages: stages,
            outputs: ["last": .output(stage: stages[stages.count - 1].id, name: "made")])
        definition.parallel = UInt64.random(in: 1...4, using: &generator)
        if Bool.random(using: &generator) { definition.budget = UInt64.random(in: 400...600, using: &generator) }
        return definition
    }

    @Test(
        "No job is lost or begun twice, and the budget holds, whatever fails and whenever it crashes", arguments: 1...60
    )
    func randomPlans(seed: UInt64) throws {
        var generator = SeededGenerator(seed: seed)
        var runs = 0
        for number in 0..<20 {
            let definition = definition(&generator)
            if DefinitionRules().fault(in: definition) != nil { continue }
            runs += 1
            try run(definition, &generator, "seed \(seed), plan \(number)")
        }
        #expect(runs >= 5, "seed \(seed): too few of the plans were well formed")
    }

    private func run(_ definition: WorkflowDefinition, _ generator: inout SeededGenerator, _ name: String) throws {
        var plan = try WorkflowPlan(definition)
        var world = World(generator: SeededGenerator(seed: UInt64.random(in: 0...UInt64.max, using: &generator)))
        var journal: [PlanEvent] = []
        var resumes = 0
        world.carryOut(plan.begin(), of: plan)
        for _ in 0..<4_000 {
            #expect(plan.brokenInvariant() == nil, "\(name)")
            if Int.random(in: 0..<8, using: &generator) == 0 {
                plan = try replayed(definition, journal)
                world.carryOut(plan.again(), of: plan)
            }
            if Int.random(in: 0..<60, using: &generator) == 0 {
                journal.append(.cancelled)
                world.carryOut(plan.handle(.cancelled), of: plan)
            }
            guard let event = world.next(price: 10) else {
                guard plan.status != .succeeded, resumes < 2 else { break }
                resumes += 1
                world.hasFinished = false
                journal.append(.resumed)
                world.carryOut(plan.handle(.resumed), of: plan)
                continue
            }
            journal.append(event)
            world.carryOut(plan.handle(event), of: plan)
            if Bool.random(using: &generator) { #expect(plan.handle(event) == [], "\(name): told twice") }
        }
        #expect(plan.status.isOver, "\(name): \(plan.status)")
        #expect(world.hasFinished, "\(name)")
        #expect(plan.paid == world.paid, "\(name)")
        #expect(try replayed(definition, journal) == plan, "\(name)")
        if let budget = definition.budget { #expect(plan.paid <= budget, "\(name)") }
        #expect(plan.jobsBegun == world.asked.count, "\(name)")
    }

    @Test("Each executor of a quorum may cost all that one may, and that is held, released and counted")
    func quorumBudget() throws {
        var stage = StageDefinition(id: "a", module: Self.module)
        (stage.jobBudget, stage.retries) = (10, 1)
        var definition = WorkflowDefinition(name: "x", stages: [stage], budget: 59)
        definition.verification = "quorum:2/3"
        #expect(DefinitionRules().fault(in: definition) == nil)
        definition.budget = 29
        #expect(DefinitionRules().fault(in: definition)?.path == "budget")
        // What the stage says comes first.
        definition.stages[0].verification = "none"
        #expect(DefinitionRules().fault(in: definition) == nil)
        definition.stages[0].verification = nil
        definition.budget = 59
        var plan = try WorkflowPlan(definition)
        _ = plan.begin()
        #expect(plan.held == 30 && plan.left == 29 && plan.priceOfReplicas(in: "a") == 20)
        let key = ChildKey(stage: "a", item: 0, attempt: 0)
        _ = plan.handle(.ended(key, ChildEnd(.failed(reason: "x", ofMesh: true), paid: 15)))
        #expect(plan.status == .running && plan.held == 30 && plan.paid == 15 && plan.left == 14)
        let again = ChildKey(stage: "a", item: 0, attempt: 1)
        _ = plan.handle(.ended(again, ChildEnd(.exited(code: 0), paid: 30)))
        #expect(plan.status == .succeeded && plan.held == 0 && plan.paid == 45)
    }

    @Test("Nothing is tried again for more than is left, counting every executor of a quorum")
    func quorumRetry() throws {
        var stage = StageDefinition(id: "a", module: Self.module)
        (stage.jobBudget, stage.retries, stage.verification) = (10, 1, "quorum:2/3")
        var plan = try WorkflowPlan(WorkflowDefinition(name: "x", stages: [stage], budget: 59))
        _ = plan.begin()
        let key = ChildKey(stage: "a", item: 0, attempt: 0)
        _ = plan.handle(.ended(key, ChildEnd(.failed(reason: "x", ofMesh: true), paid: 30)))
        #expect(plan.status == .failed && plan.held == 0 && plan.paid == 30)
    }

    @Test("A failure of the mesh is repeated as often as the stage says, and a failure of the module is not")
    func repetitions() throws {
        var stage = StageDefinition(id: "a", module: Self.module)
        stage.retries = 2
        var plan = try WorkflowPlan(WorkflowDefinition(name: "x", stages: [stage]))
        _ = plan.begin()
        for attempt in 0..<2 {
            #expect(
                plan.handle(
                    .ended(
                        ChildKey(stage: "a", item: 0, attempt: attempt), ChildEnd(.failed(reason: "x", ofMesh: true))))
                    == [.submit(ChildKey(stage: "a", item: 0, attempt: attempt + 1))])
        }
        #expect(plan.handle(.ended(ChildKey(stage: "a", item: 0, attempt: 2), ChildEnd(.exited(code: 1)))) == [.finish])
        #expect(plan.status == .failed && plan.reason == "stage a: exit code 1")
        #expect(plan.handle(.resumed) == [.submit(ChildKey(stage: "a", item: 0, attempt: 3))])
        #expect(plan.handle(.ended(ChildKey(stage: "a", item: 0, attempt: 3), ChildEnd(.exited(code: 0)))) == [.finish])
        #expect(plan.status == .succeeded && plan.handle(.resumed) == [])
    }

    @Test("A stage's way to check results comes before the workflow's")
    func verification() throws {
        var stages = [StageDefinition(id: "a", module: Self.module), StageDefinition(id: "b", module: Self.module)]
        stages[1].verification = "none"
        var definition = WorkflowDefinition(name: "x", stages: stages)
        #expect(try WorkflowPlan(definition).verification(of: "a") == nil)
        definition.verification = "replay"
        let plan = try WorkflowPlan(definition)
        #expect(plan.verification(of: "a") == "replay" && plan.verification(of: "b") == "none")
    }

    @Test("What is taken up again for more than is left of the budget fails, and the workflow with it")
    func shortBudget() throws {
        var stage = StageDefinition(id: "a", module: Self.module)
        (stage.forEach, stage.jobBudget) = (.list(["1", "2", "3", "4"]), 25)
        var definition = WorkflowDefinition(name: "x", stages: [stage])
        definition.budget = 100
        var plan = try WorkflowPlan(definition)
        _ = plan.begin()
        for item in 0..<4 {
            let end = ChildEnd(.exited(code: item == 3 ? 1 : 0), paid: 25)
            _ = plan.handle(.ended(ChildKey(stage: "a", item: item, attempt: 0), end))
        }
        #expect(plan.status == .failed && plan.paid == 100)
        #expect(plan.handle(.resumed).contains(.finish))
        #expect(plan.status == .failed && plan.reason?.contains("what is left of the budget, 0,") == true)
    }

    @Test("Ten thousand items run a few at a time, and one more is refused")
    func manyItems() throws {
        var stage = StageDefinition(id: "a", module: Self.module)
        stage.forEach = .folder(.input("photos"))
        let definition = WorkflowDefinition(
            name: "x", inputs: ["photos": WorkflowContent(source: Self.folder, isFolder: true)], stages: [stage])
        let file = CID.hashing([3], codec: .raw)
        func listed(_ count: Int) -> PlanEvent {
            .listed(
                stage: "a", round: 0,
                entries: (0..<count).map { ChildOutput(name: "\($0)", cid: file, isFolder: false) })
        }
        var plan = try WorkflowPlan(definition)
        _ = plan.begin()
        var pending = plan.handle(listed(10_000))
        #expect(pending.count == WorkflowLimits().parallelUsual)
        var ended = 0
        while case .submit(let key)? = pending.popLast() {
            pending += plan.handle(.ended(key, ChildEnd(.exited(code: 0))))
            ended += 1
            #expect(pending.count <= WorkflowLimits().parallelUsual)
        }
        #expect(ended == 10_000 && plan.status == .succeeded)
        var other = try WorkflowPlan(definition)
        _ = other.begin()
        #expect(other.handle(listed(10_001)) == [.finish])
        #expect(other.reason == "stage a: its folder has 10001 entries, more than 10000")
        var limits = WorkflowLimits()
        limits.jobsMax = 3
        var short = try WorkflowPlan(definition, limits: limits)
        _ = short.begin()
        #expect(short.handle(listed(4)).count == 6)
        #expect(short.status == .failing && short.reason == "it had 3 jobs, the most that a workflow may have")
    }

    private func replayed(_ definition: WorkflowDefinition, _ journal: [PlanEvent]) throws -> WorkflowPlan {
        var plan = try WorkflowPlan(definition)
        _ = plan.begin()
        for event in journal { _ = plan.handle(event) }
        return plan
    }
}
