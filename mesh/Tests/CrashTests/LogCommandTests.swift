import Foundation
import Testing

/// The commands about the logs of others, with real nodes.
@Suite("Commands about logs", .serialized)
struct LogCommandTests {
    private func lines(_ text: String) throws -> [[String: Any]] {
        try text.split(separator: "\n").map {
            try #require(try JSONSerialization.jsonObject(with: Data($0.utf8)) as? [String: Any])
        }
    }

    @Test("The log of another is followed, watched, exported whole, read in elsewhere, and forgotten")
    func everything() throws {
        let mesh = try CrashMesh()
        let (node, other) = (mesh.originator, mesh.executors[1])
        try node.start()
        try mesh.waitUntilConnected()
        // Every job is the first executor's.
        other.kill()
        let status = try #require(try mesh.executors[0].run(["status", "--json"]).json() as? [String: Any])
        let author = try #require(status["did"] as? String)
        #expect(try node.run(["config", "set", "log.follow", author]).status == 0)
        let module = try mesh.module("short.wasm", CountdownModule.bytes(rounds: 1_000))
        let watching = try RunningCommand(["dag", "watch", "--json", "--author", author, "--home", node.home.path])
        var receipts: [String] = []
        // It prints what comes after it looked first, and nothing says when that was.
        try eventually("an entry is printed as it comes") {
            let ended = try #require(
                try node.run(["run", module, "--json", "--sufficient-bids", "1"]).json() as? [String: Any])
            receipts.append(try #require((ended["result"] as? [String: Any])?["receipt_cid"] as? String))
            return watching.outputSoFar.contains("\n")
        }
        watching.signal(SIGTERM)
        let watched = try watching.finish()
        let printed = try #require(try lines(watched.output).first)
        #expect(printed["author"] as? String == author && printed["block"] is String)
        var size = 0
        try eventually("the whole log is here") {
            let logs = try #require(try node.run(["dag", "logs", "--json"]).json() as? [[String: Any]])
            let log = try #require(logs.first { $0["author"] as? String == author })
            size = (log["entries"] as? NSNumber)?.intValue ?? 0
            return size >= receipts.count && log["head_entries"] as? Int == size
        }
        let exported = try node.run(["dag", "export", "--author", author])
        let all = try lines(exported.output)
        let numbers = all.compactMap { ($0["number"] as? NSNumber)?.intValue }
        #expect(exported.status == 0 && numbers == Array(0..<numbers.count) && numbers.count >= size)
        #expect(Set(all.compactMap { $0["cid"] as? String }).isSuperset(of: receipts))
        try other.start()
        try other.waitUntilUp()
        let archive = mesh.folder.appendingPathComponent("log.car").path
        let written = try node.run(["dag", "export", "--author", author, "--car", archive])
        #expect(written.status == 0 && written.errors.contains("log.car: "))
        let taken = try other.run(["car", "import", archive])
        #expect(taken.status == 0, "\(taken.errors)")
        #expect(try other.run(["receipt", "show", receipts[0]]).status == 0)

        let refused = try node.run(["dag", "forget", author])
        #expect(refused.status != 0 && refused.errors.contains("This node follows the log of \(author)."))
        #expect(try node.run(["config", "set", "log.follow", "--default"]).status == 0)
        // A fetch of it may be under way still.
        var gone = ""
        try eventually("it is forgotten") {
            let forgotten = try node.run(["dag", "forget", author])
            gone = forgotten.output
            return forgotten.status == 0
        }
        #expect(gone.hasPrefix("Removed "), "\(gone)")
        let nothing = try node.run(["dag", "forget", author])
        #expect(nothing.status == 0 && nothing.errors.contains("Nothing is kept of a log of that author"))
        let forks = try node.run(["dag", "forks"])
        #expect(forks.status == 0 && forks.errors.contains("This node has no proof"))
    }
}
