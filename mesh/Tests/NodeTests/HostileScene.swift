import JobMarket
import MeshTypes
import Multiformats
import NodeAPI
import P2PTesting
import PeerIdentity
import SignedObjects
import Testing

@testable import NodeCore
@testable import PlanetaryMesh

/// A hostile peer among the nodes, and the valid messages that it could send them as originator and as executor.
struct HostileScene {
    /// The valid messages to start from.
    enum Kind: CaseIterable {
        case announcement, announcementByCID, assignment, cancellation, bidRefusal, settlement
        case bid, status, receipt, interest, inquiry, input, output
        case capability, receiptNotice, anchorHeads, reputation

        /// The topic that it is gossiped on; nil for direct messages.
        var topic: String? {
            switch self {
            case .announcement, .announcementByCID: MeshTopics.jobAnnouncements
            case .capability: MeshTopics.capabilities
            case .receiptNotice: MeshTopics.receipts
            case .anchorHeads: MeshTopics.anchorHeads(scope: "global")
            case .reputation: MeshTopics.reputation
            default: nil
            }
        }

        /// Whether it is an originator's, and so goes to executors.
        var isForExecutors: Bool {
            switch self {
            case .assignment, .cancellation, .bidRefusal, .settlement, .inquiry, .input: true
            default: false
            }
        }
    }

    /// The honest originator's jobs that only the peer may have, and what it was given of them.
    private actor Jobs {
        var all: [CID] = []
        var openForBids: JobID?
        var assignment: SignedObject<Assignment>?

        func add(_ job: JobID) { all.append(job.cid) }
        func keep(openForBids job: JobID) { openForBids = job }
        func keep(_ assignment: SignedObject<Assignment>) { self.assignment = assignment }
    }

    let mesh: NodeMesh
    let peer: HostilePeer
    /// A module that all executors have.
    let module: CID
    private let jobs = Jobs()

    init(mesh: NodeMesh, peer: HostilePeer, module: CID) {
        self.mesh = mesh
        self.peer = peer
        self.module = module
    }

    /// Ends the jobs that the honest originator has for this peer, which forgets them.
    func endJobs() async throws {
        for job in await jobs.all { _ = try? await mesh.originator.cancel(job) }
        for job in await jobs.all { try await eventually("\(job) is over") { await mesh.originator.isOver(job) } }
    }

    /// A valid message of a kind, all that it answers having come before.
    func message(_ kind: Kind, to node: MeshNode) async throws -> HostileMessage {
        switch kind {
        case .announcement, .announcementByCID, .capability, .receiptNotice, .anchorHeads, .reputation:
            try gossiped(kind)
        case .assignment, .cancellation, .bidRefusal, .settlement: try await asOriginator(kind, to: node)
        case .bid, .status, .receipt: try await asExecutor(kind)
        case .interest:
            try HostileMessage(
                .jobInterest(JobInterestV1(jobID: JobID(module), executorDID: peer.identity.did, region: "eu")))
        case .inquiry: try HostileMessage(.jobInquiry(JobInquiryV1(jobID: JobID(module))))
        case .input, .output:
            try HostileMessage(interactive(kind))
        }
    }

    private func interactive(_ kind: Kind) -> MeshProtocolMessage {
        let data = JobInteractiveDataV1(
            jobID: JobID(module), assignmentCID: module, sequence: 1, data: [1, 2], acknowledged: 3, credit: 10,
            isLast: false)
        return kind == .input ? .jobInteractiveInput(data) : .jobInteractiveOutput(data)
    }

    // MARK: Gossip

    private func gossiped(_ kind: Kind) throws -> HostileMessage {
        let (identity, now) = (peer.identity, NodeClock.wallClock)
        switch kind {
        case .capability:
            var capability = NodeCapability(
                nodeDID: identity.did, peerID: identity.peerID, issuedAt: now,
                validUntil: now.advanced(milliseconds: 60_000))
            capability.resources = ["memory_mib": 1]
            capability.region = "eu"
            let signed = try SignedObject.sign(capability, with: identity)
            return try HostileMessage(
                .capabilityAdvertisement(CapabilityAdvertisementV1(capability: signed.bytes)),
                [.init(signed, by: identity)])
        case .receiptNotice:
            return try HostileMessage(
                .executionReceiptAvailable(
                    ExecutionReceiptAvailableV1(
                        jobID: JobID(module), receiptCID: module, executorDID: identity.did,
                        status: .completedSuccessfully)))
        case .anchorHeads:
            return try HostileMessage(.anchorHeads(AnchorHeadsV1(scope: "global", heads: [module], height: 3)))
        case .reputation:
            let record = ReputationRecord(
                raterDID: identity.did, subjectDID: mesh.originator.identity.did, receiptCID: module,
                verdict: .fulfilled, weight: 7, recordedAt: now,
                pay: RecordedPay(issuerDID: identity.did, settlementCID: module, proofCID: module))
            let signed = try SignedObject.sign(record, with: identity)
            return try HostileMessage(
                .reputationRecordAvailable(ReputationRecordAvailableV1(record: signed.bytes)),
                [.init(signed, by: identity)])
        default:
            let signed = try SignedObject.sign(manifest(), with: identity)
            var announcement = JobAnnouncementV1(
                jobID: JobID(signed.cid), manifest: signed.bytes, originatorPeerID: identity.peerID,
                providerAddresses: [], expiresAt: signed.body.expiresAt)
            if kind == .announcementByCID {
                announcement.manifest = nil
                announcement.executionPolicy = signed.body.params.executionPolicy
                return try HostileMessage(.jobAnnouncement(announcement))
            }
            return try HostileMessage(.jobAnnouncement(announcement), [.init(signed, by: identity)])
        }
    }

    private func manifest() -> JobManifest {
        var params = MeshJobParams(wasmCID: module)
        params.maxFuel = 1_000_000
        params.args = ["one"]
        params.env = ["A": "b"]
        params.inputCIDs = ["data": module]
        params.resourcesRequired = ["memory_mib": 1]
        params.maxAcceptableBidTokens = TokenAmount(1_000)
        params.description = "hostile"
        var policy = ExecutionPolicy()
        policy.maxPrice = TokenAmount(1_000)
        policy.minReputation = 0
        policy.deadline = NodeClock.wallClock.advanced(milliseconds: 3_600_000)
        policy.weights = .standard
        policy.bidWindowMilliseconds = 500
        policy.sufficientBids = 2
        policy.maxAttempts = 3
        params.executionPolicy = policy
        let now = NodeClock.wallClock
        return JobManifest(
            params: params, originatorDID: peer.identity.did, originatorPeerID: peer.identity.peerID,
            originatorAddresses: [], nonce: randomBytes(16), submittedAt: now,
            biddingDeadline: now.advanced(milliseconds: 30_000), expiresAt: now.advanced(milliseconds: 600_000))
    }

    // MARK: Originator

    private func asOriginator(_ kind: Kind, to executor: MeshNode) async throws -> HostileMessage {
        let identity = peer.identity
        let manifest = try SignedObject.sign(manifest(), with: identity)
        let bid = try bid(on: JobID(manifest.cid), of: identity.peerID, by: executor.identity)
        let assignment = try SignedObject.sign(
            Assignment(
                jobID: JobID(manifest.cid), originatorDID: identity.did, bidCID: bid.cid,
                executorDID: executor.identity.did, attempt: 1, leaseMilliseconds: 10_000, terms: bid.body.terms,
                assignedAt: NodeClock.wallClock, acceptBy: bid.body.expiresAt), with: identity)
        let order = try HostileMessage(
            .assignJob(AssignJobV1(manifest: manifest.bytes, bid: bid.bytes, assignment: assignment.bytes)),
            [.init(manifest, by: identity), .init(bid, by: executor.identity), .init(assignment, by: identity)])
        switch kind {
        case .cancellation:
            return try HostileMessage(
                .cancelJob(CancelJobV1(jobID: JobID(manifest.cid), assignmentCID: assignment.cid, reason: "enough")))
        case .bidRefusal:
            return try HostileMessage(
                .jobBidRefused(
                    JobBidRefusedV1(
                        jobID: JobID(manifest.cid), bidCID: bid.cid,
                        Refusal(code: RefusalCode("dear"), text: "too dear"))))
        case .settlement: return try await settlement(order, of: JobID(manifest.cid), by: executor)
        default: return order
        }
    }

    /// Has the executor run a job, and answers its receipt.
    private func settlement(
        _ order: HostileMessage, of job: JobID, by executor: MeshNode
    ) async throws -> HostileMessage {
        let whole = HostileMessage.Place(object: nil, path: [])
        _ = try await peer.send(order.bytes(with: order.message, at: whole), to: executor)
        let receipt = try #require(
            await peer.awaiting { message -> SignedObject<ExecutionReceipt>? in
                guard case .executionReceiptAvailable(let notice) = message, notice.jobID == job else { return nil }
                return notice.receipt.flatMap { try? SignedObject<ExecutionReceipt>(verifying: $0) }
            })
        let settlement = try SignedObject.sign(
            Settlement(
                jobID: job, receiptCID: receipt.cid, originatorDID: peer.identity.did,
                executorDID: executor.identity.did, amountPaid: receipt.body.price, amountRefunded: .zero,
                verdict: .paid, settledAt: NodeClock.wallClock), with: peer.identity)
        return try HostileMessage(
            .jobSettled(JobSettledV1(settlement: settlement.bytes)), [.init(settlement, by: peer.identity)])
    }

    private func bid(on job: JobID, of originator: PeerID, by bidder: Identity) throws -> SignedObject<Bid> {
        let now = NodeClock.wallClock
        let terms = BidTerms(
            price: TokenAmount(1), basePrice: TokenAmount(1), pricePerMillionFuel: TokenAmount(0), earliestStart: now,
            deadline: now.advanced(milliseconds: 60_000), resourceGuarantees: ["memory_mib": 1])
        return try SignedObject.sign(
            Bid(
                jobID: job, originatorPeerID: originator, bidderDID: bidder.did, bidderPeerID: bidder.peerID,
                terms: terms, collateral: TokenAmount(1), region: "eu",
                features: [mesh.originator.engineFeature, "simd"],
                resources: ["memory_mib": 512], loadPermille: 10, issuedAt: now,
                expiresAt: now.advanced(milliseconds: 30_000)), with: bidder)
    }

    // MARK: Executor

    /// A job of the honest originator that only this peer may have.
    private func job(_ change: (inout JobSubmission) -> Void = { _ in }) async throws -> JobID {
        var submission = JobSubmission(moduleCID: module.text)
        submission.policy.allowedDIDs = [peer.identity.did.text]
        submission.policy.sufficientBids = 1
        change(&submission)
        let job = JobID(try CID(named: try await mesh.originator.submit(submission).jobID, "job"))
        await jobs.add(job)
        return job
    }

    private func asExecutor(_ kind: Kind) async throws -> HostileMessage {
        let originator = mesh.originator.identity.peerID
        guard kind != .bid else {
            let job = try await jobForBids()
            let bid = try bid(on: job, of: originator, by: peer.identity)
            return try HostileMessage(
                .jobBid(JobBidV1(bid: ProtocolBid(bid))), [.init(bid, by: peer.identity)])
        }
        if kind == .status, let assignment = await jobs.assignment { return try status(of: assignment) }
        let job = try await job()
        let bid = try bid(on: job, of: originator, by: peer.identity)
        let bidding = try MeshProtocolMessage.jobBid(JobBidV1(bid: ProtocolBid(bid))).encoded()
        let reply = try await peer.send(bidding, to: mesh.originator)
        try #require(reply == .ack, "a valid bid got \(String(describing: reply))")
        let order = try #require(
            await peer.awaiting { message -> AssignJobV1? in
                guard case .assignJob(let order) = message else { return nil }
                return JobID(CID.hashing(order.manifest, codec: .dagCBOR)) == job ? order : nil
            })
        let assignment = try SignedObject<Assignment>(verifying: order.assignment)
        if kind == .status {
            await jobs.keep(assignment)
            return try status(of: assignment)
        }
        return try receipt(of: assignment, on: try SignedObject<JobManifest>(verifying: order.manifest).body)
    }

    /// The job that waits for more bids than come.
    private func jobForBids() async throws -> JobID {
        if let open = await jobs.openForBids { return open }
        let job = try await job { submission in
            submission.policy.sufficientBids = 64
            submission.policy.bidWindowMilliseconds = 20_000
        }
        await jobs.keep(openForBids: job)
        return job
    }

    private func status(of assignment: SignedObject<Assignment>) throws -> HostileMessage {
        try HostileMessage(
            .jobStatusUpdate(
                JobStatusUpdateV1(
                    jobID: assignment.body.jobID, assignmentCID: assignment.cid, executorDID: peer.identity.did,
                    status: .running, progressPermille: 5, sequence: 1)))
    }

    private func receipt(
        of assignment: SignedObject<Assignment>, on manifest: JobManifest
    ) throws -> HostileMessage {
        let now = NodeClock.wallClock
        let receipt = ExecutionReceipt(
            jobID: assignment.body.jobID, assignmentCID: assignment.cid, originatorDID: manifest.originatorDID,
            executorDID: peer.identity.did, attempt: 1, moduleCID: manifest.params.wasmCID,
            inputCIDs: manifest.params.inputCIDs, outcome: .exited(code: 0),
            resourceUsage: ResourceUsage(
                fuel: 10, peakMemoryBytes: 10, hostCalls: ["fd_write": 2], bytesRead: 3, bytesWritten: 4,
                wallMilliseconds: 5),
            price: TokenAmount(1),
            engine: manifest.execution?.engine
                ?? EngineDescription(name: "x", version: "1", configurationDigest: "ab"), determinism: .deterministic,
            executionStartedAt: now, executionEndedAt: now)
        let signed = try SignedObject.sign(receipt, with: peer.identity)
        return try HostileMessage(
            .executionReceiptAvailable(
                ExecutionReceiptAvailableV1(
                    jobID: receipt.jobID, receiptCID: signed.cid, executorDID: receipt.executorDID,
                    status: receipt.status, receipt: signed.bytes)), [.init(signed, by: peer.identity)])
    }
}

extension MeshNode {
    /// Whether a job of this node has its result.
    fileprivate func isOver(_ job: CID) -> Bool {
        core.market.originatedJob(JobID(job)).map { $0.result != nil } ?? true
    }

    /// A counter of the node's status; zero where it is not told.
    func count(_ name: String) async throws -> UInt64 {
        try await status().counters.first { $0.name == name }?.value ?? 0
    }
}
