import Determinism
import MeshStore
import MeshTypes
import Multiformats
import NodeAPI
import NodeSetup
import P2PTesting
import SignedObjects
import Testing

@testable import PlanetaryMesh

/// Jobs without a user that nobody can repeat.
@Suite("Attested jobs", .serialized)
struct AttestedTests {
    /// A module that writes eight random bytes and its calendar.
    private static func module() throws -> [UInt8] {
        try Assembler.module(
            """
            (module
              (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
              (import "wasi_snapshot_preview1" "random_get" (func $random (param i32 i32) (result i32)))
              (import "wasi_snapshot_preview1" "clock_time_get" (func $clock (param i32 i64 i32) (result i32)))
              (memory (export "memory") 1)
              (func (export "_start")
                (drop (call $random (i32.const 100) (i32.const 8)))
                (drop (call $clock (i32.const 0) (i64.const 1) (i32.const 108)))
                (i32.store (i32.const 0) (i32.const 100))
                (i32.store (i32.const 4) (i32.const 16))
                (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))))
            """)
    }

    /// What a job's module saw, and its receipt.
    private func run(
        _ mesh: NodeMesh, _ determinism: String?
    ) async throws -> (random: UInt64, milliseconds: UInt64, manifest: JobManifest, result: JobResult) {
        let job = try await mesh.submit(Self.module()) { $0.determinism = determinism }
        let result = try await mesh.result(of: job)
        #expect(result.ending == .succeeded, "\(result.detail)")
        let output = try CID(parsing: try #require(result.stdoutCID))
        let bytes = try await mesh.originator.get(output)
        let block = try #require(try await mesh.originator.store.block(job))
        func number(_ bytes: ArraySlice<UInt8>) -> UInt64 { bytes.reversed().reduce(0) { $0 << 8 | UInt64($1) } }
        return (
            number(bytes[0..<8]), number(bytes[8..<16]) / 1_000_000,
            try SignedObject<JobManifest>(verifiedBefore: block).body, result
        )
    }

    @Test(
        "Its module sees its executor's clock and chance, and not those of the manifest; none repeats it")
    func clockAndChance() async throws {
        try await NodeMesh.run(prices: [10]) { mesh in
            let before = NodeClock.wallClock.value
            let attested = try await run(mesh, JobSubmission.attested)
            #expect(attested.manifest.params.determinism == .attested)
            #expect((before...NodeClock.wallClock.value + 1_000).contains(attested.milliseconds))
            var manifests = SeededGenerator(seed: attested.manifest.guestSeed)
            #expect(manifests.next() != attested.random)
            let view = try await mesh.originator.receipt(try CID(parsing: try #require(attested.result.receiptCID)))
            #expect(view.determinism == "attested")
            let refusal = await #expect(throws: NodeServiceError.self) {
                try await mesh.originator.replayReceipt(try CID(parsing: view.receiptCID))
            }
            #expect(refusal?.message.contains("attested, not deterministic") == true, "\(String(describing: refusal))")

            let usual = try await run(mesh, nil)
            #expect(usual.milliseconds / 1_000 == usual.manifest.guestClockStart.value / 1_000)
            var same = SeededGenerator(seed: usual.manifest.guestSeed)
            #expect(same.next() == usual.random)
        }
    }

    @Test("What cannot be repeated is not checked: a level is refused, and the node's default does not count")
    func refusals() async throws {
        func configure(_: Int, _ configuration: inout NodeConfiguration) {
            configuration.originator.verification = "replay"
        }
        try await NodeMesh.run(prices: [10], configure: configure) { mesh in
            let attested = try await run(mesh, JobSubmission.attested)
            #expect(attested.result.finding == nil || attested.result.finding == "unchecked")
            let refused: [(determinism: String?, verification: String?, talks: Bool)] = [
                ("attested", "replay", false), ("attested", "spot:10%", false), ("attested", "quorum:2/3", false),
                ("sometimes", nil, false), ("deterministic", nil, true),
            ]
            for row in refused {
                await #expect(throws: NodeServiceError.self, "\(row)") {
                    try await mesh.submit(Self.module()) { submission in
                        (submission.determinism, submission.verification) = (row.determinism, row.verification)
                        if row.talks { submission.session = JobSubmission.Session() }
                    }
                }
            }
        }
    }
}
