import MeshTypes
import Multiformats
import NodeAPI
import Workflows

extension ChildEnd {
    /// The end of a job, as a plan takes it.
    init(_ result: JobResult, _ job: CID, folders: Set<String>, paidForReplicas: UInt64) {
        // Whoever cancels a job while it is checked pays for it, and has no result that was checked as it was asked.
        let isWaived = result.finding == VerificationFinding.waived.rawValue
        let outcome: ChildOutcome =
            switch result.ending {
            case _ where isWaived: .cancelled
            case .succeeded: .exited(code: 0)
            case .exitedNonZero: .exited(code: Int64(result.exitCode ?? 1))
            case .cancelled: .cancelled
            case .noBids, .noAcceptableBid, .executorsFailed, .fetchFailed, .deadlinePassed, .insufficientFunds,
                .receiptInvalid:
                .failed(reason: result.detail, ofMesh: true)
            case .trapped, .limitExceeded, .moduleRefused, .filesRefused, .crashesEngine, .unverified:
                .failed(reason: result.detail, ofMesh: false)
            }
        let standard = [("stdout", result.stdoutCID), ("stderr", result.stderrCID), ("log", result.logCID)]
        let named = standard.compactMap { name, cid in cid.map { NamedCID(name: name, cid: $0) } } + result.outputs
        // What the mesh failed may have a receipt that does not count, and proves nothing.
        let isOfMesh = if case .failed(_, ofMesh: true) = outcome { true } else { false }
        self.init(
            outcome, jobID: job,
            receiptCID: isOfMesh || isWaived ? nil : result.receiptCID.flatMap { try? CID(parsing: $0) },
            outputs: isWaived
                ? []
                : named.compactMap { output in
                    guard let cid = try? CID(parsing: output.cid) else { return nil }
                    return ChildOutput(name: output.name, cid: cid, isFolder: folders.contains(output.cid))
                }, paid: TokenAmount(result.paid ?? 0).addingSaturated(TokenAmount(paidForReplicas)).units)
    }
}
