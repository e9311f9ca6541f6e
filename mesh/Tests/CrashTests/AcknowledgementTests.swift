import Foundation
import Testing

/// What was acknowledged is there after a SIGKILL, and what was not is sent again.
@Suite("Acknowledged before a crash", .serialized)
struct AcknowledgementTests {
    @Test("The originator is killed right after --detach; the bids that were on their way then are taken up at once")
    func bidsOfADetachedJob() throws {
        let mesh = try CrashMesh()
        try mesh.originator.start()
        try mesh.waitUntilConnected()
        let module = try mesh.module("short.wasm", CountdownModule.bytes(rounds: 1000))
        for number in 0..<3 {
            // More bids than there are executors, so that the window is open when the node dies.
            let job = ["run", module, "--idempotency-key", "detached-\(number)", "--sufficient-bids", "3"]
            let submitted = try mesh.originator.run(job + ["--detach"])
            mesh.originator.kill()
            try #require(submitted.status == 0, "\(submitted.errors)")
            let id = submitted.output.trimmingCharacters(in: .whitespacesAndNewlines)
            try mesh.originator.start()
            try mesh.originator.waitUntilUp()
            let ended = try mesh.originator.run(job)
            #expect(ended.status == 0, "\(ended.errors)")
            let told = try mesh.originator.run(["explain", id]).output
            #expect(told.contains("acceptable."), "the originator has no bid: \(told)")
            for executor in mesh.executors {
                // One whose acknowledged bid was lost would have waited for the end of it, and bid again.
                let bids = try executor.run(["explain", id]).output
                #expect(!bids.contains("not taken up in time"), "\(bids)")
            }
            try mesh.waitUntilConnected()
        }
    }
}
