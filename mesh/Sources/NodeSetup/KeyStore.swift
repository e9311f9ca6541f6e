import Foundation
package import NodeAPI
package import PeerIdentity
import SignedObjects

/// The file with a node's key: made once, readable only by its owner, refused if others can read it.
package struct KeyStore: Sendable {
    /// Where the file is.
    package let path: String

    /// The key file at a path; nothing is read yet.
    package init(path: String) {
        self.path = path
    }

    /// Makes a new key and writes it, encrypted if there is a passphrase; never replaces a file.
    package func create(passphrase: String? = nil) throws(NodeServiceError) -> Identity {
        let identity = Identity.generate()
        try write(identity, passphrase: passphrase)
        return identity
    }

    /// Writes an identity to a new file of mode 0600, and syncs it to the disk.
    package func write(_ identity: Identity, passphrase: String? = nil) throws(NodeServiceError) {
        let text: String
        do {
            text = try KeyFile.encode(identity, passphrase: passphrase)
        } catch {
            throw refusal("The key cannot be encrypted: \(error).", hint: "Try again with another passphrase.")
        }
        try file.create(
            text, taken: refusal("There is a key in \(path) already.", hint: "Keep it: it is the node's identity."))
    }

    /// Whether the file needs a passphrase.
    package func isEncrypted() throws(NodeServiceError) -> Bool {
        let text = try file.read()
        do {
            return try KeyFile.isEncrypted(text)
        } catch {
            throw typed(error)
        }
    }

    /// The identity in the file; refuses a file that others can read or that belongs to another user.
    package func load(passphrase: String? = nil) throws(NodeServiceError) -> Identity {
        let text = try file.read()
        do {
            return try KeyFile.decode(text, passphrase: passphrase)
        } catch {
            throw typed(error)
        }
    }

    private func typed(_ error: KeyFileError) -> NodeServiceError {
        switch error {
        case .passphraseNeeded:
            refusal(
                "The key file \(path) is encrypted.", hint: "Give its passphrase in MESH_PASSPHRASE or at the prompt.")
        case .wrongPassphrase:
            refusal("The passphrase does not open \(path).", hint: "Check MESH_PASSPHRASE, or try again.")
        case .unsupportedVersion:
            refusal("The key file \(path) is of a newer version.", hint: "Use a newer mesh.")
        case .notAKeyFile, .malformed, .keysDisagree, .tooLarge, .encryptionFailed:
            refusal("The key file \(path) is damaged: \(error).", hint: "Restore it from a copy.")
        }
    }

    private func refusal(_ message: String, hint: String) -> NodeServiceError {
        NodeServiceError(.keyUnusable, message, hint: hint)
    }

    private var file: SecretFile { SecretFile(path: path, name: "key file", bytesMax: KeyFile.bytesMax) }
}
