import JobMarket
import MeshTypes
import Multiformats
import NodeAPI
import Testing

@testable import NodeCore
@testable import PlanetaryMesh

/// What an originator takes in of the outputs of its jobs.
@Suite("Outputs", .serialized)
struct OutputTests {
    @Test("An output is asked for again where it may come, and is taken in up to the bytes that it may have")
    func fetching() async throws {
        try await NodeMesh.run(prices: [10]) { mesh in
            let (executor, originator) = (mesh.nodes[0], mesh.originator)
            let bytes = Array("a few bytes".utf8)
            func answer(bytesMax: Int) async -> OutputAnswer {
                await originator.output(
                    OutputRequest(
                        receipt: CID.hashing([], codec: .dagCBOR), cid: CID.hashing(bytes, codec: .raw),
                        peer: executor.identity.peerID, bytesMax: bytesMax))
            }
            guard case .missing(mayPass: true) = await answer(bytesMax: 100) else {
                Issue.record("what nobody has was found, or is given up")
                return
            }
            _ = try await executor.add(bytes)
            guard case .missing(mayPass: false) = await answer(bytesMax: 5) else {
                Issue.record("a longer output was taken in, or is asked for again")
                return
            }
            guard case .here(bytes.count, let blocks) = await answer(bytesMax: bytes.count) else {
                Issue.record("an output that is there was not taken in")
                return
            }
            #expect(blocks == [MadeBlock(cid: CID.hashing(bytes, codec: .raw), bytes: bytes)])
        }
    }

    @Test("A small output waits in memory for the job's result, a longer one goes to the disk by itself")
    func heldBytes() async throws {
        try await NodeMesh.run(prices: [10]) { mesh in
            let (executor, originator) = (mesh.nodes[0], mesh.originator)
            let bytesMax = originator.limits.fetchedBytesHeldMax
            for count in [bytesMax, bytesMax + 1] {
                let bytes = [UInt8](repeating: 7, count: count)
                let cid = CID.hashing(bytes, codec: .raw)
                _ = try await executor.add(bytes)
                let answer = await originator.output(
                    OutputRequest(
                        receipt: CID.hashing([], codec: .dagCBOR), cid: cid, peer: executor.identity.peerID,
                        bytesMax: count))
                guard case .here(count, let blocks) = answer else {
                    Issue.record("an output of \(count) bytes did not come: \(answer)")
                    continue
                }
                let isHeld = count <= bytesMax
                #expect(blocks.map(\.cid) == (isHeld ? [cid] : []))
                #expect(try await originator.store.hasBlock(cid) != isHeld)
            }
        }
    }

    @Test("A job whose outputs its own node could not take in is refused")
    func tooLarge() async throws {
        try await NodeMesh.run(prices: [10]) { mesh in
            let bytesMax = UInt64(mesh.originator.configuration.limits.fileBytesMax)
            do {
                _ = try await mesh.submit(try Assembler.command("nop")) { $0.limits.maxOutputBytes = bytesMax + 1 }
                Issue.record("a job was taken whose outputs cannot be")
            } catch let error as NodeServiceError {
                #expect(error.code == .tooLarge)
                #expect(
                    error.message == "The job is not submitted: its outputs may have 67108865 bytes together, "
                        + "and this node takes in at most 67108864.")
            }
            let job = try await mesh.submit(try Assembler.command("nop")) { $0.limits.maxOutputBytes = bytesMax }
            #expect(try await mesh.result(of: job).ending == .succeeded)
        }
    }
}
