import Foundation
import Synchronization

/// A point in a journal at which this process kills itself, set in the environment; for crash tests.
///
/// `MESH_CRASH_AFTER` and `MESH_CRASH_BEFORE` hold `role:event` as in the journal, for example
/// `originator:assignment_made`; the role `plan` stands for the journals of workflows, `issuer` for a book, `arbiter`
/// for what is left with one, `charter_witness` for what a witness is given, `booking` for what issuers are to book,
/// and `*` for any role or event.
/// `issuer:transferred:2` means the second such write, and `*:*!originator:announced,originator:closed` any write but
/// those of nothing else than these two. The process kills itself by SIGKILL right after the event is durable, or right
/// before it is written, in either case before anything that follows from it, and says so on standard error: the side,
/// and for each event `role:event:kind:state` (`CrashPoint.Event`). So a test can restart it in exactly this state.
/// Without the variables there is no crash point.
final class CrashPoint: Sendable {
    /// On which side of the write the process dies.
    enum Side: String {
        case before, after
    }

    /// An event, named as in its journal, with the kind of job or workflow whose it is, and the state in which the
    /// write leaves that one.
    struct Event: Sendable {
        let role: String
        let name: String
        let kind: String
        let state: String
    }

    let side: Side
    private let role: String
    private let event: String
    /// Events, each as `role:event`; a write of nothing else does not end the process.
    private let spared: Set<String>
    /// How many such writes are still to come, this one included.
    private let left: Mutex<Int>

    private init(side: Side, role: String, event: String, count: Int, spared: Set<String>) {
        (self.side, self.role, self.event, self.spared) = (side, role, event, spared)
        left = Mutex(count)
    }

    /// The crash point of this process.
    static let ofProcess = fromEnvironment(ProcessInfo.processInfo.environment)

    private static func fromEnvironment(_ environment: [String: String]) -> CrashPoint? {
        for (name, side) in [("MESH_CRASH_AFTER", Side.after), ("MESH_CRASH_BEFORE", .before)] {
            let sides = environment[name]?.split(separator: "!", maxSplits: 1) ?? []
            guard let parts = sides.first?.split(separator: ":"), parts.count >= 2 else { continue }
            let spared = sides.count > 1 ? sides[1].split(separator: ",").map(String.init) : []
            return CrashPoint(
                side: side, role: String(parts[0]), event: String(parts[1]),
                count: parts.count > 2 ? Int(parts[2]) ?? 1 : 1, spared: Set(spared))
        }
        return nil
    }

    /// Whether the process dies at this write of events.
    func isMet(by events: [Event]) -> Bool {
        guard events.contains(where: { (role == "*" || role == $0.role) && (event == "*" || event == $0.name) }),
            !events.allSatisfy({ spared.contains("\($0.role):\($0.name)") })
        else { return false }
        return left.withLock { left in
            left -= 1
            return left == 0
        }
    }

    /// Ends this process as a power cut would, and says at which write.
    func die(_ events: [Event]) {
        let names = events.map { " \($0.role):\($0.name):\($0.kind):\($0.state)" }.joined()
        FileHandle.standardError.write(Data("crash \(side.rawValue)\(names)\n".utf8))
        kill(getpid(), SIGKILL)
    }
}
