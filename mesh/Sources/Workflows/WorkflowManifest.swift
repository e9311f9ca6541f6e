package import MeshTypes
package import SignedObjects

/// A workflow as its originator began it: its CID is what it is called by.
package struct WorkflowManifest: Hashable, Sendable, SignedBody {
    /// The plan, which names all its content by CIDs and all limits of its jobs.
    package var definition: WorkflowDefinition
    /// Whose it is.
    package var originatorDID: DID
    /// The key under which it was begun: the same key begins one workflow.
    package var key: String
    /// When it was begun.
    package var submittedAt: UnixMilliseconds

    package init(
        definition: WorkflowDefinition, originatorDID: DID, key: String, submittedAt: UnixMilliseconds
    ) {
        self.definition = definition
        self.originatorDID = originatorDID
        self.key = key
        self.submittedAt = submittedAt
    }

    /// The type name that is signed.
    package static let typeName = "WorkflowManifest"
    /// The originator signs.
    package var signerDID: DID { originatorDID }

    enum CodingKeys: String, CodingKey {
        case definition, key
        case originatorDID = "originator_did"
        case submittedAt = "submitted_at"
    }
}
