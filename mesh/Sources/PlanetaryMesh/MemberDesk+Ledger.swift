import Credit
import MeshTypes
import Multiformats
import NodeAPI
import SignedObjects

// An issuer's book for its treasurer: double entry, made of a book that was audited.
extension MemberDesk {
    /// A part of an issuer's book; it is audited first, so only the issuer and its auditors have it.
    func ledger(_ query: LedgerQuery) async throws(NodeServiceError) -> LedgerView {
        let did = try Self.did(query.issuer, "issuer")
        return try await checking { () async throws(NodeServiceError) in
            let checked = try await check(did)
            switch checked.result {
            case .failure(let finding): throw Self.faulty("\(finding)")
            case .success(let report) where report.book == nil:
                throw NodeServiceError(
                    .issuerRefused, "The issuer shows this node its own entries alone, and not its whole book.",
                    hint: "Its officers appoint auditors: mesh issuer order appoint DID. "
                        + "mesh issuer statement shows the entries of this node.")
            case .success: break
            }
            do throws(ReplayFault) {
                return try await Self.ledger(checked.openings.map(\.opening), query, limits.ledgerEntriesMax)
            } catch {
                throw Self.faulty("\(error)")
            }
        }
    }

    /// Outside the actor: it replays the whole book.
    private nonisolated static func ledger(
        _ openings: [EntryOpening], _ query: LedgerQuery, _ entriesMax: Int
    ) async throws(ReplayFault) -> LedgerView {
        var view = LedgerView(issuer: query.issuer, size: UInt64(openings.count))
        var journal: BookJournal?
        var isBegun = false
        for (index, opening) in openings.enumerated() {
            guard let entry = opening.read else { throw ReplayFault(entry: UInt64(index), reason: .outOfOrder) }
            guard journal != nil else {
                journal = try BookJournal(opening: entry)
                continue
            }
            if let until = query.until, entry.at.value >= until { break }
            let isShown = entry.at.value >= query.from ?? 0 && query.after.map { entry.number > $0 } ?? true
            if isShown, !isBegun {
                view.opening = journal?.balances.map(PostingView.init) ?? []
                isBegun = true
            }
            if isShown, view.entries.count >= entriesMax {
                view.next = view.entries.last?.number
                break
            }
            guard let postings = try journal?.take(entry), isShown, !postings.isEmpty else { continue }
            view.entries.append(LedgerEntryView(entry, postings, in: journal?.book))
        }
        view.closing = journal?.balances.map(PostingView.init) ?? []
        if view.next == nil { view.balanceCID = journal.map { TrialBalance($0.book).cid.text } }
        if !isBegun { view.opening = view.closing }
        return view
    }
}

extension LedgerEntryView {
    /// An entry that a book took, with its postings.
    fileprivate init(_ entry: BookEntry, _ postings: [BookJournal.Posting], in book: IssuerBook?) {
        self.init(
            number: entry.number, at: entry.at.value, kind: entry.event.name, postings: postings.map(PostingView.init))
        switch entry.event {
        case .ordered(let order, _): (kind, note) = (order.action.name, order.action.note)
        case .holdGranted(let block), .holdGrantedByToken(let block, _, _):
            jobID = (try? SignedObject<PaymentOrder>(reading: block, .stored))?.body.hold?.jobID.cid.text
        default: jobID = entry.event.hold.flatMap { book?.holds[$0]?.terms.jobID.cid.text }
        }
    }
}

extension PostingView {
    /// A posting, or what an account has. What no line can hold is cut.
    fileprivate init(_ posting: BookJournal.Posting) {
        let unit = posting.account.unit
        let (account, did): (Account, String?) =
            switch posting.account {
            case .line(let line): (.line, line.did.text)
            case .own(.fees, _): (.fees, nil)
            case .own(.losses, _): (.losses, nil)
            case .own(.cash, _): (.cash, nil)
            case .own(.exchange, _): (.exchange, nil)
            }
        self.init(
            account: account, did: did, amount: Int64(clamping: posting.amount), unit: unit.name,
            decimals: unit.decimals)
    }
}
