import MerkleLog
import MeshTypes
import Multiformats
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
}
