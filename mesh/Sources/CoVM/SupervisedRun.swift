import GuestFiles
import MeshTypes
import Multiformats

#if canImport(Darwin)
    import Darwin
#elseif canImport(Musl)
    import Musl
#else
    import Glibc
#endif

/// Attends to a run in a process of its own, on the run's thread in the node: gives it its order, answers what it asks,
/// and ends it where it does not end by itself.
///
/// The process is believed no more than a guest: each message is bounded, blocks are hashed here, and a time by which
/// every run has ended holds whatever it does. A process that breaks this ruins its own run alone.
struct SupervisedRun {
    let job: ExecutionJob
    let order: RunOrder
    let host: any ExecutionHost
    let waiter: any MountWaiter
    let cancellation: ExecutionCancellation
    let limits: CoVMConfiguration.Limits

    private enum End {
        case told(RunReport)
        case gone
        case overdue
        case malformed
        /// It asked for blocks that are not for it.
        case astray(RunBlocks.Fault)
    }

    /// The time of the system's clock by which the run must have ended, and whether it was told to stop.
    private struct Clock {
        var deadline: UInt64
        var isCancelled = false
        /// When the run was last let stand still, if it is.
        var heldSince: UInt64?
        /// Bytes of output that were taken.
        var takenBytes: UInt64 = 0
    }

    func run(in process: ModuleProcess, _ begun: ExecutionResult) -> ExecutionResult {
        var result = begun
        guard let wake = WorkerProcess.Wake() else {
            result.outcome = .nodeFailed(reason: "no pipe for the run: \(PrivateFile.reason())")
            return result
        }
        let start = SystemClock.nanoseconds()
        let run: ModuleProcess.Run
        do {
            run = try process.start()
        } catch {
            result.outcome = .nodeFailed(reason: error.message)
            return result
        }
        let handler = cancellation.onCancel { wake.wake() }
        let holdHandler = cancellation.onHold { _ in wake.wake() }
        defer {
            cancellation.removeHandler(handler)
            cancellation.removeHoldHandler(holdHandler)
        }
        switch attend(run.link, wake) {
        case .told(let report):
            process.end(run)
            let elapsed = (SystemClock.nanoseconds() - start) / 1_000_000
            if let told = report.result(of: job, result, within: elapsed) { return told }
            result.outcome = Self.crashed("the process of the run told an end that no run has")
        case .gone:
            let lost = process.judge(run)
            result.outcome = cancellation.isCancelled ? .cancelled : lost.outcome
        case .overdue:
            _ = process.judge(run)
            result.outcome =
                cancellation.isCancelled
                ? .cancelled : .nodeFailed(reason: "the process of the run did not stop when its time was over")
        case .malformed:
            _ = process.judge(run)
            result.outcome = Self.crashed("the process of the run sent what is no message")
        case .astray(let fault):
            _ = process.judge(run)
            // No module that stays within the engine asks for what is not its job's.
            result.outcome = Self.crashed(fault.description)
        }
        return result
    }

    private static func crashed(_ how: String) -> ExecutionOutcome { .nodeFailed(reason: CrashedRun.reason(how)) }

    private func attend(_ link: RunLink, _ wake: WorkerProcess.Wake) -> End {
        var clock = Clock(deadline: SystemClock.nanoseconds() + longestNanoseconds)
        var blocks = RunBlocks(of: job.files, from: host.content)
        do {
            try link.send(order, by: clock.deadline)
            while true {
                try waitForNews(link, wake, &clock)
                let request = try link.receive(RunRequest.self, by: transferDeadline(clock)) {
                    RunRequest.bytesMax(ofKind: $0, outputBytesMax: job.limits.maxOutputBytes)
                }
                if case .ended(let report) = request { return .told(report) }
                try take(request, &clock)
                guard let reply = try answer(request, &clock, &blocks) else { continue }
                try link.send(reply, by: transferDeadline(clock))
            }
        } catch RunLink.Failure.gone {
            return .gone
        } catch RunLink.Failure.overdue {
            return .overdue
        } catch let fault as RunBlocks.Fault {
            return .astray(fault)
        } catch {
            return .malformed
        }
    }

    /// The run's own wall clock, what collecting may take besides, and time to stop.
    private var longestNanoseconds: UInt64 {
        let run = job.wallClockMillisecondsMax.addingReportingOverflow(
            limits.collectMillisecondsMax + limits.stopMilliseconds)
        let (nanoseconds, overflow) = run.partialValue.multipliedReportingOverflow(by: 1_000_000)
        return run.overflow || overflow || nanoseconds > UInt64(Int64.max) / 2 ? UInt64(Int64.max) / 2 : nanoseconds
    }

    /// Waits for a request; passes a cancellation on when it comes.
    private func waitForNews(
        _ link: RunLink, _ wake: WorkerProcess.Wake, _ clock: inout Clock
    ) throws(RunLink.Failure) {
        while true {
            let now = SystemClock.nanoseconds()
            guard clock.heldSince != nil || now < clock.deadline else { throw .overdue }
            var polled = [link.socket, wake.reading].map { pollfd(fd: $0, events: Int16(POLLIN), revents: 0) }
            let pause = clock.heldSince == nil ? Int32(clamping: (clock.deadline - now) / 1_000_000 + 1) : -1
            guard poll(&polled, nfds_t(polled.count), pause) > 0 else { continue }
            if polled[1].revents != 0 {
                wake.rest()
                try passOn(link, &clock)
            }
            if polled[0].revents != 0 { return }
        }
    }

    /// Counts output. Log lines, and what is written to streams, are told as they come and stored at the end, so twice
    /// what the job may write is the most that an honest run has, with the nodes of files above it.
    private func take(_ request: RunRequest, _ clock: inout Clock) throws(RunLink.Failure) {
        let count =
            switch request {
            case .store(let bytes), .keep(_, let bytes), .tell(let bytes, _, _): bytes.count
            case .wrote(let parts): parts.reduce(0) { $0 + $1.bytes.count }
            // With its end, as it is stored.
            case .log(_, let text): text.utf8.count + 1
            default: 0
            }
        clock.takenBytes += UInt64(count)
        let (twice, overflow) = job.limits.maxOutputBytes.multipliedReportingOverflow(by: 2)
        guard overflow || clock.takenBytes <= twice + (1 << 20) else { throw .malformed }
        if case .log(_, let text) = request, text.utf8.count > Int(MeshHostABI.logBytesMax) { throw .malformed }
    }

    /// When a message must be through. A run that stands still may have sent one before; its deadline waits.
    private func transferDeadline(_ clock: Clock) -> UInt64 {
        guard clock.heldSince != nil else { return clock.deadline }
        return SystemClock.nanoseconds() + limits.stopMilliseconds * 1_000_000
    }

    /// Tells the run what its switch says now.
    private func passOn(_ link: RunLink, _ clock: inout Clock) throws(RunLink.Failure) {
        let now = SystemClock.nanoseconds()
        let isHeld = cancellation.isHeld
        if isHeld != (clock.heldSince != nil) {
            if let since = clock.heldSince { clock.deadline += now - since }
            clock.heldSince = isHeld ? now : nil
            try link.send(RunReply.held(isHeld), by: now + limits.stopMilliseconds * 1_000_000)
        }
        guard cancellation.isCancelled, !clock.isCancelled else { return }
        clock.isCancelled = true
        clock.heldSince = nil
        clock.deadline = min(clock.deadline, now + limits.stopMilliseconds * 1_000_000)
        try link.send(RunReply.cancelled, by: clock.deadline)
    }

    /// What the node says to a request; nil where it says nothing.
    private func answer(
        _ request: RunRequest, _ clock: inout Clock, _ blocks: inout RunBlocks
    ) throws(RunBlocks.Fault) -> RunReply? {
        switch request {
        case .input(let cid):
            // A guest names inputs by their place in the list.
            guard job.inputs.contains(where: { $0.cid == cid }) else { return RunReply.none }
            return host.readInput(cid).map { .bytes($0) } ?? RunReply.none
        case .store(let bytes): return host.storeBlock(bytes).map { .cid($0) } ?? RunReply.none
        case .keep(let cid, let bytes):
            guard cid.matches(bytes), host.storeBlock(cid, bytes) else { return RunReply.none }
            return .cid(cid)
        case .blocks(let asked, let ahead): return .blocks(try blocks.handOver(asked, ahead: ahead))
        case .reads(let cid, let from, let to):
            if from <= to, blocks.mayWant([.node(cid)]) { host.content.reads(cid, from..<to) }
        case .fetch(let wants, let keptBytes):
            guard wants.count <= limits.files.wantsMax else {
                return .waited(MountWait(end: .cancelled, nanoseconds: 0))
            }
            guard blocks.mayWant(wants) else { throw .notNamed }
            let wait = waiter.wait(for: wants, keeping: kept(keptBytes))
            clock.deadline += wait.nanoseconds
            return .waited(wait)
        case .hear(let within, let keptBytes):
            return .session(followed(waiter.hear(within: within, keeping: kept(keptBytes)), &clock))
        case .tell(let bytes, let isError, let keptBytes):
            let stream = isError ? StreamWrite.Stream.standardError : .standardOutput
            return .session(followed(waiter.tell(bytes, to: stream, keeping: kept(keptBytes)), &clock))
        case .wrote(let parts): host.wrote(parts)
        case .log(let level, let text):
            if let level = ExecutionLogLevel(rawValue: level) { host.log(level, text) }
        case .progress(let permille): host.progress(permille: min(1_000, max(0, permille)))
        case .burnt(let fuel): host.burnt(fuel: min(fuel, job.engineFuelMax))
        case .ended: break
        }
        return nil
    }

    /// What the run says that it keeps, within what it can.
    private func kept(_ bytes: UInt64) -> UInt64 { min(bytes, order.processBytesMax) }

    /// The time that the run waited in its session is not its own.
    private func followed(_ wait: SessionWait, _ clock: inout Clock) -> SessionWait {
        clock.deadline += wait.nanoseconds
        return wait
    }
}
