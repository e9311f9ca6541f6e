import Credit
import Determinism
import MeshTypes
import Multiformats
import PeerIdentity
import SignedObjects
import Testing

/// What is revoked, counted, forgotten and shown of tokens.
@Suite("Tokens over time")
struct TokenCountTests {
    private let guests = CreditWorld.guests

    @Test("Whoever gave a token, or one above it, ends it and all below it; holds that were given stand")
    func revoked() throws {
        var world = try CreditWorld()
        let owner = world.members[0]
        let root = try world.token(from: owner, to: guests[0].did)
        let left = try world.token(1, from: guests[0], to: guests[1].did, below: root)
        let right = try world.token(2, from: guests[0], to: guests[2].did, below: root)
        let leaf = try world.token(3, from: guests[1], to: guests[3].did, below: left)
        let chain = [root, left, leaf]
        let job = try world.job(1, of: guests[3])
        let (given, hold) = try world.held(job, by: chain)
        try world.enter(given)
        // Neither its holder, nor one beside it, nor a stranger ends it; nor does a word about another token.
        for revoker in [guests[3], guests[2], guests[7], world.members[1]] {
            #expect(world.refusal(try world.revoked(chain, by: revoker)) == .wrongSigner)
        }
        #expect(world.refusal(try world.revoked(chain, by: owner, left.bodyCID)) == .token(.notBelow))
        let early = try world.held(try world.job(2, of: guests[3]), by: chain).event
        let middle = try world.enter(try world.revoked([root, left], by: guests[0]))
        #expect(world.refusal(early) == .token(.revoked), "the order in the log decides")
        #expect(world.again(try world.revoked([root, left], by: guests[0])) == middle.number)
        #expect(world.again(try world.revoked([root, left], by: owner)) == middle.number)
        #expect(world.again(try world.revoked(chain, by: guests[1])) == middle.number, "it is below one that is over")
        #expect(
            world.refusal(try world.held(try world.job(3, of: guests[1]), by: [root, left]).event) == .token(.revoked))
        try world.enter(try world.held(try world.job(4, of: guests[2]), by: [root, right]).event)
        try world.enter(try job.settled(hold, try job.receipt(), pays: 100))
        #expect(world.balance(0) == -100)
        // The owner of the line ends a token that was never used, and one two steps below.
        let other = try world.token(4, from: guests[2], to: guests[4].did, below: right)
        try world.enter(try world.revoked([root, right, other], by: owner))
        #expect(
            world.refusal(try world.held(try world.job(5, of: guests[4]), by: [root, right, other]).event)
                == .token(.revoked))
        try world.enter(try world.held(try world.job(6, of: guests[2]), by: [root, right]).event)
        try world.enter(try world.revoked([root], by: owner))
        #expect(world.refusal(try world.held(try world.job(7, of: guests[0]), by: [root]).event) == .token(.revoked))
        #expect(try IssuerBook(replaying: world.entries, origin: .arrived) == world.book)
    }

    @Test("A revocation is for a token that the book counts, as long as it could be used")
    func revocations() throws {
        var world = try CreditWorld()
        let owner = world.members[0]
        func refusal(_ change: (inout ScopedResourceToken) -> Void, by giver: Identity? = nil) throws -> BookRefusal? {
            let giver = giver ?? owner
            return world.refusal(
                try world.revoked([try world.token(from: giver, to: guests[0].did, with: change)], by: giver))
        }
        #expect(try refusal({ $0.charterCID = $0.charterCID.other }) == .otherBook)
        #expect(try refusal({ $0.issuerDID = guests[6].did }) == .otherBook)
        #expect(try refusal({ _ in }, by: guests[5]) == .noLine)
        let life = ScopedResourceToken.Limits.lifeMilliseconds
        #expect(
            try refusal {
                $0.notBefore = world.now.advanced(milliseconds: 1)
                $0.expiresAt = world.now.advanced(milliseconds: life + 1)
            } == .token(.outOfTime))
        world.now = world.now.advanced(milliseconds: 3_600_001)
        #expect(try refusal { _ in } == .token(.outOfTime))
        // A frozen line's tokens can be ended, too.
        world.now = CreditWorld.start
        try world.enter(try world.order(.freeze(line: LineID(owner.did, CreditWorld.unit), frozen: true)))
        try world.enter(try world.revoked([try world.token(9, from: owner, to: guests[0].did)], by: owner))
    }

    @Test("Fees and the budgets of lost disputes are the giver's, and count for the token")
    func charges() throws {
        var world = try CreditWorld {
            ($0.holdsFreePerDay, $0.holdFee, $0.disputeBudgetMin) = (1, TokenAmount(3), TokenAmount(10))
        }
        let token = try world.token(from: world.members[0], to: guests[0].did, 223)
        func held(_ number: UInt64, _ price: UInt64) throws -> (job: HeldJob, event: BookEvent, hold: CID) {
            let job = try world.job(number, of: guests[0], price: price) {
                ($0.disputeBudget, $0.feeMax) = (TokenAmount(10), TokenAmount(3))
            }
            let (event, hold) = try world.held(job, by: [token])
            return (job, event, hold)
        }
        let first = try held(1, 100)
        try world.enter(first.event)
        // 113 are left, of which a hold costs the budget and a fee.
        #expect(world.refusal(try held(2, 101).event) == .token(.spent(left: 113)))
        let second = try held(3, 100)
        try world.enter(second.event)
        #expect(world.balance(0) == -3, "the fee of a second hold in a day")
        let claim = try first.job.claim(try first.job.receipt(), kept: world.arbiter, at: world.now)
        try world.enter(.claimLodged(hold: first.hold, claim: claim.bytes, lodging: nil))
        // The giver is no party that disputes.
        let foreign = try world.disputed(claim, by: world.members[0])
        #expect(
            world.refusal(.claimDisputed(hold: first.hold, dispute: foreign.bytes, lodging: nil)) == .wrongSigner)
        let dispute = try world.disputed(claim, by: guests[0])
        try world.enter(.claimDisputed(hold: first.hold, dispute: dispute.bytes, lodging: nil))
        let decision = try world.decided(claim, payable: 100)
        try world.enter(.claimDecided(hold: first.hold, decision: decision.bytes, lodging: nil))
        #expect(world.balance(0) == -113, "the claim, the budget and a fee")
        try world.enter(try world.released(second.job, second.hold))
        #expect(world.balance(0) == -113)
        // 223 less 110 and a fee of 3 are left: a hold of 97 costs that with budget and fee.
        #expect(world.refusal(try held(4, 98).event) == .token(.spent(left: 110)))
        try world.enter(try held(5, 97).event)
    }

    @Test("Tokens are bounded, and whoever gave one makes room by ending it")
    func quotas() throws {
        var limits = IssuerBook.Limits()
        (limits.tokensMax, limits.tokensPerLineMax, limits.tokensPerTreeMax, limits.holdsPerTokenMax) = (6, 4, 3, 4)
        var world = try CreditWorld(limits: limits)
        let owner = world.members[0]
        var number: UInt64 = 0
        func use(_ chain: [Token], _ holder: Identity) throws -> BookEvent {
            number += 1
            return try world.held(try world.job(number, of: holder, price: 1), by: chain).event
        }
        let root = try world.token(from: owner, to: guests[0].did)
        let children = try (1...4).map {
            try world.token(UInt8($0), from: guests[0], to: guests[$0].did, below: root)
        }
        for index in 0...1 { try world.enter(try use([root, children[index]], guests[index + 1])) }
        #expect(world.refusal(try use([root, children[2]], guests[3])) == .tooMany(.tokensOfTree))
        #expect(world.refusal(try world.revoked([root, children[2]], by: guests[0])) == .tooMany(.tokensOfTree))
        // One that is known is used as before, until there are as many holds as may be, over or not.
        try world.enter(try use([root], guests[0]))
        try world.enter(try use([root, children[0]], guests[1]))
        #expect(world.refusal(try use([root], guests[0])) == .tooMany(.holdsOfToken))
        let others = try (10...12).map { try world.token($0, from: owner, to: guests[0].did) }
        try world.enter(try use([others[0]], guests[0]))
        #expect(world.refusal(try use([others[1]], guests[0])) == .tooMany(.tokensOfLine))
        try world.enter(try world.revoked([root], by: owner))
        // Three made room for one that stands for them.
        try world.enter(try use([others[1]], guests[0]))
        try world.enter(try use([others[2]], guests[0]))
        let foreign = try (20...22).map { try world.token($0, from: world.members[2], to: guests[0].did) }
        for token in foreign.prefix(2) { try world.enter(try use([token], guests[0])) }
        #expect(world.refusal(try use([foreign[2]], guests[0])) == .tooMany(.tokens))
        // A day after they expired, they are no more in the way.
        let later = try world.token(30, from: world.members[2], to: guests[0].did) {
            $0.expiresAt = $0.notBefore.advanced(milliseconds: 3 * 86_400_000)
        }
        world.now = CreditWorld.start.advanced(milliseconds: 3_600_000 + 86_400_000)
        #expect(world.refusal(try use([later], guests[0])) == .tooMany(.tokens))
        world.now = world.now.advanced(milliseconds: 1)
        try world.enter(try use([later], guests[0]))
        #expect(try IssuerBook(replaying: world.entries, limits: limits) == world.book)
    }

    @Test("Givers and holders are shown what is held by their tokens, and take nothing else")
    func shown() throws {
        var world = try CreditWorld()
        let owner = world.members[0]
        let root = try world.token(from: owner, to: guests[0].did, 150)
        let child = try world.token(from: guests[0], to: guests[1].did, below: root, 150)
        let job = try world.job(1, of: guests[1])
        let (event, hold) = try world.held(job, by: [root, child])
        let people: Set = [owner.did, guests[0].did, guests[1].did, world.members[1].did, world.arbiter.did]
        #expect(event.parties(in: world.book) == people)
        let granted = try world.enter(event)
        let settled = try job.settled(hold, try job.receipt(), pays: 100)
        #expect(settled.parties(in: world.book) == people)
        let paid = try world.enter(settled)
        let revoked = try world.revoked([root, child], by: owner)
        #expect(revoked.parties(in: world.book) == [owner.did, guests[0].did, guests[1].did])
        let ended = try world.enter(revoked)
        guard case .opened(let block) = world.entries[0].event else { throw BookRefusal.otherBook }
        let charter = try SignedObject<IssuerCharter>(reading: block)
        let line = LineID(owner.did, CreditWorld.unit)
        func reason(_ book: MemberBook, _ event: BookEvent) -> String? {
            var copy = book
            do throws(MemberBook.Unjustified) {
                _ = try copy.take(BookEntry(number: 99, at: world.now, event: event))
                return nil
            } catch {
                return error.reason
            }
        }
        for did in people {
            var own = MemberBook(of: did, at: charter)
            #expect(try own.take(granted) == [:])
            let over = try world.held(try world.job(2, of: guests[1], price: 51), by: [root, child]).event
            #expect(reason(own, over) == "the token has 50 left")
            #expect(
                try own.take(paid)
                    == (did == owner.did
                        ? [line: -100]
                        : did == world.members[1].did
                            ? [LineID(did, CreditWorld.unit): 100] : [:]))
            let forged = try world.revoked([root, child], by: guests[1])
            #expect(reason(own, forged) == "somebody else has to sign it")
            #expect(try own.take(ended) == [:])
            let late = try world.held(try world.job(3, of: guests[1], price: 1), by: [root, child]).event
            #expect(reason(own, late) == "the token was revoked")
            let stolen = try world.held(try world.job(4, of: guests[5], price: 1), by: [root, child]).event
            #expect(reason(own, stolen) == "the token does not pay for this order")
        }
    }
}

extension CID {
    /// Another one.
    fileprivate var other: CID { CID.hashing(bytes, codec: .dagCBOR) }
}
