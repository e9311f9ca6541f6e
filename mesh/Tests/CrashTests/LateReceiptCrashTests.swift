import Foundation
import Testing

extension CrashMatrixTests {
    /// An executor that stands still for longer than its lease while its run goes on gives a receipt when the job is
    /// over: the originator dies on both sides of that write (`make crash-matrix`).
    @Suite("Nodes killed at a late receipt", .serialized)
    struct LateReceiptCrashTests {
        private func did(of node: NodeProcess) throws -> String {
            let status = try #require(try node.run(["status", "--json"]).json() as? [String: Any])
            return try #require(status["did"] as? String)
        }

        @Test("A receipt that comes when another counts is answered, and pays nothing, whenever its originator dies")
        func lateReceipt() throws {
            let mesh = try CrashMesh()
            let node = mesh.originator
            let module = try mesh.module("long.wasm", CountdownModule.bytes(rounds: 2_000_000_000))
            let dids = try mesh.executors.map(did)
            for side in ["before", "after"] {
                if side == "before" {
                    try node.start(crashBefore: "originator:late_receipt")
                } else {
                    try node.start(crashAfter: "originator:late_receipt")
                }
                try mesh.waitUntilConnected()
                let arguments = [module, "--sufficient-bids", "2", "--max-fuel", "900G", "--timeout", "600"]
                let id = try #require(try RareWrite.job(node, side, arguments))
                try eventually("the job runs") { try node.job(id)?["phase"] as? String == "Running" }
                let first = try #require(try node.job(id)?["counterparty_did"] as? String)
                let frozen = mesh.executors[try #require(dids.firstIndex(of: first))]
                // The node stands still; the process of its run does not.
                frozen.signal(SIGSTOP)
                let ended = try node.run(["wait", id])
                #expect(ended.status == 0, "\(ended.output)\(ended.errors)")
                frozen.signal(SIGCONT)
                #expect(node.waitForCrash(seconds: 60), "no death \(side) originator:late_receipt")
                try node.start()
                try mesh.waitUntilConnected()
                try eventually("the job is over") { try RareWrite.isOver(id, node) }
                try eventually("the one that came late is told") {
                    try frozen.run(["explain", id]).output.contains("Nothing is left to do.")
                }
                #expect(try node.movements("settle", jobID: id).count == 1)
                #expect(try frozen.movements("income", jobID: id).isEmpty)
                #expect(node.stop() == 0)
            }
        }
    }
}
