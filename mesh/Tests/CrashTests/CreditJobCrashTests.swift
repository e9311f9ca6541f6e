import Foundation
import Testing

/// Jobs that are paid by credit, by real programs that are killed.
@Suite("Jobs by credit whose nodes are killed", .serialized)
struct CreditJobCrashTests: IssuerCommanding {
    /// What the hold of a job has come to, as a node shows it.
    private func credit(_ job: String, at node: NodeProcess) throws -> [String: Any]? {
        let shown = try node.run(["describe", job, "--json"])
        guard shown.status == 0, let page = try shown.json() as? [String: Any] else { return nil }
        return (page["credit"] as? [[String: Any]])?.last
    }

    /// Nodes of a cooperative, each with a port of its own: an issuer, two officers, an executor and an originator.
    private struct Cooperative {
        let issuer: NodeProcess
        let officers: [NodeProcess]
        let executor: NodeProcess
        let originator: NodeProcess
        var all: [NodeProcess] { [issuer, executor, originator] + officers }
    }

    private func fixPort(_ node: NodeProcess) throws -> String {
        let address = try node.address()
        let port = try #require(address.split(separator: "/").dropFirst(3).first)
        try node.configure("listen", ["/ip4/127.0.0.1/tcp/\(port)"])
        return address
    }

    private func cooperative(in folder: URL) throws -> Cooperative {
        let issuer = try NodeProcess("issuer", in: folder, [])
        try issuer.start()
        try issuer.waitUntilUp()
        let address = try fixPort(issuer)
        var others: [NodeProcess] = []
        for name in ["first", "second", "executor", "originator"] {
            let node = try NodeProcess(name, in: folder, ["--bootstrap", address])
            try node.configure("executor", "enabled", name == "executor")
            try node.start()
            others.append(node)
        }
        for node in others { try node.waitUntilUp() }
        let made = Cooperative(
            issuer: issuer, officers: [others[0], others[1]], executor: others[2], originator: others[3])
        let name = try did(issuer)
        let founded = try issuer.run([
            "issuer", "found", "--unit", "hours", "--officer", did(others[0]), "--officer", did(others[1]),
            "--arbiter", did(others[1]),
        ])
        #expect(founded.status == 0, "\(founded.errors)")
        let at = ["--issuer", name, "--json"]
        for member in [made.executor, made.originator] {
            let order = try object(
                others[0].run(["issuer", "order", "limit", did(member), "--owed", "99.00", "--owing", "99.00"] + at))
            let cid = try #require(order["order_cid"] as? String)
            #expect(try object(others[1].run(["issuer", "approve", cid] + at))["entry"] != nil)
        }
        made.executor.kill()
        _ = try fixPort(made.originator)
        try made.executor.configure("executor", "issuers", ["\(name) hours/2 0.10 0.01"])
        try made.executor.start()
        try made.executor.waitUntilUp()
        return made
    }

    @Test("Originator and executor die at the writes of hold, assignment and settlement: all goes on, paid once")
    func kills() throws {
        let folder = URL(fileURLWithPath: "/tmp/mc-\(UUID().uuidString.prefix(8))")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        let mesh = try cooperative(in: folder)
        defer { for node in mesh.all { node.kill() } }
        let module = folder.appendingPathComponent("count.wasm")
        try Data(CountdownModule.bytes(rounds: 1_000_000)).write(to: module)
        let issuer = try did(mesh.issuer)
        func run(_ key: String, detached: Bool) throws -> [String] {
            ["run", module.path, "--pay-by", issuer, "--budget", "500", "--max-fuel", "100M", "--idempotency-key", key]
                + (detached ? ["--detach", "--json"] : ["--json"])
        }
        // Without a death, so that all know each other.
        #expect(try mesh.originator.run(run("first", detached: false)).status == 0)
        let points: [(NodeProcess, String)] = [
            (mesh.originator, "originator:hold_awaited"), (mesh.originator, "originator:hold_given"),
            (mesh.originator, "originator:settled"), (mesh.executor, "executor:hold_taken"),
            (mesh.executor, "executor:settlement_received"),
        ]
        for (node, point) in points {
            for side in ["before", "after"] {
                node.kill()
                try node.start(crashAfter: side == "after" ? point : nil, crashBefore: side == "before" ? point : nil)
                try node.waitUntilUp()
                let key = "\(point) \(side)"
                let job = try #require(
                    try object(mesh.originator.run(run(key, detached: true)))["job_id"] as? String)
                #expect(node.waitForCrash(), "\(key)")
                try node.start()
                try node.waitUntilUp()
                for side in [mesh.originator, mesh.executor] {
                    try eventually("the entry that paid is proved: \(key)") {
                        let credit = try credit(job, at: side)
                        return credit?["state"] as? String == "paid"
                    }
                }
            }
        }
        let balances = try balances(mesh.issuer)
        let earned = try #require(balances[try did(mesh.executor)])
        #expect(balances[try did(mesh.originator)] == -earned)
        // Each job is paid once: eleven equal runs.
        #expect(earned % Int64(points.count * 2 + 1) == 0 && earned > 0, "\(earned)")
    }
}
