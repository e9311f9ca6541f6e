import Determinism
import PeerIdentity
import Reputation
import SignedObjects
import Testing

/// How often executors are checked, and what that lets through.
@Suite("Adaptive checks")
struct AdaptiveCheckTests {
    private func did(_ number: Int) -> DID {
        let bytes = (0..<32).map { UInt8(truncatingIfNeeded: number >> ($0 % 4 * 8)) }
        return try! Identity(seed: bytes).did
    }

    @Test("Only what was checked counts; one wrong result ends it, and nothing is believed beyond what was proved")
    func rule() {
        var records = TrackRecords()
        let (one, other) = (did(1), did(2))
        #expect(records.permille(of: one, stake: 10) == 1_000)
        for _ in 0..<50 { records.wasRight(one, worth: 10) }
        #expect(records.permille(of: one, stake: 10) == 500)
        #expect(records.permille(of: other, stake: 10) == 1_000)
        // A job that is worth more counts as more; one that is worth less does not count as less.
        #expect(records.permille(of: one, stake: 100) == 910)
        #expect(records.permille(of: one, stake: 1) == 500)
        #expect(records.permille(of: one, stake: 500) == 981)
        #expect(records.permille(of: one, stake: 501) == 1_000, "more is at stake than was ever proved")
        for _ in 0..<2_000 { records.wasRight(one, worth: 10) }
        #expect(records.permille(of: one, stake: 10) == 50)
        #expect(records.permille(of: one, stake: 10, rates: rates(trust: 50, floor: 10)) == 24)
        #expect(records.permille(of: one, stake: 10, rates: rates(trust: 2_050, floor: 10)) == 500)
        records.wasWrong(one)
        #expect(records.permille(of: one, stake: 0) == 1_000)
        records.wasRight(one, worth: .max)
        records.wasRight(one, worth: .max)
        #expect(records.permille(of: one, stake: .max) == 981)
    }

    @Test("So many executors have a record; the one not heard of for longest is always checked again")
    func bound() {
        let max = TrackRecords.Limits().executorsMax
        var records = TrackRecords()
        for number in 0...max { records.wasRight(did(number), worth: 10) }
        #expect(records.count == max)
        #expect(records.permille(of: did(0), stake: 1) == 1_000)
        #expect(records.permille(of: did(1), stake: 1) == 981)
    }

    private func rates(trust: UInt64, floor: UInt64) -> TrackRecords.Rates {
        var rates = TrackRecords.Rates()
        (rates.trust, rates.floorPermille) = (trust, floor)
        return rates
    }

    /// When a cheat is wrong: whatever it says then, a run here gives something else. How it lies makes a difference on
    /// the market, which SimulationTests plays (`StrategySimulationTests`).
    enum Strategy: String, CaseIterable {
        case always, wrongAtOnePercent, wrongWhenUnlikelyToBeChecked, wrongAfterAWhile, farmerOfCheapJobs

        func lies(permille: UInt64, worth: UInt64, checked: Int, _ dice: inout SeededGenerator) -> Bool {
            switch self {
            case .always: true
            case .wrongAtOnePercent: dice.next() % 100 == 0
            case .wrongWhenUnlikelyToBeChecked: permille <= 100
            case .wrongAfterAWhile: checked >= 20
            case .farmerOfCheapJobs: worth > 1
            }
        }
    }

    private struct Figures {
        var accepted = 0
        var wrong = 0
        /// After the warm-up.
        var results = 0
        var furtherRuns = 0
        var cheatEarned: UInt64 = 0
        var honestEarned: UInt64 = 0
    }

    /// Twenty executors, one of them a cheat, get jobs by chance; who is caught gets none for as long as all do five
    /// hundred, and comes back under a new key, which costs nothing else.
    private func play(_ strategy: Strategy, seed: UInt64) -> Figures {
        let (executors, cheats, warmUp, jobs, rest) = (20, 1, 100_000, 140_000, 500)
        var dice = SeededGenerator(seed: seed)
        var records = TrackRecords()
        var keys = (0..<executors).map { did($0) }
        var nextKey = executors
        var restsUntil = [Int](repeating: 0, count: executors)
        var checked = [Int](repeating: 0, count: executors)
        var figures = Figures()
        for job in 0..<jobs {
            var index = Int(dice.next() % UInt64(executors))
            while restsUntil[index] > job { index = Int(dice.next() % UInt64(executors)) }
            let worth: UInt64 = dice.next() % 10 == 0 ? 100 : 1
            let permille = records.permille(of: keys[index], stake: worth)
            let isCheat = index < cheats
            let lies =
                isCheat && strategy.lies(permille: permille, worth: worth, checked: checked[index], &dice)
            let isChecked = dice.next() % 1_000 < permille
            if job >= warmUp {
                figures.results += 1
                // The check; and where it finds a lie, the run of another.
                figures.furtherRuns += (isChecked ? 1 : 0) + (isChecked && lies ? 1 : 0)
            }
            if isChecked, lies {
                records.wasWrong(keys[index])
                keys[index] = did(nextKey)
                nextKey += 1
                (restsUntil[index], checked[index]) = (job + rest, 0)
                continue
            }
            if isChecked {
                records.wasRight(keys[index], worth: worth)
                checked[index] += 1
            }
            figures.accepted += 1
            figures.wrong += lies ? 1 : 0
            if isCheat { figures.cheatEarned += worth } else { figures.honestEarned += worth }
        }
        // Per executor.
        figures.cheatEarned /= UInt64(cheats)
        figures.honestEarned /= UInt64(executors - cheats)
        return figures
    }

    @Test("With one cheat in twenty, at most 1 wrong result in 1,000 counts, at no more than a tenth more work")
    func simulation() {
        let seed: UInt64 = 7
        for strategy in Strategy.allCases {
            let figures = play(strategy, seed: seed)
            let wrong = 1_000_000 * figures.wrong / figures.accepted
            let more = 1_000 * figures.furtherRuns / figures.results
            print(
                "\(strategy.rawValue), seed \(seed): \(wrong) of 1,000,000 results are wrong and count, "
                    + "\(more / 10).\(more % 10) % more work, a cheat earns \(figures.cheatEarned), "
                    + "an honest executor \(figures.honestEarned)")
            #expect(wrong <= 1_000, "\(strategy), seed \(seed)")
            #expect(more <= 100, "\(strategy), seed \(seed)")
            #expect(
                figures.cheatEarned <= figures.honestEarned + figures.honestEarned / 20, "\(strategy), seed \(seed)")
        }
    }
}
