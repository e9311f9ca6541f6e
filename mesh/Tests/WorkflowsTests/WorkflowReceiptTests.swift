import Determinism
import IPLD
import MeshTypes
import Multiformats
import Receipts
import SignedObjects
import Synchronization
import Testing

@testable import Workflows

/// The receipt of a workflow: what holds of honest ones, and what each attempt to cheat is refused for.
@Suite("The receipt of a workflow")
struct WorkflowReceiptTests {
    private static let module = CID.hashing([1], codec: .raw).text

    /// Words per file of a folder, then their sum.
    private func definition(_ scene: inout WorkflowScene, _ names: [String] = ["a", "b", "c"]) throws
        -> WorkflowDefinition
    {
        var count = StageDefinition(id: "count", module: Self.module)
        count.forEach = .folder(.input("texts"))
        (count.inputs["stdin"], count.args, count.outputs) = (.item, ["--name", "{item}"], ["made"])
        var sum = StageDefinition(id: "sum", module: Self.module)
        sum.mounts = [StageMount(path: "/counts", source: .output(stage: "count", name: "made"))]
        let texts = try scene.folder(names)
        return WorkflowDefinition(
            name: "words", inputs: ["texts": WorkflowContent(source: texts.text, isFolder: true)],
            stages: [count, sum], outputs: ["total": .output(stage: "sum", name: "stdout")])
    }

    /// The report of a workflow that was run as it should be, with changes.
    private func report(
        _ change: (inout WorkflowScene) -> Void = { _ in }, edit: (inout WorkflowDefinition) -> Void = { _ in },
        ends: (ChildKey) -> WorkflowScene.End = { _ in .exits(0) }
    ) throws -> VerificationReport {
        var scene = try WorkflowScene()
        var definition = try definition(&scene)
        edit(&definition)
        change(&scene)
        let plan = try scene.run(definition, ends)
        return try scene.signedReport(plan, try scene.manifest(definition))
    }

    @Test("An honest receipt holds, with every check made; so does one that says what failed")
    func honest() throws {
        let whole = try report()
        #expect(whole.isVerified, "\(whole.failures)")
        #expect(whole.codes(.passed) == WorkflowCheckName.allCases.map(\.rawValue), "\(whole.lines)")
        let failed = try report(ends: { $0.stage == "count" && $0.item == 1 ? .exits(3) : .exits(0) })
        #expect(failed.isVerified, "\(failed.lines)")
        let skipped = try report(edit: { $0.stages[0].onFailure = .skip }, ends: { $0.item == 1 ? .traps : .exits(0) })
        #expect(skipped.isVerified, "\(skipped.lines)")
    }

    @Test("What failed without a receipt is the originator's word, and said to be")
    func words() throws {
        let lost = try report(
            edit: { $0.stages[0].onFailure = .skip },
            ends: { $0.stage == "count" && $0.item == 1 ? .isLost(ofMesh: false) : .exits(0) })
        #expect(lost.result == .notCheckable && lost.codes(.notCheckable) == ["workflow_words"], "\(lost.lines)")
        #expect(lost.detail(.words) == "count, b failed by the originator's word: nobody bid")
        let stage = try report(
            { $0.changes.receipt = { ($0.stages[0].reason, $0.stages[0].status) = ("no room", .failed) } },
            edit: { $0.stages[0].onFailure = .skip })
        #expect(stage.codes(.failed) == ["workflow_items"], "\(stage.lines)")
        #expect(stage.detail(.items) == "sum has 1 records, and 0 items by the plan")
    }

    @Test("A receipt of another job is no receipt of the item's job")
    func otherJob() throws {
        let report = try report {
            $0.changes.items = { stage, items in
                if stage == "count" { (items[0].receiptCID, items[1].receiptCID) = (items[1].receiptCID, nil) }
                if stage == "count" { items[1].end = .failed }
            }
        }
        #expect(report.codes(.failed) == ["workflow_jobs"], "\(report.lines)")
        #expect(
            report.detail(.jobs) == "the receipt of count, a is of another job than the one that it is to have run")
    }

    @Test("A job whose manifest says anything else than the plan is refused by what differs")
    func otherManifest() throws {
        let other = CID.hashing([9], codec: .raw)
        let changes: [(String, (inout MeshJobParams) -> Void)] = [
            ("module", { $0.wasmCID = other }), ("entry", { $0.entry = "main" }),
            ("list of arguments", { $0.args[1] = "b" }), ("environment", { $0.env["x"] = "y" }),
            ("list of inputs", { $0.inputCIDs["stdin"] = other }), ("list of inputs", { $0.inputCIDs["more"] = other }),
            ("list of limits", { $0.maxFuel += 1 }), ("list of limits", { $0.timeoutSeconds += 1 }),
            ("list of files", { $0.files = JobFiles(workingFolder: "/work") }),
            ("profile", { $0.determinism = .attested }), ("budget", { $0.maxAcceptableBidTokens = TokenAmount(7) }),
            ("policy", { $0.executionPolicy?.minReputation = 1 }),
        ]
        for (what, change) in changes {
            let report = try report(
                { $0.changes.job = { key, params in if key.stage == "count", key.item == 0 { change(&params) } } })
            #expect(
                report.detail(.jobs) == "count, a has another \(what) in its manifest than in the plan",
                "\(report.lines)")
            #expect(report.codes(.failed) == ["workflow_jobs"])
        }
        let mounted = try report {
            $0.changes.job = { key, params in if key.stage == "sum" { params.files?.mounts[0].cid = other } }
        }
        #expect(mounted.detail(.jobs) == "sum has another list of files in its manifest than in the plan")
    }

    @Test("A final output, or a folder, that the jobs did not make is refused")
    func otherOutputs() throws {
        let other = CID.hashing([9], codec: .raw)
        let final = try report { $0.changes.receipt = { $0.outputs["total"] = other } }
        #expect(final.codes(.failed) == ["workflow_outputs"])
        #expect(final.detail(.outputs) == "total is said to be \(other), which no stage gives it")
        let more = try report { $0.changes.receipt = { $0.outputs["more"] = other } }
        #expect(more.codes(.failed) == ["workflow_outputs"])
        let less = try report { $0.changes.receipt = { $0.outputs["total"] = nil } }
        #expect(less.detail(.outputs) == "total is missing")
        let folder = try report { scene in
            let false1 = try? scene.folder([
                ChildOutput(name: "a", cid: other, isFolder: false),
                ChildOutput(name: "b", cid: other, isFolder: false),
                ChildOutput(name: "c", cid: other, isFolder: false),
            ])
            scene.changes.receipt = { $0.stages[0].folders["made"] = false1 }
        }
        #expect(folder.codes(.failed) == ["workflow_folders"])
        #expect(folder.detail(.folders) == "made of count has under a something else than that item made")
    }

    @Test("An item that is missing, invented or not run is found out")
    func otherItems() throws {
        let missing = try report { $0.changes.items = { stage, items in if stage == "count" { items.removeLast() } } }
        #expect(missing.detail(.items) == "count has no result for its item c")
        let more = try report {
            $0.changes.items = { stage, items in
                guard stage == "sum" else { return }
                items.append(ItemRecord(name: "x", end: .notRun, jobCID: nil, receiptCID: nil))
            }
        }
        #expect(more.detail(.items) == "sum has 2 records, and 1 items by the plan")
        let notRun = try report { $0.changes.items = { stage, items in if stage == "sum" { items[0].end = .notRun } } }
        #expect(notRun.detail(.items) == "sum has no result for its item sum")
        let renamed = try report { $0.changes.items = { stage, items in if stage == "count" { items[0].name = "b" } } }
        #expect(renamed.detail(.items) == "an item of count is called b, by the plan a")
        let fewer = try report { $0.changes.receipt = { $0.stages[0].items = 4 } }
        #expect(fewer.detail(.items) == "count has 3 records, and is to have 4")
        let stages = try report { $0.changes.receipt = { $0.stages.swapAt(0, 1) } }
        #expect(stages.detail(.items) == "its stages are others than those of the plan")
        for report in [missing, more, notRun, renamed, fewer, stages] {
            #expect(report.codes(.failed) == ["workflow_items"], "\(report.lines)")
        }
    }

    @Test("A job serves one item only, and what failed is not done")
    func twice() throws {
        let twice = try report(edit: { definition in
            definition.stages[0].args = []
            definition.stages[0].inputs = [:]
        })
        #expect(twice.isVerified, "\(twice.lines)")
        let copied = try report(
            {
                $0.changes.items = { stage, items in
                    guard stage == "count" else { return }
                    (items[1].jobCID, items[1].receiptCID) = (items[0].jobCID, items[0].receiptCID)
                }
            },
            edit: { definition in
                definition.stages[0].args = []
                definition.stages[0].inputs = [:]
            })
        #expect(copied.codes(.failed) == ["workflow_once"], "\(copied.lines)")
        #expect(copied.detail(.once).hasSuffix("serves count, a and count, b"))
        let failed = try report(
            {
                $0.changes.items = { stage, items in if stage == "count" { items[1].end = .done } }
            }, ends: { $0.item == 1 && $0.stage == "count" ? .exits(3) : .exits(0) })
        #expect(
            failed.detail(.ends)
                == "count, b is said to be done, and its receipt says: the module ended with exit code 3")
        let noReceipt = try report {
            $0.changes.items = { stage, items in
                if stage == "sum" { items[0].receiptCID = nil }
            }
        }
        #expect(noReceipt.detail(.ends) == "sum is said to be done, and has no receipt")
    }

    @Test("A workflow does not succeed by saying so")
    func otherStatus() throws {
        let status = try report(
            { scene in
                scene.changes.receipt = { $0.status = .succeeded }
            }, ends: { $0.stage == "sum" ? .exits(1) : .exits(0) })
        #expect(status.codes(.failed) == ["workflow_stages"], "\(status.lines)")
        let skipped = try report {
            $0.changes.receipt = { receipt in
                receipt.stages[1].status = .skipped
                (receipt.stages[1].items, receipt.stages[1].pages, receipt.outputs) = (0, [], [:])
            }
        }
        #expect(skipped.codes(.failed) == ["workflow_items"], "\(skipped.lines)")
        let open = try report { $0.changes.receipt = { $0.status = .running } }
        #expect(open.detail(.signature) == "it says that the workflow is not over")
    }

    @Test("Two receipts of one end contradict each other; one after a resume does not")
    func twoReceipts() throws {
        var scene = try WorkflowScene()
        let definition = try definition(&scene)
        let plan = try scene.run(definition) { _ in .exits(0) }
        let workflow = try scene.manifest(definition)
        let first = try scene.sign(plan, workflow)
        #expect(scene.verify(first).isVerified)
        scene.changes.receipt = { $0.previousReceiptCID = first }
        let later = try scene.sign(plan, workflow)
        #expect(scene.verify(later).isVerified && scene.verify(first).isVerified)
        scene.changes.receipt = { _ in }
        let second = try scene.sign(plan, workflow)
        for (one, other) in [(first, second), (second, first)] {
            let report = scene.verify(one)
            #expect(report.codes(.failed) == ["workflow_only_one"])
            #expect(report.detail(.onlyOne) == "the originator signed \(other) for the same end, too")
        }
        let resumed = scene.verify(later)
        #expect(
            resumed.detail(.onlyOne) == "the originator signed \(second) for an end before, that of \(first), too")
    }

    @Test("A receipt before that is invented, of something else or later makes no room for a second receipt")
    func inventedPrevious() throws {
        var scene = try WorkflowScene()
        let definition = try definition(&scene)
        let plan = try scene.run(definition) { _ in .exits(0) }
        let workflow = try scene.manifest(definition)
        var renamed = definition
        renamed.name = "other"
        let other = try scene.sign(plan, try scene.manifest(renamed))
        let job = try #require(scene.receipts[ChildKey(stage: "sum", item: 0, attempt: 0)])
        let invented = CID.hashing([1, 2, 3], codec: .dagCBOR)
        scene.changes.receipt = { $0.endedAt = UnixMilliseconds($0.endedAt.value + 1_000) }
        let later = try scene.sign(plan, workflow)
        let named = "named as the receipt before,"
        for (previous, why) in [
            (job, "\(job), \(named) is no receipt of a workflow"), (other, "\(other), \(named) is of another workflow"),
            (later, "\(later), \(named) has no earlier end"),
        ] {
            scene.changes.receipt = { $0.previousReceiptCID = previous }
            let report = try scene.signedReport(plan, workflow)
            #expect(report.codes(.failed) == ["workflow_only_one"], "\(report.lines)")
            #expect(report.detail(.onlyOne) == why)
        }
        scene.changes.receipt = { $0.previousReceiptCID = invented }
        let gone = try scene.signedReport(plan, workflow)
        #expect(gone.failures.isEmpty && gone.codes(.notCheckable) == ["workflow_only_one"], "\(gone.lines)")
    }

    @Test("Ends before are followed up to previousMax of them")
    func manyEnds() throws {
        var scene = try WorkflowScene()
        let definition = WorkflowDefinition(name: "x", stages: [StageDefinition(id: "a", module: Self.module)])
        let plan = try scene.run(definition) { _ in .exits(0) }
        let workflow = try scene.manifest(definition)
        var last = try scene.sign(plan, workflow)
        for _ in 0..<WorkflowReceipt.Limits().previousMax {
            let previous = last
            scene.changes.receipt = { $0.previousReceiptCID = previous }
            last = try scene.sign(plan, workflow)
        }
        #expect(scene.verify(last).isVerified)
        let previous = last
        scene.changes.receipt = { $0.previousReceiptCID = previous }
        let report = try scene.signedReport(plan, workflow)
        #expect(report.failures.isEmpty && report.detail(.onlyOne) == "it has more than 32 ends before it")
    }

    @Test("A workflow does not fail by saying so")
    func falseFailure() throws {
        let nothing = try report { $0.changes.receipt = { $0.status = .failed } }
        #expect(nothing.failures.isEmpty && nothing.codes(.notCheckable) == ["workflow_words"], "\(nothing.lines)")
        #expect(nothing.detail(.words).hasPrefix("that it failed is the originator's word"))
        let notRun = try report {
            $0.changes.items = { _, items in
                for index in items.indices { items[index] = ItemRecord(name: items[index].name, end: .notRun) }
            }
            $0.changes.receipt = { receipt in
                (receipt.status, receipt.outputs) = (.failed, [:])
                for index in receipt.stages.indices {
                    (receipt.stages[index].status, receipt.stages[index].folders) = (.skipped, [:])
                }
                (receipt.stages[1].items, receipt.stages[1].pages) = (0, [])
            }
        }
        #expect(notRun.failures.isEmpty && notRun.codes(.notCheckable) == ["workflow_words"], "\(notRun.lines)")
        let stage = try report {
            $0.changes.receipt = { ($0.status, $0.stages[1].status, $0.outputs) = (.failed, .failed, [:]) }
        }
        #expect(stage.codes(.failed) == ["workflow_stages"], "\(stage.lines)")
        #expect(stage.detail(.stages) == "sum is said to be failed; its items make it succeeded")
    }

    @Test("Names and arguments are compared by their bytes, and a name that is no text is no name to leave out")
    func bytes() throws {
        let (one, two) = ("e\u{301}", "\u{e9}")
        var scene = try WorkflowScene()
        let definition = try definition(&scene, [one, "f"])
        let plan = try scene.run(definition) { _ in .exits(0) }
        let workflow = try scene.manifest(definition)
        let base = scene
        #expect(try scene.signedReport(plan, workflow).isVerified)
        let made = try #require(plan.gatherings(of: "count").first?.entries)
        var other = made
        other[0].name = two
        scene = base
        let folder = try scene.folder(other)
        scene.changes.receipt = { $0.stages[0].folders["made"] = folder }
        let renamed = try scene.signedReport(plan, workflow)
        #expect(renamed.codes(.failed) == ["workflow_folders"], "\(renamed.lines)")
        let entries = made.map { UnixFSEntry(name: Array($0.name.utf8), cid: $0.cid, totalBytes: 9) }
        let (more, blocks) = try UnixFSDirectoryBuilder.directory(
            entries + [UnixFSEntry(name: [0xff], cid: made[0].cid, totalBytes: 9)], profile: .v1in2025)
        scene = base
        for block in blocks { scene.blocks[block.cid] = block.bytes }
        scene.changes.receipt = { $0.stages[0].folders["made"] = more.cid }
        let hidden = try scene.signedReport(plan, workflow)
        #expect(hidden.detail(.folders) == "made of count has a name that is no text in UTF-8", "\(hidden.lines)")
        scene = base
        scene.changes.items = { stage, items in if stage == "count" { items[0].name = two } }
        #expect(try scene.signedReport(plan, workflow).codes(.failed) == ["workflow_items"])
        var another = try WorkflowScene()
        another.changes.job = { key, params in if key.stage == "count", key.item == 0 { params.args[1] = two } }
        let changed = try self.definition(&another, [one, "f"])
        let report = try another.signedReport(
            try another.run(changed) { _ in .exits(0) }, try another.manifest(changed))
        #expect(report.codes(.failed) == ["workflow_jobs"], "\(report.lines)")
        #expect(report.detail(.jobs).contains("another list of arguments"))
    }

    @Test("Each receipt is looked at once, and no more of them than jobsMax")
    func manyReceipts() throws {
        let looked = Mutex<[CID: Int]>([:])
        let limits = WorkflowReceipt.Limits()
        var scene = try WorkflowScene()
        let definition = WorkflowDefinition(
            name: "x", stages: ["a", "b", "c"].map { StageDefinition(id: $0, module: Self.module) })
        let plan = try scene.run(definition) { _ in .exits(0) }
        let workflow = try scene.manifest(definition)
        let most = WorkflowLimits().jobsMax
        for (distinct, isRefuted) in [(1, false), (most, false), (most + 1, true)] {
            var number = 0
            scene.changes.items = { stage, items in
                items = (0..<(stage == "c" ? 1 : WorkflowLimits().itemsMax)).map { item in
                    number += 1
                    let bytes = withUnsafeBytes(of: min(number, distinct)) { Array($0) }
                    let cid = CID.hashing(bytes, codec: .dagCBOR)
                    return ItemRecord(name: "\(item)", end: .done, jobCID: cid, receiptCID: cid)
                }
            }
            let receipt = try scene.sign(plan, workflow)
            let blocks = scene.blocks
            looked.withLock { $0 = [:] }
            let verifier = WorkflowVerifier {
                blocks[$0].map { .bytes($0) } ?? .gone
            } job: { cid in
                looked.withLock { $0[cid, default: 0] += 1 }
                return .gone("it is not there")
            }
            let result = verifier.verify(receipt)
            let times = looked.withLock { $0 }
            #expect(times.values.allSatisfy { $0 == 1 }, "\(times.values.max() ?? 0)")
            #expect(result.jobs.count == min(distinct, most))
            let detail = result.report.detail(.items)
            #expect(detail.contains("more receipts than") == isRefuted, "\(detail)")
        }
        scene.changes.items = { stage, items in
            if stage == "a" { items = (0..<limits.itemsPerPage).map { ItemRecord(name: "\($0)", end: .notRun) } }
        }
        scene.changes.receipt = { receipt in
            receipt.stages[0].items *= 2
            receipt.stages[0].pages += receipt.stages[0].pages
        }
        let twice = try scene.signedReport(plan, workflow)
        #expect(twice.detail(.signature) == "a stage names a block of items twice")
        let page = ItemPage(items: (0...limits.itemsPerPage).map { ItemRecord(name: "\($0)", end: .notRun) })
        let bytes = try DAGCBOREncoder().encode(page)
        #expect(ItemPage(bytes, of: CID.hashing(bytes, codec: .dagCBOR)) == nil)
    }

    @Test("A fan-out whose folder was being made when the workflow ended refutes nothing", arguments: [true, false])
    func gatheringAtTheEnd(isCancelled: Bool) throws {
        var scene = try WorkflowScene()
        var definition = try definition(&scene)
        for (id, before) in [("u", nil), ("v", "u"), ("w", "v"), ("y", "w"), ("z", "y"), ("x", nil)]
            as [(String, String?)]
        {
            var stage = StageDefinition(id: id, module: Self.module)
            stage.mounts = before.map { [StageMount(path: "/in", source: .output(stage: $0, name: "stdout"))] } ?? []
            definition.stages.append(stage)
        }
        var plan = try WorkflowPlan(definition)
        var (pending, held) = (plan.begin(), [PlanEffect]())
        while !pending.isEmpty {
            let effect = pending.removeFirst()
            if case .gather = effect { continue }
            if case .submit(let key) = effect, key.stage == "x" {
                held.append(effect)
                continue
            }
            if let event = try scene.event(effect, of: plan, { _ in .exits(0) }) { pending += plan.handle(event) }
        }
        if isCancelled { _ = plan.handle(.cancelled) }
        for effect in held {
            let event = try scene.event(effect, of: plan) { _ in isCancelled ? .isCancelled : .exits(3) }
            _ = plan.handle(try #require(event))
        }
        #expect(plan.status == (isCancelled ? .cancelled : .failed))
        #expect(plan.stage("count")?.reason == WorkflowPlan.endedBefore)
        let report = try scene.signedReport(plan, try scene.manifest(definition))
        #expect(report.failures.isEmpty, "\(report.failures)")
        #expect(isCancelled || report.isVerified, "\(report.lines)")
    }

    @Test("A folder that could not be made by the originator's word, and one name too long for an item")
    func contentFailures() throws {
        var scene = try WorkflowScene()
        var definition = try definition(&scene)
        for (id, before) in [("u", nil), ("v", "u"), ("w", "v"), ("y", "w"), ("z", "y")] as [(String, String?)] {
            var stage = StageDefinition(id: id, module: Self.module)
            stage.mounts = before.map { [StageMount(path: "/in", source: .output(stage: $0, name: "stdout"))] } ?? []
            definition.stages.append(stage)
        }
        var plan = try WorkflowPlan(definition)
        var (pending, held) = (plan.begin(), [PlanEvent]())
        while !pending.isEmpty {
            let effect = pending.removeFirst()
            if case .gather(let stage, let round) = effect {
                held.append(.contentFailed(stage: stage, round: round, reason: "no room"))
            } else if let event = try scene.event(effect, of: plan, { _ in .exits(0) }) {
                pending += plan.handle(event)
            }
        }
        for event in held { _ = plan.handle(event) }
        #expect(plan.status == .failed)
        let report = try scene.signedReport(plan, try scene.manifest(definition))
        #expect(report.failures.isEmpty && report.codes(.notCheckable) == ["workflow_words"], "\(report.lines)")
        for (length, isFailed) in [(255, false), (256, true)] {
            var plan = try WorkflowPlan(definition)
            _ = plan.begin()
            let entry = ChildOutput(
                name: String(repeating: "n", count: length), cid: CID.hashing([], codec: .raw), isFolder: false)
            _ = plan.handle(.listed(stage: "count", round: 0, entries: [entry]))
            #expect((plan.stage("count")?.status == .failed) == isFailed)
            #expect(isFailed == (plan.reason == "stage count: its folder has a name of more than 255 bytes"))
        }
    }

    @Test("A plan of somebody else, one that is ill formed, and blocks that are missing or wrong are told apart")
    func otherPlan() throws {
        var scene = try WorkflowScene()
        let definition = try definition(&scene)
        let plan = try scene.run(definition) { _ in .exits(0) }
        let workflow = try scene.manifest(definition)
        let receipt = try scene.sign(plan, workflow)
        let foreign = try scene.keep(
            WorkflowManifest(
                definition: definition, originatorDID: scene.executor.did, key: "k", submittedAt: UnixMilliseconds(1)),
            scene.executor)
        #expect(try scene.signedReport(plan, foreign).detail(.plan).contains("instead of"))
        var bad = definition
        bad.stages[1].when = [StageCondition(stage: "sum", exitCodes: [0])]
        let badReport = try scene.signedReport(plan, try scene.manifest(bad))
        #expect(badReport.detail(.plan).hasPrefix("the plan is not well formed"), "\(badReport.lines)")
        for block in [workflow, try #require(scene.receipts.values.first)] {
            var less = scene
            less.blocks[block] = nil
            let report = less.verify(receipt)
            #expect(report.result == .notCheckable && report.failures.isEmpty, "\(report.lines)")
        }
        let job = try #require(scene.receipts[ChildKey(stage: "sum", item: 0, attempt: 0)])
        var forged = scene
        forged.changes.items = { stage, items in if stage == "sum" { items[0].receiptCID = workflow } }
        let report = try forged.signedReport(plan, workflow)
        #expect(report.codes(.failed) == ["workflow_receipts", "workflow_only_one"], "\(report.lines)")
        #expect(scene.verify(job).isVerified)
    }

    @Test("What is out of a receipt's bounds is refused")
    func bounds() throws {
        let limits = WorkflowReceipt.Limits()
        let reason = String(repeating: "r", count: limits.reasonBytesMax + 1)
        let long = try report { $0.changes.receipt = { $0.reason = reason } }
        #expect(long.detail(.signature) == "a reason is too long")
        let name = String(repeating: "n", count: limits.itemNameBytesMax + 1)
        let named = try report { $0.changes.items = { _, items in items[0].name = name } }
        #expect(named.detail(.items).hasSuffix("is no list of items"))
        let pages = try report { $0.changes.receipt = { $0.stages[0].pages += $0.stages[0].pages } }
        #expect(pages.detail(.signature) == "what it says of a stage is out of bounds")
        let many = try report { $0.changes.receipt = { $0.stages[0].items = UInt64(Int64.max) } }
        #expect(many.detail(.signature) == "what it says of a stage is out of bounds")
        var scene = try WorkflowScene()
        let plan = try WorkflowPlan(definition(&scene))
        let block = try scene.keep(
            WorkflowReceipt(
                workflowCID: CID.hashing([], codec: .dagCBOR), originatorDID: scene.originator.did, status: .failed,
                reason: nil, stages: [], outputs: [:], endedAt: UnixMilliseconds(1)), scene.originator)
        let bytes = try #require(scene.blocks[block])
        #expect(WorkflowReceipt.receipt(key: WorkflowReceipt.key(block), value: bytes) != nil)
        #expect(WorkflowReceipt.receipt(key: Array("/icn/receipt/".utf8) + block.bytes, value: bytes) == nil)
        let padding = (0..<64).map { number in
            StageRecord(
                id: String(repeating: "\(number)", count: 600), status: .skipped, items: 0, pages: [], folders: [:])
        }
        let padded = try scene.keep(
            WorkflowReceipt(
                workflowCID: CID.hashing([], codec: .dagCBOR), originatorDID: scene.originator.did, status: .failed,
                reason: nil, stages: padding, outputs: [:], endedAt: UnixMilliseconds(1)), scene.originator)
        let large = try #require(scene.blocks[padded])
        #expect(large.count > limits.recordBytesMax && WorkflowReceipt.receipt(of: large) != nil)
        #expect(WorkflowReceipt.receipt(key: WorkflowReceipt.key(padded), value: large) == nil)
        #expect(plan.receiptCID == nil)
    }

    @Test("Items go into blocks of itemsPerPage each, and all are found again")
    func pages() throws {
        var scene = try WorkflowScene()
        var stage = StageDefinition(id: "a", module: Self.module)
        (stage.forEach, stage.onFailure) = (.range(from: 1, through: 2_001), .skip)
        let definition = WorkflowDefinition(name: "x", stages: [stage])
        let plan = try scene.run(definition) { $0.item % 1_000 == 0 ? .exits(0) : .isLost(ofMesh: false) }
        let made = try WorkflowReceipt.make(
            of: plan, workflow: try scene.manifest(definition), by: scene.originator.did, at: UnixMilliseconds(1))
        #expect(made.receipt.stages[0].pages.count == 3 && made.pages.count == 3)
        let report = try scene.signedReport(plan, try scene.manifest(definition))
        #expect(report.codes(.failed) == [] && report.codes(.notCheckable) == ["workflow_words"], "\(report.lines)")
        #expect(report.detail(.items) == "2,001 of them")
    }

    @Test("No honest receipt is ever refuted, whatever fails, is cancelled or taken up again", arguments: 1...16)
    func randomEnds(seed: UInt64) throws {
        var generator = SeededGenerator(seed: seed)
        for number in 0..<5 {
            var scene = try WorkflowScene()
            let definition = try random(&scene, &generator)
            if DefinitionRules().fault(in: definition) != nil { continue }
            let name = "seed \(seed), plan \(number)"
            let workflow = try scene.manifest(definition)
            var plan = try WorkflowPlan(definition)
            var pending = plan.begin()
            for _ in 0..<3 {
                try goOn(&plan, &pending, &scene, &generator)
                #expect(plan.status.isOver, "\(name)")
                let receipt = try scene.sign(plan, workflow)
                let report = scene.verify(receipt)
                #expect(report.failures.isEmpty, "\(name), \(plan.status): \(report.failures)")
                #expect(plan.handle(.receiptSigned(receipt)) == [] && plan.isClosed, "\(name)")
                #expect(plan.handle(.receiptSigned(receipt)) == [] && plan.receiptCID == receipt, "\(name)")
                guard plan.status != .succeeded else { break }
                pending = plan.handle(.resumed)
                if pending.isEmpty { break }
            }
        }
    }

    private func goOn(
        _ plan: inout WorkflowPlan, _ pending: inout [PlanEffect], _ scene: inout WorkflowScene,
        _ generator: inout SeededGenerator
    ) throws {
        while let index = pending.indices.randomElement(using: &generator) {
            let effect = pending.remove(at: index)
            if Int.random(in: 0..<80, using: &generator) == 0 { pending += plan.handle(.cancelled) }
            let isCancelled = plan.status != .running && Bool.random(using: &generator)
            let dice = Int.random(in: 0..<12, using: &generator)
            let event = try scene.event(effect, of: plan) { _ in
                if isCancelled { return .isCancelled }
                return switch dice {
                case 0: .exits(3)
                case 1: .traps
                case 2: .isLost(ofMesh: true)
                case 3: .isLost(ofMesh: false)
                default: .exits(0)
                }
            }
            if let event { pending += plan.handle(event) }
        }
    }

    private func random(
        _ scene: inout WorkflowScene, _ generator: inout SeededGenerator
    ) throws -> WorkflowDefinition {
        let folder = try scene.folder(["x", "y", "z"])
        var stages: [StageDefinition] = []
        for number in 0..<Int.random(in: 1...5, using: &generator) {
            var stage = StageDefinition(id: "s\(number)", module: Self.module)
            (stage.outputs, stage.jobBudget) = (["made"], 10)
            stage.retries = UInt64.random(in: 0...2, using: &generator)
            stage.onFailure = Bool.random(using: &generator) ? .skip : .fail
            stage.accept = Bool.random(using: &generator) ? [0, 3] : [0]
            switch Int.random(in: 0..<4, using: &generator) {
            case 0: stage.forEach = .list(["a", "b", "{x}"])
            case 1:
                let source = stages.last { $0.forEach != nil }.map { WorkflowSource.output(stage: $0.id, name: "made") }
                (stage.forEach, stage.inputs["stdin"]) = (.folder(source ?? .input("texts")), .item)
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
            name: "random", inputs: ["texts": WorkflowContent(source: folder.text, isFolder: true)], stages: stages,
            outputs: ["last": .output(stage: stages[stages.count - 1].id, name: "made")])
        definition.parallel = UInt64.random(in: 1...4, using: &generator)
        if Bool.random(using: &generator) { definition.budget = UInt64.random(in: 100...300, using: &generator) }
        return definition
    }
}
