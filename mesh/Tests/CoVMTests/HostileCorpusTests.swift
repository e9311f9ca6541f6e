import GuestFiles
import MeshTypes
import Multiformats
import Synchronization
import Testing

@testable import CoVM

#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

/// Runs hostile modules one after the other, beside an honest one, and measures.
struct HostileRunner {
    /// A case and how it went.
    struct Run: Sendable {
        let item: HostileCase
        let stop: HostileCase.Stop
        /// Milliseconds from the deadline, or from the cancellation, to the end.
        let lateMilliseconds: UInt64
        /// Bytes that the node and its processes took more at their peak.
        let grownBytes: Int
        let guestPeakBytes: UInt64
        /// The last line that a file guest wrote.
        let told: String
    }

    /// Cancels at the first yield that it hears of, and knows when.
    private final class Canceller: ExecutionHost {
        let cancellation = ExecutionCancellation()
        private let host = FileHost()
        private let isToCancel: Bool
        private let cancelledAt = Mutex<ContinuousClock.Instant?>(nil)

        init(isToCancel: Bool) { self.isToCancel = isToCancel }

        var instant: ContinuousClock.Instant? { cancelledAt.withLock { $0 } }

        func readInput(_ cid: CID) -> [UInt8]? { host.readInput(cid) }
        func storeBlock(_ bytes: [UInt8]) -> CID? { host.storeBlock(bytes) }
        func storeBlock(_ cid: CID, _ bytes: [UInt8]) -> Bool { host.storeBlock(cid, bytes) }
        func log(_ level: ExecutionLogLevel, _ text: String) {}
        func progress(permille: Int) {}
        func text(_ cid: CID?) -> String { host.text(cid) }

        func burnt(fuel: UInt64) {
            guard isToCancel else { return }
            let isFirst = cancelledAt.withLock { instant in
                guard instant == nil else { return false }
                instant = .now
                return true
            }
            if isFirst { cancellation.cancel() }
        }
    }

    private final class Flag: Sendable {
        let isUp = Mutex(false)
    }

    let machine: Machine

    init() throws {
        // However busy the machine is, what a clock ends is the module's doing.
        machine = try Machine.patient { configuration in
            configuration.compileLimits.cpuSeconds = 2
        }
    }

    func run(_ item: HostileCase) async -> Run {
        var job = ExecutionJob(moduleCID: CID.hashing(item.module, codec: .raw), module: item.module)
        job.limits = ExecutionLimits(
            timeoutSeconds: 600, maxFuel: item.end == .fuel ? item.fuel : .max, maxMemoryBytes: HostileCase.memoryBytes,
            maxOutputBytes: HostileCase.outputBytes)
        if item.end == .clock { job.wallClockMilliseconds = HostileCase.clockMilliseconds }
        job.files = FileGuest.plan(quota: HostileCase.quota)
        job.standardInput = Array(item.input.utf8)
        let host = Canceller(isToCancel: item.end == .cancellation)
        _ = await machine.covm.prepare(item.module, named: job.moduleCID, cancellation: host.cancellation)
        let before = ProcessMemory.beginPeak()
        let pressure = CorePressure.microseconds()
        let began = ContinuousClock.now
        let result = await machine.covm.execute(job, host: host, cancellation: host.cancellation)
        let ended = ContinuousClock.now
        let deadline: ContinuousClock.Instant
        switch item.end {
        case .fuel: deadline = began + .seconds(600)
        case .clock: deadline = began + .milliseconds(Int(HostileCase.clockMilliseconds))
        case .cancellation: deadline = host.instant ?? began
        }
        let waited = Duration.microseconds(max(0, CorePressure.microseconds() - pressure))
        let late = max(.zero, ended - deadline - waited)
        return Run(
            item: item, stop: HostileCase.Stop(result), lateMilliseconds: UInt64(late / .milliseconds(1)),
            grownBytes: ProcessMemory.peak() - before, guestPeakBytes: result.usage.peakMemoryBytes,
            told: host.text(result.standardOutputCID).split(separator: "\n").last.map(String.init) ?? "")
    }

    /// Runs the cases while an honest job runs again and again; returns how often that gave what it should, and what
    /// it gave otherwise.
    func all(_ cases: [HostileCase]) async throws -> (runs: [Run], honest: Int, wrong: [String]) {
        let honest = try Guests.assemble(Guests.chance)
        let machine = machine
        @Sendable func neighbour() async -> String {
            let result = await machine.run(honest)
            return "\(result.outcome) \(result.usage.fuel) \(result.standardOutputCID?.text ?? "nothing")"
        }
        let expected = await neighbour()
        let flag = Flag()
        return await withTaskGroup(of: (Int, [String]).self) { group in
            group.addTask {
                var wrong: [String] = []
                var count = 0
                repeat {
                    let answer = await neighbour()
                    if answer == expected { count += 1 } else { wrong.append(answer) }
                } while !flag.isUp.withLock { $0 }
                return (count, wrong)
            }
            var runs: [Run] = []
            for item in cases { runs.append(await run(item)) }
            flag.isUp.withLock { $0 = true }
            let (count, wrong) = await group.next() ?? (0, [])
            return (runs, count, wrong)
        }
    }
}

/// Memory of this process and of those that it has started.
enum ProcessMemory {
    /// Begins to measure a peak; returns what is in use.
    static func beginPeak() -> Int {
        let processes = [getpid()] + children()
        for process in processes {
            let file = open("/proc/\(process)/clear_refs", O_WRONLY)
            guard file >= 0 else { continue }
            write(file, "5", 1)
            close(file)
        }
        return processes.reduce(0) { $0 + field("VmRSS:", of: $1) }
    }

    /// The most since then.
    static func peak() -> Int { ([getpid()] + children()).reduce(0) { $0 + field("VmHWM:", of: $1) } }

    private static func field(_ name: String, of process: pid_t) -> Int {
        let status = String(decoding: PublicFile.read("/proc/\(process)/status") ?? [], as: UTF8.self)
        let line = status.split(separator: "\n").first { $0.hasPrefix(name) }
        let words = line?.split(whereSeparator: { $0 == " " || $0 == "\t" }) ?? []
        return words.count > 1 ? (Int(words[1]) ?? 0) << 10 : 0
    }

    private static func children() -> [pid_t] {
        guard let folder = opendir("/proc/self/task") else { return [] }
        defer { closedir(folder) }
        var found: [pid_t] = []
        while let entry = readdir(folder) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) { pointer in
                pointer.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            let text = String(decoding: PublicFile.read("/proc/self/task/\(name)/children") ?? [], as: UTF8.self)
            found += text.split(separator: " ").compactMap { pid_t($0) }
        }
        return found
    }
}

/// For how long something on this machine has waited for a core.
enum CorePressure {
    /// Microseconds since the machine's start; always 0 where the system does not tell.
    static func microseconds() -> Int64 {
        let text = String(decoding: PublicFile.read("/proc/pressure/cpu") ?? [], as: UTF8.self)
        let total = text.split(whereSeparator: { $0 == " " || $0 == "\n" }).first { $0.hasPrefix("total=") }
        return total.flatMap { Int64($0.dropFirst("total=".count)) } ?? 0
    }
}

/// What a hostile module does to a node: nothing that is not a limit's.
@Suite("Hostile modules", .serialized)
struct HostileCorpusTests {
    /// How late a run may end, without the time for which something on the machine waited for a core. That is what
    /// `make corpus` demands; in `make test` it is many times that, where the machine does not tell that time.
    static let lateMilliseconds: UInt64 = 100
    static let busyFactor: UInt64 = 20

    static var isWhole: Bool { getenv("MESH_WHOLE_CORPUS") != nil }

    /// Bytes that a run may take: what its limits say for memory, files and output, and a tenth.
    static let bytesMax =
        Int(HostileCase.memoryBytes + HostileCase.quota.bytesMax + HostileCase.outputBytes) * 11 / 10

    @Test("are many, each another one, of every kind")
    func many() throws {
        let all = try HostileCorpus.all()
        #expect(Set(all.map(\.module)).count >= 300)
        #expect(Set(all.map { "\($0.kind): \($0.name)" }).count == all.count)
        #expect(Set(all.map(\.kind)).count == 12)
        #expect(Set(try HostileCorpus.some().map(\.kind)).count == 12)
    }

    @Test("are each stopped by what must stop them, in time and in their memory, and harm no neighbour")
    func stopped() async throws {
        let cases = try Self.isWhole ? HostileCorpus.all() : HostileCorpus.some()
        let runner = try HostileRunner()
        let (runs, honest, wrong) = try await runner.all(cases)
        let lateMax = Self.lateMilliseconds * (Self.isWhole ? 1 : Self.busyFactor)
        for run in runs {
            let name = Comment("\(run.item.kind): \(run.item.name)")
            let (isRight, told) = (run.item.isRight(run.stop), run.item.told)
            #expect(isRight, "\(name) ended as \(run.stop), not as \(run.item.stops)")
            #expect(run.lateMilliseconds <= lateMax, name)
            #expect(run.guestPeakBytes <= HostileCase.memoryBytes, name)
            // Of the whole process, in which other suites run beside this one unless it is the whole corpus.
            if Self.isWhole { #expect(run.grownBytes <= Self.bytesMax, name) }
            if let told { #expect(run.told.hasPrefix(told), "\(name) told \(run.told)") }
        }
        #expect(wrong.isEmpty, "the neighbour")
        #expect(honest > 0)
        #expect(runner.machine.covm.load == (0, 0, 0))
        if Self.isWhole { print(Self.table(runs, honest: honest)) }
    }

    /// Kind, outcome, how many, worst lateness, worst memory.
    private static func table(_ runs: [HostileRunner.Run], honest: Int) -> String {
        func row(_ columns: [String]) -> String {
            zip(columns, [20, 24, 6, 12, 12]).map { text, width in
                text + String(repeating: " ", count: max(1, width - text.count))
            }.joined()
        }
        var lines = [row(["kind", "ended by", "count", "ms late", "MiB more"])]
        let kinds = runs.map(\.item.kind).reduce(into: [String]()) { if $0.last != $1 { $0.append($1) } }
        for kind in kinds {
            let own = runs.filter { $0.item.kind == kind }
            for stop in Set(own.map { "\($0.stop)" }).sorted() {
                let those = own.filter { "\($0.stop)" == stop }
                let late = those.map(\.lateMilliseconds).max() ?? 0
                let grown = those.map(\.grownBytes).max() ?? 0
                lines.append(row([kind, stop, "\(those.count)", "\(late)", "\(grown >> 20)"]))
            }
        }
        let modules = Set(runs.map(\.item.module)).count
        lines.append("\(runs.count) cases of \(modules) modules; the honest neighbour ran \(honest) times")
        return lines.joined(separator: "\n")
    }
}
