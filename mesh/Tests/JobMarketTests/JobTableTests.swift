import Determinism
import Economics
import MeshTypes
import Multiformats
import Testing

@testable import JobMarket

/// What tells one state of a job from another.
@Suite("Revisions of jobs") struct JobTableTests {
    private struct Job: MarketJob {
        let id: JobID
        var state = 0
        var isClosed = false
        var cameToNothing = false

        var ledgerKeys: [LedgerEntry.Key] { [] }
        var marks: Int { state }

        func armTimers(from old: Int?, _ context: inout MarketContext) {}
        func emitActions(of event: JobEvent, _ context: inout MarketContext) {}
    }

    /// One state of one job.
    private struct State: Hashable {
        let id: JobID
        let state: Int
    }

    @Test("A revision is that of one state of one job, whatever is inserted, changed, closed, forgotten and come again")
    func revisions() {
        var limits = MarketLimits()
        (limits.closedJobsMax, limits.closedBidsMax) = (3, 2)
        let ids = (0..<12).map { JobID(CID.hashing([UInt8($0)], codec: .dagCBOR)) }
        var (table, generator, states) = (JobTable<Job>(), SeededGenerator(seed: 7), 0)
        var seen: [UInt64: State] = [:]
        var last: [State: UInt64] = [:]
        for _ in 0..<1_000 {
            let id = ids[Int.random(in: ids.indices, using: &generator)]
            states += 1
            switch Int.random(in: 0..<6, using: &generator) {
            case 0: table.insert(Job(id: id, state: states, cameToNothing: states.isMultiple(of: 3)))
            case 1: _ = table.remove(id)
            case 2 where table[id]?.isClosed == false:
                table.update(id) { ($0.state, $0.isClosed) = (states, true) }
                _ = table.close(id, limits)
            default: table.update(id) { $0.state = states }
            }
            for id in ids {
                #expect((table.revision(of: id) == nil) == (table[id] == nil))
                guard let job = table[id], let revision = table.revision(of: id) else { continue }
                let state = State(id: id, state: job.state)
                #expect(seen.updateValue(state, forKey: revision) ?? state == state)
                // Where nothing changed nothing is made anew.
                #expect(last.updateValue(revision, forKey: state) ?? revision == revision)
            }
        }
        #expect(seen.count > 300)
    }
}
