import IPLD
import LibP2P
import MeshTypes
import Multiformats
import NodeAPI
import NodeCore
import P2PTesting
import PeerIdentity
import Receipts
import SignedObjects
import Testing

@testable import PlanetaryMesh

/// Transcripts of interactive jobs between real nodes.
@Suite("Transcripts", .serialized)
struct TranscriptTests {
    /// Has a line said back, ends the input, and returns the receipt and the node that ran the job.
    private func talk(_ mesh: NodeMesh, transcript: String?) async throws -> (receipt: CID, executor: MeshNode) {
        let job = try await mesh.submit(try Assembler.module(SessionTests.echo)) { submission in
            submission.session = JobSubmission.Session(transcript: transcript)
        }
        let user = try await SessionUser(mesh.originator, job)
        for word in ["one\n", "two\n"] { #expect(try await user.answer(to: word) == word) }
        try await user.end()
        let result = try await mesh.result(of: job)
        #expect(result.ending == .succeeded, "\(result.detail)")
        let receipt = try CID(named: try #require(result.receiptCID), "receipt")
        let did = try await mesh.originator.receipt(receipt).executorDID
        return (receipt, try #require(mesh.nodes.first { $0.identity.did.text == did }))
    }

    private func line(_ report: ReceiptReport, _ name: String) -> ReceiptReport.Line? {
        report.lines.first { $0.name == name }
    }

    @Test("A private transcript is the two sides': each repeats the run with it, and a stranger has no way to it")
    func own() async throws {
        try await NodeMesh.run(prices: [10, 11]) { mesh in
            let (receipt, executor) = try await talk(mesh, transcript: nil)
            let view = try await mesh.originator.receipt(receipt)
            let cid = try CID(named: try #require(view.transcriptCID), "transcript")
            #expect(view.determinism == "attested")
            for node in [mesh.originator, executor] {
                let report = try await node.replayReceipt(receipt)
                #expect(report.isValid, "\(report.lines)")
                #expect(line(report, "same calls of its user")?.verdict == .passed)
                #expect(line(report, "same fuel")?.verdict == .passed)
                let found = line(try await node.verifyReceipt(receipt), "transcript of its session")
                #expect(found?.verdict == .passed && found?.detail.contains("8 bytes") == true, "\(found as Any)")
            }
            let block = try await mesh.originator.block(cid)
            let transcript = try #require(SessionTranscript(block: block))
            #expect(transcript.input == Array("one\ntwo\n".utf8) && transcript.events.last?.end == .over)
            let stranger = try #require(
                mesh.nodes.dropLast().first { $0.identity.peerID != executor.identity.peerID })
            let seen = try await stranger.verifyReceipt(receipt)
            #expect(seen.isValid, "what it may not have says nothing against the receipt")
            #expect(line(seen, "transcript of its session")?.verdict == .skipped)
            let refused = await #expect(throws: NodeServiceError.self) { try await stranger.replayReceipt(receipt) }
            #expect(refused?.code == .blockNotFound, "\(refused as Any)")
            for holder in [mesh.originator, executor] {
                let source = StoreBlockSource(store: holder.parts.store, results: holder.parts.results)
                #expect(await source.block(cid, for: stranger.identity.peerID) == nil)
                #expect(await !source.hasBlock(cid, for: stranger.identity.peerID))
                #expect(await source.block(cid, for: mesh.originator.identity.peerID) == block)
                #expect(await source.hasBlock(cid, for: mesh.originator.identity.peerID))
            }
            // Nor is it in what one gives to others.
            let file = try await mesh.originator.exportReceipt(receipt, withOutputs: true)
            let alone = try #require(line(try report(of: file, receipt), "transcript of its session"))
            #expect(alone.verdict == .skipped && alone.detail.contains("private"))
        }
    }

    private func report(of file: [UInt8], _ receipt: CID) throws -> ReceiptReport {
        ReceiptReport(verified: ReceiptArchive(try CAR(decoding: file)).verify(receipt))
    }

    /// Prompts, reads a line of digits and signs, and answers with the last digit of the sum, until the end.
    private static let calculator = """
        (module
          (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
          (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
          (memory (export "memory") 1)
          (data (i32.const 64) "> ")
          (data (i32.const 80) "?\\0a> ")
          (func $say (param $at i32) (param $count i32)
            (i32.store (i32.const 16) (local.get $at))
            (i32.store (i32.const 20) (local.get $count))
            (drop (call $write (i32.const 1) (i32.const 16) (i32.const 1) (i32.const 24))))
          (func (export "_start") (local $at i32) (local $byte i32) (local $sum i32)
            (i32.store (i32.const 0) (i32.const 256))
            (call $say (i32.const 64) (i32.const 2))
            (loop $l
              (i32.store (i32.const 4) (i32.const 256))
              (drop (call $read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 8)))
              (if (i32.load (i32.const 8)) (then
                (local.set $at (i32.const 0))
                (loop $bytes
                  (local.set $byte (i32.load8_u offset=256 (local.get $at)))
                  (if (i32.and (i32.ge_u (local.get $byte) (i32.const 48)) (i32.le_u (local.get $byte) (i32.const 57)))
                    (then (local.set $sum (i32.add (local.get $sum) (i32.sub (local.get $byte) (i32.const 48))))))
                  (if (i32.eq (local.get $byte) (i32.const 10)) (then
                    (i32.store8 (i32.const 80) (i32.add (i32.const 48) (i32.rem_u (local.get $sum) (i32.const 10))))
                    (local.set $sum (i32.const 0))
                    (call $say (i32.const 80) (i32.const 4))))
                  (local.set $at (i32.add (local.get $at) (i32.const 1)))
                  (br_if $bytes (i32.lt_u (local.get $at) (i32.load (i32.const 8)))))
                (br $l))))))
        """

    @Test("A talk with a REPL, key by key and through a cut of the connection, is repeated from its transcript")
    func calculator() async throws {
        try await NodeMesh.run(prices: [10]) { mesh in
            let job = try await mesh.submit(try Assembler.module(Self.calculator)) { submission in
                submission.session = JobSubmission.Session()
            }
            let user = try await SessionUser(mesh.originator, job)
            #expect(try await user.hear(count: 2) == Array("> ".utf8))
            for (line, answer) in [("1+2\n", "3"), ("7+8+9\n", "4"), ("\n", "0")] {
                for key in line.utf8 { try await user.type([key]) }
                #expect(try await user.hear(count: 4) == Array("\(answer)\n> ".utf8))
                await mesh.originator.swarm.disconnect(mesh.nodes[0].identity.peerID)
            }
            try await user.end()
            let result = try await mesh.result(of: job)
            #expect(result.ending == .succeeded, "\(result.detail)")
            let receipt = try CID(named: try #require(result.receiptCID), "receipt")
            let report = try await mesh.nodes[0].replayReceipt(receipt)
            #expect(report.isValid, "\(report.lines)")
        }
    }

    @Test("A shared transcript is for whoever has the receipt, and in its file") func shared() async throws {
        try await NodeMesh.run(prices: [10, 11]) { mesh in
            let (receipt, executor) = try await talk(mesh, transcript: "shared")
            let stranger = try #require(
                mesh.nodes.dropLast().first { $0.identity.peerID != executor.identity.peerID })
            let replay = try await stranger.replayReceipt(receipt)
            #expect(replay.isValid, "\(replay.lines)")
            let file = try await mesh.originator.exportReceipt(receipt, withOutputs: true)
            #expect(line(try report(of: file, receipt), "transcript of its session")?.verdict == .passed)
        }
    }

    @Test("A job that was cancelled while it waited is repeated to where it was") func cancelled() async throws {
        try await NodeMesh.run(prices: [10]) { mesh in
            let job = try await mesh.submit(try Assembler.module(SessionTests.echo)) { submission in
                submission.session = JobSubmission.Session()
            }
            let user = try await SessionUser(mesh.originator, job)
            #expect(try await user.answer(to: "one\n") == "one\n")
            try await eventually("the job waits for its user") {
                try await mesh.originator.job(job).phase == JobStatus.awaitingInputs.rawValue
            }
            _ = try await mesh.originator.cancel(job)
            let result = try await mesh.result(of: job)
            let receipt = try CID(named: try #require(result.receiptCID), "receipt")
            #expect(try await mesh.originator.receipt(receipt).transcriptCID != nil)
            let report = try await mesh.originator.replayReceipt(receipt)
            #expect(report.isValid, "\(report.lines)")
        }
    }

    @Test("The originator's word is asked for, whoever's node restarts") func words() throws {
        let (job, assignment) = (JobID(CID.hashing([1], codec: .dagCBOR)), CID.hashing([2], codec: .dagCBOR))
        let identity = Identity.generate()
        func port(_ side: SessionPort.Side) -> SessionPort {
            SessionPort(
                job: job, assignment: assignment, side: side,
                witness: SessionWitness(
                    jobID: job, assignment: assignment, originator: identity.did,
                    side: side == .user ? .signs(identity) : .checks))
        }
        let module = port(.module)
        // Each turn is another node of the originator, which knows nothing of the one before.
        for turn in 0..<3 {
            let user = port(.user)
            var (mine, its) = (SessionPort.Told(), SessionPort.Told())
            let stream = module.beginStream()
            try module.take(try #require(user.next(&mine)), on: stream)
            try user.take(try #require(module.next(&its)))
            let position = UInt64(2 * turn)
            #expect(try user.type([1, 2], at: position, isLast: turn == 2) == position + 2)
            try module.take(try #require(user.next(&mine)), on: stream)
            // A new stream of the same node says it again, from what was not acknowledged.
            var again = SessionPort.Told()
            let next = module.beginStream()
            while let message = user.next(&again) { try module.take(message, on: next) }
        }
        let evidence = try #require(module.evidence)
        let transcript = SessionTranscript(
            jobID: job, assignmentCID: assignment, originatorDID: identity.did, isShared: false, events: [],
            unread: evidence.unread, statements: evidence.statements)
        #expect(evidence.statements.count == 3 && evidence.unread == [1, 2, 1, 2, 1, 2])
        var receipt = Samples.receipt(job, assignment)
        receipt.originatorDID = identity.did
        #expect(transcript.fault(of: receipt, under: SessionTerms(transcript: .private)) == nil)
    }

    @Test("A transcript names no more nodes of the originator than it may") func statements() throws {
        let (job, assignment) = (JobID(CID.hashing([1], codec: .dagCBOR)), CID.hashing([2], codec: .dagCBOR))
        let identity = Identity.generate()
        let witness = SessionWitness(
            jobID: job, assignment: assignment, originator: identity.did, side: .signs(identity))
        var evidence = SessionWitness.Evidence()
        for turn in 0..<SessionTerms.Limits.statementsMax + 1 {
            #expect(!evidence.isFull)
            var input = SessionWitness.Input(from: UInt64(turn))
            input.append([7])
            evidence = try evidence.adding([7], isLast: false, witness.statement(of: input, isLast: false), witness)
        }
        #expect(evidence.isFull)
    }
}

private enum Samples {
    static func receipt(_ job: JobID, _ assignment: CID) -> ExecutionReceipt {
        let did = Identity.generate().did
        return ExecutionReceipt(
            jobID: job, assignmentCID: assignment, originatorDID: did, executorDID: did, attempt: 1,
            moduleCID: assignment, inputCIDs: [:], outcome: .exited(code: 0), resourceUsage: .none, price: .zero,
            engine: EngineDescription(name: "wasmtime", version: "1", configurationDigest: ""),
            determinism: .attested, executionStartedAt: UnixMilliseconds(0), executionEndedAt: UnixMilliseconds(0))
    }
}
