import Determinism
import Economics
import JobMarket
import MeshTypes
import Multiformats
import PeerIdentity
import Reputation
import SignedObjects
import Testing

/// The edges of the originator's rules, each from both of its sides.
@Suite("Edges of the originator's rules")
struct OriginatorEdgeTests {
    private func identity(_ number: UInt8) throws -> Identity {
        try Identity(seed: Array(repeating: 150, count: 31) + [number])
    }

    /// Gives the originator a bid; the code of its refusal, `nil` when it was taken.
    private func bid(
        _ world: inout MarketWorld, _ id: JobID, by bidder: Identity, price: UInt64, validMilliseconds: UInt64 = 10_000
    ) throws -> String? {
        let terms = BidTerms(
            price: TokenAmount(price), basePrice: .zero, pricePerMillionFuel: .zero, earliestStart: world.wallClock,
            deadline: world.wallClock.advanced(milliseconds: 1000))
        let bid = Bid(
            jobID: id, originatorPeerID: world.parties[0].peer, bidderDID: bidder.did, bidderPeerID: bidder.peerID,
            terms: terms, issuedAt: world.wallClock,
            expiresAt: world.wallClock.advanced(milliseconds: validMilliseconds))
        let message = JobBidV1(bid: ProtocolBid(try SignedObject.sign(bid, with: bidder)))
        let (reply, transition) = world.parties[0].market.receive(
            .jobBid(message), from: bidder.peerID, now: world.now, wallClock: world.wallClock)
        world.carryOut(transition, of: 0)
        guard case .refused(let refusal) = reply else { return nil }
        return refusal.code.text
    }

    private func request(window milliseconds: UInt64) -> JobRequest {
        MarketWorld.request("window") { params in
            params.executionPolicy = JobLifeTests.policy { $0.bidWindowMilliseconds = milliseconds }
        }
    }

    /// The name of the one message of a kind that is on its way from the originator.
    private func delivery(_ world: MarketWorld, _ kind: DeliveryID.Kind) throws -> DeliveryID {
        let ids = world.packets.compactMap { item -> DeliveryID? in
            switch item.packet {
            case .failed(to: 0, let id) where id.kind == kind: id
            default: nil
            }
        }
        return try #require(ids.first)
    }

    /// Gives the originator a receipt of executor 1 for the first attempt.
    private func giveReceipt(
        _ world: inout MarketWorld, _ id: JobID, outcome: ExecutionOutcome, price: UInt64
    ) throws -> (reply: MeshProtocolReply, transition: MarketTransition) {
        let job = try #require(world.job(id))
        let executor = world.parties[1].identity
        let receipt = ExecutionReceipt(
            jobID: id, assignmentCID: job.attempts[0].cid, originatorDID: job.manifest.originatorDID,
            executorDID: executor.did, attempt: 1, moduleCID: job.manifest.params.wasmCID, inputCIDs: [:],
            outcome: outcome, resourceUsage: ResourceUsage(fuel: 1_000_000), price: TokenAmount(price),
            engine: EngineDescription(name: "none", version: "0", configurationDigest: ""),
            determinism: .deterministic, executionStartedAt: world.wallClock, executionEndedAt: world.wallClock)
        let signed = try SignedObject.sign(receipt, with: executor)
        let notice = ExecutionReceiptAvailableV1(
            jobID: id, receiptCID: signed.cid, executorDID: executor.did, status: receipt.status, receipt: signed.bytes)
        return world.parties[0].market.receive(
            .executionReceiptAvailable(notice), from: executor.peerID, now: world.now, wallClock: world.wallClock)
    }

    // MARK: Submission

    @Test func aJobWhoseDeadlineIsNowIsNotTaken() throws {
        var world = MarketWorld(executors: 0)
        func submit(deadline: UnixMilliseconds) throws {
            try world.submit(
                MarketWorld.request("\(deadline)") { params in
                    params.executionPolicy = JobLifeTests.policy { $0.deadline = deadline }
                })
        }
        #expect(throws: SubmissionRefusal.jobRefused(.expired)) { try submit(deadline: world.wallClock) }
        try submit(deadline: world.wallClock.advanced(milliseconds: 1))
    }

    @Test func anEmptyKeyNamesNoJob() throws {
        var world = MarketWorld(executors: 0)
        let first = try world.submit(MarketWorld.request(""))
        #expect(try world.submit(MarketWorld.request("")) != first)
        let named = try world.submit(MarketWorld.request("key"))
        #expect(try world.submit(MarketWorld.request("key")) == named)
        #expect(world.parties[0].market.counters.duplicates == 1)
    }

    // MARK: Bids

    @Test func aBidThatIsQuickerThanGossipOpensTheJob() throws {
        var world = MarketWorld(executors: 0)
        let id = try world.submit()
        #expect(try bid(&world, id, by: identity(1), price: 1) == nil)
        #expect(world.names(of: 0) == ["submitted", "announced", "bid_received"])
        #expect(world.job(id)?.phase == .bidding)
    }

    @Test func bidsThatLapsedMakeWayForAnyOther() throws {
        var world = MarketWorld(executors: 0) { _, configuration in configuration.limits.bidsPerJobMax = 2 }
        let id = try world.submit(request(window: 20_000))
        world.run(milliseconds: 10)
        for number: UInt8 in 0..<2 { #expect(try bid(&world, id, by: identity(number), price: 1) == nil) }
        #expect(try bid(&world, id, by: identity(2), price: 90) == "too_many_bids")
        world.run(milliseconds: 10_000)
        #expect(try bid(&world, id, by: identity(3), price: 90) == nil)
        #expect(world.job(id)?.bids.map(\.bid.terms.price) == [TokenAmount(1), TokenAmount(90)])
    }

    @Test func aBidIsNotTakenUpAtTheMomentItLapses() throws {
        for spare: UInt64 in [0, 1] {
            var world = MarketWorld(executors: 0)
            let id = try world.submit(request(window: 3000))
            world.run(milliseconds: 10)
            let windowUntil = try #require(
                world.parties[0].events.compactMap { event -> UnixMilliseconds? in
                    if case .announced(_, let until, _) = event.kind { until } else { nil }
                }.first)
            let valid = windowUntil.milliseconds(since: world.wallClock) + spare
            #expect(try bid(&world, id, by: identity(1), price: 1, validMilliseconds: valid) == nil)
            world.run(milliseconds: 3000)
            #expect(world.job(id)?.attempts.count == Int(spare))
        }
    }

    @Test func whoFailedAtAJobIsNotGivenItAgain() throws {
        var world = MarketWorld(executors: 1)
        world.blocked = [.assignJob]
        let id = try world.submit()
        #expect(world.run(milliseconds: 10_000) { $0.job(id)?.attempts.first?.end == .unconfirmed })
        world.parties[1].isDown = true
        #expect(world.run(milliseconds: 10_000) { $0.job(id)?.phase == .bidding })
        #expect(try bid(&world, id, by: world.parties[1].identity, price: 1) == "bidder_failed_before")
        #expect(try bid(&world, id, by: identity(1), price: 1) == nil)
    }

    @Test func bidsLeaveHalfOfTheEvidenceToReceipts() throws {
        var world = MarketWorld(executors: 0)
        let id = try world.submit(request(window: 20_000))
        world.run(milliseconds: 10)
        let empty = try #require(world.job(id)).evidenceBytes
        #expect(try bid(&world, id, by: identity(1), price: 1) == nil)
        let one = try #require(world.job(id)).evidenceBytes
        let two = one + (one - empty)
        world.parties[0].market.configuration.limits.jobEvidenceBytesMax = 2 * two - 1
        #expect(try bid(&world, id, by: identity(2), price: 1) == "too_many_bids")
        world.parties[0].market.configuration.limits.jobEvidenceBytesMax = 2 * two
        #expect(try bid(&world, id, by: identity(3), price: 1) == nil)
        #expect(world.job(id)?.evidenceBytes == two)
    }

    // MARK: Attempts

    @Test func aJobHasAsManyAttemptsAsItMayHave() throws {
        var world = MarketWorld(executors: 3) { _, configuration in configuration.originator.maxAttempts = 2 }
        world.blocked = [.assignJob]
        let id = try world.submit()
        world.run(milliseconds: 60_000)
        #expect(world.job(id)?.attempts.count == 2)
        #expect(world.job(id)?.failure == .attemptsExhausted(attempts: 2, last: .unconfirmed))
    }

    @Test func noAttemptBeginsAfterTheEndOfAJob() throws {
        var world = MarketWorld(executors: 2)
        world.blocked = [.assignJob]
        let id = try world.submit()
        #expect(world.run(milliseconds: 5000) { $0.job(id)?.attempts.count == 1 })
        let assignment = try delivery(world, .assignment)
        // The answer is the first that is heard after the end.
        let endsAt = try #require(world.job(id)).endsAt
        world.now = world.now.advanced(milliseconds: Int64(endsAt.milliseconds(since: world.wallClock)))
        world.give(.deliveryReplied(assignment, .declined(Refusal(.atCapacity, "full"))), to: 0)
        #expect(world.job(id)?.failure == .expired(during: .biddingClosed))
        #expect(world.names(of: 0).count { $0 == "announced" } == 1)
    }

    @Test func aPriceMayTakeTheWholeWallet() throws {
        var world = MarketWorld(executors: 1, tokens: 20)
        let id = try world.submit()
        world.run(milliseconds: 60_000)
        #expect(world.job(id)?.result == .completedSuccessfully)
        #expect(world.job(id)?.attempts.first?.assignment.terms.price == TokenAmount(20))
    }

    @Test func theConfirmationOfAnotherAssignmentIsNone() throws {
        var world = MarketWorld(executors: 1)
        world.blocked = [.assignJob]
        let id = try world.submit()
        #expect(world.run(milliseconds: 5000) { $0.job(id)?.attempts.count == 1 })
        let assignment = try delivery(world, .assignment)
        world.give(.deliveryReplied(assignment, .accepted(assignmentCID: id.cid)), to: 0)
        #expect(
            world.job(id)?.attempts.first?.end
                == .declined(code: .known(.badReply), reason: "the executor gave no clear answer"))
        #expect(!world.names(of: 0).contains("assignment_confirmed"))
    }

    @Test func theAnswerToACancellationTakesNothingFromAReceiptThatCameMeanwhile() throws {
        var world = MarketWorld(executors: 1)
        world.parties[1].run = .hang
        world.withheldOutputs = [1]
        let id = try world.submit()
        #expect(world.run(milliseconds: 5000) { $0.job(id)?.status == .running })
        world.blocked = [.cancelJob]
        try world.cancel(id)
        let cancellation = try delivery(world, .cancellation)
        let order = try #require(world.parties[1].orders.first)
        world.finish(order.assignmentCID, .exited(code: 0), fuel: 1_000_000, of: 1, after: 1)
        #expect(world.run(milliseconds: 500) { $0.job(id)?.candidateReceipts.count == 1 })
        world.give(.deliveryReplied(cancellation, .refused(Refusal(.assignmentUnknown, "it is over"))), to: 0)
        #expect(world.job(id)?.candidateReceipts.count == 1)
        #expect(world.job(id)?.attempts.first?.end == nil)
    }

    @Test func whoFailedAtAJobIsNotToldThatItLost() throws {
        var world = MarketWorld(executors: 3)
        world.blocked = [.assignJob]
        world.parties[2].run = .hang
        let id = try world.submit()
        #expect(world.run(milliseconds: 5000) { $0.job(id)?.attempts.count == 1 })
        world.parties[1].isDown = true
        world.blocked = []
        #expect(world.run(milliseconds: 10_000) { $0.job(id)?.status == .running })
        let told = world.log.compactMap { message -> CID? in
            if case .jobBidRefused(let refusal) = message { refusal.bidCID } else { nil }
        }
        let loser = world.parties[3].identity.did
        #expect(told == (world.job(id)?.bids.filter { $0.bid.bidderDID == loser }.map(\.cid)))
        #expect(told.count == 1)
    }

    // MARK: Reports

    /// A job of which the executor's own reports do not come any more, and what to report in their place.
    private func silent() throws -> (MarketWorld, JobID, (JobStatus, UInt64?, UInt64) -> MeshProtocolMessage) {
        var world = MarketWorld(executors: 1)
        world.parties[1].run = .hang
        let id = try world.submit()
        #expect(world.run(milliseconds: 5000) { $0.job(id)?.status == .running })
        world.blocked = [.jobStatusUpdate]
        let assignment = try #require(world.job(id)?.liveAttempt).cid
        let executor = world.parties[1].identity.did
        return (
            world, id,
            { status, progress, sequence in
                .jobStatusUpdate(
                    JobStatusUpdateV1(
                        jobID: id, assignmentCID: assignment, executorDID: executor, status: status,
                        progressPermille: progress, sequence: sequence))
            }
        )
    }

    @Test func anOldReportDoesNotRenewTheLease() throws {
        for isNew in [true, false] {
            var (world, id, report) = try silent()
            let peer = world.parties[1].peer
            world.give(report(.running, nil, 1 << 60), from: peer, to: 0)
            world.run(milliseconds: 4000)
            world.give(report(.running, nil, (1 << 60) + (isNew ? 1 : 0)), from: peer, to: 0)
            world.run(milliseconds: 2000)
            #expect(world.job(id)?.attempts.first?.end == (isNew ? nil : .leaseExpired(lastStatus: .running)))
        }
    }

    @Test func progressIsAtMostTheWhole() throws {
        var (world, _, report) = try silent()
        world.give(report(.producingOutputs, 5000, 1 << 60), from: world.parties[1].peer, to: 0)
        let progress = world.parties[0].events.compactMap { event -> UInt64? in
            if case .statusReported(_, _, let progress, _) = event.kind { progress } else { nil }
        }
        #expect(progress.last == 1000)
    }

    @Test func aRunThatWaitsForItsUserAndGoesOnIsNotedOnceASecond() throws {
        var (world, id, report) = try silent()
        let peer = world.parties[1].peer
        func turns() -> [JobStatus] {
            world.parties[0].events.compactMap { event in
                guard case .statusReported(_, let status, _, _) = event.kind else { return nil }
                return [.running, .awaitingInputs].contains(status) ? status : nil
            }
        }
        var sequence: UInt64 = 1 << 60
        var seen: [JobStatus?] = []
        world.run(milliseconds: 1_100)
        for (status, milliseconds) in [
            (JobStatus.awaitingInputs, 400), (.running, 400), (.awaitingInputs, 1_100), (.running, 10),
        ] as [(JobStatus, Int64)] {
            world.give(report(status, nil, sequence), from: peer, to: 0)
            seen.append(world.job(id)?.status)
            world.run(milliseconds: milliseconds)
            sequence += 1
        }
        #expect(seen == [.awaitingInputs, .awaitingInputs, .awaitingInputs, .running])
        #expect(turns() == [.running, .awaitingInputs, .running])
    }

    @Test func aLeaseIsNotRenewedOnceFetchingAndRunningHaveHadTheirTime() throws {
        var world = MarketWorld(executors: 1) { _, configuration in
            configuration.executor?.preparationMilliseconds = 600_000
        }
        world.parties[1].run = .stall
        let id = try world.submit()
        #expect(world.run(milliseconds: 5000) { $0.job(id)?.liveAttempt?.isConfirmed == true })
        // Fetching may take 60 s, the run its 10 s and 10 s of grace: 80 s in all.
        world.run(milliseconds: 58_000)
        world.blocked = [.jobStatusUpdate]
        let assignment = try #require(world.job(id)?.liveAttempt).cid
        let (executor, peer) = (world.parties[1].identity.did, world.parties[1].peer)
        var sequence: UInt64 = 1 << 60
        func tell(_ status: JobStatus, thenWait milliseconds: Int64) {
            sequence += 1
            let report = JobStatusUpdateV1(
                jobID: id, assignmentCID: assignment, executorDID: executor, status: status, sequence: sequence)
            world.give(.jobStatusUpdate(report), from: peer, to: 0)
            world.run(milliseconds: milliseconds)
        }
        // The lease is five seconds.
        for milliseconds: Int64 in [4000, 4000, 4000, 4000, 3000] { tell(.running, thenWait: milliseconds) }
        tell(.producingOutputs, thenWait: 2000)
        tell(.producingOutputs, thenWait: 2000)
        tell(.producingOutputs, thenWait: 3500)
        #expect(world.job(id)?.attempts.first?.end == .leaseExpired(lastStatus: .producingOutputs))
    }

    // MARK: Receipts

    @Test func theFirstAccountOfARunCounts() throws {
        var world = MarketWorld(executors: 2)
        world.parties[1].run = .end(.nodeFailed(reason: "power"), fuel: 0)
        world.parties[2].run = .hang
        let id = try world.submit()
        #expect(world.run(milliseconds: 10_000) { $0.job(id)?.attempts.count == 2 })
        let (reply, transition) = try giveReceipt(&world, id, outcome: .exited(code: 0), price: 11)
        #expect(reply == .refused(Refusal(.secondReceipt, "another receipt of this assignment came first")))
        #expect(transition.events.isEmpty)

        // It is proof against its executor, who signed both: kept once, and neither account counts for it.
        let executor = world.parties[1].identity.did
        func evidence() -> [ReputationEvidence] { world.parties[0].market.reputation.evidence(about: executor) }
        let second = try #require(transition.blocks.first)
        #expect(transition.blocks.count == 1 && second.isContradiction)
        #expect(second.receipt?.body.assignmentCID == world.job(id)?.attempts[0].cid)
        #expect(evidence().map(\.verdict) == [.invalid])
        #expect(evidence().map(\.receiptCID) == [second.cid])
        let (again, third) = try giveReceipt(&world, id, outcome: .exited(code: 1), price: 11)
        #expect(again == reply)
        #expect(third.blocks.isEmpty)
        #expect(evidence().map(\.receiptCID) == [second.cid])
    }

    @Test func aRunThatWasStoppedAndThatNobodyCancelledGoesToAnother() throws {
        var world = MarketWorld(executors: 2)
        world.parties[1].run = .end(.cancelled, fuel: 500_000)
        let id = try world.submit()
        world.run(milliseconds: 60_000)
        #expect(world.job(id)?.result == .completedSuccessfully)
        #expect(world.job(id)?.attempts.count == 2)
        guard case .nodeFailed(_, .cancelled) = world.job(id)?.attempts.first?.end else {
            Issue.record("\(String(describing: world.job(id)?.attempts.first?.end))")
            return
        }
    }

    @Test func aRunThatItsExecutorsOwnerStoppedIsNotPaidAndNobodyWaitsForThat() throws {
        var world = MarketWorld(executors: 2)
        world.parties[1].run = .hang
        let id = try world.submit()
        #expect(world.run(milliseconds: 10_000) { !$0.parties[1].orders.isEmpty })
        let stopped = world.parties[1].market.stopExecution(
            id, reason: "the executor's owner stopped it", now: world.now, wallClock: world.calendar(of: 1))
        #expect(stopped.events.map(\.kindName) == ["stop_requested"])
        world.carryOut(stopped, of: 1)
        world.run(milliseconds: 60_000)
        #expect(world.job(id)?.result == .completedSuccessfully, "the other executor has it")
        #expect(
            world.job(id)?.attempts.first?.end?.description
                == "the executor's owner stopped the run; nothing is paid for it")
        let run = try #require(world.parties[1].market.executedJob(id))
        #expect(run.receipt?.price ?? .zero > .zero && run.isGivenUp && run.delivery == .acknowledged)
        world.run(milliseconds: 3_600_000)
        #expect(!world.names(of: 1).contains("settlement_overdue"), "no settlement was due")
        #expect(world.parties[1].market.executedJob(id)?.isClosed != false)
    }

    @Test func anInvalidReceiptChangesNothingAboutAnAttemptThatEnded() throws {
        var world = MarketWorld(executors: 2)
        world.parties[1].run = .hang
        world.parties[2].run = .hang
        world.blocked = [.jobStatusUpdate]
        let id = try world.submit()
        #expect(world.run(milliseconds: 10_000) { $0.job(id)?.attempts.count == 2 })
        let end = world.job(id)?.attempts.first?.end
        let (reply, transition) = try giveReceipt(&world, id, outcome: .exited(code: 0), price: 12)
        guard case .refused(let refusal) = reply else {
            Issue.record("\(reply)")
            return
        }
        #expect(refusal.code == .known(.priceMismatch))
        #expect(transition.events.isEmpty)
        #expect(world.job(id)?.attempts.first?.end == end)
    }

    @Test func aReceiptWithoutOutputsIsTheResultAlsoAfterACrash() throws {
        var world = MarketWorld(executors: 1)
        world.parties[1].run = .hang
        let id = try world.submit()
        #expect(world.run(milliseconds: 5000) { $0.job(id)?.status == .running })
        let transition = try giveReceipt(&world, id, outcome: .exited(code: 0), price: 11).transition
        world.carryOut(transition, of: 0)
        // As an earlier release wrote it: one transaction for each event.
        let accepted = try #require(world.names(of: 0).firstIndex(of: "receipt_accepted"))
        world.parties[0].journal.removeSubrange((accepted + 1)...)
        world.parties[0].isForced.removeSubrange((accepted + 1)...)
        try world.restart(0)
        #expect(world.job(id)?.result == .completedSuccessfully)
        #expect(world.job(id)?.paid == TokenAmount(11))
    }

    // MARK: Cancellation

    @Test func anAssignmentThatIsCancelledIsNotSentAgain() throws {
        var world = MarketWorld(executors: 1) { _, configuration in
            configuration.originator.confirmationMilliseconds = 60_000
            configuration.originator.unprovenConfirmationMilliseconds = 60_000
        }
        world.blocked = [.assignJob, .cancelJob]
        let id = try world.submit()
        #expect(world.run(milliseconds: 5000) { $0.job(id)?.attempts.count == 1 })
        try world.cancel(id)
        world.run(milliseconds: 10_000)
        #expect(world.log.count { if case .assignJob = $0 { true } else { false } } == 1)
    }

    @Test func aCancellationThatIsGivenUpLeavesRoomForOtherMessages() throws {
        var world = MarketWorld(executors: 2) { index, configuration in
            if index == 0 { configuration.limits.deliveriesMax = 1 }
        }
        world.parties[1].run = .hang
        let first = try world.submit(MarketWorld.request("first"))
        #expect(world.run(milliseconds: 5000) { $0.job(first)?.status == .running })
        world.parties[1].isDown = true
        try world.cancel(first)
        world.run(milliseconds: 10_000)
        #expect(world.job(first)?.result == .cancelled)
        let second = try world.submit(MarketWorld.request("second"))
        world.run(milliseconds: 3000)
        #expect(world.job(second)?.result == .completedSuccessfully)
    }

    // MARK: Anchoring

    @Test func receiptAndSettlementAreAnchoredTogether() throws {
        var world = MarketWorld(executors: 1)
        let id = try world.submit()
        world.run(milliseconds: 60_000)
        let job = try #require(world.job(id))
        let payloads = world.parties[0].events.compactMap { event -> [CID]? in
            if case .anchored(let entry, _) = event.kind { entry.body.payload } else { nil }
        }
        #expect(payloads == [[try #require(job.receipt?.cid), try #require(job.settlementCID)]])
    }
}
