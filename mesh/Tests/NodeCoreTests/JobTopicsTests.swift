import Determinism
import JobMarket
import MeshTypes
import Multiformats
import PeerIdentity
import SignedObjects
import Testing

@testable import NodeCore

/// The topics of single jobs: which are followed, and what is forwarded on them.
@Suite struct JobTopicsTests {
    private let date = UnixMilliseconds(1_800_000_000_000)

    private func key(_ number: Int) throws -> Identity {
        try Identity(seed: Array(repeating: UInt8(number % 256), count: 31) + [UInt8(number / 256)])
    }

    private func manifest(
        _ number: Int = 0, bids: Bool = true, status: Bool = true
    ) throws -> SignedObject<JobManifest> {
        var params = MeshJobParams(wasmCID: CID.hashing([1], codec: .raw))
        var policy = ExecutionPolicy()
        (policy.publicBids, policy.publicStatus) = (bids, status)
        params.executionPolicy = policy
        let originator = try key(0)
        return try SignedObject.sign(
            JobManifest(
                params: params, originatorDID: originator.did, originatorPeerID: originator.peerID,
                originatorAddresses: [],
                nonce: Array(repeating: 1, count: 15) + [UInt8(number % 256)],
                submittedAt: date.advanced(milliseconds: UInt64(number)),
                biddingDeadline: date.advanced(milliseconds: 10_000),
                expiresAt: date.advanced(milliseconds: 100_000)), with: originator)
    }

    private func bid(
        by bidder: Identity, price: UInt64 = 1, on job: JobID? = nil
    ) throws -> SignedObject<Bid> {
        try SignedObject.sign(
            Bid(
                jobID: try job ?? JobID(manifest().cid), originatorPeerID: key(0).peerID, bidderDID: bidder.did,
                bidderPeerID: bidder.peerID,
                terms: BidTerms(
                    price: TokenAmount(price), basePrice: TokenAmount(price), pricePerMillionFuel: .zero,
                    earliestStart: date, deadline: date), issuedAt: date, expiresAt: date), with: bidder)
    }

    private func commitment(to bid: SignedObject<Bid>, by bidder: Identity) throws -> MeshProtocolMessage {
        .jobBidCommitment(JobBidCommitmentV1(try SignedObject.sign(BidCommitment(to: bid), with: bidder)))
    }

    private func shown(_ bid: SignedObject<Bid>) -> MeshProtocolMessage { .jobBid(JobBidV1(bid: ProtocolBid(bid))) }

    private func followed(as role: JobRole = .executor, _ limits: JobTopics.Limits = .init()) throws -> JobTopics {
        var topics = JobTopics(limits: limits)
        let signed = try manifest()
        _ = topics.follow(JobID(signed.cid), signed.body, as: role)
        return topics
    }

    private func word(_ judgement: GossipJudgement) -> String {
        switch judgement {
        case .accept: "accept"
        case .ignore: "ignore"
        case .reject: "reject"
        }
    }

    @Test("Bids: who commits, who says what counts, and who may show a bid")
    func bids() throws {
        var topics = try followed()
        let job = JobID(try manifest().cid)
        let (originator, one, two) = (try key(0), try key(1), try key(2))
        let (first, second) = (try bid(by: one), try bid(by: two))
        let sealed = MeshProtocolMessage.jobBidsSealed(JobBidsSealedV1(jobID: job, bids: [first.cid]))
        let many = (0..<65).map { CID.hashing([UInt8($0)], codec: .dagCBOR) }.sorted()
        let other = try bid(by: one, on: JobID(CID.hashing([9], codec: .dagCBOR)))
        let update = MeshProtocolMessage.jobStatusUpdate(
            JobStatusUpdateV1(jobID: job, assignmentCID: first.cid, executorDID: one.did, status: .running, sequence: 1)
        )
        let rows: [(message: MeshProtocolMessage, author: Identity, verdict: String)] = [
            (try commitment(to: first, by: one), two, "reject"), (try commitment(to: other, by: one), one, "reject"),
            (shown(first), one, "ignore"), (try commitment(to: first, by: one), one, "accept"),
            (try commitment(to: first, by: one), one, "ignore"), (try commitment(to: second, by: two), two, "accept"),
            (shown(try bid(by: one, price: 2)), one, "ignore"), (shown(first), two, "reject"),
            (shown(other), one, "reject"),
            (sealed, one, "reject"), (.jobBidsSealed(JobBidsSealedV1(jobID: job, bids: [])), originator, "reject"),
            (.jobBidsSealed(JobBidsSealedV1(jobID: job, bids: many)), originator, "reject"),
            (.jobBidsSealed(JobBidsSealedV1(jobID: job, bids: [first.cid, first.cid])), originator, "reject"),
            (.jobBidsSealed(JobBidsSealedV1(jobID: JobID(first.cid), bids: [first.cid])), originator, "reject"),
            (sealed, originator, "accept"), (try commitment(to: try bid(by: two, price: 3), by: two), two, "ignore"),
            (shown(first), one, "accept"), (update, one, "reject"),
        ]
        for (index, row) in rows.enumerated() {
            let verdict = topics.judgement(
                of: row.message, byteCount: 100, topic: MeshTopics.bids(on: job), author: row.author.peerID, now: .zero)
            #expect(word(verdict) == row.verdict, "row \(index): \(verdict)")
        }
    }

    @Test("What one author says, how many authors are heard and all bytes are bounded")
    func bounded() throws {
        var limits = JobTopics.Limits()
        (limits.authorsMax, limits.messagesPerAuthorMax, limits.bytesMax) = (2, 3, 1_000)
        var topics = try followed(limits)
        let topic = MeshTopics.bids(on: JobID(try manifest().cid))
        func say(_ price: UInt64, _ author: Int, bytes: Int = 10) throws -> String {
            let author = try key(author)
            return word(
                topics.judgement(
                    of: try commitment(to: try bid(by: author, price: price), by: author), byteCount: bytes,
                    topic: topic, author: author.peerID, now: .zero))
        }
        #expect(try (1...4).map { try say($0, 1) } == ["accept", "accept", "accept", "ignore"])
        #expect(try (1...3).map { try say(1, $0 + 1) } == ["accept", "ignore", "ignore"])
        #expect(try say(2, 2, bytes: 961) == "ignore")
        #expect(try say(2, 2, bytes: 960) == "accept")
    }

    @Test("The originator is heard whatever others say, up to originatorMessagesMax, and each round takes commitments")
    func rounds() throws {
        var limits = JobTopics.Limits()
        (limits.authorsMax, limits.bytesMax) = (1, 10)
        var topics = try followed(limits)
        let job = JobID(try manifest().cid)
        func say(_ message: MeshProtocolMessage, _ author: Identity, at milliseconds: Int64 = 0) -> String {
            word(
                topics.judgement(
                    of: message, byteCount: 10, topic: MeshTopics.bids(on: job), author: author.peerID,
                    now: MonotonicInstant.zero.advanced(milliseconds: milliseconds)))
        }
        let (bidder, bid) = (try key(1), try bid(by: try key(1)))
        let commitment = try commitment(to: bid, by: bidder)
        #expect(say(commitment, bidder) == "accept")
        let sealed = MeshProtocolMessage.jobBidsSealed(JobBidsSealedV1(jobID: job, bids: [bid.cid]))
        let originator = try key(0)
        let most = topics.limits.originatorMessagesMax
        #expect((0...most).map { _ in say(sealed, originator) } == Array(repeating: "accept", count: most) + ["ignore"])
        // A bidder whose commitment is one of the next round.
        let next = try self.commitment(to: try self.bid(by: bidder, price: 7), by: bidder)
        let pause = topics.limits.sealedMilliseconds
        topics = try followed()
        #expect(say(sealed, originator) == "accept")
        #expect(say(next, bidder, at: pause - 1) == "ignore" && say(next, bidder, at: pause) == "accept")
    }

    @Test("Status: of the job, by the executor that it names, at most statusPerSecondMax a second")
    func status() throws {
        var topics = try followed(as: .originator)
        let job = JobID(try manifest().cid)
        let executor = try key(1)
        func say(_ job: JobID, _ author: Identity, as named: Identity? = nil, at milliseconds: Int64 = 0) -> String {
            let update = JobStatusUpdateV1(
                jobID: job, assignmentCID: job.cid, executorDID: (named ?? executor).did, status: .running, sequence: 1)
            return word(
                topics.judgement(
                    of: .jobStatusUpdate(update), byteCount: 10, topic: MeshTopics.status(of: JobID(job.cid)),
                    author: author.peerID, now: MonotonicInstant.zero.advanced(milliseconds: milliseconds)))
        }
        #expect(say(job, try key(2)) == "reject")
        let max = topics.limits.statusPerSecondMax
        #expect((0...max).map { _ in say(job, executor) } == Array(repeating: "accept", count: max) + ["ignore"])
        let other = try key(3)
        #expect(say(job, other, as: other) == "accept", "what one says takes nothing from another")
        #expect(say(job, executor, at: 1_000) == "accept")
        #expect(say(JobID(CID.hashing([3], codec: .dagCBOR)), executor) == "ignore", "a topic that is not followed")
    }

    @Test("Topics are followed as long as a job or a bid is open, and no more than topicsMax of them")
    func following() throws {
        var topics = JobTopics()
        let signed = try manifest()
        let id = JobID(signed.cid)
        func names(_ effects: [NodeEffect]) -> [String] {
            effects.compactMap {
                switch $0 {
                case .joinTopic(let topic): "+" + topic
                case .leaveTopic(let topic): "-" + topic
                default: nil
                }
            }
        }
        func event(_ kind: JobEventKind, _ role: JobRole) -> [String] {
            names(topics.follow(JobEvent(jobID: id, role: role, at: date, kind: kind)))
        }
        let (bids, status) = (MeshTopics.bids(on: id), MeshTopics.status(of: id))
        let own = try SignedObject.sign(
            Bid(
                jobID: id, originatorPeerID: key(0).peerID, bidderDID: key(0).did, bidderPeerID: key(0).peerID,
                terms: bid(by: key(0)).body.terms, issuedAt: date, expiresAt: date), with: key(0))
        #expect(
            event(
                .submitted(manifest: signed, requester: try key(0).did, idempotencyKey: "", announceUntil: date),
                .originator)
                == ["+" + bids, "+" + status])
        #expect(event(.bidMade(manifest: signed, bid: own), .executor) == [], "it is followed already")
        #expect(event(.bidClosed(reason: .lapsed), .executor) == [])
        #expect(event(.failed(.nobodyReachable), .originator) == ["-" + bids, "-" + status])
        #expect(event(.bidMade(manifest: signed, bid: own), .executor) == ["+" + bids], "a bidder follows no status")
        #expect(event(.bidClosed(reason: .lapsed), .executor) == ["-" + bids] && topics.count == 0)
        let quiet = try manifest(1, bids: false, status: false)
        #expect(topics.follow(JobID(quiet.cid), quiet.body, as: .originator).isEmpty)
        for number in 0...topics.limits.biddenTopicsMax {
            let next = try manifest(2_000 + number, status: false)
            let effects = topics.follow(JobID(next.cid), next.body, as: .executor)
            #expect(effects.isEmpty == (number == topics.limits.biddenTopicsMax))
        }
        for number in topics.limits.biddenTopicsMax..<topics.limits.topicsMax {
            let next = try manifest(number, status: false)
            #expect(names(topics.follow(JobID(next.cid), next.body, as: .originator)).count == 1)
        }
        let further = try manifest(1_000)
        #expect(topics.follow(JobID(further.cid), further.body, as: .originator).isEmpty)
        #expect(topics.count == topics.limits.topicsMax)
    }
}
