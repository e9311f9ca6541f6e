import IPLD
import Multiformats
import NodeSetup
import PeerIdentity
import SignedObjects
import Testing

@Suite struct KeyFileTests {
    private static let identity = Identity.generate()
    private static let quick = KeyFile.Work(log2: 10, blockSize: 8, parallelism: 1)

    private static func changed(_ text: String, _ key: String, _ value: IPLDValue?) throws -> String {
        guard case .map(let map) = try DAGJSON.decode(Array(text.utf8), form: .relaxed) else { return "" }
        var entries = map.entries.filter { $0.key != key }
        if let value { entries.append(.init(key: key, value: value)) }
        return try DAGJSON.text(of: .map(IPLDMap(entries)))
    }

    @Test func plainFiles() throws {
        let text = try KeyFile.encode(Self.identity)
        #expect(
            text.hasSuffix("\n") && text.contains(Self.identity.did.text) && text.contains(Self.identity.peerID.text))
        #expect(try KeyFile.decode(text).did == Self.identity.did)
        #expect(try !KeyFile.isEncrypted(text))
        let spaced = text.replacing(",", with: ",\n  ")
        #expect(try KeyFile.decode(spaced).did == Self.identity.did)
    }

    @Test func encryptedFiles() throws {
        let work = try #require(Self.quick)
        let text = try KeyFile.encode(Self.identity, passphrase: "correct horse", work: work)
        #expect(try KeyFile.isEncrypted(text))
        #expect(try KeyFile.decode(text, passphrase: "correct horse").seed == Self.identity.seed)
        #expect(throws: KeyFileError.wrongPassphrase) { try KeyFile.decode(text, passphrase: "Correct horse") }
        #expect(throws: KeyFileError.passphraseNeeded) { try KeyFile.decode(text) }
        let seed = Multibase.encodeWithoutPrefix(Self.identity.seed, .base64)
        #expect(!text.contains(seed) && !text.contains(Multibase.encodeWithoutPrefix(Self.identity.seed, .base16)))
        #expect(text != (try KeyFile.encode(Self.identity, passphrase: "correct horse", work: work)))
    }

    @Test func standardWorkIsWithinTheLimits() throws {
        let text = try KeyFile.encode(Self.identity, passphrase: "p")
        #expect(try KeyFile.decode(text, passphrase: "p").did == Self.identity.did)
        #expect(KeyFile.Work(log2: 19, blockSize: 8, parallelism: 1) == nil)
        #expect(KeyFile.Work(log2: 9, blockSize: 8, parallelism: 1) == nil)
        #expect(KeyFile.Work(log2: 15, blockSize: 17, parallelism: 1) == nil)
        #expect(KeyFile.Work(log2: 15, blockSize: 8, parallelism: 0) == nil)
    }

    @Test func changedFiles() throws {
        let plain = try KeyFile.encode(Self.identity)
        let other = Identity.generate()
        #expect(throws: KeyFileError.keysDisagree) {
            try KeyFile.decode(Self.changed(plain, "did", .string(other.did.text)))
        }
        #expect(throws: KeyFileError.malformed) { try KeyFile.decode(Self.changed(plain, "did", nil)) }
        #expect(throws: KeyFileError.malformed) { try KeyFile.decode(Self.changed(plain, "seed", .bytes([1]))) }
        #expect(throws: KeyFileError.unsupportedVersion) {
            try KeyFile.decode(Self.changed(plain, "version", .unsigned(2)))
        }
        #expect(throws: KeyFileError.notAKeyFile) { try KeyFile.decode(Self.changed(plain, "format", .string("pem"))) }
        for text in ["", "{}", "[]", "-----BEGIN PRIVATE KEY-----", "\u{0}"] {
            #expect(throws: KeyFileError.notAKeyFile) { try KeyFile.decode(text) }
        }
        #expect(throws: KeyFileError.tooLarge(bytesMax: 16 << 10)) {
            try KeyFile.decode(String(repeating: " ", count: 16385))
        }
        let work = try #require(Self.quick)
        let encrypted = try KeyFile.encode(Self.identity, passphrase: "p", work: work)
        #expect(throws: KeyFileError.wrongPassphrase) {
            try KeyFile.decode(Self.changed(encrypted, "did", .string(other.did.text)), passphrase: "p")
        }
        let heavy: IPLDValue = .map([
            "log2_n": .unsigned(40), "r": .unsigned(8), "p": .unsigned(1), "salt": .bytes([1]),
        ])
        #expect(throws: KeyFileError.malformed) {
            try KeyFile.decode(Self.changed(encrypted, "scrypt", heavy), passphrase: "p")
        }
    }
}
