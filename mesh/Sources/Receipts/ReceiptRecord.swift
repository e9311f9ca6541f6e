package import MeshTypes
package import Multiformats
package import SignedObjects

/// Receipts as records of the DHT: the key is `/icn/receipt/` and the binary CID, the value the signed receipt itself.
///
/// Nodes neither store nor return a value that does not hash to its key or is not a validly signed receipt. Source:
/// PROTOCOL.md, "DHT records".
package enum ReceiptRecord {
    /// What every key starts with.
    package static let keyPrefix = "/icn/receipt/"
    /// The largest value that DHT nodes keep, in bytes.
    package static let bytesMax = 64 << 10

    /// The key of a receipt.
    package static func key(of cid: CID) -> [UInt8] {
        Array(keyPrefix.utf8) + cid.bytes
    }

    /// The receipt that a key asks for; `nil` when the key is not one of a receipt.
    package static func cid(ofKey key: [UInt8]) -> CID? {
        guard key.starts(with: keyPrefix.utf8), let cid = try? CID(bytes: Array(key[keyPrefix.utf8.count...])),
            cid.namesEvidence, cid.codec == .dagCBOR
        else { return nil }
        return cid
    }

    /// The receipt of a record, or why it is refused. All valid values of a key are the same bytes.
    package static func validate(
        key: [UInt8], value: [UInt8]
    ) -> Result<SignedObject<ExecutionReceipt>, ReceiptRecordRefusal> {
        guard let cid = cid(ofKey: key) else { return .failure(.notAReceiptKey) }
        if value.count > bytesMax { return .failure(.tooLarge(bytesMax: bytesMax)) }
        guard cid.matches(value) else { return .failure(.wrongHash) }
        do {
            let signed = try SignedObject<ExecutionReceipt>(verifying: value)
            if let fault = ReceiptRules().formFault(of: signed.body) { return .failure(.formNotAccepted(fault)) }
            return .success(signed)
        } catch {
            return .failure(.invalidReceipt(error))
        }
    }
}

/// Why a record is not one of a receipt.
package enum ReceiptRecordRefusal: Error, Hashable, Sendable {
    /// The key is not the prefix and a version 1 dag-cbor CID with SHA-256.
    case notAReceiptKey
    /// The value is larger than records may be.
    case tooLarge(bytesMax: Int)
    /// The value does not hash to the CID in the key.
    case wrongHash
    /// The value is not a validly signed receipt.
    case invalidReceipt(SignedObjectError)
    /// The receipt has longer lists or names than receipts have, or names a CID of another form.
    case formNotAccepted(ReceiptFault)
}

extension ReceiptRecordRefusal: CustomStringConvertible {
    /// One sentence without a full stop, for people.
    package var description: String {
        switch self {
        case .notAReceiptKey: "its key is not that of a receipt"
        case .tooLarge(let bytesMax): "it has more than \(bytesMax) bytes"
        case .wrongHash: "it does not hash to its CID"
        case .invalidReceipt(let error): "it is no validly signed receipt: \(error)"
        case .formNotAccepted: "it has more in it, or other CIDs, than receipts may have"
        }
    }
}
