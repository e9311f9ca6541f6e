import Determinism
import MeshTypes
import Testing

@testable import NodeCore

@Suite struct SessionLaneTests {
    private static let window = SessionTerms.Limits.windowBytes
    private static let messageMax = SessionTerms.Limits.messageBytesMax

    /// Writes, messages that are lost or come twice, and streams that begin anew, by chance: what comes out is what
    /// went in, in order, and neither side keeps more than a window.
    @Test(arguments: [UInt64(1), 2, 3, 4]) func whatWasWrittenIsReadOnceAndInOrder(_ seed: UInt64) throws {
        var chance = SeededGenerator(seed: seed)
        var (sender, receiver) = (SendingLane(), ReceivingLane(joins: false))
        var (written, read): ([UInt8], [UInt8]) = ([], [])
        var errors: [Bool] = []
        var readErrors: [Bool] = []
        try sender.acknowledged(0, credit: UInt64(Self.window))
        var next: UInt64 = 0
        while read.count < 3 * Self.window {
            switch Int.random(in: 0..<5, using: &chance) {
            case 0, 1:
                let isError = Bool.random(using: &chance)
                let bytes = (0..<Int.random(in: 1...9_000, using: &chance)).map { _ in
                    UInt8.random(in: 0...255, using: &chance)
                }
                let taken = sender.write(bytes[...], isError: isError)
                written += bytes.prefix(taken)
                errors += repeatElement(isError, count: taken)
            case 2, 3:
                guard let piece = sender.piece(from: next) else { continue }
                #expect(piece.bytes.count <= Self.messageMax)
                try receiver.receive(piece.bytes, at: next, isError: piece.isError, isLast: false)
                next += UInt64(piece.bytes.count)
                // A stream that begins anew says again what was not acknowledged.
                if Int.random(in: 0..<4, using: &chance) == 0 { next = sender.start }
            default:
                while let piece = receiver.piece(from: receiver.start, bytesMax: 5_000) {
                    read += piece.bytes
                    readErrors += repeatElement(piece.isError, count: piece.bytes.count)
                    receiver.took(to: receiver.start + UInt64(piece.bytes.count))
                }
                try sender.acknowledged(receiver.end, credit: receiver.limit - receiver.end)
                next = max(next, sender.start)
            }
            #expect(sender.room >= 0 && receiver.end - receiver.start <= Self.window)
        }
        #expect(read == Array(written.prefix(read.count)), "seed \(seed)")
        #expect(readErrors == Array(errors.prefix(read.count)), "seed \(seed)")
    }

    @Test func aSenderWaitsForRoomAndForCredit() throws {
        var lane = SendingLane()
        #expect(lane.write(Array(repeating: 1, count: Self.window + 1)[...]) == Self.window)
        #expect(lane.room == 0 && lane.piece(from: 0) == nil, "nobody has accepted anything yet")
        try lane.acknowledged(0, credit: 10)
        #expect(lane.piece(from: 0)?.bytes.count == 10 && lane.piece(from: 10) == nil)
        try lane.acknowledged(4, credit: 10)
        #expect(lane.room == 4 && lane.start == 4 && lane.piece(from: 10)?.bytes.count == 4)
        // What was accepted once is not taken back.
        try lane.acknowledged(2, credit: 0)
        #expect(lane.start == 4 && lane.piece(from: 10)?.bytes.count == 4)
        lane.close()
        #expect(lane.room == 0)
    }

    @Test func turnsBetweenTheStreamsAreBounded() throws {
        var (sender, receiver) = (SendingLane(), ReceivingLane(joins: false))
        var count = 0
        while sender.write([1], isError: count % 2 == 1) == 1 { count += 1 }
        #expect(count == SendingLane.turnsMax && sender.room == 0)
        try sender.acknowledged(UInt64(count), credit: 0)
        #expect(sender.write([1]) == 1)
        #expect(throws: SessionFault.beyondCredit) {
            for position in 0..<UInt64(count + 2) {
                try receiver.receive([1], at: position, isError: position % 2 == 1, isLast: false)
            }
        }
        #expect(receiver.end > UInt64(count))
    }

    @Test func whatAPeerMustNotSendIsNamed() throws {
        func fault(_ body: (inout SendingLane, inout ReceivingLane) throws(SessionFault) -> Void) -> SessionFault? {
            var (sender, receiver) = (SendingLane(), ReceivingLane(joins: false))
            _ = sender.write([1, 2, 3])
            do throws(SessionFault) {
                try receiver.receive([1, 2], at: 0, isError: false, isLast: false)
                try body(&sender, &receiver)
                return nil
            } catch {
                return error
            }
        }
        let most = [UInt8](repeating: 0, count: Self.window)
        #expect(
            fault { _, lane throws(SessionFault) in
                try lane.receive([3], at: 3, isError: false, isLast: false)
            } == .gap)
        #expect(
            fault { _, lane throws(SessionFault) in
                try lane.receive(most, at: 0, isError: false, isLast: false)
            } == nil)
        #expect(
            fault { _, lane throws(SessionFault) in
                try lane.receive(most, at: 1, isError: false, isLast: false)
            } == .beyondCredit)
        #expect(
            fault { _, lane throws(SessionFault) in
                try lane.receive([], at: 2, isError: false, isLast: true)
                try lane.receive([3], at: 2, isError: false, isLast: false)
            } == .afterTheEnd)
        #expect(fault { lane, _ throws(SessionFault) in try lane.acknowledged(4, credit: 0) } == .notSent)
    }

    @Test func whoComesAgainBeginsWhereTheOtherSideIs() throws {
        var lane = ReceivingLane(joins: true)
        try lane.receive([5, 6], at: 1_000, isError: true, isLast: false)
        #expect(lane.start == 1_000 && lane.end == 1_002 && lane.piece(from: 1_000, bytesMax: 9)?.isError == true)
        #expect(throws: SessionFault.gap) { try lane.receive([1], at: 2_000, isError: false, isLast: false) }
        // A position that no session reaches is no beginning.
        var other = ReceivingLane(joins: true)
        #expect(throws: SessionFault.gap) {
            try other.receive([1], at: UInt64(Int64.max), isError: false, isLast: false)
        }
        try lane.receive([], at: 1_002, isError: false, isLast: true)
        lane.took(to: 1_002)
        #expect(lane.isExhausted)
    }

    @Test("A run that begins again does not send what the other side has") func beginsAgain() throws {
        var lane = SendingLane(beginsAgain: true)
        #expect(lane.write([1, 2][...]) == 2)
        try lane.acknowledged(5, credit: 10)
        #expect(lane.start == 5 && lane.piece(from: 5) == nil)
        #expect(lane.write([3, 4, 5, 6, 7][...]) == 5)
        #expect(lane.piece(from: 5)?.bytes == [6, 7] && lane.end == 7)
        #expect(throws: SessionFault.notSent) { try lane.acknowledged(.max, credit: 1) }
        var other = SendingLane()
        #expect(throws: SessionFault.notSent) { try other.acknowledged(1, credit: 1) }
        let rest = ReceivingLane(from: 3, bytes: [4, 5][...], isOver: true)
        #expect(rest.start == 3 && rest.end == 5 && rest.untaken == [4, 5] && rest.isOver && !rest.isExhausted)
    }
}
