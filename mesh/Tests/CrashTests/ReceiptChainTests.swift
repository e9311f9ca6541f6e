import Foundation
import Testing

/// The chain of an executor's receipts has one end, also over a restart.
@Suite("The chain of receipts", .serialized)
struct ReceiptChainTests {
    @Test("After a crash the next receipt follows the last one, although jobs ended in another order than they began")
    func restart() throws {
        let mesh = try CrashMesh()
        mesh.executors[1].kill()
        let executor = mesh.executors[0]
        executor.kill()
        try executor.configure("executor", ["enabled": true, "price_base": 10, "jobs_at_once": 2])
        try executor.start()
        try executor.waitUntilUp()
        let address = try executor.address()
        let port = try #require(address.split(separator: "/").dropFirst(3).first)
        try executor.configure("listen", ["/ip4/127.0.0.1/tcp/\(port)"])
        try mesh.originator.configure("bootstrap", [address])
        try mesh.originator.start()
        try mesh.originator.waitUntilUp()
        try eventually("the originator has its peer") {
            let status = try #require(try mesh.originator.run(["status", "--json"]).json() as? [String: Any])
            return (status["connected_peers"] as? NSNumber)?.intValue ?? 0 >= 1
        }
        let long = try mesh.module("long.wasm", CountdownModule.bytes(rounds: 8_000_000_000))
        let short = try mesh.module("short.wasm", CountdownModule.bytes(rounds: 1_000))
        let options = ["--max-fuel", "1T", "--timeout", "600", "--sufficient-bids", "1"]
        let detached = try mesh.originator.run(["run", long, "--detach"] + options)
        try #require(detached.status == 0, "\(detached.errors)")
        let slow = detached.output.trimmingCharacters(in: .whitespacesAndNewlines)
        try eventually("the long job runs") { try mesh.originator.job(slow)?["phase"] as? String == "Running" }
        let quick = try receipt(of: try mesh.originator.run(["run", short, "--json"] + options))
        try eventually("the long job has ended", seconds: 300) {
            (try mesh.originator.job(slow)?["result"] as? [String: Any])?["receipt_cid"] is String
        }
        let result = try #require(try mesh.originator.job(slow)?["result"] as? [String: Any])
        let last = try #require(result["receipt_cid"] as? String)
        // On a machine where the short one was not the quicker one there is nothing to see.
        try #require(try previous(last, mesh.originator) == quick)
        executor.kill()
        try executor.start()
        try executor.waitUntilUp()
        try eventually("the originator has its peer again") {
            let status = try #require(try mesh.originator.run(["status", "--json"]).json() as? [String: Any])
            if (status["connected_peers"] as? NSNumber)?.intValue ?? 0 >= 1 { return true }
            return try mesh.originator.run(["connect", address]).status == 0
        }
        let next = try receipt(of: try mesh.originator.run(["run", short, "--json"] + options))
        #expect(try previous(next, mesh.originator) == last)
        for cid in [quick, last, next] {
            let report = try mesh.originator.run(["receipt", "verify", cid])
            #expect(report.status == 0, "\(report.output)\(report.errors)")
        }
    }

    private func receipt(of finished: NodeProcess.Finished) throws -> String {
        try #require(finished.status == 0, "\(finished.errors)")
        let report = try #require(try finished.json() as? [String: Any])
        let result = try #require(report["result"] as? [String: Any])
        return try #require(result["receipt_cid"] as? String)
    }

    private func previous(_ receipt: String, _ node: NodeProcess) throws -> String? {
        let shown = try #require(try node.run(["receipt", "show", receipt, "--json"]).json() as? [String: Any])
        return shown["previous_receipt_cid"] as? String
    }
}
