package import Credit
import MeshTypes
import Multiformats
import SignedObjects

/// What an issuer holds, or is asked to hold, for the attempts of a job that is paid by credit: one hold an attempt.
package struct JobHolds: Hashable, Sendable {
    /// What the job waits for, and why it still does, once that is known.
    package struct Awaited: Hashable, Sendable {
        /// What the issuer is asked for.
        package let wish: HoldWish
        /// Why there is no answer yet.
        package fileprivate(set) var delay: String?
    }

    /// Why an issuer refused.
    struct Refusal: Hashable, Sendable {
        /// A clause.
        let reason: String
        /// Whether it is about the line of the originator itself, so that waiting helps nobody.
        let isOwn: Bool
    }

    /// The hold that the job waits for.
    package private(set) var awaited: Awaited?
    /// Holds that came to nothing; each had the number of an attempt.
    private(set) var failedCount: UInt64 = 0
    /// How often in a row an issuer said that it holds for the attempt already.
    private var heldInARow = 0
    /// Executors for which an issuer refused to hold.
    private var refused: Set<DID> = []
    /// Executors of this round of bids whose holds were waited for in vain.
    private var skipped: Set<DID> = []
    /// The same of all rounds.
    private var unanswered: Set<DID> = []
    /// What the issuer said when it refused last; nil if it granted a hold since.
    private(set) var lastRefusal: Refusal?
    /// Why there was no hold the last time.
    private(set) var lastReason = ""
    /// The certificates by the bids whose attempts they pay.
    // BOUNDED: by the attempts of a job.
    private var certificates: [CID: Given] = [:]

    /// A hold that was given: by the originator's issuer, and across two issuers by the executor's as well.
    private struct Given: Hashable, Sendable {
        let certificate: SignedObject<HoldCertificate>
        let below: SignedObject<HoldCertificate>?
    }

    /// The certificate of this node's issuer that pays for an attempt; `nil` where that costs tokens.
    func certificate(of assignment: Assignment) -> SignedObject<HoldCertificate>? {
        assignment.holdCID == nil ? nil : certificates[assignment.bidCID]?.certificate
    }

    /// The certificate that the executor of an attempt is shown: that of its own issuer.
    func shown(of assignment: Assignment) -> SignedObject<HoldCertificate>? {
        assignment.holdCID == nil
            ? nil : certificates[assignment.bidCID].map { $0.below ?? $0.certificate }
    }

    /// Holds that came to nothing before the job fails.
    package static let failedMax: UInt64 = 64

    /// How often an issuer may say in a row that it holds for an attempt already. A node that died forgot few
    /// orders; after that many the issuer does not want to hold.
    package static let heldInARowMax = 8

    /// Whether what an issuer says next of an attempt that it holds already is a refusal.
    var isHeldTooOften: Bool { heldInARow + 1 >= Self.heldInARowMax }

    /// Whether others are tried before an executor, as a hold for it was waited for in vain.
    func comesLast(_ executor: DID) -> Bool { unanswered.contains(executor) }

    /// Whether no hold is wanted for an executor: not any more, or not in this round.
    func isExcluded(_ executor: DID) -> Bool { refused.contains(executor) || skipped.contains(executor) }

    mutating func fold(_ kind: JobEventKind) {
        switch kind {
        case .announced: skipped = []
        case .holdAwaited(let wish, _): awaited = Awaited(wish: wish)
        case .holdDelayed(let reason): awaited?.delay = reason
        case .holdFailed(let executor, let reason, let end):
            awaited = nil
            failedCount += 1
            lastReason = reason
            heldInARow = end == .attemptHeld ? heldInARow + 1 : 0
            switch end {
            case .attemptHeld: break
            case .unanswered:
                skipped.insert(executor)
                unanswered.insert(executor)
            case .executorRefused, .originatorRefused:
                refused.insert(executor)
                lastRefusal = Refusal(reason: reason, isOwn: end == .originatorRefused)
            }
        case .holdGiven(let certificate, let below):
            (awaited, lastRefusal, heldInARow) = (nil, nil, 0)
            certificates[certificate.body.terms.bidCID] = Given(certificate: certificate, below: below)
        default: break
        }
    }
}

/// Why there is no hold for a bid.
package enum HoldEnd: String, Hashable, Sendable, Codable {
    /// Nobody knew in time.
    case unanswered
    /// The issuer holds for this attempt already, by an order that this node forgot: another attempt is ordered.
    case attemptHeld = "attempt_held"
    /// The issuer does not hold anything for this executor.
    case executorRefused = "executor_refused"
    /// The issuer does not hold so much for this originator.
    case originatorRefused = "originator_refused"

    /// Whether the issuer does not want to hold.
    var isRefusal: Bool { self == .executorRefused || self == .originatorRefused }
}

/// What came of a wish for a hold.
package enum HoldAnswer: Sendable {
    /// The issuer holds it: the block of its `HoldCertificate`, which the log of the issuer has; and, where the
    /// executor is paid by another, the block of that one's.
    case given([UInt8], below: [UInt8]?)
    /// The issuer does not, and says why; whether it is about the originator's own line.
    case refused(String, isOwn: Bool)
    /// The issuer holds for this attempt already, by another order, and says so.
    case held(String)
    /// Nobody knows yet, and why; it goes on being asked.
    case delayed(String)
}
