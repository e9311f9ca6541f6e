import Foundation
import Testing

/// Two jobs that make the same bytes, of which one is over before the other.
@Suite("Shared outputs", .serialized)
struct SharedOutputTests {
    @Test("An executor keeps the output of a job that nobody paid yet when another one that made the same ends")
    func outputOfTwoJobs() throws {
        let mesh = try CrashMesh()
        let executor = mesh.executors[0]
        mesh.executors[1].kill()
        let module = try mesh.module("writing.wasm", GuestModules.command(GuestModules.writing))
        // It need not ask the originator for the module, which ends at once.
        #expect(try executor.run(["add", module]).status == 0)
        try mesh.originator.start(crashAfter: "originator:assignment_confirmed")
        try mesh.originator.waitUntilUp()
        let job = ["run", module, "--idempotency-key", "first", "--sufficient-bids", "1", "--timeout", "300", "--json"]
        _ = try mesh.originator.run(job)
        #expect(mesh.originator.waitForCrash())
        let jobs = try #require(try executor.run(["jobs", "--json"]).json() as? [[String: Any]])
        let first = try #require(jobs.first?["job_id"] as? String)
        try eventually("the receipt is signed") {
            try executor.run(["explain", first]).output.contains("The receipt is signed")
        }

        let own = try executor.run(["run", module, "--sufficient-bids", "1", "--json"])
        #expect(own.status == 0, "\(own.errors)")
        let second = try #require((try own.json() as? [String: Any])?["job_id"] as? String)
        try eventually("the executor's own job is over on both sides, and is removed", seconds: 180) {
            try executor.run(["rm", second]).status == 0
        }
        let unpaid = try executor.job(first)
        #expect(unpaid?["terminal"] as? Bool == true, "its run is over")
        #expect(["due", "overdue"].contains(unpaid?["payment"] as? String), "and not paid")
        #expect(try executor.run(["gc"]).status == 0)

        try mesh.originator.start()
        try mesh.originator.waitUntilUp()
        let again = try mesh.originator.run(job)
        #expect(again.status == 0, "\(again.errors)")
        let result = try #require((try again.json() as? [String: Any])?["result"] as? [String: Any])
        #expect(result["ending"] as? String == "succeeded")
        #expect((result["attempts"] as? NSNumber)?.intValue == 1)
        try eventually("the executor is paid") { try executor.movements("income", jobID: first).count == 1 }
    }
}
