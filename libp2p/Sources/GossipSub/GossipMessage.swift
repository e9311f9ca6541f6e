public import Multiformats
public import PeerIdentity

/// A message whose author signed it and whose signature was checked.
public struct GossipMessage: Hashable, Sendable {
    /// The author.
    public let source: PeerID
    /// The author's number for it.
    public let sequenceNumber: UInt64
    /// The topic.
    public let topic: String
    /// The payload.
    public let data: [UInt8]
    /// The protobuf `Message`, byte for byte as on the wire.
    public let encoded: [UInt8]
    /// The author's peer ID and the sequence number.
    public let id: MessageID

    /// The signed bytes begin with this, so that the signature is good for nothing else.
    static let signaturePrefix = Array("libp2p-pubsub:".utf8)

    fileprivate init(
        source: PeerID, sequenceNumber: UInt64, topic: String, data: [UInt8], encoded: [UInt8], id: MessageID
    ) {
        self.source = source
        self.sequenceNumber = sequenceNumber
        self.topic = topic
        self.data = data
        self.encoded = encoded
        self.id = id
    }

    static func id(source: PeerID, sequenceNumber: UInt64) -> MessageID {
        MessageID(bytes: source.bytes + bigEndian(sequenceNumber))
    }

    private static func bigEndian(_ value: UInt64) -> [UInt8] {
        (0..<8).map { UInt8(truncatingIfNeeded: value >> (56 - 8 * UInt64($0))) }
    }

    /// A new message in the form that StrictSign requires; the author's peer ID contains the key.
    public static func sign(
        _ data: [UInt8], topic: String, sequenceNumber: UInt64, identity: Identity
    ) throws(PublishRefusal) -> GossipMessage {
        var writer = ProtobufWriter()
        writer.bytes(1, identity.peerID.bytes)
        writer.bytes(2, data)
        writer.bytes(3, bigEndian(sequenceNumber))
        writer.text(4, topic)
        let signature: [UInt8]
        do {
            signature = try identity.sign(signaturePrefix + writer.bytes)
        } catch {
            throw .notSigned
        }
        writer.bytes(5, signature)
        return GossipMessage(
            source: identity.peerID, sequenceNumber: sequenceNumber, topic: topic, data: data, encoded: writer.bytes,
            id: id(source: identity.peerID, sequenceNumber: sequenceNumber))
    }
}

/// Why a message breaks StrictSign.
public enum GossipMessageError: Error, Hashable, Sendable {
    /// Not protobuf, a field of the wrong type, a field twice, or too many fields.
    case malformed
    /// No author, or one whose peer ID is malformed.
    case badSource
    /// No sequence number, or not of eight bytes.
    case badSequenceNumber
    /// No topic, an empty one, or one whose name is too long.
    case badTopic
    /// No signature.
    case notSigned
    /// The attached key is not the author's.
    case foreignKey
    /// The author's key is not Ed25519.
    case unsupportedKey
    /// The signature does not fit.
    case badSignature
}

extension GossipMessageError: CustomStringConvertible {
    /// One sentence without a full stop, for people.
    public var description: String {
        switch self {
        case .malformed: "the message does not read"
        case .badSource: "its author is missing or malformed"
        case .badSequenceNumber: "its sequence number is missing or malformed"
        case .badTopic: "its topic is missing, malformed or too long"
        case .notSigned: "it is not signed"
        case .foreignKey: "the key in it is not its author's"
        case .unsupportedKey: "its author's key is not Ed25519"
        case .badSignature: "its signature does not hold"
        }
    }
}

/// A message before its signature was checked: enough to recognize a duplicate without paying for the check.
public struct UnverifiedMessage: Sendable {
    /// The most fields; the specification has six, later versions may add some.
    static let fieldsMax = 16

    /// The claimed author.
    public let source: PeerID
    /// The topic.
    public let topic: String
    /// The ID it would have if its signature holds.
    public let id: MessageID
    private let sequenceNumber: UInt64
    private let data: [UInt8]
    private let encoded: [UInt8]
    private let signature: [UInt8]
    private let key: [UInt8]?
    private let signed: [UInt8]

    /// Takes the message apart.
    public init(encoded: [UInt8], topicBytesMax: Int) throws(GossipMessageError) {
        var fields: [UInt32: ArraySlice<UInt8>] = [:]
        var signed = ProtobufWriter()
        var reader = ProtobufReader(encoded, maxFields: Self.fieldsMax)
        while let field = try Self.next(&reader) {
            guard (1...6).contains(field.number) else {
                // Fields of later versions are signed too.
                switch field.value {
                case .varint(let value): signed.varint(field.number, value)
                case .bytes(let value): signed.bytes(field.number, value)
                case .fixed32, .fixed64: throw .malformed
                }
                continue
            }
            guard let value = field.slice, fields.updateValue(value, forKey: field.number) == nil else {
                throw .malformed
            }
            if field.number < 5 { signed.bytes(field.number, value) }
        }
        guard let from = fields[1], let source = try? PeerID(bytes: Array(from)) else { throw .badSource }
        guard let number = fields[3], number.count == 8 else { throw .badSequenceNumber }
        guard let name = fields[4], !name.isEmpty, name.count <= topicBytesMax,
            let topic = String(validating: name, as: UTF8.self)
        else { throw .badTopic }
        guard let signature = fields[5] else { throw .notSigned }
        self.source = source
        self.topic = topic
        sequenceNumber = number.reduce(0) { $0 << 8 | UInt64($1) }
        id = GossipMessage.id(source: source, sequenceNumber: sequenceNumber)
        data = Array(fields[2] ?? [])
        self.encoded = encoded
        self.signature = Array(signature)
        key = fields[6].map(Array.init)
        self.signed = signed.bytes
    }

    private static func next(_ reader: inout ProtobufReader) throws(GossipMessageError) -> ProtobufField? {
        do {
            return try reader.next()
        } catch {
            throw .malformed
        }
    }

    /// The message, if its author signed it.
    public func verified() throws(GossipMessageError) -> GossipMessage {
        if let key, PeerID(publicKeyProtobuf: key) != source { throw .foreignKey }
        guard let publicKey = try? PublicKey(peerID: source) else { throw .unsupportedKey }
        guard publicKey.isValidSignature(signature, for: GossipMessage.signaturePrefix + signed) else {
            throw .badSignature
        }
        return GossipMessage(
            source: source, sequenceNumber: sequenceNumber, topic: topic, data: data, encoded: encoded, id: id)
    }
}
