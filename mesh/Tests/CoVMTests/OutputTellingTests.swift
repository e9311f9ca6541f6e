import GuestFiles
import MeshTypes
import Multiformats
import Synchronization
import Testing

@testable import CoVM

/// What a host hears of a run's output while the run lasts.
@Suite("Output as it is written")
struct OutputTellingTests {
    /// Writes `one`, to standard error `two`, and then computes for ever.
    private static let writing = """
        (module
          (import "\(Guests.wasi)" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
          (memory (export "memory") 1)
          (data (i32.const 1024) "onetwo")
          (func $say (param i32 i32)
            (i32.store (i32.const 0) (local.get 1))
            (i32.store (i32.const 4) (i32.const 3))
            (drop (call $write (local.get 0) (i32.const 0) (i32.const 1) (i32.const 8))))
          (func (export "_start")
            (call $say (i32.const 1) (i32.const 1024))
            (call $say (i32.const 2) (i32.const 1027))
            (loop $l (br $l))))
        """

    @Test("What a run has written is heard while it computes", arguments: [true, false])
    func whileItRuns(hasProcess: Bool) async throws {
        let machine = try Machine.patient { configuration in
            if hasProcess { configuration.runWorker = Machine.worker }
        }
        let module = try Guests.assemble(Self.writing)
        var job = ExecutionJob(moduleCID: CID.hashing(module, codec: .raw), module: module)
        (job.limits.maxFuel, job.limits.timeoutSeconds) = (1 << 60, 600)
        let cancellation = ExecutionCancellation()
        let host = WatchingHost { heard in
            if heard.reduce(0, { $0 + $1.bytes.count }) == 6 { cancellation.cancel() }
        }
        let result = await machine.covm.execute(job, host: host, cancellation: cancellation)
        #expect(result.outcome == .cancelled)
        #expect(host.text(isError: false) == "one" && host.text(isError: true) == "two")
    }

    @Test("A module that writes byte by byte tells little by little; all parts together are what it wrote")
    func gathered() {
        let host = WatchingHost { _ in }
        var telling = OutputTelling(now: 0)
        telling.wrote([1], to: .standardOutput, now: 1, host)
        telling.passOnIfDue(now: OutputTelling.Limits.gatheringNanoseconds - 1, host)
        #expect(host.calls == 0, "what is young waits for more")
        telling.wrote([2], to: .standardOutput, now: OutputTelling.Limits.gatheringNanoseconds, host)
        #expect(host.calls == 1 && host.heard == [OutputPart(isError: false, bytes: [1, 2])])
        telling.passOn(now: 2 * OutputTelling.Limits.gatheringNanoseconds, host)
        #expect(host.calls == 1, "nothing is told as nothing")
    }

    @Test("At bytesMax and partsMax what was gathered is told at once, and fits into a message") func bounds() throws {
        let most = OutputTelling.Limits.bytesMax
        let host = WatchingHost { _ in }
        var telling = OutputTelling(now: 0)
        telling.wrote([UInt8](repeating: 0xFF, count: 2 * most + 1), to: .standardOutput, now: 1, host)
        #expect(host.calls == 2 && host.heard.map(\.bytes.count) == [most, most])
        for index in 0..<OutputTelling.Limits.partsMax {
            telling.wrote([0xFF], to: index % 2 == 0 ? .standardError : .standardOutput, now: 1, host)
        }
        #expect(host.calls == 3 && host.heard.count == 2 + OutputTelling.Limits.partsMax)
        let room = try #require(RunRequest.bytesMax(ofKind: "wrote", outputBytesMax: 0))
        for parts in [Array(host.heard[..<1]), Array(host.heard[2...])] {
            #expect(try RunLink.body(RunRequest.wrote(parts)).count <= room)
        }
    }
}

/// A host that hears what a run writes.
private final class WatchingHost: ExecutionHost {
    private let state = Mutex((parts: [OutputPart](), calls: 0))
    private let onWrote: @Sendable ([OutputPart]) -> Void

    init(_ onWrote: @escaping @Sendable ([OutputPart]) -> Void) { self.onWrote = onWrote }

    var heard: [OutputPart] { state.withLock { $0.parts } }
    var calls: Int { state.withLock { $0.calls } }

    func text(isError: Bool) -> String {
        String(decoding: heard.filter { $0.isError == isError }.flatMap(\.bytes), as: UTF8.self)
    }

    func readInput(_ cid: CID) -> [UInt8]? { nil }
    func storeBlock(_ bytes: [UInt8]) -> CID? { CID.hashing(bytes, codec: .raw) }
    func log(_ level: ExecutionLogLevel, _ text: String) {}
    func progress(permille: Int) {}
    func burnt(fuel: UInt64) {}

    func wrote(_ parts: [OutputPart]) {
        let heard = state.withLock { state in
            state.parts += parts
            state.calls += 1
            return state.parts
        }
        onWrote(heard)
    }
}
