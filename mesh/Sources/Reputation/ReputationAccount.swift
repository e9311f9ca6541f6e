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
    /// What a newcomer has to outweigh.
    package let prior: UInt64

    /// The weight of what speaks for the subject.
    package var good: UInt64 { items.reduce(0) { $0 + ($1.penalty == 0 ? $1.weight : 0) } }
    /// The weight of what speaks against it.
    package var bad: UInt64 { items.reduce(0) { $0 + ($1.penalty == 0 ? 0 : $1.weight) } }
    /// `1000 × good / (good + bad + prior)`, in thousandths.
    package var score: UInt64 { 1_000 * good / (good + bad + prior) }
}
