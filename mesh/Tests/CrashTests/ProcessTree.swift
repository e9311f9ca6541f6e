import Foundation

/// Processes and what they have started, as the system tells.
enum ProcessTree {
    /// The processes that a process has started and that are there, also those that ended and nobody asked for.
    static func children(of process: Int32) -> [Int32] {
        let threads = (try? FileManager.default.contentsOfDirectory(atPath: "/proc/\(process)/task")) ?? []
        return threads.flatMap { thread in
            let text = try? String(contentsOfFile: "/proc/\(process)/task/\(thread)/children", encoding: .utf8)
            return (text ?? "").split(separator: " ").compactMap { Int32($0) }
        }
    }

    /// A process and all below it: a node, the processes of its modules, and those of their runs.
    static func all(from process: Int32) -> [Int32] {
        [process] + children(of: process).flatMap { all(from: $0) }
    }
}
