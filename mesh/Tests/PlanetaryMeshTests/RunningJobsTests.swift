import CoVM
import Multiformats
import Testing

@testable import PlanetaryMesh

/// How runs are given their places, stopped, and asked how far they are.
@Suite("Runs under way")
struct RunningJobsTests {
    private let assignment = CID.hashing([1], codec: .dagCBOR)
    private let other = CID.hashing([2], codec: .dagCBOR)

    /// What a run is told that waits for its place before `decide` is called.
    private func told(_ runs: RunningJobs, _ decide: @escaping @Sendable () -> Void) async -> Bool {
        await withTaskGroup(of: Bool.self) { group in
            group.addTask { [assignment] in await runs.place(of: assignment) }
            group.addTask {
                decide()
                return false
            }
            var isLet = false
            for await answer in group { isLet = isLet || answer }
            return isLet
        }
    }

    /// Whether a run was stopped; nil where there is none.
    private func isCancelled(_ runs: RunningJobs, _ assignment: CID) -> Bool? {
        runs.cancellation(of: assignment)?.isCancelled
    }

    @Test("A run goes on once it has its place, whether it waits for it already or not")
    func place() async {
        let runs = RunningJobs()
        runs.begin(assignment)
        let isLet = await told(runs) { [assignment] in runs.letRun(assignment) }
        #expect(isLet)
        #expect(await runs.place(of: assignment), "it keeps its place")
        runs.ended(assignment)
        #expect(await !runs.place(of: assignment), "an ended run has none")
    }

    @Test("A run that is stopped goes on nowhere")
    func stopped() async {
        let runs = RunningJobs()
        runs.begin(assignment)
        let isLet = await told(runs) { [assignment] in runs.stop(assignment) }
        #expect(!isLet)
        #expect(isCancelled(runs, assignment) == true)
        runs.letRun(assignment)
        #expect(await !runs.place(of: assignment), "a place that comes later is of no use to it")
        #expect(isCancelled(runs, other) == nil)
    }

    @Test("When the node stops, nobody waits for a place any more, now or later")
    func closed() async {
        let runs = RunningJobs()
        runs.begin(assignment)
        let isLet = await told(runs) { runs.close() }
        #expect(!isLet)
        runs.begin(other)
        #expect(await !runs.place(of: other))
        #expect(isCancelled(runs, other) == false, "what runs is left to run")
        runs.stopAll()
        #expect(isCancelled(runs, other) == true)
    }

    @Test("Progress is told once, in the order of the assignments, and only when it is more")
    func progress() {
        let runs = RunningJobs()
        let workspaces = [assignment, other].sorted().map { assignment in
            let workspace = JobWorkspace(inputs: [:])
            runs.begin(assignment)
            runs.began(assignment, workspace)
            return workspace
        }
        #expect(runs.takeProgress().isEmpty)
        for (workspace, permille) in zip(workspaces, [10, 20]) { workspace.progress(permille: permille) }
        #expect(runs.takeProgress().map(\.permille) == [10, 20])
        #expect(runs.takeProgress().isEmpty)
        workspaces[1].progress(permille: 15)
        workspaces[0].progress(permille: 11)
        #expect(runs.takeProgress().map(\.permille) == [11])
    }
}
