import Bitswap
import Determinism
import Multiformats
import NodeCore
package import P2PTesting

/// Four nodes exchange blocks: one asks for much that is not there, one falls silent, one stores late.
package struct BlockScenario: Sendable {
    /// The seed of everything random.
    package var seed: UInt64
    /// Messages lost, of a thousand.
    package var lossPermille: Int

    /// A scenario, by default on links that lose nothing.
    package init(seed: UInt64, lossPermille: Int = 0) {
        self.seed = seed
        self.lossPermille = lossPermille
    }

    /// The result.
    package struct Report: Hashable, Sendable {
        /// What should have come about, and did not.
        package var findings: [String] = []
        /// What the network did.
        package var statistics: VirtualNetworkStatistics
        /// The hash of the trace.
        package var trace: String
    }

    private static let (asker, holder, silent, late) = (
        SimulatedNodeID(0), SimulatedNodeID(1), SimulatedNodeID(2), SimulatedNodeID(3)
    )
    /// More than a peer's wants that a node keeps.
    private static let missesCount = BlockNode.wantsPerPeerMax + 8

    /// Runs the scenario to its end.
    package func run() throws -> Report {
        let directory = try OverlayDirectory(count: 4, seed: seed)
        var link = LinkProfile(latencyMicroseconds: 5_000...40_000, lossPermille: lossPermille, reorderPermille: 50)
        link.failureNoticeMicroseconds = 50_000
        var network = VirtualNetwork<BlockNode>(VirtualNetworkConfiguration(seed: seed, link: link))
        for _ in 0..<4 { network.add(BlockNode(directory: directory)) }
        var story = Story(network: network)
        story.network.command(.store(Self.block("held")), to: Self.holder)
        story.network.command(.fallSilent, to: Self.silent)
        // Each waits at the holder for a block that never comes, for as long as it is wanted.
        for number in 0..<Self.missesCount {
            story.fetch("miss \(number)", from: [Self.holder, Self.silent], milliseconds: 60_000)
        }
        story.network.run(milliseconds: 1_000)
        let held = story.fetch("held", from: [Self.holder], milliseconds: 10_000)
        story.wait(3, for: "a block is served to who missed many", held)
        // The first fetch asks a silent peer, and the second knows better.
        story.network.command(.store(Self.block("shared")), to: Self.holder)
        _ = story.fetch("shared", from: [Self.silent], milliseconds: 60_000)
        story.network.run(milliseconds: 500)
        let shared = story.fetch("shared", from: [Self.holder], milliseconds: 60_000)
        story.wait(4, for: "a fetch goes its own way where another's peer is silent", shared)
        let awaited = story.fetch("late", from: [Self.late, Self.silent], milliseconds: 14_000)
        story.network.run(milliseconds: 2_000)
        story.network.command(.store(Self.block("late")), to: Self.late)
        story.wait(2, for: "a block is sent as soon as it is stored", awaited)
        // A fetch that ends takes its wants back; those of a node that is gone end by themselves.
        story.network.run(milliseconds: 65_000)
        story.check("after its fetches ended", wantsOf: directory.peer(Self.asker))
        story.fetch("never", from: [Self.holder, Self.silent], milliseconds: 60_000)
        story.network.run(milliseconds: 1_000)
        story.network.crash(Self.asker, isUnplugged: true)
        story.network.run(milliseconds: 360_000)
        story.check("long after it was gone", wantsOf: directory.peer(Self.asker))
        return Report(
            findings: story.findings, statistics: story.network.statistics, trace: story.network.trace.hexadecimal)
    }

    /// What happens to the nodes.
    private struct Story {
        var network: VirtualNetwork<BlockNode>
        var findings: [String] = []
        private var fetchCount = 0

        init(network: VirtualNetwork<BlockNode>) { self.network = network }

        @discardableResult
        mutating func fetch(_ text: String, from nodes: [SimulatedNodeID], milliseconds: Int64) -> Int {
            network.command(
                .fetch(BlockScenario.block(text).cid, from: nodes, milliseconds: milliseconds), to: BlockScenario.asker)
            defer { fetchCount += 1 }
            return fetchCount
        }

        mutating func check(_ when: String, wantsOf peer: PeerID) {
            for node in [BlockScenario.holder, BlockScenario.late] {
                let count = network[node].core.wantCount(of: peer)
                if count > 0 { findings.append("\(node) keeps \(count) wants of the asker \(when)") }
            }
        }

        mutating func wait(_ seconds: Int64, for what: String, _ number: Int) {
            let end = network.now.advanced(milliseconds: seconds * 1_000)
            let isHere = network.run(until: end) { $0[BlockScenario.asker].ended[number] != nil }
            if !isHere || network[BlockScenario.asker].ended[number] != true {
                findings.append("not within \(seconds) s: \(what)")
            }
        }
    }

    private static func block(_ text: String) -> MadeBlock {
        let bytes = Array(text.utf8)
        return MadeBlock(cid: CID.hashing(bytes, codec: .raw), bytes: bytes)
    }
}
