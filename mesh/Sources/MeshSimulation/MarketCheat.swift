import Determinism
import JobMarket
import MeshTypes
import Multiformats
import SignedObjects

/// How a simulated executor lies about what it runs.
package enum MarketCheat: Hashable, Sendable {
    /// Runs nothing, and says at once that the module exited.
    case lazy
    /// Gives a wrong result now and then, in thousandths.
    case wrong(permille: UInt64)
    /// Says that the job failed by its own fault, in one way after the other.
    case failureClaimer
    /// Claims more fuel than its runs used.
    case fuelPadder
    /// Gives the wrong result that all others of its kind give, with the fuel that the work takes.
    case colluder
    /// Is honest with jobs that may cost no more than this, and wrong with dearer ones.
    case farmer(honestUpTo: UInt64)
    /// Wants to be paid for what others do beside it: comes to the end late, as a second copy never, and claims all of
    /// the fuel when it is stopped.
    case hedgeLoser
    /// Runs nothing: waits until somebody publishes a receipt of the same work and gives what that says; where nobody
    /// does in time, it makes something up.
    case copier
    /// Is honest until so many of its results were checked and right since it was caught last, then always wrong: it
    /// lies only where it is unlikely to be checked.
    case turncoat(after: UInt64)

    /// What a node knows: as a cheat, when it has a run to make, and as an originator.
    struct Knowledge: Sendable {
        /// Its results that were checked, by their settlements, and right, since one was wrong.
        var right: UInt64 = 0
        /// Works of which it heard a receipt.
        private(set) var works: Set<CID> = []
        /// Receipts that it refused to pay, as they were proved wrong.
        private(set) var refutedCount = 0

        /// Learns from how a receipt was paid, or not.
        mutating func learn(from event: JobEvent) {
            switch event.kind {
            case .paymentRefused(let settlement, _): if settlement.body.verdict == .refuted { refutedCount += 1 }
            case .settlementReceived(let settlement):
                if settlement.body.verdict == .refuted { right = 0 }
                if settlement.body.finding == .confirmed { right += 1 }
            default: break
            }
        }

        /// Hears that a receipt can be had; of jobs that the node bid for, it knows the work.
        mutating func heard(_ data: [UInt8], _ market: JobMarket) {
            guard case .executionReceiptAvailable(let notice)? = try? MeshProtocolMessage.decode(data),
                let job = market.executedJob(notice.jobID)
            else { return }
            works.insert(job.signedManifest.body.work(of: job.id))
        }
    }

    /// What it says instead of the truth.
    struct Lie {
        var outcome: ExecutionOutcome?
        var fuel: UInt64?
        var output: [UInt8]?
        var milliseconds: Int64?
        /// Whether it gives what is right, should it have heard that until then.
        var isCopied = false
    }

    /// The lie about a run; nil if it tells the truth this time.
    func lie(about order: ExecutionOrder, knowing: Knowledge, _ dice: inout SeededGenerator) -> Lie? {
        switch self {
        case .lazy:
            return Lie(outcome: .exited(code: 0), fuel: 1_000, output: Array("nothing".utf8), milliseconds: 5)
        case .wrong(let permille):
            guard dice.next() % 1_000 < permille else { return nil }
            return Lie(output: Array("wrong".utf8))
        case .failureClaimer:
            let claims: [ExecutionOutcome] = [
                .moduleRefused(reason: "no"), .trapped(kind: .unreachable, message: "no"), .limitExceeded(.memory),
            ]
            let claim = claims[Int(dice.next() % UInt64(claims.count))]
            return Lie(outcome: claim, fuel: 0, milliseconds: 5)
        case .colluder:
            let work = order.manifest.work(of: order.jobID)
            return Lie(outcome: .exited(code: 0), output: Array("agreed lie about \(work)".utf8))
        case .farmer(let honestUpTo):
            guard order.manifest.params.maxAcceptableBidTokens?.units ?? .max > honestUpTo else { return nil }
            return Lie(output: Array("wrong".utf8))
        case .hedgeLoser:
            return Lie(milliseconds: order.attempt > 1 ? 60_000 : 15_000)
        case .copier:
            var lie = Lie(outcome: .exited(code: 0), fuel: 1_000, output: Array("nothing".utf8), milliseconds: 15_000)
            lie.isCopied = true
            return lie
        case .turncoat(let after): return knowing.right < after ? nil : Lie(output: Array("wrong".utf8))
        case .fuelPadder:
            return Lie(fuel: min(order.manifest.params.maxFuel, 1_000_000_000))
        }
    }
}
