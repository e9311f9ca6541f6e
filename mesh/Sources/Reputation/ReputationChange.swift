/// What one piece of evidence changed in a book (`ReputationBook.record`).
///
/// Whoever writes down what was recorded, one row for each subject and assignment, the newest last, and deletes what
/// was dropped, has the book: recorded again in the order of the rows, they make it. So a score is the same after a
/// restart.
package struct ReputationChange: Hashable, Sendable {
    /// Which book.
    package let side: ReputationSide
    /// What the book took in, in place of what it had of the assignment; nil if it only forgot something.
    package let recorded: ReputationEvidence?
    /// What it has no room for any more, or believes no more; never what it took in itself.
    package let dropped: [ReputationEvidence]

    package init(side: ReputationSide, recorded: ReputationEvidence?, dropped: [ReputationEvidence]) {
        (self.side, self.recorded, self.dropped) = (side, recorded, dropped)
    }
}
