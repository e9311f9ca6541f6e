import Credit
import MeshTypes
import Multiformats
import NodeAPI
import PeerIdentity
import SignedObjects
import Testing

@testable import PlanetaryMesh

/// What a node tells those who show it live.
@Suite struct ChangeFeedTests {
    private func identity(_ number: UInt8) throws -> Identity {
        try Identity(seed: Array(repeating: number, count: 32))
    }

    private func read(_ stream: AsyncStream<NodeChange>) async -> [String] {
        var told: [String] = []
        for await change in stream { told.append("\(change.kind) \(change.id) \(change.what)") }
        return told
    }

    @Test func whatComesAndGoesIsToldOnce() async throws {
        let feed = ChangeFeed()
        #expect(!feed.isFollowed)
        let stream = try feed.follow()
        #expect(feed.isFollowed)
        let (a, b, c) = (try identity(1), try identity(2), try identity(3))
        // What was there before is no change.
        feed.look(peers: [a.peerID, b.peerID], offers: [a.did], at: 1)
        feed.look(peers: [b.peerID, c.peerID], offers: [a.did], at: 2)
        feed.look(peers: [b.peerID, c.peerID], offers: [b.did], at: 3)
        feed.finish()
        let told = await read(stream)
        #expect(
            told == [
                "peer \(c.peerID.text) connected", "peer \(a.peerID.text) lost", "offer \(b.did.text) offered",
                "offer \(a.did.text) withdrawn",
            ])
        #expect(throws: NodeServiceError.self) { _ = try feed.follow() }
    }

    @Test func whatCameOfAHoldIsMoney() async throws {
        let one = CID.hashing([1], codec: .dagCBOR)
        let (here, other) = (try identity(1).did, try identity(2).did)
        let terms = HoldTerms(
            jobID: JobID(one), attempt: 1, bidCID: one, originatorDID: here, executorDID: other, arbiterDID: here,
            deliverBy: .epoch, claimBy: .epoch, windowMilliseconds: 1, extensionMilliseconds: 1)
        let certificate = HoldCertificate(
            issuerDID: here, charterCID: one, holdCID: one, debtorDID: here, creditorDID: other, amount: TokenAmount(5),
            unit: CreditUnit(name: "hours", decimals: 2), terms: terms, entry: 1,
            commitment: [UInt8](repeating: 0, count: 32), loggedBy: .epoch)
        var booking = HoldBooking(.holdExpired(hold: one), of: certificate, paying: .zero, notBefore: .epoch)
        booking.proved(BookEntry(number: 7, at: .epoch, event: .holdExpired(hold: one)))
        let feed = ChangeFeed()
        feed.tell(booking)
        let stream = try feed.follow()
        feed.tell(booking)
        feed.finish()
        #expect(await read(stream) == ["money \(one.text) hold_ended"])
    }

    @Test func aFollowerThatDoesNotReadIsCutOff() async throws {
        var limits = ChangeFeed.Limits()
        limits.waitingMax = 2
        let feed = ChangeFeed(limits: limits)
        let stream = try feed.follow()
        let peers = try (1...3).map { try identity($0).peerID }
        feed.look(peers: [], offers: [], at: 1)
        feed.look(peers: Set(peers[..<2]), offers: [], at: 2)
        #expect(feed.isFollowed)
        feed.look(peers: Set(peers), offers: [], at: 3)
        #expect(!feed.isFollowed)
        #expect(await read(stream) == peers[..<2].map(\.text).sorted().map { "peer \($0) connected" })
    }

    @Test func followersHaveABoundAndLeave() async throws {
        var limits = ChangeFeed.Limits()
        limits.followersMax = 1
        let feed = ChangeFeed(limits: limits)
        do {
            let first = try feed.follow()
            #expect(throws: NodeServiceError.self) { _ = try feed.follow() }
            _ = first
        }
        #expect(!feed.isFollowed)
        _ = try feed.follow()
    }
}
