import IPLD
import MeshTypes
import Multiformats
import SignedObjects
import Testing

@Suite("Transcripts of sessions")
struct SessionTranscriptTests {
    private static let typed = Array("one\ntwo\n".utf8)

    /// The originator's word for input up to a position.
    private static func statement(
        _ start: Int, _ end: Int, isLast: Bool = false, _ change: (inout InputStatement) -> Void = { _ in },
        of bytes: [UInt8] = typed, byExecutor: Bool = false
    ) throws -> [UInt8] {
        let signer = byExecutor ? Samples.executor : Samples.originator
        var body = InputStatement(
            jobID: Samples.receipt.jobID, assignmentCID: Samples.receipt.assignmentCID, originatorDID: signer.did,
            start: UInt64(start), end: UInt64(end), dataCID: CID.hashing(bytes[start..<end], codec: .raw),
            isLast: isLast)
        change(&body)
        return try SignedObject.sign(body, with: signer).bytes
    }

    private static func transcript(_ change: (inout SessionTranscript) throws -> Void = { _ in }) throws
        -> SessionTranscript
    {
        var transcript = SessionTranscript(
            jobID: Samples.receipt.jobID, assignmentCID: Samples.receipt.assignmentCID,
            originatorDID: Samples.receipt.originatorDID, isShared: false,
            events: [
                SessionEvent(call: 0, data: Array("one\n".utf8), waited: 5), SessionEvent(call: 1, waited: 7),
                SessionEvent(call: 4, data: Array("two".utf8)), SessionEvent(call: 5, end: .elapsed, waited: 9),
            ], unread: Array("\n".utf8), statements: [try statement(0, 8)])
        try change(&transcript)
        return transcript
    }

    private static let terms = SessionTerms(transcript: .private)

    @Test func aTranscriptIsOneBlockThatReadsBack() throws {
        let transcript = try Self.transcript()
        let block = try #require(transcript.block)
        #expect(SessionTranscript(block: block.bytes) == transcript)
        #expect(transcript.fault(of: Samples.receipt, under: Self.terms) == nil)
        #expect(transcript.input == Self.typed && transcript.waitedNanoseconds == 21)
        #expect(SessionTranscript.reader(ofBlock: block.bytes) == Samples.originator.did)
        let shared = try #require(try Self.transcript { $0.isShared = true }.block)
        #expect(SessionTranscript.reader(ofBlock: shared.bytes) == nil)
        #expect(SessionTranscript.reader(ofBlock: Samples.signedBid.bytes) == nil)
        let other = try Self.transcript { $0.events[0].end = .cancelled }
        #expect(other.block == nil, "nobody could read it, so nobody would know whose it is")
    }

    @Test func whatItSaysIsHeldAgainstTheOriginatorsWord() throws {
        func fault(_ change: (inout SessionTranscript) throws -> Void) throws -> String? {
            try Self.transcript(change).fault(of: Samples.receipt, under: Self.terms)
        }
        #expect(try fault { $0.assignmentCID = Samples.module }?.contains("another job or attempt") == true)
        #expect(try fault { $0.originatorDID = Samples.executor.did }?.contains("another job or attempt") == true)
        #expect(try fault { $0.isShared = true }?.contains("other readers") == true)
        // A byte, one more, one less, and none of the originator's.
        #expect(try fault { $0.events[0].data?[0] = 0x4F } == "has other input than the originator signed")
        #expect(try fault { $0.unread.append(1) } == "has 1 bytes of input more than the originator signed")
        #expect(
            try fault { $0.unread = [] } == "has other input than the 8 bytes that the originator signed")
        #expect(try fault { $0.statements = [] } == "has 8 bytes of input more than the originator signed")
        #expect(
            try fault { $0.statements = [try Self.statement(0, 8, byExecutor: true)] }?
                .contains("did not sign") == true)
        #expect(
            try fault { $0.statements = [try Self.statement(0, 8, { $0.assignmentCID = Samples.module })] }?
                .contains("did not sign") == true)
        #expect(try fault { $0.statements = [Samples.signedBid.bytes] }?.contains("did not sign") == true)
        // Two nodes of the originator, one after the other; not with a gap, and nothing after the end.
        #expect(try fault { $0.statements = [try Self.statement(0, 4), try Self.statement(4, 8)] } == nil)
        #expect(try fault { $0.statements = [try Self.statement(0, 4), try Self.statement(5, 8)] } != nil)
        #expect(
            try fault { $0.statements = [try Self.statement(0, 4, isLast: true), try Self.statement(4, 8)] } != nil)
        #expect(try fault { $0.events.append(SessionEvent(call: 9, end: .over)) }?.contains("was over") == true)
        #expect(
            try fault {
                $0.events.append(SessionEvent(call: 9, end: .over))
                $0.statements = [try Self.statement(0, 8, isLast: true)]
            } == nil)
    }

    @Test func whatNoExecutorWritesIsNoTranscript() throws {
        func reads(_ change: (inout SessionTranscript) throws -> Void) throws -> Bool {
            guard let block = try Self.transcript(change).block else { return false }
            return SessionTranscript(block: block.bytes) != nil
        }
        #expect(try reads { _ in })
        #expect(try !reads { $0.events.swapAt(0, 1) })
        #expect(try !reads { $0.events[1].call = 0 })
        #expect(try !reads { $0.events[0].data = [] })
        #expect(try !reads { $0.events[0].waited = 0 })
        #expect(try !reads { $0.events[0].end = .over })
        #expect(try !reads { $0.events[0] = SessionEvent(call: 0) })
        var block = try #require(try Self.transcript().block).bytes
        block.append(0)
        #expect(SessionTranscript(block: block) == nil)
    }

    @Test func eachOfItsBoundsIsReached() throws {
        let statement = try Self.statement(0, 8)
        let count = SessionTerms.Limits.statementsMax
        for (count, isTaken) in [(count, true), (count + 1, false)] {
            let block = try Self.transcript { $0.statements = Array(repeating: statement, count: count) }.block
            #expect((block.flatMap { SessionTranscript(block: $0.bytes) } != nil) == isTaken)
        }
        let most = SessionTerms.Limits.waitedNanosecondsMax
        for (waited, isTaken) in [(most - 16, true), (most - 15, false), (UInt64(Int64.max), false)] {
            let block = try Self.transcript { $0.events[0].waited = waited }.block
            #expect((block.flatMap { SessionTranscript(block: $0.bytes) } != nil) == isTaken, "\(waited)")
        }
        let room = SessionTerms.Limits.transcriptBytesMax - (try #require(try Self.transcript().block).bytes.count)
        // The length of what was not read is written in four bytes more, too.
        #expect(try Self.transcript { $0.unread = Array(repeating: 1, count: room - 3) }.block != nil)
        #expect(try Self.transcript { $0.unread = Array(repeating: 1, count: room) }.block == nil)
    }

    @Test func aJobThatKeepsATranscriptAsksForExecutorsThatDo() {
        var params = MeshJobParams(wasmCID: Samples.module)
        (params.isInteractive, params.determinism) = (true, .attested)
        params.session = SessionTerms(transcript: .private)
        params.executionPolicy = ExecutionPolicy()
        params.executionPolicy?.require(SessionTerms.feature)
        #expect(JobRules().refusal(of: params) == .featureNotRequired("interactive-transcript-v1"))
        params.executionPolicy?.require(SessionTerms.transcriptFeature)
        #expect(JobRules().refusal(of: params) == nil)
    }
}
