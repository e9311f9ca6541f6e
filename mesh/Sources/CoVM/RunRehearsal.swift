import GuestFiles
import MeshTypes
import Multiformats

/// What every run does around its guest, done once in the process of the module, so that the copies of that process
/// find the runtime's tables of types filled: each copy would fill them anew.
///
/// No code of the module runs here. Measured: without it a small run took 3 ms more, most of it in looking up which
/// types are `Codable`.
struct RunRehearsal {
    let engine: WasmEngine

    private static let cid = CID.hashing([], codec: .raw)

    func play() {
        let order = Self.order
        guard let order = Self.passed(order), let job = order.job else { return }
        let host = RehearsalHost()
        let limits = order.limits
        let standstills = StandstillWatch(
            tickMilliseconds: limits.watchTickMilliseconds, standstillMilliseconds: limits.standstillMilliseconds)
        let run = JobRun(
            job: job, host: host, cancellation: ExecutionCancellation(),
            functionCount: engine.functions.functions.count,
            watch: WallClockWatch(
                job: job, now: SystemClock.nanoseconds(), standstills: standstills,
                processorPercentMin: limits.processorPercentMin),
            waiter: host, limits: limits)
        try? run.mount()
        try? run.append(Array("a line\n".utf8), to: .standardOutput)
        _ = run.reasonToStop
        var result = ExecutionResult(outcome: .exited(code: 0), engine: engine.description)
        result.usage.hostCalls = CanonicalMap([("wasi_snapshot_preview1.fd_write", 1)])
        result.outputs = [("out", Self.cid)]
        result.standardOutputCID = Self.cid
        if let files = run.files { result.read = files.record }
        for request in Self.requests(RunReport(result)) { _ = Self.passed(request) }
        for reply in Self.replies { _ = Self.passed(reply) }
    }

    /// What comes out at the other end of a socket.
    private static func passed<Message: Codable>(_ message: Message) -> Message? {
        guard let bytes = try? RunLink.body(message) else { return nil }
        return try? RunLink.message(Message.self, from: bytes, bytesMax: RunLink.messageBytesMax)
    }

    private static var order: RunOrder {
        var job = ExecutionJob(moduleCID: cid, module: [], arguments: ["one"])
        job.environment = [("A", "b")]
        job.inputs = [("in", cid)]
        job.files = FileSystemPlan(
            mounts: [.init(path: Array("/job".utf8), content: .empty, isWritable: true)],
            preopens: FileSystemPlan.standardPreopens(of: [Array("/job".utf8)], workingFolder: Array("/job".utf8)))
        if let selection = try? FileSelection(Array("/job/*".utf8), workingFolder: nil) {
            job.collect = [("out", selection)]
        }
        var call = EntryCall(name: "add", callsInitializer: true)
        (call.numbers, call.results) = ([WasmNumber(Int32(1))], [.i32])
        return RunOrder(job, call, CoVMConfiguration.Limits())
    }

    private static func requests(_ report: RunReport) -> [RunRequest] {
        [
            .input(cid), .store([1]), .keep(cid, [1]), .blocks([cid], ahead: [cid]),
            .reads(cid, from: 0, to: 1), .fetch([.node(cid), .bytes(cid, 0..<1)], keeping: 1), .log(1, "line"),
            .progress(1), .burnt(1), .hear(within: 1, keeping: 1), .tell([1], isError: true, keeping: 1),
            .ended(report),
        ]
    }

    private static var replies: [RunReply] {
        [
            .none, .cid(cid), .bytes([1]), .blocks([HandedBlock(cid: cid, bytes: [1])]),
            .waited(MountWait(end: .here, nanoseconds: 1)), .cancelled,
            .session(SessionWait(end: .here, bytes: [1], waitedNanoseconds: 1, nanoseconds: 1)),
            .held(false),
        ]
    }
}

/// A host that has nothing and keeps nothing.
private struct RehearsalHost: ExecutionHost, MountWaiter {
    func readInput(_ cid: CID) -> [UInt8]? { nil }
    func storeBlock(_ bytes: [UInt8]) -> CID? { nil }
    func log(_ level: ExecutionLogLevel, _ text: String) {}
    func progress(permille: Int) {}
    func burnt(fuel: UInt64) {}

    func wait(for wants: [ContentWant], keeping bytes: UInt64) -> MountWait {
        MountWait(end: .cancelled, nanoseconds: 0)
    }

    func hear(within nanoseconds: UInt64?, keeping bytes: UInt64) -> SessionWait { SessionWait(end: .cancelled) }

    func tell(_ bytes: [UInt8], to stream: StreamWrite.Stream, keeping kept: UInt64) -> SessionWait {
        SessionWait(end: .cancelled)
    }
}
