import Economics
import Foundation
import JobMarket
import MeshTypes
import Multiformats
import PeerIdentity
import Reputation
import SignedObjects
import Testing

/// Dates, amounts and names in signed objects of strangers: judged by the true clock and by what a receipt can hold.
@Suite("Hostile values")
struct HostileValueTests {
    private let stranger = Identity.generate()

    private func manifest(_ world: MarketWorld, _ change: (inout JobManifest) -> Void) -> JobManifest {
        var manifest = JobManifest(
            params: MarketWorld.request().params, originatorDID: stranger.did, originatorPeerID: stranger.peerID,
            originatorAddresses: [], nonce: Array(repeating: 1, count: 16), submittedAt: world.wallClock,
            biddingDeadline: world.wallClock, expiresAt: world.wallClock.advanced(milliseconds: 60_000))
        change(&manifest)
        return manifest
    }

    private func announce(
        _ manifest: JobManifest, to world: inout MarketWorld, expiresAt: UnixMilliseconds? = nil
    ) throws -> (id: JobID, verdict: GossipJudgement?) {
        let signed = try SignedObject.sign(manifest, with: stranger)
        let announcement = JobAnnouncementV1(
            jobID: JobID(signed.cid), manifest: signed.bytes, originatorPeerID: stranger.peerID, providerAddresses: [],
            expiresAt: expiresAt ?? world.wallClock.advanced(milliseconds: 60_000))
        let (verdict, transition) = world.parties[1].market.judge(
            .jobAnnouncement(announcement), author: stranger.peerID, now: world.now, wallClock: world.wallClock)
        world.carryOut(transition, of: 1)
        return (JobID(signed.cid), verdict)
    }

    /// Moves all dates of a manifest.
    private func moved(_ world: MarketWorld, to submittedAt: UInt64) -> JobManifest {
        manifest(world) { manifest in
            manifest.submittedAt = UnixMilliseconds(submittedAt)
            manifest.biddingDeadline = manifest.submittedAt
            manifest.expiresAt = manifest.submittedAt.advanced(milliseconds: 60_000)
        }
    }

    @Test func datesAreJudgedByTheTrueClockWithItsSkewBothWays() throws {
        var world = MarketWorld(executors: 1)
        let (now, skew) = (MarketWorld.epoch, JobRules().clockSkewMilliseconds)
        for ahead in [now + skew + 1, 1 << 53, UInt64(Int64.max) - 60_000] as [UInt64] {
            let (id, verdict) = try announce(moved(world, to: ahead), to: &world)
            #expect(verdict == .ignore(reason: "submitted_in_the_future"), "\(ahead)")
            #expect(world.parties[1].market.executedJob(id) == nil, "\(ahead) was bid on")
        }
        #expect(world.parties[1].market.counters.declines["job_submitted_in_the_future"] == 3)
        for behind in [0, 1, now - skew - 60_000] as [UInt64] {
            let (id, verdict) = try announce(moved(world, to: behind), to: &world)
            #expect(verdict == .ignore(reason: "expired"), "\(behind)")
            #expect(world.parties[1].market.executedJob(id) == nil, "\(behind) was bid on")
        }
        for good in [now + skew, now - skew - 59_999] as [UInt64] {
            let (id, verdict) = try announce(moved(world, to: good), to: &world)
            #expect(verdict == .accept, "\(good)")
            #expect(world.parties[1].market.executedJob(id)?.isOpenBid == true, "\(good) was not bid on")
        }
    }

    @Test func datesThatNoStoreHoldsAreNoManifest() throws {
        var world = MarketWorld(executors: 1)
        for date in [1 << 63, (1 << 63) + 1000, .max - 60_000] as [UInt64] {
            let (id, verdict) = try announce(moved(world, to: date), to: &world)
            #expect(verdict == .reject(reason: "the manifest does not verify"))
            #expect(world.parties[1].market.executedJob(id) == nil)
        }
        let horizon = world.wallClock.advanced(
            milliseconds: JobRules().lifetimeMillisecondsMax + JobRules().clockSkewMilliseconds)
        let good = manifest(world) { _ in }
        let late = try announce(good, to: &world, expiresAt: horizon.advanced(milliseconds: 1))
        #expect(late.verdict == .ignore(reason: "outlives any job"))
        #expect(try announce(good, to: &world, expiresAt: horizon).verdict == .accept)
    }

    @Test func aRefusedJobIsNeverForwardedHoweverOftenItComes() throws {
        var world = MarketWorld(executors: 1)
        let bad = manifest(world) { $0.params.wasmCID = CID.hashing([1], codec: .dagJSON) }
        for _ in 0..<3 {
            #expect(try announce(bad, to: &world).verdict == .ignore(reason: "cid_not_accepted"))
        }
        #expect(world.parties[1].market.counters.declines["job_cid_not_accepted"] == 3)
    }

    @Test func aJobIsNamedByTheOneCIDOfItsManifest() throws {
        var world = MarketWorld(executors: 1)
        let signed = try SignedObject.sign(manifest(world) { _ in }, with: stranger)
        let alias = JobID(CID.hashing(signed.bytes, codec: .raw))
        let announcement = JobAnnouncementV1(
            jobID: alias, manifest: signed.bytes, originatorPeerID: stranger.peerID, providerAddresses: [],
            expiresAt: world.wallClock.advanced(milliseconds: 60_000))
        let verdict = world.parties[1].market.judge(
            .jobAnnouncement(announcement), author: stranger.peerID, now: world.now, wallClock: world.wallClock
        ).verdict
        #expect(verdict == .reject(reason: "a CID of another form than objects have"))
    }

    @Test func formsOfCIDsAreCheckedAtSubmissionAnnouncementBidAndAssignment() throws {
        let version0 = try CID(bytes: Array(CID.hashing([1], codec: .dagPB).bytes.dropFirst(2)))
        var world = MarketWorld(executors: 1)
        #expect(throws: SubmissionRefusal.jobRefused(.cidNotAccepted(field: "wasm_cid", version0))) {
            try world.submit(MarketWorld.request { $0.wasmCID = version0 })
        }
        #expect(throws: SubmissionRefusal.jobRefused(.cidNotAccepted(field: "input_cids", version0))) {
            try world.submit(MarketWorld.request { $0.inputCIDs["data"] = version0 })
        }
        let bad = manifest(world) { $0.params.inputCIDs["data"] = version0 }
        let (id, verdict) = try announce(bad, to: &world)
        #expect(verdict == .ignore(reason: "cid_not_accepted"))
        #expect(world.parties[1].market.executedJob(id) == nil)
        // An executor of an earlier version has bid, and is assigned: with its key, and this version's rules.
        let executor = world.parties[1].identity
        let signed = try SignedObject.sign(bad, with: stranger)
        let terms = BidTerms(
            price: TokenAmount(10), basePrice: TokenAmount(10), pricePerMillionFuel: .zero,
            earliestStart: world.wallClock, deadline: world.wallClock)
        let bid = try SignedObject.sign(
            Bid(
                jobID: id, originatorPeerID: stranger.peerID, bidderDID: executor.did, bidderPeerID: executor.peerID,
                terms: terms, issuedAt: world.wallClock, expiresAt: world.wallClock.advanced(milliseconds: 30_000)),
            with: executor)
        let assignment = try SignedObject.sign(
            Assignment(
                jobID: id, originatorDID: stranger.did, bidCID: bid.cid, executorDID: executor.did, attempt: 1,
                leaseMilliseconds: 10_000, terms: terms, assignedAt: world.wallClock, acceptBy: bid.body.expiresAt),
            with: stranger)
        let order = AssignJobV1(manifest: signed.bytes, bid: bid.bytes, assignment: assignment.bytes)
        let reply = world.parties[1].market.receive(
            .assignJob(order), from: stranger.peerID, now: world.now, wallClock: world.wallClock
        ).reply
        guard case .declined(let refusal) = reply, refusal.code == .known(.jobRefused) else {
            Issue.record("\(String(describing: reply))")
            return
        }
        #expect(refusal.text.contains("(--input) names Qm"))
        #expect(world.parties[1].market.runCounts == (0, 0))
    }

    @Test func theManifestThatOnceWasRunAndNeverPaid() throws {
        let file = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .appending(path: "Vectors/cases/manifest-cidv0-module.hex")
        let text = try String(contentsOf: file, encoding: .utf8)
        let block = try Multibase.decodeWithoutPrefix(
            text.trimmingCharacters(in: .whitespacesAndNewlines), .base16)
        let signed = try SignedObject<JobManifest>(verifying: block)
        #expect(signed.body.params.wasmCID.version == .v0)
        var world = MarketWorld(executors: 1) { _, configuration in
            configuration.executor?.features = ["simd"]
            configuration.executor?.region = "eu"
            configuration.executor?.resources = ["memory_mib": 512]
        }
        #expect(signed.body.submittedAt == world.wallClock, "its dates are those of this world")
        let announcement = JobAnnouncementV1(
            jobID: JobID(signed.cid), manifest: block, originatorPeerID: signed.body.originatorPeerID,
            providerAddresses: [], expiresAt: signed.body.expiresAt)
        let (verdict, transition) = world.parties[1].market.judge(
            .jobAnnouncement(announcement), author: signed.body.originatorPeerID, now: world.now,
            wallClock: world.wallClock)
        #expect(verdict == .ignore(reason: "cid_not_accepted"))
        #expect(transition.events.isEmpty && transition.actions.isEmpty)
    }

    @Test func bidsThatOutliveAnyJobOrClaimImpossibleLoadAreRefused() throws {
        var world = MarketWorld(executors: 0)
        let id = try world.submit()
        world.run(milliseconds: 10)
        func reason(_ change: (inout Bid) -> Void) throws -> String {
            let terms = BidTerms(
                price: TokenAmount(1), basePrice: .zero, pricePerMillionFuel: .zero, earliestStart: world.wallClock,
                deadline: world.wallClock)
            var bid = Bid(
                jobID: id, originatorPeerID: world.parties[0].peer, bidderDID: stranger.did,
                bidderPeerID: stranger.peerID, terms: terms, issuedAt: world.wallClock,
                expiresAt: world.wallClock.advanced(milliseconds: JobRules().lifetimeMillisecondsMax + 1))
            change(&bid)
            let message = JobBidV1(bid: ProtocolBid(try SignedObject.sign(bid, with: stranger)))
            let reply = world.parties[0].market.receive(
                .jobBid(message), from: stranger.peerID, now: world.now, wallClock: world.wallClock
            ).reply
            guard case .refused(let refusal) = reply, refusal.code == .known(.termsInvalid) else {
                return "\(String(describing: reply))"
            }
            return refusal.text
        }
        #expect(try reason { _ in }.contains("the bid outlives any job"))
        #expect(
            try reason { bid in
                bid.expiresAt = world.wallClock.advanced(milliseconds: 1000)
                bid.loadPermille = 1001
            }.contains("more load than the whole"))
    }

    @Test func pricesAtTheTopOfTheRangeStayWithinWhatAStoreHolds() throws {
        var world = MarketWorld(executors: 1) { _, configuration in
            configuration.executor?.basePrice = .max
            configuration.executor?.pricePerMillionFuel = .max
            configuration.executor?.priceMax = nil
        }
        let id = try world.submit()
        world.run(milliseconds: 500)
        let job = try #require(world.parties[1].market.executedJob(id))
        #expect(job.bid.terms.price == .max)
        #expect(job.bid.terms.price.units == UInt64(Int64.max))
        #expect(world.job(id)?.bids.first?.bid.terms.price == .max, "and others read it")
    }

    @Test func aReceiptDatedAheadDecaysFromItsArrival() throws {
        var world = MarketWorld(executors: 1)
        let ahead = world.wallClock.advanced(milliseconds: 1 << 50)
        world.parties[1].run = .hang
        let id = try world.submit()
        #expect(world.run(milliseconds: 5000) { $0.job(id)?.status == .running })
        let order = try #require(world.parties[1].orders.first)
        let report = ExecutionReport(
            outcome: .exited(code: 0), usage: ResourceUsage(fuel: 1), startedAt: ahead, endedAt: ahead)
        world.give(.executionFinished(assignment: order.assignmentCID, report), to: 1)
        #expect(world.run(milliseconds: 5000) { $0.job(id)?.result != nil })
        let evidence = world.parties[0].market.reputation.evidence(about: world.parties[1].identity.did)
        #expect(evidence.count == 1)
        #expect(evidence.allSatisfy { $0.at <= world.wallClock })
        world.expectSameAfterReplay(0)
    }

    @Test func aJournalThatDoesNotReadIsLeftOutAndTheOthersGoOn() throws {
        var world = MarketWorld(executors: 1) { _, configuration in configuration.executor?.concurrentRunsMax = 8 }
        world.parties[1].run = .hang
        let ids = try (0..<3).map { try world.submit(MarketWorld.request("job \($0)")) }
        #expect(world.run(milliseconds: 5000) { world in ids.allSatisfy { world.job($0)?.status == .running } })
        for (index, role) in [(0, JobRole.originator), (1, .executor)] {
            var market = try world.parties[index].replayed()
            let open = market.openCounts
            market.discard(ids[1], role: role)
            if role == .originator {
                #expect(market.originatedJob(ids[1]) == nil && market.originatedJob(ids[0]) != nil)
                #expect(market.openCounts.originated == open.originated - 1)
            } else {
                #expect(market.executedJob(ids[1]) == nil && market.executedJob(ids[0]) != nil)
                #expect(market.runCounts == (2, 0))
            }
            let transition = market.recover(now: world.now, wallClock: world.wallClock)
            let resumed = transition.actions.compactMap { action -> JobID? in
                if case .fetchInputs(let order) = action { order.jobID } else { nil }
            }
            if role == .executor {
                #expect(Set(resumed) == [ids[0], ids[2]])
                market.checkInvariants()
            }
            market.discard(ids[1], role: role)
        }
    }
}
