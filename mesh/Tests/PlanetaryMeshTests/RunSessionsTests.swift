import MeshTypes
import Multiformats
import PeerIdentity
import Testing

@testable import PlanetaryMesh

/// The sessions of a node's own runs, after their ends.
@Suite("Sessions of runs")
struct RunSessionsTests {
    private let originator = Identity.generate().peerID

    private func port(_ number: UInt8) -> SessionPort {
        SessionPort(
            job: JobID(CID.hashing([number], codec: .dagCBOR)),
            assignment: CID.hashing([number, 1], codec: .dagCBOR), side: .module)
    }

    @Test("The last output of the endedMax runs that ended last is to be had, by their originator alone")
    func ended() {
        var limits = RunSessions.Limits()
        limits.endedMax = 2
        let sessions = RunSessions(limits: limits)
        let ports = (0..<4).map { port($0) }
        for port in ports { sessions.begin(port, of: originator) }
        #expect(sessions.waiting.count == 4)
        for port in ports[..<3] { sessions.ended(port.assignment, isKept: true) }
        #expect(ports.map { sessions.port(of: $0.assignment) != nil } == [false, true, true, true])
        #expect(sessions.waiting.map(\.assignment) == [ports[3].assignment])
        sessions.ended(ports[3].assignment, isKept: false)
        #expect(ports.map { sessions.port(of: $0.assignment) != nil } == [false, true, true, false])
        #expect(sessions.port(of: ports[1].assignment, for: originator) === ports[1])
        #expect(sessions.port(of: ports[1].assignment, for: Identity.generate().peerID) == nil)
    }
}
