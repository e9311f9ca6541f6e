import CoVM
import IPLD
import MeshStore
import MeshTypes
import Multiformats
import NodeAPI
import Receipts
import SignedObjects
import Workflows

/// The results of earlier jobs that may serve in place of a run of the same work.
struct EarlierResults: Sendable {
    let parts: NodeParts

    /// What names a work of this node on its engine; `nil` if it cannot be written.
    func key(of params: MeshJobParams) -> CID? {
        ExecutionIdentity.repeatable(params, of: parts.identity.did, on: parts.machine.engineDescription)
            .map { CID.hashing($0.seed, codec: .raw) }
    }

    /// The end of a stage's job by the result of an earlier one, and the row that says that it served; `nil` if none
    /// may serve: none is known that the rule admits, or not all of it is here any more.
    ///
    /// What the row says is held against the receipt and the manifest that it names.
    ///
    /// - Parameter level: how the stage's own jobs are checked.
    func end(
        of params: MeshJobParams, _ key: CID, in stage: StageDefinition, by rule: MemoRule,
        checkedBy level: VerificationLevel?
    ) async throws(MeshStoreError) -> (ChildEnd, WorkRow)? {
        guard rule != .off, var row = try await WorkRow.row(key, in: parts.store),
            row.strength >= Self.needed(by: rule, level),
            let receipt = try await object(row.receiptCID, ExecutionReceipt.self), receipt.jobID.cid == row.jobID,
            let manifest = try await object(row.jobID, JobManifest.self),
            PlannedJob(params).reasonNotServed(by: manifest, executor: receipt.executorDID) == nil,
            case .exited(let code) = receipt.outcome, stage.accept.contains(Int64(code))
        else { return nil }
        var end = ChildEnd(.exited(code: Int64(code)), jobID: row.jobID, receiptCID: row.receiptCID)
        let names = Set(StageOutput.names(of: stage))
        for (name, cid) in receipt.namedOutputs where names.contains(name) {
            // Read, so that a damaged one does not serve, and counts as used.
            guard let block = try await parts.store.block(cid),
                let tree = try await StoredTree.under(cid, in: parts.store), tree.missing.isEmpty
            else { return nil }
            end.outputs.append(ChildOutput(name: name, cid: cid, isFolder: Self.isFolder(block, cid)))
        }
        end.servedBy = receipt.executorDID
        row.usedAt = NodeClock.wallClock.value
        return (end, row)
    }

    /// What to remember of a job that just ended; `nil` if its result is none that may serve.
    func row(of result: JobResult, _ job: CID, _ key: CID, in stage: StageDefinition) -> WorkRow? {
        let code: Int32
        switch result.ending {
        case .succeeded: code = 0
        case .exitedNonZero: code = result.exitCode ?? 1
        default: return nil
        }
        guard stage.accept.contains(Int64(code)), let receipt = result.receiptCID.flatMap({ try? CID(parsing: $0) })
        else { return nil }
        let strength: WorkRow.Strength =
            switch result.finding.flatMap(VerificationFinding.init(rawValue:)) {
            case .confirmed: .confirmed
            case .agreed: .agreed
            default: result.isOwnRun == true ? .confirmed : .believed
            }
        return WorkRow(
            key: key, jobID: job, receiptCID: receipt, strength: strength, usedAt: NodeClock.wallClock.value)
    }

    /// How well a result has to be known to serve: as well as the stage's own check would know it, where that always
    /// checks.
    private static func needed(by rule: MemoRule, _ level: VerificationLevel?) -> WorkRow.Strength {
        if rule == .own { return .confirmed }
        switch level {
        case .quorum?, .byExecutor(.replay)?: return .agreed
        case .replay?: return .confirmed
        default: return .believed
        }
    }

    private func object<Body: SignedBody>(_ cid: CID, _: Body.Type) async throws(MeshStoreError) -> Body? {
        guard let block = try await parts.store.block(cid) else { return nil }
        return try? SignedObject<Body>(verifiedBefore: block).body
    }

    private static func isFolder(_ block: [UInt8], _ cid: CID) -> Bool {
        cid.codec == .dagPB && (try? UnixFSBlock(block, of: cid))?.isDirectory ?? false
    }
}
