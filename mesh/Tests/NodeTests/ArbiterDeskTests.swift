import Credit
import Foundation
import IPLD
import JobMarket
import Logging
import MeshStore
import MeshTypes
import Multiformats
import NodeAPI
import P2PTesting
import PeerIdentity
import SignedObjects
import Testing

@testable import NodeCore
@testable import PlanetaryMesh

/// What an arbiter takes, from whom, and how much.
@Suite("An arbiter's desk", .serialized) struct ArbiterDeskTests {
    private let issuer = Identity.generate()
    private let executor = Identity.generate()
    private let originator = Identity.generate()
    private let arbiter = Identity.generate()
    private let stranger = Identity.generate()

    /// A desk over the store of a node that does nothing else.
    private func withDesk(
        _ change: (inout ArbiterDesk.Limits) -> Void = { _ in },
        _ body: (ArbiterDesk, MeshNode) async throws -> Void
    ) async throws {
        let folder = URL(fileURLWithPath: "/tmp/mn-\(UUID().uuidString.prefix(8))")
        defer { try? FileManager.default.removeItem(at: folder) }
        let node = try await NodeMesh.open(folder.path, NodeMesh.loopback(), identity: arbiter)
        var limits = ArbiterDesk.Limits()
        change(&limits)
        try await NodeMesh.running([node]) { try await body(desk(of: node, limits), node) }
    }

    private func desk(of node: MeshNode, _ limits: ArbiterDesk.Limits = .init()) -> ArbiterDesk {
        ArbiterDesk(
            identity: arbiter, store: node.store, host: node.swarm, runner: node.parts.runner, issuers: [issuer.did],
            logger: node.parts.logger, limits: limits)
    }

    private func certificate(
        _ number: UInt8 = 1, by signer: Identity? = nil, _ change: (inout HoldCertificate) -> Void = { _ in }
    ) throws -> SignedObject<HoldCertificate> {
        let now = NodeClock.wallClock
        let cid = CID.hashing([number], codec: .dagCBOR)
        var body = HoldCertificate(
            issuerDID: (signer ?? issuer).did, charterCID: cid, holdCID: cid, debtorDID: originator.did,
            creditorDID: executor.did, amount: TokenAmount(100), unit: CreditUnit(name: "hours", decimals: 2),
            terms: HoldTerms(
                jobID: JobID(cid), attempt: 1, bidCID: cid, originatorDID: originator.did,
                executorDID: executor.did, arbiterDID: arbiter.did, deliverBy: now.advanced(milliseconds: 60_000),
                claimBy: now.advanced(milliseconds: 180_000), windowMilliseconds: 1_000,
                extensionMilliseconds: 1_000), entry: 1, commitment: [UInt8](repeating: 0, count: 32), loggedBy: now)
        change(&body)
        return try SignedObject.sign(body, with: signer ?? issuer)
    }

    private func part(_ number: UInt64, of count: UInt64, bytes: Int = 10, receipt: UInt8 = 9) -> SealedPart {
        SealedPart(
            receiptCID: CID.hashing([receipt], codec: .dagCBOR), number: number, count: count,
            bytes: [UInt8](repeating: UInt8(truncatingIfNeeded: number), count: bytes))
    }

    private func reason(_ answer: ArbiterAnswer) -> ArbiterAnswer.Reason? {
        if case .refused(let reason, _) = answer { reason } else { nil }
    }

    @Test("Parts are taken in their order, from the executor alone; what is whole stays, and its parties can have it")
    func keeping() async throws {
        try await withDesk { (desk: ArbiterDesk, node: MeshNode) async throws -> Void in
            let hold = try certificate()
            func keep(_ part: SealedPart, from peer: Identity? = nil) async -> ArbiterAnswer {
                await desk.answer(.keep(certificate: hold.bytes, part: part), from: (peer ?? executor).peerID)
            }
            #expect(await keep(part(1, of: 3)) == .wanted(number: 0))
            #expect(await keep(part(0, of: 3)) == .wanted(number: 1))
            #expect(await keep(part(2, of: 3)) == .wanted(number: 1), "one is missing")
            #expect(await reason(keep(part(1, of: 3), from: stranger)) == .invalid)
            #expect(await reason(keep(part(1, of: 3), from: originator)) == .invalid)
            #expect(await keep(part(1, of: 3, receipt: 8)) == .wanted(number: 0), "another result")
            let fetched = ArbiterQuestion.part(hold: hold.body.holdCID, number: 0)
            #expect(await reason(desk.answer(fetched, from: originator.peerID)) == .unknown, "it is not whole")
            #expect(await keep(part(1, of: 3)) == .wanted(number: 2))
            guard case .kept(let block) = await keep(part(2, of: 3)) else {
                Issue.record("it is not kept")
                return
            }
            let statement = try SignedObject<DeliveryStatement>(reading: block)
            #expect(statement.did == arbiter.did && statement.body.receiptCID == part(0, of: 3).receiptCID)
            #expect(await keep(part(0, of: 3)) == .kept(statement: block), "asked again it is the same word")
            #expect(await reason(keep(part(0, of: 1, receipt: 8))) == .invalid, "another one never takes its place")
            #expect(await desk.answer(fetched, from: originator.peerID) == .part(part: part(0, of: 3)))
            for peer in [executor, stranger] {
                #expect(await reason(desk.answer(fetched, from: peer.peerID)) == .unknown)
            }
            let beyond = ArbiterQuestion.part(hold: hold.body.holdCID, number: 3)
            #expect(await reason(desk.answer(beyond, from: originator.peerID)) == .unknown)
            // After a start it is all there.
            let again = self.desk(of: node)
            try await again.load()
            #expect(await again.answer(fetched, from: originator.peerID) == .part(part: part(0, of: 3)))
        }
    }

    @Test("Nothing is taken without a hold of a named issuer that names this arbiter, nor after its time")
    func strangers() async throws {
        try await withDesk { (desk: ArbiterDesk, _: MeshNode) async throws -> Void in
            func refused(_ hold: SignedObject<HoldCertificate>) async -> ArbiterAnswer.Reason? {
                await reason(desk.answer(.keep(certificate: hold.bytes, part: part(0, of: 1)), from: executor.peerID))
            }
            #expect(try await refused(certificate(by: stranger)) == .invalid)
            #expect(try await refused(certificate { $0.terms.arbiterDID = stranger.did }) == .invalid)
            let past = NodeClock.wallClock.advanced(milliseconds: 0)
            #expect(
                try await refused(
                    certificate {
                        $0.terms.deliverBy = UnixMilliseconds(past.value - 1)
                        $0.terms.claimBy = past.advanced(milliseconds: 100_000)
                    }) == .invalid)
            let hold = try certificate()
            for wrong in [
                part(0, of: 0), part(1, of: 1), part(0, of: SealedPart.Limits.partsMax + 1), part(0, of: 1, bytes: 0),
                part(0, of: 1, bytes: SealedPart.Limits.partBytes + SealedPart.Limits.sealBytes + 1),
            ] {
                let answer = await desk.answer(.keep(certificate: hold.bytes, part: wrong), from: executor.peerID)
                #expect(reason(answer) == .invalid)
            }
            #expect(try await refused(certificate(2)) == nil)
        }
    }

    @Test("What is kept is bounded, in all and for each executor, and goes when its time is over")
    func room() async throws {
        try await withDesk {
            $0.countMax = 8
            $0.keptMilliseconds = 0
        } _: { (desk: ArbiterDesk, _: MeshNode) async throws -> Void in
            func keep(_ number: UInt8, of count: UInt64 = 1, by other: Identity? = nil) async throws -> ArbiterAnswer {
                let hold = try certificate(number) { body in
                    body.terms.executorDID = (other ?? executor).did
                    body.creditorDID = (other ?? executor).did
                }
                return await desk.answer(
                    .keep(certificate: hold.bytes, part: part(0, of: count)), from: (other ?? executor).peerID)
            }
            for number in 1...2 as ClosedRange<UInt8> { #expect(try await reason(keep(number)) == nil) }
            #expect(try await reason(keep(3)) == .full, "a quarter of eight")
            let others = (0..<4).map { _ in Identity.generate() }
            for (number, other) in others.prefix(3).enumerated() {
                for place in 0..<2 as Range<UInt8> {
                    #expect(try await reason(keep(UInt8(10 + 2 * number) + place, by: other)) == nil)
                }
            }
            #expect(try await reason(keep(20, by: others[3])) == .full, "eight in all")
            #expect(try await reason(keep(1)) == nil, "what is there is there")
        }
        try await withDesk {
            $0.bytesMax = 16 << 20
        } _: { (desk: ArbiterDesk, _: MeshNode) async throws -> Void in
            // A quarter is 4 MiB: seven whole parts with what seals them, of whichever results.
            let length = SealedPart.Limits.partBytes
            func keep(_ number: UInt8, _ place: UInt64) async throws -> ArbiterAnswer {
                await desk.answer(
                    .keep(certificate: try certificate(number).bytes, part: part(place, of: 16, bytes: length)),
                    from: executor.peerID)
            }
            for place in 0..<4 as Range<UInt64> { #expect(try await keep(1, place) == .wanted(number: place + 1)) }
            for place in 0..<4 as Range<UInt64> { #expect(try await keep(2, place) == .wanted(number: place + 1)) }
            #expect(try await reason(keep(2, 4)) == .full)
            #expect(try await reason(keep(1, 4)) == .full)
            // What begins anew has room again.
            #expect(try await keep(2, 0) == .wanted(number: 1))
            #expect(try await keep(1, 4) == .wanted(number: 5))
        }
    }

    @Test("A dispute needs the claim for what is kept, its originator, its job and its key; so many wait")
    func disputes() async throws {
        try await withDesk {
            $0.disputesPerOriginatorMax = 1
        } _: { (desk: ArbiterDesk, _: MeshNode) async throws -> Void in
            let (first, second) = (try DisputedJob(self, 1), try DisputedJob(self, 2))
            for job in [first, second] {
                #expect(reason(await desk.answer(job.left, from: executor.peerID)) == nil)
            }
            func asked(_ job: DisputedJob, by peer: Identity? = nil) async -> ArbiterAnswer.Reason? {
                await reason(desk.answer(job.question, from: (peer ?? originator).peerID))
            }
            #expect(await asked(first, by: stranger) == .unknown)
            #expect(await asked(first, by: executor) == .unknown)
            for wrong in try [
                first.with(claim: second.claim.bytes), first.with(dispute: second.dispute(by: originator)),
                first.with(dispute: first.dispute(by: executor)), first.with(manifest: second.manifest.bytes),
                first.with(key: second.key.secret), first.with(key: []), first.with(claim: []),
            ] {
                #expect(await asked(wrong) == .invalid)
            }
            #expect(await desk.answer(first.question, from: originator.peerID) == .undecided)
            #expect(await desk.answer(first.question, from: originator.peerID) == .undecided)
            #expect(await asked(second) == .full)
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { await desk.run() }
                defer { group.cancelAll() }
                var decided: ArbiterAnswer?
                try await eventually("it is decided") {
                    decided = await desk.answer(first.question, from: originator.peerID)
                    return decided != .undecided
                }
                guard case .decided(let block)? = decided else {
                    Issue.record("\(decided as Any)")
                    return
                }
                let decision = try SignedObject<HoldDecision>(reading: block).body
                #expect(decision.payable == .zero && decision.claimCID == first.claim.bodyCID)
                // What does not open is not looked into again.
                #expect(await desk.answer(first.question, from: originator.peerID) == .decided(decision: block))
            }
        }
    }

    @Test("A receipt that breaks a rule is not due; a run that cannot be made decides nothing, four times at most")
    func decisions() async throws {
        try await withDesk {
            $0.triesMax = 2
        } _: { (desk: ArbiterDesk, _: MeshNode) async throws -> Void in
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { await desk.run() }
                defer { group.cancelAll() }
                func answer(_ job: DisputedJob) async throws -> ArbiterAnswer {
                    #expect(reason(await desk.answer(job.left, from: executor.peerID)) == nil)
                    var answer = ArbiterAnswer.undecided
                    try await eventually("there is an end") {
                        answer = await desk.answer(job.question, from: originator.peerID)
                        return answer != .undecided && reason(answer) != .full
                    }
                    return answer
                }
                guard case .decided(let block) = try await answer(DisputedJob(self, 1, .resultOfAnotherModule)) else {
                    Issue.record("it is not decided")
                    return
                }
                #expect(try SignedObject<HoldDecision>(reading: block).body.payable == .zero)
                #expect(try await reason(answer(DisputedJob(self, 2, .result))) == .undecidable)
            }
        }
    }

    /// A job whose claim is disputed, with all that belongs to it.
    fileprivate struct DisputedJob {
        let manifest: SignedObject<JobManifest>
        let claim: SignedObject<HoldClaim>
        let hold: SignedObject<HoldCertificate>
        let key: SealingKey
        let left: ArbiterQuestion
        private var parts: (claim: [UInt8], dispute: [UInt8], manifest: [UInt8], key: [UInt8])
        private let executor: Identity

        var question: ArbiterQuestion {
            .decide(
                hold: hold.body.holdCID, claim: parts.claim, dispute: parts.dispute, manifest: parts.manifest,
                key: parts.key)
        }

        /// What is left is no result; or it is one, whole, of the job's module or of another one.
        enum Left { case nothing, result, resultOfAnotherModule }

        init(_ tests: ArbiterDeskTests, _ number: UInt8, _ what: Left = .nothing) throws {
            let (now, originator) = (NodeClock.wallClock, tests.originator)
            executor = tests.executor
            var params = MeshJobParams(wasmCID: CID.hashing([number], codec: .raw), limits: .standard)
            params.maxAcceptableBidTokens = TokenAmount(100)
            manifest = try SignedObject.sign(
                JobManifest(
                    params: params, originatorDID: originator.did, originatorPeerID: originator.peerID,
                    originatorAddresses: [], nonce: [UInt8](repeating: number, count: 16), submittedAt: now,
                    biddingDeadline: now.advanced(milliseconds: 1_000), expiresAt: now.advanced(milliseconds: 9_000)),
                with: originator)
            let job = JobID(manifest.cid)
            hold = try tests.certificate(number) { $0.terms.jobID = job }
            key = SealingKey(of: originator, job: job, attempt: 1)
            let terms = BidTerms(
                price: TokenAmount(100), basePrice: TokenAmount(100), pricePerMillionFuel: .zero, earliestStart: now,
                deadline: now.advanced(milliseconds: 5_000))
            var assignment = Assignment(
                jobID: job, originatorDID: originator.did, bidCID: hold.body.terms.bidCID,
                executorDID: executor.did, attempt: 1, leaseMilliseconds: 1_000, terms: terms, assignedAt: now,
                acceptBy: now)
            (assignment.holdCID, assignment.sealingKey) = (hold.cid, key.publicBytes)
            let ordered = try SignedObject.sign(assignment, with: originator)
            let receipt = try SignedObject.sign(
                ExecutionReceipt(
                    jobID: job, assignmentCID: ordered.cid, originatorDID: originator.did, executorDID: executor.did,
                    attempt: 1, moduleCID: what == .resultOfAnotherModule ? manifest.cid : params.wasmCID,
                    inputCIDs: [:], outcome: .exited(code: 0),
                    resourceUsage: .none, price: TokenAmount(100),
                    engine: EngineDescription(name: "none", version: "0", configurationDigest: ""),
                    determinism: .deterministic, executionStartedAt: now, executionEndedAt: now), with: executor)
            let delivery = try SignedObject.sign(
                DeliveryStatement(
                    keeperDID: tests.arbiter.did, receiptCID: receipt.cid, bidCID: hold.body.terms.bidCID,
                    deliveredAt: now),
                with: tests.arbiter)
            claim = try SignedObject.sign(
                HoldClaim(
                    executorDID: executor.did, receipt: receipt.bytes, assignment: ordered.bytes,
                    delivery: delivery.bytes, claimedAt: now), with: executor)
            let archive = CAR(roots: [receipt.cid], blocks: [CAR.Block(cid: receipt.cid, bytes: receipt.bytes)]).encoded
            let sealed = SealedResult.seal(archive, to: key.publicBytes, of: receipt.cid, for: hold.body.holdCID)
            let nothing = SealedPart(receiptCID: receipt.cid, number: 0, count: 1, bytes: [1, 2, 3])
            left = .keep(certificate: hold.bytes, part: what == .nothing ? nothing : try #require(sealed?.first))
            parts = (claim.bytes, [], manifest.bytes, key.secret)
            parts.dispute = try dispute(by: originator)
        }

        func dispute(by disputer: Identity) throws -> [UInt8] {
            try SignedObject.sign(
                HoldDispute(
                    disputerDID: disputer.did, claimCID: claim.bodyCID, reason: "no",
                    disputedAt: NodeClock.wallClock), with: disputer
            ).bytes
        }

        func with(
            claim: [UInt8]? = nil, dispute: [UInt8]? = nil, manifest: [UInt8]? = nil, key: [UInt8]? = nil
        ) -> Self {
            var other = self
            other.parts = (
                claim ?? parts.claim, dispute ?? parts.dispute, manifest ?? parts.manifest, key ?? parts.key
            )
            return other
        }
    }
}
