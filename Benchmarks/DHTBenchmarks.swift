import ArgumentParser
import Foundation
import Kademlia
import LibP2P
import Logging
import Multiformats
import P2PServices
import PeerIdentity

/// A DHT of nodes in this process, over loopback TCP, Noise and Yamux: latency of its operations, one at a time.
///
/// It is what was measured of go-libp2p (20 nodes, one operation at a time), without the daemons' unix sockets and
/// with all nodes in one process instead of one each. With 20 nodes every server holds everything, so reads are made by
/// one more node, a client, that holds nothing.
struct DHTBenchmarks: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "dht", abstract: "Put, get, provide and find in a DHT of nodes on loopback.")

    @Option(help: "Nodes.") var nodes = 20
    @Option(help: "Operations of each kind.") var operations = 100
    @Flag(help: "Print JSON.") var json = false

    /// What one kind of operation gave.
    struct Result: Codable {
        let name: String
        let operations: Int
        let failed: Int
        let millisecondsP50: Double
        let millisecondsP95: Double
        let millisecondsP99: Double

        var line: String {
            name.padding(toLength: 20, withPad: " ", startingAt: 0)
                + String(
                    format: "p50 %8.3f ms  p95 %8.3f ms  p99 %8.3f ms  failed %d of %d", millisecondsP50,
                    millisecondsP95, millisecondsP99, failed, operations)
        }
    }

    func validate() throws {
        guard nodes >= 3, operations > 0 else {
            throw ValidationError("At least three nodes and one operation are needed.")
        }
    }

    func run() async throws {
        let results = try await Self.withNetwork(nodes) { services, reader in
            try await measure(services, reader)
        }
        if json {
            print(String(decoding: try JSONEncoder().encode(results), as: UTF8.self))
        } else {
            for result in results { print(result.line) }
        }
    }

    /// Each write begins at another node than the one before.
    private func measure(_ services: [KademliaService], _ reader: KademliaService) async throws -> [Result] {
        func key(_ number: Int) -> [UInt8] { Array("/benchmark/\(number)".utf8) }
        func cid(_ number: Int) -> CID { CID.hashing(Array("block \(number)".utf8), codec: .raw) }
        func service(_ number: Int) -> KademliaService { services[number % services.count] }
        let value = [UInt8](repeating: 7, count: 1_024)
        return [
            await sample("put") { try await service($0).putValue(key: key($0), value: value).count },
            await sample("get") { try await reader.getValue(key: key($0)).count },
            await sample("provide") { try await service($0).provide(cid($0)).count },
            await sample("find providers") { try await reader.findProviders(cid($0), limit: 1).count },
            await sample("closest nodes") { try await service($0).findClosest(key: key($0 + 1_000_000)).count },
        ]
    }

    private func sample(_ name: String, _ operation: (Int) async throws -> Int) async -> Result {
        let clock = ContinuousClock()
        var milliseconds: [Double] = []
        var failed = 0
        for number in 0..<operations {
            let start = clock.now
            do {
                guard try await operation(number) > 0 else { throw CancellationError() }
                milliseconds.append((clock.now - start) / .milliseconds(1))
            } catch {
                failed += 1
            }
        }
        milliseconds.sort()
        func percentile(_ share: Double) -> Double {
            guard !milliseconds.isEmpty else { return 0 }
            return milliseconds[min(milliseconds.count - 1, Int(Double(milliseconds.count) * share))]
        }
        return Result(
            name: name, operations: operations, failed: failed, millisecondsP50: percentile(0.5),
            millisecondsP95: percentile(0.95), millisecondsP99: percentile(0.99))
    }

    // MARK: Nodes

    private static func withNetwork<Value: Sendable>(
        _ count: Int, _ body: @Sendable ([KademliaService], KademliaService) async throws -> Value
    ) async throws -> Value {
        var logger = Logger(label: "benchmark")
        logger.logLevel = .error
        let anything = RecordValidator(prefix: "/benchmark/") { _, _ in nil }
        var swarms: [Swarm] = []
        var services: [KademliaService] = []
        for number in 0...count {
            let configuration = SwarmConfiguration(listenAddresses: [try Multiaddr(parsing: "/ip4/127.0.0.1/tcp/0")])
            let swarm = Swarm(configuration: configuration, identity: Identity.generate(), logger: logger)
            var settings = KademliaConfiguration()
            settings.mode = number == count ? .client : .server
            let service = KademliaService(
                host: swarm, configuration: settings, validators: [anything], logger: logger)
            await service.register()
            try await swarm.listen()
            swarms.append(swarm)
            services.append(service)
        }
        return try await withThrowingTaskGroup(of: Void.self) { group in
            for swarm in swarms { group.addTask { try await swarm.run() } }
            for service in services { group.addTask { await service.run() } }
            defer { group.cancelAll() }
            let first = await swarms[0].listenAddresses().map { $0.withPeerID(swarms[0].localPeer) }
            for service in services.dropFirst() { await service.bootstrap(first) }
            for service in services {
                while await service.routingTable().count < count - 1 {
                    try await Task.sleep(for: .milliseconds(20))
                    await service.bootstrap(first)
                }
            }
            return try await body(Array(services.dropLast()), services[count])
        }
    }
}
