/// The layers of the house, from the ground up, with the targets in each (ARCHITECTURE.md).
enum HouseLayer: Int, CaseIterable, Comparable {
    case formats
    case types
    case cores
    case shells
    case composition
    case apps

    static func < (left: Self, right: Self) -> Bool { left.rawValue < right.rawValue }

    var targets: Set<String> {
        switch self {
        case .formats: ["Determinism", "Multiformats", "PeerIdentity", "IPLD", "SignedObjects", "MerkleLog"]
        case .types: ["MeshTypes", "GuestFiles"]
        case .cores:
            [
                "Multistream", "Noise", "Yamux", "Identify", "GossipSub", "Kademlia", "Bitswap", "Peers",
                "MulticastDNS", "Economics", "Credit", "Reputation", "Receipts", "JobMarket", "NodeCore",
                "Workflows",
            ]
        case .shells:
            [
                "CDashboard", "CFiles", "CSandbox", "CWasmtime", "LibP2P", "P2PServices", "CoVM", "MeshStore",
                "NodeAPI", "NodeSetup",
            ]
        case .composition:
            ["P2PTesting", "PlanetaryMesh", "NodeAPITesting", "LogTesting", "MeshHTTP", "MeshSimulation"]
        case .apps: ["MeshCLI", "mesh", "mesh-sim", "mesh-cheat"]
        }
    }

    /// Whether the code of this layer decides without waiting: no clock, no thread, no file, no chance.
    var isSansIO: Bool { self <= .cores }

    static func of(target: String) -> HouseLayer? {
        allCases.first { $0.targets.contains(target) }
    }
}

/// Checks what each file imports.
enum ImportChecks {
    /// What formats, types and cores may import from outside: pure computation, and `ByteBuffer` on the data path.
    static let outsideOfSansIO: Set<String> = [
        "Crypto", "CryptoExtras", "Collections", "OrderedCollections", "DequeModule", "HeapModule", "NIOCore",
    ]
    /// What stands in libp2p/, and knows nothing of the mesh.
    static let networkTargets: Set<String> = [
        "Determinism", "Multiformats", "PeerIdentity", "Multistream", "Noise", "Yamux", "Identify", "GossipSub",
        "Kademlia", "Bitswap", "Peers", "MulticastDNS", "LibP2P", "P2PServices", "P2PTesting",
    ]
    /// Remembers what pure functions gave: shared and locked, but nobody can tell it from the function itself.
    static let memoFile = "libp2p/Sources/Multiformats/Memo.swift"
    static let targetsWithByteBuffer: Set<String> = ["Multistream", "Noise", "Yamux"]

    static func findings(in file: SourceFile) -> [Finding] {
        guard let target = file.target else { return [] }
        guard let layer = HouseLayer.of(target: target) else {
            return [file.finding(1, "the target \(target) has no layer; give it one in HouseLayers.swift")]
        }
        return imports(of: file).compactMap { module, line in
            if let other = HouseLayer.of(target: module) {
                if file.isOfNetwork, !networkTargets.contains(module) {
                    return file.finding(line, "\(target) is of the network and imports \(module), which is of the mesh")
                }
                guard other > layer else { return nil }
                return file.finding(line, "\(target) (\(layer)) imports \(module) (\(other)), a layer above its own")
            }
            guard layer.isSansIO else { return nil }
            if module == "NIOCore", !targetsWithByteBuffer.contains(target) {
                return file.finding(line, "\(target) imports NIOCore, which only \(joined(targetsWithByteBuffer)) may")
            }
            guard !outsideOfSansIO.contains(module), file.path != memoFile else { return nil }
            return file.finding(line, "\(target) is a \(layer) target and imports \(module); it may wait for nothing")
        }
    }

    static func imports(of file: SourceFile) -> [(module: String, line: Int)] {
        let tokens = file.tokens
        let kinds: Set<String> = ["struct", "class", "enum", "protocol", "func", "var", "let", "typealias"]
        return tokens.indices.compactMap { index in
            guard tokens[index].text == "import", tokens[index].kind == .word else { return nil }
            guard index == 0 || tokens[index - 1].text != "." else { return nil }
            var next = index + 1
            if next < tokens.count, kinds.contains(tokens[next].text) { next += 1 }
            guard next < tokens.count else { return nil }
            return (tokens[next].text, tokens[index].line)
        }
    }

    private static func joined(_ names: Set<String>) -> String { names.sorted().joined(separator: ", ") }
}
