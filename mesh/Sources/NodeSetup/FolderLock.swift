import Foundation
import NodeAPI

/// The lock by which those who change files of a folder keep each other out, for as long as they work.
package enum FolderLock {
    /// How long one waits for another, in milliseconds: a change takes no longer than a write to the disk.
    package static let waitMilliseconds = 5_000
    /// The time between two attempts, in milliseconds.
    private static let pauseMilliseconds: Int32 = 20

    /// Takes the lock of an open folder; refuses once it has waited long enough, and says who has it.
    static func take(_ folder: Int32, of path: String, waiting milliseconds: Int) throws(NodeServiceError) {
        let start = DispatchTime.now().uptimeNanoseconds
        while flock(folder, LOCK_EX | LOCK_NB) != 0 {
            // A file system without locks keeps nobody out.
            guard errno == EWOULDBLOCK || errno == EINTR else { return }
            let waited = (DispatchTime.now().uptimeNanoseconds - start) / 1_000_000
            guard waited < UInt64(max(0, milliseconds)) else { throw refusal(folder, path, waited) }
            poll(nil, 0, pauseMilliseconds)
        }
    }

    private static func refusal(_ folder: Int32, _ path: String, _ waited: UInt64) -> NodeServiceError {
        let holder = holder(of: folder).map { "the process \($0.id) (\($0.name)) has" } ?? "another process has"
        return NodeServiceError(
            .conflict, "Nothing is changed: \(holder) locked the folder \(path) for more than \(waited) ms.",
            hint: "Wait until it is done, or end it, and repeat the command.")
    }

    /// Who has the lock of an open folder, according to the kernel; nil if that does not tell.
    private static func holder(of folder: Int32) -> (id: Int32, name: String)? {
        var information = stat()
        guard fstat(folder, &information) == 0,
            let table = try? String(contentsOfFile: "/proc/locks", encoding: .utf8)
        else { return nil }
        // `1: FLOCK  ADVISORY  WRITE 4711 fe:01:1234 0 EOF`; a line with `->` waits for the one above it.
        for line in table.split(separator: "\n") {
            let fields = line.split(separator: " ")
            guard fields.count >= 6, fields[1] == "FLOCK", fields[5].hasSuffix(":\(information.st_ino)"),
                let id = Int32(fields[4]), id > 0
            else { continue }
            let name = try? String(contentsOfFile: "/proc/\(id)/comm", encoding: .utf8)
            return (id, name?.trimmingCharacters(in: .whitespacesAndNewlines) ?? "of another user")
        }
        return nil
    }
}
