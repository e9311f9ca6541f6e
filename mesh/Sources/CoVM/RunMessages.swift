import GuestFiles
import IPLD
import MeshTypes
import Multiformats

/// What the process of a run is given: the job without its module, and the limits of this machine.
struct RunOrder: Codable {
    struct Variable: Codable {
        var name: String
        var value: String
    }

    struct Named: Codable {
        var name: String
        var cid: CID
    }

    struct Collected: Codable {
        var name: String
        var pattern: [UInt8]
    }

    var call: EntryCall
    var arguments: [String]
    var environment: [Variable]
    var files: FileSystemPlan
    var collect: [Collected]
    var inputs: [Named]
    var timeoutSeconds: UInt64
    var maxFuel: UInt64
    var maxMemoryBytes: UInt64
    var maxOutputBytes: UInt64
    var wallClockMilliseconds: UInt64?
    var repetition: ExecutionJob.Repetition?
    var jobID: String
    var originatorDID: String
    var executorDID: String
    var seed: UInt64
    var clockStartNanoseconds: UInt64
    /// Bytes that the process may write to.
    var processBytesMax: UInt64
    var nice: Int32
    var tableElementsMax: Int
    var yieldIntervalFuel: UInt64
    var processorPercentMin: UInt64
    var watchTickMilliseconds: Int
    var standstillMilliseconds: UInt64
    var repeatedFetchesMax: Int
    var collectMillisecondsMax: UInt64
    var collectMillisecondsMin: UInt64

    init(_ job: ExecutionJob, _ call: EntryCall, _ limits: CoVMConfiguration.Limits) {
        self.call = call
        arguments = job.arguments
        environment = job.environment.map { Variable(name: $0.name, value: $0.value) }
        files = job.files
        collect = job.collect.map { Collected(name: $0.name, pattern: $0.selection.pattern) }
        inputs = job.inputs.map { Named(name: $0.name, cid: $0.cid) }
        timeoutSeconds = job.limits.timeoutSeconds
        maxFuel = job.limits.maxFuel
        maxMemoryBytes = job.limits.maxMemoryBytes
        maxOutputBytes = job.limits.maxOutputBytes
        wallClockMilliseconds = job.wallClockMilliseconds
        repetition = job.repetition
        jobID = job.jobID
        originatorDID = job.originatorDID
        executorDID = job.executorDID
        seed = job.seed
        clockStartNanoseconds = job.clockStartNanoseconds
        processBytesMax = limits.processBytesMax(of: job)
        nice = limits.nice
        tableElementsMax = limits.tableElementsMax
        yieldIntervalFuel = limits.yieldIntervalFuel
        processorPercentMin = limits.processorPercentMin
        watchTickMilliseconds = limits.watchTickMilliseconds
        standstillMilliseconds = limits.standstillMilliseconds
        repeatedFetchesMax = limits.repeatedFetchesMax
        collectMillisecondsMax = limits.collectMillisecondsMax
        collectMillisecondsMin = limits.collectMillisecondsMin
    }

    /// The job as the run sees it; nil if a pattern is none.
    var job: ExecutionJob? {
        var job = ExecutionJob(
            moduleCID: CID.hashing([], codec: .raw), module: [], entry: call.name, arguments: arguments)
        job.numbers = call.numbers
        job.environment = environment.map { ($0.name, $0.value) }
        job.files = files
        for item in collect {
            guard let selection = try? FileSelection(item.pattern, workingFolder: nil) else { return nil }
            job.collect.append((item.name, selection))
        }
        job.inputs = inputs.map { ($0.name, $0.cid) }
        job.limits = ExecutionLimits(
            timeoutSeconds: timeoutSeconds, maxFuel: maxFuel, maxMemoryBytes: maxMemoryBytes,
            maxOutputBytes: maxOutputBytes)
        job.wallClockMilliseconds = wallClockMilliseconds
        job.repetition = repetition
        job.jobID = jobID
        job.originatorDID = originatorDID
        job.executorDID = executorDID
        job.seed = seed
        job.clockStartNanoseconds = clockStartNanoseconds
        return job
    }

    var limits: CoVMConfiguration.Limits {
        var limits = CoVMConfiguration.Limits()
        limits.tableElementsMax = tableElementsMax
        limits.yieldIntervalFuel = yieldIntervalFuel
        limits.processorPercentMin = processorPercentMin
        limits.watchTickMilliseconds = watchTickMilliseconds
        limits.standstillMilliseconds = standstillMilliseconds
        limits.repeatedFetchesMax = repeatedFetchesMax
        limits.collectMillisecondsMax = collectMillisecondsMax
        limits.collectMillisecondsMin = collectMillisecondsMin
        return limits
    }
}

/// What the process of a run asks its node, or tells it.
enum RunRequest: Codable {
    case input(CID)
    case store([UInt8])
    case keep(CID, [UInt8])
    /// Blocks of mounts, and others that are welcome if they are at hand.
    case blocks([CID], ahead: [CID])
    case fetch([ContentWant], keeping: UInt64)
    /// Waits for input of the session, so many nanoseconds at most.
    case hear(within: UInt64?, keeping: UInt64)
    /// Output for the session.
    case tell([UInt8], isError: Bool, keeping: UInt64)
    /// These five and the end have no reply. The first: a file is read here, from where the last such message ended if
    /// it is read from one end to the other.
    case reads(CID, from: UInt64, to: UInt64)
    case wrote([OutputPart])
    case log(Int32, String)
    case progress(Int)
    case burnt(UInt64)
    case ended(RunReport)

    /// The most bytes of a message of a kind, which is the name of its case; nil if there is no such kind.
    static func bytesMax(ofKind kind: String, outputBytesMax: UInt64) -> Int? {
        switch kind {
        case "input", "reads", "progress", "burnt", "hear": 1 << 10
        case "tell": SessionWait.bytesMax + (1 << 10)
        case "wrote": OutputTelling.Limits.bytesMax + OutputTelling.Limits.partsMax * 64 + (1 << 10)
        case "blocks": 64 << 10
        case "fetch": 256 << 10
        // Characters of a line, and what is around them.
        case "log": Int(MeshHostABI.logBytesMax) + (1 << 10)
        case "keep": UnixFSLimits().blockBytesMax + (1 << 10)
        case "store": Int(clamping: min(outputBytesMax, UInt64(UInt32.max) / 2)) + (1 << 10)
        case "ended": RunLink.messageBytesMax
        default: nil
        }
    }
}

/// What the node answers.
enum RunReply: Codable {
    case none
    case cid(CID)
    case bytes([UInt8])
    case blocks([HandedBlock])
    case waited(MountWait)
    case session(SessionWait)
    /// Not an answer: the run is to stop.
    case cancelled
    /// Not an answer: the run is to stand still, or to go on.
    case held(Bool)
}

/// How a run ended, as its process tells it.
struct RunReport: Codable {
    var outcome: ExecutionOutcome
    var outputs: [RunOrder.Named]
    var read: [ReadRecord.Entry]
    var standardOutput: CID?
    var standardError: CID?
    var log: CID?
    var anchored: [CID]
    var usage: ResourceUsage
    var interruptions: UInt64
    var interruptionsAfterCancel: UInt64

    init(_ result: ExecutionResult) {
        outcome = result.outcome
        outputs = result.outputs.map { RunOrder.Named(name: $0.name, cid: $0.cid) }
        read = result.read.entries
        standardOutput = result.standardOutputCID
        standardError = result.standardErrorCID
        log = result.logCID
        anchored = result.anchoredCIDs
        usage = result.usage
        interruptions = result.interruptions.count
        interruptionsAfterCancel = result.interruptions.afterCancel
    }

    /// The result; nil where it is none that a run of this job can have.
    func result(
        of job: ExecutionJob, _ result: ExecutionResult, within milliseconds: UInt64
    ) -> ExecutionResult? {
        guard isPossible(job, within: milliseconds), let read = ReadRecord(entries: read) else { return nil }
        var result = result
        result.outcome = outcome
        result.outputs = outputs.map { ($0.name, $0.cid) }
        result.read = read
        result.standardOutputCID = standardOutput
        result.standardErrorCID = standardError
        result.logCID = log
        result.anchoredCIDs = anchored
        result.usage = usage
        result.interruptions = ExecutionResult.Interruptions(
            count: interruptions, afterCancel: interruptionsAfterCancel)
        return result
    }
}
