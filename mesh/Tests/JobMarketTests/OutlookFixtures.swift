import MeshTypes
import Multiformats
import PeerIdentity
import SignedObjects
import Testing

@testable import JobMarket

/// Executors' offers, and what is said of them, for tests of an originator's outlook.
protocol OutlookFixtures {}

extension OutlookFixtures {
    func offer(_ seed: UInt8 = 2, _ change: (inout NodeCapability) -> Void = { _ in }) -> NodeCapability {
        let identity = try! Identity(seed: Array(repeating: seed, count: 32))
        let now = UnixMilliseconds(MarketWorld.epoch)
        var offer = NodeCapability(nodeDID: identity.did, peerID: identity.peerID, issuedAt: now, validUntil: now)
        var configuration = ExecutorConfiguration()
        configuration.region = "eu"
        configuration.features = ["simd"]
        configuration.resources = [resource(.memoryMiB): 1_024]
        configuration.nodeLimits = [
            "module_bytes": 100, "module_functions": 10, "function_bytes": 50, "input_bytes": 1_000,
            "compile_seconds": 10,
        ]
        offer.describe(configuration)
        change(&offer)
        return offer
    }

    func resource(_ type: ResourceType) -> String { type.rawValue }

    func standing(_ seed: UInt8, _ obstacles: [Obstacle], isHere: Bool = false) -> ExecutorStanding {
        ExecutorStanding(did: offer(seed).nodeDID, isHere: isHere, obstacles: obstacles)
    }

    func memory(_ offered: UInt64) -> Obstacle {
        .limit(.memoryBytes, asked: 3 << 30, offered: offered)
    }
}
