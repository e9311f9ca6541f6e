import Foundation
import LibP2P
import MeshStore
import MeshTypes
import Multiformats
import NodeAPI
import NodeSetup
import P2PServices
import P2PTesting
import PeerIdentity
import Receipts
import SignedObjects
import Testing

@testable import PlanetaryMesh

/// How a receipt is found by its CID by somebody who had no part in the job: as a record of the DHT, by a provider
/// record, or at the executor that gossip named; each where there is no other way.
///
/// Between the two sides and who asks stands a node that runs no jobs and has nothing of them.
@Suite("Receipts that are found", .serialized)
struct FoundReceiptTests {
    private struct Scene {
        let folder: URL
        let relay: MeshNode
        let entrance: [Multiaddr]

        init() async throws {
            folder = URL(fileURLWithPath: "/tmp/mn-\(UUID().uuidString.prefix(8))")
            var configuration = try NodeMesh.loopback()
            configuration.executor.isEnabled = false
            relay = try await NodeMesh.open(folder.path + "/r", configuration)
            let relay = relay
            entrance = await relay.swarm.listenAddresses().map { $0.withPeerID(relay.identity.peerID) }
        }

        /// A node that begins with the relay, in the DHT of all or in one of its own.
        func open(_ name: String, executes: Bool = false, dht: String? = nil) async throws -> MeshNode {
            var configuration = try NodeMesh.loopback()
            configuration.bootstrap = entrance
            configuration.executor.isEnabled = executes
            if let dht { configuration.kademliaProtocol = dht }
            return try await NodeMesh.open(folder.path + "/" + name, configuration)
        }

        /// Has the first run a job of the second; returns the receipt.
        func receipt(
            of module: [UInt8], by executor: MeshNode, for originator: MeshNode, listeners: Int = 2
        ) async throws -> CID {
            let relay = relay
            try await eventually("all hear of jobs") {
                await relay.gossip.peers(of: MeshTopics.jobAnnouncements).count == listeners
            }
            let mesh = NodeMesh(nodes: [originator])
            let result = try await mesh.result(of: try await mesh.submit(module))
            #expect(result.ending == .succeeded, "\(result.detail)")
            #expect(result.executorDID == executor.identity.did.text)
            return try CID(named: try #require(result.receiptCID), "receipt")
        }
    }

    private func waitForDHT(_ node: MeshNode) async throws {
        try await eventually("a server of the DHT is known") { await !node.dht.routingTable().isEmpty }
    }

    @Test("A receipt is read from the DHT by its CID once both of its sides are gone, by somebody who came later")
    func record() async throws {
        let scene = try await Scene()
        defer { try? FileManager.default.removeItem(at: scene.folder) }
        try await NodeMesh.running([scene.relay]) {
            let executor = try await scene.open("e", executes: true)
            let originator = try await scene.open("o")
            var found: CID?
            try await NodeMesh.running([executor, originator]) {
                let cid = try await scene.receipt(of: try Assembler.command("nop"), by: executor, for: originator)
                try await eventually("the relay keeps the record") { await scene.relay.dht.holdings().records > 0 }
                found = cid
            }
            let cid = try #require(found)
            #expect(try await !scene.relay.store.hasBlock(cid), "who has the record could give the block, too")
            let asker = try await scene.open("a")
            try await NodeMesh.running([asker]) {
                try await waitForDHT(asker)
                #expect(asker.fetcher.named.holders(of: cid).isEmpty, "it heard of the receipt by gossip")
                let view = try await asker.receipt(cid)
                #expect(view.source == ReceiptAuditor.directory)
                #expect(view.executorDID == executor.identity.did.text)
                // The chain behind it went with its sides: nothing speaks against it, and it is not shown to hold.
                let report = try await asker.verifyReceipt(cid)
                #expect(!report.isValid && !report.lines.contains { $0.verdict == .failed })
                let signature = report.lines.first { $0.name == "receipt signed by its executor" }
                #expect(signature?.verdict == .passed)
            }
        }
    }

    /// A command with 256 outputs, whose names have 256 bytes each.
    private static func long() throws -> [UInt8] {
        try Assembler.module(
            """
            (module
              (import "mesh_host_v1" "output_write" (func $output (param i32 i32 i32 i32) (result i32)))
              (memory (export "memory") 1)
              (data (i32.const 0) "\(String(repeating: "o", count: 256))")
              (func (export "_start") (local $i i32)
                (loop $next
                  (i32.store8 (i32.const 0) (i32.add (i32.const 97) (i32.and (local.get $i) (i32.const 15))))
                  (i32.store8 (i32.const 1) (i32.add (i32.const 97) (i32.shr_u (local.get $i) (i32.const 4))))
                  (drop (call $output (i32.const 0) (i32.const 256) (i32.const 0) (i32.const 1)))
                  (local.set $i (i32.add (local.get $i) (i32.const 1)))
                  (br_if $next (i32.lt_u (local.get $i) (i32.const 256))))))
            """)
    }

    @Test("A receipt that is too long for a record is found by who provides it, and comes from there as a block")
    func provider() async throws {
        let scene = try await Scene()
        defer { try? FileManager.default.removeItem(at: scene.folder) }
        try await NodeMesh.running([scene.relay]) {
            let executor = try await scene.open("e", executes: true)
            let originator = try await scene.open("o")
            try await NodeMesh.running([executor, originator]) {
                let cid = try await scene.receipt(of: try Self.long(), by: executor, for: originator)
                let block = try #require(try await originator.store.block(cid))
                #expect(block.count > ReceiptRecord.bytesMax)
                try await eventually("its executor has put it into the DHT") {
                    executor.parts.tallies.all["receipts_put"] == 1
                }
                #expect(executor.parts.tallies.all["receipts_not_put"] == nil)
                let asker = try await scene.open("a")
                try await NodeMesh.running([asker]) {
                    try await waitForDHT(asker)
                    #expect(asker.fetcher.named.holders(of: cid).isEmpty, "it heard of the receipt by gossip")
                    #expect(await asker.fetcher.providers(of: cid).contains(executor.identity.peerID))
                    #expect((try? await asker.dht.getValue(key: MeshTopics.receiptKey(cid))) == nil)
                    #expect(try await !scene.relay.store.hasBlock(cid))
                    let view = try await asker.receipt(cid)
                    #expect(view.outputs.count == 256)
                    #expect(view.source == "a peer")
                    let report = try await asker.verifyReceipt(cid)
                    #expect(report.isValid, "\(report.lines.filter { $0.verdict != .passed })")
                }
            }
        }
    }

    @Test(
        "The executor that gossip named is dialed and asked for receipt, evidence and outputs where no DHT leads there"
    )
    func named() async throws {
        let scene = try await Scene()
        defer { try? FileManager.default.removeItem(at: scene.folder) }
        let asker = try await scene.open("a", dht: "/another/kad/1.0.0")
        try await NodeMesh.running([scene.relay, asker]) {
            let executor = try await scene.open("e", executes: true)
            let originator = try await scene.open("o")
            let executing = executor.identity.peerID
            try await NodeMesh.running([executor, originator]) {
                let module = try Assembler.command(
                    """
                    (i32.store (i32.const 0) (i32.const 16)) (i32.store (i32.const 4) (i32.const 4))
                    (i32.store (i32.const 16) (i32.const 0x21216968))
                    (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))
                    """)
                let cid = try await scene.receipt(of: module, by: executor, for: originator, listeners: 3)
                try await eventually("the asker hears who has the receipt") {
                    asker.fetcher.named.holders(of: cid).map(\.peer) == [executing]
                }
                #expect(!asker.swarm.isConnected(executing))
                #expect((try? await asker.dht.findPeer(executing)) ?? [] == [])
                let view = try await asker.receipt(cid)
                #expect(view.source == ReceiptAuditor.named)
                #expect(asker.swarm.isConnected(executing))
                let output = try CID(named: try #require(view.stdoutCID), "output")
                #expect(asker.fetcher.named.holders(of: output).map(\.peer).first == executing)
                #expect(try await !asker.store.hasBlock(output))
                #expect(try await asker.get(output) == Array("hi!!".utf8))
                let report = try await asker.verifyReceipt(cid)
                #expect(report.isValid, "\(report.lines.filter { $0.verdict != .passed })")
                #expect(try await asker.replayReceipt(cid).isValid)
            }
        }
    }

    @Test("Who names itself for a receipt that it has not is asked for a moment, and the receipt found elsewhere")
    func liar() async throws {
        try await NodeMesh.run(prices: [10, 20]) { mesh in
            let result = try await mesh.result(of: try await mesh.submit(try Assembler.command("nop")))
            let cid = try CID(named: try #require(result.receiptCID), "receipt")
            try await HostilePeer.meeting(mesh.nodes) { peer in
                let asker = mesh.nodes[1]
                let other = CID.hashing(Array("another".utf8), codec: .dagCBOR)
                for named in [other, cid] {
                    let notice = ExecutionReceiptAvailableV1(
                        jobID: JobID(other), receiptCID: named, executorDID: peer.identity.did,
                        status: .completedSuccessfully)
                    try await peer.publish(
                        try MeshProtocolMessage.executionReceiptAvailable(notice).encoded(),
                        topic: MeshTopics.receipts, to: mesh.nodes)
                }
                let liar = peer.identity.peerID
                try await eventually("the asker hears the lie") {
                    asker.fetcher.named.holders(of: other).map(\.peer) == [liar]
                }
                #expect(await asker.fetcher.fromNamed(other) == nil)
                #expect(try await asker.verifyReceipt(cid).isValid)
            }
        }
    }
}
