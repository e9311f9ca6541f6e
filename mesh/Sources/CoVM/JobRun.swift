import CWasmtime
import Determinism
import GuestFiles
import MeshTypes
import Multiformats

/// The state of one run that its host functions share: budgets, captured output, virtual clock, seeded generator.
///
/// Like the engine's store, it belongs to the run's thread from start to end.
final class JobRun {
    let job: ExecutionJob
    let host: any ExecutionHost
    let cancellation: ExecutionCancellation
    private var watch: WallClockWatch
    private let waiter: any MountWaiter
    private let limits: CoVMConfiguration.Limits

    var stop: HostStop?
    var guestMemory: wasmtime_memory_t?
    var hostCalls: [UInt64]
    var memory: MemoryBudget
    /// Whether the run ended with an exception that nothing catches.
    var isExceptionPending = false
    var interruptions = ExecutionResult.Interruptions()

    // MARK: Captured output

    private(set) var standardOutput: [UInt8] = []
    private(set) var standardError: [UInt8] = []
    private(set) var logLines: [UInt8] = []
    private(set) var outputs: [(name: String, cid: CID)] = []
    /// What the function returned that was called with numbers.
    var results: [WasmNumber] = []
    private(set) var anchored: [CID] = []
    private(set) var bytesWritten: UInt64 = 0
    var bytesRead: UInt64 = 0
    private var progressPermille = -1
    /// What the host is told of output while the run lasts.
    private var telling = OutputTelling(now: SystemClock.nanoseconds())

    // MARK: Files

    /// The guest's files; `nil` until ``mount()``.
    var files: GuestFileSystem?
    private let content: any MountSource

    // MARK: Inputs

    private var loadedInputs: [CID: [UInt8]] = [:]
    private var loadedInputBytes = 0

    // MARK: Determinism

    private var generator: SeededGenerator
    private(set) var sleptNanoseconds: UInt64 = 0

    /// Bytes of inputs kept in memory between two reads; more are read again from the host.
    static let loadedInputBytesMax = 64 << 20

    init(
        job: ExecutionJob, host: any ExecutionHost, cancellation: ExecutionCancellation, functionCount: Int,
        watch: WallClockWatch, waiter: any MountWaiter, limits: CoVMConfiguration.Limits
    ) {
        self.job = job
        self.host = host
        self.cancellation = cancellation
        hostCalls = Array(repeating: 0, count: functionCount)
        memory = MemoryBudget(bytesMax: job.limits.maxMemoryBytes, hasMachine: limits.hasMachine)
        generator = SeededGenerator(seed: job.seed)
        self.watch = watch
        self.waiter = waiter
        self.limits = limits
        content = host.content
    }

    // MARK: Output

    /// Takes from the output budget; bytes beyond it end the run and are not kept.
    func reserveOutput(_ count: Int) throws(HostStop) {
        let (total, overflow) = bytesWritten.addingReportingOverflow(UInt64(count))
        guard !overflow, total <= job.limits.maxOutputBytes else { throw .output }
        bytesWritten = total
    }

    /// Takes what the module writes; a call pays for what it waits for its user.
    func append(_ bytes: [UInt8], to stream: StreamWrite.Stream, _ call: HostCall? = nil) throws(HostStop) {
        try reserveOutput(bytes.count)
        switch stream {
        case .standardOutput: standardOutput += bytes
        case .standardError: standardError += bytes
        }
        guard hasSession else {
            return telling.wrote(bytes, to: stream, now: SystemClock.nanoseconds(), host)
        }
        var start = 0
        while start < bytes.count {
            let end = min(bytes.count, start + SessionWait.bytesMax)
            _ = try followed(waiter.tell(Array(bytes[start..<end]), to: stream, keeping: keptBytes), call)
            start = end
        }
    }

    func log(_ level: ExecutionLogLevel, _ text: String) throws(HostStop) {
        let line = Array("\(level): \(text)\n".utf8)
        try reserveOutput(line.count)
        logLines += line
        host.log(level, text)
    }

    func progress(permille: Int) {
        guard permille > progressPermille else { return }
        progressPermille = permille
        host.progress(permille: permille)
    }

    func store(_ bytes: [UInt8]) throws(HostStop) -> CID {
        try reserveOutput(bytes.count)
        guard let cid = host.storeBlock(bytes) else {
            throw .nodeFailed("a block of \(bytes.count) bytes could not be stored")
        }
        return cid
    }

    /// Stores a block of what is collected, which was counted before, under its CID.
    func keep(_ cid: CID, _ bytes: [UInt8]) throws(HostStop) {
        guard host.storeBlock(cid, bytes) else {
            throw .nodeFailed("a block of \(bytes.count) bytes could not be stored")
        }
    }

    /// Binds a name; `false` if the name is taken, or not the module's to give, or if there are too many.
    func addOutput(_ name: String, _ cid: CID) -> Bool {
        guard outputs.count < MeshHostABI.outputsMax - job.reservedOutputs,
            !outputs.contains(where: { $0.name == name }), !job.reserves(name)
        else { return false }
        outputs.append((name, cid))
        return true
    }

    /// Binds a name that is not the module's to give.
    func addReserved(_ name: String, _ cid: CID) { outputs.append((name, cid)) }

    /// Adds to the blocks to anchor; `false` if there are too many.
    func anchor(_ cid: CID) -> Bool {
        guard anchored.count < MeshHostABI.anchorsMax else { return false }
        anchored.append(cid)
        return true
    }

    // MARK: Inputs

    func input(_ cid: CID) throws(HostStop) -> [UInt8] {
        if let bytes = loadedInputs[cid] { return bytes }
        guard let bytes = host.readInput(cid) else {
            throw .fetchFailed("input block \(cid) is not there")
        }
        if loadedInputBytes + bytes.count > Self.loadedInputBytesMax {
            loadedInputs = [:]
            loadedInputBytes = 0
        }
        if bytes.count <= Self.loadedInputBytesMax {
            loadedInputs[cid] = bytes
            loadedInputBytes += bytes.count
        }
        return bytes
    }

    // MARK: Files

    /// What a call sees of the world at the guest's time.
    func world(fuelLeft: UInt64) -> GuestWorld {
        GuestWorld(
            nowNanoseconds: calendarNanoseconds(fuelLeft: fuelLeft), source: content,
            heldBytesMax: memory.filesBytesMax)
    }

    /// Counts what the files keep to the run's memory; to be called after every call that may list folders.
    func countFiles() { memory.filesBytes = files?.heldBytes ?? 0 }

    /// What the run keeps while it waits: its memory, its files, and the names in them.
    private var keptBytes: UInt64 {
        let usage = files?.usage ?? (bytes: 0, entries: 0)
        return memory.bytes + memory.filesBytes + usage.bytes + UInt64(usage.entries) * limits.files.mountedEntryBytes
    }

    /// Builds the guest's files, and fetches what that needs.
    func mount() throws(HostStop) {
        let world = world(fuelLeft: job.limits.maxFuel)
        try repeating { () throws(HostStop) in
            do throws(FileSystemPlanFault) {
                files = try GuestFileSystem(job.files, seed: job.seed, limits: limits.files, world: world)
                countFiles()
                return nil
            } catch {
                if case .content(.needs(let wants)) = error { return wants }
                if case .content(.outOfMemory) = error { throw .memory }
                throw .filesRefused("\(error)")
            }
        }
    }

    /// Does something until it needs no more blocks, and fetches those that it names.
    func repeating(_ body: () throws(HostStop) -> [ContentWant]?) throws(HostStop) {
        var last: [ContentWant] = []
        var repetitions = 0
        while let wants = try body() {
            repetitions = wants == last ? repetitions + 1 : 0
            guard repetitions <= limits.repeatedFetchesMax else {
                throw .nodeFailed("blocks of the job's files do not stay on this node")
            }
            last = wants
            try fetch(wants)
        }
    }

    /// Waits until content of mounts is here; the wall clock stands still meanwhile.
    private func fetch(_ wants: [ContentWant]) throws(HostStop) {
        telling.passOn(now: SystemClock.nanoseconds(), host)
        let wait = waiter.wait(for: wants, keeping: keptBytes)
        watch.stoodStill(nanoseconds: wait.nanoseconds)
        guard !cancellation.isCancelled else { throw .cancelled }
        switch wait.end {
        case .here: break
        case .failed(let reason): throw .fetchFailed(reason)
        case .cancelled: throw .cancelled
        }
    }

    // MARK: The session

    /// Whether somebody talks with the job while it runs.
    var hasSession: Bool { files?.hasSession == true }
    /// Bytes of input that have come and were not read.
    var inputAtHand: Int { files.map { Int(clamping: $0.standardInputLeft) } ?? 0 }
    /// Whether no more input will come.
    private(set) var isInputOver = false
    /// What was waited and is less than a millisecond, so not paid for yet, in nanoseconds.
    private var unpaidNanoseconds: UInt64 = 0
    /// How far waiting for the user has moved the guest's clock, beside the fuel that it cost, in nanoseconds.
    private(set) var waitedNanoseconds: UInt64 = 0

    /// Waits until there is input to read, or none will come, if that is the user's to send; `false` if the time is
    /// over first.
    func awaitInput(_ call: HostCall, within nanoseconds: UInt64?) throws(HostStop) -> Bool {
        guard hasSession, inputAtHand == 0, !isInputOver else { return true }
        let wait = try followed(waiter.hear(within: nanoseconds, keeping: keptBytes), call, within: nanoseconds)
        if !wait.bytes.isEmpty { files?.giveInput(wait.bytes) }
        if case .over = wait.end { isInputOver = true }
        if case .elapsed = wait.end { return false }
        return true
    }

    /// Takes input that has come, as standard input is read.
    func takeInput(_ bytesMax: Int) -> [UInt8] {
        let bytes = files?.takeInput(bytesMax) ?? []
        bytesRead += UInt64(bytes.count)
        return bytes
    }

    /// Lets the wall clock stand still for a wait in the session, lets the call pay for it by whole milliseconds of
    /// all waits together, and ends the run where that did.
    private func followed(
        _ wait: SessionWait, _ call: HostCall?, within nanoseconds: UInt64? = nil
    ) throws(HostStop) -> SessionWait {
        watch.stoodStill(nanoseconds: wait.nanoseconds)
        var waited = wait.waitedNanoseconds
        if case .elapsed = wait.end { waited = max(waited, nanoseconds ?? 0) }
        unpaidNanoseconds += waited
        let fuel = unpaidNanoseconds / 1_000_000 * SessionTerms.Limits.fuelPerMillisecond
        unpaidNanoseconds %= 1_000_000
        waitedNanoseconds += waited - min(waited, fuel)
        if case .cancelled = wait.end {
            try? call?.charge(fuel)
        } else {
            try call?.charge(fuel)
        }
        switch wait.end {
        case .here, .over, .elapsed: return wait
        case .idle: throw .idle
        case .cancelled: throw .cancelled
        case .strayed(let reason): throw .nodeFailed(reason)
        }
    }

    /// The bounds of the files.
    var fileLimits: GuestFileSystem.Limits { limits.files }

    /// The module has ended, and collecting its files begins: ``reasonToStop`` bounds that, too.
    func collectingBegins() {
        watch.collectingBegins(
            now: SystemClock.nanoseconds(), millisecondsMin: limits.collectMillisecondsMin,
            millisecondsMax: limits.collectMillisecondsMax)
    }

    /// How long the wall clock stood still.
    var stillNanoseconds: UInt64 { watch.stillNanoseconds }

    // MARK: Clock and chance

    /// The guest's calendar.
    func calendarNanoseconds(fuelLeft: UInt64) -> UInt64 {
        let (sum, overflow) = job.clockStartNanoseconds.addingReportingOverflow(virtualNanoseconds(fuelLeft: fuelLeft))
        return overflow ? .max : sum
    }

    /// Nanoseconds since the start of the run on the guest's clock: one for each unit of fuel, and what it slept or
    /// waited.
    func virtualNanoseconds(fuelLeft: UInt64) -> UInt64 {
        let used = job.limits.maxFuel >= fuelLeft ? job.limits.maxFuel - fuelLeft : 0
        let (still, long) = sleptNanoseconds.addingReportingOverflow(waitedNanoseconds)
        let (sum, overflow) = used.addingReportingOverflow(still)
        return long || overflow ? .max : sum
    }

    /// Moves the guest's clock, without waiting; stops a guest that sleeps past its wall clock.
    func sleep(nanoseconds: UInt64) throws(HostStop) {
        let (total, overflow) = sleptNanoseconds.addingReportingOverflow(nanoseconds)
        sleptNanoseconds = overflow ? .max : total
        if sleptNanoseconds / 1_000_000 >= job.timeoutMilliseconds { throw .wallClock }
    }

    // SAFETY: the buffer is a checked range of the guest's memory, indexed below its count.
    func fillRandom(_ buffer: UnsafeMutableRawBufferPointer) {
        var index = 0
        while index < buffer.count {
            var word = generator.next()
            for _ in 0..<min(8, buffer.count - index) {
                buffer[index] = UInt8(truncatingIfNeeded: word)
                word >>= 8
                index += 1
            }
        }
    }

    /// The reason to stop at a yield, if there is one.
    func interruption() -> HostStop? {
        interruptions.count += 1
        if cancellation.isCancelled { interruptions.afterCancel += 1 }
        telling.passOnIfDue(now: SystemClock.nanoseconds(), host)
        return reasonToStop
    }

    /// Tells the host what the yields so far have cost: the guest has used that much, and more by what it used up to
    /// host calls, after which the engine counts anew.
    func tellFuel(ofYields interval: UInt64) {
        let (fuel, overflow) = interval.multipliedReportingOverflow(by: UInt64(clamping: interruptions.count))
        if !overflow { host.burnt(fuel: fuel) }
    }

    /// The reason to stop, if there is one. Every host call checks it, too: each charges fuel, which makes the engine
    /// count to the next yield anew, so a guest that does little else never yields.
    var reasonToStop: HostStop? {
        // Where its owner lets it stand still, its clock does, too.
        let held = cancellation.waitWhileHeld()
        if held > 0 { watch.stoodStill(nanoseconds: held) }
        if memory.isMachineShort { return .nodeFailed(MemoryBudget.shortage) }
        return cancellation.isCancelled ? .cancelled : watch.stop(now: SystemClock.nanoseconds())
    }
}
