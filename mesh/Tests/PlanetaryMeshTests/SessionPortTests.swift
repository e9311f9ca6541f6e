import MeshTypes
import Multiformats
import Synchronization
import Testing

@testable import PlanetaryMesh

/// The ends of sessions, and whom they wake.
@Suite("Session ports")
struct SessionPortTests {
    private let job = JobID(CID.hashing([1], codec: .dagCBOR))
    private let assignment = CID.hashing([2], codec: .dagCBOR)

    private func output(_ text: String, _ sequence: UInt64) -> MeshProtocolMessage {
        .jobInteractiveOutput(
            JobInteractiveDataV1(
                jobID: job, assignmentCID: assignment, sequence: sequence, data: Array(text.utf8), acknowledged: 0,
                credit: 2, isLast: false))
    }

    @Test("Who looks or types without effect wakes nobody, so that a caller that does so at each ring waits")
    func wakesNobody() throws {
        let port = SessionPort(job: job, assignment: assignment, side: .user)
        try port.take(output("abc", 0))
        _ = port.view(from: 3, bytesMax: 8)
        let wakes = Mutex(0)
        let register = { _ = port.read(bytesMax: 8) { wakes.withLock { $0 += 1 } } }
        register()
        #expect(port.view(from: nil, bytesMax: 8).position == 3)
        #expect(port.view(from: 3, bytesMax: 8).position == 3)
        #expect(wakes.withLock { $0 } == 0)
        #expect(try port.type([1, 2], at: 0, isLast: false) == 2)
        #expect(wakes.withLock { $0 } == 1, "two bytes are new")
        register()
        #expect(try port.type([1, 2], at: 0, isLast: false) == 2)
        #expect(wakes.withLock { $0 } == 1, "they were typed before")
        #expect(try port.type([], at: 2, isLast: true) == 2)
        #expect(wakes.withLock { $0 } == 2, "the end is new")
        register()
        #expect(try port.type([], at: 2, isLast: true) == 2)
        #expect(wakes.withLock { $0 } == 2, "it was told before")
        try port.take(output("d", 3))
        #expect(wakes.withLock { $0 } == 3, "output came")
    }

    @Test("Who takes output tells the other end of the room that it made") func wakesSender() async throws {
        let port = SessionPort(job: job, assignment: assignment, side: .user)
        try port.take(output("abc", 0))
        var rings = port.changes().makeAsyncIterator()
        await rings.next()
        #expect(port.view(from: 3, bytesMax: 8).position == 3)
        await rings.next()
    }
}
