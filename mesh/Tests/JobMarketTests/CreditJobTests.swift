import Credit
import Determinism
import Economics
import JobMarket
import MeshTypes
import Multiformats
import PeerIdentity
import Receipts
import SignedObjects
import Testing

/// Jobs that are paid by the credit of an issuer, whose book is real.
@Suite("Jobs by credit")
struct CreditJobTests {
    private func world(
        executors: Int = 2, lines: UInt64 = 100_000, trusting: Set<Int> = [1, 2], members: Set<Int> = [0, 1, 2],
        _ change: (Int, inout MarketConfiguration) -> Void = { _, _ in }
    ) throws -> MarketWorld {
        var world = MarketWorld(executors: executors) { index, configuration in
            configuration.originator.holdWindowMilliseconds = 1_000
            configuration.originator.holdExtensionMilliseconds = 1_000
            if trusting.contains(index) {
                configuration.executor?.issuers = [CreditBank.trusted(basePrice: UInt64(10 * index))]
                configuration.executor?.features = [CreditJob.feature]
            }
            change(index, &configuration)
        }
        world.bank = try CreditBank(
            members: world.parties.enumerated().filter { members.contains($0.offset) }.map(\.element.identity.did),
            lines: lines, now: world.wallClock)
        return world
    }

    private func request(
        _ key: String = "job", budget: UInt64 = 10_000, _ change: (inout ExecutionPolicy) -> Void = { _ in }
    ) -> JobRequest {
        MarketWorld.request(key) { params in
            var policy = ExecutionPolicy()
            policy.payBy = PayBy(issuers: [CreditBank.identity.did], unit: CreditBank.unit)
            policy.require(CreditJob.feature)
            change(&policy)
            params.executionPolicy = policy
            params.maxFuel = 100_000_000
            params.maxAcceptableBidTokens = TokenAmount(budget)
        }
    }

    private func expectBookIsWhole(_ world: MarketWorld) throws {
        let bank = try #require(world.bank)
        #expect(world.parties.reduce(Int64(0)) { $0 + bank.balance($1.identity.did) } == 0)
        for party in world.parties {
            #expect(party.market.ledger.entries.allSatisfy { $0.kind == .grant }, "no token moves")
        }
    }

    @Test func aHoldPaysTheAttemptOnce() throws {
        var world = try world(trusting: [1])
        let id = try world.submit(request())
        #expect(world.run(milliseconds: 60_000) { $0.job(id)?.result == .completedSuccessfully })
        let executor = world.parties[1].identity.did
        #expect(world.job(id)?.attempts.map(\.assignment.executorDID) == [executor])
        #expect(world.names(of: 0).filter { $0.hasPrefix("hold") } == ["hold_awaited", "hold_given"])
        #expect(world.names(of: 1).contains("hold_taken"))
        #expect(world.parties[2].market.recentDeclines.map(\.reason.code) == ["no_issuer"])
        world.run(milliseconds: 5_000)
        let certificate = try #require(world.parties[1].market.executedJob(id)?.hold)
        #expect(
            world.job(id)?.liveAttempt == nil && world.job(id)?.attempts.first?.assignment.holdCID == certificate.cid)
        #expect(certificate.body.amount.units == 110 && world.bank?.liveHolds == 1)
        // 10 and 1 for a million fuel.
        #expect(world.job(id)?.paid.units == 11 && world.parties[1].market.executedJob(id)?.earned?.units == 11)
        for index in [0, 1, 0, 1] { try world.book(of: index) }
        let paid = HoldBooking.State.ended(entry: UInt64(world.bank?.entries.count ?? 0) - 1, paid: TokenAmount(11))
        #expect(world.parties[0].bookings[certificate.body.holdCID]?.state == paid)
        #expect(world.parties[1].bookings[certificate.body.holdCID]?.state == paid)
        #expect(world.bank?.balance(executor) == 11 && world.bank?.liveHolds == 0)
        try expectBookIsWhole(world)
        world.expectSameAfterReplay(0)
        world.expectSameAfterReplay(1)
    }

    @Test func theExecutorCarriesTheSettlementToTheIssuerItself() throws {
        var world = try world()
        let id = try world.submit(request())
        world.run(milliseconds: 60_000)
        #expect(world.job(id)?.result == .completedSuccessfully)
        // Its originator never goes there.
        try world.book(of: 1)
        #expect(world.bank?.balance(world.parties[1].identity.did) == 11)
    }

    @Test func whoIsNotSettledClaims() throws {
        var world = try world(trusting: [1]) { index, configuration in
            configuration.executor?.settlementMilliseconds = 20_000
        }
        world.blocked = [.jobSettled]
        let id = try world.submit(request())
        #expect(world.run(milliseconds: 60_000) { $0.names(of: 1).contains("delivery_proved") })
        try world.book(of: 1)
        #expect(world.bank?.entries.count == 5, "it leaves the originator its time")
        world.run(milliseconds: 25_000)
        try world.book(of: 1)
        let hold = try #require(world.parties[1].market.executedJob(id)?.hold?.body.holdCID)
        guard case .claimed? = world.parties[1].bookings[hold]?.state else {
            Issue.record("\(String(describing: world.parties[1].bookings[hold]?.state))")
            return
        }
        try world.book(of: 1)
        #expect(world.bank?.balance(world.parties[1].identity.did) == 0, "it can be disputed")
        world.run(milliseconds: 3_000)
        try world.book(of: 1)
        #expect(world.bank?.balance(world.parties[1].identity.did) == 11)
        // The settlement comes too late to pay again.
        try world.book(of: 0)
        guard case .ended(_, TokenAmount(11))? = world.parties[0].bookings[hold]?.state else {
            Issue.record("\(String(describing: world.parties[0].bookings[hold]?.state))")
            return
        }
        #expect(world.bank?.balance(world.parties[1].identity.did) == 11)
        try expectBookIsWhole(world)
    }

    /// Runs a job whose originator never says that it has the result.
    private func unsaid(
        _ change: (inout MarketWorld) -> Void = { _ in }
    ) throws -> (world: MarketWorld, hold: HoldCertificate) {
        var world = try world(trusting: [1]) { _, configuration in
            configuration.executor?.settlementMilliseconds = 20_000
        }
        world.blocked = [.jobSettled, .jobDelivered]
        change(&world)
        let id = try world.submit(request())
        #expect(world.run(milliseconds: 60_000) { $0.parties[1].market.executedJob(id)?.receipt != nil })
        let hold = try #require(world.parties[1].market.executedJob(id)?.hold?.body)
        return (world, hold)
    }

    @Test func whoseOriginatorSaysNothingLeavesItsResultWithTheArbiter() throws {
        var (world, hold) = try unsaid()
        let half = Int64(hold.terms.deliverBy.milliseconds(since: world.wallClock)) / 2
        world.run(milliseconds: half - 2_000)
        #expect(world.lodged.isEmpty, "it leaves the originator half of its time")
        world.run(milliseconds: 4_000)
        #expect(world.lodged.count == 1 && world.lodged.first?.certificate.body == hold)
        #expect(
            world.lodged.first?.sealingKey
                == SealingKey(
                    of: world.parties[0].identity, job: hold.terms.jobID, attempt: 1
                ).publicBytes)
        #expect(world.names(of: 1).contains("delivery_proved"))
        world.expectSameAfterReplay(1)
        world.run(milliseconds: 25_000)
        try world.book(of: 1)
        world.run(milliseconds: 3_000)
        try world.book(of: 1)
        #expect(world.bank?.balance(world.parties[1].identity.did) == 11)
        world.run(milliseconds: 600_000)
        #expect(world.parties[1].market.executedJob(hold.terms.jobID)?.isClosed ?? true)
        try expectBookIsWhole(world)
    }

    @Test func whoIsKilledBeforeItLeftItsResultDoesSoAfterwards() throws {
        var (world, hold) = try unsaid()
        let left = Int64(hold.terms.deliverBy.milliseconds(since: world.wallClock))
        try world.restart(1, afterMilliseconds: left - 5_000)
        world.run(milliseconds: 1_000)
        #expect(world.lodged.count == 1 && world.names(of: 1).contains("delivery_proved"))
    }

    @Test func withoutAnArbiterNothingIsClaimedAndNothingStaysOpen() throws {
        var (world, hold) = try unsaid { $0.bank?.hasArbiter = false }
        world.run(milliseconds: Int64(hold.terms.claimBy.milliseconds(since: world.wallClock)) + 1_000)
        #expect(world.lodged.count == 1 && !world.names(of: 1).contains("delivery_proved"))
        #expect(world.parties[1].market.executedJob(hold.terms.jobID)?.isClosed ?? true)
        try world.book(of: 1)
        #expect(world.bank?.balance(world.parties[1].identity.did) == 0)
    }

    @Test func aReceiptThatIsAnotherOneOrBreaksARuleIsNotDue() throws {
        var world = try world(trusting: [1])
        let id = try world.submit(request())
        #expect(world.run(milliseconds: 60_000) { $0.job(id)?.result == .completedSuccessfully })
        let (market, executor) = (world.parties[0].market, world.parties[1].identity)
        let receipt = try #require(world.parties[1].market.executedJob(id)?.signedReceipt)
        func reason(_ change: (inout ExecutionReceipt) -> Void) throws -> String? {
            market.reasonNotDue(try signed(receipt, with: executor, change), isLast: false)
        }
        #expect(market.reasonNotDue(receipt, isLast: true) == nil)
        let second = try reason { $0.executionEndedAt = $0.executionEndedAt.advanced(milliseconds: 1) }
        #expect(second == "its executor signed another receipt of the same run")
        #expect(try reason { $0.moduleCID = id.cid }?.contains("module_cid") == true)
        #expect(try reason { $0.jobID = JobID(receipt.cid) } == nil, "of no job here")
    }

    @Test func whatNoCheckBearsOutIsNotDue() throws {
        for finding in [ReplayFinding.claimRefuted(reason: "no such run"), .doubtful(reason: "nothing shows it")] {
            var world = try world(trusting: [1])
            world.checks = { _ in finding }
            var request = request()
            request.verification = .replay
            let id = try world.submit(request)
            #expect(world.run(milliseconds: 120_000) { $0.parties[1].market.executedJob(id)?.verdict != nil })
            let receipt = try #require(world.parties[1].market.executedJob(id)?.signedReceipt)
            #expect(world.parties[1].market.executedJob(id)?.earned == .zero)
            let reason = world.parties[0].market.reasonNotDue(receipt, isLast: false)
            #expect(reason?.isEmpty == false, "\(finding)")
        }
    }

    @Test func nobodyBidsByCreditOnMoreThanCanBeLeftWithAnArbiter() throws {
        var world = try world(trusting: [1]) { _, configuration in
            configuration.executor?.limitsMax.maxOutputBytes = 1 << 30
        }
        var large = request()
        large.params.maxOutputBytes = SealedPart.Limits.outputBytesMax + 1
        _ = try world.submit(large)
        world.run(milliseconds: 5_000)
        #expect(world.parties[1].market.recentDeclines.map(\.reason.code) == ["limit_too_large"])
        var most = request("most")
        most.params.maxOutputBytes = SealedPart.Limits.outputBytesMax
        let id = try world.submit(most)
        #expect(world.run(milliseconds: 60_000) { $0.job(id)?.result == .completedSuccessfully })
    }

    @Test func whoIsPaidLeavesNothingWithAnybody() throws {
        var world = try world(trusting: [1])
        let id = try world.submit(request())
        #expect(world.run(milliseconds: 60_000) { $0.job(id)?.result == .completedSuccessfully })
        world.run(milliseconds: 3_600_000)
        #expect(world.lodged.isEmpty)
    }

    @Test func aLineWithoutRoomFailsTheJobWithTheIssuersWords() throws {
        var world = try world(lines: 50)
        let id = try world.submit(request())
        world.run(milliseconds: 60_000)
        guard case .holdRefused(let reason)? = world.job(id)?.failure else {
            Issue.record("\(String(describing: world.job(id)?.failure))")
            return
        }
        #expect(reason.contains("the debtor has 50 left"))
        #expect(world.job(id)?.attempts.isEmpty == true && world.bank?.liveHolds == 0)
        #expect(world.names(of: 0).filter { $0 == "hold_failed" }.count == 2, "each executor was tried")
    }

    @Test func anIssuerThatIsAwayIsWaitedFor() throws {
        var world = try world(trusting: [1])
        world.bank?.isAway = true
        let id = try world.submit(request())
        #expect(world.run(milliseconds: 10_000) { $0.names(of: 0).contains("hold_delayed") })
        #expect(world.job(id)?.phase == .hold && world.job(id)?.holds.awaited?.delay == "the issuer did not answer")
        #expect(world.parties[0].events.last?.explanation.contains("waits for its issuer") == true)
        world.bank?.isAway = false
        // The bid has expired by then: another one is asked for, and the hold is of another attempt.
        #expect(world.run(milliseconds: 90_000) { $0.job(id)?.result == .completedSuccessfully })
        #expect(world.job(id)?.attempts.map(\.assignment.attempt) == [1], "its bid still stood")
        world.run(milliseconds: 1_000)
        try world.book(of: 0)
        #expect(world.bank?.balance(world.parties[1].identity.did) == 11 && world.bank?.liveHolds == 0)
    }

    @Test func whoForgetsWhatItOrderedOrdersForAnotherAttempt() throws {
        var world = try world(trusting: [1])
        let id = try world.submit(request())
        #expect(world.run(milliseconds: 10_000) { $0.names(of: 0).last == "hold_awaited" })
        #expect(world.bank?.liveHolds == 1, "the order is there before the wish for it is on the disk")
        world.parties[0].journal.removeLast()
        world.parties[0].isForced.removeLast()
        try world.restart(0, afterMilliseconds: 50)
        #expect(world.run(milliseconds: 60_000) { $0.job(id)?.result == .completedSuccessfully })
        #expect(
            world.names(of: 0).filter { $0.hasPrefix("hold") }
                == ["hold_awaited", "hold_failed", "hold_awaited", "hold_given"])
        #expect(world.parties[0].events.contains { $0.explanation.contains("There is no hold for") })
        #expect(world.job(id)?.attempts.map(\.assignment.attempt) == [2])
        for index in [0, 1, 0, 1] { try world.book(of: index) }
        #expect(world.bank?.balance(world.parties[1].identity.did) == 11 && world.bank?.liveHolds == 1)
        let tomorrow = world.wallClock.advanced(milliseconds: 86_400_000)
        world.bank?.passTime(to: tomorrow)
        #expect(world.bank?.liveHolds == 0, "what nobody claims ends by itself")
        try expectBookIsWhole(world)
    }

    @Test func anIssuerThatAlwaysHoldsAlreadyIsOneThatRefuses() throws {
        var world = try world(trusting: [1])
        world.bank?.alwaysHolds = true
        let id = try world.submit(request())
        #expect(world.run(milliseconds: 600_000) { $0.names(of: 0).contains("failed") })
        #expect(world.names(of: 0).count { $0 == "hold_failed" } == JobHolds.heldInARowMax)
        #expect(world.parties[0].events.contains { $0.explanation.contains("The issuer refuses the hold") })
        #expect(world.job(id)?.attempts.isEmpty == true)
    }

    @Test func whatNobodyWaitsForAnyMoreIsNotHeld() throws {
        var world = try world(trusting: [1])
        world.bank?.isAway = true
        let id = try world.submit(request())
        world.run(milliseconds: 150_000)
        #expect(
            world.names(of: 0).count { $0 == "hold_failed" } >= 3, "each round of bids waits for its own hold")
        world.bank?.isAway = false
        #expect(world.run(milliseconds: 90_000) { $0.job(id)?.result == .completedSuccessfully })
        #expect(world.bank?.issuer.book.holds.count == 1, "no hold of an earlier round")
        let failed = world.names(of: 0).count { $0 == "hold_failed" }
        #expect(world.job(id)?.attempts.map(\.assignment.attempt) == [UInt64(failed) + 1])
        world.expectSameAfterReplay(0)
    }

    @Test func whoIsWaitedForInVainComesAfterAllOthers() throws {
        var world = try world()
        let cheap = world.parties[1].identity.did
        world.bank?.busyFor = [cheap]
        let id = try world.submit(request())
        #expect(world.run(milliseconds: 15_000) { $0.job(id)?.result == .completedSuccessfully })
        #expect(world.job(id)?.attempts.map(\.assignment.executorDID) == [world.parties[2].identity.did])
        #expect(world.names(of: 0).count { $0 == "hold_failed" } == 1, "the other bid still stood")
        // Alone it is waited for again and again, and not for ever.
        world = try self.world(trusting: [1]) { $1.originator.holdWaitMilliseconds = 1_000 }
        world.bank?.busyFor = [cheap]
        let alone = try world.submit(request { $0.bidWindowMilliseconds = 100 })
        world.run(milliseconds: 6_000_000)
        #expect(world.names(of: 0).count { $0 == "hold_failed" } == 64)
        guard case .holdRefused(let reason)? = world.job(alone)?.failure, world.job(alone)?.isClosed == true else {
            Issue.record("\(String(describing: world.job(alone)?.failure))")
            return
        }
        #expect(reason == "the issuer did not answer", "\(reason)")
        world.expectSameAfterReplay(0)
    }

    @Test func whoHasNoLineKeepsNobodyFromTheJob() throws {
        // The second party trusts the issuer and bids less, and has no line.
        var world = try world(trusting: [1, 2], members: [0, 2])
        let id = try world.submit(request())
        #expect(world.run(milliseconds: 60_000) { $0.job(id)?.result == .completedSuccessfully })
        #expect(world.job(id)?.attempts.map(\.assignment.executorDID) == [world.parties[2].identity.did])
        #expect(world.bank?.issuer.book.holds.count == 1)
        // Alone, it is refused until nobody waits for bids any more.
        world = try self.world(trusting: [1], members: [0, 2])
        let alone = try world.submit(request())
        world.run(milliseconds: 20_000)
        #expect(world.job(alone)?.result == nil && world.job(alone)?.failure == nil)
        world.run(milliseconds: 50_000)
        guard case .holdRefused(let reason)? = world.job(alone)?.failure else {
            Issue.record("\(String(describing: world.job(alone)?.failure))")
            return
        }
        #expect(reason.contains("no room") || reason.contains("no such credit line"), "\(reason)")
    }

    @Test func jobsWaitForWhatOthersHold() throws {
        // Two prices of 110 do not go into a line of 150 at a time, and both jobs are run.
        var world = try world(lines: 150, trusting: [1])
        let ids = try ["one", "other"].map { try world.submit(request($0)) }
        for _ in 0..<60 where ids.contains(where: { world.job($0)?.result == nil }) {
            world.run(milliseconds: 2_000)
            for index in [0, 1] { try world.book(of: index) }
        }
        #expect(ids.allSatisfy { world.job($0)?.result == .completedSuccessfully })
        world.run(milliseconds: 5_000)
        for index in [0, 1] { try world.book(of: index) }
        #expect(world.bank?.balance(world.parties[1].identity.did) == 22)
        #expect(world.names(of: 0).contains("hold_delayed"), "one waited for the other")
        try expectBookIsWhole(world)
    }

    @Test func whoFailsGivesItsHoldUp() throws {
        var world = try world()
        world.parties[1].run = .end(.nodeFailed(reason: "no disk"), fuel: 0)
        let id = try world.submit(request())
        #expect(world.run(milliseconds: 60_000) { $0.job(id)?.result == .completedSuccessfully })
        world.run(milliseconds: 1_000)
        #expect(world.job(id)?.attempts.count == 2 && world.bank?.liveHolds == 2)
        try world.book(of: 1)
        #expect(world.bank?.liveHolds == 1 && world.parties[1].bookings.values.map(\.amount) == [.zero])
        try world.book(of: 2)
        #expect(world.bank?.balance(world.parties[2].identity.did) == 21 && world.bank?.liveHolds == 0)
        try expectBookIsWhole(world)
    }

    // MARK: Hostile assignments

    private func signed<Body: SignedBody>(
        _ object: SignedObject<Body>, with identity: Identity, _ change: (inout Body) -> Void
    ) throws -> SignedObject<Body> {
        var body = object.body
        change(&body)
        return try SignedObject.sign(body, with: identity)
    }

    @Test func anExecutorRunsNothingForAHoldThatIsNoPay() throws {
        var world = try world(trusting: [1])
        world.blocked = [.assignJob]
        let id = try world.submit(request())
        #expect(world.run(milliseconds: 10_000) { $0.log.contains { $0.variant == .assignJob } })
        let sent = world.log.compactMap { message -> AssignJobV1? in
            if case .assignJob(let assign) = message { assign } else { nil }
        }.first
        let message = try #require(sent)
        let assignment = try SignedObject<Assignment>(verifying: message.assignment)
        let certificate = try SignedObject<HoldCertificate>(reading: try #require(message.hold))
        let originator = world.parties[0].identity
        func declined(
            _ what: String, by issuer: Identity = CreditBank.identity, link: CID? = nil,
            _ change: (inout HoldCertificate) -> Void
        ) throws -> Refusal? {
            let other = try signed(certificate, with: issuer, change)
            let ordered = try signed(assignment, with: originator) { $0.holdCID = link ?? other.cid }
            return answer(
                AssignJobV1(
                    manifest: message.manifest, bid: message.bid, assignment: ordered.bytes, hold: other.bytes))
        }
        func answer(_ message: AssignJobV1) -> Refusal? {
            var market = world.parties[1].market
            let (reply, transition) = market.receive(
                .assignJob(message), from: originator.peerID, now: world.now, wallClock: world.wallClock)
            guard case .declined(let refusal) = reply else { return nil }
            #expect(transition.events.isEmpty)
            return refusal
        }
        func code(_ refusal: Refusal?) -> String? { refusal?.code.text }
        let stranger = try Identity(seed: [UInt8](repeating: 77, count: 32))
        let trusted = world.parties[1].market.configuration.executor?.issuers ?? []
        world.parties[1].market.configuration.executor?.issuers[0].isMember = false
        #expect(answer(message)?.text.contains("no line at its issuer") == true)
        world.parties[1].market.configuration.executor?.issuers = trusted
        #expect(code(try declined("less") { $0.amount = TokenAmount($0.amount.units - 1) }) == "hold_not_accepted")
        #expect(code(try declined("unit") { $0.unit = CreditUnit(name: "hours", decimals: 3) }) == "hold_not_accepted")
        #expect(code(try declined("creditor") { $0.creditorDID = stranger.did }) == "hold_not_accepted")
        #expect(code(try declined("debtor") { $0.debtorDID = stranger.did }) == "hold_not_accepted")
        #expect(code(try declined("bid") { $0.terms.bidCID = id.cid }) == "hold_not_accepted")
        #expect(code(try declined("attempt") { $0.terms.attempt = 2 }) == "hold_not_accepted")
        #expect(code(try declined("arbiter") { $0.terms.arbiterDID = stranger.did }) == "hold_not_accepted")
        #expect(code(try declined("window") { $0.terms.windowMilliseconds = 86_400_000 }) == "hold_not_accepted")
        #expect(code(try declined("budget") { $0.terms.disputeBudget = TokenAmount(10_000) }) == "hold_not_accepted")
        #expect(
            code(
                try declined("late") {
                    $0.terms.deliverBy = UnixMilliseconds(assignment.body.terms.deadline.value - 1)
                }) == "hold_not_accepted")
        #expect(code(try declined("issuer", by: stranger) { $0.issuerDID = stranger.did }) == "hold_not_accepted")
        #expect(code(try declined("link", link: id.cid) { _ in }) == "chain_mismatch")
        let order = [UInt8](repeating: 0, count: 32)
        for key in [nil, [], Array(order.dropLast()), order] as [[UInt8]?] {
            let ordered = try signed(assignment, with: originator) { $0.sealingKey = key }
            let unsealable = AssignJobV1(
                manifest: message.manifest, bid: message.bid, assignment: ordered.bytes, hold: message.hold)
            #expect(code(answer(unsealable)) == "chain_mismatch", "nobody can seal to \(key as Any)")
        }
        let forged = try SignedObject.sign(certificate.body, with: CreditBank.identity).bytes.dropLast() + [0]
        let parts = (message.manifest, message.bid, message.assignment)
        #expect(
            code(answer(AssignJobV1(manifest: parts.0, bid: parts.1, assignment: parts.2, hold: Array(forged))))
                == "not_verified")
        #expect(code(answer(AssignJobV1(manifest: parts.0, bid: parts.1, assignment: parts.2))) == "hold_missing")
        #expect(answer(message) == nil, "the true one is taken")
    }

    @Test func aFullExecutorGivesTheHoldBack() throws {
        var world = try world(trusting: [1])
        world.blocked = [.assignJob]
        _ = try world.submit(request())
        #expect(world.run(milliseconds: 10_000) { $0.log.contains { $0.variant == .assignJob } })
        world.parties[1].market.configuration.executor?.acceptsJobs = false
        world.blocked = []
        world.run(milliseconds: 10_000)
        #expect(world.parties[1].bookings.count == 1)
        try world.book(of: 1)
        #expect(world.bank?.liveHolds == 0)
        // Whoever sends it again, now that there is room, gets no run for nothing.
        world.parties[1].market.configuration.executor?.acceptsJobs = true
        let sent = world.log.last { $0.variant == .assignJob }
        let message = try #require(sent)
        let (reply, transition) = world.parties[1].market.receive(
            message, from: world.parties[0].peer, now: world.now, wallClock: world.wallClock)
        guard case .declined(let refusal) = reply else {
            Issue.record("\(reply)")
            return
        }
        #expect(refusal.code == .known(.holdNotAccepted) && refusal.text.contains("gave it up"))
        #expect(transition.bookings.isEmpty)
    }

    // MARK: Bids

    @Test func bidsThatArePaidInAnotherWayAreRefused() throws {
        var world = try world(trusting: [1])
        let id = try world.submit(request())
        let manifest = try #require(world.job(id)?.manifest)
        let bidder = world.parties[1].identity
        var terms = BidTerms(
            price: TokenAmount(10), basePrice: TokenAmount(10), pricePerMillionFuel: .zero,
            earliestStart: world.wallClock,
            deadline: world.wallClock.advanced(milliseconds: 10_000))
        func refusal(_ payment: BidPayment?) -> BidRefusal? {
            terms.payment = payment
            let bid = Bid(
                jobID: id, originatorPeerID: manifest.originatorPeerID, bidderDID: bidder.did,
                bidderPeerID: bidder.peerID, terms: terms, features: manifest.policy.requiredFeatures ?? [],
                issuedAt: world.wallClock, expiresAt: world.wallClock.advanced(milliseconds: 30_000))
            return Selection(
                manifest: manifest, reputation: world.parties[0].market.reputation, wallClock: world.wallClock
            ).refusal(of: bid)
        }
        let (issuer, unit) = (CreditBank.identity.did, CreditBank.unit)
        #expect(refusal(BidPayment(issuerDID: issuer, unit: unit)) == nil)
        #expect(refusal(nil) == .paymentNotAccepted)
        terms.price = .zero
        (terms.basePrice, terms.pricePerMillionFuel) = (.zero, .zero)
        #expect(refusal(BidPayment(issuerDID: issuer, unit: unit)) == .termsInvalid(reason: "no issuer holds 0"))
        (terms.price, terms.basePrice) = (TokenAmount(10), TokenAmount(10))
        terms.deadline = world.wallClock.advanced(milliseconds: 86_000_000)
        #expect(
            refusal(BidPayment(issuerDID: issuer, unit: unit))
                == .termsInvalid(reason: "the price would be held for too long"))
        terms.deadline = world.wallClock.advanced(milliseconds: 10_000)
        #expect(refusal(BidPayment(issuerDID: bidder.did, unit: unit)) == .paymentNotAccepted)
        #expect(
            refusal(BidPayment(issuerDID: issuer, unit: CreditUnit(name: "hours", decimals: 1)))
                == .paymentNotAccepted)
    }

    @Test func aJobNamesFewIssuersAndABudget() {
        func code(_ change: (inout MeshJobParams) -> Void) -> String? {
            var params = request().params
            change(&params)
            return JobRules().refusal(of: params)?.code
        }
        let many = (1...5).compactMap { try? Identity(seed: [UInt8](repeating: $0, count: 32)).did }
        #expect(code { _ in } == nil)
        #expect(code { $0.executionPolicy?.payBy?.issuers = [] } == "empty")
        #expect(code { $0.executionPolicy?.payBy?.issuers = many } == "too_many")
        #expect(code { $0.executionPolicy?.payBy?.issuers = [many[0], many[0]] } == "bad_payment")
        #expect(code { $0.executionPolicy?.payBy?.unit = CreditUnit(name: "", decimals: 0) } == "bad_payment")
        #expect(code { $0.maxAcceptableBidTokens = nil } == "bad_payment")
        #expect(code { $0.executionPolicy?.requiredFeatures = nil } == "feature_not_required")
        #expect(
            code {
                $0.executionPolicy?.hedge = true
                $0.executionPolicy?.require(HedgedJob.feature)
            } == "not_offered")
    }

    // MARK: Crashes

    @Test(arguments: [0, 1], [false, true])
    func nothingIsPaidTwiceWhereverANodeIsKilled(party: Int, losesLazyEvents: Bool) throws {
        var reference = try world()
        try reference.submit(request())
        reference.run(milliseconds: 600_000)
        let length = reference.parties[party].journal.count
        #expect(length >= 9)
        for count in 1...length {
            var world = try world()
            world.losesLazyEvents = losesLazyEvents
            let id = try world.submit(request())
            #expect(world.run(milliseconds: 600_000) { $0.parties[party].journal.count >= count })
            try world.restart(party, afterMilliseconds: 50)
            world.run(milliseconds: 900_000)
            let after = "\(party) after \(reference.parties[party].events[count - 1].kindName), \(losesLazyEvents)"
            #expect(world.job(id)?.result == .completedSuccessfully, "\(after)")
            for index in [0, 1, 2, 0, 1, 2] { try world.book(of: index) }
            let bank = try #require(world.bank)
            #expect(bank.balance(world.parties[0].identity.did) == -Int64(world.job(id)?.paid.units ?? 0), "\(after)")
            #expect(bank.balance(world.parties[0].identity.did) < 0, "\(after)")
            try expectBookIsWhole(world)
        }
    }
}
