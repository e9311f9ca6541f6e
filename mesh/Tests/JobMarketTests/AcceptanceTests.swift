import Determinism
import MeshTypes
import Multiformats
import PeerIdentity
import Reputation
import SignedObjects
import Testing

@testable import JobMarket

/// An executor signs that it takes a job; only then its silence is anything against it, and only here.
@Suite("Signed acceptances")
struct AcceptanceTests {
    private func evidence(_ world: MarketWorld, about index: Int) -> [ReputationEvidence] {
        world.parties[0].market.reputation.evidence(about: world.parties[index].identity.did)
    }

    /// A world in which the executor that has the job says nothing any more.
    private func silent(_ change: (inout MarketWorld) -> Void = { _ in }) throws -> (MarketWorld, JobID) {
        var world = MarketWorld(executors: 1)
        world.checksReplay = true
        world.parties[1].run = .hang
        change(&world)
        let id = try world.submit()
        #expect(world.run(milliseconds: 20_000) { $0.job(id)?.status == .running })
        world.parties[1].isDown = true
        return (world, id)
    }

    /// Waits for the end of the lease, while somebody else says something.
    private func expire(_ world: inout MarketWorld, _ id: JobID, hearing peer: PeerID?) {
        for _ in 0..<60 where world.job(id)?.attempts.first?.end == nil {
            world.run(milliseconds: 1_000)
            if let peer { world.give(.jobInquiry(JobInquiryV1(jobID: id)), from: peer, to: 0) }
        }
        #expect(world.job(id)?.attempts.first?.end == .leaseExpired(lastStatus: .running))
    }

    @Test("The silence of an executor that signed counts as an abandoned job, and names its acceptance")
    func silence() throws {
        var (world, id) = try silent()
        let acceptance = try #require(world.job(id)?.attempts.first?.acceptance)
        let block = try #require(world.parties[0].blocks[acceptance])
        let signed = try SignedObject<AssignmentAcceptance>(verifying: block)
        #expect(signed.body.executorDID == world.parties[1].identity.did)
        #expect(signed.body.assignmentCID == world.job(id)?.attempts.first?.cid)
        expire(&world, id, hearing: Identity.generate().peerID)
        #expect(evidence(world, about: 1).map(\.verdict) == [.undelivered])
        #expect(evidence(world, about: 1).map(\.receiptCID) == [acceptance])
        try world.restart(0)
        #expect(evidence(world, about: 1).map(\.verdict) == [.undelivered], "it was written down")
    }

    @Test("Where nobody else was heard, it may be this node that nobody reaches: nothing counts")
    func alone() throws {
        var (world, id) = try silent()
        expire(&world, id, hearing: nil)
        #expect(evidence(world, about: 1).isEmpty)
    }

    @Test("What this node says itself, or what waited behind an outage of its own, shows nothing of another's silence")
    func outage() throws {
        var (world, id) = try silent()
        expire(&world, id, hearing: world.parties[0].peer)
        #expect(evidence(world, about: 1).isEmpty)

        (world, id) = try silent()
        let other = Identity.generate().peerID
        world.give(.jobInquiry(JobInquiryV1(jobID: id)), from: other, to: 0)
        world.parties[0].isDown = true
        world.run(milliseconds: 120_000)
        world.parties[0].isDown = false
        world.give(.jobInquiry(JobInquiryV1(jobID: id)), from: other, to: 0)
        #expect(world.job(id)?.attempts.first?.end == .leaseExpired(lastStatus: .running))
        #expect(evidence(world, about: 1).isEmpty)

        // Heard at the beginning of the lease alone.
        (world, id) = try silent()
        world.give(.jobInquiry(JobInquiryV1(jobID: id)), from: other, to: 0)
        expire(&world, id, hearing: nil)
        #expect(evidence(world, about: 1).isEmpty)
    }

    @Test("What the executor delivers after all takes the place of its silence, and is dated here")
    func delivered() throws {
        var (world, id) = try silent()
        expire(&world, id, hearing: Identity.generate().peerID)
        #expect(evidence(world, about: 1).map(\.verdict) == [.undelivered])
        let attempt = try #require(world.job(id)?.attempts.first)
        let bid = try #require(world.parties[1].market.executedJob(id)?.bid)
        #expect(bid.bidderDID == world.parties[1].identity.did)
        world.parties[1].isDown = false
        world.finish(attempt.cid, .exited(code: 0), fuel: 1_000_000, of: 1, after: 10)
        world.run(milliseconds: 60_000)
        #expect(world.job(id)?.result == .completedSuccessfully)
        let item = try #require(evidence(world, about: 1).first)
        #expect(item.verdict == .fulfilled && evidence(world, about: 1).count == 1)
        #expect(item.at >= attempt.assignment.assignedAt && item.at <= world.wallClock)
    }

    @Test("An executor whose calendar is years off does not date what it did")
    func dates() throws {
        for step: Int64 in [-400 * 86_400_000, 400 * 86_400_000] {
            var world = MarketWorld(executors: 1)
            let id = try world.submit()
            #expect(world.run(milliseconds: 5_000) { $0.job(id)?.status == .running })
            world.parties[1].clockStepMilliseconds = step
            world.run(milliseconds: 60_000)
            guard let item = evidence(world, about: 1).first else { continue }
            #expect(item.at >= UnixMilliseconds(MarketWorld.epoch) && item.at <= world.wallClock)
        }
    }

    @Test("A word by another key, of another assignment, or that does not verify ends the attempt; none ends nothing")
    func untrue() throws {
        for number in 0..<4 {
            var world = MarketWorld(executors: 1)
            world.blocked = [.assignJob]
            let id = try world.submit()
            #expect(world.run(milliseconds: 5_000) { $0.job(id)?.attempts.count == 1 })
            let attempt = try #require(world.job(id)?.attempts.first)
            let (executor, other) = (world.parties[1].identity, Identity.generate())
            func word(_ signer: Identity, _ cid: CID) throws -> [UInt8] {
                try SignedObject.sign(
                    AssignmentAcceptance(executorDID: signer.did, assignmentCID: cid, acceptedAt: .epoch), with: signer
                ).bytes
            }
            let (block, fault): ([UInt8]?, AcceptanceFault?) =
                switch number {
                case 0: (try word(other, attempt.cid), .wrongExecutor)
                case 1: (try word(executor, id.cid), .wrongAssignment)
                case 2: (try word(executor, attempt.cid).dropLast() + [7], .notVerified)
                default: (nil, nil)
                }
            let delivery = DeliveryID(jobID: id, kind: .assignment, subject: attempt.cid)
            world.give(.deliveryReplied(delivery, .accepted(assignmentCID: attempt.cid, acceptance: block)), to: 0)
            let end = world.job(id)?.attempts.first?.end
            #expect(end == fault.map { .declined(code: .known(.badReply), reason: "\($0)") })
            #expect(world.job(id)?.attempts.first?.acceptance == nil)
            #expect(evidence(world, about: 1).isEmpty)
            guard fault == nil else { continue }
            // An executor of an earlier version: its silence is none.
            expire(&world, id, hearing: other.peerID, last: .assigned)
            #expect(evidence(world, about: 1).isEmpty)
        }
    }

    private func expire(_ world: inout MarketWorld, _ id: JobID, hearing peer: PeerID, last status: JobStatus) {
        for _ in 0..<60 where world.job(id)?.attempts.first?.end == nil {
            world.run(milliseconds: 1_000)
            world.give(.jobInquiry(JobInquiryV1(jobID: id)), from: peer, to: 0)
        }
        #expect(world.job(id)?.attempts.first?.end == .leaseExpired(lastStatus: status))
    }

    @Test("An assignment that comes again is answered with the same word, also after a restart")
    func again() throws {
        var world = MarketWorld(executors: 1)
        world.parties[1].run = .hang
        let id = try world.submit()
        #expect(world.run(milliseconds: 20_000) { $0.job(id)?.status == .running })
        let message = try #require(
            world.log.compactMap { message -> AssignJobV1? in
                if case .assignJob(let assignment) = message { assignment } else { nil }
            }.first)
        func reply(_ world: inout MarketWorld) -> MeshProtocolReply {
            world.parties[1].market.receive(
                .assignJob(message), from: world.parties[0].peer, now: world.now, wallClock: world.wallClock
            ).reply
        }
        let first = reply(&world)
        guard case .accepted(_, let block?) = first else {
            Issue.record("\(first)")
            return
        }
        #expect(CID.hashing(block, codec: .dagCBOR) == world.job(id)?.attempts.first?.acceptance)
        try world.restart(1, afterMilliseconds: 500)
        #expect(reply(&world) == first)
    }

    @Test("The word is taken, too, where the answer comes after the first report")
    func late() throws {
        var world = MarketWorld(executors: 1)
        world.blocked = [.assignJob]
        let id = try world.submit()
        #expect(world.run(milliseconds: 5_000) { $0.job(id)?.attempts.count == 1 })
        let attempt = try #require(world.job(id)?.attempts.first)
        let executor = world.parties[1].identity
        world.give(
            .jobStatusUpdate(
                JobStatusUpdateV1(
                    jobID: id, assignmentCID: attempt.cid, executorDID: executor.did, status: .running, sequence: 1)),
            from: executor.peerID, to: 0)
        #expect(world.names(of: 0).contains("assignment_confirmed"))
        #expect(!world.names(of: 0).contains("acceptance_signed"))
        let word = try SignedObject.sign(
            AssignmentAcceptance(executorDID: executor.did, assignmentCID: attempt.cid, acceptedAt: .epoch),
            with: executor)
        let delivery = DeliveryID(jobID: id, kind: .assignment, subject: attempt.cid)
        for _ in 0..<2 {
            world.give(
                .deliveryReplied(delivery, .accepted(assignmentCID: attempt.cid, acceptance: word.bytes)), to: 0)
        }
        #expect(world.job(id)?.attempts.first?.acceptance == word.cid)
        #expect(world.names(of: 0).count { $0 == "acceptance_signed" } == 1)
    }
}
