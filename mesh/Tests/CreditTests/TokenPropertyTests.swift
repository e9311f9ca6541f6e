import Credit
import Determinism
import MeshTypes
import Multiformats
import PeerIdentity
import SignedObjects
import Testing

/// Random chains, honest and not, that are used, revoked, settled, released and outlived.
@Suite("Tokens under random use")
struct TokenPropertyTests {
    private struct Play {
        let job: HeldJob
        let hold: CID
        let chain: [CID]
    }

    private struct Round {
        var world: CreditWorld
        var dice: SeededGenerator
        var chains: [[Token]] = []
        var plays: [Play] = []
        var revoked: Set<CID> = []
        var jobs: UInt64 = 0
        var shown: [DID: [BookEntry]] = [:]
        var taken = 0

        init(seed: UInt64) throws {
            world = try CreditWorld(lines: 5_000) {
                ($0.holdsFreePerDay, $0.holdFee, $0.disputeBudgetMin) = (10, TokenAmount(3), TokenAmount(5))
            }
            dice = SeededGenerator(seed: seed)
        }

        mutating func roll(_ count: Int) -> Int { Int.random(in: 0..<count, using: &dice) }

        @discardableResult
        mutating func attempt(_ event: BookEvent) throws -> Bool {
            let before = world.book
            defer { world.book.checkInvariants() }
            switch world.core.record(event, now: world.now) {
            case .success(.entered(let entry, let opening)):
                world.entries.append(entry)
                world.openings.append(opening)
                taken += 1
                for party in event.parties(in: before) { shown[party, default: []].append(entry) }
                return true
            case .success(.known), .failure:
                #expect(world.book == before)
                return false
            }
        }

        /// Gives a token: of a line, or below one that somebody has; some allow more than they may.
        mutating func give() throws {
            let holder = CreditWorld.guests[roll(CreditWorld.guests.count)]
            let amount = UInt64(1 + roll(1_500))
            let number = UInt8(roll(250))
            let life = UInt64(1 + roll(4)) * 1_800_000
            let now = world.now
            guard roll(3) > 0, let above = chains.randomElement(using: &dice), let last = above.last,
                let giver = CreditWorld.guests.first(where: { $0.did == last.body.holderDID })
            else {
                let token = try world.token(number, from: world.members[roll(2)], to: holder.did, amount) {
                    ($0.notBefore, $0.expiresAt) = (now, now.advanced(milliseconds: life))
                }
                return chains.append([token])
            }
            guard holder.did != giver.did else { return }
            let isHonest = roll(4) > 0
            let token = try world.token(number, from: giver, to: holder.did, below: last, amount) {
                ($0.notBefore, $0.expiresAt) = (last.body.notBefore, last.body.expiresAt)
                if isHonest { $0.amount = min($0.amount, last.body.amount) }
            }
            chains.append(above + [token])
        }

        mutating func use() throws {
            guard let chain = chains.randomElement(using: &dice), let last = chain.last else { return }
            let other = roll(10) == 0
            let holder = CreditWorld.guests.first { ($0.did == last.body.holderDID) != other }
            guard let holder else { return }
            jobs += 1
            let (fee, budget) = (TokenAmount(UInt64(roll(6))), TokenAmount(UInt64(4 + roll(8))))
            let job = try world.job(jobs, of: holder, to: 2 + roll(3), price: UInt64(1 + roll(900))) {
                ($0.feeMax, $0.disputeBudget) = (fee, budget)
            }
            let (event, hold) = try world.held(job, by: chain)
            guard try attempt(event) else { return }
            #expect(!other && revoked.isDisjoint(with: chain.map(\.bodyCID)))
            #expect(world.now <= last.body.expiresAt)
            plays.append(Play(job: job, hold: hold, chain: chain.map(\.bodyCID)))
        }

        mutating func revoke() throws {
            guard let chain = chains.randomElement(using: &dice), let last = chain.last else { return }
            let people = CreditWorld.guests + world.members.prefix(2)
            // Every other time somebody who may.
            let givers = chain.map(\.did)
            let isOwn = roll(2) == 0
            let able = people.filter { !isOwn || givers.contains($0.did) }
            let revoker = able[roll(able.count)]
            guard try attempt(try world.revoked(chain, by: revoker)) else { return }
            #expect(chain.contains { $0.did == revoker.did })
            revoked.insert(last.bodyCID)
        }

        mutating func end() throws {
            guard let play = plays.randomElement(using: &dice) else { return }
            switch roll(4) {
            case 0: try attempt(try world.released(play.job, play.hold))
            case 1:
                let claim = try play.job.claim(
                    try play.job.receipt(millions: UInt64(roll(200))), kept: world.arbiter, at: world.now)
                try attempt(.claimLodged(hold: play.hold, claim: claim.bytes, lodging: nil))
                let dispute = try world.disputed(claim, by: play.job.originator)
                if roll(2) == 0 {
                    try attempt(.claimDisputed(hold: play.hold, dispute: dispute.bytes, lodging: nil))
                }
                if roll(2) == 0 {
                    let decision = try world.decided(claim, payable: UInt64(roll(120)))
                    try attempt(.claimDecided(hold: play.hold, decision: decision.bytes, lodging: nil))
                }
            default:
                let receipt = try play.job.receipt(millions: UInt64(roll(200)))
                let due = min(receipt.body.price.units, play.job.price)
                try attempt(try play.job.settled(play.hold, receipt, pays: due))
            }
        }

        mutating func step() throws {
            switch roll(12) {
            case 0, 1, 2: try give()
            case 3, 4, 5, 6: try use()
            case 7: try revoke()
            case 8, 9, 10: try end()
            default:
                world.now = world.now.advanced(milliseconds: UInt64(roll(600_000)))
                for event in world.book.dueEvents(now: world.now) { try attempt(event) }
            }
        }
    }

    @Test("No token gives more than it has, whoever uses it, and every audit agrees", arguments: 1...6)
    func random(seed: Int) throws {
        var round = try Round(seed: UInt64(seed))
        for _ in 0..<600 { try round.step() }
        let book = round.world.book
        // By the holds alone: what was paid, and what is reserved.
        var spent: [CID: UInt64] = [:]
        for play in round.plays {
            guard let hold = book.holds[play.hold] else { continue }
            let amount = if case .ended(let end, _) = hold.state { end.paid } else { hold.reserved }
            for cid in play.chain { spent[cid, default: 0] += amount }
        }
        let most = Dictionary(
            round.chains.joined().map { ($0.bodyCID, $0.body.amount.units) }, uniquingKeysWith: { one, _ in one })
        for (cid, amount) in spent { #expect(amount <= most[cid] ?? 0, "seed \(seed): \(cid) gave \(amount)") }
        #expect(round.plays.count > 5 && !round.revoked.isEmpty, "seed \(seed): nothing happened")
        print("seed \(seed): \(round.taken) entries, \(round.plays.count) holds, \(round.revoked.count) revocations")
        let again = try IssuerBook(replaying: round.world.entries, origin: .arrived)
        #expect(again == book, "seed \(seed): an auditor finds another book")
        guard case .opened(let block) = round.world.entries[0].event else { throw BookRefusal.otherBook }
        let charter = try SignedObject<IssuerCharter>(reading: block)
        for (did, entries) in round.shown {
            var own = MemberBook(of: did, at: charter)
            var sum: Int128 = 0
            for entry in entries { for change in try own.take(entry).values { sum += change } }
            let balance = Int128(book.accounts[LineID(did, CreditWorld.unit)]?.balance ?? 0)
            if !own.isUncertain { #expect(sum == balance, "seed \(seed): \(did)") }
        }
    }
}
