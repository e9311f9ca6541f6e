// swift-tools-version: 6.2
import PackageDescription

let package = Package(
    name: "Example",
    dependencies: [
        .package(name: "libp2p", path: ".."),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
    ],
    targets: [
        .executableTarget(
            name: "Example",
            dependencies: [
                .product(name: "LibP2P", package: "libp2p"),
                .product(name: "Logging", package: "swift-log"),
            ])
    ]
)
