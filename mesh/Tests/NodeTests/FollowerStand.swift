import Foundation
import GossipSub
import LibP2P
import LogTesting
import Logging
import MerkleLog
import MeshStore
import MeshTypes
import Multiformats
import NodeAPI
import NodeSetup
import P2PServices
import P2PTesting
import PeerIdentity
import SignedObjects
import Testing

@testable import PlanetaryMesh

/// What keeps the logs of others, over a swarm of its own, with the bounds that a test gives it.
struct FollowerStand: Sendable {
    let follower: LogFollower
    let swarm: Swarm

    static func run(
        in folder: URL, following authors: [String], as identity: Identity = .generate(),
        _ limits: LogFollower.Limits = LogFollower.Limits(),
        _ body: (FollowerStand) async throws -> Void
    ) async throws {
        var logger = Logger(label: "test")
        logger.logLevel = .critical
        let home = NodeHome(path: folder.path)
        #expect(try home.create() == nil)
        var configuration = try NodeMesh.loopback()
        configuration.log.follow = authors
        let store = try MeshStore(path: home.databasePath, owner: identity.did.text)
        let swarm = Swarm(configuration: SwarmConfiguration(configuration), identity: identity, logger: logger)
        let gossip = GossipService(host: swarm, identity: identity, logger: logger)
        let witness = WitnessDesk(identity: identity, store: store, authors: [])
        let follower = LogFollower(
            desk: LogDesk(identity: identity, store: store, witness: witness), host: swarm, gossip: gossip,
            settings: try RunningSettings(configuration, nil), logger: logger, limits: limits)
        try await swarm.listen()
        try await follower.load()
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await swarm.run() }
            defer { group.cancelAll() }
            try await body(FollowerStand(follower: follower, swarm: swarm))
        }
        try store.close()
    }

    /// Has it hear of an author's head.
    func hear(_ author: LogAuthor) async -> GossipVerdict {
        guard let note = try? author.note() else { return .reject }
        return await follower.heard(note.bytes, from: author.identity.peerID)
    }

    /// A peer that is connected to it, as long as `body` runs.
    func meeting(_ identity: Identity, _ body: (Swarm) async throws -> Void) async throws {
        var logger = Logger(label: "test")
        logger.logLevel = .critical
        let peer = Swarm(configuration: SwarmConfiguration(), identity: identity, logger: logger)
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await peer.run() }
            defer { group.cancelAll() }
            try await peer.connect(to: follower.identity.peerID, addresses: await swarm.listenAddresses())
            // The other end may know of the connection a little later.
            try await eventually("they are connected") {
                await swarm.connectedPeers().contains(identity.peerID)
            }
            try await body(peer)
        }
    }
}
