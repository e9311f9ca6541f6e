package import Foundation
package import Logging
import NIOSSL
package import NodeAPI
import Synchronization

/// The certificate with which the API speaks TLS. It is read again when the node reads its settings: connections that
/// are made from then on get the new one.
package final class WebCertificate: Sendable {
    private let read: @Sendable () throws(NodeServiceError) -> TLSIdentity
    private let logger: Logger
    private let current: Mutex<NIOSSLContext>

    /// Reads the certificate for the first time; refuses one that no client could take.
    package init(
        logger: Logger, reading read: @escaping @Sendable () throws(NodeServiceError) -> TLSIdentity
    ) throws(NodeServiceError) {
        (self.read, self.logger) = (read, logger)
        current = Mutex(try Self.context(try read(), at: Date()))
    }

    /// What the next connection is set up with.
    var context: NIOSSLContext { current.withLock { $0 } }

    /// Reads the certificate again; where it cannot be used, the one before stays.
    package func renew() throws(NodeServiceError) {
        do throws(NodeServiceError) {
            let next = try Self.context(try read(), at: Date())
            current.withLock { $0 = next }
            logger.info("The API's TLS certificate was read again.")
        } catch {
            logger.warning("The API goes on with the TLS certificate that it has.", metadata: ["reason": "\(error)"])
            throw NodeServiceError(
                error.code, "The API goes on with the TLS certificate that it has. \(error.message)", hint: error.hint)
        }
    }

    /// What TLS connections are made with: TLS 1.2 and 1.3, HTTP/1.1.
    static func context(_ identity: TLSIdentity, at date: Date) throws(NodeServiceError) -> NIOSSLContext {
        let (path, keyPath) = (identity.certificatePath, identity.keyPath)
        guard let chain = try? NIOSSLCertificate.fromPEMBytes(identity.certificate), let leaf = chain.first else {
            throw refusal("The TLS certificate \(path) has no certificate in PEM.")
        }
        let now = date.timeIntervalSince1970
        if now > Double(leaf.notValidAfter) {
            throw refusal("The TLS certificate \(path) was good until \(day(leaf.notValidAfter)).", hint: "Renew it.")
        }
        if now < Double(leaf.notValidBefore) {
            throw refusal(
                "The TLS certificate \(path) is good from \(day(leaf.notValidBefore)) on.",
                hint: "Check this machine's clock.")
        }
        guard let key = try? NIOSSLPrivateKey(bytes: identity.key, format: .pem) else {
            throw refusal("The TLS key \(keyPath) has no key in PEM, or one with a passphrase.")
        }
        var configuration = TLSConfiguration.makeServerConfiguration(
            certificateChain: chain.map { .certificate($0) }, privateKey: .privateKey(key))
        configuration.minimumTLSVersion = .tlsv12
        configuration.applicationProtocols = ["http/1.1"]
        do {
            return try NIOSSLContext(configuration: configuration)
        } catch NIOSSLError.failedToLoadPrivateKey {
            throw refusal("The TLS key \(keyPath) is not that of the certificate \(path).")
        } catch {
            throw refusal("The TLS certificate \(path) cannot be used: \(error).")
        }
    }

    /// When a certificate ends; refuses one that no client could take.
    package static func end(of identity: TLSIdentity, at date: Date) throws(NodeServiceError) -> Date {
        _ = try context(identity, at: date)
        let leaf = (try? NIOSSLCertificate.fromPEMBytes(identity.certificate))?.first
        return Date(timeIntervalSince1970: Double(leaf?.notValidAfter ?? 0))
    }

    private static func refusal(
        _ sentence: String, hint: String = "docs/api.md tells how to make both."
    ) -> NodeServiceError {
        NodeServiceError(.configurationInvalid, sentence, hint: hint)
    }

    private static func day(_ seconds: Int) -> String {
        Date(timeIntervalSince1970: Double(seconds)).formatted(.iso8601)
    }
}
