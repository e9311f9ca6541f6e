import GossipSub
import LibP2P
import Multiformats
import NIOCore
import P2PServices

/// The commands that measure, for figures beside those of other implementations (`Interop/bench`).
extension PeerServices {
    /// How much is written at a time.
    private static let chunkBytes = 1 << 20
    /// Bytes at the start of a measured message: when it was sent.
    private static let stampBytes = 8

    /// Counts bytes: eight of them, big-endian, tell how many follow; the answer is the same number again.
    func handleSink(_ request: PeerRequest) async throws {
        for name in try request.required(\.proto, "proto").values {
            await swarm.handle(name) { stream in
                do {
                    var header = try await stream.readExactly(8)
                    let announced = header.readInteger(as: UInt64.self) ?? 0
                    var received: UInt64 = 0
                    while received < announced, let bytes = try await stream.read() {
                        received += UInt64(bytes.readableBytes)
                    }
                    try await stream.write(ByteBuffer(integer: received))
                    try await stream.closeWrite()
                } catch {
                    await stream.reset()
                }
            }
        }
    }

    /// Sends `count` bytes to a sink and tells how long it took.
    func sendBytes(_ request: PeerRequest) async throws -> PeerReply {
        let count = request.count ?? 0
        let protocols = try request.required(\.proto, "proto").values
        let stream = try await swarm.openStream(to: request.peerID(), protocols: protocols)
        let chunk = ByteBuffer(repeating: 0, count: Self.chunkBytes)
        let started = ContinuousClock.now
        try await stream.write(ByteBuffer(integer: UInt64(count)))
        var left = count
        while left > 0 {
            let part = min(left, Self.chunkBytes)
            try await stream.write(chunk.getSlice(at: 0, length: part) ?? chunk)
            left -= part
        }
        var answer = try await stream.readExactly(8)
        let seconds = (ContinuousClock.now - started) / .seconds(1)
        try await stream.closeWrite()
        guard answer.readInteger(as: UInt64.self) == UInt64(count) else {
            throw CommandFailure(description: "the sink counted another number of bytes")
        }
        return PeerReply(bytes: count, seconds: seconds)
    }

    /// `count` round trips of `size` bytes to an echo on each of `streams` streams at once.
    func roundTrips(_ request: PeerRequest) async throws -> PeerReply {
        let peer = try request.peerID()
        let protocols = try request.required(\.proto, "proto").values
        let payload = ByteBuffer(repeating: 7, count: request.size ?? 64)
        let count = request.count ?? 1
        var streams: [any PeerStream] = []
        for _ in 0..<(request.streams ?? 1) {
            streams.append(try await swarm.openStream(to: peer, protocols: protocols))
        }
        let started = ContinuousClock.now
        try await withThrowingDiscardingTaskGroup { group in
            for stream in streams {
                group.addTask {
                    for _ in 0..<count {
                        try await stream.write(payload)
                        _ = try await stream.readExactly(payload.readableBytes)
                    }
                }
            }
        }
        let seconds = (ContinuousClock.now - started) / .seconds(1)
        for stream in streams { try await stream.closeWrite() }
        return PeerReply(count: count * streams.count, seconds: seconds)
    }

    /// Connects, waits for identify and disconnects, `count` times.
    func connects(_ request: PeerRequest) async throws -> PeerReply {
        let address = try Multiaddr(parsing: request.required(\.addr, "addr"))
        let events = await swarm.peerEvents()
        var iterator = events.makeAsyncIterator()
        var milliseconds: [Double] = []
        let started = ContinuousClock.now
        for _ in 0..<(request.count ?? 1) {
            let attempt = ContinuousClock.now
            let peer = try await swarm.dial(address)
            while let event = await iterator.next() {
                if case .identified(peer, _, _) = event { break }
            }
            milliseconds.append((ContinuousClock.now - attempt) / .milliseconds(1))
            await swarm.disconnect(peer)
        }
        let seconds = (ContinuousClock.now - started) / .seconds(1)
        return PeerReply(count: milliseconds.count, seconds: seconds, milliseconds: milliseconds)
    }

    /// Publishes `count` messages of `size` bytes, `rate` a second, each with the time of its sending.
    func publishStamped(_ request: PeerRequest) async throws -> PeerReply {
        let topic = try request.required(\.topic, "topic")
        let padding = [UInt8](repeating: 7, count: max(0, (request.size ?? 1_024) - Self.stampBytes))
        let count = request.count ?? 1
        let pause = Duration.seconds(1) / (request.rate ?? 100)
        let started = ContinuousClock.now
        for index in 0..<count {
            try await Task.sleep(until: started + pause * index, clock: .continuous)
            var message = ByteBuffer(integer: NIODeadline.now().uptimeNanoseconds)
            message.writeBytes(padding)
            _ = try await gossip.publish(Array(message.readableBytesView), topic: topic)
        }
        return PeerReply(count: count, seconds: (ContinuousClock.now - started) / .seconds(1))
    }

    /// Receives stamped messages until `count` have come or the topic ends, and tells how long each was under way.
    func receiveStamped(_ request: PeerRequest) async throws -> PeerReply {
        let topic = try request.required(\.topic, "topic")
        let messages = try await gossip.subscribe(topic) { _ in .accept }
        var milliseconds: [Double] = []
        for await message in messages {
            let now = NIODeadline.now().uptimeNanoseconds
            var stamp = ByteBuffer(bytes: message.data.prefix(Self.stampBytes))
            guard let sent = stamp.readInteger(as: UInt64.self), sent <= now else { continue }
            milliseconds.append(Double(now - sent) / 1e6)
            if milliseconds.count == request.count { break }
        }
        await gossip.unsubscribe(topic)
        return PeerReply(count: milliseconds.count, milliseconds: milliseconds)
    }
}
