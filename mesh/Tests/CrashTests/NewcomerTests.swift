import Foundation
import Testing

/// The first path of every user: `mesh init`, `mesh up`, `mesh run`, with nobody else in the mesh.
@Suite("Newcomers", .serialized)
struct NewcomerTests {
    private func folder() throws -> URL {
        let folder = URL(fileURLWithPath: "/tmp/mc-\(UUID().uuidString.prefix(8))")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        return folder
    }

    @Test("A node alone runs the job itself and says so; its receipt holds and its wallet is what it was")
    func alone() throws {
        let folder = try folder()
        defer { try? FileManager.default.removeItem(at: folder) }
        let node = try NodeProcess("lone", in: folder, [])
        defer { node.kill() }
        try node.start()
        try node.waitUntilUp()
        let module = folder.appendingPathComponent("copy.wasm")
        try Data(GuestModules.command(GuestModules.copying)).write(to: module)
        let input = folder.appendingPathComponent("input")
        try Data("hello, mesh\n".utf8).write(to: input)
        let before = try #require(try node.run(["wallet", "--json"]).json() as? [String: Any])
        let ran = try node.run(["run", module.path, "--stdin", input.path])
        #expect(ran.status == 0, "\(ran.errors)")
        #expect(ran.output == "hello, mesh\n")
        #expect(ran.errors.contains("so this node bids on its own job"), "\(ran.errors)")
        #expect(ran.errors.contains("by this node itself"), "\(ran.errors)")
        let told = try node.run(["explain", "last"])
        #expect(told.output.contains("goes to this node itself"), "\(told.output)")
        let jobs = try #require(try node.run(["jobs", "--json"]).json() as? [[String: Any]])
        #expect(jobs.count == 1, "asked for and run here: one job")
        let job = try #require(jobs.first)
        #expect(job["role"] as? String == "originator")
        #expect(job["own_run"] as? Bool == true)
        let result = try #require(job["result"] as? [String: Any])
        #expect(result["own_run"] as? Bool == true)
        let table = try node.run(["jobs"]).output
        #expect(table.contains("  this node  ") && table.split(separator: "\n").count == 2, "\(table)")
        let receipt = try #require(result["receipt_cid"] as? String)
        let report = try node.run(["receipt", "verify", receipt])
        #expect(report.status == 0, "\(report.output)")
        #expect(report.output.contains("originator and executor are the same"), "\(report.output)")
        try eventually("both sides of the job have ended") {
            let jobs = try #require(try node.run(["jobs", "--json"]).json() as? [[String: Any]])
            let wallet = try #require(try node.run(["wallet", "--json"]).json() as? [String: Any])
            return jobs.allSatisfy { $0["terminal"] as? Bool == true }
                && wallet["paid"] as? NSNumber == wallet["earned"] as? NSNumber
        }
        let after = try #require(try node.run(["wallet", "--json"]).json() as? [String: Any])
        #expect(after["available"] as? NSNumber == before["available"] as? NSNumber)
        #expect((after["held"] as? NSNumber)?.intValue == 0)
        #expect(after["paid"] as? NSNumber == after["earned"] as? NSNumber)
        #expect((after["paid"] as? NSNumber)?.intValue ?? 0 > 0)
    }

    @Test("A node that executes nothing and reaches nobody says so at once, and how to find a mesh")
    func nobody() throws {
        let folder = try folder()
        defer { try? FileManager.default.removeItem(at: folder) }
        let module = folder.appendingPathComponent("nothing.wasm")
        try Data(GuestModules.command("nop")).write(to: module)
        // Nobody listens on port 1.
        let gone = "/ip4/127.0.0.1/tcp/1/p2p/12D3KooWHrjwxYNH8DTaYSdR3WEejRjKFwcPeQ7iDsDVeC52YzDb"
        for (name, bootstrap) in [("none", []), ("gone", ["--bootstrap", gone])] {
            let node = try NodeProcess(name, in: folder, ["--no-executor"] + bootstrap)
            defer { node.kill() }
            try node.start()
            try node.waitUntilUp()
            let ran = try node.run(["run", module.path])
            #expect(ran.status == 220, "\(ran.errors)")
            #expect(ran.errors.contains("this node is connected to no other"), "\(ran.errors)")
            #expect(ran.errors.contains("mesh connect") && ran.errors.contains("mesh devnet"), "\(ran.errors)")
            let job = try #require((try node.run(["jobs", "--json"]).json() as? [[String: Any]])?.first)
            let submitted = try #require(job["submitted_at"] as? NSNumber).int64Value
            let ended = try #require(job["updated_at"] as? NSNumber).int64Value
            #expect(ended - submitted <= 10_000, "\(name): \(ended - submitted) ms")
            // A measurement ends as its jobs do.
            let bench = try node.run(["bench", "jobs", "--count", "2", "--warm-up", "0"])
            #expect(bench.status == 220 && bench.output.contains("failed           2\n"), "\(bench.output)")
        }
    }

    @Test("Among nodes that run no jobs a job fails within 10 s; an executor that is behind one of them is found")
    func onlyAskers() throws {
        let folder = try folder()
        defer { try? FileManager.default.removeItem(at: folder) }
        let module = folder.appendingPathComponent("nothing.wasm")
        try Data(GuestModules.command("nop")).write(to: module)
        let neighbour = try NodeProcess("neighbour", in: folder, ["--no-executor"])
        defer { neighbour.kill() }
        try neighbour.start()
        try neighbour.waitUntilUp()
        let entrance = ["--bootstrap", try neighbour.address()]
        let asker = try NodeProcess("asker", in: folder, ["--no-executor"] + entrance)
        defer { asker.kill() }
        try asker.start()
        try asker.waitUntilUp()
        try eventually("the asker has its peer") {
            let status = try #require(try asker.run(["status", "--json"]).json() as? [String: Any])
            return (status["connected_peers"] as? NSNumber)?.intValue == 1
        }
        let ran = try asker.run(["run", module.path])
        #expect(ran.status == 220, "\(ran.errors)")
        #expect(ran.errors.contains("no node in reach is known to run jobs"), "\(ran.errors)")
        for advice in ["mesh connect", "mesh devnet", "--executor"] {
            #expect(ran.errors.contains(advice), "\(ran.errors)")
        }
        let job = try #require((try asker.run(["jobs", "--json"]).json() as? [[String: Any]])?.first)
        let submitted = try #require(job["submitted_at"] as? NSNumber).int64Value
        let ended = try #require(job["updated_at"] as? NSNumber).int64Value
        #expect(ended - submitted <= 10_000, "\(ended - submitted) ms")

        let executor = try NodeProcess("executor", in: folder, ["--executor"] + entrance)
        defer { executor.kill() }
        try executor.start()
        try executor.waitUntilUp()
        try eventually("the executor has a peer") {
            let status = try #require(try executor.run(["status", "--json"]).json() as? [String: Any])
            return (status["connected_peers"] as? NSNumber)?.intValue ?? 0 >= 1
        }
        let again = try asker.run(["run", module.path, "--idempotency-key", "again"])
        #expect(again.status == 0, "\(again.errors)")
    }
}
