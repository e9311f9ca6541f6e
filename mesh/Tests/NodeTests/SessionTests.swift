import Foundation
import JobMarket
import LibP2P
import MeshTypes
import Multiformats
import NIOCore
import NodeAPI
import NodeCore
import NodeSetup
import P2PTesting
import PeerIdentity
import Synchronization
import Testing

@testable import PlanetaryMesh

/// Interactive jobs between real nodes.
@Suite("Sessions", .serialized)
struct SessionTests {
    /// Says back what it reads, until the end.
    static let echo = """
        (module
          (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
          (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
          (memory (export "memory") 2)
          (func (export "_start")
            (i32.store (i32.const 0) (i32.const 1024))
            (loop $l
              (i32.store (i32.const 4) (i32.const 65536))
              (drop (call $read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 8)))
              (if (i32.load (i32.const 8)) (then
                (i32.store (i32.const 4) (i32.load (i32.const 8)))
                (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 12)))
                (br $l))))))
        """

    private func submit(
        _ mesh: NodeMesh, maxOutput: UInt64? = nil, transcript: String? = nil
    ) async throws -> CID {
        try await mesh.submit(try Assembler.module(Self.echo)) { submission in
            submission.session = JobSubmission.Session(idleSeconds: 100, transcript: transcript)
            submission.limits.maxOutputBytes = maxOutput
        }
    }

    @Test("What is typed is said back through two nodes; the job waits meanwhile, and its receipt is attested")
    func echoed() async throws {
        try await NodeMesh.run(prices: [10]) { mesh in
            let job = try await submit(mesh, transcript: "none")
            let user = try await SessionUser(mesh.originator, job)
            let result = try await user.hearsEachLine(of: job, in: mesh)
            let receipt = try CID(named: try #require(result.receiptCID), "receipt")
            let view = try await mesh.originator.receipt(receipt)
            #expect(view.determinism == "attested" && view.transcriptCID == nil)
            await #expect(throws: NodeServiceError.self) { try await mesh.originator.replayReceipt(receipt) }
        }
    }

    @Test("A node talks with a job that it runs itself") func ownRun() async throws {
        func execute(_ index: Int, _ configuration: inout NodeConfiguration) {
            configuration.executor.isEnabled = true
        }
        try await NodeMesh.run(prices: [], configure: execute) { mesh in
            let job = try await submit(mesh)
            let user = try await SessionUser(mesh.originator, job)
            #expect(try await user.answer(to: "alone\n") == "alone\n")
            try await user.end()
            #expect(try await mesh.result(of: job).ending == .succeeded)
        }
    }

    @Test("Ten megabytes go through in both directions at once") func bulk() async throws {
        try await NodeMesh.run(prices: [10]) { mesh in
            let job = try await submit(mesh, maxOutput: 11 << 20)
            let user = try await SessionUser(mesh.originator, job)
            let bytes = (0..<10 << 20).map { UInt8(truncatingIfNeeded: $0 &* 31 ^ $0 >> 9) }
            async let typed: Void = user.type(bytes)
            let heard = try await user.hear(count: bytes.count)
            try await typed
            #expect(heard == bytes)
            try await user.end()
            let result = try await mesh.result(of: job)
            #expect(result.ending == .succeeded)
            // More was typed than a transcript has; so it has none, and cannot be repeated.
            let receipt = try CID(named: try #require(result.receiptCID), "receipt")
            #expect(try await mesh.originator.receipt(receipt).transcriptCID == nil)
            await #expect(throws: NodeServiceError.self) { try await mesh.originator.replayReceipt(receipt) }
        }
    }

    @Test("A reader that stalls keeps the module waiting, and no more than a window at each end; then all comes")
    func stalled() async throws {
        try await NodeMesh.run(prices: [10]) { mesh in
            let job = try await submit(mesh)
            let user = try await SessionUser(mesh.originator, job)
            let bytes = [UInt8](repeating: 7, count: 2 << 20)
            async let typed: Void = user.type(bytes)
            try await eventually("the job waits for room") {
                try await mesh.originator.job(job).phase == JobStatus.awaitingInputs.rawValue
            }
            #expect(user.typedCount < bytes.count, "more was taken than there is room for")
            #expect(try await user.hear(count: bytes.count) == bytes)
            try await typed
            try await user.end()
            #expect(try await mesh.result(of: job).ending == .succeeded)
        }
    }

    @Test("A session goes on after its connection was cut") func cut() async throws {
        try await NodeMesh.run(prices: [10]) { mesh in
            let executor = mesh.nodes[0]
            let job = try await submit(mesh)
            let user = try await SessionUser(mesh.originator, job)
            for word in ["one\n", "two\n", "three\n"] {
                #expect(try await user.answer(to: word) == word)
                await mesh.originator.swarm.disconnect(executor.identity.peerID)
            }
            try await user.end()
            #expect(try await mesh.result(of: job).ending == .succeeded)
        }
    }

    @Test("Who attaches sees all from what was seen last, and whoever was there is told") func attached() async throws {
        try await NodeMesh.run(prices: [10]) { mesh in
            let job = try await submit(mesh)
            let first = try await SessionUser(mesh.originator, job)
            #expect(try await first.answer(to: "one\n") == "one\n")
            try await first.type(Array("two\n".utf8))
            let second = try await SessionUser(mesh.originator, job)
            // The first has not said yet that it saw its line.
            #expect(try await second.hear(count: 8) == Array("one\ntwo\n".utf8))
            // A third that comes when the second has heard on sees nothing twice.
            try await second.type(Array("next\n".utf8))
            #expect(try await second.hear(count: 5) == Array("next\n".utf8))
            #expect(try await mesh.originator.hear(job, from: await second.place).place.position == 13)
            let conflict = await #expect(throws: NodeServiceError.self) { try await first.hear(count: 1) }
            #expect(conflict?.code == .conflict)
            #expect(try await second.answer(to: "three\n") == "three\n")
            try await second.end()
            #expect(try await mesh.result(of: job).ending == .succeeded)
        }
    }

    @Test("Only the originator gets a stream, and one that breaks the rules loses it") func strangers() async throws {
        try await NodeMesh.run(prices: [10]) { mesh in
            let executor = mesh.nodes[0]
            let job = try await submit(mesh)
            let user = try await SessionUser(mesh.originator, job)
            #expect(try await user.answer(to: "one\n") == "one\n")
            let assignment = try #require(await mesh.originator.core.market.originatedJob(JobID(job))?.liveAttempt?.cid)
            func frame(_ change: (inout JobInteractiveDataV1) -> Void) throws -> ByteBuffer {
                var data = JobInteractiveDataV1(
                    jobID: JobID(job), assignmentCID: assignment, sequence: 0, data: [], acknowledged: 0, credit: 9,
                    isLast: false)
                change(&data)
                return ByteBuffer(bytes: try MeshProtocolMessage.jobInteractiveInput(data).encoded())
            }
            #expect(executor.runSessions.port(of: assignment, for: executor.identity.peerID) == nil)
            #expect(executor.runSessions.port(of: assignment, for: mesh.originator.identity.peerID) != nil)
            for change in [
                { $0.sequence = 9_999 }, { $0.acknowledged = 9_999 }, { $0.isError = true },
                { $0.jobID = JobID(assignment) },
                // Input without the originator's word for it.
                { ($0.sequence, $0.data) = (4, [1]) }, { ($0.sequence, $0.isLast) = (4, true) },
                { ($0.sequence, $0.data, $0.statement) = (4, [1], [1, 2, 3]) },
            ] as [(inout JobInteractiveDataV1) -> Void] {
                let stream = try await mesh.originator.swarm.openStream(
                    to: executor.identity.peerID, protocols: [MeshTopics.sessions])
                try await stream.writeFrame(try frame(change))
                await #expect(throws: (any Error).self) {
                    while try await stream.readFrame(bytesMax: 1 << 20) != nil {}
                    throw CancellationError()
                }
            }
            // The session itself is none the worse.
            #expect(try await user.answer(to: "two\n") == "two\n")
            try await user.end()
            #expect(try await mesh.result(of: job).ending == .succeeded)
        }
    }

    @Test("A node that may have one session has one after the other") func oneAfterTheOther() async throws {
        try await NodeMesh.run(prices: [10]) { mesh in
            let node = mesh.originator
            let desk = SessionDesk(
                parts: node.parts, runs: node.runSessions, limits: SessionDesk.Limits(sessionsMax: 1))
            let following = Task { await desk.run(on: node) }
            defer { following.cancel() }
            for _ in 0..<2 {
                let job = try await submit(mesh)
                var (place, input): (SessionPlace, UInt64?) = (SessionPlace(), nil)
                while input == nil {
                    let news = try await desk.hear(JobID(job), from: place, on: node)
                    (place.client, input) = (news.place.client, news.inputPosition)
                    if input != nil { place.attempt = news.place.attempt }
                }
                _ = try await desk.say([], isLast: true, to: JobID(job), at: place, on: node)
                // It is told as over when the job is, not when one executor has said its last.
                while try await !desk.hear(JobID(job), from: place, on: node).isOver {}
                #expect(try await node.job(job).result != nil)
            }
        }
    }

    @Test("Who comes again after the end of the input was typed is told so, and types no more") func endedInput() throws
    {
        let (job, assignment) = (JobID(CID.hashing([1], codec: .dagCBOR)), CID.hashing([2], codec: .dagCBOR))
        let module = SessionPort(job: job, assignment: assignment, side: .module)
        for position in 0..<2 {
            let user = SessionPort(job: job, assignment: assignment, side: .user)
            var (mine, its) = (SessionPort.Told(), SessionPort.Told())
            let stream = module.beginStream()
            try module.take(try #require(user.next(&mine)), on: stream)
            try user.take(try #require(module.next(&its)))
            #expect(user.view(from: nil, bytesMax: 1).isInputOver == (position == 1))
            if position == 0 {
                #expect(try user.type([7], at: 0, isLast: true) == 1)
                try module.take(try #require(user.next(&mine)), on: stream)
            } else {
                #expect(throws: SessionFault.afterTheEnd) { try user.type([8], at: 1, isLast: false) }
                // What an older stream brings late is not taken.
                let late = JobInteractiveDataV1(
                    jobID: job, assignmentCID: assignment, sequence: 9, data: [9], acknowledged: 0, credit: 0,
                    isLast: false)
                try module.take(.jobInteractiveInput(late), on: stream - 1)
                #expect(throws: SessionFault.gap) { try module.take(.jobInteractiveInput(late), on: stream) }
            }
        }
    }

    @Test("A job that cannot be interactive is refused by what it asks for") func refused() async throws {
        try await NodeMesh.run(prices: [10]) { mesh in
            let changes: [(inout JobSubmission) -> Void] = [
                { $0.session?.idleSeconds = 3_601 }, { $0.session?.waitingSeconds = 86_401 },
                { $0.verification = "replay" }, { $0.verification = "spot:10%" },
            ]
            for change in changes {
                await #expect(throws: NodeServiceError.self) {
                    try await mesh.submit(try Assembler.module(Self.echo)) { submission in
                        submission.session = JobSubmission.Session()
                        change(&submission)
                    }
                }
            }
            let plain = try await mesh.submit(try Assembler.module(Self.echo))
            await #expect(throws: NodeServiceError.self) {
                try await mesh.originator.hear(plain, from: SessionPlace())
            }
            _ = try await mesh.result(of: plain)
        }
    }
}

/// Somebody who talks with a job.
actor SessionUser {
    private let node: MeshNode
    private let job: CID
    private var heard: SessionPlace
    private var said: SessionPlace
    private var waiting: [UInt8] = []
    fileprivate nonisolated let typed = Count()

    /// How many bytes the node has taken.
    nonisolated var typedCount: Int { typed.value }

    init(_ node: MeshNode, _ job: CID) async throws {
        (self.node, self.job) = (node, job)
        var place = SessionPlace()
        while true {
            let news = try await node.hear(job, from: place)
            place.client = news.place.client
            guard let input = news.inputPosition else { continue }
            heard = SessionPlace(client: place.client, attempt: news.place.attempt, position: news.end)
            said = SessionPlace(client: place.client, attempt: news.place.attempt, position: input)
            waiting = news.pieces.flatMap(\.bytes)
            return
        }
    }

    func type(_ bytes: [UInt8]) async throws {
        var rest = bytes[...]
        while !rest.isEmpty {
            let next = try await node.say(
                Array(rest.prefix(SessionCalls.saidBytesMax)), isLast: false, to: job, at: said)
            let count = Int(next.position - said.position)
            rest = rest.dropFirst(count)
            typed.add(count)
            said = next
        }
    }

    func hear(count: Int) async throws -> [UInt8] {
        while waiting.count < count {
            let news = try await node.hear(job, from: heard)
            waiting += news.pieces.flatMap(\.bytes)
            heard.position = news.end
            if news.isOver { break }
        }
        defer { waiting = Array(waiting.dropFirst(count)) }
        return Array(waiting.prefix(count))
    }

    func answer(to text: String) async throws -> String {
        try await type(Array(text.utf8))
        return String(decoding: try await hear(count: text.utf8.count), as: UTF8.self)
    }

    /// Where it is in what was written.
    var place: SessionPlace { heard }

    func end() async throws { _ = try await node.say([], isLast: true, to: job, at: said) }
}

/// A count that others may look at.
private final class Count: Sendable {
    private let count = Mutex(0)
    var value: Int { count.withLock { $0 } }
    func add(_ more: Int) { count.withLock { $0 += more } }
}

extension SessionUser {
    /// Types three lines, each of which has to come back, and ends the input; how the job ended, whose output has them.
    func hearsEachLine(of job: CID, in mesh: NodeMesh) async throws -> JobResult {
        for word in ["one\n", "two\n"] {
            let heard = try await answer(to: word)
            #expect(heard == word)
        }
        try await eventually("the job waits for its user") {
            try await mesh.originator.job(job).phase == JobStatus.awaitingInputs.rawValue
        }
        let heard = try await answer(to: "three\n")
        #expect(heard == "three\n")
        try await end()
        let result = try await mesh.result(of: job)
        #expect(result.ending == .succeeded, "\(result.detail)")
        let output = try await mesh.originator.get(try CID(named: try #require(result.stdoutCID), "output"))
        #expect(output == Array("one\ntwo\nthree\n".utf8))
        return result
    }
}
