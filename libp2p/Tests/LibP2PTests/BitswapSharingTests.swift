import Bitswap
import LibP2P
import Multiformats
import NIOCore
import P2PServices
import P2PTesting
import Testing

/// Kept wants and shared questions, over real sockets.
@Suite("Shared fetches and kept wants over loopback", .timeLimit(.minutes(2)))
struct BitswapSharingTests {
    private static func block(_ number: Int) -> [UInt8] { Array("block \(number)".utf8) }

    private static func cid(_ number: Int) -> CID { CID.hashing(block(number), codec: .raw) }

    @Test("A peer is still served after 257 distinct misses, and gets a block that arrives later")
    func misses() async throws {
        try await withSwarms(2) { swarms in
            let server = ServiceTestNode(host: swarms[1])
            await server.register()
            let (messages, input) = AsyncStream.makeStream(of: BitswapMessage.self)
            await swarms[0].handle(BitswapService.protocolID) { stream in
                while let frame = (try? await stream.readFrame(bytesMax: 9_999)) ?? nil,
                    let message = try? BitswapMessageCoding.decode(Array(frame.readableBytesView))
                {
                    input.yield(message)
                }
            }
            _ = try await swarms[0].dial(try await swarms[1].dialAddress())
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { await server.run() }
                defer { group.cancelAll() }
                let stream = try await swarms[0].openStream(
                    to: swarms[1].localPeer, protocols: [BitswapService.protocolID])
                var answers = messages.makeAsyncIterator()
                func ask(_ cid: CID) async throws -> BitswapMessage? {
                    let want = BitswapMessageCoding.encode(BitswapMessage(wants: [.init(cid: cid)]))
                    try await stream.writeFrame(ByteBuffer(bytes: want))
                    return await answers.next()
                }
                for number in 0...256 {
                    let cid = Self.cid(number)
                    #expect(try await ask(cid)?.presences == [.init(cid: cid, isPresent: false)])
                }
                let counters = await server.exchange.counters()
                #expect((counters.wantsForgotten, counters.wantsRefused) == (1, 0))
                let present = server.blocks.add(Self.block(1_000))
                #expect(try await ask(present)?.blocks.map(\.data) == [Self.block(1_000)])
                server.blocks.add(Self.block(256))
                await server.exchange.blocksAdded([Self.cid(256)])
                #expect(await answers.next()?.blocks.map(\.data) == [Self.block(256)])
            }
        }
    }

    @Test("A fetch that joins another gets the block from its own peer while the first one's stays silent")
    func stalled() async throws {
        try await withSwarms(3) { swarms in
            var limits = BitswapService.Limits()
            // No peer is given up, so the block can only come through the second fetch's peer.
            limits.core.answerTimeoutMilliseconds = 3_600_000
            let asker = ServiceTestNode(host: swarms[0], exchangeLimits: limits)
            let holder = ServiceTestNode(host: swarms[2])
            await swarms[1].handle(BitswapService.protocolID) { stream in
                while (try? await stream.readFrame(bytesMax: 9_999)) ?? nil != nil {}
            }
            for node in [asker, holder] { await node.register() }
            for other in swarms.dropFirst() { _ = try await swarms[0].dial(try await other.dialAddress()) }
            let (silent, good) = (swarms[1].localPeer, swarms[2].localPeer)
            try await withThrowingTaskGroup(of: Void.self) { group in
                for node in [asker, holder] { group.addTask { await node.run() } }
                defer { group.cancelAll() }
                let cid = holder.blocks.add(Self.block(7))
                async let first = asker.exchange.fetched(cid, from: [silent], timeout: .seconds(3_600))
                try await eventually("the silent peer is asked") { await asker.exchange.isAsking(silent) }
                // Another one joins and leaves, which must not harm the others.
                await withTaskGroup(of: Void.self) { leaving in
                    leaving.addTask { _ = try? await asker.exchange.fetch(cid, from: [silent]) }
                    leaving.cancelAll()
                }
                #expect(await asker.exchange.isAsking(silent))
                let second = try await asker.exchange.fetched(cid, from: [good], timeout: .seconds(3_600))
                #expect(second.block == Self.block(7))
                #expect(second.source == good)
                #expect(try await first.source == good)
                #expect(await !asker.exchange.isAsking(silent))
            }
        }
    }
}
