import Determinism
import GossipSub
import Logging
import Multiformats
import NIOConcurrencyHelpers
import NIOCore
import P2PTesting
import PeerIdentity
import Testing

@testable import LibP2P
@testable import P2PServices

/// The bounds of the gossip service that are reached without a single message.
@Suite(.timeLimit(.minutes(5))) struct GossipServiceLimitTests {
    private func service(on host: any StreamHost, _ limits: GossipService.Limits = .init()) -> GossipService {
        GossipService(host: host, limits: limits, identity: .generate(), logger: Logger(label: "test"))
    }

    @Test func aPeerThatTakesNoStreamIsLeftAloneUntilItConnectsAnew() async throws {
        let network = InMemoryNetwork()
        let (near, far) = (network.addHost(ServiceTestNode.peer(0)), network.addHost(ServiceTestNode.peer(1)))
        let attempts = NIOLockedValueBox(0)
        let times = NIOLockedValueBox<[MonotonicInstant]>([])
        let host = ScriptedHost(host: near) { _ throws(OpenStreamError) in
            attempts.withLockedValue { $0 += 1 }
            times.withLockedValue { $0.append(SwarmClock.now) }
            throw .connectionLost("as the test wants it")
        }
        let service = service(on: host)
        try await near.connect(to: far.localPeer, addresses: [])
        try await beside([{ await network.run() }, { await service.run() }]) {
            try await eventually { attempts.withLockedValue { $0 } == GossipService.Limits().openAttemptsMax }
            try await eventually { await service.peers.isEmpty }
            // The pauses double. They may take longer on a busy machine, but never less.
            let begun = times.withLockedValue { $0 }
            for index in 1..<begun.count {
                let pause = begun[index].milliseconds(since: begun[index - 1])
                #expect(pause >= GossipService.Limits().reopenMilliseconds << index)
            }
            for _ in 0..<100 { try await turn() }
            #expect(attempts.withLockedValue { $0 } == GossipService.Limits().openAttemptsMax)
            network.disconnect(near.localPeer, far.localPeer)
            try await near.connect(to: far.localPeer, addresses: [])
            try await eventually { attempts.withLockedValue { $0 } > GossipService.Limits().openAttemptsMax }
        }
    }

    @Test func aPeerBeyondPeersMaxIsNotServed() async throws {
        let network = InMemoryNetwork()
        let host = network.addHost(ServiceTestNode.peer(0))
        var limits = GossipService.Limits()
        limits.core.peersMax = 1
        let service = service(on: host, limits)
        let version = GossipSubVersion.meshsub11.protocolID
        try await beside([{ await network.run() }, { await service.run() }]) {
            let (first, second) = (network.addHost(ServiceTestNode.peer(1)), network.addHost(ServiceTestNode.peer(2)))
            for other in [first, second] {
                await other.handle(version) { stream in
                    while let bytes = try? await stream.read(), bytes.readableBytes > 0 {}
                }
            }
            try await first.connect(to: host.localPeer, addresses: [])
            try await eventually { await service.peers[first.localPeer]?.isGreeted == true }
            let refused = try await second.openStream(to: host.localPeer, protocols: [version])
            await #expect(throws: StreamError.reset) { try await refused.read() }
            #expect(await Array(service.peers.keys) == [first.localPeer])
            // When the first one leaves, there is room.
            network.disconnect(host.localPeer, first.localPeer)
            try await eventually { await service.peers.isEmpty }
            let served = try await second.openStream(to: host.localPeer, protocols: [version])
            try await eventually { await service.inbound.count == 1 }
            await served.reset()
        }
    }

    @Test func aWriteJoinsFramesUntilItHasBatchBytesMax() {
        var limits = GossipService.Limits()
        limits.batchBytesMax = 50
        let outlet = GossipOutlet(peer: ServiceTestNode.peer(1), limits: limits)
        for _ in 0..<3 { #expect(outlet.append(ByteBuffer(repeating: 7, count: 40), isControl: false) == .queued) }
        #expect(outlet.nextBatch()?.readableBytes == 80)
        #expect(outlet.nextBatch()?.readableBytes == 40)
        #expect(outlet.nextBatch() == nil)
    }
}
