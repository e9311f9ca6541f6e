package import MeshTypes
package import Multiformats
import OrderedCollections
package import SignedObjects

/// One piece of evidence about an executor: what a verified receipt showed.
package struct ReputationEvidence: Hashable, Sendable, Codable {
    /// The executor.
    package var subject: DID
    /// The originator of the job.
    package var payer: DID
    /// The assignment that the receipt answers: it counts once, whatever was signed about it.
    package var assignmentCID: CID
    /// The verified receipt.
    package var receiptCID: CID
    /// What it showed.
    package var verdict: ReputationVerdict
    /// When the run ended.
    package var at: UnixMilliseconds

    package init(
        subject: DID, payer: DID, assignmentCID: CID, receiptCID: CID, verdict: ReputationVerdict, at: UnixMilliseconds
    ) {
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
    package init?(receipt: ExecutionReceipt, receiptCID: CID, isChecked: Bool) {
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
        at = receipt.executionEndedAt
    }
}

/// Reputation as a pure function of a set of verified receipts; their order does not matter.
///
/// Each receipt weighs 1,000 and halves every half-life, in integers. The score in thousandths is `1000 × good / (good
/// + penalty × bad + prior)`: a newcomer has 0, three fresh fulfilled receipts give 500, and one abandoned job weighs
/// as much as five fulfilled ones, an invalid receipt as ten; what was fulfilled before the newest invalid receipt does
/// not count any more, so that nobody saves up for a fraud. An assignment counts once, by the worst that its receipts
/// show: whoever signs two of one is believed in neither. The book keeps only the newest receipts of a subject (by
/// date, then CID), and only the most recently rated subjects; `Limits` has both bounds.
package struct ReputationBook: Hashable, Sendable {
    /// The bounds of the book.
    package struct Limits: Hashable, Sendable {
        /// Receipts kept per subject.
        package var receiptsPerSubjectMax = 256
        /// Receipts among these from one payer: one friend cannot make a reputation.
        package var receiptsPerPayerMax = 32
        /// Subjects kept.
        package var subjectsMax = 4096
        /// The time in which the weight of a receipt halves, in milliseconds; 30 days.
        package var halfLifeMilliseconds: UInt64 = 30 * 86_400_000

        /// The standard bounds.
        package init() {}
    }

    private static let receiptWeight: UInt64 = 1000
    private static let priorWeight: UInt64 = 3000
    private let limits: Limits
    private var evidence: OrderedDictionary<DID, [ReputationEvidence]> = [:]

    /// An empty book.
    package init(limits: Limits = Limits()) {
        self.limits = limits
    }

    /// The number of subjects with evidence.
    package var subjectCount: Int { evidence.count }

    /// Takes in evidence; the same receipt counts once, and so does the same assignment.
    package mutating func record(_ item: ReputationEvidence) {
        guard item.subject != item.payer else { return }
        var kept = evidence[item.subject] ?? []
        let known = kept.firstIndex { $0.assignmentCID == item.assignmentCID }
        // What shows nothing new changes nothing, not even who was rated last.
        guard known.map({ Self.isWorse(item, than: kept[$0]) }) ?? true else { return }
        evidence[item.subject] = nil
        if let known { kept.remove(at: known) }
        kept.insert(item, at: kept.firstIndex { Self.isNewer(item, than: $0) } ?? kept.count)
        var perPayer: [DID: Int] = [:]
        kept.removeAll { old in
            perPayer[old.payer, default: 0] += 1
            return (perPayer[old.payer] ?? 0) > limits.receiptsPerPayerMax
        }
        if kept.count > limits.receiptsPerSubjectMax { kept.removeLast(kept.count - limits.receiptsPerSubjectMax) }
        evidence[item.subject] = kept
        if evidence.count > limits.subjectsMax { evidence.removeFirst() }
    }

    /// The reputation of a subject at a date, in thousandths.
    package func score(of subject: DID, at date: UnixMilliseconds) -> UInt64 {
        var good: UInt64 = 0
        var bad: UInt64 = 0
        for item in evidence[subject] ?? [] where counts(item) {
            let weight = decayed(ageMilliseconds: date.milliseconds(since: item.at))
            let penalty = Self.penalty(item.verdict)
            if penalty == 0 { good += weight } else { bad += penalty * weight }
        }
        return 1000 * good / (good + bad + Self.priorWeight)
    }

    /// How the score of a subject at a date comes about.
    package func account(of subject: DID, at date: UnixMilliseconds) -> ReputationAccount {
        let kept = evidence[subject] ?? []
        let newestInvalid = kept.first { $0.verdict == .invalid }?.at
        let items = kept.map { item in
            ReputationAccount.Item(
                evidence: item, decayed: decayed(ageMilliseconds: date.milliseconds(since: item.at)),
                penalty: Self.penalty(item.verdict),
                isReset: item.verdict == .fulfilled && newestInvalid.map { $0 >= item.at } ?? false)
        }
        return ReputationAccount(subject: subject, items: items, prior: Self.priorWeight)
    }

    /// Everybody with evidence, who was rated first first.
    package var subjects: [DID] { Array(evidence.keys) }

    /// Whether a verified receipt shows that the subject once did its part; a fresh key has none.
    package func isProven(_ subject: DID) -> Bool {
        evidence[subject]?.contains { $0.verdict == .fulfilled && counts($0) } ?? false
    }

    /// Whether nothing resets it: something fulfilled counts only until a later receipt of the subject is invalid.
    private func counts(_ item: ReputationEvidence) -> Bool {
        guard item.verdict == .fulfilled, let kept = evidence[item.subject] else { return true }
        return !kept.contains { $0.verdict == .invalid && $0.at >= item.at }
    }

    /// The evidence about a subject, newest first.
    package func evidence(about subject: DID) -> [ReputationEvidence] {
        evidence[subject] ?? []
    }

    private func decayed(ageMilliseconds age: UInt64) -> UInt64 {
        let halvings = age / limits.halfLifeMilliseconds
        guard halvings < 32 else { return 0 }
        let atStart = Self.receiptWeight >> halvings
        let rest = age % limits.halfLifeMilliseconds
        return atStart - (atStart - atStart / 2) * (rest / 1000) / max(1, limits.halfLifeMilliseconds / 1000)
    }

    /// As how many fulfilled receipts a bad one weighs.
    private static func penalty(_ verdict: ReputationVerdict) -> UInt64 {
        switch verdict {
        case .fulfilled: 0
        case .abandoned: 5
        case .invalid: 10
        }
    }

    private static func isWorse(_ left: ReputationEvidence, than right: ReputationEvidence) -> Bool {
        let (new, old) = (penalty(left.verdict), penalty(right.verdict))
        if new != old { return new > old }
        // What shows no more than was known dates nothing anew.
        return left.at != right.at ? left.at < right.at : left.receiptCID < right.receiptCID
    }

    private static func isNewer(_ left: ReputationEvidence, than right: ReputationEvidence) -> Bool {
        left.at != right.at ? left.at > right.at : left.receiptCID < right.receiptCID
    }
}
