import Economics
import JobMarket
package import MeshTypes
import Multiformats
import P2PTesting
import Receipts
import SignedObjects

/// What a strategy earned beside honest executors, and what it cost the originator: read from the journal of the
/// originator, which has everything that was signed.
package struct StrategyReport: Hashable, Sendable {
    /// The strategy.
    package let strategy: StrategyScenario.Strategy
    /// How results were checked.
    package let level: VerificationLevel
    /// The seed of the round.
    package let seed: UInt64
    /// Jobs that have a result.
    package internal(set) var results: UInt64 = 0
    /// Jobs without one.
    package internal(set) var failed: UInt64 = 0
    /// Results that count although they are not what the job gives.
    package internal(set) var wrong: UInt64 = 0
    /// Results that the cheats gave before the round, as somebody who is honest.
    package let resultsBefore: UInt64
    /// Executors at once.
    package let executors: UInt64
    /// Cheats among them.
    package let cheats: UInt64
    /// Runs of executors.
    package internal(set) var runs: UInt64 = 0
    /// Runs of the originator, to check them.
    package internal(set) var checks: UInt64 = 0
    /// Receipts of cheats that came.
    package internal(set) var cheatsReceipts: UInt64 = 0
    /// Receipts that were refuted.
    package internal(set) var refuted: UInt64 = 0
    /// Receipts of cheats that were paid.
    package internal(set) var cheatsPaid: UInt64 = 0
    /// What a cheat earned on average.
    package internal(set) var cheatEarned: UInt64 = 0
    /// What an honest executor earned on average.
    package internal(set) var honestEarned: UInt64 = 0
    /// Keys that the cheats used.
    package let keys: Int
    /// What does not hold; empty in a good round.
    package internal(set) var violations: [String] = []

    init(_ network: borrowing VirtualNetwork<MarketNode>, of scenario: StrategyScenario, keys: Int) {
        (strategy, level, seed) = (scenario.strategy, scenario.level, scenario.seed)
        (executors, cheats, self.keys) = (UInt64(scenario.executors), UInt64(scenario.cheats), keys)
        resultsBefore = scenario.cheatsResultsBefore
        var liars: Set<DID> = []
        for id in network.nodeIDs where id.index > 0 && scenario.isCheat(id.index) {
            liars.insert(network[id].identity.did)
        }
        read(network[SimulatedNodeID(0)].journal, liars)
        check(network)
    }

    private mutating func read(_ journal: [JobEvent], _ liars: Set<DID>) {
        var manifests: [JobID: JobManifest] = [:]
        var receipts: [CID: ExecutionReceipt] = [:]
        var replicas: Set<JobID> = []
        var checked: Set<CID> = []
        var (cheats, honest): (UInt64, UInt64) = (0, 0)
        for event in journal {
            switch event.kind {
            case .submitted(let manifest, _, _, _): manifests[event.jobID] = manifest.body
            case .replicaOf: replicas.insert(event.jobID)
            case .receiptAccepted(_, let receipt, _):
                receipts[receipt.cid] = receipt.body
                runs += 1
                if liars.contains(receipt.body.executorDID) { cheatsReceipts += 1 }
            case .verificationBegan(let receipt, .replay, _): checked.insert(receipt)
            case .paymentRefused(let settlement, _): if settlement.body.verdict == .refuted { refuted += 1 }
            case .failed, .cancelled: if !replicas.contains(event.jobID) { failed += 1 }
            case .settled(let settlement, _):
                let isCheat = liars.contains(settlement.body.executorDID)
                if isCheat {
                    cheats += settlement.body.amountPaid.units
                } else {
                    honest += settlement.body.amountPaid.units
                }
                if isCheat { cheatsPaid += 1 }
                guard !replicas.contains(event.jobID) else { continue }
                results += 1
                if let receipt = receipts[settlement.body.receiptCID], let manifest = manifests[event.jobID],
                    !MarketFakeMachine.isTrue(receipt, of: manifest)
                {
                    wrong += 1
                }
            default: break
            }
        }
        self.checks = UInt64(checked.count)
        cheatEarned = cheats / self.cheats
        honestEarned = honest / (executors - self.cheats)
    }

    private mutating func check(_ network: borrowing VirtualNetwork<MarketNode>) {
        var (issued, found): (UInt64, UInt64) = (0, 0)
        for id in network.nodeIDs {
            let ledger = network[id].market.ledger
            issued += ledger.issued.units
            found += ledger.wallet.units + ledger.escrowTotal.units + ledger.paid.units - ledger.earned.units
            if !StrategyScenario.isQuiet(network[id].market) { violations.append("\(id) still has jobs") }
            for blame in network[id].blamed { violations.append("\(id) blames a peer: \(blame)") }
        }
        if issued != found { violations.append("\(issued) tokens issued, \(found) found") }
        if failed > 0 { violations.append("\(failed) jobs have no result") }
        // One of a small round shows nothing, nor what few results cost.
        if wrong > 1, wrongPerMillion > StrategyMeans.wrongPerMillionMax {
            violations.append("more than one wrong result in 1,000 counts")
        }
        let isShort = results < StrategyMeans.longRoundMin
        // By chance one round has a fifth more than the mean may have.
        let long = StrategyMeans.moreWorkPermilleMax * 12 / 10
        let most = isShort ? StrategyMeans.moreWorkPermilleMaxOfShort : long
        if strategy.isBoundedByDraw, results >= 300, moreWorkPermille > most {
            violations.append("more than \(most) of 1,000 results were run again")
        }
        if cheatEarned > honestEarned * (1_000 + strategy.chancePermille) / 1_000 {
            violations.append("it pays to cheat")
        }
    }

    /// Runs beyond those that the level asks for in any case, of a thousand results.
    package var moreWorkPermille: UInt64 {
        let wanted: UInt64 = if case .quorum(_, let count) = level { count } else { 1 }
        let needed = results * wanted
        return results == 0 ? 0 : (max(runs + checks, needed) - needed) * 1_000 / results
    }

    /// Wrong results that count, of a million: of the round, and of what all did while the cheats were honest.
    package var wrongPerMillion: UInt64 {
        let all = results + resultsBefore * executors
        return all == 0 ? 0 : wrong * 1_000_000 / all
    }

    /// A line for people.
    package var summary: String {
        let broken = violations.isEmpty ? "" : "\n  VIOLATED: " + violations.joined(separator: "; ")
        return """
            \(strategy.rawValue), \(level), seed \(seed): of \(results) results \(wrong) are wrong and count \
            (\(wrongPerMillion) of 1,000,000\(resultsBefore > 0 ? " with \(resultsBefore * executors) before" : "")), \
            \(failed) jobs failed, \(moreWorkPermille / 10).\(moreWorkPermille % 10) % more work; the cheat had \
            \(cheatsReceipts) runs with \(keys) keys, \(refuted) refuted, \(cheatsPaid) paid; \
            it earned \(cheatEarned), an honest executor \(honestEarned)\(broken)
            """
    }
}

extension StrategyScenario.Strategy {
    /// Whether the draw bounds what checks cost, once the honest executors are known: not where several run each job,
    /// and whatever all of them claim of it in the same way is run once more.
    var isBoundedByDraw: Bool { self != .copier }

    /// How much more than others somebody may earn in a round by chance who is honest most of the time, in thousandths.
    var chancePermille: UInt64 { self == .wrongAtOnePercent || self == .wrongAfterAWhile ? 250 : 0 }
}
