package import Multiformats

/// One event in the life of a job; the store assigns its position in the journal.
package struct JournalEntry: Hashable, Sendable {
    /// The position, ascending over all jobs; zero before it is written.
    package var sequence: Int64
    /// The job.
    package var jobID: CID
    /// This node's side of the job.
    package var role: StoreRole
    /// The event's type, for the journal in words.
    package var kind: String
    /// When, in milliseconds since the Unix epoch.
    package var at: UInt64
    /// Why, as a sentence for a person; empty if the kind says it all.
    package var reason: String
    /// The encoded event.
    package var bytes: [UInt8]

    /// An entry to write.
    package init(
        jobID: CID, role: StoreRole, kind: String, at: UInt64, reason: String = "", bytes: [UInt8],
        sequence: Int64 = 0
    ) {
        self.sequence = sequence
        self.jobID = jobID
        self.role = role
        self.kind = kind
        self.at = at
        self.reason = reason
        self.bytes = bytes
    }
}

/// What a listing says about a job.
package struct JobRow: Hashable, Sendable {
    /// The job.
    package var jobID: CID
    /// This node's side of the job.
    package var role: StoreRole
    /// The job's state, by the name of its `JobStatus`.
    package var status: String
    /// Whether nothing more will happen.
    package var isTerminal: Bool
    /// When the job was submitted, in milliseconds since the Unix epoch.
    package var submittedAt: UInt64
    /// When the job last changed, in milliseconds since the Unix epoch.
    package var updatedAt: UInt64
    /// The other side: the executor's DID for an originator, the originator's for an executor; empty while unknown.
    package var counterparty: String
    /// What the user called the job.
    package var label: String
    /// Why it is in this state; empty if the status says it all.
    package var reason: String
    /// The price agreed or paid, in the smallest unit.
    package var price: UInt64?
    /// The fuel that was metered.
    package var fuel: UInt64?
    /// The receipt, once there is one.
    package var receiptCID: CID?
    /// The idempotency key of the submission; empty if none was given.
    package var idempotencyKey: String
    /// Whether this node signed a receipt of it that is not paid yet, so that its evidence must stay.
    package var isUnsettled: Bool
    /// The job's StandardJobStatus; empty for a bid that came to nothing.
    package var standard: String
    /// What became of it, or how far it is, by name.
    package var outcome: String
    /// What goes with the outcome: the exit code, the limit, or who won; empty if nothing does.
    package var outcomeDetail: String
    /// The most that the winner may charge, where a bid was lost.
    package var winnerPrice: UInt64?
    /// Whether this node was paid for its run, by name; empty if it has no receipt of it.
    package var payment: String
    /// What its prices are counted in, by name and decimal places, such as `hours/2`; empty where that is tokens.
    package var unit: String

    /// A summary to write.
    package init(
        jobID: CID, role: StoreRole, status: String, isTerminal: Bool, submittedAt: UInt64, updatedAt: UInt64,
        counterparty: String = "", label: String = "", reason: String = "", price: UInt64? = nil, fuel: UInt64? = nil,
        receiptCID: CID? = nil, idempotencyKey: String = "", isUnsettled: Bool = false, standard: String = "",
        outcome: String = "", outcomeDetail: String = "", winnerPrice: UInt64? = nil, payment: String = "",
        unit: String = ""
    ) {
        self.jobID = jobID
        self.role = role
        self.status = status
        self.isTerminal = isTerminal
        self.submittedAt = submittedAt
        self.updatedAt = updatedAt
        self.counterparty = counterparty
        self.label = label
        self.reason = reason
        self.price = price
        self.fuel = fuel
        self.receiptCID = receiptCID
        self.idempotencyKey = idempotencyKey
        self.isUnsettled = isUnsettled
        self.standard = standard
        self.outcome = outcome
        self.outcomeDetail = outcomeDetail
        self.winnerPrice = winnerPrice
        self.payment = payment
        self.unit = unit
    }
}

/// One movement between two accounts.
///
/// The tuple (job, kind, reference, debit, credit) identifies it: booked twice it counts once; booked again with
/// another amount it is refused.
package struct LedgerRow: Hashable, Sendable {
    /// The position, ascending; zero before it is written.
    package var sequence: Int64
    /// The account that gives.
    package var debit: String
    /// The account that gets.
    package var credit: String
    /// The amount, in the smallest unit.
    package var amount: UInt64
    /// Its job, if any.
    package var jobID: CID?
    /// What kind of movement: grant, hold, payment, refund.
    package var kind: String
    /// What distinguishes two movements of one kind and job, for example the attempt; empty if nothing does.
    package var reference: String
    /// When, in milliseconds since the Unix epoch.
    package var at: UInt64

    /// A movement to book.
    package init(
        debit: String, credit: String, amount: UInt64, jobID: CID?, kind: String, reference: String = "", at: UInt64,
        sequence: Int64 = 0
    ) {
        self.sequence = sequence
        self.debit = debit
        self.credit = credit
        self.amount = amount
        self.jobID = jobID
        self.kind = kind
        self.reference = reference
        self.at = at
    }
}

/// A receipt stored as a block, and what is known about it.
package struct ReceiptRow: Hashable, Sendable {
    /// The receipt's own CID.
    package var cid: CID
    /// The job that it ends.
    package var jobID: CID
    /// Who signed it.
    package var executorDID: String
    /// The status that it states.
    package var status: String
    /// When it arrived here, in milliseconds since the Unix epoch.
    package var at: UInt64
    /// Whether every check passed here; nil while unchecked.
    package var isVerified: Bool?
    /// Whether this node bore out what it says by a run of its own.
    package var isChecked: Bool

    /// A row to write.
    package init(
        cid: CID, jobID: CID, executorDID: String, status: String, at: UInt64, isVerified: Bool?,
        isChecked: Bool = false
    ) {
        self.cid = cid
        self.jobID = jobID
        self.executorDID = executorDID
        self.status = status
        self.at = at
        self.isVerified = isVerified
        self.isChecked = isChecked
    }
}

/// The proof of a fraud, stored as a block.
package struct ProofRow: Hashable, Sendable {
    /// The proof's own CID.
    package var cid: CID
    /// The receipt that says what is not so.
    package var receipt: CID
    /// The job.
    package var jobID: CID
    /// Who signed the receipt.
    package var executorDID: String
    /// When it was made, in milliseconds since the Unix epoch.
    package var at: UInt64

    /// A row to write.
    package init(cid: CID, receipt: CID, jobID: CID, executorDID: String, at: UInt64) {
        self.cid = cid
        self.receipt = receipt
        self.jobID = jobID
        self.executorDID = executorDID
        self.at = at
    }
}

/// What a receipt of an executor follows and answers; another with the same of either contradicts it.
package struct ReceiptLinkRow: Hashable, Sendable {
    /// Who signed it.
    package var executorDID: String
    /// The receipt before it, of the same executor; nil if none.
    package var previous: CID?
    /// The assignment that it answers.
    package var assignment: CID
    /// The receipt.
    package var cid: CID

    /// A link to write.
    package init(executorDID: String, previous: CID?, assignment: CID, cid: CID) {
        self.executorDID = executorDID
        self.previous = previous
        self.assignment = assignment
        self.cid = cid
    }
}

/// A peer, as remembered across restarts.
package struct PeerRow: Hashable, Sendable {
    /// The peer.
    package var peerID: PeerID
    /// Where it listened, newest last.
    package var addresses: [Multiaddr]
    /// When it was last seen, in milliseconds since the Unix epoch.
    package var lastSeen: UInt64
    /// How often it misbehaved; kept by the store, ignored when written.
    package var misbehaviourCount: Int
    /// The last note about it; kept by the store, ignored when written.
    package var note: String

    /// A peer to remember.
    package init(
        peerID: PeerID, addresses: [Multiaddr], lastSeen: UInt64, misbehaviourCount: Int = 0, note: String = ""
    ) {
        self.peerID = peerID
        self.addresses = addresses
        self.lastSeen = lastSeen
        self.misbehaviourCount = misbehaviourCount
        self.note = note
    }
}
