import Identify
import Logging
public import Multiformats
import NIOCore
import PeerIdentity
import Peers

/// The protocols that every node speaks: identify, identify push and ping.
extension Swarm {
    /// The ping protocol: 32 bytes, sent back.
    public static let pingProtocolID = "/ipfs/ping/1.0.0"
    /// Bytes of one ping.
    public static let pingByteCount = 32

    nonisolated func registerServices() {
        let limits = shared.limits
        shared.register(Self.pingProtocolID, streamsPerPeerMax: limits.pingStreamsPerPeerMax) { [shared] stream, _ in
            await Self.answerPings(on: stream, shared)
        }
        shared.register(
            IdentifyMessage.protocolID, streamsPerPeerMax: limits.identifyStreamsPerPeerMax
        ) { [shared] stream, connection in
            let message = shared.ownIdentity(observed: connection.remoteAddress)
            try? await stream.writeFrame(ByteBuffer(bytes: message.encode()))
            try? await stream.closeWrite()
        }
        shared.register(IdentifyMessage.pushProtocolID, streamsPerPeerMax: limits.identifyStreamsPerPeerMax) {
            [weak self] stream, connection in
            await self?.identityPushed(stream, connection)
        }
    }

    private static func answerPings(on stream: any PeerStream, _ shared: SwarmContext) async {
        do {
            while true {
                try await withLastDeadline(milliseconds: shared.limits.pingIdleTimeoutMilliseconds) {
                    try await stream.write(try await stream.readExactly(pingByteCount))
                }
            }
        } catch StreamError.endOfStream {
            try? await stream.closeWrite()
        } catch {
            if error is TimedOut { shared.count(.pingIdleTimedOut) }
            await stream.reset()
        }
    }

    /// Measures the time that 32 random bytes take to a peer and back.
    public func ping(_ peer: PeerID, timeoutMilliseconds: Int64 = 10_000) async throws -> Duration {
        let stream = try await openStream(to: peer, protocols: [Self.pingProtocolID])
        var generator = SystemRandomNumberGenerator()
        let bytes = ByteBuffer(bytes: (0..<Self.pingByteCount).map { _ in generator.next() as UInt8 })
        let clock = ContinuousClock()
        let start = clock.now
        let answer = try await withDeadline(milliseconds: timeoutMilliseconds) {
            try await stream.write(bytes)
            return try await stream.readExactly(Self.pingByteCount)
        }
        let elapsed = clock.now - start
        guard answer == bytes else {
            await stream.reset()
            throw StreamError.reset
        }
        try await stream.closeWrite()
        return elapsed
    }

    // MARK: Identify

    /// Asks a peer who it is.
    nonisolated func identify(_ connection: Connection) async {
        do {
            try await withDeadline(milliseconds: shared.limits.identifyTimeoutMilliseconds) { [self] in
                let stream = try await connection.openStream(protocols: [IdentifyMessage.protocolID], isLazy: true)
                try await stream.closeWrite()
                try await readIdentity(from: stream, connection)
            }
        } catch {
            shared.count(.identifyFailed)
            shared.logger.debug("identify failed", metadata: ["error": "\(error)"])
        }
    }

    private nonisolated func identityPushed(_ stream: any PeerStream, _ connection: Connection) async {
        guard connection.takesPush(shared.limits, now: SwarmClock.now) else {
            shared.count(.identifyPushRefused)
            await stream.reset()
            return
        }
        do {
            try await withDeadline(milliseconds: shared.limits.identifyTimeoutMilliseconds) { [self] in
                try await readIdentity(from: stream, connection)
            }
            try await stream.closeWrite()
        } catch {
            shared.count(.identifyFailed)
            await stream.reset()
        }
    }

    /// Reads a message in up to ten parts, 8 KiB together.
    nonisolated func readIdentity(from stream: any PeerStream, _ connection: Connection) async throws {
        var bytes: [UInt8] = []
        var parts = 0
        while let part = try await stream.readFrame(bytesMax: IdentifyMessage.bytesMax - bytes.count) {
            bytes += Array(part.readableBytesView)
            parts += 1
            guard parts < IdentifyMessage.partsMax else { break }
        }
        let message = try IdentifyMessage.decode(bytes)
        try message.checkKey(of: connection.remotePeer)
        await identified(connection, message)
    }

    private func identified(_ connection: Connection, _ message: IdentifyMessage) {
        let peer = connection.remotePeer
        connection.protocols = Set(message.protocols)
        guard isConnected(peer) else { return }
        var addresses = message.listenAddresses
        if let bytes = message.signedPeerRecord {
            if let record = try? PeerRecord(verifying: bytes), record.peerID == peer {
                addresses = Array(record.addresses.prefix(IdentifyMessage.addressesMax))
            } else {
                shared.count(.peerRecordRefused)
            }
        }
        let named = addresses.count
        addresses = policy.admitted(addresses, from: connection.reach)
        if addresses.count < named { shared.count(.addressesNotAdmitted) }
        book.addresses.told(addresses, by: peer, isConnected: isConnected)
        shared.events.send(.identified(peer, protocols: message.protocols, addresses: addresses))
    }

    /// Tells a connected peer that this node's protocols changed.
    nonisolated func pushIdentity(to connection: Connection) async {
        let message = shared.ownIdentity(observed: connection.remoteAddress)
        try? await withDeadline(milliseconds: shared.limits.identifyTimeoutMilliseconds) {
            let stream = try await connection.openStream(
                protocols: [IdentifyMessage.pushProtocolID], isLazy: false)
            try await stream.writeFrame(ByteBuffer(bytes: message.encode()))
            try await stream.closeWrite()
        }
    }
}
