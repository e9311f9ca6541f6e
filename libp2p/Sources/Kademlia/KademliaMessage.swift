public import Multiformats

/// One message of the DHT protocol, request or answer (kad-dht specification, "RPC messages").
public struct KademliaMessage: Hashable, Sendable {
    /// What a message asks or answers; raw values as on the wire.
    public enum Kind: UInt64, Sendable, Hashable, CaseIterable {
        /// Store a record.
        case putValue = 0
        /// Fetch a record, and peers closer to its key.
        case getValue = 1
        /// Note that the sender provides a block.
        case addProvider = 2
        /// Fetch the providers of a block, and peers closer to its key.
        case getProviders = 3
        /// Fetch peers closer to a key.
        case findNode = 4
        /// Ask for a sign of life.
        case ping = 5
    }

    /// What it asks or answers.
    public var kind: Kind
    /// The raw key: a record key, a multihash or a peer ID; its SHA-256 is the point in the key space.
    public var key: [UInt8]
    /// The record to store or that was found.
    public var record: KademliaRecord?
    /// Peers closer to the key.
    public var closerPeers: [PeerInfo]
    /// Providers of the block.
    public var providerPeers: [PeerInfo]

    /// A message; parts that its kind does not use stay empty.
    public init(
        kind: Kind, key: [UInt8] = [], record: KademliaRecord? = nil, closerPeers: [PeerInfo] = [],
        providerPeers: [PeerInfo] = []
    ) {
        self.kind = kind
        self.key = key
        self.record = record
        self.closerPeers = closerPeers
        self.providerPeers = providerPeers
    }
}

/// A value of the DHT under its key.
public struct KademliaRecord: Hashable, Sendable {
    /// The key; equal to the message's.
    public var key: [UInt8]
    /// The value; the validator of the key's namespace says what it must be.
    public var value: [UInt8]

    public init(key: [UInt8], value: [UInt8]) {
        self.key = key
        self.value = value
    }
}

/// Why bytes are not a message of the DHT.
public enum KademliaMessageError: Error, Hashable, Sendable {
    /// More bytes than a message may have.
    case messageTooLarge(bytesMax: Int)
    /// Not protobuf, or with too many fields.
    case malformed(ProtobufError)
    /// A kind that the specification does not know.
    case unknownKind(UInt64)
    /// A field has another wire type than the specification gives it.
    case wrongWireType(field: UInt32)
    /// The key is longer than a key may be.
    case keyTooLong(bytesMax: Int)
    /// The record's value is longer than a value may be.
    case valueTooLong(bytesMax: Int)
}

extension KademliaMessageError: CustomStringConvertible {
    /// One sentence without a full stop, for people.
    public var description: String {
        switch self {
        case .messageTooLarge(let bytesMax): "the message has more than \(bytesMax) bytes"
        case .malformed(let error): "the message does not read: \(error)"
        case .unknownKind(let kind): "the kind \(kind) is unknown"
        case .wrongWireType(let field): "field \(field) is of a wrong type"
        case .keyTooLong(let bytesMax): "the key has more than \(bytesMax) bytes"
        case .valueTooLong(let bytesMax): "the value has more than \(bytesMax) bytes"
        }
    }
}
