import IPLD
import JobMarket
import MeshStore
import MeshTypes
import Multiformats
import NodeAPI
import NodeSetup
import P2PServices
import P2PTesting
import SignedObjects
import Testing

@testable import NodeCore
@testable import PlanetaryMesh

/// An executor that could know from its own store that it does not take a module.
@Suite("Modules in the own store", .serialized)
struct ModuleLookTests {
    /// A module that does nothing, with a custom section of so many bytes.
    private static func module(paddedBy count: Int) throws -> [UInt8] {
        let content = [UInt8(3)] + Array("pad".utf8) + [UInt8](repeating: 7, count: count)
        var size: [UInt8] = []
        var rest = content.count
        repeat {
            size.append(UInt8(rest & 0x7F) | (rest > 0x7F ? 0x80 : 0))
            rest >>= 7
        } while rest > 0
        return try Assembler.command("nop") + [0] + size + content
    }

    /// Of one block, and of several, of which the executor has the first one alone.
    @Test("One that is longer than it may be here is declined before there is a bid", arguments: [200_000, 1_500_000])
    func tooLong(count: Int) async throws {
        let module = try Self.module(paddedBy: count)
        let file = try UnixFSFile.blocks(of: module)
        #expect((file.root.codec == .raw) == (count < UnixFSFile.chunkBytes))
        let root = try #require(file.blocks.first { $0.cid == file.root })
        try await NodeMesh.run(prices: [1, 20]) { index, configuration in
            if index == 0 { configuration.limits.moduleBytesMax = 100_000 }
        } _: { mesh in
            let small = mesh.nodes[0]
            try await small.store.commit([.block(cid: root.cid, bytes: root.bytes)])
            // Who bids keeps the job from being announced again.
            try await eventually("both executors listen") {
                await mesh.originator.parts.gossip.peers(of: MeshTopics.jobAnnouncements).count == 2
            }
            // Time to judge the job before another node has run it.
            let job = try await mesh.submit(module) { submission in
                submission.policy.bidWindowMilliseconds = 3_000
                submission.policy.sufficientBids = 64
            }
            let result = try await mesh.result(of: job)
            #expect(result.ending == .succeeded, "\(result.detail)")
            #expect(result.attempts == 1)
            #expect(result.executorDID == mesh.nodes[1].identity.did.text)
            try await eventually("it judges the job") { await small.decline(of: JobID(job)) != nil }
            #expect(await small.decline(of: JobID(job)) == .moduleBeyondLimits)
            #expect(await !small.hasBid(on: JobID(job)))
            // A module that it may run, and one that it does not have, it bids on.
            let light = try await mesh.submit(try Self.module(paddedBy: 1_000)) { submission in
                submission.policy.allowedDIDs = [small.identity.did.text]
            }
            #expect(try await mesh.result(of: light).ending == .succeeded)
        }
    }
}

extension MeshNode {
    fileprivate func decline(of job: JobID) -> BidDecline? {
        core.market.recentDeclines.last { $0.jobID == job }?.reason
    }

    fileprivate func hasBid(on job: JobID) -> Bool { core.market.executedJob(job) != nil }
}
