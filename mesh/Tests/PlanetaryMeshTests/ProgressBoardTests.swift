import MeshTypes
import Multiformats
import NodeAPI
import Testing

@testable import PlanetaryMesh

@Suite struct ProgressBoardTests {
    private let job = JobID(CID.hashing(Array("job".utf8), codec: .dagCBOR))
    private let phase = JobProgress(kind: .phase, phase: "Running", text: "", at: 1)
    private let end = JobProgress(kind: .result, phase: "Completed", text: "done", at: 2)

    private func texts(_ stream: AsyncStream<JobProgress>) async -> [String] {
        var phases: [String] = []
        for await event in stream { phases.append(event.phase) }
        return phases
    }

    @Test func whoAsksForTheResultHearsOnlyThat() async {
        var board = ProgressBoard()
        #expect(board.interest(in: job) == nil)
        let result = board.follow(job, .result, past: [])
        #expect(board.interest(in: job) == .result)
        let everything = board.follow(job, .everything, past: [phase])
        #expect(board.interest(in: job) == .everything)
        board.tell(job, phase)
        board.tell(job, end)
        #expect(board.interest(in: job) == nil)
        #expect(await texts(result) == ["Completed"])
        #expect(await texts(everything) == ["Running", "Running", "Completed"])
    }

    @Test func aJobThatIsOverEndsTheStreamAtOnce() async {
        var board = ProgressBoard()
        let stream = board.follow(job, .result, past: [end])
        #expect(board.interest(in: job) == nil)
        #expect(await texts(stream) == ["Completed"])
    }

    @Test func aFollowerThatDoesNotReadLosesTheOldestEventsAndNeverTheResult() async {
        var board = ProgressBoard()
        let slow = board.follow(job, .everything, past: [])
        for number in 0..<ProgressBoard.bufferedEventsMax + 10 {
            board.tell(job, JobProgress(kind: .log, phase: "\(number)", text: "", at: 1))
        }
        board.tell(job, end)
        let seen = await texts(slow)
        #expect(seen.count == ProgressBoard.bufferedEventsMax)
        #expect(seen.first == "11")
        #expect(seen.last == "Completed")
    }

    @Test func oneFollowerMoreReplacesTheEldest() async {
        var board = ProgressBoard()
        let eldest = board.follow(job, .everything, past: [])
        let others = (0..<ProgressBoard.followersMax).map { _ in board.follow(job, .everything, past: []) }
        #expect(await texts(eldest) == [])
        board.tell(job, end)
        for stream in others { #expect(await texts(stream) == ["Completed"]) }
    }
}
