import Multiformats
package import NodeAPI

// Credit: one issuer, which has one line for whoever asks.
extension ScriptedNode {
    private func required(_ issuer: String) throws(NodeServiceError) {
        guard issuer == Samples.issuer.did else {
            throw NodeServiceError(.invalidRequest, "The issuer is not named by a DID.")
        }
    }

    package func found(_ founding: IssuerFounding) async throws(NodeServiceError) -> IssuerView {
        try answer(Samples.issuer)
    }

    package func ownIssuer() async throws(NodeServiceError) -> IssuerView { try answer(Samples.issuer) }

    package func issuers() async throws(NodeServiceError) -> [IssuerView] { try answer([Samples.issuer]) }

    package func issuer(_ did: String) async throws(NodeServiceError) -> IssuerView {
        try required(did)
        return try answer(Samples.issuer)
    }

    package func statement(at issuer: String) async throws(NodeServiceError) -> StatementView {
        try required(issuer)
        return try answer(Samples.statement)
    }

    package func pay(_ payment: CreditPayment) async throws(NodeServiceError) -> CreditPaid {
        try required(payment.issuer)
        return try answer(
            CreditPaid(
                issuer: payment.issuer, creditor: payment.creditor, amount: payment.amount, unit: "hours", decimals: 2,
                entry: 7, orderCID: Samples.receiptCID.text))
    }

    package func officerOrders(at issuer: String) async throws(NodeServiceError) -> [OfficerOrderView] {
        try required(issuer)
        return try answer([Samples.officerOrder])
    }

    package func propose(_ proposal: OfficerProposal) async throws(NodeServiceError) -> OfficerOrderView {
        try required(proposal.issuer)
        return try answer(Samples.officerOrder)
    }

    package func approve(_ order: String, at issuer: String) async throws(NodeServiceError) -> OfficerOrderView {
        try required(issuer)
        var view = Samples.officerOrder
        view.entry = 3
        return try answer(view)
    }

    package func audit(_ issuer: String) async throws(NodeServiceError) -> IssuerAuditView {
        try required(issuer)
        return try answer(IssuerAuditView(issuer: issuer, entries: 8, opened: 8, isWhole: true))
    }

    package func ledger(_ query: LedgerQuery) async throws(NodeServiceError) -> LedgerView {
        try required(query.issuer)
        return try answer(Samples.ledger)
    }

    package func enter(_ event: [UInt8], at issuer: String) async throws(NodeServiceError) -> EnteredEvent {
        try required(issuer)
        return try answer(EnteredEvent(entry: 9, certificate: nil))
    }
}

extension Samples {
    /// An issuer with one line, which owes 2.50 hours.
    package static let issuer: IssuerView = {
        let did = peer.did ?? ""
        var view = IssuerView(
            did: did, unit: "hours", decimals: 2, officers: [did], approvals: 2, arbiters: [], openedAt: 1)
        var line = CreditLineView(did: did, unit: "hours", decimals: 2, balance: -250)
        (line.owedMax, line.owingMax, line.spendable) = (1_000, 1_000, 750)
        (view.entries, view.head, view.lines, view.toldAt) = (8, "head\n", [line], 1)
        view.totals = [CreditTotalView(unit: "hours", decimals: 2, lines: 1, owed: 0, owing: 250, owedMax: 1_000)]
        return view
    }()

    /// What that line was debited with.
    package static let statement: StatementView = {
        var booking = BookingView(number: 7, at: 1, kind: "transferred")
        (booking.amount, booking.unit, booking.decimals, booking.other) = (-250, "hours", 2, peer.did)
        return StatementView(issuer: issuer.did, lines: issuer.lines, bookings: [booking], isComplete: true)
    }()

    /// The same as its book has it: what that line paid is another's.
    package static let ledger: LedgerView = {
        func posting(_ amount: Int64, _ did: String?) -> PostingView {
            PostingView(account: .line, did: did, amount: amount, unit: "hours", decimals: 2)
        }
        var view = LedgerView(issuer: issuer.did, size: 8)
        let moved = [posting(-250, peer.did), posting(250, issuer.did)]
        view.entries = [LedgerEntryView(number: 7, at: 1, kind: "transferred", postings: moved)]
        view.closing = moved
        return view
    }()

    /// An order that one officer approves.
    package static let officerOrder: OfficerOrderView = {
        var order = OfficerOrderView(
            issuer: issuer.did, orderCID: receiptCID.text, number: 1, text: "may owe 10.00 hours",
            approvers: [issuer.did], needed: 2)
        order.counted = 1
        return order
    }()
}
