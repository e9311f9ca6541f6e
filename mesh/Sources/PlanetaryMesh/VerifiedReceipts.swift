import Kademlia
import Multiformats
import OrderedCollections
import Receipts
import SignedObjects
import Synchronization

/// The latest receipts whose signatures were checked here, so that market and DHT do not check the same block twice.
final class VerifiedReceipts: Sendable {
    /// Receipts remembered; one more replaces the oldest.
    static let countMax = 1_024

    private let cids = Mutex(OrderedSet<CID>())

    /// Remembers a receipt that was checked.
    func insert(_ cid: CID) {
        cids.withLock { cids in
            cids.append(cid)
            if cids.count > Self.countMax { cids.removeFirst() }
        }
    }

    /// DHT records of receipts: the value hashes to the CID in the key and is a validly signed receipt.
    var validator: RecordValidator {
        RecordValidator(prefix: ReceiptRecord.keyPrefix) { [self] key, value in
            if let cid = ReceiptRecord.cid(ofKey: key), cids.withLock({ $0.contains(cid) }), cid.matches(value) {
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
