import Foundation
import Synchronization
import Testing

/// A node in a process of its own, and the command line that talks to it: the real binary, nothing in between.
final class NodeProcess: Sendable {
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

    /// What is tested: the binary that `MESH` names, or else the one that was built with the tests.
    static let mesh: URL = {
        if let path = ProcessInfo.processInfo.environment["MESH"] { return URL(fileURLWithPath: path) }
        return built.appendingPathComponent("mesh")
    }()

    /// The folder of what was built with the tests.
    static let built: URL = {
        let own = (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")) ?? ""
        return URL(fileURLWithPath: own).deletingLastPathComponent()
    }()

    private struct State {
        var namespace: String?
        var process: Process?
    }

    let home: URL
    private let state = Mutex(State())

    /// The network namespace that the node is started in; nil for that of the tests.
    var namespace: String? {
        get { state.withLock { $0.namespace } }
        set { state.withLock { $0.namespace = newValue } }
    }

    private var process: Process? {
        get { state.withLock { $0.process } }
        set { state.withLock { $0.process = newValue } }
    }

    /// Makes the node `name` in `folder`.
    init(_ name: String, in folder: URL, _ options: [String], listen: String = "/ip4/127.0.0.1/tcp/0") throws {
        home = folder.appendingPathComponent(name)
        let made = try Self.command(["init", "--home", home.path, "--listen", listen] + options)
        try #require(made.status == 0, "mesh init: \(made.errors)")
    }

    /// The node of a home that is there already.
    init(home: URL) {
        self.home = home
    }

    deinit {
        process?.terminate()
    }

    /// Lets what is started from now on hear SIGHUP, also where the tests themselves were started to ignore it (nohup).
    static func hearHangUps() { Foundation.signal(SIGHUP, SIG_DFL) }

    /// Starts the node; with `crashAfter` or `crashBefore` it kills itself on that side of that event of its journal.
    ///
    /// - Parameters:
    ///   - options: further ones of `mesh up`.
    ///   - shell: what a shell does before it becomes the node, such as setting limits.
    ///   - output: its standard output, in place of a file.
    ///   - errors: its standard error, in place of a file.
    ///   - added: variables of its environment.
    func start(
        crashAfter: String? = nil, crashBefore: String? = nil, options: [String] = [], shell: String? = nil,
        output: FileHandle? = nil, errors: FileHandle? = nil, environment added: [String: String] = [:]
    ) throws {
        let process = Process()
        let arguments = ["up", "--home", home.path] + options
        process.executableURL = shell == nil ? Self.mesh : URL(fileURLWithPath: "/bin/sh")
        process.arguments = shell.map { ["-c", $0 + "; exec \"$0\" \"$@\"", Self.mesh.path] + arguments } ?? arguments
        if let namespace {
            process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
            process.arguments = ["ip", "netns", "exec", namespace, Self.mesh.path] + arguments
        }
        var environment = ProcessInfo.processInfo.environment.merging(added) { _, new in new }
        environment["MESH_CRASH_AFTER"] = crashAfter
        environment["MESH_CRASH_BEFORE"] = crashBefore
        process.environment = environment
        let log = home.appendingPathComponent("test.log")
        if !FileManager.default.fileExists(atPath: log.path) {
            _ = FileManager.default.createFile(atPath: log.path, contents: nil)
        }
        let handle = try FileHandle(forWritingTo: log)
        try handle.seekToEnd()
        process.standardOutput = output ?? handle
        process.standardError = errors ?? handle
        process.standardInput = FileHandle.nullDevice
        try process.run()
        self.process = process
    }

    /// The number of its process.
    var processID: Int32? { process?.processIdentifier }

    /// What it has logged so far.
    var log: String {
        (try? String(contentsOf: home.appendingPathComponent("test.log"), encoding: .utf8)) ?? ""
    }

    /// Asks it to stop and waits for its end; the exit code, where no signal ended it.
    func stop() -> Int32? {
        guard let process else { return nil }
        process.terminate()
        process.waitUntilExit()
        self.process = nil
        return process.terminationReason == .exit ? process.terminationStatus : nil
    }

    /// Asks until the node answers; says so at once, with the end of its log, when it has ended instead.
    func waitUntilUp() throws {
        try eventually("\(home.lastPathComponent) answers") {
            if try run(["status"]).status == 0 { return true }
            guard process?.isRunning == true else { throw EndedEarly(name: home.lastPathComponent, log: log) }
            return false
        }
    }

    /// Kills the node as a power cut would.
    func kill() {
        guard let process else { return }
        Foundation.kill(process.processIdentifier, SIGKILL)
        process.waitUntilExit()
        self.process = nil
    }

    /// Sends the node a signal.
    func signal(_ number: Int32) {
        if let process { Foundation.kill(process.processIdentifier, number) }
    }

    /// Sets a key of its config.json, for the next start.
    func configure(_ key: String, _ value: Any) throws {
        let file = home.appendingPathComponent("config.json")
        var settings = try #require(
            try JSONSerialization.jsonObject(with: Data(contentsOf: file)) as? [String: Any])
        settings[key] = value
        try JSONSerialization.data(withJSONObject: settings).write(to: file)
    }

    /// Sets a key of a group of its config.json, for the next start.
    func configure(_ group: String, _ key: String, _ value: Any) throws {
        let file = home.appendingPathComponent("config.json")
        let settings = try #require(
            try JSONSerialization.jsonObject(with: Data(contentsOf: file)) as? [String: Any])
        var values = try #require(settings[group] as? [String: Any])
        values[key] = value
        try configure(group, values)
    }

    /// Waits until the node has ended; returns its exit code, or minus the signal that ended it.
    func waitForEnd() -> Int32 {
        guard let process else { return 0 }
        process.waitUntilExit()
        self.process = nil
        return process.terminationReason == .uncaughtSignal ? -process.terminationStatus : process.terminationStatus
    }

    /// Whether its process has not ended.
    var isRunning: Bool { process?.isRunning ?? false }

    /// Waits until the node has ended by itself, for two minutes unless told otherwise; whether a SIGKILL ended it.
    func waitForCrash(seconds: Double = 120) -> Bool {
        guard let process else { return false }
        let deadline = Date().addingTimeInterval(seconds)
        while process.isRunning, Date() < deadline { poll(nil, 0, 20) }
        if process.isRunning { return false }
        process.waitUntilExit()
        self.process = nil
        guard process.terminationReason == .uncaughtSignal, process.terminationStatus == SIGKILL else { return false }
        if let place = CrashPlace.all(in: log).last { CrashPlaces.saw(place) }
        return true
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

    /// Runs a command to its end, with a file as its standard input and variables added to the environment.
    static func command(
        _ arguments: [String], input: URL? = nil, environment: [String: String] = [:]
    ) throws -> Finished {
        let command = try RunningCommand(arguments, input: input, environment: environment)
        return try command.finish()
    }
}

/// A command that may still run.
final class RunningCommand {
    private let process = Process()
    private let folder: URL
    private let output: URL
    private let errors: URL

    /// Starts `mesh`, or another program, with nothing or a file on standard input.
    init(
        _ arguments: [String], program: URL = NodeProcess.mesh, input: URL? = nil, environment: [String: String] = [:]
    ) throws {
        folder = FileManager.default.temporaryDirectory.appendingPathComponent("mc-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        output = folder.appendingPathComponent("out")
        errors = folder.appendingPathComponent("err")
        for file in [output, errors] { _ = FileManager.default.createFile(atPath: file.path, contents: nil) }
        process.executableURL = program
        process.arguments = arguments
        process.environment = ProcessInfo.processInfo.environment.merging(environment) { _, new in new }
        process.standardInput = try input.map { try FileHandle(forReadingFrom: $0) } ?? FileHandle.nullDevice
        process.standardOutput = try FileHandle(forWritingTo: output)
        process.standardError = try FileHandle(forWritingTo: errors)
        try process.run()
    }

    deinit {
        if process.isRunning { Foundation.kill(process.processIdentifier, SIGKILL) }
        try? FileManager.default.removeItem(at: folder)
    }

    /// Sends it a signal.
    func signal(_ number: Int32) {
        Foundation.kill(process.processIdentifier, number)
    }

    /// What it has written to standard output so far.
    var outputSoFar: String { (try? String(contentsOf: output, encoding: .utf8)) ?? "" }

    /// What it has written to standard error so far.
    var errorsSoFar: String { (try? String(contentsOf: errors, encoding: .utf8)) ?? "" }

    /// Waits for its end.
    func finish() throws -> NodeProcess.Finished {
        process.waitUntilExit()
        return NodeProcess.Finished(
            status: process.terminationStatus, output: String(decoding: try Data(contentsOf: output), as: UTF8.self),
            errors: errorsSoFar)
    }
}

/// Asks again and again until it is so. Each question is a whole process, so the next waits a little: else those who
/// wait would take the processor from those for whom they wait.
func eventually(_ what: String, seconds: Double = 60, _ condition: () throws -> Bool) throws {
    let deadline = Date().addingTimeInterval(seconds)
    var pause: Int32 = 10
    while Date() < deadline {
        if try condition() { return }
        poll(nil, 0, pause)
        pause = min(2 * pause, 160)
    }
    throw NotInTime(what: what, seconds: seconds)
}

/// Something that a test waited for did not happen.
struct NotInTime: Error, CustomStringConvertible {
    let what: String
    let seconds: Double
    var description: String { "\(what): not within \(seconds) seconds" }
}

/// A node ended where a test waited for it.
struct EndedEarly: Error, CustomStringConvertible {
    let name: String
    let log: String
    var description: String { "\(name) has ended; its log ends with: \(log.suffix(2000))" }
}

/// A small mesh of processes in a folder of its own, ended and removed with the value.
final class CrashMesh: Sendable {
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

/// One mesh of processes for all tests of a suite: it is up before the first of them and ends after the last.
struct SharedMesh: SuiteTrait, TestScoping {
    @TaskLocal private static var current: CrashMesh?

    /// The mesh of the suite whose test this is; its nodes are up and connected.
    static func mesh() throws -> CrashMesh { try #require(current) }

    func provideScope(
        for test: Test, testCase: Test.Case?, performing function: @Sendable () async throws -> Void
    ) async throws {
        let mesh = try CrashMesh()
        try mesh.originator.start()
        try mesh.waitUntilConnected()
        try await Self.$current.withValue(mesh) { try await function() }
    }
}

extension Trait where Self == SharedMesh {
    /// One mesh for all tests of the suite.
    static var sharedMesh: Self { Self() }
}
