package import MeshTypes
package import SignedObjects

/// How a score of a subject comes about: what the book keeps of it, and what each piece weighs at a date.
package struct ReputationAccount: Hashable, Sendable {
    /// A piece of evidence, as it counts.
    package struct Item: Hashable, Sendable {
        /// What a receipt showed.
        package let evidence: ReputationEvidence
        /// What is left of the weight of a fresh receipt, in thousandths.
        package let decayed: UInt64
        /// As how many fulfilled receipts it weighs; 0 if it speaks for the subject.
        package let penalty: UInt64
        /// Whether a later invalid receipt of the subject took it away.
        package let isReset: Bool

        /// What it adds to one side of the score: for the subject without a penalty, else against it.
        package var weight: UInt64 { isReset ? 0 : decayed * max(1, penalty) }
    }

    /// Whom it is about.
    package let subject: DID
    /// The evidence, newest first.
    package let items: [Item]
    /// What others' records add, each payer's by itself.
    package let elsewhere: PaidRecords.Weight
    /// What a newcomer has to outweigh.
    package let prior: UInt64

    /// The weight of what speaks for the subject.
    package var good: UInt64 { items.reduce(elsewhere.total) { $0 + ($1.penalty == 0 ? $1.weight : 0) } }
    /// The weight of what speaks against it.
    package var bad: UInt64 { items.reduce(0) { $0 + ($1.penalty == 0 ? 0 : $1.weight) } }
    /// The score, in thousandths.
    package var score: UInt64 { Self.score(good: good, bad: bad, prior: prior) }
    /// How much is known at all, in thousandths: 0 of a new key, 500 of one with as much evidence as a newcomer has to
    /// outweigh.
    package var confidence: UInt64 { 1_000 * (good + bad) / (good + bad + prior) }

    /// `1000 × good / (good + bad + prior)`, in thousandths.
    static func score(good: UInt64, bad: UInt64, prior: UInt64) -> UInt64 { 1_000 * good / (good + bad + prior) }
}

/// What is at stake with a job: its price, and in which unit of whom.
package struct Stake: Hashable, Sendable {
    /// In the smallest part of the unit.
    package let amount: UInt64
    /// Whose unit it is; nil for the tokens of this node's own book.
    package let issuerDID: DID?
    /// The unit.
    package let unit: CreditUnit?

    package init(amount: UInt64, at issuerDID: DID?, in unit: CreditUnit?) {
        (self.amount, self.issuerDID, self.unit) = (amount, issuerDID, unit)
    }
}

/// What time leaves of evidence.
enum Decay {
    /// What a fresh receipt weighs.
    static let full: UInt64 = 1_000

    /// What is left of a receipt, in integers: half of it after each half-life, and evenly less in between.
    static func weight(ageMilliseconds age: UInt64, halfLifeMilliseconds halfLife: UInt64) -> UInt64 {
        let halvings = age / halfLife
        guard halvings < 32 else { return 0 }
        let atStart = full >> halvings
        let rest = age % halfLife
        return atStart - (atStart - atStart / 2) * (rest / 1000) / max(1, halfLife / 1000)
    }
}
