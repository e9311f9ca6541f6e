// swift-tools-version: 6.2
import PackageDescription

// libp2p/ knows nothing of mesh/. A target depends on lists above its own; TidyTests keep cores free of Foundation.

let wasmtimeLibrary = "\(Context.packageDirectory)/vendor/wasmtime/lib"

let strict: [SwiftSetting] = [
    .treatAllWarnings(as: .error),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("MemberImportVisibility"),
]

/// Optimised in debug builds, too: most of what tests compute is reading and writing of signed objects. Nothing that
/// others depend on has it, since a dependency may have no unsafe flags.
let quick = SwiftSetting.unsafeFlags(["-O"], .when(configuration: .debug))

let linkWasmtime: [LinkerSetting] = [
    .unsafeFlags([
        "-L\(wasmtimeLibrary)", "-Xlinker", "-rpath", "-Xlinker", wasmtimeLibrary, "-Xlinker", "-rpath", "-Xlinker",
        "$ORIGIN/../lib",
    ])
]

enum External {
    static let nioCore = Target.Dependency.product(name: "NIOCore", package: "swift-nio")
    static let nioPosix = Target.Dependency.product(name: "NIOPosix", package: "swift-nio")
    static let nioEmbedded = Target.Dependency.product(name: "NIOEmbedded", package: "swift-nio")
    static let nioHTTP1 = Target.Dependency.product(name: "NIOHTTP1", package: "swift-nio")
    static let nioTLS = Target.Dependency.product(name: "NIOTLS", package: "swift-nio")
    static let nioSSL = Target.Dependency.product(name: "NIOSSL", package: "swift-nio-ssl")
    static let nioConcurrency = Target.Dependency.product(name: "NIOConcurrencyHelpers", package: "swift-nio")
    static let crypto = Target.Dependency.product(name: "Crypto", package: "swift-crypto")
    static let cryptoExtras = Target.Dependency.product(name: "CryptoExtras", package: "swift-crypto")
    static let collections = Target.Dependency.product(name: "Collections", package: "swift-collections")
    static let grdb = Target.Dependency.product(name: "GRDB", package: "GRDB.swift")
    static let hummingbird = Target.Dependency.product(name: "Hummingbird", package: "hummingbird")
    static let hummingbirdCore = Target.Dependency.product(name: "HummingbirdCore", package: "hummingbird")
    static let logging = Target.Dependency.product(name: "Logging", package: "swift-log")
    static let lifecycle = Target.Dependency.product(name: "ServiceLifecycle", package: "swift-service-lifecycle")
    static let argumentParser = Target.Dependency.product(name: "ArgumentParser", package: "swift-argument-parser")
    static let subprocess = Target.Dependency.product(name: "Subprocess", package: "swift-subprocess")
    static let yams = Target.Dependency.product(name: "Yams", package: "Yams")
    static let system = Target.Dependency.product(name: "SystemPackage", package: "swift-system")
}

/// A target of the network, in libp2p/Sources.
func libp2p(_ name: String, _ needs: [Target.Dependency]) -> Target {
    .target(name: name, dependencies: needs, path: "libp2p/Sources/\(name)", swiftSettings: strict)
}

func libp2pTests(_ name: String, _ needs: [Target.Dependency]) -> Target {
    .testTarget(name: name, dependencies: needs, path: "libp2p/Tests/\(name)", swiftSettings: strict)
}

/// A target of the mesh, in mesh/Sources.
func mesh(
    _ name: String, _ needs: [Target.Dependency], resources: [Resource] = [], isQuick: Bool = false,
    linker: [LinkerSetting] = []
) -> Target {
    .target(
        name: name, dependencies: needs, path: "mesh/Sources/\(name)", resources: resources,
        swiftSettings: isQuick ? strict + [quick] : strict, linkerSettings: linker)
}

func meshTests(_ name: String, _ needs: [Target.Dependency]) -> Target {
    .testTarget(
        name: name, dependencies: needs, path: "mesh/Tests/\(name)", swiftSettings: strict,
        linkerSettings: linkWasmtime)
}

func executable(_ name: String, _ needs: [Target.Dependency], path: String? = nil) -> Target {
    .executableTarget(
        name: name, dependencies: needs, path: path ?? "mesh/Sources/\(name)", swiftSettings: strict,
        linkerSettings: linkWasmtime)
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

let meshCores: [Target] = [
    // Formats and types.
    mesh("IPLD", ["Multiformats"], isQuick: true),
    mesh("GuestFiles", ["Determinism", "Multiformats"]),
    mesh("SignedObjects", ["Multiformats", "PeerIdentity", "IPLD"], isQuick: true),
    mesh("MerkleLog", ["Multiformats", "PeerIdentity", External.crypto]),
    mesh("MeshTypes", ["Multiformats", "IPLD", "SignedObjects", "GuestFiles"], isQuick: true),
    // What decides.
    mesh("Economics", ["Multiformats", "SignedObjects", "MeshTypes"]),
    mesh(
        "Credit",
        [
            "Multiformats", "PeerIdentity", "IPLD", "SignedObjects", "MerkleLog", "MeshTypes", External.collections,
            External.crypto,
        ]),
    mesh("Reputation", ["Multiformats", "SignedObjects", "MeshTypes", External.collections]),
    mesh("Receipts", ["Multiformats", "IPLD", "SignedObjects", "MerkleLog", "MeshTypes"]),
    mesh(
        "JobMarket",
        [
            "Determinism", "Multiformats", "PeerIdentity", "IPLD", "SignedObjects", "MerkleLog", "MeshTypes",
            "Economics", "Credit", "Reputation", "Receipts", External.collections, External.crypto,
        ], isQuick: true),
    mesh(
        "NodeCore",
        [
            "Determinism", "Multiformats", "PeerIdentity", "SignedObjects", "MeshTypes", "Economics", "Credit",
            "Reputation", "JobMarket",
            External.collections,
        ], isQuick: true),
    mesh("Workflows", ["Multiformats", "IPLD", "SignedObjects", "MeshTypes", "Receipts"]),
]

let meshShells: [Target] = [
    .systemLibrary(name: "CWasmtime", path: "mesh/Sources/CWasmtime"),
    .target(name: "CSandbox", path: "mesh/Sources/CSandbox"),
    .target(name: "CFiles", path: "mesh/Sources/CFiles"),
    .target(name: "CDashboard", path: "mesh/Sources/CDashboard", exclude: ["files"]),
    mesh(
        "CoVM",
        [
            "Determinism", "Multiformats", "IPLD", "GuestFiles", "MeshTypes", "CSandbox", "CWasmtime", External.crypto,
            External.nioConcurrency,
        ],
        linker: linkWasmtime),
    mesh("MeshStore", ["Multiformats", "IPLD", "SignedObjects", "MeshTypes", "CFiles", External.grdb]),
    // What clients see of a node, and what stands in its home before it runs.
    mesh("NodeAPI", ["Multiformats", "SignedObjects", "MeshTypes", "Receipts", "Workflows"]),
    mesh(
        "NodeSetup",
        [
            "Multiformats", "PeerIdentity", "IPLD", "SignedObjects", "MerkleLog", "MeshTypes", "NodeAPI",
            External.crypto, External.cryptoExtras,
        ]),
    // What wires it.
    mesh(
        "PlanetaryMesh",
        [
            "Determinism", "Multiformats", "PeerIdentity", "GossipSub", "Kademlia", "Bitswap", "LibP2P", "P2PServices",
            "IPLD", "SignedObjects", "MerkleLog", "MeshTypes", "Economics", "Reputation", "Receipts", "JobMarket",
            "Credit", "NodeCore", "CoVM", "GuestFiles", "MeshStore", "NodeAPI", "NodeSetup", "Workflows",
            External.collections, External.crypto, External.logging, External.nioCore, External.nioHTTP1,
            External.nioPosix,
        ]),
    mesh(
        "MeshHTTP",
        [
            "Multiformats", "LibP2P", "IPLD", "NodeAPI", "CDashboard", External.hummingbird, External.hummingbirdCore,
            External.lifecycle, External.logging, External.nioCore, External.nioHTTP1, External.nioPosix,
            External.nioSSL, External.nioTLS,
        ]),
    mesh(
        "MeshSimulation",
        [
            "Determinism", "Multiformats", "PeerIdentity", "Yamux", "GossipSub", "Kademlia", "Bitswap", "Peers",
            "P2PTesting", "IPLD", "SignedObjects", "MerkleLog", "MeshTypes", "Economics", "Credit", "Receipts",
            "Reputation", "JobMarket", "NodeCore", "Workflows", External.collections, External.crypto,
            External.nioCore,
        ], isQuick: true),
]

let apps: [Target] = [
    mesh("NodeAPITesting", ["Multiformats", "NodeAPI"]),
    mesh(
        "LogTesting",
        [
            "Multiformats", "PeerIdentity", "SignedObjects", "MerkleLog", "MeshTypes", "Receipts", "MeshStore",
            "NodeAPI",
        ]),
    mesh(
        "MeshCLI",
        [
            "Multiformats", "PeerIdentity", "Peers", "IPLD", "SignedObjects", "MerkleLog", "Receipts", "CSandbox",
            "NodeAPI", "NodeSetup", "MeshHTTP", "Workflows", "MeshTypes", External.argumentParser, External.logging,
            External.subprocess, External.system, External.yams,
        ],
        // What `mesh new swift` writes is what the examples are built with.
        resources: [
            .embedInCode("Templates/Support/MeshHost.txt"), .embedInCode("Templates/Support/runtime.txt"),
        ]),
    executable("mesh", ["CoVM", "PlanetaryMesh", "MeshCLI"]),
    executable("mesh-sim", ["MeshSimulation", External.argumentParser]),
    executable(
        "mesh-peer",
        [
            "Multiformats", "PeerIdentity", "Identify", "GossipSub", "Kademlia", "LibP2P", "P2PServices",
            External.argumentParser, External.logging, External.nioCore, External.nioPosix,
        ], path: "Interop/mesh-peer"),
    executable(
        "mesh-cheat",
        [
            "Multiformats", "PeerIdentity", "GossipSub", "LibP2P", "P2PServices", "SignedObjects", "MeshTypes",
            External.argumentParser, External.logging, External.nioCore,
        ]),
    executable(
        "mesh-benchmarks",
        [
            "Multiformats", "PeerIdentity", "GossipSub", "Kademlia", "LibP2P", "P2PServices", "IPLD", "SignedObjects",
            "MerkleLog", "MeshTypes", "Receipts", "CWasmtime", "CoVM", "NodeAPI", "NodeSetup", "PlanetaryMesh",
            "MeshStore", "Credit", "LogTesting", External.argumentParser, External.logging, External.nioCore,
        ], path: "Benchmarks"),
]

let tests: [Target] = [
    .testTarget(name: "TidyTests", swiftSettings: strict),
    meshTests(
        "CoVMTests",
        [
            "Determinism", "Multiformats", "P2PTesting", "IPLD", "GuestFiles", "MeshTypes", "CSandbox", "CWasmtime",
            "CoVM", "mesh",
        ]),
    meshTests(
        "ConformanceTests",
        [
            "Multiformats", "PeerIdentity", "Noise", "Kademlia", "IPLD", "SignedObjects", "Receipts", External.crypto,
            External.nioCore,
        ]),
    meshTests(
        "CrashTests",
        [
            "Multiformats", "PeerIdentity", "LibP2P", "IPLD", "MerkleLog", "MeshTypes", "JobMarket", "CWasmtime",
            "MeshStore", "NodeAPI", "NodeAPITesting", "NodeSetup", "SignedObjects", "Workflows", External.grdb,
            External.logging, "mesh",
        ]),
    meshTests(
        "CreditTests",
        [
            "Determinism", "Multiformats", "PeerIdentity", "P2PTesting", "IPLD", "SignedObjects", "MerkleLog",
            "MeshTypes", "Credit",
        ]),
    meshTests(
        "EconomicsTests", ["Determinism", "Multiformats", "PeerIdentity", "SignedObjects", "MeshTypes", "Economics"]),
    meshTests("GuestFilesTests", ["Determinism", "Multiformats", "IPLD", "GuestFiles", "MeshTypes", "CoVM", "mesh"]),
    meshTests("IPLDTests", ["Determinism", "Multiformats", "P2PTesting", "IPLD"]),
    meshTests(
        "JobMarketTests",
        [
            "Determinism", "Multiformats", "PeerIdentity", "IPLD", "SignedObjects", "MerkleLog", "MeshTypes",
            "Economics", "Credit", "Reputation", "Receipts", "JobMarket",
        ]),
    meshTests(
        "MeshCLITests",
        [
            "Multiformats", "PeerIdentity", "P2PTesting", "IPLD", "SignedObjects", "MerkleLog", "Receipts", "NodeAPI",
            "NodeAPITesting", "NodeSetup", "MeshHTTP", "MeshTypes", "Workflows", "MeshCLI", External.argumentParser,
            External.logging,
        ]),
    meshTests(
        "MeshHTTPTests",
        [
            "Multiformats", "P2PTesting", "IPLD", "NodeAPI", "NodeAPITesting", "MeshHTTP", External.hummingbird,
            External.logging, External.nioConcurrency, External.nioCore, External.nioHTTP1, External.nioPosix,
            External.nioSSL,
        ]),
    meshTests(
        "MeshStoreTests",
        [
            "Determinism", "Multiformats", "PeerIdentity", "IPLD", "SignedObjects", "MeshTypes", "MeshStore",
            "P2PTesting", External.grdb,
        ]),
    meshTests("MerkleLogTests", ["Determinism", "Multiformats", "PeerIdentity", "MerkleLog", External.crypto]),
    meshTests("MeshTypesTests", ["Multiformats", "PeerIdentity", "IPLD", "SignedObjects", "GuestFiles", "MeshTypes"]),
    meshTests(
        "NodeCoreTests",
        [
            "Determinism", "Multiformats", "PeerIdentity", "SignedObjects", "MeshTypes", "Economics", "JobMarket",
            "NodeCore",
        ]),
    meshTests(
        "NodeSetupTests",
        [
            "Multiformats", "PeerIdentity", "P2PTesting", "IPLD", "SignedObjects", "MerkleLog", "MeshTypes", "NodeAPI",
            "NodeSetup",
        ]),
    meshTests(
        "NodeTests",
        [
            "Determinism", "Multiformats", "PeerIdentity", "GossipSub", "Kademlia", "Bitswap", "LibP2P", "P2PServices",
            "P2PTesting", "IPLD", "SignedObjects", "MerkleLog", "MeshTypes", "Credit", "Economics", "Reputation",
            "Receipts", "JobMarket", "NodeCore", "CWasmtime", "GuestFiles", "CoVM", "MeshStore", "NodeAPI", "NodeSetup",
            "PlanetaryMesh", "LogTesting", "Workflows", External.grdb, External.logging, External.nioCore,
            External.nioHTTP1, External.nioPosix, "mesh",
        ]),
    meshTests(
        "PlanetaryMeshTests",
        [
            "Determinism", "Multiformats", "PeerIdentity", "Kademlia", "LibP2P", "P2PServices", "P2PTesting", "IPLD",
            "SignedObjects", "MerkleLog", "MeshTypes", "Economics", "Reputation", "JobMarket", "NodeCore", "CoVM",
            "Credit", "MeshStore", "NodeAPI", "NodeSetup", "PlanetaryMesh", "Receipts", "Workflows", External.grdb,
            External.logging, External.nioHTTP1,
        ]),
    meshTests(
        "ReceiptsTests",
        [
            "Determinism", "Multiformats", "PeerIdentity", "IPLD", "SignedObjects", "MerkleLog", "MeshTypes",
            "Receipts", "LogTesting",
        ]),
    meshTests(
        "ReputationTests",
        ["Determinism", "Multiformats", "PeerIdentity", "SignedObjects", "MeshTypes", "Reputation"]),
    meshTests("SignedObjectsTests", ["Multiformats", "PeerIdentity", "IPLD", "SignedObjects"]),
    meshTests("SimulationTests", ["P2PTesting", "MeshTypes", "MeshSimulation", External.collections]),
    meshTests(
        "WorkflowsTests",
        [
            "Determinism", "Multiformats", "PeerIdentity", "IPLD", "SignedObjects", "GuestFiles", "MeshTypes",
            "Receipts", "Workflows",
        ]),
]

let package = Package(
    name: "planetary-mesh",
    products: [
        .library(
            name: "LibP2P",
            targets: [
                "LibP2P", "P2PServices", "GossipSub", "Kademlia", "Bitswap", "Peers", "PeerIdentity", "Multiformats",
                "Determinism",
            ]),
        .library(name: "P2PTesting", targets: ["P2PTesting"]),
        .executable(name: "mesh", targets: ["mesh"]),
        .executable(name: "mesh-sim", targets: ["mesh-sim"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-nio", from: "2.101.2"),
        .package(url: "https://github.com/apple/swift-nio-ssl", from: "2.37.6"),
        .package(url: "https://github.com/apple/swift-crypto", from: "4.5.2"),
        .package(url: "https://github.com/apple/swift-collections", from: "1.6.0"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.13.0"),
        .package(url: "https://github.com/swiftlang/swift-subprocess", from: "1.0.2"),
        .package(url: "https://github.com/apple/swift-system", from: "1.8.1"),
        .package(url: "https://github.com/jpsim/Yams", from: "6.2.2"),
        .package(url: "https://github.com/groue/GRDB.swift", from: "7.10.0"),
        .package(url: "https://github.com/hummingbird-project/hummingbird", from: "2.28.1", traits: []),
    ],
    targets: network + networkTests + meshCores + meshShells + apps + tests,
    swiftLanguageModes: [.v6]
)
