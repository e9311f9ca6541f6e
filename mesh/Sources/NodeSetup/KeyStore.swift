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
        let descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else {
            if errno == EEXIST {
                throw refusal("There is a key in \(path) already.", hint: "Keep it: it is the node's identity.")
            }
            let reason = Self.lastError
            throw NodeServiceError.noPermission(for: .making, of: path)
                ?? refusal("The key file \(path) cannot be written (\(reason)).", hint: Self.accessHint)
        }
        defer { close(descriptor) }
        let bytes = Array(text.utf8)
        // SAFETY: the system reads the bytes within the call, no more than there are.
        let written = bytes.withUnsafeBytes { Foundation.write(descriptor, $0.baseAddress, $0.count) }
        guard written == bytes.count, fsync(descriptor) == 0 else {
            let reason = Self.lastError
            unlink(path)
            throw refusal("The key file \(path) cannot be written (\(reason)).", hint: "Free some space and try again.")
        }
    }

    /// Whether the file needs a passphrase.
    package func isEncrypted() throws(NodeServiceError) -> Bool {
        let text = try read()
        do {
            return try KeyFile.isEncrypted(text)
        } catch {
            throw typed(error)
        }
    }

    /// The identity in the file; refuses a file that others can read or that belongs to another user.
    package func load(passphrase: String? = nil) throws(NodeServiceError) -> Identity {
        let text = try read()
        do {
            return try KeyFile.decode(text, passphrase: passphrase)
        } catch {
            throw typed(error)
        }
    }

    /// The text, after checking mode and owner of the opened file.
    private func read() throws(NodeServiceError) -> String {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else {
            let reason = Self.lastError
            throw NodeServiceError.noPermission(for: .reading, of: path)
                ?? refusal("The key file \(path) cannot be read (\(reason)).", hint: Self.accessHint)
        }
        let file = FileHandle(fileDescriptor: descriptor, closeOnDealloc: true)
        var information = stat()
        guard fstat(descriptor, &information) == 0, information.st_mode & S_IFMT == S_IFREG else {
            throw refusal("The key file \(path) is no file.", hint: Self.accessHint)
        }
        let mode = information.st_mode & 0o7777
        guard mode & 0o077 == 0 else {
            throw refusal(
                "The key file \(path) is open to others (mode \(String(mode, radix: 8))).",
                hint: "Close it with: chmod 600 \(path)")
        }
        guard information.st_uid == geteuid() || geteuid() == 0 else {
            throw refusal("The key file \(path) belongs to another user.", hint: Self.accessHint)
        }
        do {
            let data = try file.read(upToCount: KeyFile.bytesMax + 1) ?? Data()
            return String(decoding: data, as: UTF8.self)
        } catch {
            throw refusal("The key file \(path) cannot be read (\(error.localizedDescription)).", hint: Self.accessHint)
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

    private static let accessHint = "Check that the file exists and belongs to this user."
    private static var lastError: String { String(cString: strerror(errno)) }
}
