import Credit
import Economics
import IPLD
import JobMarket
import MeshStore
import MeshTypes
import Multiformats
import NodeAPI
import NodeCore
import Reputation
import SignedObjects

extension NodeWrite {
    /// The setting with the receipt that this node signed last, so that the chain of its receipts continues.
    static let lastReceiptKey = "last_receipt"

    /// The setting with the heads of the anchored DAG, so that it continues after a restart.
    static let anchorHeadsKey = "anchor_heads"

    /// The store's writes of a transition, all in one transaction.
    func storeWrites() throws -> [StoreWrite] {
        var writes = outputs.map { StoreWrite.output(cid: $0.block.cid, bytes: $0.block.bytes, jobID: $0.job.cid) }
        writes += evidence.map { .evidence(cid: $0.cid, bytes: $0.bytes, jobID: $0.jobID.cid) }
        for event in events {
            writes.append(
                .journal(
                    JournalEntry(
                        jobID: event.jobID.cid, role: StoreRole(event.role), kind: event.kindName, at: event.at.value,
                        bytes: try event.encoded())))
            writes += event.ledger.map { .ledger(LedgerRow($0, jobID: event.jobID)) }
        }
        for block in evidence {
            if let proof = block.proof { writes.append(.proof(ProofRow(proof))) }
        }
        writes += jobs.map { .job(JobStory.row(of: $0)) }
        if let anchorHeads {
            writes.append(.setting(key: Self.anchorHeadsKey, value: try DAGCBOREncoder().encode(anchorHeads)))
        }
        writes += logged.map { .anchored(AnchoredRow($0)) }
        for booking in bookings { writes.append(.issuer(.booking(try HoldBookingRow(booking)))) }
        if let lastReceipt { writes.append(.setting(key: Self.lastReceiptKey, value: lastReceipt.bytes)) }
        for change in judged { writes += StoreWrite.conduct(change) }
        for (row, receipt) in ReceiptRow.rows(of: events, evidence, at: at) {
            writes.append(.receiptLink(ReceiptLinkRow(receipt, row.cid)))
            writes.append(.receipt(row))
            if row.isVerified == true { writes += receipt.contentRoots.map { .root($0) } + [.root(row.cid)] }
        }
        return writes
    }
}

extension HoldBookingRow {
    /// A booking, as stored.
    init(_ booking: HoldBooking, askedAgainAt date: UnixMilliseconds? = nil) throws {
        self.init(
            hold: booking.hold, issuer: booking.issuerDID.text, jobID: booking.jobID.cid,
            dueAt: booking.dueAt.map { max($0, date ?? $0).value },
            bytes: try DAGCBOREncoder().encode(booking))
    }

    /// The booking; nil if the row is damaged.
    var booking: HoldBooking? { try? DAGCBORDecoder().decode(HoldBooking.self, from: bytes) }
}

extension AnchoredRow {
    /// An entry of the log, as stored.
    init(_ entry: LoggedEntry) {
        self.init(
            number: entry.number, entry: entry.cid, bytes: entry.bytes, payload: entry.payload, hashes: entry.hashes,
            heads: entry.heads)
    }
}

extension CommitUrgency {
    /// How urgent a write of the core is.
    init(_ haste: NodeWrite.Haste) {
        switch haste {
        case .urgent: self = .now
        case .answer: self = .soon
        case .none: self = .idle
        }
    }
}

extension ExecutionReceipt {
    /// The files that the run made, by root.
    var contentRoots: [CID] { outputs.map(\.value) + [stdoutCID, stderrCID, logCID, readCID].compactMap(\.self) }
}

extension StoreRole {
    /// The role of a journal, as the store names it.
    init(_ role: JobRole) {
        switch role {
        case .originator: self = .originator
        case .executor: self = .executor
        }
    }
}

extension ReceiptRow {
    /// The rows of the receipts among the evidence; the market has checked each of them, and its events say which are
    /// wrong.
    static func rows(
        of events: [JobEvent], _ evidence: [EvidenceBlock], at date: UnixMilliseconds
    ) -> [(row: ReceiptRow, receipt: ExecutionReceipt)] {
        let wrong = events.compactMap { event -> CID? in
            switch event.kind {
            case .attemptEnded(_, .receiptInvalid(let receipt, _)), .attemptEnded(_, .refuted(let receipt, _, _)):
                return receipt
            default: return nil
            }
        }
        let checked = events.compactMap { event -> CID? in
            switch event.kind {
            case .verificationEnded(let receipt, let finding, _) where finding.isOwnRun: return receipt
            default: return nil
            }
        }
        return evidence.compactMap { block in
            guard let receipt = block.receipt else { return nil }
            let row = ReceiptRow(
                cid: block.cid, jobID: block.jobID.cid, executorDID: receipt.did.text,
                status: receipt.body.status.rawValue, at: date.value,
                isVerified: !block.isContradiction && !wrong.contains(block.cid),
                isChecked: checked.contains(block.cid) && !receipt.body.outcome.isCutShort)
            return (row, receipt.body)
        }
    }

    /// The receipt of this row, if its block is here and intact.
    func receipt(in store: MeshStore) async throws(MeshStoreError) -> ExecutionReceipt? {
        do throws(MeshStoreError) {
            guard let block = try await store.block(cid) else { return nil }
            return (try? SignedObject<ExecutionReceipt>(verifying: block))?.body
        } catch {
            // A damaged one says nothing, and must not keep the node from starting.
            if case .blockCorrupt = error { return nil }
            throw error
        }
    }

    /// What the receipt of this row shows about its executor; for the rows of versions that did not write it down.
    func evidence(_ receipt: ExecutionReceipt) -> ReputationEvidence? {
        guard isVerified == false else {
            return ReputationEvidence(
                receipt: receipt, receiptCID: cid, isChecked: isChecked, takenAt: UnixMilliseconds(at))
        }
        return ReputationEvidence(
            subject: receipt.executorDID, payer: receipt.originatorDID, assignmentCID: receipt.assignmentCID,
            receiptCID: cid, verdict: .invalid, at: UnixMilliseconds(at))
    }
}

extension ProofRow {
    /// The row of a proof that this node made.
    init(_ proof: SignedObject<FraudProof>) {
        self.init(
            cid: proof.cid, receipt: proof.body.receiptCID, jobID: proof.body.jobID.cid,
            executorDID: proof.body.executorDID.text, at: proof.body.madeAt.value)
    }
}

extension ReceiptLinkRow {
    /// The links of a receipt to the one before it and to its assignment, which its executor signed.
    init(_ receipt: ExecutionReceipt, _ cid: CID) {
        self.init(
            executorDID: receipt.executorDID.text, previous: receipt.previousReceiptCID,
            assignment: receipt.assignmentCID, cid: cid)
    }
}

extension LedgerRow {
    /// A posting, as stored.
    init(_ entry: LedgerEntry, jobID: JobID?) {
        self.init(
            debit: entry.from.description, credit: entry.to.description, amount: entry.amount.units, jobID: jobID?.cid,
            kind: entry.kind.rawValue, reference: entry.subject, at: entry.at.value)
    }

    /// The stored posting; `nil` if this version does not know its kind.
    var entry: LedgerEntry? {
        guard let kind = LedgerEntryKind(rawValue: kind), let from = LedgerAccount(named: debit),
            let to = LedgerAccount(named: credit)
        else { return nil }
        return LedgerEntry(
            kind: kind, subject: reference, from: from, to: to, amount: TokenAmount(amount), at: UnixMilliseconds(at))
    }
}

extension LedgerAccount {
    /// The account of a name that `description` returned.
    init?(named name: String) {
        let parts = name.split(separator: "/", maxSplits: 1).map(String.init)
        switch (parts.first, parts.count) {
        case ("issuance", 1): self = .issuance
        case ("wallet", 1): self = .wallet
        case ("escrow", 2):
            guard let cid = try? CID(parsing: parts[1]) else { return nil }
            self = .escrow(JobID(cid))
        case ("paid", 2):
            guard let did = try? DID(parsing: parts[1]) else { return nil }
            self = .paid(did)
        case ("income", 2):
            guard let did = try? DID(parsing: parts[1]) else { return nil }
            self = .income(did)
        default: return nil
        }
    }
}

extension NodeServiceError {
    /// A failure of the store, as the node's owner sees it.
    init(storage error: MeshStoreError) {
        switch error {
        case .inUse: self.init(.alreadyRunning, "\(error)")
        case .full, .blockSpaceUsedUp: self.init(.storageFull, "\(error)")
        case .blockCorrupt, .blockMismatch: self.init(.blockCorrupt, "\(error)")
        case .blockTooLarge: self.init(.tooLarge, "\(error)")
        case .overloaded: self.init(.overloaded, "\(error)")
        case .needed: self.init(.conflict, "\(error)")
        case .closed: self.init(.shuttingDown, "\(error)")
        default: self.init(.storageFailed, "\(error)")
        }
    }
}
