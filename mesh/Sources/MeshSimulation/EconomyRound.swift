import Credit
import Determinism
import JobMarket
import MerkleLog
import MeshTypes
import Multiformats
import PeerIdentity
import Reputation
import SignedObjects

/// Rounds of a market among members of several issuers, one seed of them: the book of each issuer, the ranking of bids,
/// terms and prices, reputations and records are those of the product. What goes between nodes, and the runs, are not:
/// each step is told to whom it concerns at once, or not at all where a fault keeps it back.
struct EconomyRound: Sendable {
    /// A hold that its executor has to claim.
    struct Claim: Sendable {
        let originator: Int
        let executor: Int
        let work: Work
        let statement: [UInt8]
        let isWrong: Bool
        let isDisputed: Bool
    }

    /// A job that was run: its holds, by issuer, and its objects.
    struct Work: Sendable {
        let bid: CID
        let holds: [(issuer: Int, hold: CID)]
        let assignment: [UInt8]
        let receipt: SignedObject<ExecutionReceipt>
    }

    let seed: UInt64
    let jobs: Int
    let town: EconomyTown
    /// Whether members take receipts that others show them as evidence, which nodes do not.
    let hasHearsay: Bool
    var books: EconomyBooks
    var nodes: [EconomyNode]
    /// Whose neighbour each is.
    let audiences: [[Int]]
    var dice: SeededGenerator
    var now = EconomyTerms.start
    private var number: UInt64 = 0
    private(set) var claims: [Claim] = []
    private var late: [(event: BookEvent, issuer: Int, hold: CID)] = []
    private var away: Set<Int> = []
    /// Whether the issuer that tells two histories was proved to.
    var isProved = false
    /// Jobs that were handed in, and that have a result; results that were wrong and counted.
    private(set) var (submitted, results, wrong) = (0, 0, 0)
    /// Orders that no honest book may take, and did not.
    var forged = 0

    init(seed: UInt64, jobs: Int, town: EconomyTown, hasHearsay: Bool, checksSignatures: Bool) {
        (self.seed, self.jobs, self.town, self.hasHearsay) = (seed, jobs, town, hasHearsay)
        books = EconomyBooks(town.books, checksSignatures: checksSignatures)
        var dice = SeededGenerator(seed: seed ^ 0x6563_6f6e_6f6d_7921)
        let nodes = town.members.indices.map { EconomyNode($0, town, &dice) }
        var audiences = nodes.map { _ in [Int]() }
        for node in nodes { for other in node.neighbours { audiences[other].append(node.index) } }
        (self.nodes, self.audiences, self.dice) = (nodes, audiences, dice)
    }

    func happens(_ permille: UInt64, _ dice: inout SeededGenerator) -> Bool { dice.next() % 1_000 < permille }

    // MARK: The market

    /// The half of its history behind which the rogue issuer does not charge its members.
    func isForked(_ round: Int) -> Bool { round >= jobs / 2 && !isProved }

    /// Plays all rounds until nothing is held.
    mutating func run() throws {
        for index in nodes.indices {
            for other in nodes[index].neighbours { nodes[index].know(nodes[other].did) }
        }
        for round in 0..<jobs {
            now = EconomyTerms.start.advanced(milliseconds: UInt64(round + 1) * EconomyTerms.roundMilliseconds)
            let opening = now
            away = Set((0..<EconomyTerms.honestIssuers).filter { _ in happens(EconomyTerms.awayIssuers, &dice) })
            for index in nodes.indices { nodes[index].runsLeft = EconomyTerms.runsPerRound }
            try begin(round)
            for index in nodes.indices.shuffled(using: &dice) {
                now = now.advanced(milliseconds: 10)
                try trade(index, round)
            }
            now = opening.advanced(milliseconds: 200_000)
            away = []
            for (event, issuer, hold) in late { say(event, at: issuer, hold: hold) }
            late = []
            try claim()
            now = opening.advanced(milliseconds: 1_800_000)
            for issuer in town.issuers.indices {
                for event in books[issuer].dueEvents(now: now) {
                    switch event {
                    case .holdExpired(let hold), .claimPaid(let hold): say(event, at: issuer, hold: hold)
                    default: books.violated("time alone decided something else")
                    }
                }
            }
        }
        books.finish()
    }

    /// Tells an issuer something: now and then twice, or later, where it is away.
    @discardableResult
    mutating func say(_ event: BookEvent, at issuer: Int, hold: CID? = nil, lines: [LineID] = []) -> BookRefusal? {
        if away.contains(issuer), let hold {
            late.append((event, issuer, hold))
            return nil
        }
        let result = books.record(event, at: issuer, hold: hold, lines: lines, now: now)
        if happens(EconomyTerms.saidTwice, &dice) {
            _ = books.record(event, at: issuer, hold: hold, lines: lines, now: now)
        }
        if case .failure(let refusal) = result { return refusal }
        return nil
    }

    private func manifest(_ originator: EconomyNode) -> JobManifest {
        var params = MeshJobParams(wasmCID: CID.hashing(Array("module \(number)".utf8), codec: .raw))
        params.maxFuel = EconomyTerms.maxFuel
        params.maxAcceptableBidTokens = TokenAmount(EconomyTerms.budget)
        var policy = ExecutionPolicy()
        let own = town.issuerDIDs[originator.issuer]
        policy.payBy = PayBy(
            issuers: [own], unit: EconomyTerms.unit,
            across: town.issuerDIDs.filter { $0 != own }.map { .init(issuerDID: $0, byDID: own) })
        params.executionPolicy = policy
        return JobManifest(
            params: params, originatorDID: originator.did, originatorPeerID: originator.peerID,
            originatorAddresses: [], nonce: [], submittedAt: now,
            biddingDeadline: now.advanced(milliseconds: 60_000), expiresAt: now.advanced(milliseconds: 600_000))
    }

    /// The bids on a job that are acceptable, best first, each with its bidder and its terms.
    private mutating func ranked(
        _ job: JobID, _ manifest: JobManifest, of index: Int
    ) -> [(bidder: Int, bid: CID, terms: BidTerms)] {
        let originator = nodes[index]
        var bidders = originator.neighbours.filter { other in
            let node = nodes[other]
            let account = node.payers.account(of: originator.did, at: now)
            return node.runsLeft > 0 && !(isProved && node.issuer == EconomyTown.rogue)
                && !EconomyTerms.executor.refuses(payer: account)
        }
        bidders.removeAll { _ in happens(EconomyTerms.unreachable, &dice) }
        let lowest = bidders.filter { nodes[$0].strategy != .sniper }
            .map { nodes[$0].terms(lowest: nil, now: now).price.units }.min()
        var bids: [(cid: CID, bid: Bid)] = []
        for other in bidders {
            let node = nodes[other]
            var terms = node.terms(lowest: lowest, now: now)
            terms.payment = BidPayment(issuerDID: town.issuerDIDs[node.issuer], unit: EconomyTerms.unit)
            let bid = Bid(
                jobID: job, originatorPeerID: originator.peerID, bidderDID: node.did, bidderPeerID: node.peerID,
                terms: terms,
                loadPermille: 1_000 * (EconomyTerms.runsPerRound - node.runsLeft) / EconomyTerms.runsPerRound,
                issuedAt: now, expiresAt: now.advanced(milliseconds: 60_000))
            bids.append((CID.hashing(Array("bid \(seed) \(number) \(other)".utf8), codec: .dagCBOR), bid))
        }
        let seed = Array("draw \(seed) \(number)".utf8)
        let selection = Selection(
            manifest: manifest, reputation: originator.executors, wallClock: now, draw: BidDraw(seed: seed))
        let byCID = Dictionary(uniqueKeysWithValues: zip(bids.map(\.cid), zip(bidders, bids.map(\.bid.terms))))
        return selection.rank(bids.filter { selection.refusal(of: $0.bid) == nil }) { _ in 20 }.compactMap { ranked in
            byCID[ranked.bid].map { ($0.0, ranked.bid, $0.1) }
        }
    }

    /// Hands a job in, and has it done by the best bidder for whom there is a hold.
    private mutating func trade(_ index: Int, _ round: Int) throws {
        number += 1
        submitted += 1
        let job = JobID(CID.hashing(Array("job \(seed) \(number)".utf8), codec: .dagCBOR))
        let manifest = manifest(nodes[index])
        for (attempt, best) in ranked(job, manifest, of: index).prefix(3).enumerated() {
            let assignment = Assignment(
                jobID: job, originatorDID: nodes[index].did, bidCID: best.bid, executorDID: nodes[best.bidder].did,
                attempt: UInt64(attempt + 1), leaseMilliseconds: 10_000, terms: best.terms, assignedAt: now,
                acceptBy: now.advanced(milliseconds: 30_000))
            guard let holds = try hold(assignment, from: index, to: best.bidder, round) else { continue }
            if nodes[index].strategy == .doubleSpender { try spendAgain(assignment, from: index, to: best.bidder) }
            return try run(assignment, holds, from: index, to: best.bidder)
        }
    }

    // MARK: Holds

    func order(_ assignment: Assignment, from index: Int, to executor: Int, at issuer: Int) throws
        -> SignedObject<PaymentOrder>
    {
        let there = nodes[executor].issuer
        let terms = HoldTerms(
            jobID: assignment.jobID, attempt: assignment.attempt, bidCID: assignment.bidCID,
            originatorDID: assignment.originatorDID, executorDID: assignment.executorDID,
            arbiterDID: town.arbiterDID, deliverBy: now.advanced(milliseconds: 300_000),
            claimBy: now.advanced(milliseconds: 600_000), windowMilliseconds: 60_000, extensionMilliseconds: 60_000,
            disputeBudget: TokenAmount(EconomyTerms.disputeBudget), feeMax: TokenAmount(20))
        return try SignedObject.sign(
            PaymentOrder(
                issuerDID: town.issuerDIDs[issuer], charterCID: town.charters[issuer].bodyCID,
                debtorDID: assignment.originatorDID,
                creditorDID: there == issuer ? assignment.executorDID : town.issuerDIDs[there],
                amount: assignment.terms.price, unit: EconomyTerms.unit, hold: terms,
                nonce: Array(assignment.bidCID.bytes.suffix(16)), validUntil: now.advanced(milliseconds: 600_000)),
            with: nodes[index].identity)
    }

    /// Has the price of an assignment held; nil if an issuer does not, or the executor does not believe it.
    mutating func hold(
        _ assignment: Assignment, from index: Int, to executor: Int, _ round: Int
    ) throws -> [(issuer: Int, hold: CID)]? {
        let (own, there) = (nodes[index].issuer, nodes[executor].issuer)
        guard !away.contains(own), !away.contains(there) else { return nil }
        let order = try order(assignment, from: index, to: executor, at: own)
        var holds: [(issuer: Int, hold: CID)] = []
        // The rogue's other history has the hold, and what it shows its neighbours is the same.
        if !(own == EconomyTown.rogue && isForked(round)) {
            guard say(.holdGranted(order: order.bytes), at: own, hold: order.bodyCID, lines: lines(order)) == nil else {
                return nil
            }
            holds.append((own, order.bodyCID))
        }
        if own != there {
            guard
                let below = order.body.below(
                    order.bodyCID, marginMilliseconds: town.charters[own].body.marginMilliseconds,
                    under: town.charters[there])
            else { return nil }
            let signed = try SignedObject.sign(below, with: town.issuers[own])
            guard say(.holdGranted(order: signed.bytes), at: there, hold: signed.bodyCID, lines: lines(signed)) == nil
            else { return nil }
            holds.append((there, signed.bodyCID))
        }
        guard let last = holds.last, last.issuer == there, let hold = books[there].holds[last.hold],
            accepts(hold, at: there, for: assignment)
        else { return nil }
        return holds
    }

    private func lines(_ order: SignedObject<PaymentOrder>) -> [LineID] {
        [order.body.debtorLine, order.body.creditorLine]
    }

    /// Whether an executor runs an assignment for a hold, by the certificate of its issuer.
    private func accepts(_ hold: Hold, at issuer: Int, for assignment: Assignment) -> Bool {
        let certificate = HoldCertificate(
            issuerDID: town.issuerDIDs[issuer], charterCID: town.charters[issuer].bodyCID, holdCID: hold.id,
            debtorDID: hold.debtorDID, creditorDID: hold.creditorLine.did, amount: TokenAmount(hold.amount),
            unit: hold.creditorLine.unit, terms: hold.terms, entry: hold.entry,
            commitment: [UInt8](repeating: 0, count: 32), loggedBy: now.advanced(milliseconds: 60_000))
        let accepted = HoldAcceptance(
            arbiters: [town.arbiterDID], disputeBudgetMax: TokenAmount(EconomyTerms.disputeBudget))
        return certificate.reasonNotPay(assignment, in: EconomyTerms.unit, accepting: accepted, now: now) == nil
    }

    // MARK: Runs

    private mutating func run(
        _ assignment: Assignment, _ holds: [(issuer: Int, hold: CID)], from index: Int, to executor: Int
    ) throws {
        let signed = try SignedObject.sign(assignment, with: nodes[index].identity)
        if happens(EconomyTerms.deadRuns, &dice) {
            nodes[executor].runsLeft -= 1
            return judge(executor, by: index, signed.cid, .undelivered)
        }
        let isWrong = nodes[executor].liesNow(&dice)
        let fuel = EconomyTerms.maxFuel / 2 + dice.next() % (EconomyTerms.maxFuel / 2)
        let cost = Int64(fuel * EconomyTerms.costPerMillionFuel / 1_000_000)
        if isWrong { nodes[executor].lies += 1 } else { nodes[executor].gained -= cost }
        let receipt = try SignedObject.sign(
            Self.receipt(of: signed, fuel: fuel, now), with: nodes[executor].identity)
        let work = Work(bid: assignment.bidCID, holds: holds, assignment: signed.bytes, receipt: receipt)
        // Nobody else knows what the originator finds, so it runs the job again now and then.
        let permille = nodes[index].checkPermille(of: assignment.executorDID, stake: receipt.body.price.units)
        let isChecked = happens(permille, &dice)
        if isChecked { nodes[index].gained -= cost }
        results += 1
        if !isWrong { nodes[index].gained += EconomyTerms.resultValue } else if !isChecked { wrong += 1 }
        try answer(work, from: index, to: executor, isWrong: isWrong, isFound: isWrong && isChecked)
        if isChecked, !isWrong {
            nodes[index].records.wasRight(assignment.executorDID, worth: receipt.body.price.units)
        }
    }

    private static func receipt(
        of assignment: SignedObject<Assignment>, fuel: UInt64, _ now: UnixMilliseconds
    ) -> ExecutionReceipt {
        let body = assignment.body
        return ExecutionReceipt(
            jobID: body.jobID, assignmentCID: assignment.cid, originatorDID: body.originatorDID,
            executorDID: body.executorDID, attempt: body.attempt, moduleCID: body.bidCID, inputCIDs: [:],
            outcome: .exited(code: 0), resourceUsage: ResourceUsage(fuel: fuel),
            price: body.terms.due(for: .exited(code: 0), fuel: fuel),
            engine: EngineDescription(name: "sim", version: "1", configurationDigest: "00"),
            determinism: .deterministic, executionStartedAt: now, executionEndedAt: now)
    }

    private mutating func judge(
        _ subject: Int, by index: Int, _ assignment: CID, _ verdict: ReputationVerdict,
        as side: ReputationSide = .executor
    ) {
        let evidence = ReputationEvidence(
            subject: nodes[subject].did, payer: nodes[index].did, assignmentCID: assignment,
            receiptCID: assignment, verdict: verdict, at: now)
        nodes[index].judge([evidence], as: side)
    }

    /// What a receipt shows to whoever has it.
    mutating func hear(_ receipt: ExecutionReceipt, _ cid: CID, at listeners: [Int]) {
        guard
            let evidence = ReputationEvidence(receipt: receipt, receiptCID: cid, isChecked: false, takenAt: now)
        else { return }
        for listener in listeners { nodes[listener].judge([evidence], as: .executor) }
    }

    /// What an originator does with a receipt: it settles, or leaves it to be claimed.
    private mutating func answer(
        _ work: Work, from index: Int, to executor: Int, isWrong: Bool, isFound: Bool
    ) throws {
        let (strategy, assignment) = (nodes[index].strategy, work.receipt.body.assignmentCID)
        let isAway = happens(EconomyTerms.awayOriginators, &dice)
        let isMute = strategy == .nonPayer || isAway
        if isFound {
            nodes[index].records.wasWrong(nodes[executor].did)
            nodes[executor].liesFound += 1
            nodes[executor].isCaught = true
            judge(executor, by: index, assignment, .invalid)
        } else {
            // A slanderer says something else; what the receipt shows is what its book gets.
            hear(work.receipt.body, work.receipt.cid, at: [index])
            if strategy == .slanderer { slander(work.receipt, by: index) }
        }
        let isWilling = !isFound && !isAway && strategy != .nonPayer && strategy != .slanderer
        if isWilling, strategy == .partialSettler {
            try settle(work, paying: TokenAmount(work.receipt.body.price.units / 2), from: index, mustFail: true)
        }
        let isSettled = isWilling && strategy != .partialSettler && !happens(EconomyTerms.lostSettlements, &dice)
        if isSettled {
            try settle(work, paying: work.receipt.body.price, from: index, mustFail: false)
            judge(index, by: executor, assignment, .fulfilled, as: .originator)
            return
        }
        // Who was told of a fault, and whose originator was away, has nothing against it.
        if !isFound, !isAway { judge(index, by: executor, assignment, .unpaid, as: .originator) }
        let keeper = isMute ? town.arbiter : nodes[index].identity
        let statement = try SignedObject.sign(
            DeliveryStatement(
                keeperDID: isMute ? town.arbiterDID : nodes[index].did, receiptCID: work.receipt.cid,
                bidCID: isMute ? work.bid : nil, deliveredAt: now), with: keeper)
        claims.append(
            Claim(
                originator: index, executor: executor, work: work, statement: statement.bytes, isWrong: isWrong,
                isDisputed: isFound || strategy == .slanderer))
    }

    private mutating func settle(
        _ work: Work, paying amount: TokenAmount, from index: Int, mustFail: Bool
    ) throws {
        let receipt = work.receipt
        let settlement = try SignedObject.sign(
            Settlement(
                jobID: receipt.body.jobID, receiptCID: receipt.cid, originatorDID: nodes[index].did,
                executorDID: receipt.did, amountPaid: amount, amountRefunded: .zero, verdict: .paid, settledAt: now),
            with: nodes[index].identity)
        for (issuer, hold) in work.holds {
            let event = BookEvent.holdSettled(
                hold: hold, settlement: settlement.bytes, receipt: receipt.bytes, assignment: work.assignment)
            guard mustFail else {
                say(event, at: issuer, hold: hold)
                continue
            }
            refuse(event, at: issuer, hold: hold, "a settlement for half of what is due")
        }
    }

    /// Shows a book what it must not take.
    mutating func refuse(
        _ event: BookEvent, at issuer: Int, hold: CID? = nil, lines: [LineID] = [], _ what: String
    ) {
        guard case .failure = books.record(event, at: issuer, hold: hold, lines: lines, now: now) else {
            return books.violated("a book took \(what)")
        }
        forged += 1
    }

    // MARK: Claims

    /// Everybody who was not settled claims; who found a fault, or says so, disputes, and the arbiter runs the job.
    private mutating func claim() throws {
        for claim in claims {
            let executor = nodes[claim.executor]
            let body = HoldClaim(
                executorDID: claim.work.receipt.did, receipt: claim.work.receipt.bytes,
                assignment: claim.work.assignment, delivery: claim.statement, claimedAt: now)
            let signed = try SignedObject.sign(body, with: executor.identity)
            for (issuer, hold) in claim.work.holds {
                say(.claimLodged(hold: hold, claim: signed.bytes, lodging: nil), at: issuer, hold: hold)
            }
            guard claim.isDisputed else { continue }
            let dispute = try SignedObject.sign(
                HoldDispute(
                    disputerDID: nodes[claim.originator].did, claimCID: signed.bodyCID, reason: "another result",
                    disputedAt: now), with: nodes[claim.originator].identity)
            let due = claim.work.receipt.body.price
            let decision = try SignedObject.sign(
                HoldDecision(
                    arbiterDID: town.arbiterDID, claimCID: signed.bodyCID, payable: claim.isWrong ? .zero : due,
                    decidedAt: now), with: town.arbiter)
            for (issuer, hold) in claim.work.holds {
                say(.claimDisputed(hold: hold, dispute: dispute.bytes, lodging: nil), at: issuer, hold: hold)
                say(.claimDecided(hold: hold, decision: decision.bytes, lodging: nil), at: issuer, hold: hold)
            }
        }
        claims = []
    }
}
