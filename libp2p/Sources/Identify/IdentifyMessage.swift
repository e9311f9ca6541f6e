package import Multiformats
import PeerIdentity

/// Why bytes are not an identify message.
package enum IdentifyError: Error, Hashable, Sendable {
    /// Not a protobuf message, or one of too many fields.
    case malformed
    /// The key in the message is not the connection's.
    case wrongKey
}

extension IdentifyError: CustomStringConvertible {
    /// One sentence without a full stop, for people.
    package var description: String {
        switch self {
        case .malformed: "what the peer says about itself does not read"
        case .wrongKey: "the peer states another key than the connection's"
        }
    }
}

/// What a peer says about itself (libp2p specification `identify`): the answer on `/ipfs/id/1.0.0` and the message on
/// `/ipfs/id/push/1.0.0`.
///
/// Reading caps lists, and leaves out whatever is beyond a cap or is no valid address or text, because real peers send
/// such things. It keeps a signed peer record as bytes, for `verifiedAddresses`.
package struct IdentifyMessage: Hashable, Sendable {
    /// Protocols read from a peer.
    package static let protocolsMax = 256
    /// Bytes of one protocol name.
    package static let protocolBytesMax = 256
    /// Addresses read from a peer.
    package static let addressesMax = 32
    /// Bytes of one of the two version texts; longer ones are cut.
    package static let versionBytesMax = 128
    /// Fields in a message; more are an error.
    package static let fieldsMax = 1_024
    /// Bytes of all parts of a message together.
    package static let bytesMax = 8_192
    /// Parts that a message may have.
    package static let partsMax = 10

    /// The protocol of answers.
    package static let protocolID = "/ipfs/id/1.0.0"
    /// The protocol of unasked updates.
    package static let pushProtocolID = "/ipfs/id/push/1.0.0"

    /// The sender's public key in its protobuf encoding.
    package var publicKey: [UInt8]?
    /// Where the sender listens.
    package var listenAddresses: [Multiaddr] = []
    /// The protocols it speaks.
    package var protocols: [String] = []
    /// The address at which it sees the receiver.
    package var observedAddress: Multiaddr?
    /// The family of its protocols, such as `ipfs/0.1.0`; go-libp2p leaves it empty.
    package var protocolVersion = ""
    /// The software.
    package var agentVersion = ""
    /// A signed envelope with a peer record.
    package var signedPeerRecord: [UInt8]?

    /// An empty message.
    package init() {}

    /// The protobuf bytes.
    package func encode() -> [UInt8] {
        var writer = ProtobufWriter()
        if let publicKey { writer.bytes(1, publicKey) }
        for address in listenAddresses.prefix(Self.addressesMax) { writer.bytes(2, address.bytes) }
        for name in protocols.prefix(Self.protocolsMax) { writer.text(3, name) }
        if let observedAddress { writer.bytes(4, observedAddress.bytes) }
        writer.text(5, protocolVersion)
        writer.text(6, agentVersion)
        if let signedPeerRecord { writer.bytes(8, signedPeerRecord) }
        return writer.bytes
    }

    /// A message from the bytes of all its parts, one after the other: protobuf merges them.
    package static func decode(_ bytes: [UInt8]) throws(IdentifyError) -> IdentifyMessage {
        var message = IdentifyMessage()
        do throws(ProtobufError) {
            var reader = ProtobufReader(bytes, maxFields: fieldsMax)
            while let field = try reader.next() { message.take(field) }
        } catch {
            throw .malformed
        }
        return message
    }

    private mutating func take(_ field: ProtobufField) {
        switch field.number {
        case 1: publicKey = field.bytes
        case 2:
            if listenAddresses.count < Self.addressesMax, let address = Self.address(field) {
                listenAddresses.append(address)
            }
        case 3:
            if protocols.count < Self.protocolsMax, let slice = field.slice,
                slice.count <= Self.protocolBytesMax, let name = field.text
            {
                protocols.append(name)
            }
        case 4: observedAddress = Self.address(field)
        case 5: protocolVersion = Self.version(field)
        case 6: agentVersion = Self.version(field)
        case 8: signedPeerRecord = field.bytes
        default: return
        }
    }

    private static func address(_ field: ProtobufField) -> Multiaddr? {
        guard let bytes = field.bytes else { return nil }
        return try? Multiaddr(bytes: bytes)
    }

    /// Leaves out control characters, so that a terminal can show the text.
    private static func version(_ field: ProtobufField) -> String {
        guard let slice = field.slice else { return "" }
        let printable = slice.prefix(versionBytesMax).filter { (0x20..<0x7F).contains($0) }
        return String(decoding: printable, as: UTF8.self)
    }

    /// Checks that the message is about the peer that the connection authenticated.
    package func checkKey(of peer: PeerID) throws(IdentifyError) {
        guard let publicKey else { return }
        guard let key = try? PublicKey(protobuf: publicKey), key.peerID == peer else { throw .wrongKey }
    }
}
