package import Multiformats
package import SignedObjects

/// The gossip topics and protocol names of the mesh (PROTOCOL.md, "Messages").
package enum MeshTopics {
    /// `CapabilityAdvertisementV1`.
    package static let capabilities = "/icn/mesh/capabilities/v1"
    /// `JobAnnouncementV1`.
    package static let jobAnnouncements = "/icn/mesh/jobs/announce/v1"
    /// `ExecutionReceiptAvailableV1`.
    package static let receipts = "/icn/mesh/receipts/v1"
    /// `ReputationRecordAvailableV1`.
    package static let reputation = "/icn/mesh/reputation/v1"
    /// The topics that every node follows, with the heads of a scope.
    package static func followed(inScope scope: String) -> [String] {
        [jobAnnouncements, receipts, capabilities, reputation, anchorHeads(scope: scope)]
    }
    /// The protocol of direct messages.
    package static let directMessages = "/icn/mesh/message/1.0.0"
    /// The protocol of the sessions of interactive jobs.
    package static let sessions = "/icn/mesh/interactive/1.0.0"
    /// The protocol of what other jobs write while they run.
    package static let outputs = "/icn/mesh/output/1.0.0"
    /// The protocol of questions to issuers.
    package static let credit = "/icn/mesh/credit/1.0.0"
    /// Questions of the parties to a hold to its arbiter.
    package static let arbiter = "/icn/mesh/arbiter/1.0.0"
    /// What an issuer has the witnesses of its charter keep of its book.
    package static let replica = "/icn/mesh/replica/1.0.0"
    /// Questions to witnesses of issuers' charters.
    package static let witness = "/icn/mesh/witness/1.0.0"
    /// The protocol of ranges of logs.
    package static let logs = "/icn/mesh/log/1.0.0"

    /// Of one job: `JobBidCommitmentV1`, `JobBidsSealedV1` and `JobBidV1`.
    package static func bids(on job: JobID) -> String { "\(jobPrefix)\(job.cid.text)/bids/v1" }
    /// `JobStatusUpdateV1` of one job.
    package static func status(of job: JobID) -> String { "\(jobPrefix)\(job.cid.text)/status/v1" }
    /// What the topics of jobs begin with.
    package static let jobPrefix = "/icn/mesh/job/"
    /// `AnchorHeadsV1` of one scope.
    package static func anchorHeads(scope: String) -> String { "/icn/mesh/dag/\(scope)/heads/v1" }
    /// `LogHeadV1` of one scope.
    package static func logHeads(scope: String) -> String { "/icn/mesh/dag/\(scope)/checkpoints/v1" }
    /// `LogForkV1` of one scope.
    package static func logForks(scope: String) -> String { "/icn/mesh/dag/\(scope)/forks/v1" }
    /// `LogHeadV1` of one issuer.
    package static func issuerHeads(of issuer: DID) -> String { "/icn/mesh/issuers/\(issuer.text)/heads/v1" }
    /// The DHT key of a receipt.
    package static func receiptKey(_ receipt: CID) -> [UInt8] { Array("/icn/receipt/".utf8) + receipt.bytes }
    /// The DHT key of the proof of a fraud.
    package static func proofKey(_ proof: CID) -> [UInt8] { Array("/icn/proof/".utf8) + proof.bytes }
}
