import Foundation

/// A named point at which this process kills itself, set by `MESH_CRASH_AFTER` in the environment; for crash tests.
///
/// The value is `role:event` as in the journal, for example `originator:assignment_made`. The process kills itself by
/// SIGKILL right after the first such event is durable, before anything that follows from it, so that a test can
/// restart it in exactly this state. Without the variable there is no crash point.
struct CrashPoint: Sendable {
    private let role: String
    private let event: String

    static func fromEnvironment() -> CrashPoint? {
        guard let text = ProcessInfo.processInfo.environment["MESH_CRASH_AFTER"] else { return nil }
        let parts = text.split(separator: ":")
        guard parts.count == 2 else { return nil }
        return CrashPoint(role: String(parts[0]), event: String(parts[1]))
    }

    /// Whether an event is the crash point.
    func isAt(role: String, event: String) -> Bool { self.role == role && self.event == event }

    /// Ends this process as a power cut would.
    func die() {
        kill(getpid(), SIGKILL)
    }
}
