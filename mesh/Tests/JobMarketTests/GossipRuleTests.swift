import IPLD
import JobMarket
import MeshTypes
import Multiformats
import PeerIdentity
import SignedObjects
import Testing

/// What is checked of gossip before it is forwarded: forms, sizes, dates and the author's rate.
@Suite struct GossipRuleTests {
    private let author = try? Identity(seed: Array(repeating: 7, count: 32))

    private func judge(
        _ world: inout MarketWorld, _ message: MeshProtocolMessage, by author: Identity
    ) -> GossipJudgement? {
        world.parties[1].market.judge(
            message, author: author.peerID, now: world.now, wallClock: world.wallClock
        ).verdict
    }

    private func capability(
        of identity: Identity, at date: UnixMilliseconds, _ change: (inout NodeCapability) -> Void = { _ in }
    ) throws -> MeshProtocolMessage {
        var capability = NodeCapability(
            nodeDID: identity.did, peerID: identity.peerID, issuedAt: date,
            validUntil: date.advanced(milliseconds: 120_000))
        change(&capability)
        let signed = try SignedObject.sign(capability, with: identity)
        return .capabilityAdvertisement(CapabilityAdvertisementV1(capability: signed.bytes))
    }

    private func isRejected(_ judgement: GossipJudgement?, _ reason: String) -> Bool {
        if case .reject(let told)? = judgement { told.contains(reason) } else { false }
    }

    private func object(_ number: Int) -> CID { CID.hashing([UInt8(number & 255)], codec: .dagCBOR) }

    @Test func capabilitiesAreShortTheirAuthorsAndOfNow() throws {
        let author = try #require(author)
        let other = try Identity(seed: Array(repeating: 8, count: 32))
        var world = MarketWorld(executors: 1)
        let now = world.wallClock
        #expect(judge(&world, try capability(of: author, at: now), by: author) == .accept)
        let long = try capability(of: author, at: now) { $0.features = [String(repeating: "f", count: 4096)] }
        #expect(isRejected(judge(&world, long, by: author), "longer than 4096 bytes"))
        #expect(isRejected(judge(&world, try capability(of: other, at: now), by: author), "not its author's"))
        let address = Multiaddr([.ip4([1, 2, 3, 4]), .tcp(1)])
        let full = try capability(of: author, at: now) { $0.addresses = Array(repeating: address, count: 16) }
        #expect(judge(&world, full, by: author) == .accept)
        let many = try capability(of: author, at: now) { $0.addresses = Array(repeating: address, count: 17) }
        #expect(isRejected(judge(&world, many, by: author), "too many addresses"))
        let old = try capability(of: author, at: UnixMilliseconds(now.value - 600_000))
        #expect(judge(&world, old, by: author) == .ignore(reason: "expired"))
        let future = try capability(of: author, at: now.advanced(milliseconds: 300_001))
        #expect(judge(&world, future, by: author) == .ignore(reason: "of the future"))
    }

    @Test func headsAreSortedObjectsOfThisScope() throws {
        let author = try #require(author)
        var world = MarketWorld(executors: 1)
        let sorted = (0..<65).map(object).sorted()
        func heads(_ heads: [CID], scope: String = "global", height: UInt64 = 3) -> MeshProtocolMessage {
            .anchorHeads(AnchorHeadsV1(scope: scope, heads: heads, height: height))
        }
        #expect(judge(&world, heads(Array(sorted.prefix(64)), height: 1 << 53), by: author) == .accept)
        let refused: [(MeshProtocolMessage, String)] = [
            (heads(sorted), "too many"), (heads([]), "no heads"), (heads(sorted.prefix(2).reversed()), "out of order"),
            (heads([sorted[0], sorted[0]]), "twice"), (heads([CID.hashing([1], codec: .raw)]), "another form"),
            (heads([sorted[0]], scope: "else"), "another scope"),
            (heads([sorted[0]], height: 1 << 53 + 1), "no such height"),
        ]
        for (message, reason) in refused {
            let judgement = judge(&world, message, by: author)
            #expect(isRejected(judgement, reason), "\(reason): \(String(describing: judgement))")
        }
    }

    @Test func noticesNameObjectsAndFewAddresses() throws {
        let author = try #require(author)
        var world = MarketWorld(executors: 1)
        let address = Multiaddr([.ip4([1, 2, 3, 4]), .tcp(1)])
        func notice(_ change: (inout ExecutionReceiptAvailableV1) -> Void = { _ in }) -> MeshProtocolMessage {
            var notice = ExecutionReceiptAvailableV1(
                jobID: JobID(object(1)), receiptCID: object(2), executorDID: author.did, status: .failed)
            change(&notice)
            return .executionReceiptAvailable(notice)
        }
        let good = notice { $0.providerAddresses = Array(repeating: address, count: 16) }
        #expect(judge(&world, good, by: author) == .accept)
        let many = notice { $0.providerAddresses = Array(repeating: address, count: 17) }
        #expect(isRejected(judge(&world, many, by: author), "too many addresses"))
        let file = notice { $0.receiptCID = CID.hashing([1], codec: .raw) }
        #expect(isRejected(judge(&world, file, by: author), "another form"))
        var announcement = JobAnnouncementV1(
            jobID: JobID(object(1)), manifest: nil, executionPolicy: nil, originatorPeerID: author.peerID,
            providerAddresses: Array(repeating: address, count: 17),
            expiresAt: world.wallClock.advanced(milliseconds: 1000))
        #expect(isRejected(judge(&world, .jobAnnouncement(announcement), by: author), "too many addresses"))
        announcement.providerAddresses = []
        announcement.jobID = JobID(CID.hashing([1], codec: .raw))
        #expect(isRejected(judge(&world, .jobAnnouncement(announcement), by: author), "another form"))
    }

    private func rating(
        by rater: Identity, of subject: Identity, at date: UnixMilliseconds,
        _ change: (inout ReputationRecord) -> Void = { _ in }
    ) throws -> MeshProtocolMessage {
        var record = ReputationRecord(
            raterDID: rater.did, subjectDID: subject.did, receiptCID: object(1), verdict: .fulfilled, weight: 3,
            recordedAt: date, pay: RecordedPay(issuerDID: rater.did, settlementCID: object(2), proofCID: object(3)))
        change(&record)
        let signed = try SignedObject.sign(record, with: rater)
        return .reputationRecordAvailable(ReputationRecordAvailableV1(record: signed.bytes))
    }

    @Test func ratingsAreTheirRatersAndOfOthers() throws {
        let author = try #require(author)
        let other = try Identity(seed: Array(repeating: 8, count: 32))
        var world = MarketWorld(executors: 1)
        let now = world.wallClock
        func rating(
            by rater: Identity, of subject: Identity, _ change: (inout ReputationRecord) -> Void = { _ in }
        ) throws -> MeshProtocolMessage { try self.rating(by: rater, of: subject, at: now, change) }
        #expect(judge(&world, try rating(by: author, of: other), by: author) == .accept)
        let repeated = judge(&world, try rating(by: author, of: other), by: other)
        #expect(isRejected(repeated, "the rating is not its author's"), "\(String(describing: repeated))")
        #expect(isRejected(judge(&world, try rating(by: author, of: author), by: author), "a rating of oneself"))
        let file = try rating(by: author, of: other) { $0.receiptCID = CID.hashing([1], codec: .raw) }
        #expect(isRejected(judge(&world, file, by: author), "another form"))
        for verdict in ReputationVerdict.allCases where verdict != .fulfilled {
            let word = try rating(by: author, of: other) { $0.verdict = verdict }
            #expect(isRejected(judge(&world, word, by: author), "its word alone"))
        }
        for change: (inout ReputationRecord) -> Void in [
            { $0.weight = 0 }, { $0.pay.proofCID = CID.hashing([1], codec: .raw) },
            { $0.pay.settlementCID = CID.hashing([1], codec: .raw) },
        ] {
            let free = try rating(by: author, of: other, change)
            #expect(isRejected(judge(&world, free, by: author), "pay of another form"))
        }
        let future = try rating(by: author, of: other) { $0.recordedAt = now.advanced(milliseconds: 300_001) }
        #expect(judge(&world, future, by: author) == .ignore(reason: "of the future"))
        guard case .reputationRecordAvailable(var forged) = try rating(by: author, of: other) else { return }
        forged.record[forged.record.count - 1] ^= 1
        var later = MarketWorld(executors: 1)
        #expect(isRejected(judge(&later, .reputationRecordAvailable(forged), by: author), "does not verify"))
    }

    @Test func noticesOverTheRateAreIgnoredUntilItHasFilledAgain() throws {
        let author = try #require(author)
        let other = try Identity(seed: Array(repeating: 8, count: 32))
        var world = MarketWorld(executors: 1)
        let limits = MarketLimits()
        func notice(_ number: Int, of executor: Identity) -> MeshProtocolMessage {
            .executionReceiptAvailable(
                ExecutionReceiptAvailableV1(
                    jobID: JobID(object(number)), receiptCID: object(number + 1), executorDID: executor.did,
                    status: .completedSuccessfully))
        }
        func accepted(of count: Int) -> Int {
            var verdicts: [GossipJudgement?] = []
            for number in 0..<count { verdicts.append(judge(&world, notice(number, of: author), by: author)) }
            let first = verdicts.firstIndex { $0 != .accept } ?? count
            // `ignore` blames nobody: neither the author nor who forwarded it.
            #expect(verdicts[first...].allSatisfy { $0 == .ignore(reason: "more than an author may send") })
            return first
        }
        #expect(accepted(of: limits.receiptNoticeBurstMax + 100) == limits.receiptNoticeBurstMax)
        #expect(judge(&world, notice(1, of: other), by: other) == .accept, "another author has a rate of its own")
        world.run(milliseconds: 1_000)
        #expect(accepted(of: limits.receiptNoticesPerSecondMax + 100) == limits.receiptNoticesPerSecondMax)
        world.run(milliseconds: 10_000)
        #expect(accepted(of: limits.receiptNoticeBurstMax + 100) == limits.receiptNoticeBurstMax)
    }

    @Test func anAuthorHasARateAndIsNotBlamedForMore() throws {
        let author = try #require(author)
        let other = try Identity(seed: Array(repeating: 8, count: 32))
        var world = MarketWorld(executors: 1)
        let limits = MarketLimits()
        let heads = MeshProtocolMessage.anchorHeads(AnchorHeadsV1(scope: "global", heads: [object(1)], height: 0))
        let kinds: [(MeshProtocolMessage, MeshProtocolMessage, Int)] = [
            (heads, heads, limits.headsBurstMax),
            (
                try capability(of: author, at: world.wallClock), try capability(of: other, at: world.wallClock),
                limits.capabilityBurstMax
            ),
            (
                try rating(by: author, of: other, at: world.wallClock),
                try rating(by: other, of: author, at: world.wallClock), limits.recordBurstMax
            ),
        ]
        for (message, others, burst) in kinds {
            for _ in 0..<burst { #expect(judge(&world, message, by: author) == .accept) }
            #expect(judge(&world, message, by: author) == .ignore(reason: "more than an author may send"))
            #expect(judge(&world, others, by: other) == .accept, "another author has a rate of its own")
        }
        world.run(milliseconds: 1_000)
        #expect(judge(&world, kinds[1].0, by: author) == .accept, "a second later there is one more")
        #expect(judge(&world, kinds[1].0, by: author) == .ignore(reason: "more than an author may send"))
    }
}
