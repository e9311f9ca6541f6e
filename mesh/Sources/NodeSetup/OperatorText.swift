import MeshTypes
import Multiformats
package import PeerIdentity
package import SignedObjects

/// An operator's credential as text, for `executor.operator` in config.json.
package struct OperatorText: Hashable, Sendable {
    /// The text: the signed block in base 32.
    package let text: String
    /// Whose the executor is.
    package let operatorDID: DID
    /// The executor.
    package let executorDID: DID
    /// When it was signed, in milliseconds since the Unix epoch.
    package let issuedAt: UInt64
    /// The block.
    package let block: [UInt8]

    /// Signs a credential.
    ///
    /// - Parameter milliseconds: the date, in milliseconds since the Unix epoch.
    /// - Throws: `SignedObjectError` if the key cannot sign.
    package init(
        of executor: DID, signedBy identity: Identity, atMilliseconds milliseconds: UInt64
    ) throws(SignedObjectError) {
        let credential = OperatorCredential(
            operatorDID: identity.did, executorDID: executor, issuedAt: UnixMilliseconds(milliseconds))
        let signed = try SignedObject.sign(credential, with: identity)
        self.init(credential, signed.bytes, text: Multibase.encode(signed.bytes, .base32))
    }

    /// Reads a credential and checks its signature; `nil` if the text is none.
    package init?(_ text: String) {
        // No alphabet writes a byte in more than the ten characters of base 2 and its prefix.
        guard text.utf8.count <= OperatorCredential.Limits().bytesMax * 10, let block = try? Multibase.decode(text),
            block.count <= OperatorCredential.Limits().bytesMax,
            let signed = try? SignedObject<OperatorCredential>(verifying: block)
        else { return nil }
        self.init(signed.body, block, text: text)
    }

    private init(_ credential: OperatorCredential, _ block: [UInt8], text: String) {
        self.text = text
        self.block = block
        operatorDID = credential.operatorDID
        executorDID = credential.executorDID
        issuedAt = credential.issuedAt.value
    }
}
