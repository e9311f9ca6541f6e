import MeshTypes
import Multiformats
import Synchronization

@testable import CoVM

#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

/// A directory of one test, gone afterwards.
final class Scratch: Sendable {
    let path: String

    init() throws {
        var template = Array("/tmp/covm-tests-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { throw ScratchError() }
        path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    struct ScratchError: Error {}

    deinit {
        remove(path)
    }

    private func remove(_ path: String) {
        for file in files(in: path) { unlink(file) }
        rmdir(path)
    }

    func files(in directory: String? = nil) -> [String] {
        PrivateFile.list(directory ?? path, suffix: "").map(\.path)
    }
}

/// A host that keeps blocks in memory and remembers what it was told.
final class MemoryHost: ExecutionHost {
    private struct State {
        var blocks: [CID: [UInt8]] = [:]
        var log: [String] = []
        var progress: [Int] = []
        var fuel: UInt64 = 0
    }

    private let state = Mutex(State())
    private let storedBlocksMax: Int
    private let onLog: (@Sendable () -> Void)?

    init(storedBlocksMax: Int = .max, onLog: (@Sendable () -> Void)? = nil) {
        self.storedBlocksMax = storedBlocksMax
        self.onLog = onLog
    }

    func put(_ bytes: [UInt8]) -> CID {
        let cid = CID.hashing(bytes, codec: .raw)
        state.withLock { $0.blocks[cid] = bytes }
        return cid
    }

    func readInput(_ cid: CID) -> [UInt8]? {
        state.withLock { $0.blocks[cid] }
    }

    func storeBlock(_ bytes: [UInt8]) -> CID? {
        state.withLock { $0.blocks.count } < storedBlocksMax ? put(bytes) : nil
    }

    func storeBlock(_ cid: CID, _ bytes: [UInt8]) -> Bool {
        guard blockCount < storedBlocksMax else { return false }
        state.withLock { $0.blocks[cid] = bytes }
        return true
    }

    func log(_ level: ExecutionLogLevel, _ text: String) {
        state.withLock { $0.log.append("\(level): \(text)") }
        onLog?()
    }

    func burnt(fuel: UInt64) {
        state.withLock { $0.fuel = fuel }
    }

    func progress(permille: Int) {
        state.withLock { $0.progress.append(permille) }
    }

    var logLines: [String] { state.withLock { $0.log } }
    var progressSteps: [Int] { state.withLock { $0.progress } }
    var fuelTold: UInt64 { state.withLock { $0.fuel } }
    var blockCount: Int { state.withLock { $0.blocks.count } }

    func text(_ cid: CID?) -> String? {
        guard let cid, let bytes = readInput(cid) else { return nil }
        return String(decoding: bytes, as: UTF8.self)
    }
}

/// A CoVM with a cache directory of its own.
struct Machine: Sendable {
    let scratch: Scratch
    let covm: CoVM
    let host: MemoryHost

    /// Whether all suites run their modules as nodes do, in processes of their own: `MESH_RUN_PROCESSES=1`.
    static let runsInProcesses = getenv("MESH_RUN_PROCESSES") != nil

    /// The `mesh` beside the tests, in the part that runs modules.
    static var worker: WorkerCommand {
        WorkerCommand(
            executable: ModuleCompiler.standardWorker().executable, arguments: [RunWorker.command])
    }

    init(host: MemoryHost = MemoryHost(), configure: (inout CoVMConfiguration) -> Void = { _ in }) throws {
        scratch = try Scratch()
        self.host = host
        var configuration = CoVMConfiguration(cacheDirectory: scratch.path)
        // However busy the machine is: what a test does not ask for must not happen.
        configuration.compileLimits.wallMilliseconds = 600_000
        if Self.runsInProcesses { configuration.runWorker = Self.worker }
        configure(&configuration)
        covm = try CoVM(configuration: configuration)
    }

    func run(
        _ text: String, cancellation: ExecutionCancellation = ExecutionCancellation(),
        configure: (inout ExecutionJob) -> Void = { _ in }
    ) async throws -> ExecutionResult {
        await run(try Guests.assemble(text), cancellation: cancellation, configure: configure)
    }

    func run(
        _ module: [UInt8], cancellation: ExecutionCancellation = ExecutionCancellation(),
        configure: (inout ExecutionJob) -> Void = { _ in }
    ) async -> ExecutionResult {
        var job = ExecutionJob(moduleCID: CID.hashing(module, codec: .raw), module: module)
        job.limits = ExecutionLimits(
            timeoutSeconds: 60, maxFuel: 100_000_000, maxMemoryBytes: 64 << 20, maxOutputBytes: 1 << 20)
        configure(&job)
        return await covm.execute(job, host: host, cancellation: cancellation)
    }
}

/// Files of the repository.
enum PublicFile {
    static func read(_ path: String) -> [UInt8]? {
        let descriptor = open(path, O_RDONLY)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 65_536)
        while true {
            let count = chunk.count
            let got = chunk.withUnsafeMutableBytes { systemRead(descriptor, $0.baseAddress, count) }
            guard got > 0 else { return got == 0 ? bytes : nil }
            bytes += chunk[..<got]
        }
    }

    #if canImport(Glibc)
        private static let systemRead = Glibc.read
    #else
        private static let systemRead = Darwin.read
    #endif
}

extension Machine {
    /// A machine that never takes a busy computer for its own fault: what a wall clock ends is the module's doing.
    static func patient(
        host: MemoryHost = MemoryHost(), configure: (inout CoVMConfiguration) -> Void = { _ in }
    ) throws -> Machine {
        try Machine(host: host) { configuration in
            configuration.limits.processorPercentMin = 0
            configuration.limits.standstillMilliseconds = 3_600_000
            configure(&configuration)
        }
    }
}
