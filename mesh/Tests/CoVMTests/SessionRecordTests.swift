import GuestFiles
import MeshTypes
import Multiformats
import Testing

@testable import CoVM

/// Runs that repeat what came of a session before.
@Suite("Sessions that are played again")
struct SessionRecordTests {
    private func run(
        _ text: String, _ user: ScriptedUser? = nil, played: [SessionEvent]? = nil,
        terms: SessionTerms = SessionTerms(),
        repetition: ExecutionJob.Repetition? = nil, on machine: Machine
    ) async throws -> ExecutionResult {
        let module = try Guests.assemble(text)
        var job = ExecutionJob(moduleCID: CID.hashing(module, codec: .raw), module: module)
        job.limits = ExecutionLimits(
            timeoutSeconds: 60, maxFuel: 10_000_000_000, maxMemoryBytes: 64 << 20, maxOutputBytes: 4 << 20)
        (job.session, job.played, job.repetition) = (terms, played, repetition)
        return await machine.covm.execute(job, host: TalkingHost(memory: machine.host, session: user))
    }

    private func machine() throws -> Machine { try Machine.patient { $0.runWorker = Machine.worker } }

    private func expectSame(_ again: ExecutionResult, _ first: ExecutionResult) {
        #expect(again.session?.fault == nil)
        #expect(again.outcome == first.outcome)
        #expect(again.standardOutputCID == first.standardOutputCID)
        #expect(again.usage.fuel == first.usage.fuel)
        #expect(again.session?.events == first.session?.events)
    }

    /// A user who says two lines, each after a while.
    private static var talker: ScriptedUser {
        ScriptedUser(delayMilliseconds: 30) { heard in
            switch heard {
            case "": .bytes(Array("one\n".utf8))
            case "one\n": .bytes(Array("two\n".utf8))
            default: .end
            }
        }
    }

    @Test("A session that is played again gives the same outcome, output and fuel, in no time")
    func again() async throws {
        let machine = try machine()
        let first = try await run(SessionTests.echo, Self.talker, on: machine)
        let events = try #require(first.session?.events)
        #expect(events.map(\.call) == [0, 2, 4] && events.map(\.end) == [nil, nil, .over])
        #expect(events.allSatisfy { ($0.waited ?? 0) >= 30_000_000 }, "each was waited for")
        expectSame(try await run(SessionTests.echo, played: events, on: machine), first)
        for user in [ScriptedUser { _ in .nothing }, ScriptedUser { _ in .bytes([1]) }, ScriptedUser { _ in .end }] {
            let first = try await run(SessionTests.polling, user, on: machine)
            let events = try #require(first.session?.events)
            expectSame(try await run(SessionTests.polling, played: events, on: machine), first)
        }
        let idle = SessionTerms(idleSeconds: 1)
        for user in [ScriptedUser { _ in .nothing }, ScriptedUser(room: 0) { _ in .bytes([1]) }] {
            let first = try await run(SessionTests.echo, user, terms: idle, on: machine)
            #expect(first.outcome == .limitExceeded(.idle))
            let again = try await run(
                SessionTests.echo, played: try #require(first.session?.events), terms: idle, on: machine)
            expectSame(again, first)
        }
    }

    @Test("What is not the session of the run is found: a byte, a call, too much, too little")
    func wrong() async throws {
        let machine = try machine()
        let first = try await run(SessionTests.echo, Self.talker, on: machine)
        let events = try #require(first.session?.events)
        func again(_ change: (inout [SessionEvent]) -> Void) async throws -> ExecutionResult {
            var changed = events
            change(&changed)
            return try await run(SessionTests.echo, played: changed, on: machine)
        }
        let byte = try await again { $0[0].data = Array("One\n".utf8) }
        #expect(byte.session?.fault == nil && byte.standardOutputCID != first.standardOutputCID)
        let wait = try await again { $0[0].waited? += 1_000_000 }
        #expect(wait.session?.fault == nil && wait.usage.fuel == first.usage.fuel + 1_000)
        let call = try await again { $0[1].call = 3 }
        #expect(call.session?.fault == "waits for input at its call 2, where the transcript has none")
        let write = try await again { $0[0] = SessionEvent(call: 0, waited: 5) }
        #expect(write.session?.fault == "reads at its call 0, where the transcript has a write")
        let input = try await again { $0.insert(SessionEvent(call: 1, data: [1]), at: 1) }
        #expect(input.session?.fault == "writes at its call 1, where the transcript has input")
        let short = try await again { $0.removeLast() }
        #expect(short.session?.fault == "waits for input at its call 4, where the transcript has none")
        let long = try await again { $0.append(SessionEvent(call: 5, data: [1])) }
        #expect(long.session?.fault == "ended before its call 5, which the transcript has")
        let timer = try await again { $0[0] = SessionEvent(call: 0, end: .elapsed, waited: 5) }
        #expect(timer.session?.fault == "waits longer at its call 0 than the transcript says")
        for strayed in [call, write, input, short, timer] {
            guard case .nodeFailed = strayed.outcome else {
                Issue.record("a run that strays has no outcome of its own: \(strayed.outcome)")
                continue
            }
        }
    }

    @Test("A run that was cancelled while it waited ends there again, and one between two calls by its fuel")
    func cutShort() async throws {
        let machine = try machine()
        let first = try await run(SessionTests.echo, Self.talker, on: machine)
        var events = try #require(first.session?.events)
        events[2] = SessionEvent(call: 4, end: .cancelled, waited: 3_000_000)
        let repetition = ExecutionJob.Repetition(fuelMax: 10_000_000_000, wallClockMilliseconds: 60_000)
        let waiting = try await run(SessionTests.echo, played: events, repetition: repetition, on: machine)
        #expect(waiting.outcome == .cancelled && waiting.session?.fault == nil)
        #expect(machine.host.text(waiting.standardOutputCID) == "one\ntwo\n")
        let between = try await run(
            SessionTests.echo, played: Array(events.dropLast()), repetition: repetition, on: machine)
        #expect(between.outcome == .cancelled && between.session?.fault == nil)
    }

    @Test("A run that is stopped before it has its place again has read what came")
    func stoppedWhileItComesBack() throws {
        var recorder = SessionRecorder(ExecutionJob(moduleCID: CID.hashing([], codec: .raw), module: []), goesOn: true)
        let wait = SessionWait(end: .cancelled, bytes: [1, 2], waitedNanoseconds: 3)
        #expect(recorder.keep(wait, isRead: true) == SessionEvent(call: 0, data: [1, 2], waited: 3))
        let stopped = SessionWait(end: .cancelled, waitedNanoseconds: 3)
        #expect(recorder.keep(stopped, isRead: true) == SessionEvent(call: 1, end: .cancelled, waited: 3))
    }

    @Test("A live session goes on where the played one ends") func goesOn() async throws {
        let machine = try machine()
        let first = try await run(SessionTests.echo, Self.talker, on: machine)
        let events = try #require(first.session?.events)
        let on = try await run(
            SessionTests.echo, ScriptedUser { $0 == "one\n" ? .bytes(Array("new\n".utf8)) : .end },
            played: Array(events.prefix(1)), on: machine)
        #expect(on.outcome == .exited(code: 0))
        #expect(machine.host.text(on.standardOutputCID) == "one\nnew\n")
        #expect(on.session?.events?.map(\.call) == [0, 2, 4])
    }

    @Test("More than a transcript may have is not kept") func bound() async throws {
        let machine = try machine()
        let piece = [UInt8](repeating: 7, count: 64 << 10)
        let pieces = SessionTerms.Limits.transcriptBytesMax / piece.count
        for (count, isKept) in [(pieces - 1, true), (pieces, false)] {
            let user = ScriptedUser { $0.utf8.count >= count * piece.count ? .end : .bytes(piece) }
            let result = try await run(SessionTests.echo, user, on: machine)
            #expect(result.outcome == .exited(code: 0))
            #expect((result.session?.events != nil) == isKept)
        }
    }
}
