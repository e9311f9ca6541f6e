import Determinism
import MeshTypes
import Multiformats
import Testing

@testable import NodeCore

/// What is kept and sent of a run's output while it runs.
@Suite struct OutputTailTests {
    private static let window = SessionTerms.Limits.windowBytes
    private let job = JobID(CID.hashing([1], codec: .dagCBOR))
    private let assignment = CID.hashing([2], codec: .dagCBOR)

    private func data(
        _ sequence: UInt64, _ bytes: [UInt8], isError: Bool = false, isLast: Bool = false
    ) -> JobInteractiveDataV1 {
        JobInteractiveDataV1(
            jobID: job, assignmentCID: assignment, sequence: sequence, data: bytes, acknowledged: 0, credit: 0,
            isLast: isLast, isError: isError)
    }

    private func arrivals(_ outputBytesMax: UInt64 = 1 << 30) -> OutputArrivals {
        OutputArrivals(jobID: job, assignment: assignment, outputBytesMax: outputBytesMax)
    }

    /// Writes, readers and streams that break, by chance: what arrives is what was written, each byte at its place,
    /// with something left out only where more was written than is kept.
    @Test(arguments: [UInt64(1), 2, 3, 4]) func whatArrivesIsWhatWasWritten(_ seed: UInt64) throws {
        var chance = SeededGenerator(seed: seed)
        var written: [[UInt8]] = [[], []]
        var arrived = 0
        var (tail, copy) = (OutputTail(), OutputTail())
        var (credit, coming) = (OutputCredit(jobID: job, assignment: assignment), arrivals())
        var messages: [JobInteractiveDataV1] = []
        func isWritten(_ bytes: [UInt8], at position: UInt64, isError: Bool) -> Bool {
            written[isError ? 1 : 0].dropFirst(Int(position)).prefix(bytes.count).elementsEqual(bytes)
        }
        for _ in 0..<200 {
            switch Int.random(in: 0..<20, using: &chance) {
            case 0..<12:
                let isError = Bool.random(using: &chance)
                let byte = UInt8.random(in: 0...255, using: &chance)
                let bytes = [UInt8](repeating: byte, count: Int.random(in: 1...20_000, using: &chance))
                tail.append(bytes, isError: isError)
                written[isError ? 1 : 0] += bytes
            case 12..<15:
                if let grant = coming.grant() { try credit.take(grant) }
                messages += credit.messages(of: tail)
            case 15..<19:
                for message in messages {
                    try coming.take(message)
                    copy.append(message.data, isError: message.isError, at: message.sequence)
                    #expect(isWritten(message.data, at: message.sequence, isError: message.isError), "seed \(seed)")
                    arrived += message.data.count
                }
                messages = []
            default:
                // The stream breaks, with what was under way.
                (credit, coming, messages) = (OutputCredit(jobID: job, assignment: assignment), arrivals(), [])
            }
            #expect(tail.end - tail.start <= UInt64(OutputTail.Limits.bytesMax))
        }
        #expect(arrived > 0, "seed \(seed)")
        for piece in copy.pieces(from: 0, bytesMax: .max).pieces {
            #expect(isWritten(piece.bytes, at: piece.position, isError: piece.isError), "seed \(seed)")
        }
    }

    @Test func atMostBytesMaxAndPiecesMaxAreKeptTheNewest() {
        var tail = OutputTail()
        for index in 0..<OutputTail.Limits.piecesMax + 6 { tail.append([7], isError: index % 2 == 1) }
        #expect(tail.start == 6 && tail.pieces(from: 0, bytesMax: .max).pieces.count == OutputTail.Limits.piecesMax)
        tail.append([UInt8](repeating: 8, count: OutputTail.Limits.bytesMax + 1), isError: false)
        let (start, pieces) = tail.pieces(from: 0, bytesMax: .max)
        #expect(start == tail.start && tail.end - start <= UInt64(OutputTail.Limits.bytesMax))
        #expect(pieces.allSatisfy { $0.bytes.first == 8 && $0.bytes.count <= SessionTerms.Limits.messageBytesMax })
        #expect(pieces.last?.end == tail.end(isError: false))
    }

    @Test func aPlaceInTheMiddleBeginsThere() {
        var tail = OutputTail()
        tail.append(Array("abc".utf8), isError: false)
        tail.append(Array("de".utf8), isError: true)
        let (start, pieces) = tail.pieces(from: 2, bytesMax: 2)
        #expect(start == 2)
        #expect(
            pieces == [
                .init(isError: false, position: 2, bytes: Array("c".utf8)),
                .init(isError: true, position: 0, bytes: Array("d".utf8)),
            ])
        #expect(tail.pieces(from: 99, bytesMax: 9).start == 5, "nothing is behind the end")
    }

    @Test func anExecutorThatBreaksTheRulesIsFound() throws {
        let one = [UInt8(1)]
        let bad: [(SessionFault, JobInteractiveDataV1)] = [
            (.gap, data(2, one)), (.notOfTheSession, data(3, [])), (.beyondCredit, data(9, [1, 2])),
            (.beyondCredit, data(.max, one)),
            (.notOfTheSession, data(3, [UInt8](repeating: 0, count: SessionTerms.Limits.messageBytesMax + 1))),
            (
                .notOfTheSession,
                JobInteractiveDataV1(
                    jobID: JobID(assignment), assignmentCID: assignment, sequence: 3, data: one, acknowledged: 0,
                    credit: 0, isLast: false)
            ),
        ]
        for (fault, message) in bad {
            var arrivals = arrivals(10)
            _ = arrivals.grant()
            try arrivals.take(data(0, [1, 2, 3]))
            #expect(throws: fault) { try arrivals.take(message) }
        }
        var ended = arrivals(10)
        _ = ended.grant()
        try ended.take(data(5, one, isLast: true))
        #expect(ended.isOver && ended.grant() == nil)
        #expect(throws: SessionFault.afterTheEnd) { try ended.take(data(6, one)) }
        var flooded = arrivals()
        #expect(throws: SessionFault.beyondCredit) { try flooded.take(data(0, one)) }
        _ = flooded.grant()
        let most = SessionTerms.Limits.messageBytesMax
        for index in 0..<Self.window / most {
            try flooded.take(data(UInt64(index * most), [UInt8](repeating: 0, count: most)))
        }
        #expect(throws: SessionFault.beyondCredit) { try flooded.take(data(UInt64(Self.window), one)) }
    }

    @Test func anOriginatorGetsNoMoreThanItTakes() throws {
        var tail = OutputTail()
        tail.append([UInt8](repeating: 9, count: Self.window), isError: false)
        var credit = OutputCredit(jobID: job, assignment: assignment)
        #expect(credit.messages(of: tail).isEmpty, "nothing was said yet")
        func grant(_ acknowledged: UInt64, _ bytes: Int) -> JobInteractiveDataV1 {
            JobInteractiveDataV1(
                jobID: job, assignmentCID: assignment, sequence: 0, data: [], acknowledged: acknowledged,
                credit: UInt64(bytes), isLast: false)
        }
        try credit.take(grant(0, 10))
        #expect(credit.messages(of: tail).map(\.data.count) == [10])
        #expect(throws: SessionFault.notSent) { try credit.take(grant(11, 1)) }
        #expect(throws: SessionFault.notOfTheSession) { try credit.take(grant(0, Self.window + 1)) }
        #expect(throws: SessionFault.notOfTheSession) { try credit.take(data(0, [1])) }
        // It allows nothing that was not allowed.
        #expect(throws: SessionFault.notOfTheSession) { try credit.take(grant(0, 10)) }
        tail.close()
        try credit.take(grant(10, Self.window))
        let rest = credit.messages(of: tail)
        #expect(rest.dropLast().reduce(0) { $0 + $1.data.count } == Self.window - 10)
        #expect(rest.last?.isLast == true && credit.messages(of: tail).isEmpty)
    }
}
