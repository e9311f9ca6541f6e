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

    @Test("A DID that was read before is the same DID, and another spelling of it is refused")
    func readBefore() throws {
        let identity = Identity.generate()
        let text = identity.did.text
        for _ in 1...2 {
            let did = try DID(parsing: text)
            #expect(did == identity.did && did.text.isSameBytes(as: text) && did.publicKey == identity.publicKey)
            #expect(throws: DIDError.notDIDKey) { try DID(parsing: text.uppercased()) }
            // K, as the sign of kelvin, equals the letter K for Swift.
            #expect(throws: DIDError.wrongLength(58)) { try DID(parsing: text.dropLast() + "\u{212A}") }
            let swapped = String(text.dropLast()) + (text.last == "a" ? "b" : "a")
            #expect((try? DID(parsing: swapped)) != did)
        }
    }
}
