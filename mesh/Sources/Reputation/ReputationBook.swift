package import MeshTypes
package import Multiformats
import OrderedCollections
package import SignedObjects

/// On which side of jobs somebody is judged.
package enum ReputationSide: String, Hashable, Sendable {
    /// As an executor, by those who gave it jobs.
    case executor
    /// As an originator, by those who ran its jobs.
    case originator
    /// As an executor, by records of others that this node checked (`PaidRecords`).
    case elsewhere
}

/// What an executor was paid for a receipt, as its issuer's log shows.
package struct ProvedPay: Hashable, Sendable, Codable {
    /// Whose log.
    package var issuerDID: DID
    /// How much, in the smallest part of the unit.
    package var amount: UInt64
    /// In which unit.
    package var unit: CreditUnit
    /// The proof (`PaidReceipt`).
    package var proofCID: CID

    package init(issuerDID: DID, amount: UInt64, unit: CreditUnit, proofCID: CID) {
        (self.issuerDID, self.amount, self.unit, self.proofCID) = (issuerDID, amount, unit, proofCID)
    }
}

/// One piece of evidence about an executor: what a verified receipt showed, or that none came although it had signed
/// that it takes the job. Or about an originator: whether it paid what a receipt costs.
package struct ReputationEvidence: Hashable, Sendable, Codable {
    /// Who is judged.
    package var subject: DID
    /// The other side: of an executor the originator of the job, of an originator whom it had to pay.
    package var payer: DID
    /// The assignment that the receipt answers: it counts once, whatever was signed about it.
    package var assignmentCID: CID
    /// What shows it: the verified receipt; the executor's acceptance, where nothing came of it; the settlement, where
    /// an originator paid; the proof of two histories.
    package var receiptCID: CID
    /// What it showed.
    package var verdict: ReputationVerdict
    /// When this node took that, by its own clock, or when the issuer booked the pay: whom it is about cannot date it.
    package var at: UnixMilliseconds
    /// What was paid, of a record of somebody else.
    package var pay: ProvedPay?

    package init(
        subject: DID, payer: DID, assignmentCID: CID, receiptCID: CID, verdict: ReputationVerdict, at: UnixMilliseconds,
        pay: ProvedPay? = nil
    ) {
        self.pay = pay
        self.subject = subject
        self.payer = payer
        self.assignmentCID = assignmentCID
        self.receiptCID = receiptCID
        self.verdict = verdict
        self.at = at
    }

    /// What a verified receipt shows about its executor: `fulfilled` whenever the executor did its part, even if the
    /// user's module failed. A receipt that an executor wrote for itself shows nothing and gives `nil`; so does one
    /// that says why there is no result, unless this node checked that, and one of a cancelled run, which may not have
    /// been made at all.
    ///
    /// - Parameter date: when this node took it. The dates of the run are its executor's, who could make old faults of
    ///   new ones.
    package init?(receipt: ExecutionReceipt, receiptCID: CID, isChecked: Bool, takenAt date: UnixMilliseconds) {
        guard receipt.executorDID != receipt.originatorDID else { return nil }
        guard isChecked || !receipt.outcome.isClaimedFailure else { return nil }
        subject = receipt.executorDID
        payer = receipt.originatorDID
        assignmentCID = receipt.assignmentCID
        self.receiptCID = receiptCID
        switch receipt.outcome.responsibility {
        case .success, .user: verdict = .fulfilled
        case .node: verdict = .abandoned
        case .cancellation: return nil
        }
        at = date
    }
}

extension ReputationEvidence {
    /// Whether it comes before another one in a book: the newest first, of one date by the citation.
    func isNewer(than other: ReputationEvidence) -> Bool {
        at != other.at ? at > other.at : receiptCID < other.receiptCID
    }
}

/// Reputation as a pure function of verified receipts; of several that show the same of one assignment, the first one
/// is cited and dates it.
///
/// Each receipt weighs 1,000 and halves every half-life, in integers. The score in thousandths is `1000 × good / (good
/// + penalty × bad + prior)`: a newcomer has 0, three fresh fulfilled receipts give 500, and one job that was
/// abandoned or never delivered weighs as much as five fulfilled ones, an invalid receipt as ten; what was fulfilled
/// before the newest invalid receipt does not count any more, so that nobody saves up for a fraud. An assignment counts
/// once, by the worst that its receipts show: whoever signs two of one is believed in neither. The book keeps only the
/// newest receipts of a subject (by date, then CID), and only the most recently rated subjects; lies have places of
/// their own, so that no number of good receipts pushes one out. `Limits` has the bounds. What `record` returns for
/// each piece, written down and given to an empty book in that order, makes the same book again (`ReputationChange`).
package struct ReputationBook: Hashable, Sendable {
    /// The bounds of the book.
    package struct Limits: Hashable, Sendable {
        /// Receipts kept per subject.
        package var receiptsPerSubjectMax = 256
        /// Receipts among these from one payer: one friend cannot make a reputation.
        package var receiptsPerPayerMax = 32
        /// Lies kept per subject, beside its other receipts.
        package var liesPerSubjectMax = 16
        /// Subjects kept.
        package var subjectsMax = 4096
        /// Receipts kept of all subjects together.
        package var receiptsMax = 65_536
        /// The time in which the weight of a receipt halves, in milliseconds; 30 days.
        package var halfLifeMilliseconds: UInt64 = 30 * 86_400_000

        /// The standard bounds.
        package init() {}

        /// The bounds of a book about originators, whom this node alone judges: all evidence is of one other side.
        package static var ofOriginators: Limits {
            var limits = Limits()
            limits.receiptsPerPayerMax = limits.receiptsPerSubjectMax
            return limits
        }
    }

    private static let priorWeight: UInt64 = 3000
    private let limits: Limits
    private var evidence: OrderedDictionary<DID, [ReputationEvidence]> = [:]
    /// The receipts that are kept.
    package private(set) var receiptCount = 0

    /// On which side it judges.
    package let side: ReputationSide
    /// What others' records show of executors.
    package private(set) var elsewhere = PaidRecords()

    /// An empty book.
    package init(of side: ReputationSide = .executor, limits: Limits = Limits()) {
        self.side = side
        self.limits = limits
    }

    /// The number of subjects with evidence.
    package var subjectCount: Int { evidence.count }

    /// Takes in evidence; the same receipt counts once, and so does the same assignment.
    ///
    /// - Returns: what changed; nil if nothing did.
    @discardableResult package mutating func record(_ item: ReputationEvidence) -> ReputationChange? {
        guard item.subject != item.payer else { return nil }
        let before = evidence[item.subject] ?? []
        let known = before.firstIndex { $0.assignmentCID == item.assignmentCID }
        // What shows nothing new changes nothing, neither a date nor who was rated last.
        guard known.map({ Self.rank(item.verdict) > Self.rank(before[$0].verdict) }) ?? true else { return nil }
        var kept = before
        if let known { kept.remove(at: known) }
        kept.insert(item, at: kept.firstIndex(where: item.isNewer) ?? kept.count)
        var dropped: [ReputationEvidence] = []
        if let surplus = surplus(in: kept, beside: item, isReplacement: known != nil) {
            // What is older than all that there is room for leaves no trace.
            if surplus.assignmentCID == item.assignmentCID { return nil }
            kept.removeAll { $0.assignmentCID == surplus.assignmentCID }
            dropped.append(surplus)
        }
        evidence[item.subject] = nil
        evidence[item.subject] = kept
        receiptCount += kept.count - before.count
        while evidence.count > limits.subjectsMax || (receiptCount > limits.receiptsMax && evidence.count > 1) {
            let oldest = evidence.removeFirst().value
            receiptCount -= oldest.count
            dropped += oldest
        }
        return ReputationChange(side: side, recorded: item, dropped: dropped)
    }

    /// Takes in what a record of somebody else shows, which was checked; each assignment counts once there, too.
    ///
    /// - Returns: what changed; nil if nothing did.
    package mutating func recordElsewhere(_ item: ReputationEvidence) -> ReputationChange? { elsewhere.record(item) }

    /// Forgets records of others that are no evidence any more; what is returned is to be deleted on the disk, too.
    package mutating func forgetElsewhere(where isGone: (ReputationEvidence) -> Bool) -> [ReputationEvidence] {
        elsewhere.forget(where: isGone)
    }

    /// What there is no room for beside a new item: the oldest of its kind. What takes the place of something that was
    /// kept always has room: it refutes that.
    private func surplus(
        in kept: [ReputationEvidence], beside item: ReputationEvidence, isReplacement: Bool
    ) -> ReputationEvidence? {
        func oldest(beyond max: Int, where isOfKind: (ReputationEvidence) -> Bool) -> ReputationEvidence? {
            guard kept.count(where: isOfKind) > max else { return nil }
            return kept.last { isOfKind($0) && !(isReplacement && $0.assignmentCID == item.assignmentCID) }
        }
        if Self.resets(item.verdict) {
            return oldest(beyond: limits.liesPerSubjectMax) { Self.resets($0.verdict) }
        }
        return oldest(beyond: limits.receiptsPerPayerMax) { !Self.resets($0.verdict) && $0.payer == item.payer }
            ?? oldest(beyond: limits.receiptsPerSubjectMax) { !Self.resets($0.verdict) }
    }

    /// The reputation of a subject at a date, in thousandths.
    ///
    /// - Parameter stake: what is paid for the job at hand: others' records of less count for less.
    package func score(of subject: DID, at date: UnixMilliseconds, for stake: Stake? = nil) -> UInt64 {
        var good: UInt64 = 0
        var bad: UInt64 = 0
        for item in evidence[subject] ?? [] where counts(item) {
            let weight = decayed(ageMilliseconds: date.milliseconds(since: item.at))
            let penalty = Self.penalty(item.verdict)
            if penalty == 0 { good += weight } else { bad += penalty * weight }
        }
        good += elsewhere.weight(of: subject, at: date, for: stake, after: newestLie(of: subject)).total
        return ReputationAccount.score(good: good, bad: bad, prior: Self.priorWeight)
    }

    /// How the score of a subject at a date comes about.
    package func account(of subject: DID, at date: UnixMilliseconds) -> ReputationAccount {
        let kept = evidence[subject] ?? []
        let newestLie = newestLie(of: subject)
        let items = kept.map { item in
            ReputationAccount.Item(
                evidence: item, decayed: decayed(ageMilliseconds: date.milliseconds(since: item.at)),
                penalty: Self.penalty(item.verdict),
                isReset: item.verdict == .fulfilled && newestLie.map { $0 >= item.at } ?? false)
        }
        return ReputationAccount(
            subject: subject, items: items,
            elsewhere: elsewhere.weight(of: subject, at: date, for: nil, after: newestLie), prior: Self.priorWeight)
    }

    /// When the newest lie of a subject was found; what was fulfilled before does not count.
    private func newestLie(of subject: DID) -> UnixMilliseconds? {
        evidence[subject]?.first { Self.resets($0.verdict) }?.at
    }

    /// Everybody with evidence, who was rated first first; behind them those of whom only others' records are kept.
    package var subjects: [DID] { Array(evidence.keys) + elsewhere.subjects.filter { evidence[$0] == nil } }

    /// Whether a verified receipt shows that the subject once did its part; a fresh key has none.
    package func isProven(_ subject: DID) -> Bool {
        evidence[subject]?.contains { $0.verdict == .fulfilled && counts($0) } ?? false
    }

    /// Whether nothing resets it: something fulfilled counts only until a later receipt of the subject is invalid.
    private func counts(_ item: ReputationEvidence) -> Bool {
        guard item.verdict == .fulfilled, let kept = evidence[item.subject] else { return true }
        return !kept.contains { Self.resets($0.verdict) && $0.at >= item.at }
    }

    /// The evidence about a subject, newest first.
    package func evidence(about subject: DID) -> [ReputationEvidence] {
        evidence[subject] ?? []
    }

    private func decayed(ageMilliseconds age: UInt64) -> UInt64 {
        Decay.weight(ageMilliseconds: age, halfLifeMilliseconds: limits.halfLifeMilliseconds)
    }

    /// As how many fulfilled receipts a bad one weighs.
    private static func penalty(_ verdict: ReputationVerdict) -> UInt64 {
        switch verdict {
        case .fulfilled: 0
        case .abandoned, .undelivered, .unpaid: 5
        case .invalid, .equivocated: 10
        }
    }

    /// Whether it is a lie that takes away what was fulfilled before.
    private static func resets(_ verdict: ReputationVerdict) -> Bool {
        switch verdict {
        case .invalid, .equivocated: true
        case .fulfilled, .abandoned, .undelivered, .unpaid: false
        }
    }

    /// How much the evidence of an assignment shows: what was signed about the run more than that nothing came.
    private static func rank(_ verdict: ReputationVerdict) -> UInt64 {
        switch verdict {
        case .undelivered, .unpaid: 0
        case .fulfilled: 1
        case .abandoned: 2
        case .invalid, .equivocated: 3
        }
    }
}
