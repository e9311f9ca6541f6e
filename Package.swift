// swift-tools-version: 6.2
import PackageDescription

// The house in two halves, each in layers: the network (libp2p/) knows nothing of the mesh (mesh/). A target may only
// depend on what stands in a list above its own. The compiler checks it (`--explicit-target-dependency-import-check
// error`), and TidyTests checks that cores stay free of Foundation.

let wasmtimeLibrary = "\(Context.packageDirectory)/vendor/wasmtime/lib"

let strict: [SwiftSetting] = [
    .treatAllWarnings(as: .error),
    .enableUpcomingFeature("ExistentialAny"),
]

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
    static let nioConcurrency = Target.Dependency.product(name: "NIOConcurrencyHelpers", package: "swift-nio")
    static let crypto = Target.Dependency.product(name: "Crypto", package: "swift-crypto")
    static let cryptoExtras = Target.Dependency.product(name: "CryptoExtras", package: "swift-crypto")
    static let collections = Target.Dependency.product(name: "Collections", package: "swift-collections")
    static let grdb = Target.Dependency.product(name: "GRDB", package: "GRDB.swift")
    static let hummingbird = Target.Dependency.product(name: "Hummingbird", package: "hummingbird")
    static let logging = Target.Dependency.product(name: "Logging", package: "swift-log")
    static let lifecycle = Target.Dependency.product(name: "ServiceLifecycle", package: "swift-service-lifecycle")
    static let argumentParser = Target.Dependency.product(name: "ArgumentParser", package: "swift-argument-parser")
    static let subprocess = Target.Dependency.product(name: "Subprocess", package: "swift-subprocess")
}

/// A target of the network, in libp2p/Sources.
func libp2p(_ name: String, _ needs: [Target.Dependency]) -> Target {
    .target(name: name, dependencies: needs, path: "libp2p/Sources/\(name)", swiftSettings: strict)
}

func libp2pTests(_ name: String, _ needs: [Target.Dependency]) -> Target {
    .testTarget(name: name, dependencies: needs, path: "libp2p/Tests/\(name)", swiftSettings: strict)
}

/// A target of the mesh, in mesh/Sources.
func mesh(_ name: String, _ needs: [Target.Dependency], linker: [LinkerSetting] = []) -> Target {
    .target(
        name: name, dependencies: needs, path: "mesh/Sources/\(name)", swiftSettings: strict, linkerSettings: linker)
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

let formats: [Target] = [
    libp2p("Determinism", []),
    libp2p("Multiformats", [External.crypto]),
    mesh("IPLD", ["Multiformats"]),
    mesh("MeshIdentity", ["Multiformats", "IPLD", External.crypto, External.cryptoExtras]),
]

let types: [Target] = [
    mesh("MeshTypes", ["Multiformats", "IPLD", "MeshIdentity"])
]

let protocolCores: [Target] = [
    libp2p("Multistream", ["Multiformats", External.nioCore, External.collections]),
    libp2p("Noise", ["Multiformats", "MeshIdentity", External.nioCore, External.crypto]),
    libp2p("Yamux", ["Determinism", External.nioCore, External.collections]),
    libp2p("Identify", ["Multiformats", "MeshIdentity"]),
    libp2p("GossipSub", ["Determinism", "Multiformats", "MeshIdentity", External.collections, External.crypto]),
    libp2p("Kademlia", ["Determinism", "Multiformats", External.collections, External.crypto]),
    libp2p("Bitswap", ["Determinism", "Multiformats", External.collections]),
]

let marketCores: [Target] = [
    mesh("Economics", ["Multiformats", "IPLD", "MeshTypes", External.collections]),
    mesh("Reputation", ["Multiformats", "MeshTypes", External.collections]),
    mesh("Receipts", ["Multiformats", "IPLD", "MeshIdentity", "MeshTypes"]),
    mesh(
        "JobMarket",
        [
            "Determinism", "Multiformats", "IPLD", "MeshIdentity", "MeshTypes", "Economics", "Reputation", "Receipts",
            External.collections, External.crypto,
        ]),
]

let shells: [Target] = [
    .systemLibrary(name: "CWasmtime", path: "mesh/Sources/CWasmtime"),
    libp2p(
        "Swarm",
        [
            "Determinism", "Multiformats", "MeshIdentity", "Multistream", "Noise", "Yamux", "Identify", "GossipSub",
            "Kademlia", "Bitswap", External.nioCore, External.nioPosix, External.nioEmbedded, External.nioConcurrency,
            External.collections, External.crypto, External.logging,
        ]),
    mesh(
        "CoVM",
        [
            "CWasmtime", "Determinism", "Multiformats", "MeshTypes", External.crypto, External.logging,
            External.nioConcurrency,
        ],
        linker: linkWasmtime),
    mesh(
        "MeshStore",
        [
            "Multiformats", "IPLD", "MeshIdentity", "MeshTypes", "Economics", "Reputation", "Receipts", "JobMarket",
            External.grdb, External.logging,
        ]),
]

let composition: [Target] = [
    mesh(
        "PlanetaryMesh",
        [
            "Determinism", "Multiformats", "IPLD", "MeshIdentity", "MeshTypes", "Economics", "Reputation", "Receipts",
            "JobMarket", "Swarm", "CoVM", "MeshStore", "GossipSub", "Kademlia", "Bitswap", "Identify", External.nioCore,
            External.nioPosix, External.logging, External.lifecycle, External.collections, External.crypto,
        ]),
    mesh(
        "MeshHTTP",
        [
            "Multiformats", "IPLD", "MeshIdentity", "MeshTypes", "Economics", "Receipts", "JobMarket", "PlanetaryMesh",
            "Swarm", External.hummingbird, External.nioCore, External.nioPosix, External.nioHTTP1, External.logging,
            External.lifecycle,
        ]),
    mesh(
        "MeshSimulation",
        [
            "Determinism", "Multiformats", "IPLD", "MeshIdentity", "MeshTypes", "Economics", "Reputation", "Receipts",
            "JobMarket", "GossipSub", "Kademlia", External.collections, External.crypto,
        ]),
]

let apps: [Target] = [
    executable(
        "mesh",
        [
            "Multiformats", "IPLD", "MeshIdentity", "MeshTypes", "Economics", "Receipts", "JobMarket", "Swarm", "CoVM",
            "MeshStore", "PlanetaryMesh", "MeshHTTP", External.argumentParser, External.logging, External.lifecycle,
            External.subprocess, External.nioCore, External.nioPosix,
        ]),
    executable("mesh-sim", ["MeshSimulation", External.argumentParser]),
    executable(
        "mesh-peer",
        [
            "Multiformats", "MeshIdentity", "Swarm", "GossipSub", "Kademlia", "Bitswap", "Identify",
            External.argumentParser, External.logging, External.nioCore, External.nioPosix,
        ],
        path: "Interop/mesh-peer"),
    executable(
        "mesh-benchmarks",
        [
            "Multiformats", "IPLD", "MeshIdentity", "MeshTypes", "Receipts", "Noise", "Yamux", "Swarm", "GossipSub",
            "Kademlia", "CoVM", "CWasmtime", External.argumentParser, External.nioCore, External.nioPosix,
            External.logging,
        ],
        path: "Benchmarks"),
]

let testTargets: [Target] = [
    .testTarget(name: "TidyTests", swiftSettings: strict),
    libp2pTests("MultiformatsTests", ["Multiformats"]),
    meshTests("IPLDTests", ["IPLD", "Multiformats"]),
    meshTests("MeshIdentityTests", ["MeshIdentity", "IPLD", "Multiformats"]),
    meshTests(
        "ConformanceTests",
        ["Multiformats", "IPLD", "MeshIdentity", "Noise", "Kademlia", External.crypto, External.nioCore]),
    meshTests("ReceiptsTests", ["Receipts", "MeshTypes", "MeshIdentity", "IPLD", "Multiformats"]),
    meshTests("MeshTypesTests", ["MeshTypes", "IPLD", "MeshIdentity", "Multiformats"]),
    libp2pTests(
        "WireTests",
        [
            "Determinism", "Multistream", "Noise", "Yamux", "Identify", "Multiformats", "MeshIdentity",
            External.nioCore, External.crypto,
        ]),
    libp2pTests("GossipSubTests", ["GossipSub", "Determinism", "Multiformats", "MeshIdentity"]),
    libp2pTests("KademliaTests", ["Kademlia", "Bitswap", "Determinism", "Multiformats"]),
    meshTests(
        "JobMarketTests",
        [
            "JobMarket", "Economics", "Reputation", "Receipts", "MeshTypes", "IPLD", "MeshIdentity", "Multiformats",
            "Determinism",
        ]),
    libp2pTests(
        "SwarmTests",
        [
            "Swarm", "Multiformats", "MeshIdentity", "Multistream", "Noise", "Yamux", "Identify", "GossipSub",
            "Kademlia", "Bitswap", "Determinism", External.nioCore, External.nioPosix, External.nioEmbedded,
            External.nioConcurrency, External.logging,
        ]),
    meshTests("CoVMTests", ["CoVM", "CWasmtime", "MeshTypes", "Multiformats", "Determinism", "mesh"]),
    meshTests(
        "MeshStoreTests",
        [
            "MeshStore", "JobMarket", "Economics", "Reputation", "Receipts", "MeshTypes", "IPLD", "MeshIdentity",
            "Multiformats", External.grdb,
        ]),
    meshTests(
        "PlanetaryMeshTests",
        [
            "PlanetaryMesh", "MeshHTTP", "MeshStore", "CoVM", "Swarm", "JobMarket", "Economics", "Reputation",
            "Receipts", "MeshTypes", "IPLD", "MeshIdentity", "Multiformats", "Determinism", "mesh",
            External.argumentParser, External.logging, External.nioCore, External.nioPosix, External.nioHTTP1,
            External.nioConcurrency,
        ]),
    meshTests(
        "NodeTests",
        [
            "PlanetaryMesh", "MeshStore", "CoVM", "Swarm", "CWasmtime", "JobMarket", "MeshTypes", "MeshIdentity",
            "IPLD",
            "Multiformats", "Determinism", "Bitswap", "GossipSub", "mesh", External.grdb, External.logging,
            External.nioCore,
        ]),
    meshTests(
        "SimulationTests",
        ["MeshSimulation", "Determinism", "JobMarket", "Economics", "MeshTypes", "Multiformats"]),
    meshTests(
        "CrashTests",
        [
            "mesh", "CWasmtime", "MeshStore", "JobMarket", "Economics", "MeshTypes", "IPLD", "MeshIdentity",
            "Multiformats", "Receipts", "Swarm", External.logging, External.subprocess, External.grdb,
        ]),
]

let package = Package(
    name: "planetary-mesh",
    products: [
        .executable(name: "mesh", targets: ["mesh"]),
        .executable(name: "mesh-sim", targets: ["mesh-sim"]),
        .library(name: "PlanetaryMesh", targets: ["PlanetaryMesh"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-nio", from: "2.101.2"),
        .package(url: "https://github.com/apple/swift-crypto", from: "4.5.2"),
        .package(url: "https://github.com/apple/swift-collections", from: "1.6.0"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.13.0"),
        .package(url: "https://github.com/swiftlang/swift-subprocess", from: "1.0.2"),
        .package(url: "https://github.com/groue/GRDB.swift", from: "7.10.0"),
        .package(url: "https://github.com/hummingbird-project/hummingbird", from: "2.28.1", traits: []),
    ],
    targets: formats + types + protocolCores + marketCores + shells + composition + apps + testTargets,
    swiftLanguageModes: [.v6]
)
