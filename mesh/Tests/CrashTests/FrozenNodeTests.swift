import Foundation
import Testing

/// A node that is frozen and not killed: its sockets stay open, the kernel goes on acknowledging for it, and nothing
/// answers. What died says so; this does not.
@Suite("Frozen nodes", .serialized)
struct FrozenNodeTests {
    private func did(of node: NodeProcess) throws -> String {
        let status = try #require(try node.run(["status", "--json"]).json() as? [String: Any])
        return try #require(status["did"] as? String)
    }

    private func peerCount(of node: NodeProcess) throws -> Int {
        let status = try #require(try node.run(["status", "--json"]).json() as? [String: Any])
        return (status["connected_peers"] as? NSNumber)?.intValue ?? 0
    }

    /// Runs a job, or takes up again the one with this key, to its end.
    private func result(
        of key: String, _ module: String, sufficientBids: Int, at originator: NodeProcess
    ) throws -> [String: Any] {
        let ended = try originator.run([
            "run", module, "--idempotency-key", key, "--sufficient-bids", "\(sufficientBids)", "--max-fuel", "1T",
            "--timeout", "600", "--json",
        ])
        try #require(ended.status == 0, "\(ended.errors) \(ended.output)")
        let report = try #require(try ended.json() as? [String: Any])
        return try #require(report["result"] as? [String: Any])
    }

    @Test("An executor that is frozen in mid-run loses its connection and the job; it works again once it goes on")
    func frozenExecutor() throws {
        let mesh = try CrashMesh()
        try mesh.originator.start()
        try mesh.waitUntilConnected()
        let long = try mesh.module("long.wasm", CountdownModule.bytes(rounds: 6_000_000_000))
        let submitted = try mesh.originator.run([
            "run", long, "--idempotency-key", "long", "--sufficient-bids", "2", "--max-fuel", "1T", "--timeout", "600",
            "--detach",
        ])
        try #require(submitted.status == 0, "\(submitted.errors)")
        let id = submitted.output.trimmingCharacters(in: .whitespacesAndNewlines)
        try eventually("the job runs") { try mesh.originator.job(id)?["phase"] as? String == "Running" }
        let first = try #require(try mesh.originator.job(id)?["counterparty_did"] as? String)
        let frozen = try #require(try mesh.executors.first { try did(of: $0) == first })
        let other = try #require(mesh.executors.first { $0 !== frozen })
        let otherDID = try did(of: other)
        frozen.signal(SIGSTOP)
        try eventually("the originator has parted with the frozen executor") {
            try peerCount(of: mesh.originator) == 1
        }
        let taken = try result(of: "long", long, sufficientBids: 2, at: mesh.originator)
        #expect(taken["ending"] as? String == "succeeded")
        #expect((taken["attempts"] as? NSNumber)?.intValue == 2)
        #expect(taken["executor_did"] as? String == otherDID)
        #expect(try mesh.originator.movements("settle", jobID: id).count == 1)
        let told = try mesh.originator.run(["explain", id]).output
        #expect(told.contains("was silent for longer than its lease"), "\(told)")

        frozen.signal(SIGCONT)
        try eventually("the originator has both again") { try peerCount(of: mesh.originator) == 2 }
        // Now the other one is frozen, and nobody has noticed yet: the job goes to the one that was.
        other.signal(SIGSTOP)
        let short = try mesh.module("short.wasm", CountdownModule.bytes(rounds: 1000))
        let after = try result(of: "short", short, sufficientBids: 1, at: mesh.originator)
        #expect(after["ending"] as? String == "succeeded")
        #expect(after["executor_did"] as? String == first)
        #expect((after["attempts"] as? NSNumber)?.intValue == 1)
        other.signal(SIGCONT)
        try eventually("the originator has both once more") { try peerCount(of: mesh.originator) == 2 }
        #expect(try mesh.originator.movements("settle", jobID: id).count == 1, "it was paid once")
    }
}
