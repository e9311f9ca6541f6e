import Foundation
import GRDB
import GossipSub
import LibP2P
import MeshStore
import MeshTypes
import Multiformats
import NIOCore
import NodeAPI
import P2PTesting
import PeerIdentity
import Synchronization
import Testing

@testable import NodeCore
@testable import PlanetaryMesh

/// What strangers can make a node write down, and what that costs it.
@Suite("Notes about peers", .serialized)
struct PeerNotesTests {
    private static func peer(_ number: Int) throws -> PeerID {
        let key = (0..<32).map { UInt8(truncatingIfNeeded: number >> (8 * min($0, 7))) }
        return try PeerID(bytes: [0, 36, 8, 1, 18, 32] + key)
    }

    @Test("A flood of faults under free keys does not end a node that waits for a lock: what it owes is written")
    func floodAtALock() async throws {
        try await NodeMesh.run(prices: [], biddingMilliseconds: 120_000) { mesh in
            let node = mesh.originator
            let job = try await mesh.submit(try Assembler.command("nop")) { $0.policy.sufficientBids = 9 }
            try await node.store.persisted()
            var configuration = Configuration()
            configuration.allowsUnsafeTransactions = true
            let other = try DatabaseQueue(path: node.store.path, configuration: configuration)
            try await other.writeWithoutTransaction { try $0.execute(sql: "BEGIN EXCLUSIVE") }
            async let waiting: Void = node.store.commit([.setting(key: "waits", value: [1])])
            try await eventually("the lock is seen") { node.store.standing == .locked }
            // Of both kinds together more than all places.
            let faults = 10_000
            for number in 0..<faults {
                await node.take(
                    .misbehaved(
                        try Self.peer(number), "a gossip message with a number above 2^63", isConnected: false))
            }
            // Peers that come and go leave a commit each.
            let address = try Multiaddr(parsing: "/ip4/127.0.0.1/tcp/1")
            let refused = Atomic<Int>(0)
            for number in 0..<faults {
                let row = PeerRow(peerID: try Self.peer(number), addresses: [address], lastSeen: 1)
                node.store.enqueue([.peer(row)], urgency: .idle) { result in
                    if case .failure(.overloaded) = result { refused.add(1, ordering: .relaxed) }
                }
            }
            async let cancelled = node.cancel(job)
            try await eventually("the cancellation waits for the disk") {
                await !node.core.order.isPersisted || node.end.failure != nil
            }
            #expect(node.end.failure == nil)
            #expect(refused.load(ordering: .relaxed) >= faults - node.store.limits.waitingCommitsNotOwedMax)
            try await other.writeWithoutTransaction { try $0.execute(sql: "ROLLBACK") }
            try await waiting
            #expect(try await cancelled.job.status == JobStatus.cancelled.rawValue)
            #expect(try await node.store.setting("waits") == [1])
            let journal = try await node.store.journal(after: 0)
            #expect(journal.contains { $0.jobID == job && $0.kind.contains("cancel") }, "\(journal.map(\.kind))")
            try await eventually("what was gathered is written") { await node.core.notes.count == 0 }
            let gathered = PeerNotes.Limits().notMetMax
            #expect(await node.core.tallies["misbehaviours_not_written"] == UInt64(faults - gathered))
            #expect(await node.core.tallies["misbehaviours"] == UInt64(faults))
        }
    }

    @Test("After a flood of gossip by invented authors a node dials whom it knew at its next start")
    func inventedAuthors() async throws {
        let folder = "/tmp/mn-\(UUID().uuidString.prefix(8))"
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let owner = Identity.generate()
        let friend = try await NodeMesh.open(folder + "/friend", NodeMesh.loopback())
        let friendID = friend.identity.peerID
        let authors = (0..<80).map { _ in Identity.generate() }
        let invented = Set(authors.map(\.peerID))
        try await NodeMesh.running([friend]) {
            let first = try await NodeMesh.open(folder + "/node", NodeMesh.loopback(), identity: owner)
            try await NodeMesh.running([first]) {
                try await first.swarm.connect(to: friendID, addresses: await friend.swarm.listenAddresses())
                try await eventually("the friend is remembered") {
                    try await first.store.peers().contains { $0.peerID == friendID && !$0.addresses.isEmpty }
                }
                try await HostilePeer.meeting([first]) { peer in
                    try await peer.flood(first, as: authors)
                    try await eventually("all of it is held against its authors") {
                        await first.core.tallies["misbehaviours"] == UInt64(authors.count)
                    }
                }
                await first.writeFaults()
                try await first.store.persisted()
                let shown = try await first.peers().map(\.peerID)
                #expect(shown.contains(friendID.text))
                #expect(Set(shown).isDisjoint(with: invented.map(\.text)))
            }
            let again = try await NodeMesh.open(folder + "/node", NodeMesh.loopback(), identity: owner)
            #expect(Set(try await again.store.peers().map(\.peerID)).isDisjoint(with: invented))
            try await NodeMesh.running([again]) {
                try await eventually("the friend is dialed") { again.swarm.isConnected(friendID) }
            }
        }
    }

    @Test("Faults of one peer are added up, peers beyond the bound are left out, and those that were not met have half")
    func table() throws {
        var limits = PeerNotes.Limits()
        limits.peersMax = 4
        limits.notMetMax = 2
        var notes = PeerNotes(limits: limits)
        let peers = try (0..<7).map(Self.peer)
        for number in 0..<3 {
            #expect(notes.add("heard of", about: peers[number], isMet: false, at: 1) == (number < 2))
        }
        for number in 3..<6 {
            #expect(notes.add("met", about: peers[number], isMet: true, at: 2) == (number < 5))
        }
        // One that has a place needs no other.
        let isAdded = notes.add("met now", about: peers[0], isMet: true, at: 3)
        #expect(isAdded)
        let written = notes.takeAll().map { fault in
            "\(peers.firstIndex(of: fault.peer) ?? -1) \(fault.note) \(fault.count) \(fault.isMet) \(fault.at)"
        }
        #expect(written.sorted() == ["0 met now 2 true 3", "1 heard of 1 false 1", "3 met 1 true 2", "4 met 1 true 2"])
        #expect(notes.count == 0)
        let takesAgain = notes.add("heard of", about: peers[6], isMet: false, at: 4)
        #expect(takesAgain)
    }
}

extension HostilePeer {
    /// Sends a gossip message of each author, with a number that no message may have, all in one piece.
    fileprivate func flood(_ node: MeshNode, as authors: [Identity]) async throws {
        let topic = MeshTopics.anchorHeads(scope: "global")
        let bad = MeshProtocolMessage.anchorHeads(AnchorHeadsV1(scope: "global", heads: [], height: .max))
        let data = try bad.encoded()
        var rpc = GossipSubRPC()
        rpc.messages = try authors.map {
            try GossipMessage.sign(data, topic: topic, sequenceNumber: 1, identity: $0).encoded
        }
        let stream = try await swarm.openStream(
            to: node.identity.peerID, protocols: [GossipSubVersion.meshsub11.protocolID])
        try await stream.writeFrame(ByteBuffer(bytes: GossipSubCodec.encode(rpc)))
        // Without it the stream is reset when it is let go, which may overtake what was written.
        try await stream.closeWrite()
    }
}

extension MeshNode {
    /// Gives what is noted of peers to the disk now.
    fileprivate func writeFaults() { carryOut([.writeFaults(core.takeFaults())]) }
}
