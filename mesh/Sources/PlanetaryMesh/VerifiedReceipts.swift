import Kademlia
import Multiformats
import Receipts
import SignedObjects
import Synchronization
import Workflows

/// The latest receipts whose signatures were checked here, so that market and DHT do not check the same block twice.
final class VerifiedReceipts: Sendable {
    /// Receipts remembered; it forgets the elder half of them at once, since forgetting them one by one would move all
    /// the others.
    static let countMax = 1_024

    private struct Latest {
        var younger: Set<CID> = []
        var elder: Set<CID> = []

        func contains(_ cid: CID) -> Bool { younger.contains(cid) || elder.contains(cid) }
    }

    private let latest = Mutex(Latest())

    /// Remembers a receipt that was checked.
    func insert(_ cid: CID) {
        latest.withLock { latest in
            if latest.younger.count >= Self.countMax / 2 {
                latest.elder = latest.younger
                latest.younger.removeAll(keepingCapacity: true)
            }
            latest.younger.insert(cid)
        }
    }

    /// Whether a receipt was checked lately.
    func contains(_ cid: CID) -> Bool { latest.withLock { $0.contains(cid) } }

    /// DHT records of proofs: the value hashes to the CID in the key and is validly signed.
    static var proofs: RecordValidator {
        RecordValidator(prefix: ProofRecord.keyPrefix) { key, value in
            ProofRecord.proof(key: key, value: value) == nil ? "it is no validly signed proof" : nil
        }
    }

    /// DHT records of workflows' receipts: the value hashes to the CID in the key and is validly signed.
    static var workflows: RecordValidator {
        RecordValidator(prefix: WorkflowReceipt.keyPrefix) { key, value in
            WorkflowReceipt.receipt(key: key, value: value) == nil
                ? "it is no validly signed receipt of a workflow" : nil
        }
    }

    /// DHT records of receipts: the value hashes to the CID in the key and is a validly signed receipt.
    var validator: RecordValidator {
        RecordValidator(prefix: ReceiptRecord.keyPrefix) { [self] key, value in
            if let cid = ReceiptRecord.cid(ofKey: key), contains(cid), cid.matches(value) {
                return nil
            }
            switch ReceiptRecord.validate(key: key, value: value) {
            case .success(let signed):
                insert(signed.cid)
                return nil
            case .failure(let refusal): return "\(refusal)"
            }
        }
    }
}
