import Foundation
package import NodeAPI

/// A file with a secret: made once, readable only by its owner, refused if others can read it.
struct SecretFile: Sendable {
    /// Where it is.
    let path: String
    /// What it is, such as `key file`.
    let name: String
    /// The most bytes that are read of it.
    let bytesMax: Int

    /// Writes a new file of mode 0600, and syncs it to the disk; never replaces a file.
    func create(_ text: String, taken: NodeServiceError) throws(NodeServiceError) {
        let descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else {
            if errno == EEXIST { throw taken }
            let reason = Self.lastError
            throw NodeServiceError.noPermission(for: .making, of: path)
                ?? refusal("cannot be written (\(reason))", hint: Self.accessHint)
        }
        defer { close(descriptor) }
        let bytes = Array(text.utf8)
        // SAFETY: the system reads the bytes within the call, no more than there are.
        let written = bytes.withUnsafeBytes { Foundation.write(descriptor, $0.baseAddress, $0.count) }
        guard written == bytes.count, fsync(descriptor) == 0 else {
            let reason = Self.lastError
            unlink(path)
            throw refusal("cannot be written (\(reason))", hint: "Free some space and try again.")
        }
    }

    /// The text, after checking mode and owner of the opened file.
    func read() throws(NodeServiceError) -> String {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else {
            let reason = Self.lastError
            throw NodeServiceError.noPermission(for: .reading, of: path)
                ?? refusal("cannot be read (\(reason))", hint: Self.accessHint)
        }
        let file = FileHandle(fileDescriptor: descriptor, closeOnDealloc: true)
        var information = stat()
        guard fstat(descriptor, &information) == 0, information.st_mode & S_IFMT == S_IFREG else {
            throw refusal("is no file", hint: Self.accessHint)
        }
        let mode = information.st_mode & 0o7777
        guard mode & 0o077 == 0 else {
            throw refusal(
                "is open to others (mode \(String(mode, radix: 8)))", hint: "Close it with: chmod 600 \(path)")
        }
        guard information.st_uid == geteuid() || geteuid() == 0 else {
            throw refusal("belongs to another user", hint: Self.accessHint)
        }
        do {
            let data = try file.read(upToCount: bytesMax + 1) ?? Data()
            return String(decoding: data, as: UTF8.self)
        } catch {
            throw refusal("cannot be read (\(error.localizedDescription))", hint: Self.accessHint)
        }
    }

    /// What is wrong with the file, as a failure.
    func refusal(_ clause: String, hint: String) -> NodeServiceError {
        NodeServiceError(.keyUnusable, "The \(name) \(path) \(clause).", hint: hint)
    }

    private static let accessHint = "Check that the file exists and belongs to this user."
    private static var lastError: String { String(cString: strerror(errno)) }
}

extension APITokens {
    /// The tokens in a node's home; makes those that are missing.
    ///
    /// Each file has one token of visible ASCII (`APISecret`); a file that others can read, or that has something else
    /// in it, is refused.
    package static func obtain(in home: NodeHome) throws(NodeServiceError) -> APITokens {
        let full = try obtain(at: home.apiTokenPath)
        let read = try obtain(at: home.apiReadTokenPath)
        guard full != read else {
            throw file(home.apiReadTokenPath).refusal(
                "has the token that may do everything", hint: "Remove it, and start the node for a new one.")
        }
        return APITokens(full: full, read: read)
    }

    /// Why a token that is in a node's home cannot be used; nil if all can, or there are none. Makes none.
    package static func fault(in home: NodeHome) -> NodeServiceError? {
        for path in [home.apiTokenPath, home.apiReadTokenPath] where FileManager.default.fileExists(atPath: path) {
            do {
                _ = try secret(at: path)
            } catch {
                return error
            }
        }
        return nil
    }

    private static func obtain(at path: String) throws(NodeServiceError) -> APISecret {
        let file = file(path)
        if !FileManager.default.fileExists(atPath: path) {
            let taken = file.refusal("is there already", hint: "Another program made it; try again.")
            try file.create(APISecret.random().text + "\n", taken: taken)
        }
        return try secret(at: path)
    }

    private static func secret(at path: String) throws(NodeServiceError) -> APISecret {
        let file = file(path)
        let text = try file.read()
        guard let secret = APISecret(text.hasSuffix("\n") ? String(text.dropLast()) : text) else {
            throw file.refusal(
                "has no token of \(APISecret.charactersMin) to \(APISecret.charactersMax) visible characters",
                hint: "Remove it, and start the node for a new one.")
        }
        return secret
    }

    private static func file(_ path: String) -> SecretFile {
        SecretFile(path: path, name: "token file", bytesMax: APISecret.charactersMax + 1)
    }
}
