import NodeAPI
import Testing

@testable import PlanetaryMesh

/// What a node tells those who show it live.
@Suite struct ChangeFeedTests {
    private func read(_ stream: AsyncStream<NodeChange>) async -> [String] {
        var told: [String] = []
        for await change in stream { told.append("\(change.kind) \(change.id) \(change.what)") }
        return told
    }

    @Test func whatComesAndGoesIsToldOnce() async throws {
        let feed = ChangeFeed()
        #expect(!feed.isFollowed)
        let stream = try feed.follow()
        #expect(feed.isFollowed && feed.wantsOffers)
        // What was there before is no change.
        feed.look(peers: ["a", "b"], offers: ["x"], at: 1)
        #expect(!feed.wantsOffers)
        feed.look(peers: ["b", "c"], offers: nil, at: 2)
        feed.look(peers: ["b", "c"], offers: ["y"], at: 3)
        feed.finish()
        #expect(await read(stream) == ["peer c connected", "peer a lost", "offer y offered", "offer x withdrawn"])
        #expect(throws: NodeServiceError.self) { _ = try feed.follow() }
    }

    @Test func aFollowerThatDoesNotReadIsCutOff() async throws {
        var limits = ChangeFeed.Limits()
        limits.waitingMax = 2
        let feed = ChangeFeed(limits: limits)
        let stream = try feed.follow()
        feed.look(peers: [], offers: [], at: 1)
        feed.look(peers: ["a", "b"], offers: nil, at: 2)
        #expect(feed.isFollowed)
        feed.look(peers: ["a", "b", "c"], offers: nil, at: 3)
        #expect(!feed.isFollowed)
        #expect(await read(stream) == ["peer a connected", "peer b connected"])
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
