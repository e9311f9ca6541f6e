import Determinism
import JobMarket
import MeshTypes
import Multiformats
import PeerIdentity
import Reputation
import SignedObjects

/// A member of a simulated economy: its keys, what it knows of others, and what it gained.
struct EconomyNode: Sendable {
    let index: Int
    let strategy: EconomyStrategy
    let issuer: Int
    /// What it asks for a million fuel.
    let pricePerMillion: UInt64
    /// Who hears of its jobs.
    let neighbours: [Int]
    private(set) var identity: Identity
    private(set) var did: DID
    private(set) var peerID: PeerID
    /// Keys that it gave up.
    private(set) var past: [DID] = []
    /// What it knows of executors, and of originators.
    private(set) var executors = ReputationBook()
    private(set) var payers = ReputationBook(of: .originator, limits: .ofOriginators)
    var records = TrackRecords()
    private var named: Set<DID> = []
    private var recorded: Set<DID> = []
    var runsLeft: UInt64 = 0
    private(set) var runs: UInt64 = 0
    var lies: UInt64 = 0
    var liesFound: UInt64 = 0
    /// What its results were worth, less what runs, checks and identities cost.
    var gained: Int64 = 0
    /// Whether it was caught since it has this key.
    var isCaught = false
    private(set) var violations: [String] = []

    init(_ index: Int, _ town: EconomyTown, _ dice: inout SeededGenerator) {
        self.index = index
        strategy = EconomyTown.strategy(of: index)
        issuer = EconomyTown.issuer(of: index)
        pricePerMillion = UInt64.random(in: EconomyTerms.pricesPerMillionFuel, using: &dice)
        identity = town.members[index]
        (did, peerID) = (identity.did, identity.peerID)
        var neighbours: [Int] = []
        while neighbours.count < min(EconomyTerms.neighbours, town.members.count - 1) {
            let other = Int(dice.next() % UInt64(town.members.count))
            if other != index, !neighbours.contains(other) { neighbours.append(other) }
        }
        self.neighbours = neighbours
    }

    /// Goes on under another key.
    mutating func become(_ identity: Identity) {
        past.append(did)
        self.identity = identity
        (did, peerID, isCaught) = (identity.did, identity.peerID, false)
    }

    /// Takes all evidence about somebody; what the book says then has to follow from what it kept.
    mutating func judge(_ all: [ReputationEvidence], as side: ReputationSide) {
        guard let evidence = all.last else { return }
        let book: ReputationBook
        switch side {
        case .executor:
            for item in all { executors.record(item) }
            book = executors
        case .originator:
            for item in all { payers.record(item) }
            book = payers
        case .elsewhere:
            for item in all { _ = executors.recordElsewhere(item) }
            book = executors
        }
        var again = side == .originator ? ReputationBook(of: side, limits: .ofOriginators) : ReputationBook()
        for item in book.evidence(about: evidence.subject).reversed() { again.record(item) }
        // What a subject paid is taken off what it was paid, so the others' records belong to the evidence, too.
        for subject in book.elsewhere.subjects {
            for item in book.elsewhere.evidence(about: subject).reversed() { _ = again.recordElsewhere(item) }
        }
        let scores = [book, again].map { $0.score(of: evidence.subject, at: evidence.at) }
        if scores[0] != scores[1], violations.isEmpty {
            violations.append("a reputation of \(scores[0]) whose evidence gives \(scores[1])")
        }
    }

    /// Gives a neighbour's first key a name here.
    mutating func know(_ executor: DID) {
        guard named.insert(executor).inserted else { return }
        let all = (0..<EconomyTerms.namedBefore).map { number in
            let cid = CID.hashing(Array("\(index) \(executor) \(number)".utf8), codec: .raw)
            return ReputationEvidence(
                subject: executor, payer: did, assignmentCID: cid, receiptCID: cid, verdict: .fulfilled,
                at: EconomyTerms.start)
        }
        judge(all, as: .executor)
    }

    /// With what probability it runs a result again, in thousandths. Neighbours' first keys gave it right ones before.
    mutating func checkPermille(of executor: DID, stake: UInt64) -> UInt64 {
        if named.contains(executor), recorded.insert(executor).inserted {
            for number in 0..<EconomyTerms.rightBefore {
                records.wasRight(executor, worth: number % 2 == 0 ? 80 : 100)
            }
        }
        return records.permille(of: executor, stake: stake)
    }

    /// Whether its next run gives a wrong result.
    mutating func liesNow(_ dice: inout SeededGenerator) -> Bool {
        runs += 1
        runsLeft -= 1
        if strategy == .oscillator { return runs % 8 > 6 || runs % 8 == 0 }
        return dice.next() % 1_000 < strategy.liesPermille
    }

    /// Its terms for a job; a sniper knows the lowest price of all others.
    func terms(lowest: UInt64?, now: UnixMilliseconds) -> BidTerms {
        let millions = EconomyTerms.maxFuel / 1_000_000
        var (base, rate) = (EconomyTerms.basePrice, pricePerMillion)
        switch strategy {
        case .shader: rate = rate * 7 / 5
        case .whitewasher: rate = rate * 7 / 10
        case .sniper:
            // Never below what a run costs.
            if let lowest {
                rate = max(EconomyTerms.costPerMillionFuel, (lowest - 1) / millions)
                base = max(1, lowest - 1 - min(lowest - 2, rate * millions))
            }
        default: break
        }
        return BidTerms(
            price: TokenAmount(base + rate * millions), basePrice: TokenAmount(base),
            pricePerMillionFuel: TokenAmount(rate), earliestStart: now,
            deadline: now.advanced(milliseconds: 60_000))
    }
}
