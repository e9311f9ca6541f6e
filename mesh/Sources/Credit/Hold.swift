package import MeshTypes
package import Multiformats
package import SignedObjects

/// An amount that is held for an attempt, from its order to its end. At its end it is paid once, or not at all.
package struct Hold: Hashable, Sendable {
    /// Where a hold is.
    package enum State: Hashable, Sendable {
        /// Nobody has claimed it.
        case open
        /// Claimed: paid when the window is over, unless it is disputed.
        case claimed(Claim)
        /// Disputed: paid when the extension is over, unless the arbiter decides otherwise.
        case disputed(Claim, dispute: CID)
        /// Over, by the entry of this number.
        case ended(End, entry: UInt64)
    }

    /// A claim that the book took.
    package struct Claim: Hashable, Sendable {
        /// The CID of its body.
        package let cid: CID
        /// What is due by the receipt.
        package let due: UInt64
        /// When the window began.
        package let loggedAt: UnixMilliseconds
    }

    /// How a hold ended.
    package enum End: Hashable, Sendable {
        /// The originator paid what was due.
        case settled(UInt64)
        /// The claim was paid, since nobody disputed it or decided.
        case claimPaid(UInt64)
        /// The arbiter decided what is paid, which may be nothing.
        case decided(UInt64, decision: CID)
        /// The executor gave it up.
        case released
        /// Nobody claimed it.
        case expired

        /// What was paid.
        package var paid: UInt64 {
            switch self {
            case .settled(let amount), .claimPaid(let amount), .decided(let amount, _): amount
            case .released, .expired: 0
            }
        }
    }

    /// The CID of the order's body.
    package let id: CID
    /// The number of the entry that granted it.
    package let entry: UInt64
    /// When it was granted.
    package let grantedAt: UnixMilliseconds
    /// Whose order it is: the originator, or its issuer.
    package let debtorDID: DID
    /// Who is paid, as it was ordered.
    package let creditorDID: DID
    /// The line that gives: the debtor's, or that of the first giver of the tokens; where its account was moved, the
    /// new one.
    package private(set) var debtorLine: LineID
    /// The line that gets; where its account was moved, the new one.
    package private(set) var creditorLine: LineID
    /// The most that the creditor gets.
    package let amount: UInt64
    /// What that costs the debtor, and the budget of a dispute: what is reserved on its line.
    package let reserved: UInt64
    /// What the debtor pays for a dispute that it loses: nothing if it stands for an originator, who pays elsewhere.
    package let budget: UInt64
    /// What the creditor's units cost the debtor.
    package let rate: CreditRate?
    /// What the payment waits for.
    package let terms: HoldTerms
    /// The tokens by which it is held, that of the line's owner first; none where the line is the debtor's.
    package let tokens: [CID]
    /// Who gave them, in the same order.
    package let givers: [DID]
    /// Where it is.
    package internal(set) var state = State.open

    init?(_ order: PaymentOrder, by chain: TokenChain?, id: CID, entry: UInt64, at: UnixMilliseconds) {
        guard let terms = order.hold, let debit = order.debit, order.tokenCID == chain?.last.bodyCID else { return nil }
        self.id = id
        self.entry = entry
        grantedAt = at
        debtorDID = order.debtorDID
        debtorLine = chain?.line ?? order.debtorLine
        (tokens, givers) = (chain?.cids ?? [], chain?.givers ?? [])
        (creditorLine, creditorDID) = (order.creditorLine, order.creditorDID)
        amount = order.amount.units
        budget = order.debtorDID == terms.originatorDID ? terms.disputeBudget.units : 0
        reserved = debit + budget
        rate = order.rate
        self.terms = terms
    }

    /// Whether it may still be paid.
    package var isLive: Bool { if case .ended = state { false } else { true } }

    /// The claim that waits for its end.
    package var claim: Claim? {
        switch state {
        case .claimed(let claim), .disputed(let claim, _): claim
        case .open, .ended: nil
        }
    }

    /// Whether the debtor is the originator, and not its issuer.
    var isOfOriginator: Bool { debtorDID == terms.originatorDID }
    /// Whether the creditor is the executor, and not its issuer.
    package var isForExecutor: Bool { creditorDID == terms.executorDID }

    /// The same where the account of a line was moved to another one.
    func moved(_ line: LineID, to new: LineID) -> Hold {
        var hold = self
        if hold.debtorLine == line { hold.debtorLine = new }
        if hold.creditorLine == line { hold.creditorLine = new }
        return hold
    }

    /// In whose quota it counts: who gave the first token, else the originator.
    var payer: DID { givers.first ?? terms.originatorDID }

    /// By when a claim has to be booked: an issuer that pays another's member learns of it later.
    package var claimableUntil: UnixMilliseconds {
        isForExecutor ? terms.claimBy : terms.claimBy.advanced(milliseconds: HoldTerms.Limits.belowMilliseconds)
    }

    /// Whether somebody gives, gets, ordered or did what it is for: nobody who says when its objects came.
    func isParty(_ did: DID) -> Bool {
        [terms.originatorDID, terms.executorDID, debtorDID, creditorDID, debtorLine.did, creditorLine.did].contains(did)
            || givers.contains(did)
    }

    /// Whether a claim to it is disputed.
    var isDisputed: Bool { if case .disputed = state { true } else { false } }

    /// Whether somebody may dispute a claim to it: the originator, and the debtor that stands for it.
    func mayDispute(_ did: DID) -> Bool { did == terms.originatorDID || did == debtorDID }

    /// The time behind which time alone decides; `nil` once it is over.
    package var dueAt: UnixMilliseconds? {
        switch state {
        case .open: terms.claimBy
        case .claimed(let claim): claim.loggedAt.advanced(milliseconds: terms.windowMilliseconds)
        case .disputed(let claim, _):
            claim.loggedAt.advanced(milliseconds: terms.windowMilliseconds)
                .advanced(milliseconds: terms.extensionMilliseconds)
        case .ended: nil
        }
    }

    /// What a payment of so much costs the debtor's line: never more than is reserved.
    func debit(for credit: UInt64) -> UInt64 { rate.map { $0.debit(for: credit) ?? reserved } ?? credit }
}
