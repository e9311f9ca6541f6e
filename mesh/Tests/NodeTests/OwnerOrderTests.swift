import Determinism
import Foundation
import JobMarket
import MeshTypes
import Multiformats
import NodeAPI
import NodeCore
import P2PTesting
import PeerIdentity
import Testing

@testable import PlanetaryMesh

#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

/// A pause, a drain and a resumption of a real node, over a restart too.
@Suite("Nodes whose owners want them back", .serialized)
struct NodeOwnerOrderTests {
    private func running(_ mesh: NodeMesh) async throws -> CID {
        let job = try await mesh.submit(try Assembler.command("(loop (br 0))")) { submission in
            submission.limits.maxFuel = 900_000_000_000
            submission.limits.timeoutSeconds = 300
        }
        try await eventually("the job runs") { await mesh.nodes[0].runningFuel() > 0 }
        return job
    }

    @Test("A paused run burns no fuel, goes on when resumed, and ends as the node's failure when the pause lasts")
    func pause() async throws {
        try await NodeMesh.run(prices: [10]) { mesh in
            let executor = mesh.nodes[0]
            let job = try await running(mesh)
            let paused = try await executor.order(.pause)
            #expect(paused.state == "paused")
            #expect(paused.running == 1)
            #expect(paused.keptMilliseconds ?? 0 > 50_000)
            try await eventually("the run stands still") { await executor.standsStill() }
            let resumed = try await executor.order(.resume).state
            #expect(resumed == "open")
            let before = await executor.runningFuel()
            try await eventually("the run goes on") { await executor.runningFuel() > before }
            _ = try await executor.order(.pause)
            await executor.pass(milliseconds: 60_001)
            try await eventually("the run is given up") { await executor.outcome(at: JobID(job)) != nil }
            let outcome = await executor.outcome(at: JobID(job))
            #expect(outcome == .nodeFailed(reason: "the executor's owner paused it for more than 60 s"))
            let status = try await executor.status()
            let state = try #require(status.executorState)
            #expect(state.state == "paused")
            #expect(state.jobs == 0)
        }
    }

    @Test("A drained node finishes its jobs, takes no others, and is still drained after a restart")
    func drain() async throws {
        var identity = Identity.generate()
        try await NodeMesh.run(prices: [10, 20]) { mesh in
            let cheap = mesh.nodes[0]
            identity = cheap.identity
            let drained = try await cheap.order(.drain).state
            #expect(drained == "drained")
            let job = try await mesh.submit(try Assembler.command("nop"))
            let result = try await mesh.result(of: job)
            #expect(result.ending == .succeeded)
            let here = await cheap.outcome(at: JobID(job))
            #expect(here == nil)
            let there = await mesh.nodes[1].outcome(at: JobID(job))
            #expect(there == .exited(code: 0))
        } afterwards: { folder in
            let node = try await NodeMesh.open(
                folder.appendingPathComponent("0").path, try NodeMesh.loopback(), identity: identity)
            try await NodeMesh.running([node]) {
                let state = try await node.status().executorState?.state
                #expect(state == "drained")
                let resumed = try await node.order(.resume).state
                #expect(resumed == "open")
            }
        }
    }

    @Test("A node that runs no jobs has nothing to pause, and says what to set")
    func noExecutor() async throws {
        try await NodeMesh.run(prices: [10]) { mesh in
            do throws(NodeServiceError) {
                _ = try await mesh.originator.order(.pause)
                Issue.record("it was paused")
            } catch {
                #expect(error.message == "This node runs no jobs for others.")
                #expect(error.hint?.contains("executor.enabled") == true)
            }
            let state = try await mesh.originator.status().executorState?.state
            #expect(state == "off")
        }
    }
}

extension MeshNode {
    /// The fuel that its runs have burnt, as far as they have told.
    fileprivate func runningFuel() -> UInt64 { runs.burntFuel }

    /// Whether no run burns fuel for a while.
    fileprivate func standsStill() -> Bool {
        let before = runs.burntFuel
        poll(nil, 0, 300)
        return before > 0 && runs.burntFuel == before
    }

    /// How its run of a job ended; nil before it has.
    fileprivate func outcome(at job: JobID) -> ExecutionOutcome? { core.market.executedJob(job)?.receipt?.outcome }

    /// Lets the node believe that time has passed.
    fileprivate func pass(milliseconds: Int64) {
        var later = moment
        later.now = later.now.advanced(milliseconds: milliseconds)
        carryOut(core.deadlineReached(now: later))
    }
}
