import JobMarket
import MeshTypes
import Multiformats
import OrderedCollections

/// What a node let others rely on, as its shell saw it: it has to hold after every crash, whatever the disk had lost.
struct Promises: Sendable {
    /// Jobs whose clients were told that they have their results.
    private(set) var results: OrderedSet<JobID> = []
    /// The assignments that were acknowledged.
    private var assignments: OrderedDictionary<JobID, CID> = [:]
    /// How many receipts were acknowledged, by job.
    private var receipts: OrderedDictionary<JobID, OrderedSet<CID>> = [:]

    mutating func told(_ job: JobID) { results.append(job) }

    /// A message was acknowledged.
    mutating func acknowledged(_ message: MeshProtocolMessage, _ market: JobMarket) {
        switch message {
        case .assignJob(let message):
            let job = JobID(CID.hashing(message.manifest, codec: .dagCBOR))
            if let assignment = market.executedJob(job)?.assignmentCID { assignments[job] = assignment }
        case .executionReceiptAvailable(let notice):
            receipts[notice.jobID, default: []].append(notice.receiptCID)
        default: break
        }
    }

    /// What does not hold.
    func broken(_ market: JobMarket) -> [String] {
        var broken: [String] = []
        for job in results where market.originatedJob(job)?.result == nil {
            broken.append("\(job.short) was told of and is lost")
        }
        for (job, assignment) in assignments where market.executedJob(job)?.assignmentCID != assignment {
            broken.append("the assignment of \(job.short) was acknowledged and is lost")
        }
        for (job, known) in receipts {
            let kept = market.originatedJob(job)?.attempts.count(where: \.hasReceipt) ?? 0
            if kept < known.count {
                broken.append("\(known.count) receipts of \(job.short) were acknowledged, not \(kept)")
            }
        }
        return broken
    }
}
