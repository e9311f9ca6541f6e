import CoVM
import Foundation
import GRDB
import JobMarket
import MeshStore
import MeshTypes
import Multiformats
import NodeAPI
import NodeSetup
import P2PTesting
import PeerIdentity
import SignedObjects
import Testing

@testable import PlanetaryMesh

/// Nodes whose stores are full, and what they keep of what they refuse.
@Suite("Full stores", .serialized)
struct StorageTests {
    private static func configuration(blockBytesMax: Int) throws -> NodeConfiguration {
        var configuration = try NodeMesh.loopback()
        configuration.limits.blockBytesMax = blockBytesMax
        return configuration
    }

    @Test(
        "A store that is full opens, refuses new work with storage_full, and takes it again after mesh rm and mesh gc")
    func fullStore() async throws {
        let path = "/tmp/mn-\(UUID().uuidString.prefix(8))"
        defer { try? FileManager.default.removeItem(atPath: path) }
        let module = try Assembler.command("nop")
        let first = try await NodeMesh.open(path, try Self.configuration(blockBytesMax: 1 << 30))
        var kept = ""
        try await NodeMesh.running([first]) {
            kept = try await first.add([UInt8](repeating: 7, count: 900_000)).cid
            _ = try await first.add(module)
            // What nobody put, but came once.
            let cached = [UInt8](repeating: 8, count: 500_000)
            try await first.store.commit([.block(cid: CID.hashing(cached, codec: .raw), bytes: cached)])
            #expect(try await first.status().storage?.state == "open")
        }
        let node = try await NodeMesh.open(
            path, try Self.configuration(blockBytesMax: 800_000), identity: first.identity)
        try await NodeMesh.running([node]) {
            try await node.store.persisted()
            let storage = try await node.status().storage
            #expect(storage?.state == "full")
            #expect(storage?.highWaterBytes == 720_000)
            #expect(try #require(storage?.blockBytes) < 1_000_000)
            #expect(try #require(storage?.databaseBytes) > 0)
            await Self.expect(.storageFull) { _ = try await node.add([1, 2, 3]) }
            let submission = JobSubmission(moduleCID: CID.hashing(module, codec: .raw).text)
            await Self.expect(.storageFull) { _ = try await node.submit(submission) }
            #expect(node.room.state == .full)
            // Evidence is still written.
            let proof = Array("proof".utf8)
            let proofCID = CID.hashing(proof, codec: .dagCBOR)
            try await node.store.commit([.evidence(cid: proofCID, bytes: proof, jobID: proofCID)])
            #expect(try await node.remove(CID(named: kept, "file")) == RemovedBlocks(blocks: 1, bytes: 900_000))
            #expect(try await node.status().storage?.state == "open")
            _ = try await node.add([1, 2, 3])
            _ = try await node.submit(submission)
            await Self.expect(.conflict) { _ = try await node.remove(CID.hashing(module, codec: .raw)) }
            await Self.expect(.blockNotFound) { _ = try await node.remove(CID.hashing([9], codec: .raw)) }
        }
    }

    @Test("Blocks of a file whose rest never came go when room is needed, or at once with mesh gc")
    func brokenOff() async throws {
        let path = "/tmp/mn-\(UUID().uuidString.prefix(8))"
        defer { try? FileManager.default.removeItem(atPath: path) }
        let node = try await NodeMesh.open(path, try Self.configuration(blockBytesMax: 800_000))
        func part(_ number: Int) -> ContentBlock {
            let bytes = [UInt8](repeating: UInt8(number), count: 100_000)
            return ContentBlock(cid: CID.hashing(bytes, codec: .raw), bytes: bytes)
        }
        try await NodeMesh.running([node]) {
            let whole = try await node.add([UInt8](repeating: 255, count: 50_000)).cid
            // More than there is room for, by uploads that broke off before their end: nothing of it is pinned.
            for number in 0..<30 {
                try await node.put([part(number)])
                try await node.store.persisted()
                #expect(try #require(try await node.status().storage?.blockBytes) <= 800_000)
            }
            #expect(try await node.status().storage?.state == "open")
            let gone = try await node.collectGarbage()
            #expect(gone.blocks > 0 && gone.bytes == gone.blocks * 100_000)
            #expect(try await node.status().storage?.blockBytes == 50_000)
            #expect(try await node.get(CID(named: whole, "file")).count == 50_000)
        }
    }

    private static func expect(_ code: NodeServiceError.Code, _ body: () async throws -> Void) async {
        do {
            try await body()
            Issue.record("\(code) was expected, and nothing was refused")
        } catch {
            #expect((error as? NodeServiceError)?.code == code, "\(error)")
        }
    }

    @Test("A module is looked at before inputs are fetched, and one that is refused is not kept")
    func refusedModule() async throws {
        try await NodeMesh.run(prices: [10]) { mesh in
            let (executor, originator) = (mesh.nodes[0], mesh.originator)
            let module = try CID(named: try await originator.add(Array("no module".utf8)).cid, "module")
            let input = try CID(named: try await originator.add(Array("input".utf8)).cid, "input")
            let outcome = await Self.run(module, input, on: executor, of: originator)
            guard case .moduleRefused = outcome else {
                Issue.record("\(outcome)")
                return
            }
            #expect(try await !executor.store.hasBlock(module))
            #expect(try await !executor.store.hasBlock(input))
        }
    }

    private static func run(
        _ module: CID, _ input: CID, on executor: MeshNode, of originator: MeshNode
    ) async -> ExecutionOutcome {
        var params = MeshJobParams(wasmCID: module)
        params.inputCIDs = ["stdin": input]
        let now = NodeClock.wallClock
        let manifest = JobManifest(
            params: params, originatorDID: originator.identity.did, originatorPeerID: originator.identity.peerID,
            originatorAddresses: [], nonce: [UInt8](repeating: 1, count: 16), submittedAt: now, biddingDeadline: now,
            expiresAt: now.advanced(milliseconds: 60_000))
        return await executor.runner.run(
            manifest, jobID: JobID(module), executor: executor.identity.did, from: [originator.identity.peerID],
            wallClockMilliseconds: nil, cancellation: ExecutionCancellation(), keep: true
        ).report.outcome
    }

    @Test("An executor that cannot keep what it fetched has failed itself: node_failed")
    func nowhereToKeep() async throws {
        let configure = { (index: Int, configuration: inout NodeConfiguration) in
            if index == 0 { configuration.limits.blockBytesMax = 100_000 }
        }
        try await NodeMesh.run(prices: [10], configure: configure) { mesh in
            let originator = mesh.originator
            let module = try CID(named: try await originator.add(try Assembler.command("nop")).cid, "module")
            let input = try await originator.add([UInt8](repeating: 1, count: 200_000))
            let outcome = await Self.run(
                module, try CID(named: input.cid, "input"), on: mesh.nodes[0], of: originator)
            guard case .nodeFailed(let reason) = outcome else {
                Issue.record("\(outcome)")
                return
            }
            #expect(reason.hasPrefix("what was fetched could not be kept: "), "\(reason)")
        }
    }

    @Test(
        "A lock of another program is borne: new work is refused as overloaded, and what waits is written when it ends")
    func lockedDatabase() async throws {
        try await NodeMesh.run(prices: [10]) { mesh in
            let originator = mesh.originator
            let module = try Assembler.command("nop")
            _ = try await originator.add(module)
            var configuration = Configuration()
            configuration.allowsUnsafeTransactions = true
            let other = try DatabaseQueue(path: originator.store.path, configuration: configuration)
            try await other.writeWithoutTransaction { try $0.execute(sql: "BEGIN EXCLUSIVE") }
            async let waiting: Void = originator.store.commit([.setting(key: "waits", value: [1])])
            try await eventually("the lock is seen") { originator.store.standing == .locked }
            #expect(try await originator.status().storage?.state == "locked")
            await Self.expect(.overloaded) {
                _ = try await originator.submit(JobSubmission(moduleCID: CID.hashing(module, codec: .raw).text))
            }
            await Self.expect(.overloaded) { _ = try await originator.add([1]) }
            try await other.writeWithoutTransaction { try $0.execute(sql: "ROLLBACK") }
            try await waiting
            #expect(try await originator.store.setting("waits") == [1])
            #expect(try await mesh.result(of: try await mesh.submit(module)).ending == .succeeded)
        }
    }

    @Test(
        "A node whose disk has less left than its reserve does not bid, refuses new work and says what to do"
    )
    func shortDisk() async throws {
        let configure = { (index: Int, configuration: inout NodeConfiguration) in
            if index == 0 { configuration.limits.diskReserveBytes = .max }
        }
        try await NodeMesh.run(prices: [10], biddingMilliseconds: 2_000, configure: configure) { mesh in
            let executor = mesh.nodes[0]
            let storage = try await executor.status().storage
            #expect(storage?.state == "disk_full")
            #expect(storage?.diskReserveBytes == UInt64(Int.max))
            #expect(storage?.diskFreeBytes ?? 0 > 0)
            do throws(NodeServiceError) {
                _ = try await executor.add([1])
                Issue.record("the file was taken")
            } catch {
                #expect(error.code == .storageFull && error.message.contains("bytes left"), "\(error)")
                #expect(error.hint?.contains("limits.disk_reserve_bytes") == true)
            }
            let job = try await mesh.submit(try Assembler.command("nop"))
            #expect(try await mesh.result(of: job).ending == .noBids)
            #expect(try await executor.count("market_declined_disk_full") > 0)
            let proof = Array("proof".utf8)
            let cid = CID.hashing(proof, codec: .dagCBOR)
            try await executor.store.commit([.evidence(cid: cid, bytes: proof, jobID: cid)])
        }
    }

    @Test("An executor whose store is full does not bid, and says why")
    func fullExecutor() async throws {
        let configure = { (index: Int, configuration: inout NodeConfiguration) in
            if index == 0 { configuration.limits.blockBytesMax = 10_000 }
        }
        try await NodeMesh.run(prices: [10], biddingMilliseconds: 2_000, configure: configure) { mesh in
            let executor = mesh.nodes[0]
            let proof = [UInt8](repeating: 1, count: 9_500)
            let cid = CID.hashing(proof, codec: .dagCBOR)
            try await executor.store.commit([.evidence(cid: cid, bytes: proof, jobID: cid)])
            #expect(executor.room.state == .full)
            let job = try await mesh.submit(try Assembler.command("nop"))
            #expect(try await mesh.result(of: job).ending == .noBids)
            let declined = try await executor.status().counters.first { $0.name == "market_declined_storage_full" }
            #expect(try #require(declined).value > 0)
        }
    }
}
