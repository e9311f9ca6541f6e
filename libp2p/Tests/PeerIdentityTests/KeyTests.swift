import Multiformats
import Testing

@testable import PeerIdentity

@Suite struct KeyTests {
    @Test func smallOrderKeysAreRefusedInAllFourteenEncodings() {
        #expect(Set(EdwardsEncoding.smallOrder).count == 14)
        for bytes in EdwardsEncoding.smallOrder {
            #expect(throws: PublicKeyError.smallOrder) { try PublicKey(rawBytes: bytes) }
        }
    }

    @Test func coordinatesOfTheModulusAndMoreAreRefused() {
        // p = 2^255 - 19 ends in 0xed; 0xed and 0xee are of small order, 0xec is p - 1.
        for low: UInt8 in 0xEF...0xFF {
            for top: UInt8 in [0x7F, 0xFF] {
                let bytes = [low] + [UInt8](repeating: 0xFF, count: 30) + [top]
                #expect(throws: PublicKeyError.notCanonical) { try PublicKey(rawBytes: bytes) }
            }
        }
    }

    @Test func onlyPointsOfTheCurveAreKeys() throws {
        // Half of all y coordinates have an x. A made key always does, and y = 2 is known not to.
        for byte: UInt8 in 0..<64 {
            let key = try Identity(seed: [UInt8](repeating: byte, count: 32)).publicKey
            #expect(EdwardsEncoding.isOnCurve(key.rawBytes))
        }
        #expect(throws: PublicKeyError.notOnCurve) {
            try PublicKey(rawBytes: [2] + [UInt8](repeating: 0, count: 31))
        }
        var onCurve = 0
        for low: UInt8 in 2..<202 {
            let bytes = [low] + [UInt8](repeating: 0x5A, count: 31)
            if (try? PublicKey(rawBytes: bytes)) != nil { onCurve += 1 }
        }
        #expect((70...130).contains(onCurve))
    }

    /// A key that was checked before is the same key, and refused bytes are refused again.
    @Test func rememberedKeysAreTheSameKeys() throws {
        let message: [UInt8] = [1, 2, 3]
        for _ in 0..<PublicKey.rememberedKeysMax + 64 {
            let identity = Identity.generate()
            let first = try PublicKey(rawBytes: identity.publicKey.rawBytes)
            let again = try PublicKey(rawBytes: identity.publicKey.rawBytes)
            #expect(first == identity.publicKey && again == first)
        }
        let identity = Identity.generate()
        let signature = try identity.sign(message)
        for _ in 1...2 {
            let key = try PublicKey(rawBytes: identity.publicKey.rawBytes)
            #expect(key.isValidSignature(signature, for: message) && !key.isValidSignature(signature, for: [1, 2, 4]))
            #expect(throws: PublicKeyError.notOnCurve) {
                try PublicKey(rawBytes: [2] + [UInt8](repeating: 0, count: 31))
            }
            #expect(throws: PublicKeyError.smallOrder) { try PublicKey(rawBytes: EdwardsEncoding.smallOrder[3]) }
        }
    }

    @Test func otherLengthsAndTypesAreRefused() throws {
        for count in [0, 31, 33, 64] {
            #expect(throws: PublicKeyError.wrongLength(count)) {
                try PublicKey(rawBytes: [UInt8](repeating: 1, count: count))
            }
        }
        let key = Identity.generate().publicKey
        for prefix: [UInt8] in [
            [8, 0, 18, 32], [8, 2, 18, 32], [8, 3, 18, 32], [8, 1, 18, 33], [8, 0x81, 0, 18, 32], [18, 32],
        ] {
            #expect(throws: PublicKeyError.notEd25519) { try PublicKey(protobuf: prefix + key.rawBytes) }
        }
        #expect(throws: PublicKeyError.notEd25519) { try PublicKey(protobuf: key.protobuf + [0]) }
        let hashed = try PeerID(multihash: .sha256(of: key.protobuf))
        #expect(throws: PublicKeyError.notEd25519) { try PublicKey(peerID: hashed) }
    }

    /// Adding the group order to a scalar gives a second signature, which must not hold.
    @Test func scalarsOfTheOrderOrMoreAreRefused() throws {
        let identity = try Identity(seed: [UInt8](repeating: 7, count: 32))
        let message = Array("message".utf8)
        var signature = try identity.sign(message)
        #expect(identity.publicKey.isValidSignature(signature, for: message))
        let order: [UInt8] =
            [
                0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14,
            ] + [UInt8](repeating: 0, count: 15) + [0x10]
        var carry = 0
        for index in 0..<32 {
            let sum = Int(signature[32 + index]) + Int(order[index]) + carry
            signature[32 + index] = UInt8(truncatingIfNeeded: sum)
            carry = sum >> 8
        }
        #expect(carry == 0)
        #expect(!identity.publicKey.isValidSignature(signature, for: message))
    }

    @Test func everyBitOfASignatureCounts() throws {
        let identity = Identity.generate()
        let message = Array("message".utf8)
        let signature = try identity.sign(message)
        for bit in 0..<512 {
            var flipped = signature
            flipped[bit / 8] ^= 1 << UInt8(bit % 8)
            #expect(!identity.publicKey.isValidSignature(flipped, for: message))
        }
        #expect(!identity.publicKey.isValidSignature(Array(signature.dropLast()), for: message))
        #expect(!identity.publicKey.isValidSignature(signature + [0], for: message))
        #expect(!identity.publicKey.isValidSignature([], for: message))
        #expect(!Identity.generate().publicKey.isValidSignature(signature, for: message))
    }

    @Test func identitiesFromBytes() throws {
        let identity = Identity.generate()
        #expect(try Identity(seed: identity.seed).publicKey == identity.publicKey)
        #expect(try Identity(libp2pProtobuf: identity.libp2pProtobuf).peerID == identity.peerID)
        #expect(throws: IdentityError.wrongSeedLength(31)) { try Identity(seed: [UInt8](repeating: 0, count: 31)) }
        #expect(throws: IdentityError.notEd25519) { try Identity(libp2pProtobuf: [8, 2, 18, 0]) }
        var other = identity.libp2pProtobuf
        other[40] ^= 1
        #expect(throws: IdentityError.keysDisagree) { try Identity(libp2pProtobuf: other) }
    }
}
