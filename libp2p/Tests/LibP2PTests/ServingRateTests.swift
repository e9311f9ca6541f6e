import Bitswap
import Determinism
import Multiformats
import P2PTesting
import Testing

@testable import LibP2P
@testable import P2PServices

/// The rate at which one peer is served, where the owner sets one.
@Suite("Serving rate", .timeLimit(.minutes(5)))
struct ServingRateTests {
    private func at(_ milliseconds: Int64) -> MonotonicInstant {
        MonotonicInstant.zero.advanced(milliseconds: milliseconds)
    }

    @Test("One second's worth is served at once, the rest at the rate")
    func oneSecondAhead() {
        var rate = ServingRate(bytesPerSecond: 1_000, now: at(5_000))
        #expect(rate.freeAt <= at(5_000))
        rate.served(900, now: at(5_000))
        #expect(rate.freeAt <= at(5_000))
        rate.served(600, now: at(5_000))
        #expect(rate.freeAt > at(5_499) && rate.freeAt < at(5_510))
        #expect(!rate.isPaid(now: at(6_400)) && rate.isPaid(now: at(6_510)))
        rate.served(1_000, now: at(60_000))
        #expect(rate.freeAt <= at(60_001), "silence is not saved up, nor owed for")
        rate.served(.max, now: at(60_000))
        #expect(rate.freeAt > at(1_000_000_000))
    }

    @Test("A peer past its rate waits and is counted while others are served, and is served in the end")
    func onePeerWaits() async throws {
        let network = InMemoryNetwork()
        let blocks = MemoryBlocks()
        let cids = (0..<6).map { number in blocks.add([UInt8](repeating: UInt8(number), count: 40_000)) }
        let server = ServiceTestNode.peer(0)
        var limits = BitswapService.Limits()
        limits.servedBytesPerSecondPerPeerMax = 100_000
        let serving = BitswapService(
            host: network.addHost(server), store: blocks, limits: limits, logger: ServiceTestNode.logger)
        let clients = (1...2).map { number in
            BitswapService(
                host: network.addHost(ServiceTestNode.peer(number)), store: MemoryBlocks(),
                logger: ServiceTestNode.logger)
        }
        await serving.register()
        for client in clients { await client.register() }
        try await beside([
            { await network.run() }, { await serving.run() }, { await clients[0].run() }, { await clients[1].run() },
        ]) {
            try await withThrowingTaskGroup(of: Int.self) { group in
                for cid in cids {
                    group.addTask {
                        try await clients[0].fetch(cid, from: [server], timeout: .seconds(3_600)).count
                    }
                }
                try await eventually { await serving.servingPauses > 0 }
                #expect(try await clients[1].fetch(cids[0], from: [server], timeout: .seconds(3_600)).count == 40_000)
                #expect(try await group.reduce(0, +) == 240_000)
            }
        }
    }
}
