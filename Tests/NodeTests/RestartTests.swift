import MeshIdentity
import MeshTypes
import Multiformats
import Testing

@testable import PlanetaryMesh

/// What a node still knows when it is started again.
@Suite("Restarts", .serialized)
struct RestartTests {
    @Test("The anchored DAG goes on where it was")
    func anchoredHeads() async throws {
        var before: [(identity: Identity, heads: [CID], height: UInt64)] = []
        try await NodeMesh.run(prices: [10]) { mesh in
            let module = try Assembler.command("nop")
            for height in 0..<3 as Range<UInt64> {
                _ = try await mesh.result(of: try await mesh.submit(module) { $0.label = "\(height)" })
                for node in mesh.nodes {
                    let deadline = NodeClock.now.advanced(milliseconds: 30_000)
                    while NodeClock.now < deadline, await !node.hasAnchored(height) { await Task.yield() }
                }
            }
            for node in mesh.nodes {
                let (heads, height) = await node.anchorHeads
                before.append((node.identity, heads, height))
            }
        } afterwards: { folder in
            for (number, node) in before.enumerated() {
                #expect(node.heads.count == 1)
                #expect(node.height == 2)
                let path = folder.appendingPathComponent("\(number)").path
                let again = try await NodeMesh.open(path, NodeMesh.loopback(), identity: node.identity)
                #expect(await again.anchorHeads.heads == node.heads)
                #expect(await again.anchorHeads.height == node.height)
            }
        }
    }
}

extension MeshNode {
    fileprivate var anchorHeads: (heads: [CID], height: UInt64) { market.anchorHeads }

    fileprivate func hasAnchored(_ height: UInt64) -> Bool {
        !anchorHeads.heads.isEmpty && anchorHeads.height >= height
    }
}
