import Credit
import MeshTypes
import Multiformats
import SignedObjects
import Testing

/// What a member takes of the entries about its holds, whatever its issuer shows.
@Suite("A book as one member replays it")
struct MemberBookTests {
    /// A book with one hold of 1,000 by the first member for the second, as the second one sees it.
    private struct Seen {
        var world: CreditWorld
        let job: HeldJob
        let hold: CID
        var own: MemberBook
        let granted: BookEntry

        init(_ change: (inout IssuerCharter) -> Void = { _ in }, as member: Int = 1) throws {
            world = try CreditWorld(change)
            (job, hold) = try world.held(1) { ($0.disputeBudget, $0.feeMax) = (TokenAmount(10), TokenAmount(5)) }
            guard case .opened(let charter) = world.entries[0].event else { throw BookRefusal.otherBook }
            own = MemberBook(of: world.members[member].did, at: try SignedObject(reading: charter))
            granted = try #require(world.entries.last)
            _ = try own.take(granted)
        }

        /// Why an event at a date is not taken; nil if it is.
        mutating func refusal(_ event: BookEvent, after milliseconds: UInt64 = 1) -> String? {
            let entry = BookEntry(number: 99, at: world.now.advanced(milliseconds: milliseconds), event: event)
            var copy = own
            do throws(MemberBook.Unjustified) {
                _ = try copy.take(entry)
                return nil
            } catch {
                return error.reason
            }
        }
    }

    @Test("What nothing justifies is not taken")
    func lies() throws {
        var seen = try Seen()
        let (job, hold) = (seen.job, seen.hold)
        let receipt = try job.receipt()
        #expect(seen.refusal(seen.granted.event) == "its order was booked before")
        func release(_ hold: CID, by executor: Bool) throws -> BookEvent {
            let signer = executor ? job.executor : job.originator
            let body = HoldRelease(executorDID: signer.did, holdCID: hold, releasedAt: seen.world.now)
            return .holdReleased(hold: seen.hold, release: try SignedObject.sign(body, with: signer).bytes)
        }
        #expect(seen.refusal(try release(hold, by: false)) == "somebody else has to sign it")
        #expect(seen.refusal(try release(receipt.cid, by: true)) == "it belongs to something else")
        #expect(seen.refusal(.holdReleased(hold: hold, release: [1, 2, 3]))?.contains("does not read") == true)
        #expect(seen.refusal(try release(hold, by: true)) == nil)
        #expect(seen.refusal(.holdExpired(hold: hold), after: 120_000) == "it is not due yet")
        #expect(seen.refusal(.holdExpired(hold: hold), after: 120_001) == nil)
        #expect(seen.refusal(.holdExpired(hold: receipt.cid), after: 120_001) == "the book knows no such hold")
        #expect(seen.refusal(.claimPaid(hold: hold), after: 1_000_000) == "the hold is not in a state for this")
        #expect(seen.refusal(try job.settled(hold, receipt, pays: 99))?.contains("100 is due") == true)
        #expect(
            seen.refusal(try job.settled(hold, receipt, pays: 100, by: job.executor)) == "somebody else has to sign it")
        #expect(seen.refusal(try job.settled(hold, receipt, pays: 100)) == nil)
        #expect(seen.refusal(.opened(charter: [])) == "it is shown as this node's, and concerns nobody's line")
    }

    @Test("A claim is paid after its window, and a decision is the arbiter's")
    func claims() throws {
        var seen = try Seen()
        let (job, hold, world) = (seen.job, seen.hold, seen.world)
        let receipt = try job.receipt()
        let forged = try job.claim(receipt, kept: job.executor, at: world.now)
        #expect(
            seen.refusal(.claimLodged(hold: hold, claim: forged.bytes, lodging: nil)) == "somebody else has to sign it")
        let claim = try job.claim(receipt, kept: world.arbiter, at: world.now)
        let lodged = BookEvent.claimLodged(hold: hold, claim: claim.bytes, lodging: nil)
        #expect(seen.refusal(lodged, after: 120_001) == "it comes too late")
        #expect(try seen.own.take(BookEntry(number: 8, at: world.now, event: lodged)) == [:])
        #expect(seen.refusal(.claimPaid(hold: hold), after: 10_000) == "it is not due yet")
        let line = LineID(world.members[1].did, CreditWorld.unit)
        var paid = seen.own
        let entry = BookEntry(
            number: 9, at: world.now.advanced(milliseconds: 10_001), event: .claimPaid(hold: hold))
        #expect(try paid.take(entry) == [line: 100])
        #expect(paid.hold(of: entry.event)?.isLive == false)
        let dispute = try world.disputed(claim, by: job.originator)
        let disputed = BookEvent.claimDisputed(hold: hold, dispute: dispute.bytes, lodging: nil)
        let other = try world.disputed(claim, by: world.members[3])
        #expect(
            seen.refusal(.claimDisputed(hold: hold, dispute: other.bytes, lodging: nil))
                == "somebody else has to sign it")
        _ = try seen.own.take(BookEntry(number: 9, at: world.now, event: disputed))
        let decision = try world.decided(claim, payable: 40, by: job.originator)
        #expect(
            seen.refusal(.claimDecided(hold: hold, decision: decision.bytes, lodging: nil))
                == "somebody else has to sign it")
        let true40 = BookEvent.claimDecided(
            hold: hold, decision: try world.decided(claim, payable: 40).bytes, lodging: nil)
        #expect(try seen.own.take(BookEntry(number: 10, at: world.now, event: true40)) == [line: 40])
        #expect(seen.own.isUncertain, "it lost the dispute, and what it had then is not known")
    }

    @Test("A hold beyond the free ones of a day costs its originator the fee that it allowed")
    func fees() throws {
        let line = LineID(CreditWorld.identity(20).did, CreditWorld.unit)
        for (fee, taken) in [(5, true), (6, false)] as [(UInt64, Bool)] {
            var world = try CreditWorld { $0.holdsFreePerDay = 0 }
            guard case .opened(let block) = world.entries[0].event else { throw BookRefusal.otherBook }
            var charter = try SignedObject<IssuerCharter>(reading: block).body
            charter.holdFee = TokenAmount(fee)
            let signed = try SignedObject.sign(charter, with: world.issuer)
            var own = MemberBook(of: world.members[0].did, at: signed)
            // The order names the charter that its member knows.
            var order = try world.payment(
                from: world.members[0], to: world.members[1].did, 100,
                hold: HeldJob(
                    1, from: world.members[0], to: world.members[1], arbiter: world.arbiter.did, now: world.now
                ).terms
            ).body
            order.charterCID = signed.bodyCID
            order.hold?.feeMax = TokenAmount(5)
            let bytes = try SignedObject.sign(order, with: world.members[0]).bytes
            let entry = BookEntry(number: 1, at: world.now, event: .holdGranted(order: bytes))
            let changes = try? own.take(entry)
            #expect(changes == (taken ? [line: -5] : nil))
        }
    }
}
