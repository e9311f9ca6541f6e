package import SignedObjects

/// An operator's word that an executor is its own.
///
/// Any key can be an operator's, that of one of its nodes too. Only who wants to be known as one operator says so: it
/// keeps what others want checked by several from going to that operator alone, and it proves nothing about who says
/// nothing. Both sides sign: the operator this, the executor the capability that carries it.
package struct OperatorCredential: Hashable, Sendable, SignedBody {
    /// Whose the executor is.
    package var operatorDID: DID
    /// The executor.
    package var executorDID: DID
    /// When it was signed.
    package var issuedAt: UnixMilliseconds

    /// The word of an operator about an executor.
    package init(operatorDID: DID, executorDID: DID, issuedAt: UnixMilliseconds) {
        self.operatorDID = operatorDID
        self.executorDID = executorDID
        self.issuedAt = issuedAt
    }

    /// The bounds of a credential.
    package struct Limits: Sendable {
        /// The most bytes of a signed one.
        package var bytesMax = 512

        /// The standard bounds.
        package init() {}
    }

    /// The type name that is signed.
    package static let typeName = "OperatorCredential"
    /// The operator signs.
    package var signerDID: DID { operatorDID }

    enum CodingKeys: String, CodingKey {
        case operatorDID = "operator_did"
        case executorDID = "executor_did"
        case issuedAt = "issued_at"
    }

    /// The credential in a block, if it is short enough, its operator signed it, and it is about an executor.
    package static func verified(
        _ block: [UInt8], about executor: DID, limits: Limits = Limits()
    ) -> OperatorCredential? {
        guard block.count <= limits.bytesMax,
            let body = try? SignedObject<OperatorCredential>(verifying: block).body, body.executorDID == executor
        else { return nil }
        return body
    }
}

extension NodeCapability {
    /// Who operates the executor, as both say; `nil` if it names nobody, or somebody who did not say so.
    package var provenOperator: DID? {
        operatorCredential.flatMap { OperatorCredential.verified($0, about: nodeDID) }?.operatorDID
    }
}
