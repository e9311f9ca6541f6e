import CoVM
import JobMarket
import MeshStore
import MeshTypes
import Multiformats
import NodeAPI
import P2PTesting
import PeerIdentity
import SignedObjects
import Testing

@testable import PlanetaryMesh

/// Jobs whose blocks nobody has for a moment, as when the originator is starting again.
@Suite("Late blocks", .serialized)
struct LateBlockTests {
    @Test("An executor goes on asking for an input that nobody has just now")
    func lateInput() async throws {
        try await NodeMesh.run(prices: [10]) { mesh in
            let (executor, originator) = (mesh.nodes[0], mesh.originator)
            let input = Array("late".utf8)
            let module = try CID(named: try await originator.add(try Assembler.command("nop")).cid, "module")
            var params = MeshJobParams(wasmCID: module)
            params.inputCIDs = ["stdin": CID.hashing(input, codec: .raw)]
            let now = NodeClock.wallClock
            let manifest = JobManifest(
                params: params, originatorDID: originator.identity.did, originatorPeerID: originator.identity.peerID,
                originatorAddresses: [], nonce: [UInt8](repeating: 1, count: 16), submittedAt: now,
                biddingDeadline: now, expiresAt: now.advanced(milliseconds: 60_000))
            async let run = executor.runner.run(
                manifest, jobID: JobID(module), executor: executor.identity.did, from: [originator.identity.peerID],
                wallClockMilliseconds: nil, cancellation: ExecutionCancellation(), keep: true)
            // Once the module has arrived it is the input that is asked for.
            try await eventually("the module is there") { try await executor.store.hasBlock(module) }
            _ = try await originator.add(input)
            #expect(await run.report.outcome == .exited(code: 0))
        }
    }

    @Test("A file of many blocks is had from whoever provides its root, without naming the peer")
    func manyBlocks() async throws {
        try await NodeMesh.run(prices: [10]) { mesh in
            let bytes: [UInt8] = (0..<3 as Range<UInt8>).flatMap { [UInt8](repeating: $0, count: 1 << 20) } + [9]
            let added = try await mesh.originator.add(bytes)
            let root = try CID(named: added.cid, "file")
            // The announcement to the DHT goes on after the file was taken.
            try await eventually("the file is found") { (try? await mesh.nodes[0].get(root)) == bytes }
        }
    }
}
