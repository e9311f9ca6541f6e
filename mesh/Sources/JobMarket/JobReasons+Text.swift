package import MeshTypes
import Multiformats
import SignedObjects

extension BidRefusal {
    /// The code that its sender is told.
    package var name: RefusalName {
        switch self {
        case .priceTooHigh: .priceTooHigh
        case .reputationTooLow: .reputationTooLow
        case .regionNotAccepted: .regionNotAccepted
        case .featureMissing: .featureMissing
        case .resourceMissing: .resourceMissing
        case .bidderNotAllowed: .bidderNotAllowed
        case .bidderDenied: .bidderDenied
        case .bidderFailedBefore: .bidderFailedBefore
        case .deadlineTooLate: .deadlineTooLate
        case .paymentNotAccepted: .paymentNotAccepted
        case .bidExpired: .bidExpired
        case .termsInvalid: .termsInvalid
        case .biddingClosed: .biddingClosed
        case .notCommitted: .bidNotCommitted
        case .tooManyBids: .tooManyBids
        case .otherBidTaken: .otherBidTaken
        case .jobNotOpen: .jobNotOpen
        case .notVerified: .notVerified
        }
    }

    /// The refusal that its sender is told.
    package var refusal: Refusal { Refusal(name, description) }
}

extension BidRefusal: CustomStringConvertible {
    /// One sentence without a full stop, with the figures.
    package var description: String {
        switch self {
        case .priceTooHigh(let price, let max):
            "the price of up to \(price) token\(price.units == 1 ? "" : "s") is above the budget of \(max)"
        case .reputationTooLow(let reputation, let min):
            "the reputation \(reputation) is below the \(min) that the job asks for"
        case .regionNotAccepted(let region):
            region.map { "region \(PlainText.sanitized($0, bytesMax: 64)) is not accepted" } ?? "no region is named"
        case .featureMissing(let feature): "the feature \(PlainText.sanitized(feature, bytesMax: 64)) is missing"
        case .resourceMissing(let resource, let needed, let offered):
            "\(PlainText.sanitized(resource, bytesMax: 64)) \(offered) < \(needed)"
        case .bidderNotAllowed: "the policy allows only others"
        case .bidderDenied: "the policy denies this bidder"
        case .bidderFailedBefore: "the bidder had this job before and did not deliver"
        case .deadlineTooLate(let promised, let needed):
            "the result is promised \(promised.milliseconds(since: needed)) ms after the deadline"
        case .paymentNotAccepted: "the job is paid in another way, or by other issuers"
        case .bidExpired: "the bid cannot be taken up any more"
        case .termsInvalid(let reason): "the terms contradict themselves: \(reason)"
        case .biddingClosed: "the bidding is over"
        case .notCommitted: "the job's bids are public, and this one was not committed to before they were shown"
        case .tooManyBids(let max): "more than \(max) bids"
        case .otherBidTaken(let rank, let count, let score, let best):
            "another bid was taken: rank \(rank) of \(count), score \(score) against \(best)"
        case .jobNotOpen: "the job is not open for bids here"
        case .notVerified(let reason): "the bid does not verify: \(PlainText.sanitized(reason))"
        }
    }
}

extension [RefusedBid] {
    /// The refusals of a kind together, those of most bids first; among equals the one that came first.
    package var ranked: [RefusedBid] {
        var kinds: [(name: RefusalName, bids: [RefusedBid])] = []
        for bid in self {
            if let index = kinds.firstIndex(where: { $0.name == bid.refusal.name }) {
                kinds[index].bids.append(bid)
            } else {
                kinds.append((bid.refusal.name, [bid]))
            }
        }
        return kinds.enumerated().sorted { left, right in
            left.element.bids.count != right.element.bids.count
                ? left.element.bids.count > right.element.bids.count : left.offset < right.offset
        }.flatMap(\.element.bids)
    }
}

extension JobFailure {
    /// A stable name of the reason.
    package var code: String {
        switch self {
        case .announcementTimedOut: "announcement_timed_out"
        case .noAcceptableBid: "no_acceptable_bid"
        case .nobodyReachable: "nobody_reachable"
        case .nobodyExecutes: "nobody_executes"
        case .noExecutor: "no_executor"
        case .attemptsExhausted: "attempts_exhausted"
        case .crashesEngine: "crashes_engine"
        case .unverified: "unverified"
        case .expired: "expired"
        case .cannotHold: "cannot_hold"
        case .holdRefused: "hold_refused"
        case .originatorFailed: "originator_failed"
        }
    }
}

extension JobFailure: CustomStringConvertible {
    /// One sentence without a full stop, with the figures and the reasons of others.
    package var description: String {
        switch self {
        case .announcementTimedOut(let error): "the job could not be announced in time: \(error)"
        case .noAcceptableBid(0, _): "no executor bid on the job before the bidding deadline"
        case .noAcceptableBid(let bids, let refusals):
            (bids == 1 ? "the only bid was not acceptable: " : "none of \(bids) bids was acceptable: ")
                + refusals.ranked.prefix(8).map { "\($0.bidder.short): \($0.refusal)" }.joined(separator: "; ")
                + (refusals.count > 8 ? "; and \(refusals.count - 8) more" : "")
        case .nobodyReachable: "this node is connected to no other, so no other executor heard of the job"
        case .nobodyExecutes: "no node in reach is known to run jobs, and none bid on this one"
        case .noExecutor(let outlook, _): "no executor took the job: \(outlook)"
        case .attemptsExhausted(let attempts, let last):
            (attempts == 1 ? "the only attempt gave no result" : "\(attempts) of \(attempts) attempts gave no result")
                + (last.map { "; at last \($0)" } ?? "")
        case .crashesEngine(let executors, let last):
            "the module crashed the engine at \(executors) executors; at last, \(PlainText.sanitized(last))"
        case .unverified(let receipt, let reason):
            "the result could not be checked, so it does not count and nothing is paid for it: "
                + "\(PlainText.sanitized(reason)); its receipt is \(receipt.text)"
        case .expired(let status): "the job's time was over; it was still \(status.words)"
        case .cannotHold(let needed, let available, _): "\(needed) tokens must be held, \(available) are there"
        case .holdRefused(let reason):
            "the issuer does not hold the price: \(PlainText.sanitized(reason, bytesMax: 512))"
        case .originatorFailed(let reason): reason
        }
    }
}

extension JobFailure {
    /// What to do next, as a sentence, where the figures of the failure tell; `nil` if they do not.
    package var advice: String? {
        switch self {
        case .noExecutor(let outlook, _): return outlook.advice
        case .noAcceptableBid(_, let refusals):
            guard case .priceTooHigh? = refusals.ranked.first?.refusal else { return nil }
            let dear = refusals.filter { if case .priceTooHigh = $0.refusal { true } else { false } }
            guard let cheapest = dear.map(\.price).min() else { return nil }
            return Self.advice(budget: cheapest, fuel: dear.compactMap(\.affordableFuel).max())
        case .cannotHold(_, _, let fuel):
            let less = fuel.map { "Lower --max-fuel to \($0)" } ?? "Lower --max-fuel"
            return "\(less), from which the price that must be held follows, or wait for holds to end; see mesh wallet."
        case .nobodyReachable, .nobodyExecutes: return Self.nobodyHere
        case .attemptsExhausted(_, .nodeFailed(_, let outcome)) where StarvedRun.isReason(outcome):
            return "The executor's machine is busy: raise --timeout, or run it again later."
        case .crashesEngine: return Self.crashesEngine
        case .holdRefused:
            return "mesh wallet shows what is left of the line; --budget bounds what an executor may ask, and --pay-by "
                + "names other issuers."
        case .unverified(let receipt, _):
            return "Check it later with mesh receipt replay \(receipt.text), or run the job again with --verify none "
                + "or with smaller limits."
        case .announcementTimedOut, .attemptsExhausted, .expired, .originatorFailed: return nil
        }
    }

    private static let crashesEngine =
        "Run it here with mesh run --local: if that crashes, too, the module shows a flaw of the engine, and will do "
        + "so again. If it does not, run it again: the executors at which it crashed rank last for a while."

    /// What to do where nobody runs jobs.
    private static let nobodyHere =
        "Join a mesh with mesh connect ADDRESS, start one on this machine with mesh devnet, or let this node run jobs "
        + "itself: stop it and start it with mesh up --executor, or set \"enabled\" under \"executor\" in its "
        + "config.json and restart it; mesh peers shows who is there."

    /// What to do about prices above the budget.
    static func advice(budget: TokenAmount, fuel: UInt64?) -> String {
        let orLess = fuel.map { ", or lower --max-fuel to \($0)" } ?? ""
        return "Raise --budget to \(budget.units)\(orLess): it is the most that the job may cost, and only the fuel "
            + "that it uses is paid."
    }
}

extension AttemptEnd: CustomStringConvertible {
    /// One sentence without a full stop.
    package var description: String {
        switch self {
        case .declined(let code, let reason): "the executor declined: \(reason.isEmpty ? code.words : reason)"
        case .unconfirmed: "the executor did not confirm the assignment in time"
        case .leaseExpired(let status): "the executor was silent for longer than its lease; it was last \(status.words)"
        case .fetchTimedOut: "the executor did not start the module in time"
        case .executionTimedOut: "the run lasted longer than the job allows"
        case .receiptTimedOut: "no receipt came in time after the run"
        // The originator did not ask for it.
        case .nodeFailed(_, .cancelled): "the executor's owner stopped the run; nothing is paid for it"
        case .nodeFailed(_, let outcome): "\(outcome)"
        case .receiptInvalid(_, let reason): "the receipt is wrong: \(reason)"
        case .refuted(_, let proof, let reason):
            "the receipt is refuted, nothing is paid: \(PlainText.sanitized(reason))"
                + (proof.map { " (mesh proof verify \($0.text))" } ?? "")
        case .unverified(_, let reason):
            "the receipt was checked and not borne out, nothing is paid: \(PlainText.sanitized(reason))"
        case .outputsMissing(_, let missing): "\(missing) outputs of the receipt could not be fetched"
        case .overtaken: "the receipt of an earlier executor came first"
        case .hedged(let milliseconds, let runs, _, _):
            "no result came in \(GroupedNumber.of(milliseconds)) ms, "
                + (runs == 0
                    ? "half of the time that the job allows"
                    : "in which 95 of 100 of the last \(runs) runs of this kind were done")
                + "; another executor is asked as well, and the first valid result counts"
        case .forgotten(let reason): "the executor does not know the assignment: \(reason)"
        case .dropped: "this node's owner banned the executor"
        }
    }
}

extension ReceiptRefusal {
    /// The code that its sender is told.
    package var name: RefusalName {
        switch self {
        case .notVerified: .notVerified
        case .jobUnknown: .jobUnknown
        case .assignmentUnknown: .assignmentUnknown
        case .wrongExecutor: .wrongExecutor
        case .chainMismatch: .chainMismatch
        case .statusMismatch: .statusMismatch
        case .overLimit: .overLimit
        case .priceMismatch: .priceMismatch
        case .datesOutOfOrder: .datesOutOfOrder
        case .tooMany: .tooMany
        case .cidNotAccepted: .cidNotAccepted
        case .tooManyLate: .tooManyLate
        }
    }

    /// The refusal that its sender is told.
    package var refusal: Refusal { Refusal(name, description) }
}

extension ReceiptRefusal: CustomStringConvertible {
    /// One sentence without a full stop.
    package var description: String {
        switch self {
        case .notVerified(let reason): "the receipt does not verify: \(PlainText.sanitized(reason))"
        case .jobUnknown: "the job is not known here, or was closed"
        case .assignmentUnknown: "the assignment is none of this job"
        case .wrongExecutor: "the assignment is another executor's"
        case .chainMismatch(let field): "\(field) differs from the chain"
        case .statusMismatch: "status and outcome contradict each other"
        case .overLimit(let field, let used, let max): "\(field) \(used) > \(max)"
        case .priceMismatch(let asked, let due): "price \(asked), but \(due) is due"
        case .datesOutOfOrder: "the run ends before it begins"
        case .tooMany(let field): "\(field) is too long"
        case .cidNotAccepted(let cid): "\(cid) is not version 1 with SHA-256, of a codec of objects or files"
        case .tooManyLate(let max): "more than \(max) receipts came after the result"
        }
    }
}

extension AssignmentRefusal {
    /// The code that its sender is told.
    package var name: RefusalName {
        switch self {
        case .notVerified: .notVerified
        case .chainMismatch: .chainMismatch
        case .notOwnBid: .notOwnBid
        case .termsChanged: .termsChanged
        case .expired: .expired
        case .holdMissing: .holdMissing
        case .holdNotAccepted: .holdNotAccepted
        case .moduleBeyondLimits: .moduleBeyondLimits
        case .moduleCrashed: .moduleCrashed
        case .atCapacity: .atCapacity
        case .notAccepting: .notAccepting
        case .jobRefused: .jobRefused
        case .otherAttemptHere: .otherAttemptHere
        }
    }

    /// The refusal that its sender is told.
    package var refusal: Refusal { Refusal(name, description) }
}

extension AssignmentRefusal: CustomStringConvertible {
    /// One sentence without a full stop.
    package var description: String {
        switch self {
        case .notVerified(let part): "the \(part) does not verify"
        case .chainMismatch(let field): "\(field) differs from the chain"
        case .notOwnBid: "the bid is not this node's"
        case .termsChanged: "the terms are not those of the bid"
        case .expired: "the bid cannot be taken up any more"
        case .holdMissing: "the job is paid by credit, and no hold came with the assignment"
        case .holdNotAccepted(let reason): "the hold is no pay for the job: \(reason)"
        case .moduleBeyondLimits: "this node cannot compile or hold the module within its limits"
        case .moduleCrashed: "the module crashed the engine of this node lately"
        case .atCapacity: "all places and the queue are full"
        case .notAccepting: "this node takes no jobs now"
        case .jobRefused(let refusal): refusal.description
        case .otherAttemptHere: "another attempt of the job was made here"
        }
    }
}

extension BidDecline {
    /// A stable name of the reason.
    package var code: String {
        switch self {
        case .notAccepting: "not_accepting"
        case .paused: "paused"
        case .draining: "draining"
        case .outOfHours: "out_of_hours"
        case .ownJob: "own_job"
        case .jobRefused(let refusal): "job_\(refusal.code)"
        case .expired: "expired"
        case .originatorDenied: "originator_denied"
        case .notWanted(let refusal): refusal.name.rawValue
        case .limitTooLarge: "limit_too_large"
        case .moduleBeyondLimits: "module_beyond_limits"
        case .moduleCrashed: "module_crashed"
        case .atCapacity: "at_capacity"
        case .tooManyOpenBids: "too_many_open_bids"
        case .shareUsedUp: "share_used_up"
        case .storageFull: "storage_full"
        case .diskFull: "disk_full"
        case .storageLocked: "storage_locked"
        case .manifestUnavailable: "manifest_unavailable"
        case .noIssuer: "no_issuer"
        case .refusedBefore: "refused_before"
        case .cannotSign: "cannot_sign"
        }
    }
}

extension BidDecline: CustomStringConvertible {
    /// One sentence without a full stop.
    package var description: String {
        switch self {
        case .notAccepting: "this node takes no jobs now"
        case .paused: "this node's owner paused it (mesh resume ends that)"
        case .draining: "this node only finishes the jobs that it accepted (mesh resume ends that)"
        case .outOfHours: "it is none of the hours at which this node runs jobs (executor.hours in config.json)"
        case .ownJob: "it is a job of this node"
        case .jobRefused(let refusal): refusal.description
        case .expired: "the job's time is over"
        case .originatorDenied: "this node does not work for the originator"
        case .notWanted(let refusal): "the policy wants others: \(refusal)"
        case .limitTooLarge(let field, let asked, let max): "\(field) \(asked) is more than the \(max) offered here"
        case .moduleBeyondLimits: "this node cannot compile or hold the module within its limits"
        case .moduleCrashed: "the module crashed the engine of this node lately"
        case .atCapacity: "all places and the queue are full"
        case .tooManyOpenBids: "too many bids are open"
        case .shareUsedUp: "the originator has as many of this node's bids or places as are left for one like it"
        case .storageFull: "the store is past its high-water mark; see mesh gc"
        case .diskFull: "the disk has less left than is kept for what is under way"
        case .storageLocked: "another program has the database locked"
        case .manifestUnavailable: "the manifest could not be fetched"
        case .noIssuer: "this node lets itself be paid by none of the job's issuers, or has no line there"
        case .refusedBefore: "an earlier bid on the job was refused"
        case .cannotSign: "this node cannot sign"
        }
    }
}

extension SubmissionRefusal: CustomStringConvertible {
    /// One sentence without a full stop.
    package var description: String {
        switch self {
        case .jobRefused(let refusal): refusal.description
        case .tooManyJobs(let max): "this node has \(max) open jobs already, which is all it can hold"
        case .badNonce: "the nonce must have 16 bytes"
        case .outputsTooLarge(let bytes, let max):
            "its outputs may have \(bytes) bytes together, and this node takes in at most \(max)"
        case .manifestTooLarge(let bytes, let max): "the manifest has \(bytes) bytes, the most allowed is \(max)"
        case .cannotSign: "this node cannot sign"
        }
    }
}

extension CancellationRefusal: CustomStringConvertible {
    /// One sentence without a full stop, for people.
    package var description: String {
        switch self {
        case .jobUnknown: "the job is not known here"
        case .jobEnded: "the job has ended"
        case .resultReached: "the result is there; only its outputs are still being fetched"
        }
    }
}
