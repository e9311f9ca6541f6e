package import MeshTypes
import Multiformats
package import SignedObjects

/// How this node checks a receipt before it counts.
package enum ReceiptCheck: String, Hashable, Sendable, Codable, CaseIterable {
    /// It runs the job again, and compares.
    case replay
    /// It compares it with what other executors of the same work gave, once all have given theirs.
    case agreement
    /// It looks whether its own engine refuses the module, too, and runs nothing.
    case refusal
}

/// Everything that a shell needs to check a receipt of a job of this node.
package struct CheckOrder: Hashable, Sendable {
    /// The job.
    package let jobID: JobID
    /// The receipt, which names the check.
    package let receipt: SignedObject<ExecutionReceipt>
    /// The manifest of the job.
    package let manifest: JobManifest
    /// What was agreed with the executor.
    package let terms: BidTerms
    /// How to check it.
    package let check: ReceiptCheck
    /// The most wall clock of a run, in milliseconds.
    package let wallClockMilliseconds: UInt64
    /// Whether it says that the clock stopped the run, before its time can have been over.
    package var isClockEarly = false

    package init(
        jobID: JobID, receipt: SignedObject<ExecutionReceipt>, manifest: JobManifest, terms: BidTerms,
        check: ReceiptCheck, wallClockMilliseconds: UInt64
    ) {
        self.jobID = jobID
        self.receipt = receipt
        self.manifest = manifest
        self.terms = terms
        self.check = check
        self.wallClockMilliseconds = wallClockMilliseconds
    }
}

/// The receipts that this node checks or will check, in the order of their arrival: so many at once, because each may
/// cost as much as the job.
///
/// Trials of jobs that executors say they failed stand behind the checks of results, but for one in so many turns: keys
/// that say so cost nothing, results cost at least the look of work.
struct ReceiptChecks: Sendable {
    /// One receipt of a job, or an assignment whose failure is looked at.
    struct Item: Hashable, Sendable {
        let job: JobID
        let receipt: CID
        var isTrial = false
    }

    /// While checks and trials wait, one turn in so many is a trial's.
    static let turnsPerTrial = 4

    private(set) var running: Set<CID> = []
    private(set) var waiting: [Item] = []
    /// Turns of checks since a trial had one.
    private var turnsOfChecks = 0

    /// Adds one; whether it may begin at once.
    mutating func add(_ item: Item, max: Int) -> Bool {
        guard !running.contains(item.receipt), !waiting.contains(item) else { return false }
        if running.count < max {
            running.insert(item.receipt)
            return true
        }
        waiting.append(item)
        return false
    }

    /// Notes that the shell has no more to do with one; returns those that may begin.
    mutating func ended(_ receipt: CID, max: Int) -> [Item] {
        guard running.remove(receipt) != nil else { return [] }
        var next: [Item] = []
        while running.count < max, let item = takeNext() {
            running.insert(item.receipt)
            next.append(item)
        }
        return next
    }

    private mutating func takeNext() -> Item? {
        let isTrialsTurn = turnsOfChecks >= Self.turnsPerTrial - 1
        guard let index = waiting.firstIndex(where: { $0.isTrial == isTrialsTurn }) ?? waiting.indices.first else {
            return nil
        }
        let item = waiting.remove(at: index)
        turnsOfChecks = item.isTrial ? 0 : min(turnsOfChecks + 1, Self.turnsPerTrial)
        return item
    }

    /// Drops the receipts of a job; returns those whose checks are under way, which end by being stopped.
    mutating func drop(_ receipts: [CID], of job: JobID) -> [CID] {
        waiting.removeAll { $0.job == job && receipts.contains($0.receipt) }
        return receipts.filter(running.contains)
    }
}
