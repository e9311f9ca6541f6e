import Crypto
import Foundation
import Multiformats
import PeerIdentity
import SignedObjects
import Testing

@Suite
struct IdentityVectorTests {
    struct DIDFile: Decodable {
        struct Valid: Decodable {
            let seed: String
            let publicKey: String
            let did: String
            let publicKeyProtobuf: String
            let peerId: String
            let peerIdCid: String
            let peerIdCidBase36: String
            let privateKeyProtobuf: String
        }
        struct Negative: Decodable {
            let did: String
            let why: String
        }
        let valid: [Valid]
        let negatives: [Negative]
    }

    @Test func didsFromSeeds() throws {
        for row in try Fixtures.all("did_key", as: DIDFile.self).flatMap(\.valid) {
            let identity = try Identity(seed: hex(row.seed))
            #expect(identity.publicKey.rawBytes == (try hex(row.publicKey)))
            #expect(identity.publicKey.protobuf == (try hex(row.publicKeyProtobuf)))
            #expect(identity.did.text == row.did)
            #expect(identity.peerID.text == row.peerId)
            #expect(identity.peerID.cid?.text == row.peerIdCid)
            #expect(try PeerID(parsing: row.peerIdCid) == identity.peerID)
            #expect(try PeerID(parsing: row.peerIdCidBase36) == identity.peerID)
            #expect(try DID(parsing: row.did).peerID == identity.peerID)
            #expect(try PublicKey(peerID: identity.peerID) == identity.publicKey)
            #expect(identity.libp2pProtobuf == (try hex(row.privateKeyProtobuf)))
            #expect(try Identity(libp2pProtobuf: hex(row.privateKeyProtobuf)).did == identity.did)
        }
    }

    @Test func otherSpellingsOfDIDs() throws {
        for row in try Fixtures.json("did_key", as: DIDFile.self).negatives {
            #expect(throws: DIDError.self, "\(row.why)") { try DID(parsing: row.did) }
        }
    }

    struct PeerFile: Decodable {
        struct Valid: Decodable {
            let text: String
            let multihash: String
            let canonical: String
            let ed25519Key: String?
            let publicKeyProtobuf: String?
        }
        struct Negative: Decodable {
            let text: String
            let multihash: String?
            let why: String
            let verdict: String
        }
        let valid: [Valid]
        let negatives: [Negative]
    }

    @Test func peerIDs() throws {
        for row in try Fixtures.all("peer_id", as: PeerFile.self).flatMap(\.valid) {
            let peer = try PeerID(parsing: row.text)
            #expect(peer.bytes == (try hex(row.multihash)))
            #expect(peer.text == row.canonical)
            if let key = row.ed25519Key { #expect(try PublicKey(peerID: peer).rawBytes == hex(key)) }
            if let key = row.publicKeyProtobuf { #expect(PeerID(publicKeyProtobuf: try hex(key)) == peer) }
        }
        for row in try Fixtures.json("peer_id", as: PeerFile.self).negatives {
            switch row.verdict {
            case "reject":
                #expect(throws: PeerIDError.self, "\(row.why)") { try PeerID(parsing: row.text) }
                if let bytes = row.multihash {
                    #expect(throws: PeerIDError.self, "\(row.why)") { try PeerID(bytes: hex(bytes)) }
                }
            default:
                // It may parse as a PeerID of another network; it is never one of ours.
                let peer = try PeerID(parsing: row.text)
                #expect(throws: PublicKeyError.self, "\(row.why)") { try PublicKey(peerID: peer) }
            }
        }
    }

    struct SignatureFile: Decodable {
        enum Verdict: Decodable {
            case mustBe(Bool)
            case may

            init(from decoder: any Decoder) throws {
                let container = try decoder.singleValueContainer()
                self = (try? container.decode(Bool.self)).map { .mustBe($0) } ?? .may
            }
        }
        struct Row: Decodable {
            let pk: String
            let msg: String
            let sig: String
            let accept: Verdict
            let sk: String?
        }
        let tests: [Row]
    }

    @Test(arguments: ["ed25519_wycheproof", "ed25519_rfc8032", "ed25519_speccheck"])
    func ed25519(_ name: String) throws {
        for (index, row) in try Fixtures.json(name, as: SignatureFile.self).tests.enumerated() {
            let key = try? PublicKey(rawBytes: hex(row.pk))
            let accepted = try key?.isValidSignature(hex(row.sig), for: hex(row.msg)) ?? false
            if case .mustBe(let expected) = row.accept { #expect(accepted == expected, "row \(index)") }
            guard let seed = row.sk else { continue }
            let identity = try Identity(seed: hex(seed))
            #expect(identity.publicKey.rawBytes == (try hex(row.pk)))
            // The system's signatures may be randomized; one that it makes must be accepted like the published one.
            let signature = try identity.sign(hex(row.msg))
            #expect(identity.publicKey.isValidSignature(signature, for: try hex(row.msg)))
            #expect(signature == (try hex(row.sig)))
        }
    }

    struct AgreementFile: Decodable {
        struct Row: Decodable {
            let `private`: String
            let `public`: String
            let shared: String
            let project: String?
        }
        let tests: [Row]
        let iteratedFrom9: [String: String]?
    }

    /// The library that Noise agrees on keys with: the all-zero secret must not come out of it.
    @Test(arguments: ["x25519_wycheproof", "x25519_rfc7748"])
    func x25519(_ name: String) throws {
        let file = try Fixtures.json(name, as: AgreementFile.self)
        for row in file.tests {
            let shared = try? Self.agree(hex(row.private), hex(row.public))
            if row.project == "reject" {
                #expect(shared == nil || shared?.allSatisfy { $0 == 0 } == true)
            } else {
                #expect(shared == (try hex(row.shared)))
            }
        }
        guard let expected = file.iteratedFrom9 else { return }
        var scalar: [UInt8] = [9] + [UInt8](repeating: 0, count: 31)
        var point = scalar
        for round in 1...1000 {
            (scalar, point) = (try Self.agree(scalar, point), scalar)
            if let value = expected[String(round)] { #expect(scalar == (try hex(value))) }
        }
    }

    private static func agree(_ scalar: [UInt8], _ point: [UInt8]) throws -> [UInt8] {
        let key = try Curve25519.KeyAgreement.PrivateKey(rawRepresentation: scalar)
        let peer = try Curve25519.KeyAgreement.PublicKey(rawRepresentation: point)
        return try key.sharedSecretFromKeyAgreement(with: peer).withUnsafeBytes { Array($0) }
    }
}
