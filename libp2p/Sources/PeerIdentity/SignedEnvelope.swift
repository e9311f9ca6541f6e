public import Multiformats

/// libp2p's signed envelope (RFC 0002): a payload of a registered type, signed under a domain.
public struct SignedEnvelope: Hashable, Sendable {
    /// The largest envelope that is read, in bytes.
    public static let bytesMax = 64 << 10

    /// The signer's key.
    public let publicKey: PublicKey
    /// The multicodec of the payload, as bytes.
    public let payloadType: [UInt8]
    /// What was signed.
    public let payload: [UInt8]
    /// The signature over domain, type and payload, each with its length before it.
    public let signature: [UInt8]

    /// Signs a payload.
    public static func sign(
        _ payload: [UInt8], type: [UInt8], domain: String, with identity: Identity
    ) throws(SigningError) -> SignedEnvelope {
        let signature = try identity.sign(message(domain: domain, type: type, payload: payload))
        return SignedEnvelope(
            publicKey: identity.publicKey, payloadType: type, payload: payload, signature: signature)
    }

    private init(publicKey: PublicKey, payloadType: [UInt8], payload: [UInt8], signature: [UInt8]) {
        self.publicKey = publicKey
        self.payloadType = payloadType
        self.payload = payload
        self.signature = signature
    }

    /// Reads an envelope; checks the signature under `domain`.
    public init(verifying bytes: [UInt8], domain: String) throws(SignedEnvelopeError) {
        if bytes.count > Self.bytesMax { throw .tooLarge(bytesMax: Self.bytesMax) }
        var reader = ProtobufReader(bytes, maxFields: 8)
        var key: [UInt8]?
        var type: [UInt8]?
        var payload: [UInt8]?
        var signature: [UInt8]?
        do {
            while let field = try reader.next() {
                switch field.number {
                case 1: key = field.bytes
                case 2: type = field.bytes
                case 3: payload = field.bytes
                case 5: signature = field.bytes
                default: continue
                }
            }
        } catch {
            throw .malformed(error)
        }
        guard let key, let type, let payload, let signature else { throw .missingField }
        do {
            publicKey = try PublicKey(protobuf: key)
        } catch {
            throw .unusableKey(error)
        }
        self.payloadType = type
        self.payload = payload
        self.signature = signature
        let message = Self.message(domain: domain, type: type, payload: payload)
        guard publicKey.isValidSignature(signature, for: message) else { throw .badSignature }
    }

    /// The protobuf encoding.
    public var bytes: [UInt8] {
        var writer = ProtobufWriter()
        writer.bytes(1, publicKey.protobuf)
        writer.bytes(2, payloadType)
        writer.bytes(3, payload)
        writer.bytes(5, signature)
        return writer.bytes
    }

    private static func message(domain: String, type: [UInt8], payload: [UInt8]) -> [UInt8] {
        var message: [UInt8] = []
        message.reserveCapacity(domain.utf8.count + type.count + payload.count + 16)
        for part in [Array(domain.utf8), type, payload] {
            Varint.append(UInt64(part.count), to: &message)
            message.append(contentsOf: part)
        }
        return message
    }
}

/// Why bytes are not a signed envelope.
public enum SignedEnvelopeError: Error, Hashable, Sendable {
    /// The envelope is longer than is read.
    case tooLarge(bytesMax: Int)
    /// The bytes are not protobuf.
    case malformed(ProtobufError)
    /// Key, type, payload or signature is missing.
    case missingField
    /// The key is not one that may be an identity.
    case unusableKey(PublicKeyError)
    /// The signature does not hold.
    case badSignature
    /// The payload is of another type than the one expected.
    case wrongPayloadType
    /// The payload is not a peer record.
    case malformedRecord
    /// The record is about another peer than the one that signed it.
    case wrongPeer
}

extension SignedEnvelopeError: CustomStringConvertible {
    /// One sentence without a full stop, for people.
    public var description: String {
        switch self {
        case .tooLarge(let bytesMax): "it has more than \(bytesMax) bytes"
        case .malformed(let error): "it does not read: \(error)"
        case .missingField: "a part of it is missing"
        case .unusableKey(let error): "\(error)"
        case .badSignature: "its signature does not hold"
        case .wrongPayloadType: "it holds something else than expected"
        case .malformedRecord: "the peer record in it does not read"
        case .wrongPeer: "the record is about another peer than its signer"
        }
    }
}
