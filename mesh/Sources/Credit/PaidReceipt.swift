import IPLD
package import MerkleLog
package import MeshTypes
package import Multiformats
package import SignedObjects

/// The proof that an issuer booked the pay of a receipt: its charter, a head of its log, and the two entries by which a
/// hold was granted and settled. Whoever has the issuer's key can check it, and asks nobody.
///
/// It shows these two entries to everybody, and nothing else of the book.
package struct PaidReceipt: Hashable, Sendable, Codable {
    /// The bounds of proofs.
    package enum Limits {
        /// The longest one, in bytes; a receipt of more reads or outputs is paid, and not told to others.
        package static let bytesMax = 65_536
    }

    /// Why one proves nothing.
    package enum Fault: Error, Hashable, CustomStringConvertible {
        /// Too long, or of another form.
        case malformed
        /// The charter is not signed by its issuer, or out of bounds.
        case charter
        /// The head is none that the issuer of the charter signed.
        case head
        /// An entry is not in the log of that head.
        case notLogged(UInt64)
        /// The entries are not those of a hold and of its settlement, or nothing justifies them.
        case unjustified(String)
        /// Nothing was paid.
        case nothingPaid
        /// It went to the line of another issuer, not to the executor's.
        case otherLine

        /// A clause.
        package var description: String {
            switch self {
            case .malformed: "the proof of the pay does not read"
            case .charter: "its charter is none"
            case .head: "its head is not signed by the issuer of the charter"
            case .notLogged(let number): "entry \(number) is not in the log"
            case .unjustified(let reason): "its entries show no pay: \(reason)"
            case .nothingPaid: "nothing was paid"
            case .otherLine: "the pay went to a line that is not the executor's"
            }
        }
    }

    /// What it proves.
    package struct Pay: Hashable, Sendable {
        /// Whose book.
        package let issuerDID: DID
        /// Its charter.
        package let charterCID: CID
        /// Whose line paid: the originator, the first giver of its token, or another issuer.
        package let payerDID: DID
        /// What was paid for, as the executor signed it.
        package let receipt: ExecutionReceipt
        /// The receipt's block.
        package let receiptCID: CID
        /// The settlement's block.
        package let settlementCID: CID
        /// The head that has it.
        package let head: TreeHead
        /// The head as it was signed.
        package let note: [UInt8]
        /// What the creditor got, in the smallest part of the unit.
        package let amount: UInt64
        /// Of the creditor's line.
        package let unit: CreditUnit
        /// When, as the issuer dates the entry.
        package let bookedAt: UnixMilliseconds
    }

    /// The signed charter.
    package let charter: [UInt8]
    /// The signed head under which both entries are.
    package let head: [UInt8]
    /// The entry that granted the hold.
    package let granted: OpenedEntry
    /// The entry that settled it.
    package let settled: OpenedEntry

    package init(charter: [UInt8], head: [UInt8], granted: OpenedEntry, settled: OpenedEntry) {
        (self.charter, self.head, self.granted, self.settled) = (charter, head, granted, settled)
    }

    /// Reads one from its block.
    package init(reading block: [UInt8]) throws(Fault) {
        guard block.count <= Limits.bytesMax, let read = try? DAGCBORDecoder().decode(PaidReceipt.self, from: block)
        else { throw .malformed }
        self = read
    }

    /// Its block; `nil` if it is too long.
    package var block: [UInt8]? {
        guard let bytes = try? DAGCBOREncoder().encode(self), bytes.count <= Limits.bytesMax else { return nil }
        return bytes
    }

    /// What it proves, if whoever asks believes the issuer.
    package func verified() throws(Fault) -> Pay {
        guard let charter = try? SignedObject<IssuerCharter>(reading: charter), charter.did == charter.body.issuerDID
        else { throw .charter }
        guard let note = SignedNote(bytes: head),
            let checkpoint = Checkpoint.verified(note, by: charter.did.publicKey),
            checkpoint.origin == Issuer.logName(of: charter.did)
        else { throw .head }
        guard granted.number < settled.number, let grant = granted.entry(under: checkpoint.head) else {
            throw .notLogged(granted.number)
        }
        guard let end = settled.entry(under: checkpoint.head) else { throw .notLogged(settled.number) }
        guard let block = grant.event.holdOrder, let order = try? SignedObject<PaymentOrder>(reading: block),
            case .holdSettled(order.bodyCID, let settlement, let receiptBlock, _) = end.event
        else { throw .unjustified("they are of another kind, or not of one hold") }
        var book = MemberBook(of: order.body.creditorDID, at: charter)
        let hold: Hold?
        do {
            _ = try book.take(grant)
            hold = book.hold(of: end.event)
            _ = try book.take(end)
        } catch {
            throw .unjustified(error.description)
        }
        // The settlement was justified, so both read.
        guard let hold, let settlement = try? SignedObject<Settlement>(verifying: settlement),
            let receipt = try? SignedObject<ExecutionReceipt>(verifying: receiptBlock)
        else { throw .unjustified("the settlement or its receipt does not read") }
        guard settlement.body.amountPaid > .zero else { throw .nothingPaid }
        // Whether another issuer passed it on, its own log says.
        guard hold.creditorLine.did == receipt.body.executorDID else { throw .otherLine }
        return Pay(
            issuerDID: charter.did, charterCID: charter.bodyCID, payerDID: hold.debtorLine.did, receipt: receipt.body,
            receiptCID: receipt.cid, settlementCID: settlement.cid, head: checkpoint.head, note: head,
            amount: settlement.body.amountPaid.units,
            unit: hold.creditorLine.unit, bookedAt: end.at)
    }
}

extension OpenedEntry {
    /// The entry, if it is in the log of a head under the number that it says.
    package func entry(under head: TreeHead) -> BookEntry? {
        guard let hashes = MerkleHash.list(of: proof),
            head.includes(.leaf(opening.commitment), at: number, proof: hashes), let entry = opening.read,
            entry.number == number
        else { return nil }
        return entry
    }
}

extension MerkleHash {
    /// The hashes of a proof, 32 bytes each; nil if the last one is not whole.
    package static func list(of bytes: [UInt8]) -> [MerkleHash]? {
        guard bytes.count.isMultiple(of: byteCount) else { return nil }
        return stride(from: 0, to: bytes.count, by: byteCount).compactMap {
            MerkleHash(bytes: Array(bytes[$0..<($0 + byteCount)]))
        }
    }
}
