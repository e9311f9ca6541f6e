import JobMarket
import MeshStore
import MeshTypes
import Multiformats
import NodeAPI
import P2PTesting
import SignedObjects
import Synchronization
import Testing

@testable import NodeCore
@testable import PlanetaryMesh

/// Pages and receipts that are kept to be given again: whatever changes is in the next one.
@Suite("Reads that are kept", .serialized)
struct ListedJobsTests {
    /// The jobs of a node, the newest first.
    private func page(_ node: MeshNode) async throws -> [JobView] { try await node.jobs(JobQuery(limit: 20)).jobs }

    @Test("A page is kept while nothing changes, and has whatever changed")
    func changes() async throws {
        try await NodeMesh.run(prices: [1]) { mesh in
            let node = mesh.originator
            #expect(try await page(node).isEmpty)
            let module = try Assembler.command("(call $exit (i32.const 0))")
            for number in 1...3 {
                let job = try await mesh.submit(module) { $0.label = "\(number)" }
                // It is in the page as soon as it is accepted, and its end as soon as it is told.
                #expect(try await page(node).map(\.label).prefix(1) == ["\(number)"])
                let result = try await mesh.result(of: job)
                let shown = try await page(node)
                #expect(shown.count == number && shown[0].result == result)
            }
            try await eventually("the books of all jobs are closed") {
                await node.core.market.unclosedJobs.originated.isEmpty
            }
            try await eventually("a page is kept, and is what was made") {
                let kept = try await page(node)
                return node.listed.pages.count > 0 && kept.count == 3
            }
            // What the core does not know of is seen too.
            let foreign = JobRow(
                jobID: CID.hashing([7], codec: .dagCBOR), role: .executor, status: "Closed", isTerminal: true,
                submittedAt: NodeClock.wallClock.value + 1_000, updatedAt: 1, label: "from elsewhere")
            try await node.store.commit([.job(foreign)])
            #expect(try await page(node).first?.label == "from elsewhere")
        }
    }

    @Test("A page never says less of a job than was said of it before, whoever asks meanwhile")
    func order() async throws {
        try await NodeMesh.run(prices: [1, 1]) { mesh in
            let (node, count) = (mesh.originator, 6)
            let module = try Assembler.command("(call $exit (i32.const 0))")
            try await withThrowingTaskGroup(of: Void.self) { group in
                for _ in 0..<4 { group.addTask { try await Self.watch(node, until: count) } }
                for number in 1...count {
                    let job = try await mesh.submit(module) { $0.label = "\(number)" }
                    #expect(try await page(node).first?.label == "\(number)")
                    _ = try await mesh.result(of: job)
                    #expect(try await page(node).first?.result != nil)
                }
                try await group.waitForAll()
            }
        }
    }

    /// Holds pages against what was said of each job before them, until so many jobs have ended.
    private static func watch(_ node: MeshNode, until count: Int) async throws {
        while true {
            let before = try await node.jobs(JobQuery(limit: 20)).jobs
            if before.count == count, before.allSatisfy({ $0.result != nil }) { return }
            for job in before {
                let alone = try await node.job(try CID(parsing: job.jobID))
                let after = try await node.jobs(JobQuery(limit: 20)).jobs.first { $0.jobID == job.jobID }
                #expect(alone.updatedAt >= job.updatedAt)
                #expect((after?.updatedAt ?? 0) >= alone.updatedAt)
                if alone.isTerminal { #expect(after?.isTerminal == true && after?.result != nil) }
            }
            // What is kept is given without a wait, so that on one core nobody else would have a turn.
            await Task.yield()
            try Task.checkCancellation()
        }
    }

    @Test("What goes on by itself is not kept: a run of this node's own, a preparation")
    func running() async throws {
        try await NodeMesh.run(prices: [1]) { mesh in
            let executor = mesh.nodes[0]
            let job = try await mesh.submit(try Assembler.command("(loop (br 0))")) { $0.limits.timeoutSeconds = 60 }
            try await eventually("the executor runs it") {
                try await page(executor).first?.outcome == .running
            }
            // Only a page of nothing can have been kept before.
            #expect(executor.listed.pages.weight <= 1)
            for _ in 0..<5 { _ = try await page(executor) }
            #expect(executor.listed.pages.weight <= 1)
            _ = try await mesh.originator.cancel(job)
            try await eventually("its end is listed") { try await page(executor).first?.outcome != .running }
        }
    }

    @Test("A job that is kept for other pages has whatever changed: events of its journal, its row, how far it is")
    func rows() async throws {
        try await NodeMesh.run(prices: [1]) { mesh in
            let (executor, node) = (mesh.nodes[0], mesh.originator)
            let module = try Assembler.command("(call $exit (i32.const 0))")
            // Both sides of jobs on their way, and where they are over.
            for number in 1...4 {
                let job = try await mesh.submit(module) { $0.label = "\(number)" }
                async let result = mesh.result(of: job)
                while try await node.pages().given.jobs.first?.result == nil {
                    for each in mesh.nodes { try await each.expectSamePages() }
                    await Task.yield()
                }
                let (ended, shown) = (try await result, try await node.pages().given)
                #expect(shown.jobs.first?.result == ended)
            }
            try await eventually("the books of all jobs are closed, on both sides, and all are kept") {
                for each in mesh.nodes { try await each.expectSamePages() }
                let open = await [node.core.market.unclosedJobs, executor.core.market.unclosedJobs]
                return open.allSatisfy { $0.originated.isEmpty && $0.executed.isEmpty }
                    && node.listed.jobs.count == 4 && executor.listed.jobs.count == 4
            }
            let last = try await executor.pages().given
            #expect(last.jobs.allSatisfy { $0.payment == .paid } && last.jobs.map(\.label) == ["4", "3", "2", "1"])
            // Of those that the market forgets the rows are shown, and whatever becomes of these.
            let before = [try await executor.pages().given, try await node.pages().given]
            for each in mesh.nodes { await each.rememberOne() }
            _ = try await mesh.result(of: try await mesh.submit(module) { $0.label = "5" })
            try await eventually("the others are forgotten") {
                let remembered = await (executor.core.market.executedJobs.count, node.core.market.originatedJobs.count)
                return remembered == (1, 1)
            }
            for (each, before) in zip(mesh.nodes, before) {
                let after = try await each.pages().given
                #expect(after.jobs.dropFirst().map(\.jobID) == before.jobs.map(\.jobID))
                #expect(after.jobs.dropFirst().map(\.result) == before.jobs.map(\.result))
                try await each.expectSamePages()
                let oldest = try CID(parsing: try #require(before.jobs.last).jobID)
                let role = each === node ? StoreRole.originator : .executor
                var row = try #require(try await each.store.job(oldest, role: role))
                let changes: [(inout JobRow) -> Void] = [
                    { $0.label = "another" }, { $0.reason = "for no reason" }, { $0.price = 77 }, { $0.status = "S" },
                    { $0.updatedAt += 1 }, { $0.counterparty = node.identity.did.text }, { $0.receiptCID = oldest },
                    { $0.unit = "hours/2" }, { $0.standard = "Failed" }, { $0.outcome = JobOutcome.trapped.rawValue },
                    { $0.payment = JobPayment.refused.rawValue },
                ]
                for change in changes {
                    change(&row)
                    try await each.store.commit([.job(row)])
                    try await each.expectSamePages()
                    let shown = try #require(try await each.pages().given.jobs.last)
                    #expect(shown.label == row.label && shown.price == row.price && shown.updatedAt == row.updatedAt)
                }
            }
            // Of a job whose evidence is removed the row stays.
            let newest = try CID(parsing: try #require(try await node.pages().given.jobs.first).jobID)
            #expect(try await node.remove(newest).blocks > 0)
            try await node.expectSamePages()
        }
    }

    @Test("Of what goes on by itself no job is kept, nor of an end that cannot be read")
    func unsettled() async throws {
        try await NodeMesh.run(prices: [1]) { mesh in
            let (executor, node) = (mesh.nodes[0], mesh.originator)
            let job = try await mesh.submit(try Assembler.command("(loop (br 0))")) { $0.limits.timeoutSeconds = 60 }
            try await eventually("both say that it runs") {
                let sides = try await [executor.pages(), node.pages()]
                return sides.allSatisfy { $0.given.jobs.first?.outcome == .running }
            }
            // Nothing that was kept of its bidding can be taken for it.
            for each in mesh.nodes {
                let kept = each.listed.jobs.count
                for _ in 0..<5 { #expect(try await each.pages().given.jobs.first?.outcome == .running) }
                #expect(each.listed.jobs.count == kept)
            }
            _ = try await node.cancel(job)
            _ = try await mesh.result(of: job)
            #expect(try await node.pages().given.jobs.first?.result?.ending == .cancelled)
            // Its journal is nowhere, so the next reading may find what this one did not.
            let lost = JobRow(
                jobID: CID.hashing([8], codec: .dagCBOR), role: .originator, status: "Closed", isTerminal: true,
                submittedAt: NodeClock.wallClock.value + 1_000, updatedAt: 1, label: "lost", outcome: "succeeded")
            try await node.store.commit([.job(lost)])
            #expect(try await node.pages().given.jobs.first?.label == "lost")
            let key = ListedJobs.Side(job: lost.jobID, role: .originator)
            #expect(node.listed.jobs.value(of: key, at: .stored(lost)) == nil)
        }
    }

    @Test("So many jobs are kept, with so many outputs")
    func jobBounds() {
        let (listed, limits) = (ListedJobs(), ListedJobs.jobLimits)
        var view = JobView(
            jobID: "j", role: "originator", phase: "Closed", status: "Failed", outcome: .failed, reason: "",
            isTerminal: true, submittedAt: 1, updatedAt: 1)
        for isLarge in [false, true] {
            var result = JobResult(ending: .executorsFailed, detail: "", attempts: 1)
            result.outputs = Array(repeating: NamedCID(name: "o", cid: "c"), count: isLarge ? 1_000 : 0)
            view.result = result
            var most = (count: 0, weight: 0)
            for number in 0..<limits.countMax + 2 {
                let job = CID.hashing(withUnsafeBytes(of: UInt64(number)) { Array($0) }, codec: .dagCBOR)
                listed.keep(view, of: .init(job: job, role: .originator), .remembered(UInt64(number)))
                most = (max(most.count, listed.jobs.count), max(most.weight, listed.jobs.weight))
            }
            #expect(isLarge || most.count == limits.countMax)
            #expect(most.weight <= limits.weightMax && (!isLarge || most.weight > limits.weightMax - 1_001))
            #expect(listed.jobs.count < limits.countMax)
        }
    }

    @Test("So many pages are kept, and so many jobs in them")
    func bounds() async throws {
        try await NodeMesh.run(prices: [1]) { mesh in
            let (node, limits) = (mesh.originator, ListedJobs.limits)
            for limit in 1...2 * limits.countMax {
                _ = try await node.jobs(JobQuery(limit: limit))
                #expect(node.listed.pages.count <= limits.countMax)
            }
            let view = JobView(
                jobID: "j", role: "executor", phase: "Closed", status: "Failed", outcome: .failed, reason: "",
                isTerminal: true, submittedAt: 1, updatedAt: 1)
            let stamp = ListedJobs.Stamp(decisions: 1, changes: 1)
            let whole = JobPage(jobs: Array(repeating: view, count: limits.weightMax))
            node.listed.pages.keep(
                whole, of: ListedJobs.Key(JobQuery(limit: 9_999)), at: stamp, weight: whole.jobs.count)
            #expect(node.listed.pages.count == 1)
            let other = ListedJobs.Key(JobQuery(limit: 9_998))
            node.listed.pages.keep(whole, of: other, at: stamp, weight: whole.jobs.count + 1)
            #expect(node.listed.pages.value(of: other, at: stamp) == nil)
            // The database compares bytes.
            let spellings = ["caf\u{E9}", "cafe\u{301}"].map { ListedJobs.Key(JobQuery(limit: 1, label: $0)) }
            #expect(spellings[0] != spellings[1])
        }
    }

    @Test("A receipt is kept while the store stays as it is, and is gone as soon as it is removed")
    func receipts() async throws {
        try await NodeMesh.run(prices: [1]) { mesh in
            let node = mesh.originator
            let job = try await mesh.submit(try Assembler.command("(call $exit (i32.const 0))"))
            let result = try await mesh.result(of: job)
            let cid = try CID(parsing: try #require(result.receiptCID))
            try await eventually("the books are closed") {
                await node.core.market.unclosedJobs.originated.isEmpty
            }
            let views = node.parts.shownReceipts.views
            try await eventually("it is kept") {
                let shown = try await node.receipt(cid)
                return shown.source == "here" && shown.jobID == job.text && views.count == 1
            }
            try await eventually("what is kept is what is shown") {
                guard let changes = node.store.changes else { return false }
                return views.value(of: cid, at: changes) == (try await node.receipt(cid))
            }
            #expect(try await node.remove(job).blocks > 0)
            // The executor has it still.
            #expect(try await node.receipt(cid).source != "here")
            let limits = ShownReceipts.limits
            let receipt = try await node.receipt(cid)
            for number in 0..<limits.countMax + 1 {
                let other = CID.hashing(withUnsafeBytes(of: UInt64(number)) { Array($0) }, codec: .dagCBOR)
                views.keep(receipt, of: other, at: 1, weight: 1_000)
                #expect(views.count <= limits.countMax && views.weight <= limits.weightMax)
            }
        }
    }
}

private let dates = Atomic<UInt64>(0)

extension MeshNode {
    /// A page as this node gives it, of jobs that may be kept, and one for which nothing was kept; and whether nothing
    /// happened between the two.
    fileprivate func pages() async throws -> (given: JobPage, made: JobPage, isSame: Bool) {
        // No page of this date was asked for before.
        let date = dates.add(1, ordering: .relaxed).newValue
        let (query, before) = (JobQuery(limit: 20, since: date), (decisions, store.changes))
        let given = try await listed.page(query, of: self)
        let made = try await ListedJobs().page(query, of: self)
        return (given, made, before.0 == decisions && before.1 != nil && before.1 == store.changes)
    }

    /// Expects that what is kept of jobs is what is made of them now; where something happens meanwhile it says
    /// nothing.
    fileprivate func expectSamePages() async throws {
        var (given, made, isSame) = try await pages()
        guard isSame else { return }
        // How long it takes is the time of each page.
        for index in given.jobs.indices { given.jobs[index].preparation?.compilingMilliseconds = nil }
        for index in made.jobs.indices { made.jobs[index].preparation?.compilingMilliseconds = nil }
        #expect(given == made)
    }

    /// Has the market forget a closed job with the next that closes.
    fileprivate func rememberOne() { core.market.configuration.limits.closedJobsMax = 1 }
}
