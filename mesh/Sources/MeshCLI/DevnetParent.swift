import Foundation

/// Whether a node was started by a devnet, by what the system tells of its parent (proc_pid_stat(5)).
enum DevnetParent {
    /// What to say of a node of a devnet that was stopped on its own.
    static let note =
        "The node belongs to a devnet, which ends with any of its nodes. To change a node's config.json, end the "
        + "devnet with Ctrl-C, edit the file and start the devnet again with the same --base-dir."

    /// Whether the parent of a process is `mesh devnet`.
    static func isParent(of process: Int32) -> Bool {
        guard let stat = FileManager.default.contents(atPath: "/proc/\(process)/stat"),
            let parent = parent(stat: String(decoding: stat, as: UTF8.self)),
            let line = FileManager.default.contents(atPath: "/proc/\(parent)/cmdline")
        else { return false }
        return isDevnet(commandLine: [UInt8](line))
    }

    /// The parent in the text of a process's `stat`: the second field after the name, which may hold anything.
    static func parent(stat: String) -> Int32? {
        let fields = stat.split(separator: ")").last?.split(separator: " ") ?? []
        return fields.count > 1 ? Int32(fields[1]) : nil
    }

    /// Whether a command line, with a NUL after each word, is that of a devnet.
    static func isDevnet(commandLine: [UInt8]) -> Bool {
        commandLine.split(separator: 0).dropFirst().first?.elementsEqual("devnet".utf8) ?? false
    }
}
