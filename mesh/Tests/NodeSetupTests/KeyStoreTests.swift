import Foundation
import NodeAPI
import NodeSetup
import P2PTesting
import PeerIdentity
import SignedObjects
import Testing

@Suite struct KeyStoreTests {
    @Test func aKeyIsMadeOnceOwnerOnlyAndReadBack() throws {
        let folder = try TestFolder()
        let store = KeyStore(path: folder.path + "/identity.key")
        let identity = try store.create()
        #expect(try store.load().did == identity.did)
        #expect(try store.isEncrypted() == false)
        let attributes = try FileManager.default.attributesOfItem(atPath: store.path)
        #expect(attributes[.posixPermissions] as? Int == 0o600)
        #expect(
            throws: NodeServiceError(
                .keyUnusable, "There is a key in \(store.path) already.", hint: "Keep it: it is the node's identity.")
        ) { _ = try store.create() }
        #expect(try store.load().did == identity.did)
    }

    @Test func aKeyThatOthersCanReadIsRefused() throws {
        let folder = try TestFolder()
        let store = KeyStore(path: folder.path + "/identity.key")
        _ = try store.create()
        for mode in [0o640, 0o604, 0o620, 0o601] {
            try FileManager.default.setAttributes([.posixPermissions: mode], ofItemAtPath: store.path)
            #expect(
                throws: NodeServiceError(
                    .keyUnusable, "The key file \(store.path) is open to others (mode \(String(mode, radix: 8))).",
                    hint: "Close it with: chmod 600 \(store.path)")
            ) { _ = try store.load() }
        }
    }

    @Test func anEncryptedKeyNeedsItsPassphrase() throws {
        let folder = try TestFolder()
        let store = KeyStore(path: folder.path + "/identity.key")
        let identity = try store.create(passphrase: "correct horse")
        #expect(try store.isEncrypted())
        #expect(try store.load(passphrase: "correct horse").did == identity.did)
        #expect(
            throws: NodeServiceError(
                .keyUnusable, "The passphrase does not open \(store.path).",
                hint: "Check MESH_PASSPHRASE, or try again.")
        ) { _ = try store.load(passphrase: "wrong horse") }
        #expect(
            throws: NodeServiceError(
                .keyUnusable, "The key file \(store.path) is encrypted.",
                hint: "Give its passphrase in MESH_PASSPHRASE or at the prompt.")
        ) { _ = try store.load() }
    }

    @Test func aMissingOrDamagedKeyIsNamed() throws {
        let folder = try TestFolder()
        let store = KeyStore(path: folder.path + "/identity.key")
        #expect(
            throws: NodeServiceError(
                .keyUnusable, "The key file \(store.path) cannot be read (No such file or directory).",
                hint: "Check that the file exists and belongs to this user.")
        ) { _ = try store.load() }
        try Data("garbage".utf8).write(to: URL(filePath: store.path))
        try FileManager.default.setAttributes([.posixPermissions: 0o600], ofItemAtPath: store.path)
        #expect(
            throws: NodeServiceError(
                .keyUnusable, "The key file \(store.path) is damaged: it is no key file.",
                hint: "Restore it from a copy.")
        ) { _ = try store.load() }
    }
}
