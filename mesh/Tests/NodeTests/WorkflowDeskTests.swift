import Foundation
import IPLD
import MeshStore
import MeshTypes
import Multiformats
import NodeAPI
import NodeSetup
import P2PTesting
import PeerIdentity
import Receipts
import SignedObjects
import Testing
import Workflows

@testable import PlanetaryMesh

/// What a node takes of workflows. The desk of these tests carries nothing out, so that its workflows do not end.
@Suite("The desk of workflows", .serialized)
struct WorkflowDeskTests {
    private func definition(_ name: String = "x") -> WorkflowDefinition {
        WorkflowDefinition(
            name: name, stages: [StageDefinition(id: "a", module: CID.hashing([1], codec: .raw).text)])
    }

    private func refusal(
        _ desk: WorkflowDesk, _ key: String, _ definition: WorkflowDefinition
    ) async -> NodeServiceError? {
        do throws(NodeServiceError) {
            _ = try await desk.begin(WorkflowSubmission(definition: definition, key: key))
            return nil
        } catch {
            return error
        }
    }

    @Test("A key begins one workflow, and what is ill formed or one too many is refused by the reason")
    func refusals() async throws {
        try await NodeMesh.run(prices: [10]) { mesh in
            let desk = WorkflowDesk(parts: mesh.originator.parts, end: mesh.originator.end)
            let first = try await desk.begin(WorkflowSubmission(definition: definition(), key: "k"))
            #expect(try await desk.begin(WorkflowSubmission(definition: definition(), key: "k")) == first)
            #expect(await refusal(desk, "k", definition("y"))?.code == .conflict)
            #expect(await refusal(desk, "", definition())?.code == .invalidRequest)
            #expect(await refusal(desk, String(repeating: "k", count: 257), definition())?.code == .invalidRequest)
            var unresolved = definition()
            unresolved.stages[0].module = "./a.wasm"
            #expect(
                await refusal(desk, "u", unresolved)?.message.hasPrefix("stages[0].module: ./a.wasm is no CID") == true)
            for number in 1..<WorkflowDesk.Limits().openMax {
                #expect(await refusal(desk, "k\(number)", definition()) == nil)
            }
            #expect(await refusal(desk, "more", definition())?.code == .overloaded)
            let id = try #require(try? CID(parsing: first.workflowID))
            #expect(try await desk.obey(.cancel, of: id).status == .cancelling)
            await #expect(throws: NodeServiceError.self) { try await desk.obey(.resume, of: id) }
            await #expect(throws: NodeServiceError.self) { try await desk.view(CID.hashing([5], codec: .dagCBOR)) }
        }
    }

    @Test("Items are listed in pages, stage by stage, and by how far they are")
    func pages() async throws {
        try await NodeMesh.run(prices: [10]) { mesh in
            let desk = WorkflowDesk(parts: mesh.originator.parts, end: mesh.originator.end)
            var definition = definition()
            definition.stages[0].forEach = .range(from: 1, through: 5)
            definition.stages.append(definition.stages[0])
            definition.stages[1].id = "b"
            let begun = try await desk.begin(WorkflowSubmission(definition: definition, key: "k"))
            let id = try #require(try? CID(parsing: begun.workflowID))
            func places(_ query: WorkflowItemQuery) async throws -> [String] {
                try await desk.items(of: id, query).compactMap(\.place?.text)
            }
            let all = ["a/0", "a/1", "a/2", "a/3", "a/4", "b/0", "b/1", "b/2", "b/3", "b/4"]
            var query = WorkflowItemQuery(limit: 4)
            #expect(try await places(query) == Array(all[..<4]))
            query.after = WorkflowItemQuery.Place(text: "a/3")
            #expect(try await places(query) == Array(all[4..<8]))
            query.after = WorkflowItemQuery.Place(text: "b/3")
            #expect(try await places(query) == ["b/4"])
            query.after = WorkflowItemQuery.Place(text: "b/4")
            #expect(try await places(query).isEmpty)
            query.after = WorkflowItemQuery.Place(text: "a/\(UInt32.max)")
            #expect(try await places(query) == Array(all[5..<9]))
            #expect(try await places(WorkflowItemQuery(stage: "b", limit: 2)) == ["b/0", "b/1"])
            #expect(try await places(WorkflowItemQuery(phase: .done, limit: 9)).isEmpty)
            query.after = WorkflowItemQuery.Place(text: "z/1")
            await #expect(throws: NodeServiceError.self) { try await desk.items(of: id, query) }
        }
    }

    /// A workflow that is closed on the disk: so many items, each of which has ended and paid.
    private func closed(_ key: String, items: Int, on node: MeshNode) async throws -> CID {
        var definition = definition(key)
        definition.stages[0].forEach = .range(from: 1, through: Int64(items))
        let manifest = WorkflowManifest(
            definition: definition, originatorDID: node.identity.did, key: key, submittedAt: NodeClock.wallClock)
        let signed = try SignedObject.sign(manifest, with: node.identity)
        var run = WorkflowRun(signed.cid, manifest, plan: try WorkflowPlan(definition))
        _ = run.begin()
        var events: [PlanEvent] = []
        for item in 0..<items {
            let job = CID.hashing(Array("\(key)/\(item)".utf8), codec: .dagCBOR)
            let end = ChildEnd(
                .exited(code: 0), jobID: job, receiptCID: job,
                outputs: [ChildOutput(name: "stdout", cid: job, isFolder: false)], paid: 1)
            events.append(.ended(ChildKey(stage: "a", item: item, attempt: 0), end))
        }
        events.append(.receiptSigned(signed.cid))
        for event in events { _ = run.tell(event) }
        try #require(run.plan.isClosed)
        let row = WorkflowRow(
            id: signed.cid, key: key, manifest: signed.bytes, status: run.plan.status.rawValue, isOver: true,
            submittedAt: manifest.submittedAt.value)
        try await node.store.commit(
            [.workflow(row)] + events.map { .workflowEvent(id: signed.cid, bytes: try WorkflowRun.entry($0)) })
        return signed.cid
    }

    /// All items of a workflow, by pages.
    private func items(of id: CID, at desk: WorkflowDesk, pages limit: Int) async throws -> [WorkflowItemView] {
        var (query, all) = (WorkflowItemQuery(limit: limit), [WorkflowItemView]())
        while true {
            let page = try await desk.items(of: id, query)
            all += page
            guard page.count == limit, let last = page.last?.place else { return all }
            query.after = last
        }
    }

    @Test("The pages of a closed workflow cost one reading of its journal, and closedMax of them are kept")
    func closedPages() async throws {
        try await NodeMesh.run(prices: [10]) { mesh in
            let node = mesh.originator
            var limits = WorkflowDesk.Limits()
            limits.closedMax = 2
            let desk = WorkflowDesk(parts: node.parts, end: node.end, limits: limits)
            let count = ProcessInfo.processInfo.environment["MESH_WORKFLOW_ITEMS"].flatMap { Int($0) } ?? 200
            let first = try await closed("first", items: count, on: node)
            let clock = ContinuousClock()
            let began = clock.now
            let size = max(1, count / 10)
            _ = try await desk.items(of: first, WorkflowItemQuery(limit: size))
            let read = clock.now
            let all = try await items(of: first, at: desk, pages: size)
            print("\(count) items: the first page took \(read - began), then ten of them \(clock.now - read)")
            #expect(all.count == count && all.allSatisfy { $0.phase == "done" })
            #expect(await desk.journalsRead == 1)
            #expect(try await desk.view(first).isOver)
            #expect(await desk.journalsRead == 1)
            // With two more the eldest is read again.
            let others = [try await closed("b", items: 3, on: node), try await closed("c", items: 3, on: node)]
            for id in others + others { #expect(try await items(of: id, at: desk, pages: 2).count == 3) }
            #expect(await desk.journalsRead == 3)
            _ = try await desk.view(first)
            #expect(await desk.journalsRead == 4)
            // One that is taken up again, and one that the store has let go, are not what was kept of them.
            await #expect(throws: NodeServiceError.self) { try await desk.obey(.resume, of: first) }
            #expect(try await desk.view(first).isOver)
            try await forget(others[1], in: node)
            await #expect(throws: NodeServiceError.self) { try await desk.view(others[1]) }
        }
    }

    @Test("A closed workflow that is resumed is what it is now, not what was kept of it")
    func resumedAfterReading() async throws {
        func configure(_: Int, _ configuration: inout NodeConfiguration) {
            configuration.limits.blockBytesMax = 100_000
        }
        try await NodeMesh.run(prices: [10], configure: configure) { mesh in
            let node = mesh.originator
            let ballast = [UInt8](repeating: 7, count: 99_000)
            try await node.store.commit([
                .block(cid: CID.hashing(ballast, codec: .raw), bytes: ballast, pinned: true)
            ])
            var limits = WorkflowDesk.Limits()
            (limits.run.submissionsMax, limits.pauseMilliseconds) = (1, 1)
            let desk = WorkflowDesk(parts: node.parts, end: node.end, limits: limits)
            let begun = try await desk.begin(WorkflowSubmission(definition: definition(), key: "k"))
            let id = try #require(try? CID(parsing: begun.workflowID))
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { await desk.run(on: node) }
                func closed(past version: UInt64) async throws -> WorkflowView {
                    try await eventually("the workflow is closed") {
                        let view = try await desk.view(id)
                        return view.isOver && view.version > version
                    }
                    return try await desk.view(id)
                }
                let first = try await closed(past: 0)
                let read = await desk.journalsRead
                #expect(try await desk.view(id) == first)
                #expect(await desk.journalsRead == read)
                #expect(try await !desk.obey(.resume, of: id).isOver)
                let second = try await closed(past: first.version)
                #expect(second.receiptCID != first.receiptCID && second.status == .failed)
                group.cancelAll()
            }
        }
    }

    private func forget(_ id: CID, in node: MeshNode) async throws {
        // As the store lets go of the eldest beyond its bound.
        let ended = (0..<node.store.limits.endedWorkflowsMax).map { number in
            WorkflowRow(
                id: CID.hashing(Array("e\(number)".utf8), codec: .dagCBOR), key: "e\(number)", manifest: [1],
                status: WorkflowStatus.failed.rawValue, isOver: true, submittedAt: 1)
        }
        try await node.store.commit(ended.flatMap { [.workflowEvent(id: $0.id, bytes: [1]), .workflow($0)] })
    }

    @Test("A call waits until something happens to its workflow, watchersMax of them at a time")
    func watching() async throws {
        try await NodeMesh.run(prices: [10]) { mesh in
            var limits = WorkflowDesk.Limits()
            limits.watchersMax = 1
            let desk = WorkflowDesk(parts: mesh.originator.parts, end: mesh.originator.end, limits: limits)
            let first = try await desk.begin(WorkflowSubmission(definition: definition(), key: "k"))
            let id = try #require(try? CID(parsing: first.workflowID))
            try await withThrowingTaskGroup(of: WorkflowView.self) { group in
                group.addTask { try await desk.view(id, past: first.version) }
                try await eventually("the call waits") { await desk.watching == 1 }
                await #expect(throws: NodeServiceError.self) { try await desk.view(id, past: first.version) }
                _ = try await desk.obey(.cancel, of: id)
                let next = try #require(try await group.next())
                #expect(next.version > first.version && next.status == .cancelling)
            }
            #expect(await desk.watching == 0)
            #expect(try await desk.view(id, past: 0).status == .cancelling)
            limits.watchMilliseconds = 1
            let other = WorkflowDesk(parts: mesh.originator.parts, end: mesh.originator.end, limits: limits)
            let begun = try await other.begin(WorkflowSubmission(definition: definition("z"), key: "z"))
            let unchanged = try await other.view(try #require(try? CID(parsing: begun.workflowID)), past: begun.version)
            #expect(unchanged == begun)
        }
    }

    @Test("An audit of a workflow takes bytesMax of blocks, and says what it left")
    func boundedAudit() async throws {
        try await NodeMesh.run(prices: [10]) { mesh in
            let node = mesh.originator
            let (parts, definition) = (node.parts, definition())
            var plan = try WorkflowPlan(definition)
            _ = plan.begin() + plan.handle(.cancelled)
            _ = plan.handle(.ended(ChildKey(stage: "a", item: 0, attempt: 0), ChildEnd(.cancelled)))
            let manifest = try SignedObject.sign(
                WorkflowManifest(
                    definition: definition, originatorDID: node.identity.did, key: "k",
                    submittedAt: NodeClock.wallClock),
                with: node.identity)
            let made = try WorkflowReceipt.make(
                of: plan, workflow: manifest.cid, by: node.identity.did, at: NodeClock.wallClock)
            let receipt = try SignedObject.sign(made.receipt, with: node.identity)
            let blocks = made.pages + [(manifest.cid, manifest.bytes), (receipt.cid, receipt.bytes)]
            try await node.store.commit(blocks.map { .block(cid: $0.cid, bytes: $0.bytes) })
            let auditor = ReceiptAuditor(
                store: parts.store, dht: parts.dht, host: parts.swarm, fetcher: parts.fetcher, runner: parts.runner)
            let report = try await WorkflowAuditor(auditor).verify(receipt)
            #expect(report.failures.isEmpty, "\(report.lines)")
            #expect(report.lines.first { $0.code == "workflow_plan" }?.result == .passed, "\(report.lines)")
            let file = try CAR(
                decoding: try await WorkflowAuditor(auditor).export(receipt, withOutputs: false), limits: .ofWorkflows)
            #expect(WorkflowArchive.verify(receipt.cid, in: ReceiptArchive(file)).failures.isEmpty)
            var small = WorkflowAuditor.Limits()
            small.file.blocksMax = file.blocks.count
            _ = try await WorkflowAuditor(auditor, limits: small).export(receipt, withOutputs: false)
            small.file.blocksMax -= 1
            let refusal = await #expect(throws: NodeServiceError.self) {
                try await WorkflowAuditor(auditor, limits: small).export(receipt, withOutputs: false)
            }
            #expect(refusal?.code == .tooLarge, "\(String(describing: refusal))")
            var limits = WorkflowAuditor.Limits()
            (limits.bytesMax, limits.atOnce) = (10, 1)
            var patience = WorkflowAuditor.Limits()
            patience.missesMax = 0
            for limits in [limits, patience] {
                let less = try await WorkflowAuditor(auditor, limits: limits).verify(receipt)
                let left = less.lines.first { $0.code == "workflow_plan" }
                #expect(left?.result == .notCheckable && left?.detail.hasSuffix("is missing") == true, "\(less.lines)")
            }
        }
    }

    @Test("A job that the node has no room for is submitted again, submissionsMax times, and then fails its stage")
    func noRoom() async throws {
        func configure(_: Int, _ configuration: inout NodeConfiguration) {
            configuration.limits.blockBytesMax = 100_000
        }
        func body(_ mesh: NodeMesh) async throws {
            let node = mesh.originator
            let ballast = [UInt8](repeating: 7, count: 99_000)
            try await node.store.commit([
                .block(cid: CID.hashing(ballast, codec: .raw), bytes: ballast, pinned: true)
            ])
            var limits = WorkflowDesk.Limits()
            (limits.run.submissionsMax, limits.pauseMilliseconds) = (3, 1)
            let desk = WorkflowDesk(parts: node.parts, end: node.end, limits: limits)
            let begun = try await desk.begin(WorkflowSubmission(definition: definition(), key: "k"))
            let id = try #require(try? CID(parsing: begun.workflowID))
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { await desk.run(on: node) }
                try await eventually("the stage has failed") { try await desk.view(id).status == .failed }
                group.cancelAll()
            }
            #expect(try await desk.view(id).reason?.contains("The job is not submitted") == true)
        }
        try await NodeMesh.run(prices: [10], configure: configure, body)
    }

    @Test("A job whose journal a start cannot read fails its stage, and nobody waits for its end")
    func unreadableJob() async throws {
        var (workflow, job): (CID?, CID?)
        var identities: [Identity] = []
        try await NodeMesh.run(prices: [10]) { mesh in
            identities = mesh.nodes.map(\.identity)
            let module = try await mesh.originator.add(try Assembler.command("(loop (br 0))"))
            var stage = StageDefinition(id: "a", module: module.cid)
            (stage.limits.maxFuel, stage.limits.timeoutSeconds) = (900_000_000_000, 600)
            let begun = try await mesh.originator.begin(
                WorkflowSubmission(definition: WorkflowDefinition(name: "x", stages: [stage]), key: "k"))
            workflow = try CID(parsing: begun.workflowID)
            try await eventually("its job runs") {
                let running = try await mesh.originator.jobs(limit: 1).first { $0.phase == "Running" }
                job = try running.map { try CID(parsing: $0.jobID) }
                return job != nil
            }
        } afterwards: { folder in
            let (id, child) = (try #require(workflow), try #require(job))
            let home = folder.appendingPathComponent("1").path
            try DamagedHomeTests.flipBit(inJournalOf: child, home)
            let node = try await NodeMesh.open(home, NodeMesh.loopback(), identity: identities[1])
            await #expect(throws: NodeServiceError.self) { _ = try await node.progress(of: child, .result) }
            var limits = WorkflowDesk.Limits()
            (limits.readsMax, limits.pauseMilliseconds) = (3, 1)
            let desk = WorkflowDesk(parts: node.parts, end: node.end, limits: limits)
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { await desk.run(on: node) }
                try await eventually("the workflow has failed") {
                    let view = try? await desk.view(id)
                    return view?.isOver == true
                }
                group.cancelAll()
            }
            let view = try await desk.view(id)
            #expect(view.status == .failed)
            #expect(view.reason?.contains("The journal of the job \(child) cannot be read") == true, "\(view)")
            #expect(view.paid == 0, "what was held came back")
            try node.store.close()
        }
    }
}
