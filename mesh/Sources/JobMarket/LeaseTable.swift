import Determinism
import MeshTypes
import Multiformats
import Reputation
import SignedObjects

/// How long an originator waits for an executor's confirmation, for a sign of life, and for a turn.
struct Patience: Sendable {
    let confirmationMilliseconds: UInt64
    let leaseMilliseconds: UInt64
    /// The longest wait behind the executor's other jobs that is granted to its promise (`Bid.queueMilliseconds`).
    let queueMillisecondsMax: UInt64

    /// An executor without a verified receipt here may be a key made for this one bid, so it gets less time.
    /// An interactive job has longer leases: a network that is gone for some seconds must not end a session.
    init(with executor: DID, of manifest: JobManifest, _ context: MarketContext) {
        let times = context.configuration.originator
        let lease: UInt64
        if executor == context.did || context.reputation.isProven(executor) {
            confirmationMilliseconds = times.confirmationMilliseconds
            lease = times.leaseMilliseconds
            queueMillisecondsMax = times.queueMilliseconds
        } else {
            confirmationMilliseconds = min(times.confirmationMilliseconds, times.unprovenConfirmationMilliseconds)
            lease = min(times.leaseMilliseconds, times.unprovenLeaseMilliseconds)
            queueMillisecondsMax = min(times.queueMilliseconds, times.unprovenQueueMilliseconds)
        }
        leaseMilliseconds = manifest.params.session == nil ? lease : max(lease, times.sessionLeaseMilliseconds)
    }

    /// How long a job waits for its turn at the executor of a bid, in milliseconds.
    static func queueMilliseconds(of bid: Bid, on manifest: JobManifest, _ context: MarketContext) -> UInt64 {
        min(bid.queueMilliseconds, Patience(with: bid.bidderDID, of: manifest, context).queueMillisecondsMax)
    }
}

/// What this node hears of its jobs' runs elsewhere. Not journalled, so a restart begins anew.
struct LeaseTable: Sendable {
    private struct Lease: Sendable {
        /// The last sequence number heard.
        var heard: UInt64 = 0
        /// When its executor first said that the module runs.
        var beganAt: MonotonicInstant?
        /// Whether the executor accepted it since this node started.
        var isFollowed = false
        /// Until when status updates renew it.
        var renewalEnd: MonotonicInstant?
        /// How long the job waits for its turn, in milliseconds.
        var queueMilliseconds: UInt64 = 0
        /// What the module last said about its progress.
        var progressPermille: UInt64?
        /// The fuel that the run has used at least, as its executor says.
        var fuelSoFar: UInt64?
        /// What its executor says of its preparation, and when that came.
        var preparation: (said: Preparation, at: MonotonicInstant)?
    }

    private var leases: [CID: Lease] = [:]

    /// Notes that the executor accepted an assignment. Reports renew its lease only as long as the wait for its turn,
    /// fetching and running may take.
    mutating func begin(
        _ assignment: CID, of job: OriginatedJob, isNew: Bool = true, _ context: MarketContext
    ) {
        let queue = job.queueMilliseconds(of: assignment, context)
        leases[assignment, default: Lease()].queueMilliseconds = queue
        leases[assignment]?.renewalEnd = Self.renewalEnd(of: job.manifest, queueMilliseconds: queue, context)
        leases[assignment]?.isFollowed = isNew
    }

    /// Notes a status update; `false` if the same or a later one came before.
    mutating func heard(_ assignment: CID, _ update: JobStatusUpdateV1, now: MonotonicInstant) -> Bool {
        guard update.sequence > leases[assignment]?.heard ?? 0 else { return false }
        leases[assignment, default: Lease()].heard = update.sequence
        if leases[assignment]?.beganAt == nil, update.status.progressRank >= JobStatus.running.progressRank {
            leases[assignment]?.beganAt = now
        }
        if let permille = update.progressPermille { leases[assignment]?.progressPermille = min(permille, 1_000) }
        if let fuel = update.fuelSoFar { leases[assignment]?.fuelSoFar = fuel }
        leases[assignment]?.preparation = update.preparation.map { ($0, now) }
        return true
    }

    /// Whether its executor accepted an assignment since this node started: of what came while that was down, nobody
    /// knows when.
    func isFollowed(_ assignment: CID) -> Bool { leases[assignment]?.isFollowed ?? false }

    /// When the executor of an assignment first said that the module runs; nil if it did not.
    func beganAt(_ assignment: CID) -> MonotonicInstant? { leases[assignment]?.beganAt }

    /// How far the module says it is, in thousandths; nil if it said nothing.
    func progressPermille(of assignment: CID) -> UInt64? { leases[assignment]?.progressPermille }

    /// The fuel that the run has used at least, as its executor says; nil if it said nothing.
    func fuelSoFar(of assignment: CID) -> UInt64? { leases[assignment]?.fuelSoFar }

    /// How far the preparation of a run is by now, as its executor said last; nil if it said nothing, or runs it.
    func preparation(of assignment: CID, now: MonotonicInstant) -> Preparation? {
        leases[assignment]?.preparation.map { said, at in
            said.later(milliseconds: UInt64(clamping: now.milliseconds(since: at)))
        }
    }

    /// Whether a status update renews a lease now.
    func isRenewable(_ assignment: CID, now: MonotonicInstant) -> Bool {
        now < leases[assignment]?.renewalEnd ?? .distantFuture
    }

    mutating func end(_ assignment: CID) { leases[assignment] = nil }

    /// How long a reported state may last: what is left of the time for waiting, fetching and running, however often a
    /// report repeats it.
    func milliseconds(
        of reported: JobStatus, _ assignment: SignedObject<Assignment>, of manifest: JobManifest,
        _ context: MarketContext
    ) -> UInt64 {
        let times = context.configuration.originator
        let runMilliseconds = Self.runMilliseconds(of: manifest, times)
        let queueMilliseconds = leases[assignment.cid]?.queueMilliseconds ?? 0
        let end =
            leases[assignment.cid]?.renewalEnd
            ?? Self.renewalEnd(of: manifest, queueMilliseconds: queueMilliseconds, context)
        let left = UInt64(clamping: end.milliseconds(since: context.now))
        return switch reported {
        case .running, .awaitingInputs: min(runMilliseconds, left)
        case .producingOutputs: min(times.receiptMilliseconds, left + assignment.body.leaseMilliseconds)
        default: min(times.fetchingMilliseconds + queueMilliseconds, left - min(left, runMilliseconds))
        }
    }

    private static func renewalEnd(
        of manifest: JobManifest, queueMilliseconds: UInt64, _ context: MarketContext
    ) -> MonotonicInstant {
        let times = context.configuration.originator
        return context.now.advanced(
            milliseconds: Int64(
                clamping: queueMilliseconds + times.fetchingMilliseconds + runMilliseconds(of: manifest, times)))
    }

    private static func runMilliseconds(of manifest: JobManifest, _ times: OriginatorConfiguration) -> UInt64 {
        manifest.params.timeoutSeconds * 1000 + manifest.params.stillMilliseconds + times.executionGraceMilliseconds
    }
}
