import MeshTypes
import Multiformats
import Synchronization
import Testing

@testable import CoVM

/// The calls of `mesh_host_v1` with which a module talks with its user.
@Suite("Session calls")
struct SessionCallTests {
    /// A module with the calls, and reading and waiting by WASI; the body returns the exit code. At 2048 and 3072 stand
    /// what reads and waits are given.
    private static func module(_ body: String) -> String {
        """
        (module
          (import "mesh_host_v1" "session_receive" (func $receive (param i32 i32) (result i32)))
          (import "mesh_host_v1" "session_send" (func $send (param i32 i32) (result i32)))
          (import "mesh_host_v1" "session_waiting" (func $waiting (result i32)))
          (import "mesh_host_v1" "fuel_left" (func $fuel (result i64)))
          (import "\(Guests.wasi)" "fd_read" (func $fd_read (param i32 i32 i32 i32) (result i32)))
          (import "\(Guests.wasi)" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))
          (memory (export "memory") 3)
          (func $read (param $at i32) (param $count i32) (result i32)
            (i32.store (i32.const 2048) (local.get $at))
            (i32.store (i32.const 2052) (local.get $count))
            (drop (call $fd_read (i32.const 0) (i32.const 2048) (i32.const 1) (i32.const 2056)))
            (i32.load (i32.const 2056)))
          (func $polled (result i32)
            (i32.store8 (i32.const 3080) (i32.const 1))
            (drop (call $poll (i32.const 3072) (i32.const 3200) (i32.const 1) (i32.const 3300)))
            (i32.load (i32.const 3216)))
          (func (export "run") (result i32) (local $n i32) (local $before i64)
            \(body)
            (i32.const 0)))
        """
    }

    /// A step that ends the run with a number unless a call gives what it should.
    private static func expect(_ number: Int, _ call: String, _ value: Int) -> String {
        "(if (i32.ne (call \(call)) (i32.const \(value))) (then (return (i32.const \(number)))))"
    }

    private static func module(_ steps: [(call: String, value: Int)]) -> String {
        module(steps.enumerated().map { expect($0 + 1, $1.call, $1.value) }.joined(separator: "\n"))
    }

    private func machine() throws -> Machine { try Machine.patient { $0.runWorker = Machine.worker } }

    private func run(
        _ text: String, _ user: ScriptedUser?, played: [SessionEvent]? = nil, terms: SessionTerms? = SessionTerms(),
        fuel: UInt64 = 1_000_000_000, maxOutput: UInt64 = 4 << 20, on machine: Machine
    ) async throws -> ExecutionResult {
        let module = try Guests.assemble(text)
        var job = ExecutionJob(moduleCID: CID.hashing(module, codec: .raw), module: module)
        job.entry = "run"
        job.limits = ExecutionLimits(
            timeoutSeconds: 60, maxFuel: fuel, maxMemoryBytes: 64 << 20, maxOutputBytes: maxOutput)
        (job.session, job.played) = (terms, played)
        return await machine.covm.execute(job, host: TalkingHost(memory: machine.host, session: user))
    }

    /// What somebody says, one after the other, and then nothing more.
    private final class Words: Sendable {
        private let left: Mutex<[SessionInput]>

        init(_ words: [SessionInput]) { left = Mutex(words) }

        func next() -> SessionInput { left.withLock { $0.isEmpty ? .end : $0.removeFirst() } }
    }

    private static func says(_ words: [SessionInput], delayMilliseconds: Int = 0) -> ScriptedUser {
        let words = Words(words)
        return ScriptedUser(delayMilliseconds: delayMilliseconds) { _ in words.next() }
    }

    struct Talk: Sendable, CustomTestStringConvertible {
        var testDescription: String
        /// What the user says.
        var words: [SessionInput]
        var delayMilliseconds = 0
        var steps: [(call: String, value: Int)]
        /// What the user hears.
        var heard = ""
        /// What of it is in the transcript, without times.
        var events: [SessionEvent]
    }

    private static let hello = SessionInput.bytes(Array("hello".utf8))
    private static func event(_ call: UInt64, _ text: String) -> SessionEvent {
        SessionEvent(call: call, data: Array(text.utf8))
    }

    static let talks: [Talk] = [
        Talk(
            testDescription: "session_receive waits until there is input, and says at the end that there is none",
            words: [hello, .bytes(Array(" you".utf8))], delayMilliseconds: 30,
            steps: [
                ("$receive (i32.const 1024) (i32.const 100)", 5), ("$send (i32.const 1024) (i32.const 5)", 0),
                ("$receive (i32.const 1024) (i32.const 100)", 4), ("$send (i32.const 1024) (i32.const 4)", 0),
                ("$receive (i32.const 1024) (i32.const 100)", 0), ("$receive (i32.const 1024) (i32.const 100)", 0),
            ],
            heard: "hello you",
            events: [event(0, "hello"), event(2, " you"), SessionEvent(call: 4, end: .over)]),
        Talk(
            testDescription: "what does not fit is there for the next call, and for standard input", words: [hello],
            steps: [
                ("$receive (i32.const 1024) (i32.const 2)", 2), ("$read (i32.const 1026) (i32.const 1)", 1),
                ("$waiting", 2), ("$polled", 2), ("$receive (i32.const 1027) (i32.const 9)", 2),
                ("$send (i32.const 1024) (i32.const 5)", 0), ("$read (i32.const 1024) (i32.const 9)", 0),
                ("$receive (i32.const 1024) (i32.const 9)", 0),
            ],
            heard: "hello", events: [event(0, "hello"), SessionEvent(call: 2, end: .over)]),
        Talk(
            testDescription: "session_waiting tells nothing yet, bytes, and the end apart, and takes nothing",
            words: [.nothing, hello],
            steps: [
                ("$waiting", 0), ("$waiting", 5), ("$waiting", 5), ("$receive (i32.const 1024) (i32.const 4)", 4),
                ("$waiting", 1), ("$receive (i32.const 1024) (i32.const 4)", 1), ("$waiting", -6),
                ("$receive (i32.const 1024) (i32.const 4)", 0), ("$waiting", -6),
            ],
            events: [event(1, "hello"), SessionEvent(call: 2, end: .over)]),
        Talk(
            testDescription: "what poll_oneoff found is there for the calls", words: [hello], delayMilliseconds: 30,
            steps: [("$polled", 5), ("$waiting", 5), ("$receive (i32.const 1024) (i32.const 9)", 5)],
            events: [event(0, "hello")]),
        Talk(
            testDescription: "more than 64 KiB is sent in one call", words: [hello],
            steps: [
                ("$send (i32.const 70000) (i32.const 100000)", 0), ("$send (i32.const 0) (i32.const 0)", 0),
                ("$receive (i32.const 1024) (i32.const 9)", 5),
            ],
            heard: String(repeating: "\0", count: 100_000), events: [event(2, "hello")]),
        Talk(
            testDescription: "lengths outside their range are refused, and nothing is waited for", words: [.nothing],
            steps: [
                ("$receive (i32.const 1024) (i32.const 0)", -1), ("$receive (i32.const 0) (i32.const 1048577)", -3),
                ("$receive (i32.const 0) (i32.const -1)", -3), ("$send (i32.const 0) (i32.const 1048577)", -3),
                ("$send (i32.const 0) (i32.const -1)", -3),
            ],
            events: []),
    ]

    @Test("A module talks by calls as by standard streams, and its session can be played again", arguments: talks)
    func talked(_ talk: Talk) async throws {
        let machine = try machine()
        let user = Self.says(talk.words, delayMilliseconds: talk.delayMilliseconds)
        let first = try await run(Self.module(talk.steps), user, on: machine)
        #expect(first.outcome == .exited(code: 0), "the number of the step that gave something else")
        #expect(user.heard == talk.heard)
        #expect((machine.host.text(first.standardOutputCID) ?? "") == talk.heard)
        let events = try #require(first.session?.events)
        #expect(events.map { SessionEvent(call: $0.call, data: $0.data, end: $0.end) } == talk.events)
        for event in events where talk.delayMilliseconds > 0 {
            #expect(event.waited ?? 0 >= UInt64(talk.delayMilliseconds) * 1_000_000, "it was waited for")
        }
        let again = try await run(Self.module(talk.steps), nil, played: events, on: machine)
        #expect(again.session?.fault == nil)
        #expect(again.outcome == first.outcome)
        #expect(again.standardOutputCID == first.standardOutputCID)
        #expect(again.usage.fuel == first.usage.fuel && again.usage.bytesRead == first.usage.bytesRead)
        #expect(again.session?.events == events)
    }

    @Test("A live session goes on behind what is played, in the middle of what one call brought")
    func goesOn() async throws {
        let machine = try machine()
        let text = Self.module([
            ("$receive (i32.const 1024) (i32.const 2)", 2), ("$waiting", 3),
            ("$receive (i32.const 1026) (i32.const 9)", 3), ("$receive (i32.const 1029) (i32.const 9)", 4),
            ("$send (i32.const 1024) (i32.const 9)", 0),
        ])
        let user = Self.says([.bytes(Array(" you".utf8))])
        let result = try await run(text, user, played: [Self.event(0, "hello")], on: machine)
        #expect(result.outcome == .exited(code: 0))
        #expect(user.heard == "hello you")
        #expect(result.session?.events == [Self.event(0, "hello"), Self.event(1, " you")])
    }

    @Test("A transcript in which session_receive waited in vain is none: it has no time of its own")
    func strayed() async throws {
        let result = try await run(
            Self.module([("$receive (i32.const 1024) (i32.const 2)", 2)]), nil,
            played: [SessionEvent(call: 0, end: .elapsed, waited: 5)], on: try machine())
        #expect(result.session?.fault == "waits longer at its call 0 than the transcript says")
    }

    @Test("Whoever neither speaks nor reads ends the run by the job's own bound for waiting")
    func idle() async throws {
        let machine = try machine()
        let terms = SessionTerms(idleSeconds: 1)
        let calls = [
            ("$receive (i32.const 1024) (i32.const 2)", ScriptedUser { _ in .nothing }),
            ("$send (i32.const 1024) (i32.const 2)", ScriptedUser(room: 0) { _ in .nothing }),
        ]
        for (call, user) in calls {
            let result = try await run(Self.module([(call, 0)]), user, terms: terms, on: machine)
            #expect(result.outcome == .limitExceeded(.idle), "\(call)")
        }
    }

    @Test("Sending counts to the job's output, and stops there") func output() async throws {
        let machine = try machine()
        let text = Self.module([
            ("$send (i32.const 0) (i32.const 600)", 0), ("$send (i32.const 0) (i32.const 600)", 0),
        ])
        let result = try await run(text, Self.says([]), maxOutput: 1_000, on: machine)
        #expect(result.outcome == .limitExceeded(.output))
        #expect(machine.host.text(result.standardOutputCID)?.utf8.count == 600)
    }

    @Test(
        "Each call costs what others do: 100, and one for each byte that it moves",
        arguments: [
            ("$receive (i32.const 1024) (i32.const 100000)", 5), ("$waiting", 0),
            ("$send (i32.const 0) (i32.const 3000)", 3_000),
        ])
    func fuel(_ call: String, bytes: Int) async throws {
        let text = Self.module(
            """
            (local.set $before (call $fuel))
            (drop (call \(call)))
            (return (i32.wrap_i64 (i64.sub (local.get $before) (call $fuel))))
            """)
        let result = try await run(text, Self.says([Self.hello]), on: try machine())
        guard case .exited(let code) = result.outcome else {
            Issue.record("ended as \(result.outcome)")
            return
        }
        let cost = 2 * Int(HostCall.callFuel) + bytes
        #expect((cost..<cost + 20).contains(Int(code)), "\(code)")
        let short = try await run(
            text, Self.says([Self.hello]), fuel: UInt64(cost) - 1, on: try machine())
        #expect(short.outcome == .limitExceeded(.fuel))
    }

    static let outside = [
        "receive (i32.const 196607) (i32.const 2)", "receive (i32.const -1) (i32.const 1)",
        "receive (i32.const 0) (i32.const 196609)", "send (i32.const 196607) (i32.const 2)",
        "send (i32.const -1) (i32.const 1)", "send (i32.const 1) (i32.const 196608)",
    ]

    @Test(
        "A pointer outside the memory is a trap that names the function, before anything is waited for",
        arguments: outside)
    func pointers(_ call: String) async throws {
        let user = ScriptedUser { _ in .nothing }
        let result = try await run(
            Self.module([("$\(call)", 0)]), user, terms: SessionTerms(idleSeconds: 1), on: try machine())
        let name = call.prefix { $0 != " " }
        let message = "mesh_host_v1.session_\(name) was given a pointer outside the memory"
        #expect(result.outcome == .trapped(kind: .hostCall, message: message))
        #expect(user.heard.isEmpty)
    }

    @Test("In a job without a session every call says so, whatever it is given, and writes nothing")
    func withoutSession() async throws {
        let machine = try machine()
        let text = Self.module([
            ("$receive (i32.const 1024) (i32.const 9)", -5), ("$receive (i32.const -1) (i32.const 9)", -5),
            ("$receive (i32.const 0) (i32.const 0)", -5), ("$send (i32.const 1024) (i32.const 9)", -5),
            ("$send (i32.const -1) (i32.const -1)", -5), ("$waiting", -5), ("$read (i32.const 1024) (i32.const 9)", 0),
        ])
        let result = try await run(text, nil, terms: nil, on: machine)
        #expect(result.outcome == .exited(code: 0))
        #expect(result.standardOutputCID == nil && result.session == nil)
    }

    @Test("Inspection tells which modules import a session call")
    func inspected() throws {
        let other = #"(module (import "mesh_host_v1" "progress" (func (param i32) (result i32))))"#
        #expect(try !ModuleInspection(Guests.assemble(other)).usesSessionCalls)
        #expect(try ModuleInspection(Guests.assemble(Self.module(""))).usesSessionCalls)
        for name in MeshHostABI.sessionFunctions {
            #expect(HostFunctionTable.standard[MeshHostABI.module, name] != nil)
            let text = "(module (import \"\(MeshHostABI.module)\" \"\(name)\" (func)))"
            #expect(try ModuleInspection(Guests.assemble(text)).usesSessionCalls)
        }
        let elsewhere = #"(module (import "env" "session_send" (func)))"#
        #expect(try !ModuleInspection(Guests.assemble(elsewhere)).usesSessionCalls)
    }
}
