import Foundation
import Testing

/// The node is killed, not asked: real processes, SIGKILL, restart, and then the books are read.
@Suite("Killed nodes", .serialized)
struct CrashTests {
    /// Every event of an originator's journal, in the order of a job that goes well.
    static let originatorEvents = [
        "submitted", "announced", "bid_received", "bidding_closed", "assignment_made", "assignment_confirmed",
        "acceptance_signed", "status_reported", "receipt_accepted", "result_reached", "settled", "anchored",
        "anchor_published", "settlement_delivered", "closed",
    ]

    @Test("The originator dies after each event of its journal; after restart the job ends and is paid once")
    func originatorDies() throws {
        let mesh = try CrashMesh()
        let module = try mesh.module("short.wasm", CountdownModule.bytes(rounds: 1000))
        // An executor reports where a run stands once it has lasted a while.
        let longer = try mesh.module("longer.wasm", CountdownModule.bytes(rounds: 1_000_000_000))
        for event in Self.originatorEvents {
            try mesh.originator.start(crashAfter: "originator:\(event)")
            try mesh.originator.waitUntilUp()
            let job = [
                "run", event == "status_reported" ? longer : module, "--idempotency-key", "after-\(event)",
                "--sufficient-bids", "1", "--max-fuel", "100G",
            ]
            _ = try mesh.originator.run(job)
            #expect(mesh.originator.waitForCrash(), "no crash after \(event)")
            try mesh.originator.start()
            try mesh.originator.waitUntilUp()
            let again = try mesh.originator.run(job + ["--json"])
            #expect(again.status == 0, "after \(event): \(again.errors)")
            let report = try #require(try again.json() as? [String: Any])
            let id = try #require(report["job_id"] as? String)
            let result = try #require(report["result"] as? [String: Any])
            #expect(result["ending"] as? String == "succeeded", "after \(event)")
            #expect(try mesh.originator.movements("settle", jobID: id).count == 1, "after \(event)")
            #expect(try mesh.originator.movements("hold", jobID: id).count >= 1, "after \(event)")
            // What is left to do would otherwise bring the next start to its crash point, before anybody asks it.
            try eventually("all of the job is over, after \(event)") {
                try mesh.originator.run(["explain", id]).output.contains("Nothing is left to do.")
            }
            mesh.originator.kill()
        }
        try mesh.originator.start()
        try mesh.originator.waitUntilUp()
        let paid = try mesh.originator.movements("settle").reduce(0, +)
        try eventually("the executors have what the originator paid") {
            try mesh.executors.flatMap { try $0.movements("income") }.reduce(0, +) == paid
        }
        #expect(try mesh.originator.movements("settle").count == Self.originatorEvents.count)
        for node in mesh.executors + [mesh.originator] {
            let before = try node.run(["wallet", "--json", "--entries", "1000"]).output
            node.kill()
            try node.start()
            try node.waitUntilUp()
            let after = try node.run(["wallet", "--json", "--entries", "1000"]).output
            #expect(after == before, "balances, holds and movements are those from before the restart")
        }
    }

    @Test("The executor dies in mid-run; the job finishes on the other one and is paid once")
    func executorDies() throws {
        let mesh = try CrashMesh()
        try mesh.originator.start()
        try mesh.waitUntilConnected()
        let module = try mesh.module("long.wasm", CountdownModule.bytes(rounds: 2_000_000_000))
        let submitted = try mesh.originator.run([
            "run", module, "--idempotency-key", "long", "--sufficient-bids", "2", "--max-fuel", "100G", "--detach",
        ])
        try #require(submitted.status == 0, "\(submitted.errors)")
        let id = submitted.output.trimmingCharacters(in: .whitespacesAndNewlines)
        try eventually("the job runs") { try mesh.originator.job(id)?["phase"] as? String == "Running" }
        let first = try #require(try mesh.originator.job(id)?["counterparty_did"] as? String)
        let victim = try #require(
            try mesh.executors.first { node in
                (try node.run(["status", "--json"]).json() as? [String: Any])?["did"] as? String == first
            })
        victim.kill()
        let ended = try mesh.originator.run([
            "run", module, "--idempotency-key", "long", "--sufficient-bids", "2", "--max-fuel", "100G", "--json",
        ])
        #expect(ended.status == 0, "\(ended.errors)")
        let report = try #require(try ended.json() as? [String: Any])
        let result = try #require(report["result"] as? [String: Any])
        #expect(result["ending"] as? String == "succeeded")
        #expect((result["attempts"] as? NSNumber)?.intValue == 2)
        #expect(result["executor_did"] as? String != first)
        #expect(try mesh.originator.movements("settle", jobID: id).count == 1)
        try victim.start()
        try victim.waitUntilUp()
        try eventually("the killed executor's job has ended") {
            try victim.job(id)?["status"] as? String == "Failed" || (try victim.job(id)?["terminal"] as? Bool == true)
        }
        #expect(try mesh.originator.movements("settle", jobID: id).count == 1)
        #expect(try victim.movements("income").isEmpty)
    }
}
