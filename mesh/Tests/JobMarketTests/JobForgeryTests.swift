import Determinism
import Economics
import JobMarket
import MeshTypes
import Multiformats
import PeerIdentity
import Reputation
import SignedObjects
import Testing

/// What is forged, misdirected, altered or stale is refused with its reason, counted, and changes nothing.
@Suite("Forgeries")
struct JobForgeryTests {
    /// A world whose first executor hangs in a run of the returned job.
    private func running() throws -> (MarketWorld, JobID) {
        var world = MarketWorld(executors: 2) { _, configuration in configuration.originator.sufficientBids = 2 }
        world.parties[1].run = .hang
        let id = try world.submit()
        #expect(world.run(milliseconds: 5000) { $0.job(id)?.status == .running })
        return (world, id)
    }

    private func expectRefused(
        _ world: inout MarketWorld, _ message: MeshProtocolMessage, from sender: Int, to receiver: Int, code: String
    ) {
        let journal = world.parties[receiver].journal.count
        let (reply, transition) = world.parties[receiver].market.receive(
            message, from: world.parties[sender].peer, now: world.now, wallClock: world.wallClock)
        switch reply {
        case .refused(let refusal), .declined(let refusal): #expect(refusal.code.text == code)
        default: Issue.record("\(message.variant) was answered by \(String(describing: reply))")
        }
        #expect(transition.events.isEmpty, "\(code)")
        #expect(world.parties[receiver].journal.count == journal)
    }

    private func bid(_ world: MarketWorld, _ id: JobID, by index: Int, _ change: (inout Bid) -> Void = { _ in }) throws
        -> Bid
    {
        let identity = world.parties[index].identity
        let terms = BidTerms(
            price: TokenAmount(5), basePrice: TokenAmount(5), pricePerMillionFuel: .zero,
            earliestStart: world.wallClock,
            deadline: world.wallClock.advanced(milliseconds: 1000))
        var bid = Bid(
            jobID: id, originatorPeerID: world.parties[0].peer, bidderDID: identity.did, bidderPeerID: identity.peerID,
            terms: terms, issuedAt: world.wallClock, expiresAt: world.wallClock.advanced(milliseconds: 10_000))
        change(&bid)
        return bid
    }

    @Test func bids() throws {
        var world = MarketWorld(executors: 2)
        world.blocked = [.jobBid]
        let id = try world.submit()
        world.run(milliseconds: 100)
        let signed = try SignedObject.sign(bid(world, id, by: 1), with: world.parties[1].identity)
        let message = MeshProtocolMessage.jobBid(JobBidV1(bid: ProtocolBid(signed)))
        // Sent on by somebody else.
        expectRefused(&world, message, from: 2, to: 0, code: "not_verified")
        // For another originator.
        let other = try bid(world, id, by: 1) { $0.originatorPeerID = world.parties[2].peer }
        let misdirected = try SignedObject.sign(other, with: world.parties[1].identity)
        expectRefused(
            &world, .jobBid(JobBidV1(bid: ProtocolBid(misdirected))), from: 1, to: 0, code: "not_verified")
        // Altered on the way: no byte of the signed block can be changed.
        for index in stride(from: 0, to: signed.bytes.count, by: 7) {
            var altered = ProtocolBid(signed)
            altered.signedBid[index] ^= 0x10
            expectRefused(&world, .jobBid(JobBidV1(bid: altered)), from: 1, to: 0, code: "not_verified")
        }
        var lean = ProtocolBid(signed)
        lean.price = TokenAmount(1)
        expectRefused(&world, .jobBid(JobBidV1(bid: lean)), from: 1, to: 0, code: "not_verified")
        // For a job that is not known.
        let unknown = try bid(world, JobID(signed.cid), by: 1)
        let signedUnknown = try SignedObject.sign(unknown, with: world.parties[1].identity)
        expectRefused(
            &world, .jobBid(JobBidV1(bid: ProtocolBid(signedUnknown))), from: 1, to: 0, code: "job_not_open")
        #expect(world.parties[0].market.counters.refusals["bid_not_verified"] ?? 0 > 3)
    }

    @Test func assignments() throws {
        var (world, id) = try running()
        let good = try #require(
            world.log.compactMap { message -> AssignJobV1? in
                if case .assignJob(let assignment) = message { assignment } else { nil }
            }.first)
        // Executor 2 has bid as well, but this is executor 1's.
        expectRefused(&world, .assignJob(good), from: 0, to: 2, code: "not_own_bid")
        // Another peer pretends to be the originator.
        expectRefused(&world, .assignJob(good), from: 1, to: 2, code: "chain_mismatch")
        var altered = good
        altered.assignment[altered.assignment.count / 2] ^= 1
        expectRefused(&world, .assignJob(altered), from: 0, to: 1, code: "not_verified")
        altered = good
        altered.bid[altered.bid.count / 2] ^= 1
        // The bid is checked only where the assignment is not known already.
        expectRefused(&world, .assignJob(altered), from: 0, to: 2, code: "not_verified")
        altered = good
        altered.manifest[altered.manifest.count / 2] ^= 1
        expectRefused(&world, .assignJob(altered), from: 0, to: 1, code: "not_verified")
        // The originator changes the terms of executor 2's bid, or comes too late with them.
        let run = try #require(world.parties[2].market.executedJob(id))
        var body = Assignment(
            jobID: id, originatorDID: world.parties[0].identity.did, bidCID: run.bidCID,
            executorDID: world.parties[2].identity.did, attempt: 2, leaseMilliseconds: 10_000, terms: run.bid.terms,
            assignedAt: world.wallClock, acceptBy: run.bid.expiresAt)
        func chain(_ body: Assignment) throws -> MeshProtocolMessage {
            let signed = try SignedObject.sign(body, with: world.parties[0].identity)
            return .assignJob(
                AssignJobV1(manifest: good.manifest, bid: run.signedBid.bytes, assignment: signed.bytes))
        }
        body.terms.price = TokenAmount(1)
        expectRefused(&world, try chain(body), from: 0, to: 2, code: "terms_changed")
        body.terms = run.bid.terms
        body.leaseMilliseconds = 1
        expectRefused(&world, try chain(body), from: 0, to: 2, code: "terms_changed")
        body.leaseMilliseconds = 10_000
        body.bidCID = id.cid
        expectRefused(&world, try chain(body), from: 0, to: 2, code: "chain_mismatch")
        body.bidCID = run.bidCID
        body.replicaSlot = 1
        expectRefused(&world, try chain(body), from: 0, to: 2, code: "chain_mismatch")
        body.replicaSlot = 0
        let message = try chain(body)
        world.now = world.now.advanced(milliseconds: 60_000)
        // By then the bid has lapsed in the executor's own book, too.
        world.give(.deadlineReached, to: 2)
        expectRefused(&world, message, from: 0, to: 2, code: "expired")
    }

    @Test func statusUpdatesAndCancellations() throws {
        var (world, id) = try running()
        let assignment = try #require(world.job(id)?.liveAttempt)
        let did = world.parties[1].identity.did
        func update(_ cid: CID, _ did: DID) -> MeshProtocolMessage {
            .jobStatusUpdate(
                JobStatusUpdateV1(
                    jobID: id, assignmentCID: cid, executorDID: did, status: .producingOutputs, sequence: .max))
        }
        expectRefused(&world, update(assignment.cid, did), from: 2, to: 0, code: "wrong_executor")
        let other = world.parties[2].identity.did
        expectRefused(&world, update(assignment.cid, other), from: 1, to: 0, code: "wrong_executor")
        expectRefused(&world, update(id.cid, did), from: 1, to: 0, code: "assignment_unknown")
        let cancel = MeshProtocolMessage.cancelJob(CancelJobV1(jobID: id, assignmentCID: assignment.cid, reason: ""))
        expectRefused(&world, cancel, from: 2, to: 1, code: "wrong_peer")
        expectRefused(&world, cancel, from: 0, to: 2, code: "assignment_unknown")
    }

    @Test func receipts() throws {
        var (world, id) = try running()
        let attempt = try #require(world.job(id)?.liveAttempt)
        let job = try #require(world.job(id))
        var good = ExecutionReceipt(
            jobID: id, assignmentCID: attempt.cid, originatorDID: job.manifest.originatorDID,
            executorDID: world.parties[1].identity.did, attempt: 1, moduleCID: job.manifest.params.wasmCID,
            inputCIDs: [:], outcome: .exited(code: 0), resourceUsage: ResourceUsage(fuel: 1_000_000),
            price: TokenAmount(11), engine: EngineDescription(name: "none", version: "0", configurationDigest: ""),
            determinism: .deterministic, executionStartedAt: world.wallClock, executionEndedAt: world.wallClock)
        func message(_ receipt: ExecutionReceipt, by index: Int) throws -> MeshProtocolMessage {
            let signed = try SignedObject.sign(receipt, with: world.parties[index].identity)
            return .executionReceiptAvailable(
                ExecutionReceiptAvailableV1(
                    jobID: id, receiptCID: signed.cid, executorDID: receipt.executorDID, status: receipt.status,
                    receipt: signed.bytes))
        }
        // Another node's receipt for this assignment, and one for an assignment that never was.
        var forged = good
        forged.executorDID = world.parties[2].identity.did
        expectRefused(&world, try message(forged, by: 2), from: 2, to: 0, code: "wrong_executor")
        forged = good
        forged.assignmentCID = id.cid
        expectRefused(&world, try message(forged, by: 1), from: 1, to: 0, code: "assignment_unknown")
        // Every byte of the block counts.
        let signed = try SignedObject.sign(good, with: world.parties[1].identity)
        for index in stride(from: 0, to: signed.bytes.count, by: 5) {
            var bytes = signed.bytes
            bytes[index] ^= 1
            let notice = ExecutionReceiptAvailableV1(
                jobID: id, receiptCID: signed.cid, executorDID: good.executorDID, status: good.status, receipt: bytes)
            expectRefused(&world, .executionReceiptAvailable(notice), from: 1, to: 0, code: "not_verified")
        }
        let bare = ExecutionReceiptAvailableV1(
            jobID: id, receiptCID: signed.cid, executorDID: good.executorDID, status: good.status)
        expectRefused(&world, .executionReceiptAvailable(bare), from: 1, to: 0, code: "receipt_missing")
        good.price = TokenAmount(11)
        world.give(try message(good, by: 1), from: world.parties[1].peer, to: 0)
        #expect(world.job(id)?.result == .completedSuccessfully)
    }

    /// A receipt that its executor signed and that is wrong is evidence against it: the job goes to another.
    @Test(arguments: [
        "price_mismatch", "over_limit", "status_mismatch", "dates_out_of_order", "chain_mismatch", "too_many",
        "cid_not_accepted",
    ])
    func aWrongReceiptEndsTheAttempt(code: String) throws {
        var (world, id) = try running()
        let attempt = try #require(world.job(id)?.liveAttempt)
        let job = try #require(world.job(id))
        var receipt = ExecutionReceipt(
            jobID: id, assignmentCID: attempt.cid, originatorDID: job.manifest.originatorDID,
            executorDID: world.parties[1].identity.did, attempt: 1, moduleCID: job.manifest.params.wasmCID,
            inputCIDs: [:], outcome: .exited(code: 0), resourceUsage: ResourceUsage(fuel: 1_000_000),
            price: TokenAmount(11), engine: EngineDescription(name: "none", version: "0", configurationDigest: ""),
            determinism: .deterministic, executionStartedAt: world.wallClock, executionEndedAt: world.wallClock)
        switch code {
        case "price_mismatch": receipt.price = TokenAmount(12)
        case "over_limit": receipt.resourceUsage.fuel = UInt64(Int64.max)
        case "status_mismatch": receipt.status = .failed
        case "dates_out_of_order": receipt.executionStartedAt = receipt.executionEndedAt.advanced(milliseconds: 1)
        case "too_many": receipt.anchoredCIDs = Array(repeating: id.cid, count: 1025)
        case "cid_not_accepted": receipt.anchoredCIDs = [CID.hashing([], codec: .dagJSON)]
        default: receipt.moduleCID = id.cid
        }
        let signed = try SignedObject.sign(receipt, with: world.parties[1].identity)
        let notice = ExecutionReceiptAvailableV1(
            jobID: id, receiptCID: signed.cid, executorDID: receipt.executorDID, status: receipt.status,
            receipt: signed.bytes)
        world.give(.executionReceiptAvailable(notice), from: world.parties[1].peer, to: 0)
        guard case .receiptInvalid(signed.cid, let reason) = world.job(id)?.attempts.first?.end else {
            Issue.record("\(String(describing: world.job(id)?.attempts.first?.end))")
            return
        }
        #expect(reason.name.rawValue == code)
        world.run(milliseconds: 300_000)
        #expect(world.job(id)?.result == .completedSuccessfully)
        #expect(world.job(id)?.attempts.count == 2)
        let evidence = world.parties[0].market.reputation.evidence(about: world.parties[1].identity.did)
        #expect(evidence.map(\.verdict) == [.invalid])
        #expect(world.totalTokens == 1_000_000)
    }

    @Test func settlements() throws {
        var world = MarketWorld(executors: 1)
        world.blocked = [.jobSettled]
        let id = try world.submit()
        world.run(milliseconds: 5000)
        let run = try #require(world.parties[1].market.executedJob(id))
        let receipt = try #require(run.receiptCID)
        func settlement(_ paid: UInt64, by index: Int) throws -> MeshProtocolMessage {
            let body = Settlement(
                jobID: id, receiptCID: receipt, originatorDID: world.parties[index].identity.did,
                executorDID: world.parties[1].identity.did, amountPaid: TokenAmount(paid), amountRefunded: .zero,
                verdict: .paid, settledAt: world.wallClock)
            return .jobSettled(
                JobSettledV1(settlement: try SignedObject.sign(body, with: world.parties[index].identity).bytes))
        }
        expectRefused(&world, try settlement(11, by: 1), from: 1, to: 1, code: "chain_mismatch")
        expectRefused(&world, try settlement(11, by: 0), from: 1, to: 1, code: "chain_mismatch")
        expectRefused(&world, try settlement(1000, by: 0), from: 0, to: 1, code: "chain_mismatch")
        expectRefused(&world, .jobSettled(JobSettledV1(settlement: [1, 2])), from: 0, to: 1, code: "not_verified")
        #expect(world.parties[1].market.ledger.wallet == .zero)
    }

    @Test func gossip() throws {
        var world = MarketWorld(executors: 2)
        let id = try world.submit()
        guard case .jobAnnouncement(let good) = world.log.first else {
            Issue.record("nothing was announced")
            return
        }
        func verdict(_ message: MeshProtocolMessage, by author: Int) -> GossipJudgement? {
            world.parties[1].market.judge(
                message, author: world.parties[author].peer, now: world.now, wallClock: world.wallClock
            ).verdict
        }
        #expect(verdict(.jobAnnouncement(good), by: 2) == .reject(reason: "announced by another peer"))
        var altered = good
        altered.manifest?[40] ^= 1
        #expect(verdict(.jobAnnouncement(altered), by: 0) == .reject(reason: "the manifest does not verify"))
        altered = good
        altered.expiresAt = UnixMilliseconds(1000)
        #expect(verdict(.jobAnnouncement(altered), by: 0) == .ignore(reason: "expired"))
        #expect(verdict(.jobAnnouncement(good), by: 0) == .accept)
        #expect(verdict(.jobAnnouncement(good), by: 0) == .accept, "and judged once")
        #expect(
            verdict(.cancelJob(CancelJobV1(jobID: id, assignmentCID: id.cid, reason: "")), by: 0)
                == .reject(reason: "CancelJobV1 is not a gossip message"))
        let capability = NodeCapability(
            nodeDID: world.parties[2].identity.did, peerID: world.parties[2].peer, issuedAt: world.wallClock,
            validUntil: world.wallClock.advanced(milliseconds: 1000))
        let signed = try SignedObject.sign(capability, with: world.parties[2].identity)
        let advertisement = MeshProtocolMessage.capabilityAdvertisement(
            CapabilityAdvertisementV1(capability: signed.bytes))
        #expect(verdict(advertisement, by: 2) == .accept)
        #expect(verdict(advertisement, by: 0) == .reject(reason: "the capability is not its author's"))
    }
}
