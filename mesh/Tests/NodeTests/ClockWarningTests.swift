import Foundation
import Logging
import MeshTypes
import NodeAPI
import P2PTesting
import PeerIdentity
import SignedObjects
import Synchronization
import Testing

@testable import NodeCore
@testable import PlanetaryMesh

/// A node whose clock is not that of its peers, by what they sign.
@Suite("Wrong clocks", .serialized)
struct ClockWarningTests {
    /// Two hours, in milliseconds.
    private static let twoHours: Int64 = 7_200_000

    /// Lets each peer sign what its clock says, so far from that of this machine.
    private func sign(_ peers: [HostilePeer], ahead milliseconds: Int64, to node: MeshNode) async throws {
        for peer in peers {
            let issued = UnixMilliseconds(UInt64(Int64(NodeClock.wallClock.value) + milliseconds))
            let capability = NodeCapability(
                nodeDID: peer.identity.did, peerID: peer.identity.peerID, issuedAt: issued,
                validUntil: issued.advanced(milliseconds: 120_000))
            let block = try SignedObject.sign(capability, with: peer.identity).bytes
            let message = MeshProtocolMessage.capabilityAdvertisement(CapabilityAdvertisementV1(capability: block))
            try await peer.publish(try message.encoded(), topic: MeshTopics.capabilities, to: [node])
        }
    }

    private func warning(of node: MeshNode, until isRight: (String?) -> Bool) async throws -> String? {
        var warning: String?
        try await eventually("the warning of the clock is right") {
            warning = try await node.status().clockWarning
            return isRight(warning)
        }
        return warning
    }

    @Test("It is told in status while it is so, and once in the log; nobody is blamed for it")
    func told() async throws {
        let log = LogLines()
        try await NodeMesh.run(prices: [], logger: log.logger) { mesh in
            let node = mesh.originator
            try await HostilePeer.meeting([node]) { one in
                try await HostilePeer.meeting([node]) { two in
                    try await HostilePeer.meeting([node]) { three in
                        let peers = [one, two, three]
                        #expect(try await node.status().clockWarning == nil)
                        try await sign(peers, ahead: Self.twoHours, to: node)
                        let behind = try #require(try await warning(of: node) { $0 != nil })
                        #expect(behind.contains(" s behind its peers' clocks"), "\(behind)")
                        #expect(behind.contains("Set the clock."), "\(behind)")
                        let seconds = behind.split(separator: " ").compactMap { Int($0) }.first
                        #expect((7_000...7_200).contains(seconds ?? 0), "\(behind)")
                        // The other way round it is wrong as well, and the log has said it.
                        try await sign(peers, ahead: -Self.twoHours, to: node)
                        _ = try await warning(of: node) { $0?.contains(" s ahead of its peers' clocks") == true }
                        try await sign(peers, ahead: 0, to: node)
                        _ = try await warning(of: node) { $0 == nil }
                        let lines = log.lines.filter { $0.contains("clocks, by what they sign") }
                        #expect(lines.count == 1, "\(lines)")
                        #expect(lines.first?.hasPrefix("warning ") == true, "\(lines)")
                        #expect(
                            await node.core.tallies["misbehaviours"] == nil, "peers with other clocks are not at fault")
                    }
                }
            }
        }
    }
}

/// Keeps the lines of a log.
private final class LogLines: Sendable {
    private let kept = Mutex<[String]>([])

    var lines: [String] { kept.withLock(\.self) }

    var logger: Logger {
        var logger = Logger(label: "test") { _ in Handler(lines: self) }
        logger.logLevel = .info
        return logger
    }

    private struct Handler: LogHandler {
        let lines: LogLines
        var logLevel = Logger.Level.info
        var metadata: Logger.Metadata = [:]

        subscript(metadataKey key: String) -> Logger.Metadata.Value? {
            get { metadata[key] }
            set { metadata[key] = newValue }
        }

        func log(event: LogEvent) {
            lines.kept.withLock { $0.append("\(event.level) \(event.message)") }
        }
    }
}
