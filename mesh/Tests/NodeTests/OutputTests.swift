import JobMarket
import MeshTypes
import Multiformats
import Testing

@testable import PlanetaryMesh

/// What an originator takes in of the outputs of its jobs.
@Suite("Outputs", .serialized)
struct OutputTests {
    @Test("An output that cannot be had just now is asked for again")
    func lateOutput() async throws {
        try await NodeMesh.run(prices: [10]) { mesh in
            let (executor, originator) = (mesh.nodes[0], mesh.originator)
            let output = Array("late".utf8)
            let cid = CID.hashing(output, codec: .raw)
            let (asked, asking) = AsyncStream.makeStream(of: Void.self)
            async let bytes = originator.output(
                cid, from: executor.identity.peerID, bytesMax: 100, until: NodeClock.now.advanced(milliseconds: 60_000)
            ) {
                asking.yield(())
                return true
            }
            // When it is asked for the second time, the first attempt has failed.
            var attempts = 0
            for await _ in asked {
                attempts += 1
                if attempts == 2 { break }
            }
            _ = try await executor.add(output)
            #expect(await bytes == output.count)
        }
    }

    @Test("An output is asked for no longer than it may take and somebody wants it, and not beyond the job's limit")
    func bounds() async throws {
        try await NodeMesh.run(prices: [10]) { mesh in
            let (executor, originator) = (mesh.nodes[0], mesh.originator)
            let peer = executor.identity.peerID
            let output = Array("a few bytes".utf8)
            let cid = CID.hashing(output, codec: .raw)
            #expect(await originator.output(cid, from: peer, bytesMax: 100, until: NodeClock.now) { true } == nil)
            let later = NodeClock.now.advanced(milliseconds: 60_000)
            #expect(await originator.output(cid, from: peer, bytesMax: 100, until: later) { false } == nil)
            _ = try await executor.add(output)
            #expect(await originator.output(cid, from: peer, bytesMax: 5, until: later) { true } == nil)
            #expect(await originator.output(cid, from: peer, bytesMax: 11, until: later) { true } == 11)
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
