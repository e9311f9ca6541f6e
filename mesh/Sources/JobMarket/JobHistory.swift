import MeshTypes

/// Both sides of a job, read from their journals as data.
///
/// It needs no key, no ledger and no market, so a story does not depend on what a market would still accept or has
/// forgotten. What does not fit, because a row before it is damaged, changes nothing.
package struct JobHistory: Sendable {
    /// The job as its originator has it; nil before its journal began.
    package private(set) var originated: OriginatedJob?
    /// The job as this executor has it; nil before its journal began.
    package private(set) var executed: ExecutedJob?

    /// A history in which nothing happened yet.
    package init() {}

    /// Folds in the next event.
    package mutating func read(_ event: JobEvent) {
        switch (event.role, event.kind) {
        case (.originator, .submitted(let manifest, let requester, let key, let until)):
            originated = OriginatedJob(submitted: manifest, requester: requester, key: key, until: until, at: event.at)
        case (.originator, _): originated?.fold(event)
        case (.executor, .bidMade(let manifest, let bid)):
            executed = ExecutedJob(manifest: manifest, bid: bid, at: event.at)
        case (.executor, .assignmentAccepted(let manifest, let bid, _)):
            // A bid that was lost may be taken up all the same, and one that was not written begins here.
            if executed.map({ $0.isClosed || $0.signedBid != bid }) ?? true {
                executed = ExecutedJob(manifest: manifest, bid: bid, at: event.at)
            }
            executed?.fold(event)
        case (.executor, _): executed?.fold(event)
        }
    }

    /// The state of a side after what was read so far.
    package func status(_ role: JobRole) -> String? {
        switch role {
        case .originator: originated?.status.rawValue
        case .executor: executed?.status.rawValue
        }
    }
}
