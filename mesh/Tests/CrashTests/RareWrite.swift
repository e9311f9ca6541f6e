import Foundation
import Testing

/// Something that an owner does, the writes that it takes, and how it ends: a node dies on both sides of each write.
struct RareWrite {
    /// The writes, as `MESH_CRASH_BEFORE` and `MESH_CRASH_AFTER` name them.
    let events: [String]
    /// Begins it at a node that is up, and may die meanwhile.
    let begin: (NodeProcess, _ key: String) throws -> Void
    /// Goes on after the restart, and looks at the end.
    let end: (NodeProcess, _ key: String) throws -> Void

    /// Begins it, waits for the death, and ends it, once for each side of each write.
    func play(_ mesh: CrashMesh) throws {
        let node = mesh.originator
        for event in events {
            for side in ["before", "after"] {
                let key = "\(side)-\(event)"
                if side == "before" {
                    try node.start(crashBefore: event)
                } else {
                    try node.start(crashAfter: event)
                }
                try mesh.waitUntilConnected()
                try begin(node, key)
                if !node.waitForCrash(seconds: 30) {
                    Issue.record("no death \(side) \(event)")
                    node.kill()
                }
                #expect(node.log.split(separator: "\n").last { $0.hasPrefix("crash ") }?.contains(event) == true)
                try node.start()
                try mesh.waitUntilConnected()
                try end(node, key)
                #expect(node.stop() == 0)
            }
        }
    }

    /// A job that is submitted again under its key, if the node died before it was written.
    static func job(_ node: NodeProcess, _ key: String, _ arguments: [String]) throws -> String? {
        let run = try node.run(["run", "--detach", "--idempotency-key", key] + arguments)
        return run.status == 0 ? run.output.trimmingCharacters(in: .whitespacesAndNewlines) : nil
    }

    /// Whether nothing is left to do for a job.
    static func isOver(_ id: String, _ node: NodeProcess) throws -> Bool {
        try node.run(["explain", id]).output.contains("Nothing is left to do.")
    }
}
