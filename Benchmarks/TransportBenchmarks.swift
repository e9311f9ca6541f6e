import ArgumentParser
import Foundation
import LibP2P
import Logging
import Multiformats
import NIOCore
import PeerIdentity

/// TCP, Noise and Yamux between two processes over loopback: one stream's throughput, connects and round trips.
struct TransportBenchmarks: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "transport", abstract: "Throughput of a stream, connects and round trips between two processes.")

    @Option(help: "Runs of each measurement; median and range are printed.") var runs = 5
    @Option(help: "MiB through one stream.") var mebibytes = 1_024
    @Option(help: "Connections per run.") var connects = 300
    @Option(help: "Round trips on one stream, and on all 64 together, per run.") var roundTrips = 6_400
    @Option(help: "Only the measurements whose name has this word.") var only: String?
    @Flag(help: "Print JSON.") var json = false
    @Flag(help: .hidden) var serve = false

    func validate() throws {
        guard runs > 0, mebibytes > 0, connects > 0, roundTrips >= 64 else {
            throw ValidationError("All numbers must be positive, and the round trips at least 64.")
        }
    }

    func run() async throws {
        if serve { return try await TransportServer.run() }
        let server = try ServerProcess.start()
        defer { server.stop() }
        let swarm = Swarm(
            configuration: SwarmConfiguration(), identity: .generate(), logger: Logger(label: "benchmark"))
        let figures = try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await swarm.run() }
            defer { group.cancelAll() }
            return try await measureAll(swarm, server.address)
        }
        try report(figures)
    }

    private func measureAll(_ swarm: Swarm, _ address: Multiaddr) async throws -> [TransportFigure] {
        let client = TransportClient(swarm: swarm, address: address)
        var figures: [TransportFigure] = []
        func measure(_ name: String, _ unit: String, _ body: () async throws -> Double) async throws {
            if let only, !name.contains(only) { return }
            var values: [Double] = []
            for _ in 0..<runs { values.append(try await body()) }
            figures.append(TransportFigure(name: name, unit: unit, values: values))
        }
        try await measure("stream, 64 KiB writes", "MB/s") { try await client.stream(mebibytes: mebibytes) }
        if only.map({ "stream".contains($0) }) ?? true { figures += client.processorTimes }
        try await measure("connect, identify, disconnect", "/s") { try await client.connects(connects) }
        for streams in [1, 64] {
            try await measure("64-byte round trips, \(streams) streams", "/s") {
                try await client.roundTrips(roundTrips, streams: streams)
            }
        }
        for streams in [1, 64] {
            try await measure("open, round trip, close, \(streams) at a time", "/s") {
                try await client.opens(roundTrips / 4, streams: streams)
            }
        }
        return figures
    }

    private func report(_ figures: [TransportFigure]) throws {
        if json {
            let encoder = JSONEncoder()
            encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
            print(String(decoding: try encoder.encode(figures), as: UTF8.self))
        } else {
            for figure in figures { print(figure.line) }
        }
    }
}

/// One measured rate over several runs.
struct TransportFigure: Codable {
    let name: String
    let unit: String
    let median: Double
    let least: Double
    let most: Double

    init(name: String, unit: String, values: [Double]) {
        let sorted = values.sorted()
        self.name = name
        self.unit = unit
        median = sorted[sorted.count / 2]
        least = sorted[0]
        most = sorted[sorted.count - 1]
    }

    var line: String {
        name.padding(toLength: 40, withPad: " ", startingAt: 0)
            + String(format: "%10.2f %@ (%.2f-%.2f)", median, unit, least, most)
    }
}

/// The other process: echoes, swallows, and ends with its standard input.
private struct ServerProcess {
    let process: Process
    let input: Pipe
    let address: Multiaddr

    static func start() throws -> ServerProcess {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath()
        process.arguments = ["transport", "--serve"]
        let (input, output) = (Pipe(), Pipe())
        process.standardInput = input
        process.standardOutput = output
        try process.run()
        var line: [UInt8] = []
        while line.last != UInt8(ascii: "\n") {
            guard let byte = try output.fileHandleForReading.read(upToCount: 1)?.first else {
                throw ValidationError("The other process ended before it listened.")
            }
            line.append(byte)
        }
        let address = try Multiaddr(parsing: String(decoding: line.dropLast(), as: UTF8.self))
        return ServerProcess(process: process, input: input, address: address)
    }

    func stop() {
        try? input.fileHandleForWriting.close()
        process.waitUntilExit()
    }
}

private enum TransportServer {
    static func run() async throws {
        var configuration = SwarmConfiguration(listenAddresses: [try Multiaddr(parsing: "/ip4/127.0.0.1/tcp/0")])
        configuration.limits.handlersPerPeerMax = 1_024
        configuration.limits.streamsPerProtocolPerPeerMax = 1_024
        let swarm = Swarm(configuration: configuration, identity: .generate(), logger: Logger(label: "server"))
        await swarm.handle("/sink/1.0.0") { stream in
            var count: UInt64 = 0
            while let bytes = try? await stream.read() { count += UInt64(bytes.readableBytes) }
            var answer = ByteBuffer()
            answer.writeMultipleIntegers(count, ProcessorTime.microseconds())
            try? await stream.write(answer)
            try? await stream.closeWrite()
        }
        await swarm.handle("/echo/1.0.0") { stream in
            while let bytes = try? await stream.read() {
                guard (try? await stream.write(bytes)) != nil else { return }
            }
            try? await stream.closeWrite()
        }
        let addresses = try await swarm.listen()
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await swarm.run() }
            if let address = addresses.first {
                let line = address.withPeerID(swarm.localPeer).text + "\n"
                try FileHandle.standardOutput.write(contentsOf: Data(line.utf8))
            }
            let end = try await endOfInput()
            precondition(end == 0, "the parent writes nothing")
            group.cancelAll()
        }
    }

    private static func endOfInput() async throws -> Int {
        try await withCheckedThrowingContinuation { ended in
            let thread = Thread {
                ended.resume(returning: FileHandle.standardInput.readDataToEndOfFile().count)
            }
            thread.start()
        }
    }
}

enum ProcessorTime {
    /// User and system time of this process so far.
    static func microseconds() -> UInt64 {
        var time = timespec()
        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time)
        return UInt64(time.tv_sec) * 1_000_000 + UInt64(time.tv_nsec) / 1_000
    }
}

private final class TransportClient {
    let swarm: Swarm
    let address: Multiaddr
    private var sending: [Double] = []
    private var receiving: [Double] = []

    init(swarm: Swarm, address: Multiaddr) {
        self.swarm = swarm
        self.address = address
    }

    var processorTimes: [TransportFigure] {
        guard !sending.isEmpty else { return [] }
        return [
            TransportFigure(name: "  processor time, sender", unit: "s per GiB", values: sending),
            TransportFigure(name: "  processor time, receiver", unit: "s per GiB", values: receiving),
        ]
    }

    private func seconds(_ body: () async throws -> Void) async rethrows -> Double {
        let clock = ContinuousClock()
        let (seconds, attoseconds) = try await clock.measure(body).components
        return Double(seconds) + Double(attoseconds) / 1e18
    }

    func stream(mebibytes: Int) async throws -> Double {
        let peer = try await swarm.dial(address)
        let before = try await sink(peer, chunks: 0)
        let chunks = mebibytes * 16
        let ownBefore = ProcessorTime.microseconds()
        var after: UInt64 = 0
        let elapsed = try await seconds { after = try await sink(peer, chunks: chunks) }
        let gibibytes = Double(mebibytes) / 1_024
        sending.append(Double(ProcessorTime.microseconds() - ownBefore) / 1e6 / gibibytes)
        receiving.append(Double(after - before) / 1e6 / gibibytes)
        return Double(chunks) * 65_536 / 1e6 / elapsed
    }

    /// Sends that many 64 KiB and returns the receiver's processor time so far.
    private func sink(_ peer: PeerID, chunks: Int) async throws -> UInt64 {
        let stream = try await swarm.openStream(to: peer, protocols: ["/sink/1.0.0"])
        let chunk = ByteBuffer(repeating: 0x5A, count: 65_536)
        for _ in 0..<chunks { try await stream.write(chunk) }
        try await stream.closeWrite()
        var answer = try await stream.readExactly(16)
        let count = answer.readInteger(as: UInt64.self) ?? 0
        precondition(count == UInt64(chunks) * 65_536, "\(count) bytes arrived")
        return answer.readInteger(as: UInt64.self) ?? 0
    }

    func connects(_ count: Int) async throws -> Double {
        await swarm.disconnect(try await swarm.dial(address))
        let elapsed = try await seconds {
            for _ in 0..<count {
                let events = await swarm.peerEvents()
                let peer = try await swarm.dial(address)
                for await case .identified in events { break }
                await swarm.disconnect(peer)
            }
        }
        return Double(count) / elapsed
    }

    func roundTrips(_ count: Int, streams: Int) async throws -> Double {
        let peer = try await swarm.dial(address)
        let swarm = swarm
        let each = count / streams
        let elapsed = try await seconds {
            try await withThrowingTaskGroup(of: Void.self) { group in
                for _ in 0..<streams {
                    group.addTask {
                        let stream = try await swarm.openStream(to: peer, protocols: ["/echo/1.0.0"])
                        let bytes = ByteBuffer(repeating: 1, count: 64)
                        for _ in 0..<each {
                            try await stream.write(bytes)
                            _ = try await stream.readExactly(64)
                        }
                        try await stream.closeWrite()
                    }
                }
                try await group.waitForAll()
            }
        }
        return Double(each * streams) / elapsed
    }

    func opens(_ count: Int, streams: Int) async throws -> Double {
        let peer = try await swarm.dial(address)
        let swarm = swarm
        let each = count / streams
        let elapsed = try await seconds {
            try await withThrowingTaskGroup(of: Void.self) { group in
                for _ in 0..<streams {
                    group.addTask {
                        let bytes = ByteBuffer(repeating: 1, count: 64)
                        for _ in 0..<each {
                            let stream = try await swarm.openStream(to: peer, protocols: ["/echo/1.0.0"])
                            try await stream.write(bytes)
                            _ = try await stream.readExactly(64)
                            try await stream.closeWrite()
                            _ = try await stream.read()
                        }
                    }
                }
                try await group.waitForAll()
            }
        }
        return Double(each * streams) / elapsed
    }
}
