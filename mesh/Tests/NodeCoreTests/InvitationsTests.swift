import JobMarket
import MeshTypes
import Multiformats
import PeerIdentity
import SignedObjects
import Testing

@testable import NodeCore

/// Whom an originator invites where many executors are known.
@Suite struct InvitationsTests {
    private let job = JobID(.hashing([1], codec: .dagCBOR))

    private func guest(_ number: Int, price: UInt64, isProven: Bool = false, features: [String]? = nil) throws
        -> Invitations.Guest
    {
        let identity = try Identity(seed: Array(repeating: UInt8(number % 256), count: 31) + [UInt8(number / 256)])
        var offer = NodeCapability(
            nodeDID: identity.did, peerID: identity.peerID, issuedAt: UnixMilliseconds(1),
            validUntil: UnixMilliseconds(2))
        offer.features = features ?? [JobInvitation.feature]
        return Invitations.Guest(offer: offer, price: TokenAmount(price), isProven: isProven)
    }

    @Test("Few executors are told by gossip; of many, 64 are invited, half of them at once, and then everybody is told")
    func bounded() throws {
        var invitations = Invitations()
        let limits = invitations.limits
        let all = try (0..<200).map { try guest($0, price: 10) }
        #expect(invitations.next(job, among: Array(all.prefix(limits.everybodyMax))).isEmpty)
        let first = invitations.next(job, among: all).map(\.nodeDID)
        let second = invitations.next(job, among: all).map(\.nodeDID)
        #expect(first.count == limits.atOnceMax && second.count == limits.atOnceMax)
        #expect(Set(first).isDisjoint(with: second), "nobody is invited twice")
        #expect(Set(first + second).count == limits.perJobMax)
        #expect(invitations.next(job, among: all).isEmpty, "after \(limits.perJobMax) everybody is told")
        #expect(!invitations.next(JobID(.hashing([2], codec: .dagCBOR)), among: all).isEmpty, "each job has its own")
    }

    @Test("Invited are some that proved themselves, the cheapest and others by chance; never one that would refuse")
    func mixed() throws {
        var invitations = Invitations()
        let cheap = try (0..<100).map { try guest($0, price: 1) }
        let dear = try (100..<300).map { try guest($0, price: 1_000, isProven: $0 < 120) }
        let old = try (300..<400).map { try guest($0, price: 0, features: ["files-v1"]) }
        let invited = Set(invitations.next(job, among: cheap + dear + old).map(\.nodeDID))
        func count(_ guests: [Invitations.Guest]) -> Int { guests.count { invited.contains($0.offer.nodeDID) } }
        #expect(invited.count == 32)
        #expect(count(old) == 0, "an earlier version takes no invitation")
        #expect(count(Array(dear.prefix(20))) >= invitations.limits.provenMax)
        #expect(count(cheap) >= 10)
        #expect(count(Array(dear.dropFirst(20))) > 0, "who only invents low prices does not keep all others away")
    }

    @Test("The invitations of the latest jobs alone are remembered")
    func forgotten() throws {
        var limits = Invitations.Limits()
        (limits.everybodyMax, limits.perJobMax, limits.atOnceMax, limits.jobsMax) = (1, 1, 1, 2)
        var invitations = Invitations(limits: limits)
        let all = try (0..<3).map { try guest($0, price: 10) }
        let jobs = (0..<3 as Range<UInt8>).map { JobID(.hashing([$0], codec: .dagCBOR)) }
        for job in jobs { #expect(invitations.next(job, among: all).count == 1) }
        #expect(invitations.next(jobs[2], among: all).isEmpty)
        #expect(invitations.next(jobs[0], among: all).count == 1, "the eldest was forgotten")
    }
}
