import Determinism
import JobMarket
import MeshTypes
import P2PTesting

/// Who gets a job, who waits, and what a job costs others.
extension Situation {
    // MARK: Alone

    func ownJob(_ mesh: inout SmallMesh) {
        mesh.join()
        mesh.submit(at: 0)
        mesh.wait(5, for: "the node runs its own job") { $0.hasResult(0) }
    }

    func alone(_ mesh: inout SmallMesh) {
        mesh.join()
        mesh.submit(at: 0)
        mesh.wait(3, for: "the job fails because nobody is reachable") { $0.job(0)?.failure == .nobodyReachable }
    }

    func executorBusy(_ mesh: inout SmallMesh) {
        mesh.join()
        mesh.submit(at: 0)
        mesh.wait(5, for: "the first job runs") { $0.job(0, at: 1)?.status == .running }
        mesh.submit(at: 0)
        mesh.wait(40, for: "the second job waits for the executor's place") { $0.hasResult(1) }
    }

    // MARK: Floods

    func flood(_ mesh: inout SmallMesh) {
        mesh.join()
        let flood = submitFlood(at: 1, &mesh)
        mesh.pass(3_000)
        let job = mesh.submit(at: 2)
        mesh.wait(6, for: "another's job has its result beside the flood") { $0.hasResult(job) }
        mesh.wait(21, for: "the executor gives a fetch up that gets nothing") { mesh in
            flood.contains { number in
                if case .fetchFailed = mesh.job(number, at: 0)?.receipt?.outcome { true } else { false }
            }
        }
        for number in flood { mesh.cancel(number) }
    }

    func floodOfKeys(_ mesh: inout SmallMesh) {
        mesh.join()
        let paid = mesh.submit(at: 3)
        mesh.wait(10, for: "somebody pays the executor") { ($0.job(paid, at: 0)?.earned ?? .zero) > .zero }
        let flood = submitFlood(at: 1, &mesh) + submitFlood(at: 2, &mesh)
        mesh.pass(3_000)
        let job = mesh.submit(at: 3)
        mesh.wait(6, for: "the job of somebody who paid before has its result beside the flood") { $0.hasResult(job) }
        for number in flood { mesh.cancel(number) }
    }

    /// More jobs than the executor has places, whose module never comes.
    private func submitFlood(at node: Int, _ mesh: inout SmallMesh) -> [Int] {
        (0..<8).map { _ in mesh.submit(at: node, module: Self.floodModule) }
    }

    func cancelled(_ mesh: inout SmallMesh) {
        mesh.join()
        mesh.submit(at: 0, module: Self.floodModule)
        mesh.wait(5, for: "the module is fetched") { $0.job(0, at: 1)?.isStarted ?? false }
        mesh.cancel(0)
        mesh.wait(5, for: "the executor stops") { $0.job(0, at: 1)?.receipt?.outcome == .cancelled }
    }

    // MARK: Receipts

    func outputsGone(_ mesh: inout SmallMesh) {
        mesh.join()
        mesh.submit(at: 0) { _, policy in policy.sufficientBids = 2 }
        mesh.wait(5, for: "the cheaper executor runs the job") { $0.job(0, at: 1)?.status == .running }
        mesh.part(1)
        mesh.wait(15, for: "the other gets the job") { $0.job(0, at: 2)?.status == .running }
        mesh.part(nil)
        mesh.wait(14, for: "the first receipt comes") { $0.job(0)?.candidateReceipts.count == 1 }
        mesh.wait(20, for: "the result of the executor that has its outputs") { $0.executor(of: 0) == 2 }
    }

    func executorBroken(_ mesh: inout SmallMesh) {
        mesh.join()
        mesh.submit(at: 0) { _, policy in policy.sufficientBids = 3 }
        mesh.wait(10, for: "the next executor's result, where the first one's machine failed") {
            $0.executor(of: 0) == 2
        }
    }

    func executorsBroken(_ mesh: inout SmallMesh) {
        mesh.join()
        mesh.submit(at: 0) { _, policy in policy.sufficientBids = 3 }
        mesh.wait(15, for: "the job fails") { $0.job(0)?.failure != nil }
        let count = mesh.job(0)?.attempts.count ?? 0
        if count != 2 { mesh.note("\(count) executors compiled what none can run, not 2") }
    }

    func engineCrashes(_ mesh: inout SmallMesh) {
        mesh.join()
        mesh.submit(at: 0) { _, policy in policy.sufficientBids = 3 }
        mesh.wait(15, for: "the job fails as one that crashes engines") {
            if case .crashesEngine(2, _)? = $0.job(0)?.failure { true } else { false }
        }
        let count = mesh.job(0)?.attempts.count ?? 0
        if count != 2 { mesh.note("\(count) executors ran what crashes their engines, not 2") }
    }

    // MARK: Bids

    func tokensHeld(_ mesh: inout SmallMesh) {
        mesh.join()
        for _ in 0..<3 { mesh.submit(at: 0) }
        mesh.wait(20, for: "all three jobs have their results") { mesh in (0..<3).allSatisfy(mesh.hasResult) }
    }

    func dearBidsFirst(_ mesh: inout SmallMesh) {
        mesh.slow(from: 4, to: 0, milliseconds: 300)
        mesh.join()
        mesh.submit(at: 0) { _, policy in policy.bidWindowMilliseconds = 2_000 }
        mesh.wait(10, for: "the cheap bid wins, which came later") { $0.executor(of: 0) == 4 }
    }

    func bidsUntaken(_ mesh: inout SmallMesh) {
        mesh.join()
        mesh.submit(at: 1) { _, policy in policy.sufficientBids = 2 }
        mesh.wait(10, for: "the cheaper bid wins") { $0.executor(of: 0) == 2 }
        // Its validity, by how much clocks may differ, and the pause between two looks.
        mesh.pass(30_000 + 300_000 + 20_000)
        let kept = mesh.network[SimulatedNodeID(3)].journal.count
        if kept > 0 { mesh.note("\(kept) events of a bid that nobody took are still on the disk") }
    }
}
