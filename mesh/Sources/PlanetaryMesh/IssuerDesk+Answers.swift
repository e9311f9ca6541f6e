package import Credit
import Determinism
import IPLD
import MerkleLog
import MeshStore
import MeshTypes
import Multiformats
package import NodeAPI
import PeerIdentity
package import SignedObjects

// What others are told. All of it is on the disk before.
extension IssuerDesk {
    /// Answers a question of somebody whose key was proved.
    package func answer(_ question: CreditQuestion, for asker: DID) async -> CreditAnswer {
        guard issuer != nil else { return .refused(reason: .unknown, text: "This node is no issuer.") }
        // Before it heard its witnesses it does not know how much it has shown.
        guard isTelling else { return closed }
        do {
            switch question {
            case .head(let since, let size): return try await head(since: since, size: size)
            case .charter(let size): return try await opened(from: 0, size: size, of: nil, limit: 1, proofs: true)
            case .submit(let event, let since): return try await submit(event, for: asker, since: since)
            case .lines:
                return await told { .lines(lines: $0.lines(of: asker), size: $0.issuer?.tree.size ?? 0) }
            case .statement(let from, let size):
                return try await opened(from: from, size: size, of: asker, limit: nil, proofs: true)
            case .openings(let from, let size):
                guard issuer?.book.rules.auditors.contains(asker) == true || asker == identity.did else {
                    return .refused(
                        reason: .notForYou, text: "Only auditors whom the officers appointed see all entries.")
                }
                return try await opened(from: from, size: size, of: nil, limit: nil, proofs: false)
            case .commitments(let from, let size): return try await commitments(from: from, size: size)
            case .token(let chain): return await token(chain, for: asker)
            case .totals: return await told { .totals(totals: $0.totals()) }
            case .standing:
                return await told { $0.standing.map { .standing(state: $0) } ?? $0.closed }
            case .orders: return await told { .orders(orders: $0.orders(for: asker)) }
            case .number: return await told { $0.number(for: asker) }
            case .propose(let order, let approval): return await propose(order, approval, by: asker)
            case .approve(let order, let approval): return await approve(order, approval, by: asker)
            case .issuers:
                guard !lines(of: asker).isEmpty else {
                    return .refused(reason: .notForYou, text: "Only members are told whom the issuer pays for them.")
                }
                let lines = await across?.neighbourLines() ?? []
                return await told { _ in .issuers(lines: lines) }
            case .below(let hold):
                let answer = await below(hold, for: asker)
                return await told { _ in answer }
            }
        } catch {
            return .refused(reason: .closed, text: "The issuer could not read its book.")
        }
    }

    /// What is left of a token, for who has a part in its chain.
    private func token(_ blocks: [[UInt8]], for asker: DID) async -> CreditAnswer {
        let chain: TokenChain
        do {
            chain = try TokenChain(reading: blocks)
        } catch {
            return refused(error)
        }
        guard let book = issuer?.book, chain.last.body.issuerDID == book.issuer,
            chain.last.body.charterCID == book.charterCID
        else { return refused(.otherBook) }
        guard chain.givers.contains(asker) || chain.holder == asker else {
            return .refused(reason: .notForYou, text: "Only those who gave or hold the token are told of it.")
        }
        let state = book.state(of: chain)
        return await told { _ in .token(state: state) }
    }

    /// What is so now, told once it is on the disk.
    private func told(_ make: (isolated IssuerDesk) -> CreditAnswer) async -> CreditAnswer {
        guard let size = issuer?.tree.size else { return closed }
        let answer = make(self)
        await landed(size)
        return size <= durable.size ? answer : closed
    }

    var closed: CreditAnswer {
        let reason =
            issuer == nil
            ? "This node is no issuer."
            : hasNoWitnesses
                ? "The issuer could not write it; ask again."
                : "Too few of the issuer's witnesses answer, so nobody is told yet what it booked; ask again."
        return .refused(reason: .closed, text: obstacle ?? reason)
    }

    /// What a book's refusal is to whoever asks; only who says which head it has knows `held`.
    func refused(_ refusal: BookRefusal, tellingHeld: Bool = false) -> CreditAnswer {
        let words = issuer.map { refusal.text(in: $0.book.charter.unit) } ?? "\(refusal)"
        let reason: CreditAnswer.Reason =
            tellingHeld && refusal == .attemptHeld ? .held : refusal.isPassing ? .later : .book
        return .refused(reason: reason, text: "The book does not take it: \(words).")
    }

    /// What the issuer had held for a hold of the asker's at the executor's issuer.
    private func below(_ hold: CID, for asker: DID) async -> CreditAnswer {
        guard let found = holdAcross(hold), found.terms.originatorDID == asker else {
            return .refused(reason: .unknown, text: "The asker has no such hold for another issuer's member.")
        }
        guard let across else { return .refused(reason: .later, text: "The issuer has only just started.") }
        return await across.below(of: hold, at: found.creditorLine.did)
    }

    private func submit(_ event: BookEvent, for asker: DID, since: UInt64?) async throws -> CreditAnswer {
        if let reason = reasonNotNow(event) { return .refused(reason: .later, text: reason) }
        if let id = event.hold, let hold = holdAcross(id) {
            switch event {
            // Here time decides by itself.
            case .holdExpired, .claimPaid: break
            default:
                guard event.isSigned(by: hold.terms) else { return refused(.wrongSigner) }
                guard event.claim.map({ $0 == hold.claim?.cid }) ?? true else { return refused(.notOfThisHold) }
                // What was paid below without this issuer seeing it in time is disputed here alone.
                if event.claim != nil, isKnownOver(id) { break }
                guard let across else { return .refused(reason: .later, text: "The issuer has only just started.") }
                if let refusal = await across.give(event, about: hold) { return refusal }
            }
        }
        switch await take(event) {
        case nil: return closed
        case .failure(let refusal): return refused(refusal, tellingHeld: since != nil)
        case .success(nil): return .refused(reason: .closed, text: "The issuer could not read its book.")
        case .success(let entry?):
            let promise = try? issuer?.certificate(of: entry).map { try SignedObject.sign($0, with: identity).bytes }
            let shown: ShownEntry? = if let since { try await show(entry, to: asker, since: since) } else { nil }
            return .taken(entry: entry.number, certificate: promise, shown: shown)
        }
    }

    // MARK: The log

    /// The head of a size, by what is on the disk, which has to lead to the one that was replayed: what the disk
    /// changed is found before a head is signed over it, which would be a second history.
    func root(of size: UInt64) async throws(MeshStoreError) -> MerkleHash? {
        guard size > 0 else { return nil }
        let current = TreeHead(durable)
        if size == current.size { return current.root }
        if let known = roots[size] { return known }
        guard size < current.size, let plan = ProofPlan.consistency(of: size, in: current.size) else { return nil }
        let places = HashPlace.places(of: 0..<size)
        let found = try await hashes(at: places + plan.places)
        guard let tree = MerkleTree(size: size, peaks: places.compactMap { found[$0] }),
            let proof = plan.proof(of: found),
            current.extends(TreeHead(tree), proof: proof)
        else { throw .recordCorrupt(table: "issuer_hashes", row: Int64(clamping: HashPlace.count(of: size))) }
        if roots.count >= limits.headsRememberedMax { roots = [:] }
        roots[size] = tree.root
        return tree.root
    }

    private func head(since: UInt64, size: UInt64?) async throws -> CreditAnswer {
        let size = size ?? durable.size
        guard size > 0, let root = try await root(of: size), since <= size,
            let plan = ProofPlan.consistency(of: since, in: size)
        else { return .refused(reason: .unknown, text: "The log has \(durable.size) entries.") }
        let found = try await hashes(at: plan.places)
        guard let proof = plan.proof(of: found) else {
            throw MeshStoreError.recordCorrupt(table: "issuer_hashes", row: Int64(clamping: since))
        }
        return .head(note: try note(TreeHead(size: size, root: root)), proof: proof.flatMap(\.bytes))
    }

    /// The signed head; the last one is remembered.
    func note(_ head: TreeHead) throws -> [UInt8] {
        if let last = self.head, last.size == head.size { return last.note }
        guard let checkpoint = Checkpoint(origin: Issuer.logName(of: identity.did), head: head) else {
            preconditionFailure("the name of a log that no note could have")
        }
        let note = try checkpoint.signed(with: identity).bytes
        self.head = (head.size, note)
        return note
    }

    /// The tree over the first entries on the disk; nil if there are not so many.
    func tree(of size: UInt64) async throws(MeshStoreError) -> MerkleTree? {
        guard size < written.size else { return size == written.size ? written : nil }
        let places = HashPlace.places(of: 0..<size)
        let found = try await hashes(at: places)
        return MerkleTree(size: size, peaks: places.compactMap { found[$0] })
    }

    private func hashes(at places: [HashPlace]) async throws(MeshStoreError) -> [HashPlace: MerkleHash] {
        let stored = try await IssuerEntryRow.hashes(at: places.map(\.position), in: store)
        var hashes: [HashPlace: MerkleHash] = [:]
        for place in places { hashes[place] = stored[place.position].flatMap(MerkleHash.init(bytes:)) }
        return hashes
    }

    private func opened(
        from number: UInt64, size: UInt64, of party: DID?, limit: Int?, proofs: Bool
    ) async throws -> CreditAnswer {
        guard let root = try await root(of: size) else {
            return .refused(reason: .unknown, text: "The log has \(durable.size) entries.")
        }
        let rows = try await IssuerEntryRow.entries(
            from: number, of: party?.text, below: size, limit: limit ?? limits.entriesPerAnswerMax,
            bytesMax: limits.entryBytesPerAnswerMax, in: store)
        var entries: [OpenedEntry] = []
        for row in rows {
            guard let entry = try? DAGCBORDecoder().decode(BookEntry.self, from: row.entry),
                let opening = try issuer?.opening(of: entry), opening.commitment == row.commitment
            else { throw MeshStoreError.recordCorrupt(table: "issuer_entries", row: Int64(clamping: row.number)) }
            var proof: [MerkleHash] = []
            if proofs, let plan = ProofPlan.inclusion(of: row.number, in: size) {
                let found = try await hashes(at: plan.places)
                proof = plan.proof(of: found) ?? []
                guard
                    TreeHead(size: size, root: root).includes(.leaf(row.commitment), at: row.number, proof: proof)
                else { throw MeshStoreError.recordCorrupt(table: "issuer_hashes", row: Int64(clamping: row.number)) }
            }
            entries.append(OpenedEntry(number: row.number, opening: opening, proof: proof.flatMap(\.bytes)))
        }
        let isMore = limit == nil && (rows.last.map { $0.number + 1 < size } ?? false)
        return .entries(entries: entries, more: isMore)
    }

    /// What proves an entry to a party to it that has the head of an earlier size; nil of all others.
    private func show(_ entry: BookEntry, to asker: DID, since: UInt64) async throws -> ShownEntry? {
        let head = TreeHead(durable)
        let isParty = issuer.map { entry.event.parties(in: $0.book).contains(asker) }
        guard isParty == true, since <= head.size, let opening = try issuer?.opening(of: entry),
            let continuing = ProofPlan.consistency(of: since, in: head.size),
            let including = ProofPlan.inclusion(of: entry.number, in: head.size)
        else { return nil }
        // No copy of the book is held from here on.
        let found = try await hashes(at: continuing.places + including.places)
        guard let continues = continuing.proof(of: found), let proof = including.proof(of: found),
            head.includes(.leaf(opening.commitment), at: entry.number, proof: proof)
        else { throw MeshStoreError.recordCorrupt(table: "issuer_hashes", row: Int64(clamping: entry.number)) }
        return ShownEntry(
            note: try note(head), continues: continues.flatMap(\.bytes),
            entry: OpenedEntry(number: entry.number, opening: opening, proof: proof.flatMap(\.bytes)))
    }

    private func commitments(from number: UInt64, size: UInt64) async throws -> CreditAnswer {
        guard size <= durable.size else {
            return .refused(reason: .unknown, text: "The log has \(durable.size) entries.")
        }
        let found = try await IssuerEntryRow.commitments(
            from: number, below: size, limit: limits.commitmentsPerAnswerMax, in: store)
        return .commitments(bytes: found.flatMap { $0 })
    }

    // MARK: The owner

    /// Opens the book that its owner asks for.
    package func found(_ founding: IssuerFounding) async throws(NodeServiceError) -> IssuerView {
        var officers: [DID] = []
        for officer in founding.officers { officers.append(try MemberDesk.did(officer, "officer")) }
        var arbiters: [DID] = []
        for arbiter in founding.arbiters ?? [] { arbiters.append(try MemberDesk.did(arbiter, "arbiter")) }
        var witnesses: [DID] = []
        for witness in founding.witnesses ?? [] { witnesses.append(try MemberDesk.did(witness, "witness")) }
        try await found(
            IssuerCharter(
                issuerDID: identity.did, unit: CreditUnit(name: founding.unit, decimals: founding.decimals),
                officers: officers, approvals: founding.approvals, witnesses: witnesses, arbiters: arbiters,
                openedAt: clock()))
        return try await view()
    }

    /// The book, for its owner, as it is on the disk.
    func view() async throws(NodeServiceError) -> IssuerView {
        guard let charter = issuer?.book.charter, let size = issuer?.tree.size else {
            throw NodeServiceError(
                .noIssuer, "This node is no issuer.",
                hint: "mesh issuer found makes it one; mesh issuer show --issuer DID shows another.")
        }
        var view = IssuerView(charter)
        view.lines = issuer?.book.accounts.sorted.map { CreditLineView(LineState($0.id, $0.line)) } ?? []
        view.totals = totals().map(CreditTotalView.init)
        standing.map { view.tell($0) }
        await landed(size)
        // What did not get to the disk is no booking.
        if durable.size < size { (view.lines, view.totals) = ([], []) }
        (view.toldAt, view.obstacle) = (clock().value, obstacle)
        view.witnessWarning = await witnesses?.warning()
        view.entries = durable.size
        do {
            view.head = String(decoding: try note(TreeHead(durable)), as: UTF8.self)
        } catch {
            throw NodeServiceError(.internalError, "The head could not be signed: \(error).")
        }
        return view
    }

    // MARK: Lines

    /// What the officers ordered about the book itself; nil where there is none.
    private var standing: BookStanding? { issuer.map { BookStanding($0.book) } }

    /// The lines of somebody.
    func lines(of did: DID) -> [LineState] {
        (lines[did] ?? []).sorted().prefix(limits.linesPerAnswerMax).compactMap { id in
            issuer?.book.accounts[id].map { LineState(id, $0) }
        }
    }

    /// The sums of the book, a second old at most.
    func totals() -> [UnitTotal] {
        let now = NodeClock.now
        if let told = toldTotals, now.milliseconds(since: told.at) < limits.totalsMilliseconds { return told.totals }
        let totals = issuer.map { UnitTotal.all(of: $0.book.accounts) } ?? []
        toldTotals = (now, totals)
        return totals
    }
}
