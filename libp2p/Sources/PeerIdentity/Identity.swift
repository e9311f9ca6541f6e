import Crypto
public import Multiformats

/// A peer's Ed25519 key pair: the one secret from which its PeerID follows.
public struct Identity: Sendable {
    /// The public half.
    public let publicKey: PublicKey
    /// The PeerID of the key.
    public let peerID: PeerID
    private let privateKey: Curve25519.Signing.PrivateKey

    private static let protobufPrefix: [UInt8] = [0x08, 0x01, 0x12, 0x40]

    /// A new identity from the system's random numbers.
    public static func generate() -> Identity {
        Identity(privateKey: Curve25519.Signing.PrivateKey())
    }

    /// The identity of a 32-byte seed (the private key of RFC 8032).
    public init(seed: [UInt8]) throws(IdentityError) {
        guard seed.count == 32, let key = try? Curve25519.Signing.PrivateKey(rawRepresentation: seed) else {
            throw .wrongSeedLength(seed.count)
        }
        self.init(privateKey: key)
    }

    /// The identity in libp2p's private key protobuf: the seed followed by the public key, which must be its own.
    public init(libp2pProtobuf bytes: [UInt8]) throws(IdentityError) {
        guard bytes.count == 68, bytes.starts(with: Self.protobufPrefix) else { throw .notEd25519 }
        self = try Identity(seed: Array(bytes[4..<36]))
        if publicKey.rawBytes != Array(bytes[36...]) { throw .keysDisagree }
    }

    private init(privateKey: Curve25519.Signing.PrivateKey) {
        self.privateKey = privateKey
        publicKey = PublicKey(of: privateKey)
        peerID = publicKey.peerID
    }

    /// The secret: 32 bytes. For key files only; never log it.
    public var seed: [UInt8] { Array(privateKey.rawRepresentation) }

    /// libp2p's private key protobuf; holds the secret.
    public var libp2pProtobuf: [UInt8] { Self.protobufPrefix + seed + publicKey.rawBytes }

    /// The signature of 64 bytes over a message.
    public func sign(_ message: [UInt8]) throws(SigningError) -> [UInt8] {
        do {
            return Array(try privateKey.signature(for: message))
        } catch {
            throw .failed
        }
    }
}

/// Why bytes are not an identity.
public enum IdentityError: Error, Hashable, Sendable {
    /// A seed of another length than 32 bytes.
    case wrongSeedLength(Int)
    /// A private key of another type, or in another encoding.
    case notEd25519
    /// The public key beside the seed is not the seed's.
    case keysDisagree
}

extension IdentityError: CustomStringConvertible {
    /// One sentence without a full stop, for people.
    public var description: String {
        switch self {
        case .wrongSeedLength(let bytes): "the key has \(bytes) bytes and must have 32"
        case .notEd25519: "the key is not Ed25519"
        case .keysDisagree: "its public key belongs to another private key"
        }
    }
}

/// Why nothing was signed.
public enum SigningError: Error, Hashable, Sendable {
    /// The cryptographic library refused, which it should never do with an Ed25519 key in memory.
    case failed
}

extension SigningError: CustomStringConvertible {
    /// One sentence without a full stop, for people.
    public var description: String {
        switch self {
        case .failed: "the cryptographic library refused to sign"
        }
    }
}
