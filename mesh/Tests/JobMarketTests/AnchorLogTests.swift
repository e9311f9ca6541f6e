import MerkleLog
import MeshTypes
import Multiformats
import PeerIdentity
import SignedObjects
import Testing

@testable import JobMarket

@Suite("The log of what a node anchors")
struct AnchorLogTests {
    @Test("Each entry signs the number and the tree of those before it, and is the next leaf")
    func entries() throws {
        var world = MarketWorld(executors: 1)
        for number in 0..<5 { try world.submit(MarketWorld.request("job \(number)")) }
        world.run(milliseconds: 100_000)
        for party in world.parties {
            var tree = MerkleTree()
            for event in party.events {
                guard case .anchored(let entry, _) = event.kind else { continue }
                #expect(entry.body.size == tree.size)
                #expect(entry.body.root == tree.root.bytes)
                #expect(entry.body.openedAt == nil)
                _ = tree.append(.leaf(entry.cid.bytes))
            }
            #expect(tree.size == 5)
            #expect(party.market.log == tree)
        }
    }

    /// The entries of a party, in their order.
    private func entries(of party: Party) -> [AnchorEntry] {
        party.blocks.values.compactMap { try? SignedObject<AnchorEntry>(verifying: $0).body }
            .filter { $0.nodeDID == party.identity.did }.sorted { $0.size ?? 0 < $1.size ?? 0 }
    }

    @Test("What a job anchored is in its originator's log, so many blocks an entry, and a restart knows them all")
    func data() throws {
        var world = MarketWorld(executors: 1)
        world.checksReplay = true
        let count = 2 * AnchorEntry.payloadMax + 1
        let data = (0..<count).map { CID.hashing(Array("\($0)".utf8), codec: .raw) }
        world.parties[1].anchoredByRuns = data
        let id = try world.submit()
        world.run(milliseconds: 100_000)
        let job = try #require(world.job(id))
        let receipt = try #require(job.receipt?.cid)
        let own = entries(of: world.parties[0])
        let most = AnchorEntry.payloadMax
        #expect(own.map(\.size) == [0, 1, 2, 3] && own.map(\.payload.count) == [most, most, 1, 2])
        #expect(own.dropLast().flatMap(\.payload) == data)
        #expect(own.last?.payload == [receipt, try #require(job.settlementCID)])
        #expect(entries(of: world.parties[1]).map(\.payload) == [[receipt]])
        try world.restart(0)
        #expect(world.parties[0].market.log.size == 4)
        #expect(job.anchor == world.job(id)?.anchor && !job.anchor.isPending)
    }

    @Test("An entry names the newest heads of others that none before it named, 16 at the most")
    func others() throws {
        var world = MarketWorld(executors: 1)
        let authors = (0..<20).map { _ in Identity.generate().did }
        let heads = (0..<40).map { CID.hashing(Array("head \($0)".utf8), codec: .dagCBOR) }
        for (number, head) in heads.enumerated() {
            _ = world.parties[0].market.handle(
                .headKept(head, of: authors[number % 20]), now: world.now, wallClock: world.wallClock)
        }
        for number in 0..<3 {
            try world.submit(MarketWorld.request("job \(number)"))
            world.run(milliseconds: 100_000)
        }
        let own = entries(of: world.parties[0])
        #expect(own.map(\.heads) == [heads[24...].sorted(), heads[20..<24].sorted(), nil])
        var log = AnchorLog(heads: [], height: 0, tree: MerkleTree())
        for number in 0...AnchorLog.othersMax {
            log.kept(CID.hashing(Array("\(number)".utf8), codec: .dagCBOR), of: Identity.generate().did)
        }
        var named = 0
        while case let some = log.takeOthers(), !some.isEmpty { named += some.count }
        #expect(named == AnchorLog.othersMax)
    }

    @Test("A receipt that is not paid is in the log with the settlement that says so, and the proof of fraud")
    func fraud() throws {
        var world = MarketWorld(executors: 2)
        world.checksReplay = true
        world.parties[1].run = .end(.exited(code: 1), fuel: 1_000_000)
        var request = MarketWorld.request("lie")
        request.verification = .replay
        let id = try world.submit(request)
        world.run(milliseconds: 600_000)
        guard case .refuted(let receipt, let proof?, _)? = world.job(id)?.attempts.first?.end else {
            Issue.record("\(String(describing: world.job(id)?.attempts.first?.end))")
            return
        }
        let first = try #require(entries(of: world.parties[0]).first)
        #expect(first.payload.count == 3 && first.payload[0] == receipt && first.payload[2] == proof)
        let settlement = try SignedObject<Settlement>(
            verifying: try #require(world.parties[0].blocks[first.payload[1]])
        ).body
        #expect(settlement.receiptCID == receipt && settlement.proofCID == proof)
    }

    @Test("The receipt of a workflow becomes an entry, whose heads wait for the disk")
    func workflow() throws {
        var world = MarketWorld(executors: 1)
        let (workflow, receipt) = (CID.hashing([1], codec: .dagCBOR), CID.hashing([2], codec: .dagCBOR))
        let transition = world.parties[0].market.handle(
            .workflowReceiptSigned(workflow: workflow, receipt: receipt), now: world.now, wallClock: world.wallClock)
        #expect(transition.logged.map(\.payload) == [[receipt]] && transition.logged.map(\.number) == [0])
        #expect(transition.needsDurability && transition.events.isEmpty)
        #expect(transition.blocks.map(\.jobID) == [JobID(workflow)])
        guard case .gossip(_, .anchorHeads(let heads), JobID(workflow))? = transition.actions.first else {
            Issue.record("\(transition.actions)")
            return
        }
        #expect(heads.heads == transition.logged.map(\.cid))
    }
}
