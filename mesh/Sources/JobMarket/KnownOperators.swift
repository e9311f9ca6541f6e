import MeshTypes
import SignedObjects

/// Whose the executors are, by what their operators signed and they themselves carry in their offers.
///
/// Who says nothing is an operator of its own, as is whoever shows a credential that does not hold: nobody gains by
/// one.
struct KnownOperators: Sendable {
    private var declared = LatestByPeer<DID>()

    /// Takes in an offer that its executor signed.
    mutating func heard(_ capability: NodeCapability) {
        let executor = capability.nodeDID
        guard capability.operatorCredential != nil || declared[executor.peerID] != nil else { return }
        declared.record(executor.peerID, capability.provenOperator ?? executor)
    }

    /// What names the operator of an executor: another's key, or its own.
    func name(of executor: DID) -> DID { declared[executor.peerID] ?? executor }
}
