import IPLD
import MeshTypes
import Multiformats
import PeerIdentity
import SignedObjects

/// One of everything, for the tests of this target.
enum Samples {
    static let originator = identity(1)
    static let executor = identity(2)
    static let date = UnixMilliseconds(1_800_000_000_000)
    static let module = CID.hashing(Array("module".utf8), codec: .raw)
    static let input = CID.hashing(Array("input".utf8), codec: .raw)
    static let address = try! Multiaddr(parsing: "/ip4/127.0.0.1/tcp/4001")

    static func identity(_ seed: UInt8) -> Identity {
        try! Identity(seed: Array(repeating: seed, count: 32))
    }

    static var policy: ExecutionPolicy {
        var policy = ExecutionPolicy()
        policy.maxPrice = TokenAmount(30)
        policy.minReputation = 100
        policy.regionFilter = ["eu", "us"]
        policy.requiredFeatures = ["simd"]
        policy.allowedDIDs = [executor.did]
        policy.deniedDIDs = []
        policy.deadline = date.advanced(milliseconds: 60_000)
        policy.weights = .standard
        policy.bidWindowMilliseconds = 500
        policy.sufficientBids = 2
        policy.maxAttempts = 3
        return policy
    }

    static var params: MeshJobParams {
        var params = MeshJobParams(wasmCID: module)
        params.entry = "run"
        params.args = ["one", "two"]
        params.env = ["LANG": "C", "A": "b"]
        params.inputCIDs = ["stdin": input, "data": module]
        params.resourcesRequired = ["memory_mib": 64]
        params.executionPolicy = policy
        params.maxAcceptableBidTokens = TokenAmount(25)
        params.verification = .none
        params.description = "counts words"
        return params
    }

    static var manifest: JobManifest {
        JobManifest(
            params: params, originatorDID: originator.did, originatorPeerID: originator.peerID,
            originatorAddresses: [address], nonce: Array(repeating: 7, count: 16), submittedAt: date,
            biddingDeadline: date.advanced(milliseconds: 1000), expiresAt: date.advanced(milliseconds: 100_000))
    }

    static var signedManifest: SignedObject<JobManifest> { try! .sign(manifest, with: originator) }

    static var terms: BidTerms {
        BidTerms(
            price: TokenAmount(20), basePrice: TokenAmount(5), pricePerMillionFuel: TokenAmount(2), earliestStart: date,
            deadline: date.advanced(milliseconds: 30_000), resourceGuarantees: ["memory_mib": 64])
    }

    static var bid: Bid {
        Bid(
            jobID: JobID(signedManifest.cid), originatorPeerID: originator.peerID, bidderDID: executor.did,
            bidderPeerID: executor.peerID, terms: terms, collateral: TokenAmount(1), region: "eu", features: ["simd"],
            resources: ["memory_mib": 512], loadPermille: 100, nodeMetadataCID: input, issuedAt: date,
            expiresAt: date.advanced(milliseconds: 5000))
    }

    static var signedBid: SignedObject<Bid> { try! .sign(bid, with: executor) }

    static var signedCommitment: SignedObject<BidCommitment> {
        try! .sign(BidCommitment(to: signedBid), with: executor)
    }

    static var assignment: Assignment {
        Assignment(
            jobID: bid.jobID, originatorDID: originator.did, bidCID: signedBid.cid, executorDID: executor.did,
            attempt: 1,
            leaseMilliseconds: 10_000, terms: terms, assignedAt: date, acceptBy: bid.expiresAt)
    }

    static var receipt: ExecutionReceipt {
        var receipt = ExecutionReceipt(
            jobID: bid.jobID, assignmentCID: input, originatorDID: originator.did, executorDID: executor.did,
            attempt: 1,
            moduleCID: module, inputCIDs: params.inputCIDs, outcome: .exited(code: 0),
            resourceUsage: ResourceUsage(
                fuel: 1_000_000, peakMemoryBytes: 65_536, hostCalls: ["fd_write": 2], bytesRead: 3, bytesWritten: 4,
                wallMilliseconds: 5),
            price: TokenAmount(7),
            engine: EngineDescription(name: "wasmtime", version: "1", configurationDigest: "ab"),
            determinism: .deterministic, executionStartedAt: date, executionEndedAt: date.advanced(milliseconds: 5))
        receipt.outputs = ["words": input]
        receipt.stdoutCID = module
        return receipt
    }

    static var capability: NodeCapability {
        var capability = NodeCapability(
            nodeDID: executor.did, peerID: executor.peerID, issuedAt: date, validUntil: date.advanced(milliseconds: 1))
        capability.addresses = [address]
        capability.resources = ["cpu_millicores": 2000]
        capability.region = "eu"
        return capability
    }
}

/// One of every message and reply.
extension Samples {
    static var lost: Refusal {
        var refusal = Refusal(.otherBidTaken, "rank 2 of 3")
        refusal.lostTo = BidWinner(did: executor.did, price: TokenAmount(40))
        return refusal
    }

    static var messages: [MeshProtocolMessage] {
        let job = bid.jobID
        let data = JobInteractiveDataV1(
            jobID: job, assignmentCID: job.cid, sequence: 1, data: [1, 2], acknowledged: 3, credit: 10, isLast: false)
        return [
            .capabilityAdvertisement(CapabilityAdvertisementV1(capability: [1])),
            .jobAnnouncement(
                JobAnnouncementV1(
                    jobID: job, manifest: nil, executionPolicy: policy,
                    originatorPeerID: originator.peerID, providerAddresses: [address],
                    expiresAt: date)),
            .jobInterest(JobInterestV1(jobID: job, executorDID: executor.did, region: "eu")),
            .jobInquiry(JobInquiryV1(jobID: job)), .jobBid(JobBidV1(bid: ProtocolBid(signedBid))),
            .jobBidCommitment(JobBidCommitmentV1(signedCommitment)),
            .jobBidsSealed(JobBidsSealedV1(jobID: job, bids: [signedBid.cid])),
            .jobBidRefused(
                JobBidRefusedV1(jobID: job, bidCID: input, lost)),
            .assignJob(AssignJobV1(manifest: [1], bid: [2], assignment: [3])),
            .cancelJob(CancelJobV1(jobID: job, assignmentCID: input, reason: "enough")),
            .jobStatusUpdate(
                JobStatusUpdateV1(
                    jobID: job, assignmentCID: input, executorDID: executor.did, status: .running,
                    progressPermille: 500, sequence: 2)),
            .jobStatusUpdate(
                JobStatusUpdateV1(
                    jobID: job, assignmentCID: input, executorDID: executor.did, status: .preparingExecution,
                    preparation: Preparation(
                        .compiling, fetchedBytes: 4_096, compilingMilliseconds: 250,
                        compilingMillisecondsMax: 600_000), sequence: 3)),
            .executionReceiptAvailable(
                ExecutionReceiptAvailableV1(
                    jobID: job, receiptCID: input, executorDID: executor.did,
                    status: .completedSuccessfully, receipt: [1, 2, 3], providerAddresses: [address])),
            .jobSettled(JobSettledV1(settlement: [4])), .jobDelivered(JobDeliveredV1(jobID: job, statement: [8])),
            .jobInteractiveInput(data), .jobInteractiveOutput(data),
            .reputationRecordAvailable(ReputationRecordAvailableV1(record: [5])),
            .anchorHeads(AnchorHeadsV1(scope: "global", heads: [input], height: 3)),
            .logHead(LogHeadV1(note: [6])), .logFork(LogForkV1(proof: [7])),
        ]
    }

    static var replies: [MeshProtocolReply] {
        [
            .ack, .accepted(assignmentCID: input), .declined(Refusal(.atCapacity, "full")),
            .refused(Refusal(.jobOver, "the job has ended")), .refused(lost),
            .refused(Refusal(code: .unknown("of_tomorrow"), text: "not in this version")),
        ]
    }
}
