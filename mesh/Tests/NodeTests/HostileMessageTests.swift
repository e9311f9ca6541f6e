import Determinism
import Foundation
import GRDB
import IPLD
import JobMarket
import MeshTypes
import Multiformats
import NodeAPI
import SignedObjects
import Testing

@testable import MeshStore
@testable import NodeCore
@testable import PlanetaryMesh

/// Valid messages with one field changed, given to whole nodes with their stores.
@Suite("Hostile messages", .serialized)
struct HostileMessageTests {
    /// What tables that are not full yet may take of memory, in bytes.
    private static let fillingBytesMax: UInt64 = 64 << 20

    /// As many messages as one identity sends: below the faults after which a node stops listening to it.
    private static let messagesPerPeer = PeerConduct.Limits().faultsMax * 2 / 3

    /// A change of one field of one kind of message.
    private struct Change {
        let kind: HostileScene.Kind
        /// Where the field is, among the places of the kind.
        let place: Int
        let value: IPLDValue
    }

    @Test("Integers at every bound, in every message and signed object, signed anew by their senders, stop no node")
    func integers() async throws {
        let numbers: [UInt64] = [0, 1, 1 << 31, 1 << 53, (1 << 63) - 1, 1 << 63, .max]
        try await NodeMesh.run(prices: [10]) { mesh in
            let module = try await mesh.knownModule()
            var changes: [Change] = []
            try await HostilePeer.meeting(mesh.nodes) { peer in
                let scene = HostileScene(mesh: mesh, peer: peer, module: module)
                for kind in HostileScene.Kind.allCases {
                    let places = try await scene.message(kind, to: mesh.nodes[0]).integerPlaces.count
                    for place in 0..<places {
                        changes += numbers.map { Change(kind: kind, place: place, value: .unsigned($0)) }
                    }
                }
            }
            #expect(changes.count > 80 * numbers.count, "all numbers of manifests, bids, receipts … are among them")
            for start in stride(from: 0, to: changes.count, by: Self.messagesPerPeer) {
                try await HostilePeer.meeting(mesh.nodes) { peer in
                    let scene = HostileScene(mesh: mesh, peer: peer, module: module)
                    for change in changes[start..<min(start + Self.messagesPerPeer, changes.count)] {
                        let node = change.kind.isForExecutors ? mesh.nodes[0] : mesh.originator
                        let message = try await scene.message(change.kind, to: node)
                        let bytes = try message.bytes(with: change.value, at: message.integerPlaces[change.place])
                        let reply = try await scene.give(bytes, change.kind, to: node)
                        guard case .unsigned(let number) = change.value, number > Int64.max, let reply else { continue }
                        #expect(reply.isRefusal, "\(change) got \(reply)")
                    }
                    try await scene.endJobs()
                }
                try mesh.expectAllAlive()
            }
            try await mesh.expectHonestJob()
        }
    }

    @Test("Random messages with one field changed leave all nodes alive, small and at work")
    func randomChanges() async throws {
        let environment = ProcessInfo.processInfo.environment
        let count = environment["MESH_HOSTILE_MESSAGES"].flatMap(Int.init) ?? 300
        let seed = environment["MESH_HOSTILE_SEED"].flatMap(UInt64.init) ?? UInt64.random(in: 0 ... .max)
        print("HostileMessageTests: \(count) messages, MESH_HOSTILE_SEED=\(seed)")
        var generator = SeededGenerator(seed: seed)
        try await NodeMesh.run(prices: [10, 11, 12]) { mesh in
            let module = try await mesh.knownModule()
            // What is bounded has to be full, or over, before the first half of the messages is sent.
            for node in mesh.nodes { try await node.rememberFew() }
            var warm: UInt64 = 0
            for start in stride(from: 0, to: count, by: Self.messagesPerPeer) {
                try await HostilePeer.meeting(mesh.nodes) { peer in
                    let scene = HostileScene(mesh: mesh, peer: peer, module: module)
                    for _ in start..<min(start + Self.messagesPerPeer, count) {
                        try await Self.sendOne(in: scene, using: &generator)
                    }
                    try await scene.endJobs()
                }
                try mesh.expectAllAlive()
                if start <= count / 2 { warm = ProcessMemory.residentBytes }
            }
            try await mesh.expectHonestJob()
            let after = ProcessMemory.residentBytes
            print("HostileMessageTests: \(warm >> 20) MiB after half of the messages, \(after >> 20) MiB after all")
            // Of few messages the first ones fill tables; of 10,000 nothing but the tenth is granted.
            let filling = count < 10_000 ? Self.fillingBytesMax : 0
            #expect(after <= warm + warm / 10 + filling, "seed \(seed)")
        }
    }

    private static func sendOne(
        in scene: HostileScene, using generator: inout some RandomNumberGenerator
    ) async throws {
        let kind = HostileScene.Kind.allCases.randomElement(using: &generator) ?? .bid
        let executors = scene.mesh.nodes.dropLast()
        let executor = executors.randomElement(using: &generator) ?? scene.mesh.originator
        let node = kind.isForExecutors ? executor : scene.mesh.originator
        let message = try await scene.message(kind, to: node)
        guard let place = message.places.randomElement(using: &generator), let old = message.value(at: place) else {
            return
        }
        let value = FieldChange.random(of: old, using: &generator)
        var bytes = try message.bytes(with: value, at: place)
        if UInt8.random(in: 0..<16, using: &generator) == 0, let index = bytes.indices.randomElement(using: &generator)
        {
            bytes[index] ^= 1 << UInt8.random(in: 0..<8, using: &generator)
        }
        _ = try await scene.give(bytes, kind, to: node)
    }
}

extension HostileScene {
    /// Sends a message the way that its kind goes; the reply to a direct one.
    func give(_ bytes: [UInt8], _ kind: Kind, to node: MeshNode) async throws -> MeshProtocolReply? {
        guard let topic = kind.topic else { return try await peer.send(bytes, to: node) }
        try await peer.publish(bytes, topic: topic, to: kind == .reputation ? [] : mesh.nodes)
        return nil
    }
}

extension MeshNode {
    /// Cuts the tables of what is over, the time that is given to those who are gone, and the pages that the database
    /// keeps in memory.
    fileprivate func rememberFew() async throws {
        core.market.configuration.limits.closedJobsMax = 32
        core.market.configuration.limits.closedBidsMax = 32
        core.market.configuration.limits.announcementsMax = 128
        core.market.configuration.executor?.bidValidityMilliseconds = 5_000
        core.market.configuration.executor?.receiptDeliveryMilliseconds = 5_000
        core.market.configuration.executor?.settlementMilliseconds = 5_000
        try await store.pool.writeWithoutTransaction { try $0.execute(sql: "PRAGMA cache_size = 128") }
    }
}

extension MeshProtocolReply {
    fileprivate var isRefusal: Bool {
        switch self {
        case .refused, .declined: true
        case .ack, .accepted: false
        }
    }
}

extension NodeMesh {
    /// A module that every node has, because it ran there or came with the job.
    fileprivate func knownModule() async throws -> CID {
        let module = try Assembler.command("nop")
        let added = try CID(named: try await originator.add(module).cid, "module")
        for node in nodes.dropLast() { _ = try await node.add(module) }
        _ = try await result(of: try await submit(module))
        return added
    }

    /// No node has given up.
    fileprivate func expectAllAlive() throws {
        for node in nodes {
            let failure = node.end.failure
            try #require(failure == nil, "a node stopped: \(String(describing: failure))")
        }
    }

    /// The honest originator's job is run by an honest executor, and its time is told.
    fileprivate func expectHonestJob() async throws {
        let begun = NodeClock.now
        let job = try await submit(try Assembler.command("nop")) { submission in
            submission.policy.allowedDIDs = nodes.dropLast().map(\.identity.did.text)
            submission.label = "honest"
        }
        let ended = try await result(of: job)
        print("HostileMessageTests: an honest job took \(NodeClock.now.milliseconds(since: begun)) ms")
        #expect(ended.ending == .succeeded, "\(ended.detail)")
        try expectAllAlive()
    }
}
