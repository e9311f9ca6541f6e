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

    @Test func nothingIsMissedOrToldTwiceThatHappensWhileThePastIsRead() async {
        func event(_ name: String, at: UInt64) -> JobProgress {
            JobProgress(kind: .phase, phase: name, text: name, at: at)
        }
        var board = ProgressBoard()
        let (first, open) = board.reserve(job, .everything)
        let (second, over) = board.reserve(job, .result)
        #expect(board.interest(in: job) == .everything)
        for (at, name) in ["a", "b", "c"].enumerated() { board.tell(job, event(name, at: UInt64(at))) }
        // The journal had the first two when it was read.
        board.begin(first, of: job, past: [event("a", at: 0), event("b", at: 1)])
        board.tell(job, event("d", at: 3))
        board.tell(job, end)
        board.begin(second, of: job, past: [])
        #expect(await texts(open) == ["a", "b", "c", "d", "Completed"])
        #expect(await texts(over) == ["Completed"])
        #expect(board.interest(in: job) == nil)
        let (third, unread) = board.reserve(job, .everything)
        board.abandon(third, of: job)
        #expect(await texts(unread) == [] && board.interest(in: job) == nil)
        let (fourth, told) = board.reserve(job, .everything)
        board.tell(job, end)
        board.begin(fourth, of: job, past: [event("a", at: 0), end])
        #expect(await texts(told) == ["a", "Completed"])
        // The end was in memory before the journal had what led to it.
        let (fifth, quick) = board.reserve(job, .everything)
        for (at, name) in ["a", "b"].enumerated() { board.tell(job, event(name, at: UInt64(at))) }
        board.begin(fifth, of: job, past: [event("a", at: 0), end])
        #expect(await texts(quick) == ["a", "b", "Completed"])
        #expect(board.interest(in: job) == nil)
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
