import Crypto
public import Multiformats

/// An Ed25519 public key that is safe to be an identity: a canonical encoding of a point that is not of small order.
public struct PublicKey: Hashable, Sendable {
    /// The 32 bytes of RFC 8032.
    public let rawBytes: [UInt8]
    private let key: Curve25519.Signing.PublicKey

    /// The start of the protobuf encoding: type 1 (Ed25519), 32 bytes of data.
    private static let protobufPrefix: [UInt8] = [0x08, 0x01, 0x12, 0x20]

    /// How many keys are remembered, so that those of a node's peers are checked once and not with every message.
    static let rememberedKeysMax = 1_024
    private static let checked = Memo<[UInt8], PublicKey>(entriesMax: rememberedKeysMax)

    /// A key from its 32 bytes.
    public init(rawBytes: [UInt8]) throws(PublicKeyError) {
        if let known = Self.checked.value(of: rawBytes) {
            self = known
            return
        }
        try self.init(checking: rawBytes)
        Self.checked.keep(self, of: rawBytes)
    }

    private init(checking rawBytes: [UInt8]) throws(PublicKeyError) {
        if rawBytes.count != 32 { throw .wrongLength(rawBytes.count) }
        if EdwardsEncoding.isSmallOrder(rawBytes) { throw .smallOrder }
        if !EdwardsEncoding.isCanonical(rawBytes) { throw .notCanonical }
        if !EdwardsEncoding.isOnCurve(rawBytes) { throw .notOnCurve }
        guard let key = try? Curve25519.Signing.PublicKey(rawRepresentation: rawBytes) else { throw .notOnCurve }
        self.rawBytes = rawBytes
        self.key = key
    }

    init(of privateKey: Curve25519.Signing.PrivateKey) {
        key = privateKey.publicKey
        rawBytes = Array(key.rawRepresentation)
    }

    /// The key inside a PeerID.
    public init(peerID: PeerID) throws(PublicKeyError) {
        guard let protobuf = peerID.inlinePublicKeyProtobuf else { throw .notEd25519 }
        self = try PublicKey(protobuf: protobuf)
    }

    /// The key of libp2p's protobuf encoding, in its one deterministic form; refuses other key types unread.
    public init(protobuf: [UInt8]) throws(PublicKeyError) {
        guard protobuf.count == 36, protobuf.starts(with: Self.protobufPrefix) else { throw .notEd25519 }
        self = try PublicKey(rawBytes: Array(protobuf[4...]))
    }

    /// libp2p's protobuf encoding.
    public var protobuf: [UInt8] { Self.protobufPrefix + rawBytes }

    /// The PeerID that holds this key.
    public var peerID: PeerID { PeerID(publicKeyProtobuf: protobuf) }

    /// Whether 64 bytes are this key's signature over a message.
    ///
    /// Stricter than RFC 8032: besides a scalar of L or more, a commitment R of small order is refused, so a signature
    /// holds for one message only.
    public func isValidSignature(_ signature: [UInt8], for message: [UInt8]) -> Bool {
        guard signature.count == 64, !EdwardsEncoding.isSmallOrder(signature[..<32]) else { return false }
        return key.isValidSignature(signature, for: message)
    }

    /// Whether two keys have the same bytes.
    public static func == (left: PublicKey, right: PublicKey) -> Bool {
        left.rawBytes == right.rawBytes
    }

    /// Hashes the bytes.
    public func hash(into hasher: inout Hasher) {
        hasher.combine(allOf: rawBytes)
    }
}

/// Why bytes are not a key that may be an identity.
public enum PublicKeyError: Error, Hashable, Sendable {
    /// Another number of bytes than 32.
    case wrongLength(Int)
    /// One of the fourteen encodings of the points of small order.
    case smallOrder
    /// A y coordinate of p or more.
    case notCanonical
    /// No point of the curve has this y coordinate.
    case notOnCurve
    /// The PeerID or protobuf holds a hash, a key of another type, or another spelling of an Ed25519 key.
    case notEd25519
}

extension PublicKeyError: CustomStringConvertible {
    /// One sentence without a full stop, for people.
    public var description: String {
        switch self {
        case .wrongLength(let bytes): "the key has \(bytes) bytes and must have 32"
        case .smallOrder: "the key is weak"
        case .notCanonical: "the key is not written as it must be"
        case .notOnCurve: "the key is not on the curve"
        case .notEd25519: "the key is not Ed25519"
        }
    }
}
