import MeshTypes
import Multiformats
import Receipts
import SignedObjects

/// What an arriving receipt means to its job; it proves itself, whoever sent it.
enum ReceiptArrival: Sendable {
    /// It is here already.
    case repeated
    /// It is no evidence for this job.
    case refused(ReceiptRefusal)
    /// A second account of the same run, which its executor signed, too: the first one counts.
    case second(SignedObject<ExecutionReceipt>)
    /// Its executor signed it, and it breaks a rule; with whether its attempt continues.
    case invalid(SignedObject<ExecutionReceipt>, ReceiptRefusal, isAttemptOpen: Bool)
    /// It is valid, and came after the result.
    case late(SignedObject<ExecutionReceipt>)
    /// Its executor gave up the run, so another gets the job.
    case givenUp(SignedObject<ExecutionReceipt>)
    /// The job can end with it, once its outputs are here.
    case acceptable(SignedObject<ExecutionReceipt>)

    init(of bytes: [UInt8], on job: OriginatedJob, _ limits: MarketLimits) {
        if job.isClosed, job.receipt == nil {
            self = .refused(.jobUnknown)
        } else if bytes.count > limits.receiptBytesMax {
            self = .refused(.notVerified(reason: "longer than \(limits.receiptBytesMax) bytes"))
        } else if Self.isKnown(CID.hashing(bytes, codec: .dagCBOR), to: job) {
            self = .repeated
        } else {
            do {
                self = Self.judge(try SignedObject<ExecutionReceipt>(verifying: bytes), job, limits)
            } catch {
                self = .refused(.notVerified(reason: "\(error)"))
            }
        }
    }

    private static func isKnown(_ receipt: CID, to job: OriginatedJob) -> Bool {
        job.receipts.contains(receipt) || job.assignments.isEnded(by: receipt)
    }

    private static func judge(
        _ signed: SignedObject<ExecutionReceipt>, _ job: OriginatedJob, _ limits: MarketLimits
    ) -> Self {
        guard let attempt = job.assignments[signed.body.assignmentCID] else { return .refused(.assignmentUnknown) }
        guard signed.body.executorDID == attempt.assignment.executorDID else { return .refused(.wrongExecutor) }
        if attempt.hasReceipt { return .second(signed) }
        let fault = ReceiptRules().fault(of: signed.body, assignment: attempt.assignment, manifest: job.manifest)
        if let refusal = fault.map(ReceiptRefusal.init) {
            return .invalid(signed, refusal, isAttemptOpen: attempt.end == nil || attempt.isHedged)
        }
        if job.isClosed { return .refused(.jobUnknown) }
        if !job.isOpen, job.lateReceipts.count >= limits.lateReceiptsMax {
            return .refused(.tooManyLate(max: UInt64(limits.lateReceiptsMax)))
        }
        guard job.hasRoom(forReceiptBytes: signed.bytes.count, limits) else {
            return .refused(.tooMany(field: "evidence"))
        }
        guard job.isOpen else { return .late(signed) }
        switch signed.body.outcome.responsibility {
        case .success, .user: return .acceptable(signed)
        case .cancellation where job.cancelReason != nil: return .acceptable(signed)
        case .node, .cancellation: return .givenUp(signed)
        }
    }
}
