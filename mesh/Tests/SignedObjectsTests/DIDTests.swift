import Multiformats
import PeerIdentity
import SignedObjects
import Testing

@Suite struct DIDTests {
    @Test func oneSpellingIsRead() throws {
        let identity = Identity.generate()
        #expect(try DID(parsing: identity.did.text) == identity.did)
        // 0100…: the neutral element, which is of small order.
        let neutral: [UInt8] = [1] + [UInt8](repeating: 0, count: 31)
        #expect(throws: DIDError.unusableKey(.smallOrder)) {
            try DID(parsing: "did:key:z" + Base58.encode([0xED, 1] + neutral))
        }
        #expect(throws: DIDError.notEd25519) {
            try DID(parsing: "did:key:z" + Base58.encode([0xEC, 1] + identity.publicKey.rawBytes))
        }
        #expect(throws: DIDError.wrongLength(57)) { try DID(parsing: identity.did.text + "#") }
        #expect(throws: DIDError.notDIDKey) { try DID(parsing: "did:web:z") }
    }
}
