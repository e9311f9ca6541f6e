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

    /// The nodes of a devnet: first originators, then executors, each with a higher base price and cheaper fuel than
    /// the one before.
    static func plans(nodes: Int, executors: Int, base: String) -> [DevnetPlan] {
        (0..<nodes).map { index in
            var configuration = NodeConfiguration()
            configuration.listen = ["/ip4/127.0.0.1/tcp/0"].compactMap { try? Multiaddr(parsing: $0) }
            let rank = index - (nodes - executors)
            // A user who ends a devnet wants it to be over.
            configuration.drainSeconds = 0
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

    /// Makes the home folder; one from an earlier devnet keeps its key and its jobs.
    func prepare(logLevel: String) throws {
        try home.create()
        var configuration = self.configuration
        configuration.logLevel = logLevel
        if let reason = configuration.refusal { throw NodeServiceError(.configurationInvalid, "\(reason).") }
        if !home.isInitialised { _ = try KeyStore(path: home.keyPath).create() }
        try LocalFile.write([UInt8](configuration.encoded()), to: home.configurationPath)
    }
}
