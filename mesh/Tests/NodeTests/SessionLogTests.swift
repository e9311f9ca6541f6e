import CoVM
import Foundation
import GuestFiles
import MeshTypes
import Multiformats
import NodeCore
import PeerIdentity
import SignedObjects
import Testing

@testable import PlanetaryMesh

/// What an executor writes down of a session.
@Suite("Logs of sessions")
struct SessionLogTests {
    private static let records = [
        SessionLog.Record(data: [1, 2], isLast: false, statement: [3]),
        SessionLog.Record(event: SessionEvent(call: 4, data: [1], waited: 5)),
    ]

    private func inFolder(_ body: (String) throws -> Void) throws {
        let folder = "/tmp/ms-\(UUID().uuidString.prefix(8))"
        defer { try? FileManager.default.removeItem(atPath: folder) }
        try body(folder)
    }

    @Test("What was written is read again, up to what was written in part or changed") func again() throws {
        try inFolder { folder in
            #expect(!SessionLog.exists("a", in: folder) && SessionLog.goOn("a", in: folder) == nil)
            let log = try #require(SessionLog.begin("a", in: folder))
            #expect(SessionLog.exists("a", in: folder) && SessionLog.begin("a", in: folder) == nil)
            for record in Self.records { log.append(record) }
            let path = "\(folder)/a"
            let whole = try Data(contentsOf: URL(fileURLWithPath: path))
            #expect(try #require(SessionLog.goOn("a", in: folder)).records.dropFirst() == Self.records[...])
            // A record that is not whole is cut off, and the next takes its place.
            try whole.dropLast(3).write(to: URL(fileURLWithPath: path))
            let cut = try #require(SessionLog.goOn("a", in: folder))
            #expect(cut.records.dropFirst() == Self.records.prefix(1))
            cut.log.append(Self.records[1])
            #expect(try Data(contentsOf: URL(fileURLWithPath: path)) == whole)
            var changed = whole
            changed[changed.count - 1] ^= 1
            try changed.write(to: URL(fileURLWithPath: path))
            #expect(try #require(SessionLog.goOn("a", in: folder)).records.count == 2)
            SessionLog.clean(folder, keeping: ["a"])
            #expect(SessionLog.exists("a", in: folder))
            SessionLog.clean(folder, keeping: [])
            #expect(!SessionLog.exists("a", in: folder))
        }
    }

    @Test("A log that would be longer than it may is given up, and its session does not begin again")
    func bound() throws {
        try inFolder { folder in
            let log = try #require(SessionLog.begin("a", in: folder))
            let record = SessionLog.Record(data: [UInt8](repeating: 7, count: 64 << 10))
            for _ in 0..<SessionLog.Limits.bytesMax / (65 << 10) { log.append(record) }
            #expect(!log.isGivenUp)
            for _ in 0..<2 { log.append(record) }
            #expect(log.isGivenUp)
            #expect(SessionLog.exists("a", in: folder) && SessionLog.goOn("a", in: folder) == nil)
        }
    }

    @Test("More unread input than a window, a restart, and a read that found nothing: what a log says of them")
    func unread() throws {
        let (job, assignment) = (JobID(CID.hashing([1], codec: .dagCBOR)), CID.hashing([2], codec: .dagCBOR))
        let identity = Identity.generate()
        let signing = SessionWitness(
            jobID: job, assignment: assignment, originator: identity.did, side: .signs(identity))
        let checking = SessionWitness(jobID: job, assignment: assignment, originator: identity.did, side: .checks)
        try inFolder { folder in
            let log = try #require(SessionLog.begin("a", in: folder))
            var input = SessionWitness.Input(from: 0)
            var records: [SessionLog.Record] = [SessionLog.Record(startedAt: 5)]
            let piece = [UInt8](repeating: 7, count: 64 << 10)
            for _ in 0...SessionTerms.Limits.windowBytes / piece.count {
                input.append(piece)
                let statement = signing.statement(of: input, isLast: false)
                records.append(SessionLog.Record(data: piece, isLast: false, statement: statement))
            }
            let port = try #require(
                SessionPort(job: job, assignment: assignment, witness: checking, log: log, records))
            var told = SessionPort.Told()
            guard case .jobInteractiveOutput(let said)? = port.next(&told) else {
                Issue.record("it says what it has")
                return
            }
            #expect(said.acknowledged == input.end && said.credit == 0)
            #expect(port.began(at: UnixMilliseconds(9)) == UnixMilliseconds(5), "it began before the restart")
            #expect(!log.isGivenUp)
            port.foundNothing()
            #expect(log.isGivenUp, "what a run found nothing in is not told to it again")
        }
    }

    @Test("A run that begins again has the input that it had not read, and says nothing twice") func goesOn() throws {
        let (job, assignment) = (JobID(CID.hashing([1], codec: .dagCBOR)), CID.hashing([2], codec: .dagCBOR))
        let identity = Identity.generate()
        func witness(_ side: SessionWitness.Side) -> SessionWitness {
            SessionWitness(jobID: job, assignment: assignment, originator: identity.did, side: side)
        }
        try inFolder { folder in
            let log = try #require(SessionLog.begin("a", in: folder))
            let user = SessionPort(job: job, assignment: assignment, side: .user, witness: witness(.signs(identity)))
            let first = SessionPort(
                job: job, assignment: assignment, side: .module, witness: witness(.checks), log: log)
            func meet(_ module: SessionPort) throws {
                var (mine, its) = (SessionPort.Told(), SessionPort.Told())
                let stream = module.beginStream()
                // Each side says all that it has to, in turns, until neither has more.
                while true {
                    let (input, output) = (user.next(&mine), module.next(&its))
                    if let input { try module.take(input, on: stream) }
                    if let output { try user.take(output) }
                    if input == nil, output == nil { return }
                }
            }
            try meet(first)
            #expect(try user.type(Array("one\ntwo\n".utf8), at: 0, isLast: false) == 8)
            try meet(first)
            #expect(first.read(bytesMax: 4, orElse: {}) == .bytes(Array("one\n".utf8)))
            first.came(SessionEvent(call: 0, data: Array("one\n".utf8)))
            #expect(first.write(Array("ONE\n".utf8)[...], to: .standardOutput, orElse: {}) == 4)
            try meet(first)
            #expect(user.view(from: nil, bytesMax: 100).pieces.map(\.bytes) == [Array("ONE\n".utf8)])
            _ = user.view(from: 4, bytesMax: 100)
            // Its node is killed.
            let (again, records) = try #require(SessionLog.goOn("a", in: folder))
            let second = try #require(
                SessionPort(job: job, assignment: assignment, witness: witness(.checks), log: again, records))
            #expect(second.played == [SessionEvent(call: 0, data: Array("one\n".utf8))])
            try meet(second)
            #expect(second.write(Array("ONE\nTWO\n".utf8)[...], to: .standardOutput, orElse: {}) == 8)
            #expect(second.read(bytesMax: 100, orElse: {}) == .bytes(Array("two\n".utf8)))
            #expect(try user.type([9], at: 8, isLast: true) == 9)
            try meet(second)
            #expect(user.view(from: nil, bytesMax: 100).pieces.map(\.bytes) == [Array("TWO\n".utf8)])
            #expect(second.read(bytesMax: 100, orElse: {}) == .bytes([9]))
            #expect(second.read(bytesMax: 100, orElse: {}) == .end)
            let evidence = try #require(second.evidence)
            #expect(evidence.statements.count == 1, "the originator's node did not restart")
            // One whose log ends before what was acknowledged has nothing to go on with.
            let third = try #require(
                SessionPort(
                    job: job, assignment: assignment, witness: witness(.checks), log: again, Array(records.prefix(1))))
            try meet(third)
            #expect(third.read(bytesMax: 1, orElse: {}) == .lost)
        }
    }
}
