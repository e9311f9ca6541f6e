import Credit
import Foundation
import LibP2P
import MeshStore
import MeshTypes
import Multiformats
import NodeAPI
import P2PTesting
import PeerIdentity
import SignedObjects
import Synchronization
import Testing

@testable import PlanetaryMesh

/// What a witness of charters takes, dates and reports.
@Suite("A desk of a witness of charters", .serialized) struct CharterWitnessDeskTests {
    private let home = WitnessedHold(issuer: .generate())
    private let witness = Identity.generate()
    private let stranger = Identity.generate()

    /// A calendar that a test sets.
    private final class Calendar: Sendable {
        private let now = Mutex(NodeClock.wallClock.value)

        var date: UInt64 {
            get { now.withLock(\.self) }
            set { now.withLock { $0 = newValue } }
        }
    }

    /// A desk over the store of a node that does nothing else.
    private func withDesk(
        _ change: (inout CharterWitnessDesk.Limits) -> Void = { _ in },
        _ body: (CharterWitnessDesk, Calendar, MeshNode) async throws -> Void
    ) async throws {
        let folder = URL(fileURLWithPath: "/tmp/mn-\(UUID().uuidString.prefix(8))")
        defer { try? FileManager.default.removeItem(at: folder) }
        let node = try await NodeMesh.open(folder.path, NodeMesh.loopback(), identity: witness)
        var limits = CharterWitnessDesk.Limits()
        change(&limits)
        let calendar = Calendar()
        try await NodeMesh.running([node]) { try await body(desk(of: node, calendar, limits), calendar, node) }
    }

    private func desk(
        of node: MeshNode, _ calendar: Calendar, _ limits: CharterWitnessDesk.Limits = .init()
    ) -> CharterWitnessDesk {
        CharterWitnessDesk(
            identity: witness, store: node.store, host: node.swarm, issuers: [home.issuer.did],
            logger: node.parts.logger, limits: limits, clock: { UnixMilliseconds(calendar.date) })
    }

    private func reason(_ reply: WitnessReply) -> WitnessReply.Reason? {
        if case .refused(let reason, _) = reply { reason } else { nil }
    }

    private func text(_ reply: WitnessReply) -> String {
        if case .refused(_, let text) = reply { text } else { "" }
    }

    private func lodge(
        _ number: UInt8, _ version: UInt64 = 0, at desk: CharterWitnessDesk, of other: WitnessedHold? = nil
    ) async throws -> WitnessReply {
        let (certificate, claim) = try (other ?? home).claimed(number, version)
        return await desk.answer(.lodge(certificate: certificate.bytes, object: claim.bytes), from: stranger.peerID)
    }

    private func date(_ reply: WitnessReply) throws -> UInt64 {
        guard case .lodged(let block) = reply else { throw NodeServiceError(.internalError, "\(reply)") }
        let statement = try SignedObject<LodgingStatement>(reading: block)
        try #require(statement.did == witness.did && statement.body.issuerDID == home.issuer.did)
        return statement.body.lodgedAt.value
    }

    private func report(
        _ desk: CharterWitnessDesk, from: UInt64 = 0
    ) async throws -> (body: WitnessReport, objects: [LodgedObject]) {
        let reply = await desk.answer(.report(from: UnixMilliseconds(from)), from: home.issuer.peerID)
        guard case .report(let block, let objects) = reply else { throw NodeServiceError(.internalError, "\(reply)") }
        return (try SignedObject<WitnessReport>(reading: block).body, objects)
    }

    @Test("Each date is later than the last, the same object has the same word, and a start changes nothing of that")
    func dates() async throws {
        try await withDesk { (desk: CharterWitnessDesk, calendar: Calendar, node: MeshNode) async throws -> Void in
            let now = calendar.date
            let first = try await lodge(1, at: desk)
            #expect(try date(first) == now)
            #expect(try await date(lodge(2, at: desk)) == now + 1)
            #expect(try await lodge(1, at: desk) == first)
            let (told, objects) = try await report(desk)
            #expect(told.lodged.map(\.lodgedAt.value) == [now, now + 1] && told.until.value == now + 1)
            #expect(objects.count == 2 && objects.map(\.statement).first.map { .lodged(statement: $0) } == first)
            let (_, claim) = try home.claimed(1)
            #expect(objects.first?.object == claim.bytes && objects.first?.hold == home.holdCID(1))
            // What was said is on the disk: another desk says the same, and dates behind the report.
            calendar.date -= 1_000
            let again = self.desk(of: node, calendar)
            #expect(try await lodge(1, at: again) == first)
            #expect(try await date(lodge(3, at: again)) == now + 2)
            #expect(try await report(again).body.lodged.count == 3)
            calendar.date += 61_000
            #expect(try await report(again, from: now + 2).body.until.value == calendar.date)
            calendar.date -= 30_000
            let third = self.desk(of: node, calendar)
            #expect(try await date(lodge(4, at: third)) == now + 60_001, "nothing is dated within a report")
        }
    }

    @Test("Only an issuer that the owner named has reports, and only what its holds allow is lodged, in time")
    func strangers() async throws {
        try await withDesk { (desk: CharterWitnessDesk, calendar: Calendar, _: MeshNode) async throws -> Void in
            let question = WitnessQuestion.report(from: .epoch)
            #expect(await reason(desk.answer(question, from: stranger.peerID)) == .invalid)
            let other = WitnessedHold(issuer: stranger)
            #expect(try await text(lodge(1, at: desk, of: other)) == "This node is no witness for that issuer.")
            let (certificate, _) = try home.claimed(1)
            let junk = WitnessQuestion.lodge(certificate: certificate.bytes, object: [0xA0])
            #expect(await text(desk.answer(junk, from: stranger.peerID)).contains("neither a claim nor a dispute"))
            calendar.date += 700_000
            #expect(try await reason(lodge(1, at: desk)) == .late)
            #expect(try await report(desk).body.lodged.isEmpty)
        }
    }

    @Test("What is kept is bounded: of a hold, of a signer, of an issuer, in all, each in objects and in bytes")
    func room() async throws {
        func refused(
            _ change: (inout CharterWitnessDesk.Limits) -> Void, _ words: String, version: UInt64 = 0
        ) async throws {
            try await withDesk(change) { (desk: CharterWitnessDesk, _: Calendar, _: MeshNode) async throws -> Void in
                _ = try await date(lodge(1, at: desk))
                let answer = try await lodge(version == 0 ? 2 : 1, version, at: desk)
                #expect(reason(answer) == .full && text(answer).contains(words), "\(answer)")
                // What is there already is said again all the same.
                _ = try await date(lodge(1, at: desk))
            }
        }
        let size = UInt64(try home.claimed(1).claim.bytes.count)
        try await refused({ $0.objectsMax = 1 }, "for issuers as it may")
        try await refused({ $0.bytesMax = size * 3 / 2 }, "for issuers as it may")
        try await refused({ ($0.objectsPerIssuerMax, $0.signerShare) = (1, 1) }, "for that issuer as it may")
        try await refused({ ($0.bytesPerIssuerMax, $0.signerShare) = (size * 3 / 2, 1) }, "for that issuer as it may")
        try await refused({ ($0.objectsPerIssuerMax, $0.signerShare) = (4, 4) }, "of yours for that issuer")
        try await refused({ $0.bytesPerIssuerMax = size * 6 }, "of yours for that issuer")
        try await refused({ $0.objectsPerHoldOfSignerMax = 1 }, "about that hold", version: 1)
    }

    @Test("A report has so many objects and bytes at most, and then says less time")
    func longReports() async throws {
        func ends(_ change: (inout CharterWitnessDesk.Limits) -> Void) async throws {
            try await withDesk(change) {
                (desk: CharterWitnessDesk, calendar: Calendar, _: MeshNode) async throws -> Void in
                let now = calendar.date
                for number in UInt8(1)...3 { _ = try await lodge(number, at: desk) }
                let (first, objects) = try await report(desk)
                #expect(first.lodged.count == 2 && objects.count == 2 && first.until.value == now + 1)
                let (second, rest) = try await report(desk, from: now + 1)
                #expect(second.lodged.map(\.lodgedAt.value) == [now + 1, now + 2] && rest.count == 2)
                #expect(second.until.value == now + 2)
            }
        }
        let size = UInt64(try home.claimed(1).claim.bytes.count)
        try await ends { $0.objectsPerReportMax = 2 }
        try await ends { $0.objectBytesPerReportMax = size * 5 / 2 }
        try await withDesk {
            $0.objectBytesPerReportMax = 1
        } _: {
            (desk: CharterWitnessDesk, _: Calendar, _: MeshNode) async throws -> Void in
            for number in UInt8(1)...2 { _ = try await lodge(number, at: desk) }
            #expect(try await report(desk).body.lodged.count == 1, "one is there at least")
        }
    }

    @Test("Too many questions at once are refused, and too many in a second are not read")
    func rates() async throws {
        try await withDesk {
            ($0.answeredAtOncePerPeerMax, $0.answeredAtOnceMax) = (0, 1)
        } _: {
            (desk: CharterWitnessDesk, _: Calendar, _: MeshNode) async throws -> Void in
            #expect(try await text(lodge(1, at: desk)) == "Too much is asked of this node at once.")
        }
        try await withDesk {
            $0.answeredAtOnceMax = 0
        } _: {
            (desk: CharterWitnessDesk, _: Calendar, _: MeshNode) async throws -> Void in
            #expect(try await text(lodge(1, at: desk)) == "Too much is asked of this node at once.")
        }
        try await withDesk {
            ($0.questionsPerSecondPerPeerMax, $0.questionsBurstPerPeerMax) = (0, 2)
        } _: {
            (desk: CharterWitnessDesk, _: Calendar, node: MeshNode) async throws -> Void in
            try await desk.begin(admitting: { _ in true }, blame: { _, _ in })
            let path = "/tmp/mn-\(UUID().uuidString.prefix(8))"
            defer { try? FileManager.default.removeItem(atPath: path) }
            let other = try await NodeMesh.open(path, NodeMesh.loopback(), identity: stranger)
            try await NodeMesh.running([other]) {
                try await other.swarm.connect(to: witness.peerID, addresses: await node.swarm.listenAddresses())
                let exchange = WitnessExchange(host: other.swarm)
                for _ in 1...2 {
                    let answer = try await exchange.ask(.report(from: .epoch), of: witness.peerID)
                    #expect(reason(answer) == .invalid)
                }
                await #expect(throws: WitnessExchange.Failure.self) {
                    _ = try await exchange.ask(.report(from: .epoch), of: witness.peerID)
                }
            }
        }
    }

    @Test("A clock that is far behind what was said last says nothing until then")
    func clockBehind() async throws {
        try await withDesk { (desk: CharterWitnessDesk, calendar: Calendar, _: MeshNode) async throws -> Void in
            let now = calendar.date
            calendar.date = now + 400_000
            _ = try await date(lodge(1, at: desk))
            calendar.date = now
            #expect(try await reason(lodge(2, at: desk)) == .clock)
            let question = WitnessQuestion.report(from: .epoch)
            #expect(await reason(desk.answer(question, from: home.issuer.peerID)) == .clock)
            calendar.date = now + 100_001
            #expect(try await date(lodge(2, at: desk)) == now + 400_001)
        }
    }

    @Test("One that was restored from a backup reports nothing of the time before, and dates later")
    func restored() async throws {
        try await withDesk { (desk: CharterWitnessDesk, calendar: Calendar, node: MeshNode) async throws -> Void in
            let now = calendar.date
            let first = try await lodge(1, at: desk)
            let since = now + 90_000
            try await node.store.commit([
                .setting(key: StoreCopy.witnessSinceKey, value: Array("\(since)".utf8))
            ])
            let again = self.desk(of: node, calendar)
            #expect(try await lodge(1, at: again) == first, "what it knows it still says")
            #expect(try await date(lodge(2, at: again)) == since + 1)
            let asked = WitnessQuestion.report(from: UnixMilliseconds(since - 1))
            let answer = await again.answer(asked, from: home.issuer.peerID)
            #expect(reason(answer) == .unknown && text(answer).contains("from a backup"))
            #expect(try await report(again, from: since).body.lodged.map(\.lodgedAt.value) == [since + 1])
        }
    }

    @Test("What is old goes once its issuer has caught up, and no report says more than is left")
    func old() async throws {
        try await withDesk {
            $0.keptMilliseconds = 10_000
        } _: {
            (desk: CharterWitnessDesk, calendar: Calendar, node: MeshNode) async throws -> Void in
            let now = calendar.date
            for number in UInt8(1)...2 { _ = try await lodge(number, at: desk) }
            calendar.date += 60_000
            await desk.forgetOld()
            #expect(try await report(desk).body.lodged.count == 2, "its issuer has yet to catch up")
            _ = try await report(desk, from: now + 1)
            await desk.forgetOld()
            let kept = try await WitnessedObjectRow.all(of: home.issuer.did.text, in: node.store)
            #expect(kept.map(\.lodgedAt) == [now + 1])
            for each in [desk, self.desk(of: node, calendar)] {
                let answer = await each.answer(
                    .report(from: UnixMilliseconds(now)), from: home.issuer.peerID)
                #expect(reason(answer) == .unknown)
                #expect(try await report(each, from: now + 1).body.lodged.count == 1)
            }
        }
    }

    @Test("Where the disk takes nothing more nothing is said, and what was said is there", .timeLimit(.minutes(2)))
    func fullDisk() async throws {
        try await withDesk { (_: CharterWitnessDesk, _: Calendar, node: MeshNode) async throws -> Void in
            let path = "/tmp/mn-\(UUID().uuidString.prefix(8)).sqlite"
            defer {
                for suffix in ["", "-wal", "-shm", "-blocks"] {
                    try? FileManager.default.removeItem(atPath: path + suffix)
                }
            }
            var full = StoreLimits()
            (full.databasePagesMax, full.fullMillisecondsMax) = (200, 10)
            let store = try MeshStore(path: path, owner: witness.did.text, limits: full)
            var limits = CharterWitnessDesk.Limits()
            (limits.signerShare, limits.objectsPerHoldOfSignerMax) = (1, 8)
            func desk(_ store: MeshStore) -> CharterWitnessDesk {
                CharterWitnessDesk(
                    identity: witness, store: store, host: node.swarm, issuers: [home.issuer.did],
                    logger: node.parts.logger, limits: limits)
            }
            let filled = desk(store)
            let first = try await lodge(0, at: filled)
            var (said, isFull) = (1, false)
            for number in 1..<2_000 where !isFull {
                let answer = try await lodge(UInt8(number / 8), UInt64(number % 8), at: filled)
                isFull = text(answer) == "This node's disk takes nothing now."
                if !isFull {
                    _ = try date(answer)
                    said += 1
                }
            }
            #expect(isFull && said > 2, "\(said)")
            #expect(try await lodge(0, at: filled) == first)
            try store.close()
            let again = try MeshStore(path: path, owner: witness.did.text)
            #expect(try await WitnessedObjectRow.all(of: home.issuer.did.text, in: again).count == said)
            #expect(try await lodge(0, at: desk(again)) == first)
            try again.close()
        }
    }
}

/// Holds of an issuer, with the claims to them, by numbers.
struct WitnessedHold {
    let issuer: Identity
    var executor = Identity.generate()
    var originator = Identity.generate()
    var arbiter = Identity.generate()
    let now = NodeClock.wallClock

    init(issuer: Identity) { self.issuer = issuer }

    func holdCID(_ number: UInt8) -> CID { CID.hashing([number], codec: .dagCBOR) }

    func terms(
        _ number: UInt8, claimBy: UnixMilliseconds? = nil, windowMilliseconds: UInt64 = 1_000
    ) -> HoldTerms {
        let last = claimBy ?? now.advanced(milliseconds: 600_000)
        return HoldTerms(
            jobID: JobID(holdCID(number)), attempt: 1, bidCID: holdCID(number), originatorDID: originator.did,
            executorDID: executor.did, arbiterDID: arbiter.did, deliverBy: UnixMilliseconds(last.value - 60_000),
            claimBy: last, windowMilliseconds: windowMilliseconds, extensionMilliseconds: 1_000)
    }

    /// The claim to a hold with these terms; of each version it is another one.
    func claim(_ terms: HoldTerms, _ version: UInt64 = 0) throws -> SignedObject<HoldClaim> {
        let bid = BidTerms(
            price: TokenAmount(100), basePrice: TokenAmount(100), pricePerMillionFuel: .zero, earliestStart: now,
            deadline: now.advanced(milliseconds: 5_000))
        let assignment = try SignedObject.sign(
            Assignment(
                jobID: terms.jobID, originatorDID: originator.did, bidCID: terms.bidCID, executorDID: executor.did,
                attempt: 1, leaseMilliseconds: 1_000, terms: bid, assignedAt: now, acceptBy: now), with: originator)
        let receipt = try SignedObject.sign(
            ExecutionReceipt(
                jobID: terms.jobID, assignmentCID: assignment.cid, originatorDID: originator.did,
                executorDID: executor.did, attempt: 1, moduleCID: terms.bidCID, inputCIDs: [:],
                outcome: .exited(code: 0), resourceUsage: .none, price: TokenAmount(100),
                engine: EngineDescription(name: "none", version: "0", configurationDigest: ""),
                determinism: .deterministic, executionStartedAt: now, executionEndedAt: now), with: executor)
        let delivery = try SignedObject.sign(
            DeliveryStatement(
                keeperDID: arbiter.did, receiptCID: receipt.cid, bidCID: terms.bidCID, deliveredAt: terms.deliverBy),
            with: arbiter)
        return try SignedObject.sign(
            HoldClaim(
                executorDID: executor.did, receipt: receipt.bytes, assignment: assignment.bytes,
                delivery: delivery.bytes, claimedAt: now.advanced(milliseconds: version)), with: executor)
    }

    /// The certificate of a hold, and a claim to it.
    func claimed(
        _ number: UInt8, _ version: UInt64 = 0
    ) throws -> (certificate: SignedObject<HoldCertificate>, claim: SignedObject<HoldClaim>) {
        let (cid, terms) = (holdCID(number), terms(number))
        let body = HoldCertificate(
            issuerDID: issuer.did, charterCID: cid, holdCID: cid, debtorDID: originator.did,
            creditorDID: executor.did, amount: TokenAmount(100), unit: CreditUnit(name: "hours", decimals: 2),
            terms: terms, entry: 1, commitment: [UInt8](repeating: 0, count: 32), loggedBy: now)
        return (try SignedObject.sign(body, with: issuer), try claim(terms, version))
    }
}
