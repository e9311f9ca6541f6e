package import IPLD
import MeshTypes
package import Multiformats
package import Receipts
import SignedObjects

/// Receipts of workflows in a file, checked by the rules of any node without asking one.
package struct WorkflowArchive: Sendable {
    private let file: ReceiptArchive
    /// The receipts of workflows in the file, each with those that contradict it, and itself.
    private let twins: [CID: [CID]]

    /// What two receipts of one originator contradict each other by.
    private struct Place: Hashable {
        var originator: DID
        var links: [CID]
    }

    /// What a file that was read has of workflows.
    private init(_ file: ReceiptArchive) {
        self.file = file
        var byPlace: [Place: [CID]] = [:]
        for cid in file.cids where cid.namesEvidence && cid.codec == .dagCBOR {
            // Read before its signature is looked at: most blocks are of another kind.
            guard let block = file.block(cid), (try? SignedObject<WorkflowReceipt>(verifiedBefore: block)) != nil,
                cid.matches(block), let signed = try? SignedObject<WorkflowReceipt>(verifying: block)
            else { continue }
            byPlace[Place(originator: signed.did, links: signed.body.place), default: []].append(cid)
        }
        var twins: [CID: [CID]] = [:]
        for cids in byPlace.values {
            let sorted = cids.sorted { $0.text < $1.text }
            for cid in cids { twins[cid] = sorted }
        }
        self.twins = twins
    }

    /// Every check of a receipt in a file, of a job or of a workflow, by what is in the file.
    package static func verify(_ cid: CID, in file: ReceiptArchive) -> VerificationReport {
        guard let block = file.block(cid), (try? SignedObject<WorkflowReceipt>(verifiedBefore: block)) != nil else {
            return file.verify(cid)
        }
        return WorkflowArchive(file).verify(cid)
    }

    private func verify(_ cid: CID) -> VerificationReport {
        let file = file
        let verifier = WorkflowVerifier { cid in
            file.block(cid).map { .bytes($0) } ?? .gone
        } job: { cid in
            guard file.block(cid) != nil else { return .gone("it is not in the file") }
            guard let receipt = file.receipt(cid)?.body else { return .wrong("it is not validly signed") }
            guard let manifest = file.manifest(of: receipt) else { return .gone("its manifest is not in the file") }
            return .found(WorkflowVerifier.Job(report: file.verify(cid), receipt: receipt, manifest: manifest))
        }
        return verifier.verify(cid, twins: twins).report
    }
}

extension CAR.Limits {
    /// The bounds of a file that may have receipts of workflows: six blocks for each of 20,000 jobs, and its plan. The
    /// bytes of it are bounded as of any other, and so is the memory that it takes.
    package static let ofWorkflows: CAR.Limits = {
        var limits = CAR.Limits()
        limits.blocksMax = 131_072
        return limits
    }()
}
