package import MeshTypes
import Multiformats
package import SignedObjects

/// Proofs of fraud as records of the DHT: the key is `/icn/proof/` and the binary CID, the value the signed proof.
///
/// A node that keeps one knows that its maker signed it, and nothing of whether it holds. Source: PROTOCOL.md, "DHT
/// records".
package enum ProofRecord {
    /// What every key starts with.
    package static let keyPrefix = "/icn/proof/"
    /// The largest value that DHT nodes keep, in bytes.
    package static let bytesMax = 64 << 10
    /// The most outputs and anchored blocks that a proof names, each.
    package static let listMax = ReceiptVerifier.Limits().outputsMax

    /// The proof of a record; `nil` when it is none.
    package static func proof(key: [UInt8], value: [UInt8]) -> SignedObject<FraudProof>? {
        guard key.starts(with: keyPrefix.utf8), let cid = try? CID(bytes: Array(key[keyPrefix.utf8.count...])),
            cid.namesEvidence, cid.codec == .dagCBOR, value.count <= bytesMax, cid.matches(value)
        else { return nil }
        return proof(of: value)
    }

    /// The proof in a block; `nil` when it is not validly signed, or longer than proofs are.
    package static func proof(of block: [UInt8]) -> SignedObject<FraudProof>? {
        guard block.count <= bytesMax, let signed = try? SignedObject<FraudProof>(verifying: block),
            signed.body.found.outputs.count <= listMax, signed.body.found.anchoredCIDs.count <= listMax
        else { return nil }
        return signed
    }
}
