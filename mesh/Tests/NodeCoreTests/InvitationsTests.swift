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

    private func identity(_ number: Int) throws -> Identity {
        try Identity(seed: Array(repeating: UInt8(number % 256), count: 31) + [UInt8(number / 256)])
    }

    private func guest(_ number: Int, price: UInt64, isProven: Bool = false) throws -> Invitations.Guest {
        Invitations.Guest(did: try identity(number).did, price: TokenAmount(price), isProven: isProven)
    }

    private func offer(_ number: Int, features: [String] = [JobInvitation.feature]) throws -> NodeCapability {
        let identity = try identity(number)
        var offer = NodeCapability(
            nodeDID: identity.did, peerID: identity.peerID, issuedAt: UnixMilliseconds(1),
            validUntil: UnixMilliseconds(2))
        offer.features = features
        return offer
    }

    @Test("Few executors are told by gossip; of many, 64 are invited, half of them at once, and then everybody is told")
    func bounded() throws {
        var invitations = Invitations()
        let limits = invitations.limits
        let all = try (0..<200).map { try guest($0, price: 10) }
        invitations.choose(job, among: Array(all.prefix(limits.everybodyMax)))
        #expect(!invitations.hasChosen(for: job) && invitations.next(job).isEmpty)
        invitations.choose(job, among: all)
        let first = invitations.next(job)
        let second = invitations.next(job)
        #expect(first.count == limits.atOnceMax && second.count == limits.atOnceMax)
        #expect(Set(first).isDisjoint(with: second), "nobody is invited twice")
        #expect(invitations.invited(to: job) == first + second && (first + second).count == limits.perJobMax)
        #expect(invitations.hasChosen(for: job) && invitations.next(job).isEmpty, "after 64 everybody is told")
    }

    @Test("Of 10,000 executors 64 are invited to each job, others for each, and no more whatever they do")
    func tenThousand() throws {
        var invitations = Invitations()
        let limits = invitations.limits
        let offers = try (0..<10_000).map { try offer($0) }
        let proven = Set(offers.prefix(100).map(\.nodeDID))
        // Half of all claim to cost nothing.
        let invented = Set(offers.filter { $0.nodeDID.text.utf8.reduce(0, &+) % 2 == 0 }.map(\.nodeDID))
        var met: Set<DID> = []
        for number in 0..<20 as Range<UInt8> {
            let job = JobID(.hashing([number], codec: .dagCBOR))
            let judged = invitations.sample(offers, for: job, isProven: proven.contains)
            #expect(judged.count <= limits.judgedMax + limits.provenMax, "a look costs no more")
            invitations.choose(
                job,
                among: judged.map { offer in
                    Invitations.Guest(
                        did: offer.nodeDID, price: TokenAmount(invented.contains(offer.nodeDID) ? 0 : 10),
                        isProven: proven.contains(offer.nodeDID))
                })
            var invited: [DID] = []
            for announcement in 0..<10 {
                let guests = invitations.next(job)
                #expect(guests.count == (announcement < 2 ? limits.atOnceMax : 0))
                invited += guests
            }
            #expect(Set(invited).count == limits.perJobMax && invitations.invited(to: job) == invited)
            #expect(invited.count(where: proven.contains) >= limits.provenMax)
            let honest = invited.count { !invented.contains($0) && !proven.contains($0) }
            #expect(honest > 5, "who invents offers does not keep all others away: \(honest)")
            met.formUnion(invited)
        }
        #expect(met.count > 500, "not the same for each job: \(met.count)")
    }

    @Test("Invited are some that proved themselves, the cheapest and others by chance")
    func mixed() throws {
        var invitations = Invitations()
        let cheap = try (0..<100).map { try guest($0, price: 1) }
        let dear = try (100..<300).map { try guest($0, price: 1_000, isProven: $0 < 120) }
        invitations.choose(job, among: cheap + dear)
        let invited = Set(invitations.next(job))
        func count(_ guests: [Invitations.Guest]) -> Int { guests.count { invited.contains($0.did) } }
        #expect(invited.count == 32)
        #expect(count(Array(dear.prefix(20))) >= 10, "those that proved themselves")
        #expect(count(cheap) >= 10)
        #expect(count(Array(dear.dropFirst(20))) > 0, "who only invents low prices does not keep all others away")
    }

    @Test("Who takes no invitations does not count, and is not kept from a job by a few that do")
    func earlierVersions() throws {
        let invitations = Invitations()
        let old = try (0..<100).map { try offer($0, features: ["files-v1"]) }
        let few = try (100..<110).map { try offer($0) }
        #expect(invitations.sample(old + few, for: job) { _ in false }.isEmpty)
        let many = try (100..<200).map { try offer($0) }
        #expect(invitations.sample(old + many, for: job) { _ in false } == many)
    }

    @Test("Of very many offers a part is judged, another for each job, and those that proved themselves")
    func sampled() throws {
        let invitations = Invitations()
        let limits = invitations.limits
        let offers = try (0..<600).map { try offer($0) }
        let proven = try identity(599).did
        func sample(_ number: UInt8) -> Set<DID> {
            Set(
                invitations.sample(offers, for: JobID(.hashing([number], codec: .dagCBOR))) { $0 == proven }
                    .map(\.nodeDID))
        }
        #expect((limits.judgedMax...limits.judgedMax + 1).contains(sample(1).count) && sample(1).contains(proven))
        #expect(sample(1) != sample(2) && sample(2) != sample(3))
    }

    @Test("The invitations of the latest jobs alone are remembered")
    func forgotten() throws {
        var limits = Invitations.Limits()
        (limits.everybodyMax, limits.perJobMax, limits.atOnceMax, limits.jobsMax) = (1, 1, 1, 2)
        var invitations = Invitations(limits: limits)
        let all = try (0..<3).map { try guest($0, price: 10) }
        let jobs = (0..<3 as Range<UInt8>).map { JobID(.hashing([$0], codec: .dagCBOR)) }
        for job in jobs { invitations.choose(job, among: all) }
        #expect(jobs.map(invitations.hasChosen) == [false, true, true], "the eldest was forgotten")
    }
}
