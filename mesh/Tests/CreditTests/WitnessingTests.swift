import Credit
import IPLD
import MeshTypes
import Multiformats
import PeerIdentity
import SignedObjects
import Testing

/// What is lodged with witnesses of a charter, by whom, and what an issuer makes of their reports.
@Suite("Witnesses of a charter")
struct WitnessingTests {
    private static let start = CreditWorld.start

    /// A hold with its signed certificate and the claim to it.
    private struct Held {
        var world: CreditWorld
        let job: HeldJob
        let hold: CID
        let certificate: SignedObject<HoldCertificate>
        let claim: SignedObject<HoldClaim>
    }

    private func held() throws -> Held {
        var world = try CreditWorld(witnesses: true)
        let (job, hold) = try world.held(1)
        let entry = try #require(world.entries.last)
        let promise = try #require(try world.core.certificate(of: entry))
        let claim = try job.claim(try job.receipt(), kept: world.arbiter, at: world.now)
        return Held(
            world: world, job: job, hold: hold, certificate: try SignedObject.sign(promise, with: world.issuer),
            claim: claim)
    }

    private func booking(_ held: Held, notBefore: UnixMilliseconds = Self.start) -> HoldBooking {
        HoldBooking(
            .claimLodged(hold: held.hold, claim: held.claim.bytes, lodging: nil), of: held.certificate.body,
            signed: held.certificate.bytes, paying: TokenAmount(100), notBefore: notBefore)
    }

    // MARK: What is lodged

    private func refusal(_ certificate: [UInt8], _ object: [UInt8]) -> LodgeableObject.Refusal? {
        do throws(LodgeableObject.Refusal) {
            _ = try LodgeableObject(certificate: certificate, object: object)
            return nil
        } catch {
            return error
        }
    }

    @Test("A claim, a dispute and a decision are taken by who may say that of the hold, and nothing else")
    func lodgeable() throws {
        let held = try held()
        let promise = held.certificate.bytes
        let claim = try LodgeableObject(certificate: promise, object: held.claim.bytes)
        #expect(claim.cid == held.claim.cid && claim.signer == held.job.executor.did)
        #expect(claim.until == held.job.terms.claimBy)
        let dispute = try held.world.disputed(held.claim, by: held.job.originator)
        #expect(try LodgeableObject(certificate: promise, object: dispute.bytes).until == nil)
        let decision = try held.world.decided(held.claim, payable: 1)
        #expect(refusal(promise, decision.bytes) == nil)
        let foreign = try held.world.disputed(held.claim, by: held.world.members[4])
        #expect(refusal(promise, foreign.bytes) == .wrongSigner)
        #expect(
            try refusal(promise, held.world.decided(held.claim, payable: 1, by: held.job.executor).bytes)
                == .wrongSigner)
        let stolen = try held.job.claim(
            try held.job.receipt(), kept: held.world.arbiter, at: held.world.now, by: held.world.members[3])
        #expect(refusal(promise, stolen.bytes) == .wrongSigner)
        let other = try HeldJob(
            2, from: held.job.originator, to: held.job.executor, arbiter: held.world.arbiter.did, now: held.world.now)
        let elsewhere = try other.claim(try other.receipt(), kept: held.world.arbiter, at: held.world.now)
        #expect(refusal(promise, elsewhere.bytes) == .otherWork(.notOfThisHold))
        #expect(refusal(promise, [0xA0]) == .noObject && refusal(promise, promise) == .noObject)
        var forged = promise
        forged[forged.count - 1] ^= 1
        guard case .certificate = refusal(forged, held.claim.bytes) else {
            Issue.record("a forged certificate is taken")
            return
        }
    }

    @Test("The longest question and the longest answer are within their bounds")
    func bounds() throws {
        func junk(_ count: Int) -> [UInt8] { [UInt8](repeating: 1, count: count) }
        let question = WitnessQuestion.lodge(
            certificate: junk(HoldCertificate.bytesMax), object: junk(HoldClaim.bytesMax))
        let asked = try DAGCBOREncoder().encode(question)
        #expect(asked.count <= WitnessQuestion.bytesMax)
        #expect(try DAGCBORDecoder().decode(WitnessQuestion.self, from: asked) == question)
        // As many objects as a report names, with as many bytes as come with it.
        let (count, cid) = (WitnessReport.lodgedMax, CID.hashing([1], codec: .dagCBOR))
        let objects = (0..<count).map { _ in
            LodgedObject(
                hold: cid, object: junk(WitnessReply.objectBytesMax / count),
                statement: junk(LodgingStatement.bytesMax))
        }
        let reply = WitnessReply.report(report: junk(WitnessReport.bytesMax), objects: objects)
        let answered = try DAGCBOREncoder().encode(reply)
        #expect(answered.count <= WitnessReply.bytesMax)
        #expect(try DAGCBORDecoder().decode(WitnessReply.self, from: answered) == reply)
        #expect(WitnessReply.objectBytesMax >= HoldClaim.bytesMax, "one object is there at least")
    }

    // MARK: Bookings

    @Test("A claim that is not booked is lodged after a minute, or as its date is near, and goes along with the word")
    func lodgedBooking() throws {
        let held = try held()
        var booking = booking(held)
        let charter = held.world.book.charter
        #expect(booking.witnessesLeft(of: charter) == charter.witnesses)
        let last = held.job.terms.claimBy
        // Its date is two minutes away, so it is near.
        #expect(booking.lodgeable(now: Self.start)?.object == held.claim.bytes)
        #expect(self.booking(held, notBefore: last).lodgeable(now: Self.start) == nil)
        let unsigned = HoldBooking(
            .claimLodged(hold: held.hold, claim: held.claim.bytes, lodging: nil), of: held.certificate.body,
            paying: .zero, notBefore: Self.start)
        #expect(unsigned.lodgeable(now: last) == nil, "nobody takes it without the certificate")
        #expect(unsigned.witnessesLeft(of: charter).isEmpty)
        func word(_ number: Int, at milliseconds: UInt64, of object: CID? = nil) throws -> [UInt8] {
            try held.world.lodging(
                object ?? held.claim.cid, at: Self.start.advanced(milliseconds: milliseconds),
                by: held.world.witnesses[number])
        }
        let dids = held.world.witnesses.map(\.did)
        #expect(try !booking.lodged(word(0, at: 5, of: held.hold), with: dids[0]), "about something else")
        #expect(try !booking.lodged(word(0, at: 5), with: dids[1]), "by another witness than was asked")
        #expect(try booking.lodged(word(0, at: 9), with: dids[0]))
        #expect(try !booking.lodged(word(0, at: 7), with: dids[0]), "one word each")
        #expect(try booking.lodged(word(2, at: 8), with: dids[2]))
        #expect(booking.witnessesLeft(of: charter) == charter.witnesses.filter { ![dids[0], dids[2]].contains($0) })
        let early = try word(2, at: 8)
        #expect(
            booking.next(now: last)
                == .claimLodged(hold: held.hold, claim: held.claim.bytes, lodging: early), "the earliest goes along")
        #expect(booking.lodgeable(now: last) != nil && booking.lodgeable(now: last.advanced(milliseconds: 1)) == nil)
        // On the disk and back.
        let read = try DAGCBORDecoder().decode(HoldBooking.self, from: try DAGCBOREncoder().encode(booking))
        #expect(read == booking && read.lodgings?.count == 2)
        booking.refused("late", now: booking.until)
        #expect(booking.lodgings == nil && booking.lodgeable(now: booking.until) == nil, "it is over")
    }

    @Test("A claim whose date is far away has a minute for its issuer, and a dispute has none")
    func when() throws {
        var world = try CreditWorld(witnesses: true)
        let (job, hold) = try world.held(1) { $0.claimBy = $0.claimBy.advanced(milliseconds: 3_600_000) }
        let entry = try #require(world.entries.last)
        let promise = try SignedObject.sign(try #require(try world.core.certificate(of: entry)), with: world.issuer)
        let claim = try job.claim(try job.receipt(), kept: world.arbiter, at: world.now)
        let booking = HoldBooking(
            .claimLodged(hold: hold, claim: claim.bytes, lodging: nil), of: promise.body, signed: promise.bytes,
            paying: TokenAmount(100), notBefore: Self.start)
        let minute = HoldBooking.Limits.lodgedAfterMilliseconds
        #expect(booking.lodgeable(now: Self.start.advanced(milliseconds: minute - 1)) == nil)
        #expect(booking.lodgeable(now: Self.start.advanced(milliseconds: minute)) != nil)
        let dispute = HoldBooking(
            .claimDisputed(hold: hold, dispute: [1], lodging: nil), of: promise.body, signed: promise.bytes,
            paying: TokenAmount(100), notBefore: Self.start)
        #expect(dispute.lodgeable(now: Self.start)?.object == [1])
        // Of those who may date it, none is a party.
        var charter = world.book.charter
        charter.witnesses = [job.executor.did, job.originator.did, world.witnesses[0].did].sorted()
        #expect(booking.witnessesLeft(of: charter) == [world.witnesses[0].did])
    }

    // MARK: Catching up

    private func reply(
        _ held: Held, by number: Int, until: UnixMilliseconds, _ objects: [([UInt8], UnixMilliseconds)] = [],
        for hold: CID? = nil, hiding: Bool = false
    ) throws -> WitnessReply {
        let witness = held.world.witnesses[number]
        let listed = objects.map { (CID.hashing($0.0, codec: .dagCBOR), $0.1) }
        let report = try held.world.report(by: witness, until: until, listed)
        let given = try zip(objects, listed).map { object, listed in
            LodgedObject(
                hold: hold ?? held.hold, object: object.0,
                statement: try held.world.lodging(listed.0, at: listed.1, by: witness))
        }
        return .report(report: report, objects: hiding ? [] : given)
    }

    /// Books what replies lead to; returns what the book says of having caught up.
    private func caughtUp(_ held: inout Held, _ replies: [(Int, WitnessReply)]) -> BookRefusal? {
        var catching = CatchUp(held.world.book)
        for (number, reply) in replies { _ = catching.take(reply, of: held.world.witnesses[number].did) }
        for object in catching.missing(in: held.world.book) {
            _ = catching.events(for: object, in: held.world.book).first { (try? held.world.enter($0)) != nil }
        }
        do {
            try held.world.enter(catching.event(for: held.world.book))
            return nil
        } catch {
            return error as? BookRefusal ?? .nothingNew
        }
    }

    @Test("What was lodged in time is booked first, though its issuer comes back after the date; garbage is refused")
    func away() throws {
        var held = try held()
        let (claimBy, lodgedAt) = (held.job.terms.claimBy, held.world.now.advanced(milliseconds: 1_000))
        held.world.now = claimBy.advanced(milliseconds: 50_000)
        let junk: [UInt8] = [0xA0]
        let lodged = [(held.claim.bytes, lodgedAt), (junk, lodgedAt.advanced(milliseconds: 5))]
        let replies = try (0..<3).map { ($0, try reply(held, by: $0, until: held.world.now, lodged)) }
        #expect(held.world.book.isToCatchUp(now: held.world.now))
        #expect(caughtUp(&held, replies) == nil)
        #expect(held.world.book.caughtUpUntil == held.world.now)
        #expect(held.world.book.holds[held.hold]?.claim?.cid == held.claim.bodyCID)
        #expect(held.world.book.dueEvents(now: held.world.now).isEmpty, "its window has only begun")
        #expect(!held.world.book.isToCatchUp(now: held.world.now.advanced(milliseconds: 1_000)))
        #expect(held.world.book.isToCatchUp(now: held.world.now.advanced(milliseconds: 13_000)), "its window is over")
    }

    @Test("What was lodged by another hold's certificate is booked for the hold that it is about")
    func misfiled() throws {
        var held = try held()
        let (_, other) = try held.world.held(2)
        try held.world.enter(.claimLodged(hold: held.hold, claim: held.claim.bytes, lodging: nil))
        let dispute = try held.world.disputed(held.claim, by: held.job.originator)
        let lodgedAt = held.world.now.advanced(milliseconds: 1_000)
        held.world.now = held.world.now.advanced(milliseconds: 200_000)
        let (now, given) = (held.world.now, [(dispute.bytes, lodgedAt)])
        let replies = try (0..<3).map { ($0, try reply(held, by: $0, until: now, given, for: other)) }
        #expect(caughtUp(&held, replies) == nil)
        guard case .disputed(_, dispute.bodyCID)? = held.world.book.holds[held.hold]?.state else {
            Issue.record("the hold is not disputed")
            return
        }
        #expect(held.world.book.caughtUpUntil == now)
    }

    @Test("A witness that hides a block, invents one, or signs for another is none; the honest quorum goes on")
    func liars() throws {
        var held = try held()
        held.world.now = held.world.now.advanced(milliseconds: 200_000)
        let (now, far) = (held.world.now, UnixMilliseconds(held.world.now.value * 2))
        let bogus = [([UInt8]([1, 2, 3]), held.world.book.caughtUpUntil)]
        let lie = try reply(held, by: 0, until: far, bogus, hiding: true)
        var catching = CatchUp(held.world.book)
        let (witness, other) = (held.world.witnesses[0].did, held.world.witnesses[1].did)
        #expect(catching.take(lie, of: other) == "Its report does not hold.")
        #expect(catching.take(.lodged(statement: [1]), of: witness) == "It answers something else.")
        #expect(catching.take(.refused(reason: .full, text: "No."), of: witness) == "No.")
        #expect(catching.take(lie, of: witness) == nil && catching.reportCount == 1)
        // With two honest ones three reports are there, and the liar's counts until before what it hides.
        let honest = try [1, 2].map { ($0, try reply(held, by: $0, until: now)) }
        let refusal = caughtUp(&held, [(0, lie)] + honest)
        #expect(refusal == .notTaken(CID.hashing([1, 2, 3], codec: .dagCBOR)))
        let third = try reply(held, by: 3, until: now)
        #expect(caughtUp(&held, [(0, lie)] + honest + [(3, third)]) == nil)
        #expect(held.world.book.caughtUpUntil == now)
    }

    @Test("More garbage than an entry has room for is refused by and by, the earliest first")
    func floods() throws {
        var held = try held()
        let start = held.world.now
        held.world.now = start.advanced(milliseconds: 100_000)
        let blocks = (0..<5).map { [UInt8](repeating: UInt8($0), count: HoldClaim.bytesMax) }
        let lodged = blocks.enumerated().map { ($1, start.advanced(milliseconds: UInt64($0 + 1))) }
        let replies = try (0..<3).map { ($0, try reply(held, by: $0, until: held.world.now, lodged)) }
        #expect(caughtUp(&held, replies) == nil)
        #expect(held.world.book.caughtUpUntil == start.advanced(milliseconds: 3), "until just before the fourth")
        let rest = try (0..<3).map { ($0, try reply(held, by: $0, until: held.world.now, Array(lodged.suffix(2)))) }
        #expect(caughtUp(&held, rest) == nil)
        #expect(held.world.book.caughtUpUntil == held.world.now)
    }

    @Test("While nothing is held witnesses are asked seldom, and without witnesses never")
    func times() throws {
        let idle = try CreditWorld(witnesses: true).book
        let times = CatchUp.Limits()
        #expect(times.idleMilliseconds < idle.limits.caughtUpMillisecondsMax)
        #expect(!idle.isToCatchUp(now: Self.start.advanced(milliseconds: times.idleMilliseconds - 1)))
        #expect(idle.isToCatchUp(now: Self.start.advanced(milliseconds: times.idleMilliseconds)))
        #expect(idle.witnessesNeeded == 3 && idle.grantsUntil == Self.start.advanced(milliseconds: 600_000))
        let alone = try CreditWorld().book
        #expect(!alone.isToCatchUp(now: UnixMilliseconds(.max)))
        #expect(alone.witnessesNeeded == nil && alone.grantsUntil == nil)
        #expect(BookStanding(alone).caughtUpUntil == nil && BookStanding(idle).caughtUpUntil == Self.start)
    }
}
