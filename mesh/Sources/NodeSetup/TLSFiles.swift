import Foundation
package import NodeAPI

/// The certificate and the key with which a node's API speaks TLS, as their files say.
package struct TLSFiles: Sendable {
    /// The most bytes that are read of either file.
    package static let bytesMax = 256 * 1024

    private let certificatePath: String
    private let keyPath: String

    /// The files that a configuration names; nil if it names none.
    package init?(_ api: NodeConfiguration.API) {
        guard let certificate = api.tlsCertificate, let key = api.tlsKey else { return nil }
        (certificatePath, keyPath) = (certificate, key)
    }

    /// Reads both; a key that others can read is refused.
    package func read() throws(NodeServiceError) -> TLSIdentity {
        let key = try SecretFile(path: keyPath, name: "TLS key", bytesMax: Self.bytesMax).read()
        let certificate = FileHandle(forReadingAtPath: certificatePath).flatMap { file in
            try? file.read(upToCount: Self.bytesMax + 1) ?? Data()
        }
        guard let certificate else {
            let isThere = FileManager.default.fileExists(atPath: certificatePath)
            throw NodeServiceError.noPermission(for: .reading, of: certificatePath)
                ?? NodeServiceError(
                    .configurationInvalid,
                    "The TLS certificate \(certificatePath) \(isThere ? "cannot be read" : "is missing").",
                    hint: "Name it in api.tls_certificate; docs/api.md tells how to make one.")
        }
        for (bytes, what) in [
            (certificate.count, "certificate \(certificatePath)"), (key.utf8.count, "key \(keyPath)"),
        ]
        where bytes > Self.bytesMax {
            throw NodeServiceError(
                .configurationInvalid, "The TLS \(what) is longer than \(Self.bytesMax) bytes.",
                hint: "It has to be one in PEM, as docs/api.md tells.")
        }
        return TLSIdentity(
            certificatePath: certificatePath, keyPath: keyPath, certificate: Array(certificate), key: Array(key.utf8))
    }
}
