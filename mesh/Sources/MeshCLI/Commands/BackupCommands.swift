import ArgumentParser
import Foundation
package import NodeAPI

/// Copies homes, for which the store has to be linked, as only the program itself does.
package struct HomeCopying: Sendable {
    /// Tells how far it is.
    package typealias Progress = (BackupProgress) -> Void

    let backUp: @Sendable (NodeHome, String, _ replacing: Bool, Progress) throws -> BackupNote
    let restore: @Sendable (NodeHome, String, Progress) throws -> BackupNote

    /// Copies by two calls, which throw a `NodeServiceError` where there is an obstacle.
    package init(
        backUp: @escaping @Sendable (NodeHome, String, Bool, Progress) throws -> BackupNote,
        restore: @escaping @Sendable (NodeHome, String, Progress) throws -> BackupNote
    ) {
        (self.backUp, self.restore) = (backUp, restore)
    }
}

/// A command that copies a home; `Mesh.start` gives it what does that.
protocol HomeCopyingCommand: AsyncParsableCommand {
    /// Does the work.
    func run(copying copier: HomeCopying) async throws
}

/// `mesh backup`: a node's home in one file.
struct Backup: HomeCopyingCommand {
    static let configuration = CommandConfiguration(
        abstract: "Write the node's key, settings and data to one file, also while the node runs.",
        discussion: """
            The file has everything as it is at one moment; whoever has it can be this node, so keep it as you keep \
            the key. It is a tar file with a sum for each file in it. mesh restore makes a home of it. Compiled \
            modules, the tokens of the API and logs are not in it.
            """)

    @OptionGroup var global: GlobalOptions

    @Flag(help: "Replace the file if there is one.")
    var force = false

    @Argument(help: "The file to write.", completion: .file())
    var file: String

    func run(copying copier: HomeCopying) async throws {
        try await global.report { console in
            umask(0o077)
            let line = TransferLine(console, quiet: global.json)
            defer { line.clear() }
            let note = try copier.backUp(global.nodeHome, file, force) { line.show($0) }
            line.clear()
            if global.json {
                try console.json(note)
            } else {
                console.out(Terminal.safe("Backed up \(note.did) to \(file).") + "\n")
                if note.damagedBlocks > 0 {
                    console.note(
                        "mesh: \(Readable.count(UInt64(note.damagedBlocks))) of its blocks are damaged, in the home "
                            + "itself too.")
                }
            }
            return .success
        }
    }
}

/// `mesh restore`: a home of a backup.
struct Restore: HomeCopyingCommand {
    static let configuration = CommandConfiguration(
        abstract: "Make a node's home of a backup, where there is none yet.",
        discussion: """
            Checks everything before it puts the key in its place, so that half a home never starts. Stop the \
            original for good first: never let two copies of a node run. The restored node begins its chain of \
            receipts again, and ends the jobs and workflows that were under way when the backup was made.
            """)

    @OptionGroup var global: GlobalOptions

    @Argument(help: "The backup.", completion: .file())
    var file: String

    func run(copying copier: HomeCopying) async throws {
        try await global.report { console in
            umask(0o077)
            let home = global.nodeHome
            let line = TransferLine(console, quiet: global.json)
            defer { line.clear() }
            let note = try copier.restore(home, file) { line.show($0) }
            line.clear()
            if global.json {
                try console.json(note)
            } else {
                console.out(Terminal.safe("Restored \(note.did) into \(home.path).") + "\n")
                console.note("The original must not run any more. Start this one with mesh up\(home.option).")
            }
            return .success
        }
    }
}
