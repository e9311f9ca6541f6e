import Foundation
import Identify
import LibP2P
import Multiformats
import NIOCore

/// The commands that open streams or answer them.
extension PeerServices {
    private static let pingProtocol = "/ipfs/ping/1.0.0"
    private static let pingBytes = 32
    /// The most that one answer may hold.
    private static let answerBytesMax = 4 << 20

    /// Asks a peer about itself anew, whatever the swarm knows already.
    func identify(_ peer: PeerID) async throws -> PeerReply {
        let stream = try await swarm.openStream(to: peer, protocols: [IdentifyMessage.protocolID])
        try await stream.closeWrite()
        guard let frame = try await stream.readFrame(bytesMax: IdentifyMessage.bytesMax) else {
            throw CommandFailure(description: "the peer closed without an answer")
        }
        let message = try IdentifyMessage.decode(Array(frame.readableBytesView))
        return PeerReply(
            agent: message.agentVersion, protocolVersion: message.protocolVersion, protocols: message.protocols,
            listen: message.listenAddresses.map(\.text), publicKeyHex: message.publicKey?.hex)
    }

    func ping(_ peer: PeerID, count: Int) async throws -> PeerReply {
        let stream = try await swarm.openStream(to: peer, protocols: [Self.pingProtocol])
        var roundTrips: [Double] = []
        for _ in 0..<count {
            let payload = ByteBuffer(bytes: (0..<Self.pingBytes).map { _ in UInt8.random(in: .min ... .max) })
            let started = ContinuousClock.now
            try await stream.write(payload)
            guard try await stream.readExactly(Self.pingBytes) == payload else {
                throw CommandFailure(description: "the ping came back with other bytes")
            }
            roundTrips.append((ContinuousClock.now - started) / .milliseconds(1))
        }
        try await stream.closeWrite()
        return PeerReply(rttMs: roundTrips)
    }

    func handleEcho(_ request: PeerRequest) async throws {
        for name in try request.required(\.proto, "proto").values {
            await swarm.handle(name) { stream in
                do {
                    while let bytes = try await stream.read() { try await stream.write(bytes) }
                    try await stream.closeWrite()
                } catch {
                    await stream.reset()
                }
            }
        }
    }

    /// Sends `data` and reads `read_n` bytes back, or all up to the end.
    func openStream(_ request: PeerRequest) async throws -> PeerReply {
        let protocols = try request.required(\.proto, "proto").values
        let stream = try await swarm.openStream(to: request.peerID(), protocols: protocols)
        let data = try request.payload()
        return try await withThrowingTaskGroup(of: [UInt8]?.self) { group in
            group.addTask {
                try await stream.write(ByteBuffer(bytes: data))
                // Without a number of bytes the end of our side is what the peer waits for.
                if request.readN == nil { try await stream.closeWrite() }
                return nil
            }
            group.addTask { try await Self.readAll(stream, count: request.readN) }
            var answer: [UInt8] = []
            for try await part in group { answer = part ?? answer }
            try await stream.closeWrite()
            return PeerReply(proto: stream.protocolID, dataHex: answer.hex)
        }
    }

    private static func readAll(_ stream: any PeerStream, count: Int?) async throws -> [UInt8] {
        var answer: [UInt8] = []
        while answer.count < min(count ?? .max, answerBytesMax), let bytes = try await stream.read() {
            answer.append(contentsOf: bytes.readableBytesView)
        }
        return answer
    }
}
