import Credit
import Determinism
import MeshTypes
import Multiformats
import SignedObjects
import Testing

/// Random orders, claims, disputes, decisions and corrections, honest and not, again and in other orders, with crashes.
@Suite("A book under random operations")
struct IssuerPropertyTests {
    /// A hold, and what its sides may say of it.
    private struct Play {
        let job: HeldJob
        let hold: CID
        var claim: SignedObject<HoldClaim>?
    }

    private struct Round {
        var world: CreditWorld
        var dice: SeededGenerator
        var plays: [Play] = []
        var tried: [BookEvent] = []
        /// What witnesses were given since the issuer caught up last, with the event that takes it.
        var lodged: [(cid: CID, at: UnixMilliseconds, event: BookEvent, block: [UInt8])] = []
        var jobs: UInt64 = 0
        var paid: [CID: Int] = [:]
        var refused = 0
        /// What each party was shown.
        var shown: [DID: [BookEntry]] = [:]

        init(seed: UInt64) throws {
            world = try CreditWorld(witnesses: true, lines: 5_000) {
                ($0.holdsFreePerDay, $0.holdFee, $0.disputeBudgetMin) = (20, TokenAmount(3), TokenAmount(10))
            }
            dice = SeededGenerator(seed: seed)
        }

        mutating func roll(_ count: Int) -> Int { Int.random(in: 0..<count, using: &dice) }

        /// Tries an event; refused ones change nothing.
        mutating func attempt(_ event: BookEvent) throws {
            tried.append(event)
            let before = world.book
            switch world.core.record(event, now: world.now) {
            case .success(.entered(let entry, let opening)):
                world.entries.append(entry)
                world.openings.append(opening)
                for party in event.parties(in: before) { shown[party, default: []].append(entry) }
                for (id, hold) in world.book.holds where before.holds[id]?.state != hold.state {
                    if case .ended(let end, _) = hold.state, end.paid > 0 { paid[id, default: 0] += 1 }
                }
            case .success(.known): #expect(world.book == before)
            case .failure:
                refused += 1
                #expect(world.book == before)
            }
            world.book.checkInvariants()
        }

        mutating func step() throws {
            let (one, other) = (roll(world.members.count), roll(world.members.count))
            switch roll(14) {
            case 0, 1, 2, 3: try hold(one, other)
            case 4: try settle()
            case 5: try release()
            case 6, 7: try claim()
            case 8: try dispute(one)
            case 9: try decide(one)
            case 10: try pay(one, other)
            case 11: try order(one)
            case 12:
                world.now = world.now.advanced(milliseconds: UInt64(roll(40_000)))
                for event in world.book.dueEvents(now: world.now) { try attempt(event) }
            default: roll(2) == 0 ? try catchUp() : try repeatOrCrash()
            }
        }

        mutating func hold(_ one: Int, _ other: Int) throws {
            jobs += 1
            let price = UInt64(1 + roll(2_000))
            // Some name an attempt that has a hold already, themselves as executors, or themselves as arbiters.
            let number = roll(10) == 0 ? 1 : jobs
            var job = try HeldJob(
                number, from: world.members[one], to: world.members[other], arbiter: world.arbiter.did, price: price,
                now: world.now)
            job.terms.disputeBudget = TokenAmount(UInt64(5 + roll(30)))
            job.terms.feeMax = TokenAmount(UInt64(roll(6)))
            if roll(10) == 0 { job.terms.arbiterDID = world.members[one].did }
            let order = try world.order(job)
            try attempt(.holdGranted(order: order.bytes))
            if world.book.holds[order.bodyCID] != nil { plays.append(Play(job: job, hold: order.bodyCID)) }
        }

        mutating func settle() throws {
            guard !plays.isEmpty else { return }
            let play = plays[roll(plays.count)]
            let receipt = try play.job.receipt(millions: UInt64(roll(200)))
            let due = min(receipt.body.price.units, play.job.price)
            try attempt(try play.job.settled(play.hold, receipt, pays: roll(3) == 0 ? due / 2 : due))
        }

        mutating func release() throws {
            guard !plays.isEmpty else { return }
            let play = plays[roll(plays.count)]
            let signer = roll(2) == 0 ? play.job.executor : play.job.originator
            let release = try SignedObject.sign(
                HoldRelease(executorDID: signer.did, holdCID: play.hold, releasedAt: world.now), with: signer)
            try attempt(.holdReleased(hold: play.hold, release: release.bytes))
        }

        mutating func claim() throws {
            guard !plays.isEmpty else { return }
            let index = roll(plays.count)
            let play = plays[index]
            let keepers = [world.arbiter, world.witnesses[0], play.job.originator, play.job.executor]
            let claim = try play.job.claim(
                try play.job.receipt(millions: UInt64(roll(200))), kept: keepers[roll(4)],
                at: world.now.advanced(milliseconds: UInt64(roll(2) * 30_000)),
                by: roll(8) == 0 ? world.members[0] : nil)
            if plays[index].claim == nil { plays[index].claim = claim }
            try give(claim.cid, claim.bytes) { .claimLodged(hold: play.hold, claim: claim.bytes, lodging: $0) }
        }

        mutating func dispute(_ member: Int) throws {
            guard let play = plays.filter({ $0.claim != nil }).randomElement(using: &dice), let claim = play.claim
            else {
                return
            }
            let signer = roll(4) == 0 ? world.members[member] : play.job.originator
            let dispute = try world.disputed(claim, by: signer)
            try give(dispute.cid, dispute.bytes) {
                .claimDisputed(hold: play.hold, dispute: dispute.bytes, lodging: $0)
            }
        }

        mutating func decide(_ member: Int) throws {
            guard let play = plays.filter({ $0.claim != nil }).randomElement(using: &dice), let claim = play.claim
            else {
                return
            }
            let signer = roll(4) == 0 ? world.members[member] : world.arbiter
            let decision = try world.decided(claim, payable: UInt64(roll(250)), by: signer)
            try give(decision.cid, decision.bytes) {
                .claimDecided(hold: play.hold, decision: decision.bytes, lodging: $0)
            }
        }

        /// Gives an object to the issuer, or to its witnesses, as if it were away.
        mutating func give(_ cid: CID, _ block: [UInt8], _ event: ([UInt8]?) -> BookEvent) throws {
            guard roll(2) == 0 else { return try attempt(event(nil)) }
            let last = max(world.book.caughtUpUntil, lodged.last?.at ?? .epoch)
            let at = max(world.now, last.advanced(milliseconds: 1))
            let word = try world.lodging(cid, at: at, by: world.witnesses[roll(4)])
            lodged.append((cid, at, event(word), block))
        }

        mutating func pay(_ one: Int, _ other: Int) throws {
            let order = try world.payment(
                from: world.members[one], to: world.members[other].did, UInt64(1 + roll(4_000)))
            try attempt(.transferred(order: order.bytes))
        }

        mutating func order(_ member: Int) throws {
            let line = LineID(world.members[member].did, CreditWorld.unit)
            let amount = TokenAmount(UInt64(1 + roll(2_000)))
            let actions: [OfficerOrder.Action] = [
                .limit(
                    line: line, owed: TokenAmount(UInt64(roll(8_000))), owing: TokenAmount(UInt64(roll(8_000))),
                    issuer: false),
                .freeze(line: line, frozen: roll(3) == 0),
                .reverse(entry: UInt64(roll(world.entries.count)), reason: "chance"),
                .writeOff(line: line, amount: amount, reason: "chance"),
                .deposit(line: line, amount: amount, reference: ""),
                .withdraw(line: line, amount: amount, reference: ""),
            ]
            let approvers = roll(4) == 0 ? [world.officers[0]] : world.officers + [world.members[member]]
            try attempt(try world.order(actions[roll(actions.count)], by: approvers))
        }

        mutating func catchUp() throws {
            world.now = max(world.now, lodged.last?.at ?? .epoch).advanced(milliseconds: 1)
            // In another order than they were lodged in, some twice.
            for object in lodged.shuffled(using: &dice) { try attempt(object.event) }
            for object in lodged { try attempt(object.event) }
            let listed = lodged.map { ($0.cid, $0.at) }
            let reports = try world.witnesses.map { try world.report(by: $0, until: world.now, listed) }
            let before = world.book.caughtUpUntil
            try attempt(.caughtUp(reports: reports, refused: lodged.map(\.block)))
            #expect(world.book.caughtUpUntil > before, "an honest quorum was not believed")
            lodged = []
            for event in world.book.dueEvents(now: world.now) { try attempt(event) }
        }

        mutating func repeatOrCrash() throws {
            if roll(2) == 0, let event = tried.randomElement(using: &dice) {
                try attempt(event)
            } else {
                let again = try Issuer(replaying: world.entries, salts: CreditWorld.salts)
                #expect(again.book == world.book && again.tree == world.core.tree)
                world.core = again
            }
        }
    }

    @Test("Everything is conserved, paid once at most, and ends", arguments: 1...6)
    func random(seed: Int) throws {
        var round = try Round(seed: UInt64(seed))
        for _ in 0..<150 { try round.step() }
        for _ in 0..<4 {
            round.world.now = round.world.now.advanced(milliseconds: 86_400_000)
            try round.catchUp()
        }
        let book = round.world.book
        let live = book.holds.values.filter(\.isLive)
        #expect(live.isEmpty, "seed \(seed): \(live.count) holds never end")
        for (id, line) in book.accounts.sorted { #expect(line.leaving == 0 && line.coming == 0, "seed \(seed): \(id)") }
        #expect(round.paid.values.allSatisfy { $0 == 1 }, "seed \(seed): a hold was paid twice")
        #expect(!round.paid.isEmpty && round.refused > 0, "seed \(seed): nothing happened")
        print(
            "seed \(seed): \(book.count) entries, \(round.plays.count) holds, \(round.paid.count) paid, "
                + "\(round.refused) refused")
        // A crash after every entry, and all that was tried since told again.
        for count in stride(from: 1, through: round.world.entries.count, by: 17) {
            var again = try IssuerBook(replaying: round.world.entries.prefix(count))
            again.checkInvariants()
            for entry in round.world.entries.dropFirst(count) { _ = again.record(entry.event, now: entry.at) }
            #expect(again == book, "seed \(seed), crash after \(count) entries")
        }
        let auditor = try IssuerBook(replaying: round.world.entries, origin: .arrived)
        #expect(auditor == book, "seed \(seed): an auditor finds another book")
        try expectMembersAgree(round, seed: seed)
    }

    /// What each member is shown comes to its balance, but for an executor that lost a dispute.
    private func expectMembersAgree(_ round: Round, seed: Int) throws {
        guard case .opened(let block) = round.world.entries[0].event else { throw BookRefusal.otherBook }
        let charter = try SignedObject<IssuerCharter>(reading: block)
        var agreed = 0
        for member in round.world.members {
            let line = LineID(member.did, CreditWorld.unit)
            var own = MemberBook(of: member.did, at: charter)
            var sum: Int128 = 0
            // The lines were opened before the round began, which changes no balance.
            for entry in round.shown[member.did] ?? [] { sum += try own.take(entry)[line] ?? 0 }
            let balance = Int128(round.world.book.accounts[line]?.balance ?? 0)
            if own.isUncertain { continue }
            #expect(sum == balance, "seed \(seed): \(line) has \(balance), and its entries come to \(sum)")
            agreed += 1
        }
        #expect(agreed > 0, "seed \(seed): every executor lost a dispute")
    }
}
