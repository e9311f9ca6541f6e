import JobMarket
import MeshStore
import MeshTypes
import Multiformats
import NodeAPI
import NodeSetup
import PeerIdentity
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
                await originator.errands.output(
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
            let bytesMax = Errands.fetchedBytesHeldMax
            for count in [bytesMax, bytesMax + 1] {
                let bytes = [UInt8](repeating: 7, count: count)
                let cid = CID.hashing(bytes, codec: .raw)
                _ = try await executor.add(bytes)
                let answer = await originator.errands.output(
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

    @Test("What a run made waits in memory for its receipt; more than that goes to the disk before the receipt")
    func madeBytes() async throws {
        try await NodeMesh.run(prices: [10]) { mesh in
            let executor = mesh.nodes[0]
            let bytesMax = executor.runner.limits.madeBytesHeldMax
            for count in [bytesMax, bytesMax + 1] {
                let job = try await mesh.submit(try Assembler.command(Self.writing(count)))
                let result = try await mesh.result(of: job)
                #expect(result.ending == .succeeded, "\(result.detail)")
                let output = try await executor.get(try CID(named: try #require(result.stdoutCID), "output"))
                #expect(output.count == count)
                let wentFirst = try await executor.explain(job).lines.contains {
                    $0.text == "The module has ended, and what it wrote is being stored."
                }
                #expect(wentFirst == (count > bytesMax), "\(count) bytes")
            }
        }
    }

    /// Writes so many zeros to standard output, 32 KiB at a time.
    private static func writing(_ count: Int) -> String {
        """
        (i32.store (i32.const 0) (i32.const 65536)) (i32.store (i32.const 8) (i32.const \(count)))
        (loop
          (i32.store (i32.const 4)
            (select (i32.const 32768) (i32.load (i32.const 8)) (i32.gt_u (i32.load (i32.const 8)) (i32.const 32768))))
          (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 16)))
          (i32.store (i32.const 8) (i32.sub (i32.load (i32.const 8)) (i32.load (i32.const 16))))
          (br_if 0 (i32.load (i32.const 8))))
        """
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
                    error.message == "The job was not submitted: its outputs may have 67108865 bytes together, "
                        + "and this node takes in at most 67108864.")
            }
            let job = try await mesh.submit(try Assembler.command("nop")) { $0.limits.maxOutputBytes = bytesMax }
            #expect(try await mesh.result(of: job).ending == .succeeded)
        }
    }
}
