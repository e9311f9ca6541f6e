import MeshTypes

extension BidDecline {
    /// Whether the executor would bid if it had room: the originator is told then. One that is too dear bids all the
    /// same, which says more.
    var isInterest: Bool {
        switch self {
        case .atCapacity, .tooManyOpenBids, .shareUsedUp, .storageFull, .diskFull, .storageLocked: true
        default: false
        }
    }

    /// What the node's own owner is told, who may know why it rests.
    var toldOwner: Refusal {
        switch self {
        case .paused, .draining, .outOfHours: Refusal(.notAccepting, description)
        default: told
        }
    }

    /// What the job's originator is told. One neutral answer stands for whatever is the owner's affair: whom it denies,
    /// and how it shares its places.
    var told: Refusal {
        switch self {
        case .notAccepting, .paused, .draining, .outOfHours: Refusal(.notAccepting, "this node takes no jobs now")
        case .jobRefused(.expired), .expired: Refusal(.expired, description)
        case .jobRefused(let refusal): Refusal(.jobRefused, refusal.description)
        case .notWanted(let refusal): refusal.refusal
        case .limitTooLarge: Refusal(.limitTooLarge, description)
        case .moduleBeyondLimits: Refusal(.moduleBeyondLimits, description)
        case .moduleCrashed: Refusal(.moduleCrashed, description)
        case .noIssuer: Refusal(.noIssuer, description)
        case .atCapacity: Refusal(.atCapacity, description)
        case .storageFull, .diskFull, .storageLocked: Refusal(.noRoom, "this node has no room for new work now")
        case .manifestUnavailable: Refusal(.manifestUnavailable, description)
        case .ownJob, .originatorDenied, .tooManyOpenBids, .shareUsedUp, .refusedBefore, .cannotSign:
            Refusal(.noOffer, "this node makes no offer for the job now")
        }
    }
}
