import GuestFiles
import IPLD
import MeshTypes
import Multiformats
import P2PTesting
import Synchronization
import Testing

@testable import CoVM

#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

/// Runs over mounts whose blocks come when they are asked for.
@Suite("Mounts of a run")
struct MountTests {
    /// A file of several blocks, and what the guest's `sum` says of it.
    private static let large = (0..<2_500_000).map { UInt8(truncatingIfNeeded: ($0 &* 2_654_435_761) >> 24) }
    private static let largeSum = large.reduce(UInt64(0)) { $0 &* 31 &+ UInt64($1) }

    /// A folder with files, a link and a folder of its own.
    private static func tree(_ host: FileHost) throws -> UnixFSBuilt {
        try host.folder([
            ("d", try host.folder([("x", host.file("in d")), ("y", host.file("never read"))])),
            ("l", host.link("d/x")), ("large", host.file(large)), ("small", host.file("small file")),
        ])
    }

    private static let script = """
        open 3 0 small 0 2 0
        read #1 5
        open 3 1 l 0 2 0
        read #2 9
        list 3 4096
        open 3 0 large 0 2 0
        sum #3 70000
        open 3 0 small 0 66 0
        write #4 S
        mkdir 3 new
        """

    @Test("show their files, whatever comes when: the same output, fuel and reads")
    func determinism() async throws {
        let machine = try Machine()
        var runs: [FileGuest.Run] = []
        var fetched: [Int] = []
        for isAllHere in [true, false, false] {
            let host = FileHost()
            let tree = try Self.tree(host)
            if isAllHere { host.bringAll() }
            let run = try await machine.perform(
                Self.script, files: FileGuest.plan(.tree(tree.cid)), collect: ["job": "/job"], host: host)
            #expect(run.result.outcome == .exited(code: 0))
            #expect(
                run.lines == [
                    "0 4", "0 5 small", "0 5", "0 4 in d", "0 . .. d l large small", "0 6",
                    "0 2500000 \(Self.largeSum)", "0 7", "0 1", "0",
                ])
            let root = try #require(run.result.outputs.first?.cid)
            #expect(
                try host.tree(root) == [
                    "/d/x in d", "/d/y never read", "/l -> d/x", "/large 2500000 bytes", "/new/", "/small Small file",
                ])
            let read = run.result.read.entries
            #expect(read.map(\.cid) == read.map(\.cid).sorted())
            #expect(read.contains { $0.cid == host.file(Self.large).cid && $0.ranges == [0..<2_500_000] })
            // What was only collected was not read.
            #expect(!read.contains { $0.cid == host.file("never read").cid })
            runs.append(run)
            fetched.append(host.fetches.count)
        }
        #expect(fetched[0] == 0)
        #expect(fetched[1] > 5 && fetched[1] == fetched[2])
        #expect(Set(runs.map(\.result.usage.fuel)).count == 1)
        #expect(Set(runs.map(\.result.read)).count == 1)
        #expect(Set(runs.map { $0.result.outputs.first?.cid }).count == 1)
        #expect(Set(runs.map(\.result.usage.bytesRead)).count == 1)
        #expect(Set(runs.map(\.result.usage.bytesWritten)).count == 1)
    }

    @Test("cost the same and are read the same by a run in a process of its own")
    func processes() async throws {
        var runs: [FileGuest.Run] = []
        for worker in [nil, Machine.worker] {
            for isAllHere in [true, false] {
                let host = FileHost()
                let tree = try Self.tree(host)
                if isAllHere { host.bringAll() }
                runs.append(
                    try await Machine { $0.runWorker = worker }.perform(
                        Self.script, files: FileGuest.plan(.tree(tree.cid)), collect: ["job": "/job"], host: host))
                // The node learns where a process is in a file that has several blocks, so that it can fetch ahead.
                let reads = host.reads.filter { $0.file == host.file(Self.large).cid }.map(\.range)
                #expect(
                    worker == nil
                        ? reads.isEmpty : (reads.first?.lowerBound == 0 && reads.last?.upperBound ?? 0 > 1 << 20))
                #expect(zip(reads, reads.dropFirst()).allSatisfy { $0.upperBound == $1.lowerBound }, "\(reads)")
            }
        }
        #expect(runs.allSatisfy { $0.result.outcome == .exited(code: 0) })
        #expect(Set(runs.map(\.result.usage.fuel)).count == 1, "\(runs.map(\.result.usage.fuel))")
        #expect(Set(runs.map(\.result.read)).count == 1)
        #expect(Set(runs.map { $0.result.outputs.first?.cid }).count == 1)
    }

    @Test("are read as they are, in folders over many blocks too")
    func manyEntries() async throws {
        let host = FileHost()
        let file = host.file("x")
        let folder = try host.folder((0..<4_000).map { ("a-name-that-fills-the-block-\($0)", file) })
        guard case .here(let root) = MountedBlocks(held: { host.readInput($0) }).block(folder.cid) else {
            Issue.record("no folder")
            return
        }
        #expect(try UnixFSBlock(root, of: folder.cid).kind == .shard)
        let run = try await Machine().perform(
            "open 3 0 a-name-that-fills-the-block-2711 0 2 0\nread #1 9\nopen 3 0 other 0 2 0",
            files: FileGuest.plan(.tree(folder.cid), writable: false), host: host)
        #expect(run.lines == ["0 4", "0 1 x", "44"])
    }

    // MARK: What is no mount

    @Test("that are no files end the run with the reason: before it starts, or when it comes there")
    func refused() async throws {
        let host = FileHost()
        let machine = try Machine()
        let dots = try host.folder([("..", host.file("x"))])
        host.bringAll()
        let atOnce = try await machine.perform("stat 3 0 a", files: FileGuest.plan(.tree(dots.cid)), host: host)
        #expect(
            atOnce.result.outcome
                == .filesRefused(reason: "the folder \(dots.cid) has an entry whose name is . or .."))
        #expect(atOnce.result.usage.fuel == 0)
        let outer = try host.folder([("deep", dots), ("ok", host.file("ok"))])
        host.bringAll()
        let later = try await machine.perform(
            "write 1 first\nopen 3 0 ok 0 2 0\nopen 3 0 deep/a 0 2 0", files: FileGuest.plan(.tree(outer.cid)),
            host: host)
        #expect(
            later.result.outcome
                == .filesRefused(reason: "the folder \(dots.cid) has an entry whose name is . or .."))
        #expect(later.result.usage.fuel > 0)
        #expect(host.text(later.result.standardOutputCID) == "first")
        let module = FileGuest.module
        let noFile = CID.hashing(module, codec: .dagPB)
        _ = host.storeBlock(noFile, module)
        host.bringAll()
        let other = try await machine.perform("stat 3 0 a", files: FileGuest.plan(.tree(noFile)), host: host)
        #expect(
            other.result.outcome
                == .filesRefused(reason: "\(noFile) is no file, folder or symbolic link that can be mounted"))
    }

    @Test("that cannot be had are the node's failure")
    func notThere() async throws {
        let host = FileHost { $0(.failed(reason: "nobody has it")) }
        let folder = try host.folder([("a", host.file("x"))])
        let run = try await Machine().perform(
            "write 1 worth something\nstat 3 0 a", files: FileGuest.plan(.tree(folder.cid)), host: host)
        #expect(run.result.outcome == .fetchFailed(reason: "nobody has it"))
        #expect(run.result.standardOutputCID == nil, "what costs nothing leaves nothing")
    }

    @Test("that a node claims to have and has not end the run as its failure")
    func claimed() async throws {
        let host = FileHost()
        let missing = CID.hashing([1, 2, 3], codec: .dagPB)
        let run = try await Machine().perform("stat 3 0 a", files: FileGuest.plan(.tree(missing)), host: host)
        #expect(run.result.outcome == .nodeFailed(reason: "blocks of the job's files do not stay on this node"))
        #expect(host.fetches.count == CoVMConfiguration.Limits().repeatedFetchesMax + 1)
    }

    // MARK: Waiting

    /// Fetches that wait until the test lets them go on.
    private final class Gate: Sendable {
        private let waiting = Mutex<[@Sendable (ContentFetch) -> Void]>([])

        var delay: FileHost.Delay { { finished in self.waiting.withLock { $0.append(finished) } } }
        var count: Int { waiting.withLock { $0.count } }

        func open(_ end: ContentFetch = .here) {
            let all = waiting.withLock { waiting in
                defer { waiting = [] }
                return waiting
            }
            for finished in all { finished(end) }
        }
    }

    @Test("that are long in coming free the place of their run, which takes it again")
    func placeIsFreed() async throws {
        let gate = Gate()
        let host = FileHost(delay: gate.delay)
        let folder = try host.folder([("a", host.file("x"))])
        let machine = try Machine { configuration in
            configuration.limits.concurrentRunsMax = 1
            configuration.limits.placeKeptMilliseconds = 10
            configuration.limits.parkedRunsMax = 1
        }
        try await withThrowingTaskGroup(of: FileGuest.Run.self) { group in
            let plan = FileGuest.plan(.tree(folder.cid))
            group.addTask { try await machine.perform("stat 3 0 a", files: plan, host: host) }
            try await eventually("the run has no place") { machine.covm.load == (0, 0, 1) }
            #expect(host.waits == [true])
            // Another one has it meanwhile.
            #expect(try await machine.perform("stat 3 0 a").lines == ["44"])
            while gate.count > 0 || machine.covm.load.parked > 0 {
                gate.open()
                try await eventually("it asks for more, or runs") { gate.count > 0 || machine.covm.load.parked == 0 }
            }
            try await eventually("it is over") {
                gate.open()
                return machine.covm.load == (0, 0, 0)
            }
            let run = try await group.next()
            #expect(run?.lines.first?.hasPrefix("0 4 1 1 ") == true)
        }
        #expect(host.waits.count.isMultiple(of: 2))
    }

    @Test("are waited for with the run's place where too many wait already, or keep too much memory")
    func placeIsKept() async throws {
        let host = FileHost(delay: Gate().delay)
        let folder = try host.folder([("a", host.file("x"))])
        let machine = try Machine { configuration in
            configuration.limits.concurrentRunsMax = 8
            configuration.limits.placeKeptMilliseconds = 10
            configuration.limits.fetchMillisecondsMax = 3_600_000
            configuration.limits.parkedRunsMax = 4
            configuration.limits.parkedBytesMax = 64 << 20
        }
        let cancellation = ExecutionCancellation()
        try await withThrowingTaskGroup(of: FileGuest.Run.self) { group in
            func add(_ owner: String, _ files: FileSystemPlan) {
                group.addTask {
                    try await machine.perform("stat 3 0 a", files: files, host: host, cancellation: cancellation) {
                        $0.originatorDID = owner
                    }
                }
            }
            let plan = FileGuest.plan(.tree(folder.cid))
            for _ in 0..<3 { add("greedy", plan) }
            try await eventually("one keeps its place") { machine.covm.load == (1, 0, 2) }
            add("other", plan)
            try await eventually("another originator's has room") { machine.covm.load == (1, 0, 3) }
            cancellation.cancel()
            for try await run in group { #expect(run.result.outcome == .cancelled) }
        }
        #expect(machine.covm.load == (0, 0, 0))
    }

    @Test("parked runs have places and bytes, half of them an owner's")
    func parking() {
        func slots() -> RunSlots { RunSlots(slotsMax: 9, waitersMax: 0, parking: .init(runsMax: 4, bytesMax: 100)) }
        let byRuns = slots()
        #expect(byRuns.park(.init(owner: "a", bytes: 1)) && byRuns.park(.init(owner: "a", bytes: 1)))
        #expect(!byRuns.park(.init(owner: "a", bytes: 1)))
        #expect(byRuns.park(.init(owner: "b", bytes: 1)) && byRuns.park(.init(owner: "c", bytes: 1)))
        #expect(!byRuns.park(.init(owner: "d", bytes: 1)))
        byRuns.leaveParked(.init(owner: "a", bytes: 1))
        #expect(byRuns.park(.init(owner: "a", bytes: 1)))
        let byBytes = slots()
        #expect(!byBytes.park(.init(owner: "a", bytes: 51)))
        #expect(byBytes.park(.init(owner: "a", bytes: 50)) && !byBytes.park(.init(owner: "a", bytes: 1)))
        #expect(byBytes.park(.init(owner: "b", bytes: 40)) && !byBytes.park(.init(owner: "c", bytes: 11)))
        #expect(byBytes.park(.init(owner: "c", bytes: 10)))
        byBytes.leaveParked(.init(owner: "a", bytes: 50))
        #expect(byBytes.park(.init(owner: "c", bytes: 40)) && !byBytes.park(.init(owner: "c", bytes: 1)))
    }

    @Test("whose folders have more entries than the memory limit holds end the run as that, before it or in it")
    func entries() async throws {
        let host = FileHost()
        let file = host.file("x")
        let folder = try host.folder((0..<200).map { ("file-\($0)", file) })
        let outer = try host.folder([("d", folder)])
        host.bringAll()
        func end(_ script: String, _ content: UnixFSBuilt, _ pages: UInt64) async throws -> ExecutionResult {
            try await Machine().perform(script, files: FileGuest.plan(.tree(content.cid)), host: host) {
                $0.limits.maxMemoryBytes = pages << 16
            }.result
        }
        // What the guest needs for itself, and two pages for 200 entries of 512 bytes and their names.
        let bare = try await end("exit 0", outer, 1_000).usage.peakMemoryBytes >> 16
        let entered = "stat 3 0 d/file-7"
        #expect(try await end(entered, outer, bare + 2).outcome == .exited(code: 0))
        let inRun = try await end(entered, outer, bare + 1)
        #expect(inRun.outcome == .limitExceeded(.memory))
        #expect(inRun.usage.fuel > 0)
        let before = try await end(entered, folder, 1)
        #expect(before.outcome == .limitExceeded(.memory))
        #expect(before.usage.fuel == 0)
    }

    @Test("are waited for in all no longer than the limit")
    func budget() async throws {
        let host = FileHost(delay: Gate().delay)
        let folder = try host.folder([("a", host.file("x"))])
        let machine = try Machine {
            $0.limits.fetchMillisecondsMax = 1_000
            $0.limits.placeKeptMilliseconds = 10
        }
        let run = try await machine.perform("stat 3 0 a", files: FileGuest.plan(.tree(folder.cid)), host: host)
        #expect(
            run.result.outcome == .fetchFailed(reason: "the blocks of the job's files did not come in 1 s of waiting"))
        #expect(machine.covm.load == (0, 0, 0))
    }

    @Test("end a wait at once when the run is cancelled, with and without its place", arguments: [10, 1_000_000])
    func cancelled(placeKeptMilliseconds: UInt64) async throws {
        let gate = Gate()
        let host = FileHost(delay: gate.delay)
        let folder = try host.folder([("a", host.file("x"))])
        let machine = try Machine { $0.limits.placeKeptMilliseconds = placeKeptMilliseconds }
        let cancellation = ExecutionCancellation()
        try await withThrowingTaskGroup(of: FileGuest.Run.self) { group in
            group.addTask {
                try await machine.perform(
                    "stat 3 0 a", files: FileGuest.plan(.tree(folder.cid)), host: host, cancellation: cancellation)
            }
            try await eventually("it waits") {
                gate.count > 0 && (placeKeptMilliseconds > 10 || machine.covm.load.parked == 1)
            }
            cancellation.cancel()
            let run = try await group.next()
            #expect(run?.result.outcome == .cancelled)
        }
        #expect(machine.covm.load == (0, 0, 0))
        gate.open()
    }

    @Test("stop the wall clock while they are waited for")
    func wallClock() async throws {
        // Three waits of half a second each.
        let host = FileHost { finished in
            let started = RunThread.start(stackBytes: 256 << 10) {
                var none = pollfd(fd: -1, events: 0, revents: 0)
                poll(&none, 0, 500)
                finished(.here)
            }
            #expect(started)
        }
        let folder = try host.folder([("a", host.file("x"))])
        let run = try await Machine.patient().perform(
            "open 3 0 a 0 2 0\nread #1 1", files: FileGuest.plan(.tree(folder.cid)), host: host
        ) { $0.limits.timeoutSeconds = 1 }
        #expect(run.result.outcome == .exited(code: 0))
        #expect(run.lines == ["0 4", "0 1 x"])
        #expect(host.fetches.count == 2 || host.fetches.count == 3)
        #expect(run.result.usage.wallMilliseconds < 1_000)
    }
}

/// What becomes of the files when the run is over.
@Suite("Collected files")
struct CollectTests {
    private static let writing = """
        mkdir 3 out
        open 3 0 out/a 1 66 0
        write #1 A
        mkdir 3 out/empty
        symlink a 3 out/l
        open 3 0 log 1 66 0
        write #2 logged
        """
    private static let tree = ["/a A", "/empty/", "/l -> a"]

    struct End: Sendable, CustomTestStringConvertible {
        let testDescription: String
        let line: String
        let outcome: ExecutionOutcome
    }

    static let ends: [End] = [
        End(testDescription: "an exit with 0", line: "exit 0", outcome: .exited(code: 0)),
        End(testDescription: "an exit with 3", line: "exit 3", outcome: .exited(code: 3)),
        End(
            testDescription: "a trap", line: "trap",
            outcome: .trapped(kind: .unreachable, message: "unreachable executed in function 31")),
        End(testDescription: "its fuel's end", line: "loop", outcome: .limitExceeded(.fuel)),
    ]

    @Test("are outputs after", arguments: ends)
    func ended(end: End) async throws {
        let host = FileHost()
        let run = try await Machine().perform(
            Self.writing + "\n" + end.line, collect: ["z": "out/**", "log": "log", "none": "missing", "text": "out/?"],
            host: host
        ) { $0.limits.maxFuel = 20_000_000 }
        if case .trapped(let kind, _) = end.outcome {
            guard case .trapped(kind, _) = run.result.outcome else {
                Issue.record("\(run.result.outcome)")
                return
            }
        } else {
            #expect(run.result.outcome == end.outcome)
        }
        #expect(run.result.outputs.map(\.name) == ["log", "text", "z"])
        #expect(try run.result.outputs.map { try host.tree($0.cid) } == [[" logged"], ["/a A", "/l -> a"], Self.tree])
    }

    @Test("have the time that is left of the run's, and the end is its own", arguments: [ends[0], ends[3]])
    func late(end: End) async throws {
        let host = FileHost()
        let machine = try Machine.patient { $0.limits.collectMillisecondsMax = 0 }
        let run = try await machine.perform(
            "write 1 paid\n" + Self.writing + "\n" + end.line, collect: ["out": "out/**"], host: host
        ) { $0.limits.maxFuel = 20_000_000 }
        let isWell = end.outcome == .exited(code: 0)
        #expect(run.result.outcome == (isWell ? .limitExceeded(.wallClock) : end.outcome))
        #expect(run.result.outputs.isEmpty)
        #expect(run.result.usage.fuel > 0 && host.text(run.result.standardOutputCID).hasPrefix("paid"))
    }

    @Test("are not outputs of a cancelled run")
    func cancelled() async throws {
        let cancellation = ExecutionCancellation()
        let machine = try Machine {
            $0.runWorker = nil
            $0.limits.looked = { cancellation.cancel() }
        }
        let run = try await machine.perform(
            Self.writing + "\nloop", collect: ["out": "out/**"], cancellation: cancellation)
        #expect(run.result.outcome == .cancelled)
        #expect(run.result.outputs.isEmpty)
    }

    @Test("have the CID of the mount where they are the same")
    func unchanged() async throws {
        let host = FileHost()
        let folder = try host.folder([("d", try host.folder([("x", host.file("X"))])), ("f", host.file("F"))])
        let run = try await Machine().perform(
            "open 3 0 f 0 2 0\nread #1 9", files: FileGuest.plan(.tree(folder.cid)), collect: ["all": "/job"],
            host: host)
        #expect(run.result.outputs.first?.cid == folder.cid)
        // The same bytes, written anew, have the same CID.
        let again = try await Machine().perform(
            "open 3 0 f 9 66 0\nwrite #1 F", files: FileGuest.plan(.tree(folder.cid)), collect: ["all": "/job"],
            host: host)
        #expect(again.result.outputs.first?.cid == folder.cid)
    }

    /// A node over one block, which says of it what it is told to.
    private func node(
        over cid: CID, times: Int = 1, fileBytes: UInt64, treeBytes: UInt64, on host: FileHost
    ) -> UnixFSBuilt {
        func varint(_ value: UInt64) -> [UInt8] {
            value < 0x80 ? [UInt8(value)] : [UInt8(value & 0x7F) | 0x80] + varint(value >> 7)
        }
        let links = Array(repeating: DAGPBNode.Link(cid: cid, totalBytes: treeBytes), count: times)
        let sum = UInt64(times) * fileBytes
        let sizes = Array(repeating: [0x20] + varint(fileBytes), count: times)
        let block = DAGPBNode(links: links, data: [0x08, 2, 0x18] + varint(sum) + sizes.joined()).encoded()
        let name = CID.hashing(block, codec: .dagPB)
        _ = host.storeBlock(name, block)
        return UnixFSBuilt(
            cid: name, treeBytes: UInt64(block.count) + UInt64(times) * treeBytes, fileBytes: sum)
    }

    /// How a run ends that collects a folder with this file, of which it reads nothing.
    private func end(
        of file: UnixFSBuilt, on host: FileHost, outputs: [String] = ["all"], maxOutputBytes: UInt64 = 1 << 20
    ) async throws -> ExecutionOutcome {
        let folder = try host.folder([("file", file)])
        host.bringAll()
        let collect = Dictionary(uniqueKeysWithValues: outputs.map { ($0, "/job") })
        let run = try await Machine().perform(
            "exit 0", files: FileGuest.plan(.tree(folder.cid)), collect: collect, host: host
        ) { $0.limits.maxOutputBytes = maxOutputBytes }
        let isWell = run.result.outcome == .exited(code: 0)
        #expect(!isWell || run.result.outputs.map(\.cid) == outputs.map { _ in folder.cid })
        return run.result.outcome
    }

    @Test("are no files of mounts that no verifier accepts")
    func unverifiable() async throws {
        let host = FileHost()
        let chunk = host.file("chunk")
        func refused(_ file: UnixFSBuilt, _ fault: UnixFSError) -> ExecutionOutcome {
            .filesRefused(reason: "the file \(file.cid) of a mount cannot be an output: \(fault)")
        }
        var deep = chunk
        for _ in 0..<UnixFSLimits().fileDepthMax {
            deep = node(over: deep.cid, fileBytes: 5, treeBytes: deep.treeBytes, on: host)
        }
        #expect(try await end(of: deep, on: host) == .exited(code: 0))
        let deeper = node(over: deep.cid, fileBytes: 5, treeBytes: deep.treeBytes, on: host)
        #expect(try await end(of: deeper, on: host) == refused(deeper, .tooDeep(depthMax: 32)))
        let lies: [(UInt64, UInt64)] = [(6, 5), (5, 6)]
        for (fileBytes, treeBytes) in lies {
            let file = node(over: chunk.cid, fileBytes: fileBytes, treeBytes: treeBytes, on: host)
            #expect(try await end(of: file, on: host) == refused(file, .falseSizes(chunk.cid)))
        }
        let inline = CID(codec: .raw, multihash: Multihash.identity(of: [1]))
        let reason = "\(inline) of a mount cannot be in an output: it is of no form that outputs have"
        #expect(
            try await end(of: UnixFSBuilt(cid: inline, treeBytes: 1), on: host) == .filesRefused(reason: reason))
    }

    @Test("count as a verifier counts them, who meets a block in two places twice")
    func places() async throws {
        let host = FileHost()
        let chunk = host.file([UInt8](repeating: 7, count: 50))
        let file = node(over: chunk.cid, times: 5, fileBytes: 50, treeBytes: 50, on: host)
        // The entry of the root, and 250 bytes of the file for each output.
        #expect(try await end(of: file, on: host, maxOutputBytes: 1_100) == .exited(code: 0))
        let outputs = ["a", "b", "c"]
        let needed = UInt64(3 * 512 + 3 * 250)
        #expect(
            try await end(of: file, on: host, outputs: outputs, maxOutputBytes: needed)
                == .exited(code: 0))
        #expect(
            try await end(of: file, on: host, outputs: outputs, maxOutputBytes: needed - 1)
                == .limitExceeded(.output))
        var wide = chunk
        for fileBytes in [50, 100_000] as [UInt64] {
            wide = node(over: wide.cid, times: 2_000, fileBytes: fileBytes, treeBytes: wide.treeBytes, on: host)
        }
        #expect(try await end(of: wide, on: host, maxOutputBytes: 1 << 30) == .limitExceeded(.output))
    }

    @Test("count to the output, and the run ends there", arguments: [0, 3])
    func limit(code: Int32) async throws {
        let host = FileHost()
        let run = try await Machine().perform(
            """
            open 3 0 a 1 66 0
            fill #1 3000 97
            open 3 0 b 1 66 0
            size #2 17592186044416
            exit \(code)
            """, collect: ["a": "a", "b": "b"], host: host
        ) { $0.limits.maxOutputBytes = 10_000 }
        #expect(run.result.outcome == .limitExceeded(.output))
        #expect(run.result.outputs.map(\.name) == ["a"])
        let lines = UInt64(run.lines.joined(separator: "\n").utf8.count + 1)
        #expect(run.result.usage.bytesWritten == lines + 3_000 + 2 * 512)
    }

    @Test("keep their names for themselves")
    func names() async throws {
        let text = """
            (module
              (import "mesh_host_v1" "output_write" (func $output (param i32 i32 i32 i32) (result i32)))
              (memory (export "memory") 1)
              (data (i32.const 0) "mine")
              (func (export "run") (result i32)
                (call $output (i32.const 0) (i32.const 4) (i32.const 0) (i32.const 4))))
            """
        let selection = try FileSelection(Array("/job".utf8), workingFolder: nil)
        let result = try await Machine().run(text) { job in
            job.entry = "run"
            job.files = FileGuest.plan()
            job.collect = [(name: "mine", selection: selection)]
        }
        #expect(result.outcome == .exited(code: Int32(MeshHostABI.Failure.refused.rawValue)))
    }
}
