import Foundation
import Testing

/// A node in a process of its own, and the command line that talks to it: the real binary, nothing in between.
final class NodeProcess {
    /// What a finished command left.
    struct Finished {
        let status: Int32
        let output: String
        let errors: String

        /// Standard output as JSON.
        func json() throws -> Any {
            try JSONSerialization.jsonObject(with: Data(output.utf8), options: .fragmentsAllowed)
        }
    }

    /// The binary that the tests were built with.
    static let mesh: URL = {
        let own = (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")) ?? ""
        return URL(fileURLWithPath: own).deletingLastPathComponent().appendingPathComponent("mesh")
    }()

    let home: URL
    private var process: Process?

    /// Makes the node `name` in `folder`.
    init(_ name: String, in folder: URL, _ options: [String]) throws {
        home = folder.appendingPathComponent(name)
        let made = try Self.command(["init", "--home", home.path, "--listen", "/ip4/127.0.0.1/tcp/0"] + options)
        try #require(made.status == 0, "mesh init: \(made.errors)")
    }

    deinit {
        process?.terminate()
    }

    /// Starts the node; with `crashAfter` it kills itself after that event of its journal.
    func start(crashAfter: String? = nil) throws {
        let process = Process()
        process.executableURL = Self.mesh
        process.arguments = ["up", "--home", home.path]
        var environment = ProcessInfo.processInfo.environment
        environment["MESH_CRASH_AFTER"] = crashAfter
        process.environment = environment
        let log = home.appendingPathComponent("test.log")
        if !FileManager.default.fileExists(atPath: log.path) {
            _ = FileManager.default.createFile(atPath: log.path, contents: nil)
        }
        let handle = try FileHandle(forWritingTo: log)
        try handle.seekToEnd()
        process.standardOutput = handle
        process.standardError = handle
        process.standardInput = FileHandle.nullDevice
        try process.run()
        self.process = process
    }

    /// Asks until the node answers.
    func waitUntilUp() throws {
        try eventually("\(home.lastPathComponent) answers") { try run(["status"]).status == 0 }
    }

    /// Kills the node as a power cut would.
    func kill() {
        guard let process else { return }
        Foundation.kill(process.processIdentifier, SIGKILL)
        process.waitUntilExit()
        self.process = nil
    }

    /// Waits until the node has ended by itself; returns whether a SIGKILL ended it.
    func waitForCrash() -> Bool {
        guard let process else { return false }
        process.waitUntilExit()
        self.process = nil
        return process.terminationReason == .uncaughtSignal && process.terminationStatus == SIGKILL
    }

    /// Runs a command for this node.
    func run(_ arguments: [String]) throws -> Finished {
        try Self.command(arguments + ["--home", home.path])
    }

    /// The first address of the node, with its peer ID.
    func address() throws -> String {
        let status = try #require(try run(["status", "--json"]).json() as? [String: Any])
        return try #require((status["addresses"] as? [String])?.first)
    }

    /// A job of this node as `mesh jobs` shows it.
    func job(_ id: String) throws -> [String: Any]? {
        let finished = try run(["jobs", "--json"])
        guard finished.status == 0, let jobs = try finished.json() as? [[String: Any]] else { return nil }
        return jobs.first { $0["job_id"] as? String == id }
    }

    /// How often the wallet's movements name a kind, and their sum.
    func movements(_ kind: String, jobID: String? = nil) throws -> [UInt64] {
        let wallet = try #require(try run(["wallet", "--json", "--entries", "1000"]).json() as? [String: Any])
        let entries = try #require(wallet["entries"] as? [[String: Any]])
        return entries.filter { entry in
            entry["kind"] as? String == kind && (jobID == nil || entry["job_id"] as? String == jobID)
        }.compactMap { ($0["amount"] as? NSNumber)?.uint64Value }
    }

    private static func command(_ arguments: [String]) throws -> Finished {
        let process = Process()
        let output = Pipe()
        let errors = FileManager.default.temporaryDirectory.appendingPathComponent("mesh-\(UUID().uuidString)")
        _ = FileManager.default.createFile(atPath: errors.path, contents: nil)
        defer { try? FileManager.default.removeItem(at: errors) }
        process.executableURL = mesh
        process.arguments = arguments
        process.standardInput = FileHandle.nullDevice
        process.standardOutput = output
        process.standardError = try FileHandle(forWritingTo: errors)
        try process.run()
        let bytes = output.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        return Finished(
            status: process.terminationStatus, output: String(decoding: bytes, as: UTF8.self),
            errors: (try? String(contentsOf: errors, encoding: .utf8)) ?? "")
    }
}

/// Asks again and again until it is so; each question is a whole process, so nothing spins.
func eventually(_ what: String, seconds: Double = 60, _ condition: () throws -> Bool) throws {
    let deadline = Date().addingTimeInterval(seconds)
    while Date() < deadline {
        if try condition() { return }
    }
    throw NotInTime(what: what, seconds: seconds)
}

/// Something that a test waited for did not happen.
struct NotInTime: Error, CustomStringConvertible {
    let what: String
    let seconds: Double
    var description: String { "\(what): not within \(seconds) seconds" }
}

/// A small mesh of processes in a folder of its own, ended and removed with the value.
final class CrashMesh {
    let folder: URL
    let originator: NodeProcess
    let executors: [NodeProcess]

    /// One originator and two executors, of which the first is cheaper; the originator is not started.
    init() throws {
        // A socket's path has about a hundred characters, so the folder's has to be short.
        folder = URL(fileURLWithPath: "/tmp/mc-\(UUID().uuidString.prefix(8))")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        let cheap = try NodeProcess("cheap", in: folder, ["--executor", "--price-base", "10"])
        try cheap.start()
        try cheap.waitUntilUp()
        let entrance = try cheap.address()
        let dear = try NodeProcess("dear", in: folder, ["--executor", "--price-base", "20", "--bootstrap", entrance])
        try dear.start()
        try dear.waitUntilUp()
        executors = [cheap, dear]
        originator = try NodeProcess("originator", in: folder, ["--no-executor", "--bootstrap", entrance])
    }

    deinit {
        for node in executors + [originator] { node.kill() }
        try? FileManager.default.removeItem(at: folder)
    }

    /// Waits until the originator sees both executors, so that both can bid.
    func waitUntilConnected() throws {
        try originator.waitUntilUp()
        try eventually("the originator has two peers") {
            guard let status = try originator.run(["status", "--json"]).json() as? [String: Any] else { return false }
            return (status["connected_peers"] as? NSNumber)?.intValue ?? 0 >= 2
        }
    }

    /// Writes a module into the folder.
    func module(_ name: String, _ bytes: [UInt8]) throws -> String {
        let file = folder.appendingPathComponent(name)
        try Data(bytes).write(to: file)
        return file.path
    }
}
