import ArgumentParser
import Foundation
import GossipSub
import LibP2P
import Logging
import Multiformats
import NIOCore
import P2PServices
import PeerIdentity

/// Gossip between two nodes over loopback TCP, Noise and Yamux: latency at a steady rate, and the rate flat out.
///
/// The subscriber is a process of its own, as in the measurement of go-libp2p it stands beside. The time of a message
/// is from `publish` in one process until the application has it in the other, by the machine's monotonic clock.
struct GossipBenchmarks: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "gossip", abstract: "Latency of gossip at a steady rate, and its rate and loss flat out.")

    @Option(help: "Bytes of a message.") var payloadBytes = 1_024
    @Option(help: "Messages per second at the steady rate.") var rate = 500
    @Option(help: "Seconds at the steady rate.") var seconds = 10
    @Option(help: "Messages flat out.") var flatOut = 20_000
    @Flag(help: "Both nodes in this process.") var inProcess = false
    @Flag(help: "Print JSON.") var json = false
    @Option(help: .hidden) var subscribeAt: String?

    static let topic = "/benchmark/gossip"

    /// What one phase gave.
    struct Phase: Codable {
        let name: String
        let sent: Int
        let received: Int
        let lostPercent: Double
        let perSecond: Double
        let microsecondsP50: Double
        let microsecondsP95: Double
        let microsecondsP99: Double

        var line: String {
            let head = name.padding(toLength: 30, withPad: " ", startingAt: 0)
            return head
                + String(
                    format: "%8.0f/s  lost %5.2f %%  p50 %8.3f ms  p95 %8.3f ms  p99 %8.3f ms", perSecond,
                    lostPercent, microsecondsP50 / 1_000, microsecondsP95 / 1_000, microsecondsP99 / 1_000)
        }
    }

    func validate() throws {
        guard payloadBytes >= Packet.headerBytes, rate > 0, seconds > 0, flatOut > 0 else {
            throw ValidationError("The payload needs \(Packet.headerBytes) bytes, and all numbers must be positive.")
        }
    }

    func run() async throws {
        if let subscribeAt {
            let phases = try await Self.subscriber(at: Multiaddr(parsing: subscribeAt))
            print(String(decoding: try JSONEncoder().encode(phases), as: UTF8.self))
            return
        }
        let phases = try await withNode { node, address in
            async let result = inProcess ? Self.subscriber(at: address) : Self.subscriberProcess(at: address)
            try await publish(node)
            return try await result
        }
        if json {
            print(String(decoding: try JSONEncoder().encode(phases), as: UTF8.self))
        } else {
            for phase in phases { print(phase.line) }
        }
    }

    // MARK: Publishing

    /// Waits for the subscriber, sends both phases, and ends each with a packet that says how many there were.
    private func publish(_ node: GossipService) async throws {
        while await node.peers(of: Self.topic).isEmpty { try await Task.sleep(for: .milliseconds(5)) }
        let clock = ContinuousClock()
        let start = clock.now
        for number in 0..<(rate * seconds) {
            try await clock.sleep(until: start + .nanoseconds(1_000_000_000 / rate * number))
            try await send(.message, phase: 0, on: node)
        }
        try await end(phase: 0, sent: rate * seconds, on: node)
        for number in 0..<flatOut {
            try await send(.message, phase: 1, on: node)
            // Lets the writers run; without it nothing would leave this node's queue before the last message.
            if number % 16 == 0 { await Task.yield() }
        }
        try await end(phase: 1, sent: flatOut, on: node)
        while await !node.peers(of: Self.topic).isEmpty { try await Task.sleep(for: .milliseconds(5)) }
    }

    private func send(_ kind: Packet.Kind, phase: Int, sent: Int = 0, on node: GossipService) async throws {
        let packet = Packet(kind: kind, phase: phase, sent: sent, at: NIODeadline.now().uptimeNanoseconds)
        try await node.publish(packet.bytes(count: payloadBytes), topic: Self.topic)
    }

    /// The end is said often, because it may be lost too.
    private func end(phase: Int, sent: Int, on node: GossipService) async throws {
        try await Task.sleep(for: .milliseconds(500))
        for _ in 0..<20 {
            try await send(.end, phase: phase, sent: sent, on: node)
            try await Task.sleep(for: .milliseconds(10))
        }
    }

    // MARK: Subscribing

    private static func subscriberProcess(at address: Multiaddr) async throws -> [Phase] {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: CommandLine.arguments[0])
        process.arguments = ["gossip", "--subscribe-at", address.text]
        let output = Pipe()
        process.standardOutput = output
        // The child prints one line at its end, which fits into the pipe.
        try await withCheckedThrowingContinuation { (ended: CheckedContinuation<Void, any Error>) in
            process.terminationHandler = { _ in ended.resume() }
            do { try process.run() } catch { ended.resume(throwing: error) }
        }
        let bytes = output.fileHandleForReading.readDataToEndOfFile()
        return try JSONDecoder().decode([Phase].self, from: bytes)
    }

    private static func subscriber(at address: Multiaddr) async throws -> [Phase] {
        try await withNode { node, _, swarm in
            let messages = try await node.subscribe(topic) { _ in .accept }
            _ = try await swarm.dial(address)
            var phases: [Phase] = []
            var latencies: [Double] = []
            var times: (first: UInt64, last: UInt64) = (0, 0)
            for await message in messages {
                let now = NIODeadline.now().uptimeNanoseconds
                guard let packet = Packet(message.data) else { continue }
                switch packet.kind {
                case .message where packet.phase == phases.count:
                    if latencies.isEmpty { times.first = now }
                    times.last = now
                    latencies.append(Double(now - min(now, packet.at)) / 1_000)
                case .end where packet.phase == phases.count:
                    phases.append(phase(packet, latencies.sorted(), nanoseconds: times.last - times.first))
                    latencies = []
                default: continue
                }
                if phases.count == 2 { break }
            }
            return phases
        }
    }

    private static func phase(_ end: Packet, _ latencies: [Double], nanoseconds: UInt64) -> Phase {
        func percentile(_ share: Double) -> Double {
            latencies.isEmpty ? 0 : latencies[min(latencies.count - 1, Int(Double(latencies.count) * share))]
        }
        return Phase(
            name: end.phase == 0 ? "gossip at a steady rate" : "gossip flat out", sent: end.sent,
            received: latencies.count, lostPercent: 100 * (1 - Double(latencies.count) / Double(max(1, end.sent))),
            perSecond: Double(latencies.count) / max(1e-9, Double(nanoseconds) / 1e9),
            microsecondsP50: percentile(0.5), microsecondsP95: percentile(0.95), microsecondsP99: percentile(0.99))
    }

    // MARK: Nodes

    private func withNode<Result: Sendable>(
        _ body: @Sendable (GossipService, Multiaddr) async throws -> Result
    ) async throws -> Result {
        try await Self.withNode { node, address, _ in try await body(node, address) }
    }

    private static func withNode<Result: Sendable>(
        _ body: @Sendable (GossipService, Multiaddr, Swarm) async throws -> Result
    ) async throws -> Result {
        var logger = Logger(label: "benchmark")
        logger.logLevel = .error
        let identity = Identity.generate()
        let configuration = SwarmConfiguration(listenAddresses: [try Multiaddr(parsing: "/ip4/127.0.0.1/tcp/0")])
        let swarm = Swarm(configuration: configuration, identity: identity, logger: logger)
        let gossip = GossipService(host: swarm, identity: identity, logger: logger)
        try await swarm.listen()
        guard let address = await swarm.listenAddresses().first?.withPeerID(identity.peerID) else {
            throw CleanExit.message("No address to listen on.")
        }
        return try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await swarm.run() }
            group.addTask { await gossip.run() }
            defer { group.cancelAll() }
            return try await body(gossip, address, swarm)
        }
    }
}

/// What a benchmark message says; the rest of the payload is padding.
private struct Packet {
    enum Kind: UInt8 {
        case message
        case end
    }

    static let headerBytes = 18

    var kind: Kind
    var phase: Int
    var sent: Int
    var at: UInt64

    init(kind: Kind, phase: Int, sent: Int, at: UInt64) {
        self.kind = kind
        self.phase = phase
        self.sent = sent
        self.at = at
    }

    init?(_ bytes: [UInt8]) {
        guard bytes.count >= Self.headerBytes, let kind = Kind(rawValue: bytes[0]) else { return nil }
        self.kind = kind
        phase = Int(bytes[1])
        at = bytes[2..<10].reduce(0) { $0 << 8 | UInt64($1) }
        sent = Int(clamping: bytes[10..<18].reduce(0) { $0 << 8 | UInt64($1) })
    }

    func bytes(count: Int) -> [UInt8] {
        var bytes: [UInt8] = [kind.rawValue, UInt8(phase)]
        for value in [at, UInt64(sent)] {
            for shift in [UInt64](arrayLiteral: 56, 48, 40, 32, 24, 16, 8, 0) {
                bytes.append(UInt8(truncatingIfNeeded: value >> shift))
            }
        }
        return bytes + [UInt8](repeating: 0x5A, count: max(0, count - bytes.count))
    }
}
