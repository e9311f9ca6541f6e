import Foundation
import Multiformats
import NodeAPI
import NodeSetup

/// One node of a devnet before it is started.
struct DevnetPlan: Sendable {
    let index: Int
    let home: NodeHome
    var configuration: NodeConfiguration

    /// The regions of the executors, in turn.
    static let regions = ["eu", "us", "asia"]

    /// How many nodes run jobs if nobody says: all but the first, which asks; a single one does both.
    static func executorsByDefault(nodes: Int) -> Int { max(1, nodes - 1) }

    /// The nodes of a devnet: first originators, then executors, each with a higher base price and cheaper fuel than
    /// the one before.
    static func plans(nodes: Int, executors: Int, base: String) -> [DevnetPlan] {
        (0..<nodes).map { index in
            var configuration = NodeConfiguration()
            configuration.listen = ["/ip4/127.0.0.1/tcp/0"].compactMap { try? Multiaddr(parsing: $0) }
            let rank = index - (nodes - executors)
            // A user who ends a devnet wants it to be over.
            configuration.drainSeconds = 0
            // They listen on loopback alone, so they look for each other there alone, and for no other devnet's.
            configuration.findsLocalNodes = true
            configuration.localNetwork = network(base)
            configuration.executor.isEnabled = rank >= 0
            if rank >= 0 {
                configuration.region = regions[rank % regions.count]
                configuration.executor.priceBase = 50 + 25 * UInt64(rank)
                configuration.executor.pricePerMillionFuel = UInt64(max(2, 12 - 2 * rank))
            }
            return DevnetPlan(
                index: index, home: NodeHome(path: base + "/node-\(index)"), configuration: configuration)
        }
    }

    /// What sets a devnet apart from others on this machine: 16 characters of hex that follow from its folder.
    static func network(_ base: String) -> String {
        let digest = Multihash.sha256(of: Array(URL(filePath: base).standardized.path.utf8)).digest
        return digest.prefix(8).map { byte in String(byte >> 4, radix: 16) + String(byte & 0xF, radix: 16) }.joined()
    }

    /// Makes the home folder; one from an earlier devnet keeps its key, its jobs, and its configuration, which its
    /// owner may have edited. Returns whether it had one.
    mutating func prepare() throws -> Bool {
        try HomeFolder.make(home, option: "--base-dir")
        try home.requireKeyOfData()
        if !home.isInitialised { _ = try KeyStore(path: home.keyPath).create() }
        if FileManager.default.fileExists(atPath: home.configurationPath) {
            configuration = try NodeConfiguration.load(path: home.configurationPath)
            return true
        }
        if let reason = configuration.refusal { throw NodeServiceError(.configurationInvalid, "\(reason).") }
        try LocalFile.write([UInt8](configuration.encoded()), to: home.configurationPath)
        return false
    }

    /// What to say of nodes that keep their configurations; nil if none does.
    static func kept(_ count: Int, of total: Int, base: String) -> String? {
        guard count > 0 else { return nil }
        let who = count == total ? "The nodes keep" : count == 1 ? "One node keeps" : "\(count) nodes keep"
        return "\(who) the config.json found in \(base); to start afresh, choose another --base-dir."
    }
}
