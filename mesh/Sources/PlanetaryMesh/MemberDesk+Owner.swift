import Credit
import IPLD
import MerkleLog
import MeshStore
import MeshTypes
import Multiformats
import NodeAPI
import SignedObjects

// What the owner asks for.
extension MemberDesk {
    static func did(_ text: String, _ what: String) throws(NodeServiceError) -> DID {
        do {
            return try DID(parsing: text)
        } catch {
            throw NodeServiceError(
                .invalidRequest, "The \(what) is not named by a DID: \(error).",
                hint: "It begins with did:key: and is what mesh status prints of that node.")
        }
    }

    func issuer(_ text: String) async throws(NodeServiceError) -> IssuerView {
        let did = try Self.did(text, "issuer")
        if let convicted = try await convicted(did) { return convicted.view }
        _ = try await meet(did)
        _ = try await lines(at: did)
        guard case .totals(let totals) = try await ask(did, .totals) else {
            throw Self.faulty("its answer is another one")
        }
        guard let now = try await all().first(where: { $0.charter.did == did }) else { throw Self.faulty("it is gone") }
        var view = now.view
        view.totals = totals.filter(\.unit.isPossible).map(CreditTotalView.init)
        if case .standing(let standing)? = try? await ask(did, .standing) { view.tell(standing) }
        let unit = now.charter.body.unit
        view.pays = try? await HoldQuestions(member: self).neighbours(of: did, in: unit).map(\.text)
        return view
    }

    func statement(at text: String) async throws(NodeServiceError) -> StatementView {
        let did = try Self.did(text, "issuer")
        return try await checking { () async throws(NodeServiceError) in try await statement(at: did) }
    }

    private func statement(at did: DID) async throws(NodeServiceError) -> StatementView {
        _ = try await meet(did)
        let (lines, size) = try await lines(at: did)
        let issuer = try await meet(did)
        guard size <= issuer.head.size else { throw Self.faulty("its head lacks entries that its lines have") }
        let entries = try await entries(at: issuer)
        var bookings = OwnBookings(
            of: identity.did, at: issuer.charter, before: MemberBook.keys(before: identity.did, in: entries))
        for entry in entries {
            do throws(MemberBook.Unjustified) {
                try bookings.add(entry, below: size)
            } catch {
                throw Self.faulty("\(error)")
            }
        }
        return StatementView(
            issuer: did.text, lines: lines.map(CreditLineView.init), bookings: bookings.views,
            isComplete: bookings.comeTo(lines))
    }

    // MARK: Payments

    func pay(_ payment: CreditPayment) async throws(NodeServiceError) -> CreditPaid {
        let did = try Self.did(payment.issuer, "issuer")
        let key = try paymentKey(payment)
        let issuer = try await meet(did)
        let (order, known) = try await self.order(payment, key, at: issuer)
        let number: UInt64
        if let known {
            number = known
        } else if order.body.validUntil < NodeClock.wallClock {
            number = try await booked(order, at: issuer)
        } else {
            number = try await submitted(order, key, to: did)
        }
        do throws(NodeServiceError) {
            // What it says is held against the log before anybody relies on it.
            let now = try await meet(did)
            guard number < now.head.size, let entry = try await entries(at: now, from: number, limit: 1).first,
                entry.number == number, case .transferred(let block) = entry.event,
                (try? SignedObject<PaymentOrder>(reading: block))?.bodyCID == order.bodyCID
            else { throw Self.faulty("it says that it paid by entry \(number), and does not show that entry") }
            let row = IssuerPaymentRow(key: key, bytes: order.bytes, entry: number)
            try await stored { () throws(MeshStoreError) in try await store.commit([.issuer(.payment(row))]) }
        } catch {
            throw NodeServiceError(
                error.code, "The issuer says that it booked the payment as entry \(number). \(error.message)",
                hint: "The same payment with the key \(key) asks again, and pays once.")
        }
        // It is paid, whether the balance can be had now or not.
        _ = try? await lines(at: did)
        let unit = order.body.unit
        return CreditPaid(
            issuer: did.text, creditor: order.body.creditorDID.text, amount: order.body.amount.units, unit: unit.name,
            decimals: unit.decimals, entry: number, orderCID: order.bodyCID.text)
    }

    /// The entry that an order became whose time is over, as this node's entries have it: the book forgets orders.
    private func booked(
        _ order: SignedObject<PaymentOrder>, at issuer: KnownIssuer
    ) async throws(NodeServiceError) -> UInt64 {
        let cid = order.bodyCID
        let entry = try await entries(at: issuer) { entry in
            guard case .transferred(let block) = entry.event else { return false }
            return (try? SignedObject<PaymentOrder>(reading: block))?.bodyCID == cid
        }.first
        if let entry { return entry.number }
        throw NodeServiceError(
            .conflict, "Nothing was paid with this key, and the time of its order is over.",
            hint: "Pay with another key.")
    }

    private func paymentKey(_ payment: CreditPayment) throws(NodeServiceError) -> String {
        guard let key = payment.idempotencyKey else {
            return "random-\(Self.random(16).map { String($0) }.joined(separator: "-"))"
        }
        guard (1...limits.keyBytesMax).contains(key.utf8.count) else {
            throw NodeServiceError(.invalidRequest, "A key of a payment has 1 to \(limits.keyBytesMax) bytes.")
        }
        return key
    }

    /// Gives an order to the issuer, and returns the entry that it says it became. Where it does not answer, or its
    /// book is closed, nobody here knows what it did with the order; the same key finds out, and pays once.
    private func submitted(
        _ order: SignedObject<PaymentOrder>, _ key: String, to issuer: DID
    ) async throws(NodeServiceError) -> UInt64 {
        func unsure(_ code: NodeServiceError.Code, _ message: String) -> NodeServiceError {
            NodeServiceError(
                code, "\(message) Whether it took the order is not known.",
                hint: "The same payment with the key \(key) asks again, and pays once.")
        }
        let answer: CreditAnswer
        do throws(NodeServiceError) {
            answer = try await self.answer(of: issuer, to: .submit(event: .transferred(order: order.bytes)))
        } catch {
            throw unsure(error.code, error.message)
        }
        switch answer {
        case .taken(let number, _, _): return number
        case .refused(.closed, let text):
            throw unsure(.issuerRefused, "The issuer refuses. \(text.cut(bytesMax: limits.textBytesMax))")
        case .refused(.tooMany, let text):
            throw unsure(.overloaded, "The issuer cannot do that now. \(text.cut(bytesMax: limits.textBytesMax))")
        case .refused(_, let text): throw refusal(text)
        default: throw unsure(.issuerFaulty, "The issuer's answer is another one.")
        }
    }

    static func random(_ count: Int) -> [UInt8] {
        var generator = SystemRandomNumberGenerator()
        return (0..<count).map { _ in UInt8.random(in: .min ... .max, using: &generator) }
    }

    /// The order of a key, which is on the disk before it is given away, and the entry that it is known to have become.
    private func order(
        _ payment: CreditPayment, _ key: String, at issuer: KnownIssuer
    ) async throws(NodeServiceError) -> (SignedObject<PaymentOrder>, entry: UInt64?) {
        let creditor = try Self.did(payment.creditor, "creditor")
        let charter = issuer.charter
        let row = try await stored { () throws(MeshStoreError) in try await IssuerPaymentRow.of(key, in: store) }
        if let row {
            guard let order = try? SignedObject<PaymentOrder>(reading: row.bytes, .stored) else {
                throw NodeServiceError(.storageFailed, "What is kept of the payment with this key is damaged.")
            }
            let body = order.body
            guard body.issuerDID == charter.did, body.creditorDID == creditor, body.amount.units == payment.amount
            else {
                throw NodeServiceError(
                    .conflict, "The key was used for another payment.", hint: "Use another key for this one.")
            }
            return (order, row.entry)
        }
        let body = PaymentOrder(
            issuerDID: charter.did, charterCID: charter.bodyCID, debtorDID: identity.did, creditorDID: creditor,
            amount: TokenAmount(payment.amount), unit: charter.body.unit, nonce: Self.random(16),
            validUntil: NodeClock.wallClock.advanced(milliseconds: limits.paymentMilliseconds))
        if let field = body.fieldOutOfBounds {
            throw NodeServiceError(
                .invalidRequest, "The payment is impossible: its field \(field) is out of bounds.",
                hint: "One member pays another, neither the issuer nor itself, and more than nothing.")
        }
        guard let order = try? SignedObject.sign(body, with: identity) else {
            throw NodeServiceError(.internalError, "The order could not be signed.")
        }
        let made = IssuerPaymentRow(key: key, bytes: order.bytes)
        try await stored { () throws(MeshStoreError) in try await store.commit([.issuer(.payment(made))]) }
        // Of two at once with one key the first one counts.
        let kept = try await stored { () throws(MeshStoreError) in try await IssuerPaymentRow.of(key, in: store) }
        guard kept?.bytes == order.bytes else {
            throw NodeServiceError(.conflict, "The key is used for another payment at the moment.")
        }
        return (order, nil)
    }

    // MARK: Officers

    func officerOrders(at text: String) async throws(NodeServiceError) -> [OfficerOrderView] {
        let issuer = try await meet(try Self.did(text, "issuer"))
        return try await waitingOrders(at: issuer).map { view(of: $0, at: issuer) }
    }

    private func waitingOrders(at issuer: KnownIssuer) async throws(NodeServiceError) -> [WaitingOrder] {
        guard case .orders(let orders) = try await ask(issuer.charter.did, .orders) else {
            throw Self.faulty("its answer is another one")
        }
        return orders.filter { $0.order.isPossible && $0.order.charterCID == issuer.charter.bodyCID }
    }

    func propose(_ proposal: OfficerProposal) async throws(NodeServiceError) -> OfficerOrderView {
        let did = try Self.did(proposal.issuer, "issuer")
        let issuer = try await meet(did)
        let action = try ProposalFields.action(proposal, unit: issuer.charter.body.unit)
        // What this node proposed before, and may not have heard of, is not proposed twice.
        let waiting = try await waitingOrders(at: issuer).first { $0.order.action == action && isApproved($0) }
        if let waiting {
            return try await approve(waiting.order, at: issuer, beside: waiting.approvals) {
                .approve(order: waiting.order.cid ?? issuer.charter.bodyCID, approval: $0)
            }
        }
        guard case .number(let number) = try await ask(did, .number) else {
            throw Self.faulty("its answer is another one")
        }
        let order = OfficerOrder(
            issuerDID: did, charterCID: issuer.charter.bodyCID, number: number, action: action)
        guard order.isPossible else {
            throw NodeServiceError(
                .invalidRequest, "The order is impossible: an amount is 0 or above 2^53, or a text too long.")
        }
        do {
            return try await approve(order, at: issuer) { .propose(order: order, approval: $0) }
        } catch  where error.code == .peerUnreachable {
            throw NodeServiceError(
                error.code, "\(error.message) Whether the order waits there is not known.",
                hint: "The same order again is proposed once; mesh issuer orders shows those that wait.")
        }
    }

    /// Whether this node approved an order before.
    private func isApproved(_ waiting: WaitingOrder) -> Bool {
        waiting.approvals.contains { (try? SignedObject<Approval>(reading: $0))?.did == identity.did }
    }

    func approve(_ cid: String, at text: String) async throws(NodeServiceError) -> OfficerOrderView {
        let issuer = try await meet(try Self.did(text, "issuer"))
        // What is signed is what was shown: the order whose CID this is.
        guard let found = try await waitingOrders(at: issuer).first(where: { $0.order.cid?.text == cid }) else {
            throw NodeServiceError(
                .issuerRefused, "No order \(cid) waits at that issuer for this node's word.",
                hint: "mesh issuer orders lists those that wait; it may have been carried out already.")
        }
        return try await approve(found.order, at: issuer, beside: found.approvals) { [order = found.order] in
            .approve(order: order.cid ?? issuer.charter.bodyCID, approval: $0)
        }
    }

    private func approve(
        _ order: OfficerOrder, at issuer: KnownIssuer, beside others: [[UInt8]] = [],
        _ question: ([UInt8]) -> CreditQuestion
    ) async throws(NodeServiceError) -> OfficerOrderView {
        let now = NodeClock.wallClock
        guard let cid = order.cid,
            let approval = try? SignedObject.sign(
                Approval(
                    approverDID: identity.did, orderCID: cid, approvedAt: now,
                    validUntil: now.advanced(milliseconds: limits.approvalMilliseconds)), with: identity)
        else { throw NodeServiceError(.internalError, "The approval could not be signed.") }
        switch try await ask(issuer.charter.did, question(approval.bytes)) {
        case .waits(let waiting) where waiting.order == order: return view(of: waiting, at: issuer)
        case .taken(let entry, _, _):
            var view = self.view(of: WaitingOrder(order: order, approvals: others + [approval.bytes]), at: issuer)
            view.entry = entry
            return view
        default: throw Self.faulty("its answer is another one")
        }
    }

    private func view(of waiting: WaitingOrder, at issuer: KnownIssuer) -> OfficerOrderView {
        let (cid, now) = (waiting.order.cid, NodeClock.wallClock)
        let approvers = waiting.approvals.prefix(OfficerOrder.approvalsMax).compactMap { block -> DID? in
            guard let approval = try? SignedObject<Approval>(reading: block), approval.body.orderCID == cid,
                now <= approval.body.validUntil
            else { return nil }
            return approval.did
        }
        var view = OfficerOrderView(
            issuer: issuer.charter.did.text, orderCID: cid?.text ?? "", number: waiting.order.number,
            text: waiting.order.action.text, approvers: approvers.map(\.text), needed: issuer.charter.body.approvals)
        view.counted = UInt64(
            Set(approvers).count {
                issuer.charter.body.officers.contains($0) && !waiting.order.subjects.contains($0)
            })
        view.countersigner = waiting.order.countersigner?.text
        return view
    }

    // MARK: Events

    func enter(_ bytes: [UInt8], at text: String) async throws(NodeServiceError) -> EnteredEvent {
        let did = try Self.did(text, "issuer")
        guard try await convicted(did) == nil else {
            throw Self.faulty("it signed two heads of one size, so its log has two histories")
        }
        guard let event = try? DAGCBORDecoder().decode(BookEvent.self, from: bytes) else {
            throw NodeServiceError(
                .invalidRequest, "The body is no event of a book.", hint: "PROTOCOL.md, \"Issuers\", describes them.")
        }
        guard case .taken(let entry, let certificate, _) = try await ask(did, .submit(event: event)) else {
            throw Self.faulty("its answer is another one")
        }
        return EnteredEvent(
            entry: entry, certificate: certificate.map { Multibase.encodeWithoutPrefix($0, .base64pad) })
    }

    // MARK: Audit

    func audit(_ text: String) async throws(NodeServiceError) -> IssuerAuditView {
        let did = try Self.did(text, "issuer")
        return try await checking { () async throws(NodeServiceError) in try await audit(of: did) }
    }

    /// A book that was held against its log.
    struct CheckedBook: Sendable {
        /// The issuer, with the head of the log.
        let issuer: KnownIssuer
        /// What this node was shown, in order.
        let openings: [(number: UInt64, opening: EntryOpening)]
        /// What came of it.
        let result: Result<IssuerAudit.Report, IssuerAudit.Finding>
    }

    /// Has an issuer show its log, and all of its entries that it shows this node, and checks them.
    func check(_ did: DID) async throws(NodeServiceError) -> CheckedBook {
        let issuer = try await meet(did)
        guard issuer.head.size <= limits.auditEntriesMax else {
            throw NodeServiceError(.tooLarge, "An audit has at most \(limits.auditEntriesMax) entries.")
        }
        var pages = IssuerPages(of: issuer, for: self)
        let commitments = try await pages.commitments()
        let openings = try await pages.openings()
        return CheckedBook(
            issuer: issuer, openings: openings, result: await Self.audited(issuer, commitments, openings))
    }

    private func audit(of did: DID) async throws(NodeServiceError) -> IssuerAuditView {
        let checked = try await check(did)
        var view = IssuerAuditView(
            issuer: did.text, entries: checked.issuer.head.size, opened: UInt64(checked.openings.count), isWhole: false)
        switch checked.result {
        case .failure(let finding): view.finding = "\(finding)"
        case .success(let report):
            guard let book = report.book else { break }
            view.isWhole = true
            view.totals = UnitTotal.all(of: book.accounts).map(CreditTotalView.init)
            view.lines = book.accounts.sorted.map { CreditLineView(LineState($0.id, $0.line)) }
        }
        return view
    }

    /// Outside the actor: with every signature it takes a while.
    private nonisolated static func audited(
        _ issuer: KnownIssuer, _ commitments: [[UInt8]], _ openings: [(number: UInt64, opening: EntryOpening)]
    ) async -> Result<IssuerAudit.Report, IssuerAudit.Finding> {
        IssuerAudit.audit(
            head: issuer.note, of: issuer.charter.did.publicKey, commitments: commitments, openings: openings)
    }
}
