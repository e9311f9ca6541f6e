import CoVM
import Foundation
import JobMarket
import LibP2P
import Logging
import MeshTypes
import Multiformats
import NIOCore
import NodeAPI
import NodeCore
import NodeSetup
import P2PTesting
import PeerIdentity
import Testing

@testable import PlanetaryMesh

/// What jobs write, seen while they run.
@Suite("Live output", .serialized)
struct LiveOutputTests {
    /// Writes a text so many times, `err` to standard error, and computes for ever.
    private static func writing(_ text: String, times: Int = 1) -> String {
        """
        (module
          (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
          (memory (export "memory") 1)
          (data (i32.const 1024) "\(text)err")
          (func $say (param i32 i32 i32)
            (i32.store (i32.const 0) (local.get 1))
            (i32.store (i32.const 4) (local.get 2))
            (drop (call $write (local.get 0) (i32.const 0) (i32.const 1) (i32.const 8))))
          (func (export "_start") (local $left i32)
            (local.set $left (i32.const \(times)))
            (loop $l
              (call $say (i32.const 1) (i32.const 1024) (i32.const \(text.utf8.count)))
              (br_if $l (local.tee $left (i32.sub (local.get $left) (i32.const 1)))))
            (call $say (i32.const 2) (i32.const \(1_024 + text.utf8.count)) (i32.const 3))
            (loop $l (br $l))))
        """
    }

    private func submit(_ mesh: NodeMesh, _ text: String = "out", times: Int = 1) async throws -> CID {
        try await mesh.submit(try Assembler.module(Self.writing(text, times: times))) { submission in
            (submission.limits.maxFuel, submission.limits.timeoutSeconds) = (100_000_000_000, 300)
            submission.budget = 1 << 60
        }
    }

    /// What a watcher sees until standard error's `err` is there.
    private func watched(_ node: MeshNode, _ job: CID) async throws -> [OutputNews.Piece] {
        var (pieces, place): ([OutputNews.Piece], OutputPlace) = ([], OutputPlace())
        while pieces.last?.isError != true {
            let news = try await node.output(of: job, from: place)
            try #require(news.prospect == .more, "it ended too early")
            pieces += news.pieces
            place = news.end
        }
        return pieces
    }

    private func assignment(of job: CID, _ mesh: NodeMesh) async throws -> CID {
        try #require(await mesh.originator.core.market.originatedJob(JobID(job))?.liveAttempt?.cid)
    }

    @Test("Every watcher of the originator sees what the module writes while it runs, and nobody else")
    func seen() async throws {
        try await NodeMesh.run(prices: [10, 90]) { mesh in
            let job = try await submit(mesh)
            for _ in 0..<2 {
                let pieces = try await watched(mesh.originator, job)
                #expect(String(decoding: pieces.flatMap(\.bytes), as: UTF8.self) == "outerr")
            }
            let run = try await assignment(of: job, mesh)
            let data = JobInteractiveDataV1(
                jobID: JobID(job), assignmentCID: run, sequence: 0, data: [], acknowledged: 0, credit: 100,
                isLast: false)
            let frame = ByteBuffer(bytes: try MeshProtocolMessage.jobInteractiveInput(data).encoded())
            let executor = try #require(mesh.nodes.first { $0.runOutputs.output(of: run) != nil })
            let other = try #require(mesh.nodes.dropLast().first { $0.identity.peerID != executor.identity.peerID })
            let addresses = await executor.swarm.listenAddresses()
            try await other.swarm.connect(to: executor.identity.peerID, addresses: addresses)
            let stream = try await other.swarm.openStream(
                to: executor.identity.peerID, protocols: [MeshTopics.outputs])
            try await stream.writeFrame(frame)
            await #expect(throws: StreamError.reset) { _ = try await stream.readFrame(bytesMax: 1 << 20) }
            await #expect(throws: NodeServiceError.self) { _ = try await other.output(of: job, from: OutputPlace()) }
            _ = try await mesh.originator.cancel(job)
            _ = try await mesh.result(of: job)
            let end = try await mesh.originator.output(of: job, from: OutputPlace(attempt: 1, position: 6))
            #expect(end.prospect == .over && end.pieces.isEmpty)
            #expect(executor.runOutputs.output(of: run) == nil, "what nobody needs is not kept")
        }
    }

    @Test("A node sees what a job writes that it runs itself") func ownRun() async throws {
        func execute(_ index: Int, _ configuration: inout NodeConfiguration) {
            configuration.executor.isEnabled = true
        }
        try await NodeMesh.run(prices: [], configure: execute) { mesh in
            let job = try await submit(mesh)
            #expect(try await watched(mesh.originator, job).count == 2)
            _ = try await mesh.originator.cancel(job)
            _ = try await mesh.result(of: job)
        }
    }

    @Test("Who comes late sees the last window, and by the positions that there was more") func late() async throws {
        try await NodeMesh.run(prices: [10]) { mesh in
            let job = try await submit(mesh, String(repeating: "x", count: 1_024), times: 1_024)
            try await eventually("all is written") {
                guard let run = await mesh.originator.core.market.originatedJob(JobID(job))?.liveAttempt?.cid
                else { return false }
                return mesh.nodes[0].runOutputs.output(of: run)?.tail.end == 1 << 20 + 3
            }
            let pieces = try await watched(mesh.originator, job)
            let output = pieces.filter { !$0.isError }
            let count = output.reduce(0) { $0 + $1.bytes.count }
            #expect(count <= OutputTail.Limits.bytesMax && count > OutputTail.Limits.bytesMax / 2)
            #expect(output.first.map { Int($0.position) } == 1 << 20 - count)
            _ = try await mesh.originator.cancel(job)
            _ = try await mesh.result(of: job)
        }
    }

    /// The first that is seen of what a job writes, however long it takes to begin.
    private static func beginning(of job: CID, _ node: MeshNode) async throws -> OutputNews {
        while true {
            try Task.checkCancellation()
            let news = try await node.output(of: job, from: OutputPlace())
            if !news.pieces.isEmpty || news.prospect != .more { return news }
        }
    }

    @Test("The executors of a job's replicas are asked for their output too, so that none can tell its owner's job")
    func replicas() async throws {
        try await NodeMesh.run(prices: [10, 20, 30]) { mesh in
            let job = try await mesh.submit(try Assembler.module(Self.writing("out"))) { submission in
                (submission.limits.maxFuel, submission.limits.timeoutSeconds) = (100_000_000_000, 300)
                (submission.budget, submission.verification) = (1 << 40, "quorum:2/3")
            }
            let seen = try await watched(mesh.originator, job)
            #expect(seen.filter { !$0.isError }.flatMap(\.bytes) == Array("out".utf8), "only its own output is shown")
            try await eventually("all three are asked") {
                mesh.nodes[0..<3].allSatisfy { $0.runOutputs.askedFor == 1 }
            }
            _ = try await mesh.originator.cancel(job)
            _ = try await mesh.result(of: job)
        }
    }

    @Test("An observer of an interactive job takes nothing from its user") func observed() async throws {
        try await NodeMesh.run(prices: [10]) { mesh in
            let job = try await mesh.submit(try Assembler.module(SessionTests.echo)) { submission in
                submission.session = JobSubmission.Session(idleSeconds: 100)
            }
            // One observer is there before the user is.
            async let early = Self.beginning(of: job, mesh.originator)
            let user = try await SessionUser(mesh.originator, job)
            #expect(try await user.answer(to: "one\n") == "one\n")
            let first = try await early
            #expect(first.pieces.flatMap(\.bytes) == Array("one\n".utf8) && first.isCounted)
            let again = try await mesh.originator.output(of: job, from: OutputPlace())
            #expect(again.pieces.flatMap(\.bytes) == Array("one\n".utf8))
            #expect(try await user.answer(to: "two\n") == "two\n")
            let next = try await mesh.originator.output(of: job, from: first.end)
            #expect(next.pieces.flatMap(\.bytes) == Array("two\n".utf8))
            try await user.end()
            #expect(try await mesh.result(of: job).ending == .succeeded)
            #expect(try await mesh.originator.output(of: job, from: next.end).prospect == .over)
        }
    }

    @Test("A node shows watchedMax jobs at once; one that nobody watches any more makes room") func room() async throws
    {
        try await NodeMesh.run(prices: [10]) { mesh in
            let node = mesh.originator
            let limits = OutputDesk.Limits(watchedMax: 1, unwatchedMilliseconds: 1)
            let desk = OutputDesk(parts: node.parts, runs: node.runOutputs, sessions: node.sessions, limits: limits)
            let following = Task { await desk.run(on: node) }
            defer { following.cancel() }
            let jobs = [try await submit(mesh), try await submit(mesh)].map { JobID($0) }
            let first = try await desk.watch(jobs[0], from: OutputPlace(), on: node)
            #expect(!first.pieces.isEmpty)
            // All of it is known, so this one waits.
            let behind = OutputPlace(attempt: first.place.attempt, position: 6)
            let watching = Task { try await desk.watch(jobs[0], from: behind, on: node) }
            try await eventually("the first is watched") { await desk.watcherCount == 1 }
            await #expect(throws: NodeServiceError.self) {
                _ = try await desk.watch(jobs[1], from: OutputPlace(), on: node)
            }
            watching.cancel()
            try await eventually("the first makes room for the second") {
                (try? await desk.watch(jobs[1], from: OutputPlace(), on: node))?.pieces.isEmpty == false
            }
            for job in jobs {
                _ = try await node.cancel(job.cid)
                _ = try await mesh.result(of: job.cid)
            }
        }
    }

    @Test("A stream of a run that has ended goes with it, whatever its reader took")
    func endedStreams() async throws {
        var logger = Logger(label: "test")
        logger.logLevel = .critical
        try await NodeMesh.run(prices: [10]) { [logger] mesh in
            let other = Swarm(configuration: SwarmConfiguration(), identity: Identity.generate(), logger: logger)
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { try await other.run() }
                defer { group.cancelAll() }
                let host = mesh.originator.swarm
                try await other.connect(to: host.localPeer, addresses: await host.listenAddresses())
                var limits = RunSessions.Limits()
                limits.arrivalMilliseconds = 500
                let outputs = RunOutputs(limits: limits)
                await outputs.serve(on: other, admitting: { _ in true }, blame: { _, _ in })
                let (job, cid) = (JobID(CID.hashing([1], codec: .dagCBOR)), CID.hashing([2], codec: .dagCBOR))
                outputs.begin(cid, of: host.localPeer)
                outputs.output(of: cid)?.wrote([OutputPart(isError: false, bytes: [7, 7, 7])])
                try await eventually("both ends have the connection") { host.isConnected(other.localPeer) }
                let stream = try await host.openStream(to: other.localPeer, protocols: [MeshTopics.outputs])
                let grant = JobInteractiveDataV1(
                    jobID: job, assignmentCID: cid, sequence: 0, data: [], acknowledged: 0, credit: 1, isLast: false)
                try await stream.writeFrame(
                    ByteBuffer(bytes: try MeshProtocolMessage.jobInteractiveInput(grant).encoded()))
                guard case .jobInteractiveOutput(let piece)? = try await SessionStream.message(on: stream) else {
                    Issue.record("no output")
                    return
                }
                #expect(piece.data == [7])
                outputs.ended(cid)
                // Two bytes are still to come, which it was not allowed to send.
                await #expect(throws: StreamError.self) { _ = try await SessionStream.message(on: stream) }
            }
        }
    }

    @Test("An executor of an earlier version shows nothing and is told as such; one that breaks the rules is found")
    func others() async throws {
        var logger = Logger(label: "test")
        logger.logLevel = .critical
        try await NodeMesh.run(prices: [10]) { [logger] mesh in
            let identity = Identity.generate()
            let other = Swarm(configuration: SwarmConfiguration(), identity: identity, logger: logger)
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { try await other.run() }
                defer { group.cancelAll() }
                let host = mesh.originator.swarm
                try await other.connect(to: host.localPeer, addresses: await host.listenAddresses())
                let (job, cid) = (JobID(CID.hashing([1], codec: .dagCBOR)), CID.hashing([2], codec: .dagCBOR))
                let run = OutputRun(assignment: cid, attempt: 1, executor: identity.peerID, outputBytesMax: 100)
                let stream = OutputStream(job: job, run: run, output: LiveOutput())
                // Before it has said what it speaks, the stream only breaks.
                try await eventually("it is known to speak no such thing") {
                    await stream.receive(on: host) == .unsupported
                }
                await other.handle(MeshTopics.outputs) { stream in
                    for position in [5, 4] as [UInt64] {
                        let data = JobInteractiveDataV1(
                            jobID: job, assignmentCID: cid, sequence: position, data: [7], acknowledged: 0, credit: 0,
                            isLast: false)
                        let bytes = try? MeshProtocolMessage.jobInteractiveOutput(data).encoded()
                        try? await stream.writeFrame(ByteBuffer(bytes: bytes ?? []))
                    }
                    _ = try? await stream.read()
                    while (try? await stream.read()) != nil {}
                }
                let bad = await stream.receive(on: host)
                #expect(bad == .broken(.gap))
                #expect(stream.output.tail.pieces(from: 0, bytesMax: 9).pieces.map(\.position) == [5])
            }
        }
    }
}
