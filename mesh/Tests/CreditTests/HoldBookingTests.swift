import Credit
import MeshTypes
import Multiformats
import PeerIdentity
import SignedObjects
import Testing

/// What is to be booked about a hold, and what came of it.
@Suite struct HoldBookingTests {
    private static let start = CreditWorld.start

    private func certificate(_ world: CreditWorld, _ hold: CID) throws -> HoldCertificate {
        let entry = try #require(world.entries.last)
        return try #require(try world.core.certificate(of: entry))
    }

    @Test func aClaimWaitsForItsDateThenForItsWindow() throws {
        var world = try CreditWorld()
        let (job, hold) = try world.held(1)
        let certificate = try certificate(world, hold)
        let receipt = try job.receipt()
        let statement = try SignedObject.sign(
            DeliveryStatement(keeperDID: job.originator.did, receiptCID: receipt.cid, deliveredAt: Self.start),
            with: job.originator)
        let claim = try SignedObject.sign(
            HoldClaim(
                executorDID: job.executor.did, receipt: receipt.bytes, assignment: job.assignment.bytes,
                delivery: statement.bytes, claimedAt: Self.start), with: job.executor)
        let date = Self.start.advanced(milliseconds: 30_000)
        var booking = HoldBooking(
            .claimLodged(hold: hold, claim: claim.bytes, lodging: nil), of: certificate, paying: TokenAmount(100),
            notBefore: date)
        #expect(booking.dueAt == date && booking.next(now: Self.start) == nil)
        #expect(booking.next(now: date) == booking.event)
        world.now = date
        booking.proved(try world.enter(try #require(booking.event)))
        let after = date.advanced(milliseconds: 11_000)
        #expect(booking.state == .claimed(entry: world.entries.last?.number ?? 0, after: after))
        #expect(booking.dueAt == after && booking.next(now: date) == nil)
        #expect(booking.next(now: after) == .claimPaid(hold: hold))
        world.now = after
        booking.proved(try world.enter(.claimPaid(hold: hold)))
        #expect(booking.state == .ended(entry: world.entries.last?.number ?? 0, paid: TokenAmount(100)))
        #expect(booking.dueAt == nil && booking.next(now: after) == nil)
        #expect(booking.event == nil, "the evidence is of no more use")
    }

    @Test func aRefusalCountsOnlyOnceNothingCanComeOfIt() throws {
        var world = try CreditWorld()
        let (_, hold) = try world.held(1)
        let certificate = try certificate(world, hold)
        var booking = HoldBooking(
            .holdExpired(hold: hold), of: certificate, paying: .zero, notBefore: Self.start)
        booking.refused("it is not due yet", now: booking.until.advanced(milliseconds: 0).before1)
        #expect(booking.state == .due)
        booking.refused("it is not due yet", now: booking.until)
        #expect(booking.state == .lost(reason: "it is not due yet") && booking.dueAt == nil)
        // What was due and not booked in time is lost, and not given up.
        booking = HoldBooking(
            .claimPaid(hold: hold), of: certificate, paying: TokenAmount(5), notBefore: Self.start)
        booking.proved(BookEntry(number: 9, at: Self.start, event: .holdExpired(hold: hold)))
        #expect(booking.state == .lost(reason: "the hold expired, by entry 9, before this was booked"))
        // Entries of other holds say nothing.
        booking = HoldBooking(.holdExpired(hold: hold), of: certificate, paying: .zero, notBefore: Self.start)
        booking.proved(
            BookEntry(number: 9, at: Self.start, event: .holdExpired(hold: CID.hashing([1], codec: .dagCBOR))))
        #expect(booking.state == .due)
    }
}

extension UnixMilliseconds {
    fileprivate var before1: UnixMilliseconds { UnixMilliseconds(value - 1) }
}
