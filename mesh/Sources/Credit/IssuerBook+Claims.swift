import MerkleLog
package import MeshTypes
package import Multiformats
import SignedObjects

/// Claims to holds, disputes about them, and what was lodged with witnesses.
extension IssuerBook {
    // MARK: Dates

    private mutating func keep<Body>(_ object: SignedObject<Body>, of hold: Hold, _ at: UnixMilliseconds) {
        for cid in [object.cid, object.bodyCID] {
            objects[cid] = Taken(hold: hold.id, entry: count)
            remember(object: cid, at: at)
        }
    }

    /// The entry that took an object for a hold; what was taken for another hold is none of it.
    private func entry(of object: CID, for hold: Hold) throws(BookRefusal) -> UInt64? {
        guard let taken = objects[object] else { return nil }
        guard taken.hold == hold.id else { throw .notOfThisHold }
        return taken.entry
    }

    /// Where a hold is now: its next date counts.
    private mutating func change(_ hold: Hold, to state: Hold.State) {
        var hold = hold
        hold.state = state
        holds[hold.id] = hold
        if let date = hold.dueAt { dueDates.insert(DueDates.Due(at: date, hold: hold.id)) }
    }

    // MARK: Claims

    mutating func lodge(
        _ id: CID, _ block: [UInt8], _ lodging: [UInt8]?, _ at: UnixMilliseconds, _ origin: BlockOrigin
    ) throws(BookRefusal) -> UInt64? {
        let hold = try hold(id)
        let claim: SignedObject<HoldClaim> = try read(block, origin)
        if let known = try entry(of: claim.bodyCID, for: hold) { return known }
        guard hold.isLive else { throw .holdEnded }
        guard hold.state == .open else { throw .notNow }
        let date = try hold.date(of: claim.cid, lodging, at, under: charter, origin)
        guard date <= hold.claimableUntil else { throw .late }
        let due = try hold.due(claim, under: charter, origin)
        change(hold, to: .claimed(Hold.Claim(cid: claim.bodyCID, due: due, loggedAt: at)))
        keep(claim, of: hold, at)
        return nil
    }

    mutating func payClaim(_ id: CID, _ at: UnixMilliseconds) throws(BookRefusal) -> UInt64? {
        let hold = try hold(id)
        if case .ended(let end, let entry) = hold.state {
            if case .claimPaid = end { return entry }
            throw .holdEnded
        }
        guard let claim = hold.claim, let date = hold.dueAt else { throw .notNow }
        guard date < passed(at) else { throw .notYet }
        end(hold, .claimPaid(claim.due), at)
        if hold.isDisputed { chargeLoser(of: hold, isDebtor: true) }
        return nil
    }

    // MARK: Disputes

    mutating func dispute(
        _ id: CID, _ block: [UInt8], _ lodging: [UInt8]?, _ at: UnixMilliseconds, _ origin: BlockOrigin
    ) throws(BookRefusal) -> UInt64? {
        let hold = try hold(id)
        let dispute: SignedObject<HoldDispute> = try read(block, origin)
        if let known = try entry(of: dispute.bodyCID, for: hold) { return known }
        guard hold.isLive else { throw .holdEnded }
        guard case .claimed(let claim) = hold.state, let end = hold.dueAt else { throw .notNow }
        guard hold.mayDispute(dispute.did) else { throw .wrongSigner }
        guard dispute.body.claimCID == claim.cid else { throw .notOfThisHold }
        guard try hold.date(of: dispute.cid, lodging, at, under: charter, origin) <= end else { throw .late }
        change(hold, to: .disputed(claim, dispute: dispute.bodyCID))
        keep(dispute, of: hold, at)
        return nil
    }

    mutating func decide(
        _ id: CID, _ block: [UInt8], _ lodging: [UInt8]?, _ at: UnixMilliseconds, _ origin: BlockOrigin
    ) throws(BookRefusal) -> UInt64? {
        let hold = try hold(id)
        let decision: SignedObject<HoldDecision> = try read(block, origin)
        if case .ended(.decided(_, decision.bodyCID), let entry) = hold.state { return entry }
        guard hold.isLive else { throw .holdEnded }
        guard case .disputed(let claim, _) = hold.state, let end = hold.dueAt else { throw .notNow }
        let payable = try hold.decided(decision, of: claim)
        guard try hold.date(of: decision.cid, lodging, at, under: charter, origin) <= end else { throw .late }
        self.end(hold, .decided(payable, decision: decision.bodyCID), at)
        chargeLoser(of: hold, isDebtor: payable == claim.due)
        keep(decision, of: hold, at)
        return nil
    }

    /// Whoever loses a dispute pays its budget to its own issuer: the originator what was reserved for it, the executor
    /// what it has. So does the originator that disputes and then pays, or finds nobody who decides, and the executor
    /// that gives up a claim that is disputed. Another issuer's line is never charged, since that book would not know
    /// of it.
    mutating func chargeLoser(of hold: Hold, isDebtor: Bool) {
        guard !isDebtor else {
            tokens.take(hold.budget, by: hold.tokens)
            return accounts.charge(hold.budget, from: hold.debtorLine, to: .fees)
        }
        guard hold.isForExecutor else { return }
        let budget = hold.terms.disputeBudget.units
        let asked = hold.rate.map { $0.credit(for: budget) ?? 0 } ?? budget
        let spendable = accounts[hold.creditorLine]?.spendable ?? 0
        accounts.charge(min(asked, spendable), from: hold.creditorLine, to: .fees)
    }

    // MARK: Witnesses

    /// A report counts until just before the first of its objects that is neither in the book nor refused by it. Who
    /// lodged an object with a quorum of the witnesses lodged it with an honest one of any quorum of reports, which
    /// names it.
    mutating func catchUp(
        _ reports: [[UInt8]], _ refused: [[UInt8]], _ at: UnixMilliseconds, _ origin: BlockOrigin
    ) throws(BookRefusal) -> UInt64? {
        guard let quorum = WitnessQuorum(of: charter.witnesses.count) else { throw .nothingNew }
        guard reports.count <= IssuerCharter.Limits.namedMax else { throw .tooMany(.reports) }
        guard refused.count <= WitnessReport.lodgedMax else { throw .tooMany(.refusedBlocks) }
        if refused.contains(where: { $0.count > HoldClaim.bytesMax }) { throw .tooLarge(bytesMax: HoldClaim.bytesMax) }
        guard refused.reduce(0, { $0 + $1.count }) <= WitnessReport.refusedBytesMax else {
            throw .tooLarge(bytesMax: WitnessReport.refusedBytesMax)
        }
        var blocks: [CID: [UInt8]] = [:]
        for block in refused { blocks[CID.hashing(block, codec: .dagCBOR)] = block }
        var untils: [DID: UnixMilliseconds] = [:]
        var untaken: CID?
        for block in reports {
            let report: SignedObject<WitnessReport> = try read(block, origin)
            guard report.body.issuerDID == issuer else { throw .otherBook }
            guard charter.witnesses.contains(report.did) else { throw .wrongSigner }
            guard report.body.from <= caughtUpUntil else { continue }
            let missing = report.body.lodged.first { lodged in
                if objects[lodged.objectCID] != nil { return false }
                return blocks[lodged.objectCID].map { wanting($0, lodgedAt: lodged.lodgedAt, with: report.did) != nil }
                    ?? true
            }
            if let missing { untaken = missing.objectCID }
            untils[report.did] = missing?.lodgedAt.before ?? report.body.until
        }
        let sorted = untils.values.sorted(by: >)
        guard sorted.count >= quorum.needed, min(sorted[quorum.needed - 1], at) > caughtUpUntil else {
            if let untaken { throw .notTaken(untaken) }
            throw .nothingNew
        }
        caughtUpUntil = min(sorted[quorum.needed - 1], at)
        return nil
    }

    /// The hold for which the book would have taken an object by the date at which a witness was given it, and has not;
    /// nil if there is none. By whose certificate it was lodged says nothing: the witness cannot compare the two, as it
    /// does not know the claims. Its signature is checked at a replay, too, since what was refused for that would be
    /// wanted then. For its own holds a witness dates nothing.
    func wanting(_ block: [UInt8], lodgedAt: UnixMilliseconds, with witness: DID) -> CID? {
        let holds = holds.lazy.map(\.value).filter { !$0.isParty(witness) }
        if let claim = try? SignedObject<HoldClaim>(reading: block) {
            guard objects[claim.bodyCID] == nil else { return nil }
            return holds.first { hold in
                hold.state == .open && hold.terms.executorDID == claim.did && lodgedAt <= hold.terms.claimBy
                    && (try? hold.due(claim, under: charter, .arrived)) != nil
            }?.id
        }
        if let dispute = try? SignedObject<HoldDispute>(reading: block) {
            return holds.first { hold in
                guard case .claimed(let claim) = hold.state, let end = hold.dueAt else { return false }
                return claim.cid == dispute.body.claimCID && hold.mayDispute(dispute.did) && lodgedAt <= end
            }?.id
        }
        guard let decision = try? SignedObject<HoldDecision>(reading: block) else { return nil }
        return holds.first { hold in
            guard case .disputed(let claim, _) = hold.state, let end = hold.dueAt else { return false }
            return claim.cid == decision.body.claimCID && hold.terms.arbiterDID == decision.did && lodgedAt <= end
                && decision.body.payable.units <= claim.due
        }?.id
    }

    // MARK: Catching up

    /// Whether a claim, a dispute or a decision was taken, by the CID of its block or of its body.
    package func hasTaken(_ object: CID) -> Bool { objects[object] != nil }

    /// How many of the charter's witnesses have to report; nil where it names none.
    package var witnessesNeeded: Int? { WitnessQuorum(of: charter.witnesses.count)?.needed }

    /// Whether it is time to ask the witnesses of the charter.
    package func isToCatchUp(now: UnixMilliseconds, _ limits: CatchUp.Limits = CatchUp.Limits()) -> Bool {
        guard !charter.witnesses.isEmpty, rules.winding?.endedAt == nil, now > caughtUpUntil else { return false }
        let passed = now.milliseconds(since: caughtUpUntil)
        guard let next = nextDeadline else { return passed >= limits.idleMilliseconds }
        if passed >= limits.heldMilliseconds { return true }
        return caughtUpUntil < next && next.advanced(milliseconds: limits.dateMilliseconds) <= now
    }

    /// Until when the book grants holds if it does not catch up again; nil where its charter names no witnesses.
    package var grantsUntil: UnixMilliseconds? {
        charter.witnesses.isEmpty ? nil : caughtUpUntil.advanced(milliseconds: limits.caughtUpMillisecondsMax)
    }
}
