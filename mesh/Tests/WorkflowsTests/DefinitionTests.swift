import MeshTypes
import Multiformats
import Testing

@testable import Workflows

/// What a definition may say, and how it is told what is wrong.
@Suite("The definition of a workflow")
struct DefinitionTests {
    private static let module = CID.hashing([1], codec: .raw).text

    private func pipeline() -> WorkflowDefinition {
        var split = StageDefinition(id: "split", module: Self.module)
        split.accept = [0, 3]
        split.outputs = ["parts"]
        var each = StageDefinition(id: "each", module: Self.module)
        each.args = ["--name", "{item}", "{index}", "{other} {"]
        each.forEach = .folder(.input("photos"))
        each.inputs["stdin"] = .item
        var merge = StageDefinition(id: "merge", module: Self.module)
        merge.mounts = [StageMount(path: "/in", source: .output(stage: "each", name: "stdout"))]
        merge.when = [StageCondition(stage: "split", exitCodes: [0])]
        return WorkflowDefinition(
            name: "photos", inputs: ["photos": WorkflowContent(source: "./photos", isFolder: true)],
            stages: [merge, split, each], outputs: ["result": .output(stage: "merge", name: "stdout")])
    }

    private func fault(
        limits: WorkflowLimits = WorkflowLimits(), _ change: (inout WorkflowDefinition) -> Void
    ) -> DefinitionFault? {
        var definition = pipeline()
        change(&definition)
        return DefinitionRules(limits).fault(in: definition)
    }

    @Test func aWellFormedOneHasNoFault() {
        #expect(fault { _ in } == nil)
        #expect(DefinitionRules().unresolved(in: pipeline())?.path == "inputs.photos")
    }

    @Test func unknownNamesAreNamed() {
        #expect(
            fault { $0.outputs["x"] = .output(stage: "nobody", name: "stdout") }?.message == "There is no stage nobody."
        )
        #expect(
            fault { $0.outputs["x"] = .output(stage: "split", name: "other") }?.message
                == "The stage split has no output other.")
        #expect(fault { $0.stages[2].inputs["more"] = .input("none") }?.path == "stages[2].inputs.more")
        #expect(fault { $0.stages[0].when[0].stage = "none" }?.message == "There is no stage none.")
        #expect(fault { $0.stages[0].inputs["stdin"] = .item }?.message == "There is no item that is a file here.")
        #expect(fault { $0.stages[1].id = "each" }?.message == "Two stages are called each.")
        #expect(fault { $0.stages[1].id = "a.b" }?.message == "\"a.b\" is no name.")
        #expect(fault { $0.stages[1].outputs = ["stdout"] }?.message == "Two outputs have the same name.")
        #expect(fault { $0.verification = "sometimes" }?.path == "verify")
        #expect(fault { $0.stages[1].verification = "spot:200%" }?.path == "stages[1].verify")
        #expect(fault { ($0.verification, $0.stages[1].verification) = ("replay", "spot:0.1%") } == nil)
        #expect(fault { $0.stages[1].policy.deniedDIDs = ["x"] }?.message == "x is no DID of this mesh.")
    }

    @Test("An attested stage is not checked and serves nobody, whatever the others do; who asks for both is refused")
    func attested() throws {
        func stage(_ change: @escaping (inout StageDefinition) -> Void) -> DefinitionFault? {
            fault { definition in
                (definition.verification, definition.memo) = ("replay", .own)
                definition.stages[1].determinism = "attested"
                change(&definition.stages[1])
            }
        }
        #expect(stage { _ in } == nil)
        #expect(stage { $0.verification = "none" } == nil)
        #expect(stage { $0.verification = "spot:10%" }?.path == "stages[1].verify")
        #expect(stage { $0.verification = "quorum:2/3" }?.path == "stages[1].verify")
        #expect(stage { $0.memo = .trusted }?.path == "stages[1].memo")
        #expect(stage { $0.determinism = "sometimes" }?.path == "stages[1].determinism")
        #expect(stage { ($0.determinism, $0.memo) = ("deterministic", .trusted) } == nil)
        var definition = pipeline()
        (definition.verification, definition.memo) = ("replay", .own)
        definition.stages[1].determinism = "attested"
        #expect(definition.verification(of: definition.stages[1]) == "none")
        #expect(definition.memo(of: definition.stages[1]) == .off)
        #expect(definition.verification(of: definition.stages[0]) == "replay")
        let params = ChildTemplate(definition.stages[1]).params(
            module: CID.hashing([1], codec: .raw), item: nil, { _ in nil })
        #expect(params.determinism == .attested)
        #expect(params.executionPolicy?.requires(AttestedRun.feature) == true)
    }

    @Test("A second copy of slow runs is asked for by stage, and not where several executors run the work anyway")
    func hedges() throws {
        var definition = pipeline()
        definition.stages[1].policy.hedge = true
        #expect(DefinitionRules().fault(in: definition) == nil)
        let params = ChildTemplate(definition.stages[1]).params(
            module: try CID(parsing: Self.module), item: nil
        ) { _ in nil }
        let policy = try #require(params.executionPolicy)
        #expect(policy.allowsHedge && policy.requires(HedgedJob.feature))
        var other = params
        other.executionPolicy?.hedge = nil
        #expect(PlannedJob(params).difference(from: params) == nil)
        #expect(PlannedJob(params).difference(from: other) == "policy")
        definition.verification = "quorum:2/3"
        #expect(DefinitionRules().fault(in: definition)?.path == "stages[1].policy.hedge")
    }

    @Test("All of a stage's policy is in its jobs' manifests; one with another policy is of another job")
    func wholePolicy() throws {
        var definition = pipeline()
        var asked = StagePolicy()
        (asked.minReputation, asked.regions, asked.features) = (7, ["eu"], ["simd"])
        (asked.bidWindowMilliseconds, asked.sufficientBids, asked.maxAttempts) = (800, 2, 3)
        (asked.resources, asked.deadline) = (ResourceAmounts([("memory_mib", 512)]), 4_000_000_000_000)
        asked.weights = SelectionWeights(price: 1, reputation: 0, region: 0, latency: 3, load: 0)
        (asked.publicBids, asked.publicStatus) = (true, true)
        definition.stages[1].policy = asked
        #expect(DefinitionRules().fault(in: definition) == nil)
        let params = ChildTemplate(definition.stages[1]).params(
            module: try CID(parsing: Self.module), item: nil
        ) { _ in nil }
        let policy = try #require(params.executionPolicy)
        #expect(policy.minReputation == 7 && policy.regionFilter == ["eu"] && policy.weights == asked.weights)
        #expect(policy.requiredFeatures == ["simd", PublicJob.feature])
        #expect(policy.bidWindowMilliseconds == 800 && policy.sufficientBids == 2 && policy.maxAttempts == 3)
        #expect(policy.deadline?.value == asked.deadline && policy.hasPublicBids && policy.hasPublicStatus)
        #expect(params.resourcesRequired["memory_mib"] == 512)
        #expect(PlannedJob(params).difference(from: params) == nil)
        var more = params
        more.executionPolicy?.require("what-its-module-imports")
        #expect(PlannedJob(params).difference(from: more) == nil)
        let changes: [(inout MeshJobParams) -> Void] = [
            { $0.resourcesRequired = ResourceAmounts() }, { $0.executionPolicy?.requiredFeatures = nil },
            { $0.executionPolicy?.deadline = nil }, { $0.executionPolicy?.weights = nil },
            { $0.executionPolicy?.maxAttempts = nil }, { $0.executionPolicy?.publicBids = nil },
            { $0.executionPolicy?.publicStatus = nil },
        ]
        for change in changes {
            var other = params
            change(&other)
            #expect(PlannedJob(params).difference(from: other) == "policy")
        }
    }

    @Test func foldersAndFilesAreNotMixedUp() {
        #expect(
            fault { $0.stages[0].inputs["stdin"] = .output(stage: "each", name: "stdout") }?.path
                == "stages[0].inputs.stdin")
        #expect(
            fault { $0.stages[2].forEach = .folder(.output(stage: "split", name: "parts")) }?.path
                == "stages[2].for_each.folder")
    }

    @Test func cyclesAreToldAround() {
        let fault = fault { $0.stages[1].inputs["stdin"] = .output(stage: "merge", name: "stdout") }
        #expect(fault?.message == "The stages wait for each other: merge needs split needs merge.")
        #expect(
            self.fault { $0.stages[1].inputs["stdin"] = .output(stage: "split", name: "stdout") }?.message
                == "The stages wait for each other: split needs split.")
    }

    @Test func whatIsNeverReachedIsRefused() {
        #expect(fault { $0.stages[0].when[0].exitCodes = [7] }?.message.hasPrefix("The stage is never reached") == true)
        let contradiction = fault { definition in
            var late = StageDefinition(id: "late", module: Self.module)
            late.inputs["stdin"] = .output(stage: "merge", name: "stdout")
            late.when = [StageCondition(stage: "split", exitCodes: [3])]
            definition.stages.append(late)
        }
        #expect(contradiction?.path == "stages[3].when")
        #expect(fault { $0.stages[0].when[0].stage = "each" }?.message == "each is a fan-out and has no one exit code.")
    }

    @Test func aBudgetThatCannotDoIsRefused() {
        #expect(fault { $0.budget = 10 }?.remedy.hasPrefix("Add job_budget") == true)
        func priced(_ budget: UInt64) -> DefinitionFault? {
            fault { definition in
                definition.budget = budget
                for index in definition.stages.indices { definition.stages[index].jobBudget = 10 }
                definition.stages[2].forEach = .range(from: 1, through: 3)
                definition.stages[2].inputs = [:]
            }
        }
        #expect(priced(49)?.path == "budget")
        #expect(priced(50) == nil)
        #expect(
            fault {
                $0.budget = .max
                for index in 0..<3 { $0.stages[index].jobBudget = .max }
            } != nil)
    }

    @Test func everyBoundIsReached() {
        var limits = WorkflowLimits()
        limits.stagesMax = 2
        #expect(fault(limits: limits) { _ in }?.path == "stages")
        limits = WorkflowLimits()
        limits.namesMax = 0
        #expect(fault(limits: limits) { _ in }?.path == "inputs")
        limits = WorkflowLimits()
        limits.nameBytesMax = 5
        #expect(fault(limits: limits) { _ in }?.path == "name")
        limits = WorkflowLimits()
        limits.textBytesMax = 8
        #expect(fault(limits: limits) { _ in }?.path == "stages[2].args")
        limits = WorkflowLimits()
        limits.partsMax = 3
        #expect(fault(limits: limits) { _ in }?.path == "stages[2].args")
        limits = WorkflowLimits()
        limits.itemsMax = 2
        #expect(
            fault(limits: limits) { $0.stages[2].forEach = .list(["a", "b", "c"]) }?.path == "stages[2].for_each.list")
        #expect(fault { $0.stages[2].forEach = .range(from: .min, through: .max) }?.path == "stages[2].for_each.range")
        #expect(fault { $0.stages[2].forEach = .range(from: 1, through: 10_001) }?.path == "stages[2].for_each.range")
        limits = WorkflowLimits()
        limits.jobsMax = 1
        #expect(fault(limits: limits) { _ in }?.message == "2 jobs are more than the 1 that a workflow may have.")
        // Items are counted in the places where they go.
        let long = String(repeating: "x", count: 1_000)
        let places = Array(repeating: "{item}", count: 33).joined()
        #expect(fault { $0.stages[2].args = [places] } == nil)
        let filled = fault {
            $0.stages[2].args = [places]
            $0.stages[2].forEach = .list([long])
        }
        #expect(filled?.message.hasPrefix("33198 bytes of one text with its items") == true)
        #expect(fault { $0.parallel = 257 }?.path == "parallel")
        #expect(fault { $0.stages[0].retries = 17 }?.path == "stages[0].retries")
        #expect(fault { $0.stages[0].accept = [1 << 40] }?.path == "stages[0].accept")
        #expect(fault { $0.stages[0].limits.maxFuel = .max }?.path == "stages[0]")
    }

    @Test func anItemsJobSaysWhatTheStageSays() throws {
        var definition = pipeline()
        let folder = CID.hashing([2], codec: .dagPB)
        definition.inputs["photos"]?.source = folder.text
        var plan = try WorkflowPlan(definition)
        #expect(
            plan.begin() == [
                .submit(ChildKey(stage: "split", item: 0, attempt: 0)), .list(stage: "each", round: 0, folder: folder),
            ])
        let files = ["b", "a"].map {
            ChildOutput(name: $0, cid: CID.hashing(Array($0.utf8), codec: .raw), isFolder: false)
        }
        let second = ChildKey(stage: "each", item: 1, attempt: 0)
        #expect(plan.handle(.listed(stage: "each", round: 0, entries: files)).last == .submit(second))
        let params = try #require(plan.params(of: second))
        #expect(params.args == ["--name", "b", "1", "{other} {"])
        #expect(params.inputCIDs["stdin"] == files[0].cid)
        #expect(JobRules().refusal(of: params) == nil)
        #expect(plan.params(of: ChildKey(stage: "each", item: 2, attempt: 0)) == nil)
    }

    @Test func theTreeIsReadAndFaultsHaveTheirLines() throws {
        func scalar(_ text: String, _ line: Int, isPlain: Bool = true) -> DefinitionNode {
            DefinitionNode(.scalar(text, isPlain: isPlain), line: line)
        }
        func map(_ line: Int, _ entries: [(String, DefinitionNode)]) -> DefinitionNode {
            DefinitionNode(.map(entries.map { DefinitionNode.Entry(name: $0.0, node: $0.1) }), line: line)
        }
        func tree(_ stage: [(String, DefinitionNode)]) -> DefinitionNode {
            map(
                1,
                [
                    ("version", scalar("1", 1)), ("name", scalar("x", 2)),
                    (
                        "stages",
                        DefinitionNode(
                            .list([map(4, [("id", scalar("a", 4)), ("module", scalar("m", 5))] + stage)]), line: 3)
                    ),
                ])
        }
        let read = DefinitionReader()
        #expect(try read.definition(tree([])).stages == [StageDefinition(id: "a", module: "m")])
        let refusals: [([(String, DefinitionNode)], String)] = [
            ([("modul", scalar("x", 6))], "line 6, stages[0].modul: Nobody knows the field modul."),
            ([("retries", scalar("2", 6, isPlain: false))], "line 6, stages[0].retries: Here must be a whole number."),
            ([("retries", scalar("-2", 6))], "line 6, stages[0].retries: The number is negative."),
            ([("tmp", scalar("yes", 6))], "line 6, stages[0].tmp: This is neither true nor false."),
            (
                [("stdin", scalar("stages.a", 6))],
                "line 6, stages[0].stdin: stages.a names nothing that a stage can read."
            ),
            ([("args", scalar("x", 6))], "line 6, stages[0].args: Here must be a list."),
            ([("id", scalar("b", 6))], "line 6, stages[0].id: id stands here twice."),
            ([("on_failure", scalar("stop", 6))], "line 4, stages[0].on_failure: stop is no rule for failures."),
            ([("for_each", map(6, []))], "line 6, stages[0].for_each: A fan-out is over one thing."),
            ([("stdin", scalar("item", 7))], "line 4, stages[0].inputs.stdin: There is no item that is a file here."),
            ([("env", map(6, [("A", map(7, []))]))], "line 7, stages[0].env.A: Here must be a text."),
        ]
        for (stage, told) in refusals {
            let fault = #expect(throws: DefinitionFault.self) { try read.definition(tree(stage)) }
            #expect(fault?.description.hasPrefix(told) == true, "\(fault?.description ?? "")")
        }
    }

    @Test func thePictureHasEveryStageAndLine() throws {
        let graph = try WorkflowGraph(pipeline())
        #expect(
            graph.text.split(separator: "\n").map { String($0) }.map { line in
                line.replacing(Self.module, with: "M").replacing(String(Self.module.prefix(39)) + "…", with: "M")
            } == [
                "photos  folder", "  split  M", "  each  M  for each of inputs.photos  <- inputs.photos",
                "    merge  M  when split exits 0  <- each, ?split", "      result  output  <- merge",
            ])
        #expect(graph.svg.hasPrefix("<svg ") && graph.svg.hasSuffix("</svg>\n"))
        #expect(graph.svg.count(where: { $0 == "\n" }) > 20 && graph.svg.contains("stroke-dasharray"))
    }
}
