import Determinism
import JobMarket
import MeshTypes

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

    /// What it says instead of the truth.
    struct Lie {
        var outcome: ExecutionOutcome?
        var fuel: UInt64?
        var output: [UInt8]?
        var milliseconds: Int64?
    }

    /// The lie about a run; nil if it tells the truth this time.
    func lie(about order: ExecutionOrder, _ dice: inout SeededGenerator) -> Lie? {
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
        case .fuelPadder:
            return Lie(fuel: min(order.manifest.params.maxFuel, 1_000_000_000))
        }
    }
}
