import Determinism
import JobMarket
import MeshTypes
import P2PTesting

/// Nodes that move, connections that are lost, calendars that are set, executors that fall silent.
extension Situation {
    // MARK: Moves

    func originatorMoves(_ mesh: inout SmallMesh) {
        // Only the executor can dial, and only if it learns where to.
        mesh.setDialable(2, false)
        mesh.join()
        mesh.submit(at: 1)
        mesh.wait(10, for: "the run begins") { $0.job(0, at: 2)?.status == .running }
        mesh.move(1)
        mesh.wait(20, for: "the receipt finds the originator, which moved") { $0.hasResult(0) }
    }

    func bidderMoves(_ mesh: inout SmallMesh) {
        mesh.setDialable(1, false)
        mesh.join(also: [1: [2]])
        // Checked, because whoever only says that a job failed has proved nothing, and is not waited for as long.
        mesh.submit(at: 1, verification: .replay)
        mesh.wait(20, for: "the first job has its result") { $0.hasResult(0) }
        mesh.submit(at: 1) { _, policy in policy.bidWindowMilliseconds = 3_000 }
        mesh.wait(3, for: "a bid") { $0.job(1)?.bids.count == 1 }
        mesh.move(2)
        mesh.wait(20, for: "the assignment finds the bidder, which moved") { $0.hasResult(1) }
    }

    func outputsWanted(_ mesh: inout SmallMesh) {
        // Both have peers enough, so neither looks for more; and only the executor knows that its address is its own.
        mesh.join(also: [1: [3, 4, 5, 6], 2: [3, 4, 5, 6, 7, 8, 9]])
        mesh.submit(at: 1)
        mesh.wait(10, for: "the receipt is here") { $0.job(0)?.candidateReceipts.isEmpty == false }
        mesh.slow(from: 2, to: 1, milliseconds: 3_000)
        mesh.wait(2, for: "the receipt is acknowledged") { $0.job(0, at: 2)?.delivery == .acknowledged }
        mesh.crash(2)
        mesh.slow(from: 2, to: 1, milliseconds: 20)
        mesh.pass(10_000)
        mesh.restart(2)
        mesh.wait(10, for: "the outputs are fetched from the executor, which came back") { $0.hasResult(0) }
    }

    func entranceGone(_ mesh: inout SmallMesh, telling told: UInt64) {
        mesh.join()
        mesh.submit(at: 1)
        mesh.wait(20, for: "the job has its result") { $0.hasResult(0) }
        // Long enough for connections to count as steady.
        mesh.pass(40_000)
        mesh.crash(0, isUnplugged: told % 2 == 0)
        mesh.cutAll(of: 1, telling: told)
        // A connection that died unseen is found out within 40 s, by its keep-alive.
        mesh.wait(60, for: "the originator finds an executor that it met") { $0.isConnected(1) }
    }

    // MARK: Calendars

    /// Plays the same job without and with a step, in a phase that the seed names; nothing may differ but latencies.
    func calendarSet(seed: UInt64) throws -> MarketReport {
        let hour: Int64 = 3_600_000
        var reference = try steppedMesh(seed: seed, 1, byMilliseconds: 0)
        var found: [String] = []
        for (node, milliseconds) in [(1, hour), (1, -hour), (2, hour), (2, -hour)] {
            var stepped = try steppedMesh(seed: seed, node, byMilliseconds: milliseconds)
            let story = "n\(node)'s calendar was set by \(milliseconds / hour) h"
            if stepped.facts != reference.facts { found.append("other things happened after \(story)") }
            let later = stepped.network.now.milliseconds(since: reference.network.now)
            if later.magnitude > 2_000 { found.append("\(later) ms later after \(story)") }
            found += stepped.end().violations
        }
        var report = reference.end()
        report.add(found)
        return report
    }

    private func steppedMesh(seed: UInt64, _ node: Int, byMilliseconds milliseconds: Int64) throws -> SmallMesh {
        var setups = [Self.node(), Self.node(), Self.executor(price: 20, runMilliseconds: 3_000)]
        // Offers of a stepped node do not pass on, which would only change the order of chance.
        for index in setups.indices { setups[index].lookMilliseconds = nil }
        var mesh = try SmallMesh(seed: seed, setups)
        mesh.join()
        mesh.submit(at: 1) { _, policy in policy.bidWindowMilliseconds = 2_000 }
        mesh.wait(10, for: "the phase in which the calendar is set") { mesh in
            switch seed % 4 {
            case 0: mesh.job(0)?.bids.count == 1
            case 1: mesh.job(0)?.liveAttempt != nil
            case 2: mesh.job(0, at: 2)?.status == .running
            default: mesh.job(0)?.receipt != nil
            }
        }
        mesh.step(node, byMilliseconds: milliseconds)
        mesh.wait(60, for: "the job is over") { $0.job(0)?.isClosed ?? false }
        return mesh
    }

    // MARK: Silent executors

    func executorSilent(_ mesh: inout SmallMesh) {
        mesh.slow(from: 2, to: 0, milliseconds: 400)
        mesh.join()
        mesh.submit(at: 0) { _, policy in (policy.bidWindowMilliseconds, policy.sufficientBids) = (2_000, 1) }
        mesh.wait(5, for: "the first executor accepts") { $0.job(0)?.liveAttempt?.isConfirmed ?? false }
        mesh.crash(1, isUnplugged: true)
        // Five seconds for its lease, one for the next bids, one for the run.
        mesh.wait(9, for: "the executor whose bid came too late gets the job") { $0.executor(of: 0) == 2 }
        mesh.restart(1)
        mesh.pass(15_000)
        mesh.submit(at: 0) { _, policy in (policy.bidWindowMilliseconds, policy.sufficientBids) = (2_000, 2) }
        mesh.wait(10, for: "the next job goes to the executor that delivered, not to the cheaper one") {
            $0.executor(of: 1) == 2
        }
    }

    func executorSilentLate(_ mesh: inout SmallMesh) {
        mesh.join()
        mesh.submit(at: 0) { params, policy in
            params.timeoutSeconds = 100
            policy.sufficientBids = 2
        }
        mesh.wait(5, for: "the cheaper executor accepts") { $0.job(0)?.liveAttempt?.isConfirmed ?? false }
        // No bid can be taken up after half a minute.
        mesh.pass(33_000)
        mesh.crash(1, isUnplugged: true)
        mesh.wait(12, for: "the executor whose bid lost bids again, and gets the job") { $0.executor(of: 0) == 2 }
    }

    func longRun(_ mesh: inout SmallMesh) {
        mesh.join()
        mesh.submit(at: 1) { params, _ in params.timeoutSeconds = 60 }
        mesh.wait(10, for: "the run begins") { $0.job(0, at: 2)?.status == .running }
        mesh.pass(20_000)
        mesh.crash(2)
        mesh.pass(500)
        mesh.restart(2)
        mesh.wait(45, for: "the run begins again and ends") { $0.hasResult(0) }
    }
}
