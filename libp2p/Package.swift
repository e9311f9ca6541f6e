// swift-tools-version: 6.2
import PackageDescription

// The network alone: a copy of this folder is a package. In the repository the manifest at the root builds it, and the
// lists here are equal to those there, which TidyTests checks.

let strict: [SwiftSetting] = [
    .treatAllWarnings(as: .error),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("MemberImportVisibility"),
]

enum External {
    static let nioCore = Target.Dependency.product(name: "NIOCore", package: "swift-nio")
    static let nioPosix = Target.Dependency.product(name: "NIOPosix", package: "swift-nio")
    static let nioEmbedded = Target.Dependency.product(name: "NIOEmbedded", package: "swift-nio")
    static let nioConcurrency = Target.Dependency.product(name: "NIOConcurrencyHelpers", package: "swift-nio")
    static let crypto = Target.Dependency.product(name: "Crypto", package: "swift-crypto")
    static let collections = Target.Dependency.product(name: "Collections", package: "swift-collections")
    static let logging = Target.Dependency.product(name: "Logging", package: "swift-log")
}

func libp2p(_ name: String, _ needs: [Target.Dependency]) -> Target {
    .target(name: name, dependencies: needs, path: "Sources/\(name)", swiftSettings: strict)
}

func libp2pTests(_ name: String, _ needs: [Target.Dependency]) -> Target {
    .testTarget(name: name, dependencies: needs, path: "Tests/\(name)", swiftSettings: strict)
}

let network: [Target] = [
    // Formats.
    libp2p("Determinism", []),
    libp2p("Multiformats", [External.crypto]),
    libp2p("PeerIdentity", ["Multiformats", External.crypto]),
    // Protocols, as cores.
    libp2p("Multistream", ["Multiformats", External.nioCore]),
    libp2p("Noise", ["Multiformats", "PeerIdentity", External.crypto, External.nioCore]),
    libp2p("Yamux", ["Determinism", External.collections, External.nioCore]),
    libp2p("Identify", ["Multiformats", "PeerIdentity"]),
    libp2p("GossipSub", ["Determinism", "Multiformats", "PeerIdentity", External.collections]),
    libp2p("Kademlia", ["Determinism", "Multiformats", External.collections]),
    libp2p("Bitswap", ["Determinism", "Multiformats", External.collections]),
    libp2p("Peers", ["Determinism", "Multiformats", External.collections]),
    libp2p("MulticastDNS", ["Determinism", "Multiformats", "Peers", External.collections]),
    // What waits.
    libp2p(
        "LibP2P",
        [
            "Determinism", "Multiformats", "PeerIdentity", "Multistream", "Noise", "Yamux", "Identify", "Peers",
            External.collections, External.crypto, External.logging, External.nioConcurrency, External.nioCore,
            External.nioPosix,
        ]),
    libp2p(
        "P2PServices",
        [
            "Determinism", "Multiformats", "PeerIdentity", "GossipSub", "Kademlia", "Bitswap", "Peers", "MulticastDNS",
            "LibP2P", External.collections, External.logging, External.nioConcurrency, External.nioCore,
        ]),
    libp2p(
        "P2PTesting",
        [
            "Determinism", "Multiformats", "LibP2P", External.collections, External.crypto, External.nioConcurrency,
            External.nioCore,
        ]),
]

let networkTests: [Target] = [
    libp2pTests("BitswapTests", ["Determinism", "Multiformats", "Bitswap", "P2PTesting"]),
    libp2pTests("DeterminismTests", ["Determinism"]),
    libp2pTests("GossipSubTests", ["Determinism", "Multiformats", "PeerIdentity", "GossipSub", "P2PTesting"]),
    libp2pTests("IdentifyTests", ["Determinism", "Multiformats", "PeerIdentity", "Identify", "P2PTesting"]),
    libp2pTests("KademliaTests", ["Determinism", "Multiformats", "Kademlia", "P2PTesting"]),
    libp2pTests(
        "LibP2PTests",
        [
            "Determinism", "Multiformats", "PeerIdentity", "Multistream", "Noise", "Yamux", "Identify", "GossipSub",
            "Kademlia", "Bitswap", "P2PTesting", "Peers", "MulticastDNS", "LibP2P", "P2PServices",
            External.collections, External.crypto, External.logging, External.nioConcurrency, External.nioCore,
            External.nioEmbedded, External.nioPosix,
        ]),
    libp2pTests("MulticastDNSTests", ["Determinism", "Multiformats", "Peers", "MulticastDNS", "P2PTesting"]),
    libp2pTests("MultiformatsTests", ["Determinism", "Multiformats", "P2PTesting"]),
    libp2pTests("MultistreamTests", ["Determinism", "Multiformats", "Multistream", "P2PTesting", External.nioCore]),
    libp2pTests(
        "NoiseTests",
        ["Determinism", "Multiformats", "PeerIdentity", "Noise", External.crypto, External.nioCore]),
    libp2pTests("P2PTestingTests", ["Determinism", "P2PTesting"]),
    libp2pTests("PeerIdentityTests", ["Multiformats", "PeerIdentity"]),
    libp2pTests("YamuxTests", ["Determinism", "Yamux", External.nioCore]),
]

let package = Package(
    name: "libp2p",
    products: [
        .library(
            name: "LibP2P",
            targets: [
                "LibP2P", "P2PServices", "GossipSub", "Kademlia", "Bitswap", "Peers", "PeerIdentity", "Multiformats",
                "Determinism",
            ]),
        .library(name: "P2PTesting", targets: ["P2PTesting"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-nio", from: "2.101.2"),
        .package(url: "https://github.com/apple/swift-crypto", from: "4.5.2"),
        .package(url: "https://github.com/apple/swift-collections", from: "1.6.0"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
    ],
    targets: network + networkTests,
    swiftLanguageModes: [.v6]
)
