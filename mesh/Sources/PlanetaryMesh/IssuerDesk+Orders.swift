import Credit
import IPLD
import MeshStore
import MeshTypes
import Multiformats
import SignedObjects

// The officers' orders: each is proposed by one of them, and waits here until enough approve.
extension IssuerDesk {
    private static let notAnOfficer = CreditAnswer.refused(
        reason: .notForYou, text: "Only the officers whom the charter names propose orders.")

    /// The orders that wait and concern somebody: of officers all, of others those that need their word.
    func orders(for asker: DID) -> [WaitingOrder] {
        let seesAll = isOfficer(asker) || asker == identity.did
        return waiting.values.filter { seesAll || $0.order.countersigner == asker }
            .sorted { $0.order.number < $1.order.number }
    }

    /// The number for the next order: the lowest that no waiting one has, so that nobody can drive it up.
    func number(for asker: DID) -> CreditAnswer {
        guard let last = issuer?.book.rules.lastOrder, isOfficer(asker) else { return Self.notAnOfficer }
        let taken = Set(waiting.values.map(\.order.number))
        var next = last + 1
        while taken.contains(next) { next += 1 }
        return .number(next: next)
    }

    func propose(_ order: OfficerOrder, _ approval: [UInt8], by asker: DID) async -> CreditAnswer {
        guard let charter = issuer?.book.charterCID, let last = issuer?.book.rules.lastOrder, obstacle == nil else {
            return closed
        }
        guard isOfficer(asker) else { return Self.notAnOfficer }
        guard order.issuerDID == identity.did, order.charterCID == charter, order.isPossible, let cid = order.cid
        else { return refused(.malformed(.outOfBounds(field: "action"))) }
        guard let bytes = try? DAGCBOREncoder().encode(order), bytes.count <= limits.orderBytesMax else {
            return refused(.malformed(.tooLarge(bytesMax: limits.orderBytesMax)))
        }
        guard waiting[cid] == nil else { return await approve(cid, approval, by: asker) }
        guard order.number > last, order.number - last <= OfficerOrder.numberStepMax else {
            return refused(.orderNumber(last: last))
        }
        await forgetOutdated()
        // Another may have proposed the same meanwhile.
        guard waiting[cid] == nil else { return await approve(cid, approval, by: asker) }
        guard waiting.values.count(where: { proposer(of: $0) == asker }) < limits.ordersPerOfficerMax else {
            return .refused(
                reason: .tooMany, text: "\(limits.ordersPerOfficerMax) orders that you proposed wait already.")
        }
        return await add(approval, to: WaitingOrder(order: order, approvals: []), cid, by: asker)
    }

    func approve(_ cid: CID, _ approval: [UInt8], by asker: DID) async -> CreditAnswer {
        guard issuer != nil, obstacle == nil else { return closed }
        guard let found = waiting[cid] else {
            return .refused(
                reason: .unknown, text: "No order \(cid) waits; it may have been carried out, or a later one was.")
        }
        guard isOfficer(asker) || found.order.countersigner == asker else {
            return Self.notAnOfficer
        }
        return await add(approval, to: found, cid, by: asker)
    }

    private func isOfficer(_ did: DID) -> Bool { issuer?.book.charter.officers.contains(did) == true }

    /// Adds an approval to an order, and carries it out if that was the last that it needs.
    private func add(
        _ block: [UInt8], to found: WaitingOrder, _ cid: CID, by asker: DID
    ) async -> CreditAnswer {
        let signed: SignedObject<Approval>
        do {
            signed = try SignedObject<Approval>(reading: block)
        } catch {
            return refused(.malformed(error))
        }
        guard signed.did == asker, signed.body.orderCID == cid else { return refused(.wrongSigner) }
        guard clock() <= signed.body.validUntil else { return refused(.outOfDate) }
        var order = found
        // Of each the last one counts; the first place stays that of whoever proposed it.
        if let place = order.approvals.firstIndex(where: { Self.signer(of: $0) == asker }) {
            order.approvals[place] = block
        } else {
            order.approvals.append(block)
        }
        let event = BookEvent.ordered(order: order.order, approvals: order.approvals)
        // It waits from here on, so that who comes meanwhile sees this approval.
        waiting[cid] = order
        switch await take(event, with: [.issuer(.order(cid, nil))]) {
        case nil: return closed
        case .success(let entry):
            waiting[cid] = nil
            await forgetOutdated()
            return entry.map { .taken(entry: $0.number, certificate: nil) } ?? closed
        case .failure(let refusal):
            // With all approvals that came meanwhile: the last write has to have the most.
            guard let bytes = try? DAGCBOREncoder().encode(waiting[cid] ?? order),
                (try? await store.commitInOrder([.issuer(.order(cid, bytes))])) != nil
            else { return closed }
            switch refusal {
            case .notApproved, .notCountersigned: return .waits(order: order)
            default: return refused(refusal)
            }
        }
    }

    private static func signer(of approval: [UInt8]) -> DID? {
        (try? SignedObject<Approval>(reading: approval, .stored))?.did
    }

    private func proposer(of order: WaitingOrder) -> DID? { order.approvals.first.flatMap(Self.signer) }

    /// Forgets the orders that can be carried out no more: a later one was, or their proposers' word is over.
    private func forgetOutdated() async {
        guard let last = issuer?.book.rules.lastOrder else { return }
        let now = clock()
        let gone = waiting.filter { _, order in
            let first = order.approvals.first.flatMap { try? SignedObject<Approval>(reading: $0, .stored) }
            return order.order.number <= last || first.map { $0.body.validUntil < now } ?? true
        }.keys
        guard !gone.isEmpty else { return }
        for cid in gone { waiting[cid] = nil }
        try? await store.commit(gone.map { .issuer(.order($0, nil)) })
    }
}
