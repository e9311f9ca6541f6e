package import Multiformats
package import SignedObjects

/// The executor's signed word that it runs what it was assigned.
///
/// Only with it is silence anything against an executor: without, whoever assigns jobs could say of anybody that it
/// took one and never answered.
package struct AssignmentAcceptance: Hashable, Sendable, SignedBody {
    /// Who accepts.
    package var executorDID: DID
    /// The block of the signed assignment.
    package var assignmentCID: CID
    /// When, by the executor's clock; nothing is dated by it.
    package var acceptedAt: UnixMilliseconds

    /// An acceptance to sign.
    package init(executorDID: DID, assignmentCID: CID, acceptedAt: UnixMilliseconds) {
        self.executorDID = executorDID
        self.assignmentCID = assignmentCID
        self.acceptedAt = acceptedAt
    }

    /// The type name that is signed.
    package static let typeName = "AssignmentAcceptance"
    /// The executor signs.
    package var signerDID: DID { executorDID }

    enum CodingKeys: String, CodingKey {
        case executorDID = "executor_did"
        case assignmentCID = "assignment_cid"
        case acceptedAt = "accepted_at"
    }
}

/// Why the word of an executor is none about its assignment.
package enum AcceptanceFault: Error, Hashable, Sendable {
    /// It does not verify as an acceptance.
    case notVerified
    /// Another than the executor signed it.
    case wrongExecutor
    /// It accepts another assignment.
    case wrongAssignment
}

extension AcceptanceFault: CustomStringConvertible {
    /// One clause without a full stop, for people.
    package var description: String {
        switch self {
        case .notVerified: "the executor's acceptance does not verify"
        case .wrongExecutor: "another than the executor signed its acceptance"
        case .wrongAssignment: "the executor accepts another assignment"
        }
    }
}

extension AssignmentAcceptance {
    /// The acceptance of an assignment by its executor, from the block that came with the executor's answer.
    package static func of(
        _ assignment: CID, by executor: DID, in block: [UInt8]
    ) throws(AcceptanceFault) -> SignedObject<AssignmentAcceptance> {
        guard let signed = try? SignedObject<AssignmentAcceptance>(verifying: block) else { throw .notVerified }
        guard signed.body.executorDID == executor else { throw .wrongExecutor }
        guard signed.body.assignmentCID == assignment else { throw .wrongAssignment }
        return signed
    }
}
