package import IPLD
package import Multiformats
package import PeerIdentity

/// A body with the signature of its signer: `{"did": …, "sig": …, "body": …}` as one DAG-CBOR block.
///
/// The signature is over `"icn-mesh/v1/" || type name || 0x00 || CID(body)`, and the CID is that of the body's bytes as
/// received, which are never encoded again: fields unknown to this version stay part of what was signed. The envelope
/// has exactly three fields, because an unsigned one would give the object a second CID. Source: PROTOCOL.md, "Signed
/// objects".
package struct SignedObject<Body: SignedBody>: Sendable, Hashable {
    /// What was signed.
    package let body: Body
    /// Who signed it.
    package let did: DID
    /// The Ed25519 signature, 64 bytes. It identifies nothing: one body may have many.
    package let signature: [UInt8]
    /// The block.
    package let bytes: [UInt8]
    /// The CID of the block.
    package let cid: CID
    /// The CID of the body: the object's identity, together with its type.
    package let bodyCID: CID

    /// Signs a body, which must name the identity's DID as its signer.
    package static func sign(_ body: Body, with identity: Identity) throws(SignedObjectError) -> Self {
        if body.signerDID.publicKey != identity.publicKey { throw .wrongSigner }
        let bodyBytes: [UInt8]
        do {
            bodyBytes = try DAGCBOREncoder().encode(body)
        } catch {
            throw .bodyNotEncodable(CodingWords.of(error))
        }
        let bodyCID = CID.hashing(bodyBytes, codec: .dagCBOR)
        guard let signature = try? identity.sign(SignedObjectFormat.message(Body.typeName, bodyCID)) else {
            throw .signingFailed
        }
        let bytes = SignedObjectFormat.envelope(body: bodyBytes, did: body.signerDID, signature: signature)
        if bytes.count > SignedObjectFormat.bytesMax { throw .tooLarge(bytesMax: SignedObjectFormat.bytesMax) }
        return Self(
            body: body, did: body.signerDID, signature: signature, bytes: bytes, bodyCID: bodyCID,
            cid: CID.hashing(bytes, codec: .dagCBOR))
    }

    /// Reads a block; checks encoding, the bound of its integers, envelope, signature, and that the body names the
    /// signer.
    package init(verifying bytes: [UInt8]) throws(SignedObjectError) {
        let envelope = try SignedObjectFormat.decodeEnvelope(bytes, integerMax: SignedObjectFormat.integerMax)
        let bodyCID = CID.hashing(envelope.body.slice, codec: .dagCBOR)
        let known = CheckedSignature(block: CID.hashing(bytes, codec: .dagCBOR), typeName: Body.typeName)
        if CheckedSignature.good.value(of: known) == nil {
            let message = SignedObjectFormat.message(Body.typeName, bodyCID)
            guard envelope.did.publicKey.isValidSignature(envelope.signature, for: message) else { throw .badSignature }
            CheckedSignature.good.keep((), of: known)
        }
        self = try Self(envelope, bytes: bytes, bodyCID: bodyCID, cid: known.block)
    }

    /// Reads a block that this node verified before it stored it; checks everything except the signature and the bound
    /// of integers, which applies to what arrives.
    ///
    /// Never for bytes from a peer or a person.
    package init(verifiedBefore bytes: [UInt8]) throws(SignedObjectError) {
        let envelope = try SignedObjectFormat.decodeEnvelope(bytes, integerMax: .max)
        self = try Self(
            envelope, bytes: bytes, bodyCID: CID.hashing(envelope.body.slice, codec: .dagCBOR),
            cid: CID.hashing(bytes, codec: .dagCBOR))
    }

    private init(
        _ envelope: SignedObjectFormat.Envelope, bytes: [UInt8], bodyCID: CID, cid: CID
    ) throws(SignedObjectError) {
        let body: Body
        do {
            body = try envelope.body.decode(Body.self)
        } catch {
            // The reason may quote the body.
            throw .malformedBody(CodingWords.of(error).cut(bytesMax: SignedObjectFormat.reasonBytesMax))
        }
        if body.signerDID != envelope.did { throw .wrongSigner }
        self.init(
            body: body, did: envelope.did, signature: envelope.signature, bytes: bytes, bodyCID: bodyCID, cid: cid)
    }

    private init(body: Body, did: DID, signature: [UInt8], bytes: [UInt8], bodyCID: CID, cid: CID) {
        self.body = body
        self.did = did
        self.signature = signature
        self.bytes = bytes
        self.bodyCID = bodyCID
        self.cid = cid
    }

    /// Whether two objects are the same block.
    package static func == (left: Self, right: Self) -> Bool {
        left.cid == right.cid
    }

    /// Hashes the CID of the block.
    package func hash(into hasher: inout Hasher) {
        hasher.combine(cid)
    }
}

/// A block whose signature holds for a type. A receipt reaches its originator directly and through the DHT; only the
/// first way pays for the signature. What is bad is checked each time, so nobody can fill this with it.
struct CheckedSignature: Hashable, Sendable {
    /// How many are remembered.
    static let rememberedMax = 1_024
    static let good = Memo<CheckedSignature, Void>(entriesMax: rememberedMax)

    let block: CID
    let typeName: String
}

/// Why a block is not a signed object of its type, or a body could not be signed.
package enum SignedObjectError: Error, Hashable, Sendable {
    /// The block is not canonical DAG-CBOR.
    case malformedBlock(DAGCBORError)
    /// The block is longer than a signed object may be.
    case tooLarge(bytesMax: Int)
    /// The block is not a map of exactly `did`, `sig` and `body`, or one of them has the wrong type.
    case malformedEnvelope
    /// The signer's DID is not one of this mesh.
    case malformedDID(DIDError)
    /// The signature does not fit this body and type name.
    case badSignature
    /// The signature fits, but the body is not of this type; the reason is for people.
    case malformedBody(String)
    /// The body names another signer.
    case wrongSigner
    /// The body cannot be DAG-CBOR; the reason is for people.
    case bodyNotEncodable(String)
    /// Signing failed.
    case signingFailed
}

extension SignedObjectError: CustomStringConvertible {
    /// One sentence without a full stop, for people.
    package var description: String {
        switch self {
        case .malformedBlock(let error): "it does not read: \(error)"
        case .tooLarge(let bytesMax): "it has more than \(bytesMax) bytes"
        case .malformedEnvelope: "it is not made of a signer, a signature and a body"
        case .malformedDID(let error): "its signer is not named by a DID: \(error)"
        case .badSignature: "its signature does not hold"
        case .malformedBody(let reason): "its body does not read: \(reason)"
        case .wrongSigner: "it names another signer than its own"
        case .bodyNotEncodable(let reason): "its body cannot be written: \(reason)"
        case .signingFailed: "it could not be signed"
        }
    }
}
