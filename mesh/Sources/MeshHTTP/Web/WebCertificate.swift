package import Foundation
package import Logging
import Multiformats
import NIOSSL
package import NodeAPI
import Synchronization

/// The certificate with which the API speaks TLS. It is read again when the node reads its settings: connections that
/// are made from then on get the new one.
package final class WebCertificate: Sendable {
    private let read: @Sendable () throws(NodeServiceError) -> TLSIdentity
    private let host: String
    private let logger: Logger
    private let current: Mutex<Loaded>
    /// Who reads it again does so alone: what was read last is what stays.
    private let renewing = Mutex(())

    /// What was read: what connections are made with, and what it is.
    private struct Loaded: Sendable {
        let context: NIOSSLContext
        let facts: CertificateFacts
    }

    /// Reads the certificate for the first time; refuses one that no client could take.
    ///
    /// - Parameter host: what clients call the node, as the certificate should; one that does not is told of in the
    ///   log.
    package init(
        for host: String, logger: Logger,
        reading read: @escaping @Sendable () throws(NodeServiceError) -> TLSIdentity
    ) throws(NodeServiceError) {
        (self.read, self.host, self.logger) = (read, host, logger)
        current = Mutex(try Self.loaded(try read()))
        tellOfHost()
    }

    /// What the next connection is set up with.
    var context: NIOSSLContext { current.withLock { $0.context } }

    /// What it is, by its SHA-256.
    var fingerprint: String { current.withLock { $0.facts.fingerprint } }

    /// Reads the certificate again; where it cannot be used, the one before stays.
    package func renew() throws(NodeServiceError) {
        do throws(NodeServiceError) {
            try renewing.withLock { _ throws(NodeServiceError) in
                let next = try Self.loaded(try read())
                current.withLock { $0 = next }
            }
            logger.info("The API's TLS certificate was read again.")
            tellOfHost()
        } catch {
            logger.warning("The API goes on with the TLS certificate that it has.", metadata: ["reason": "\(error)"])
            throw NodeServiceError(
                error.code, "The API goes on with the TLS certificate that it has. \(error.message)", hint: error.hint)
        }
    }

    private func tellOfHost() {
        guard !current.withLock({ $0.facts.isFor(host) }) else { return }
        logger.warning(
            "The API's TLS certificate is not for the name that clients call it, so they turn away.",
            metadata: ["name": "\(host)"])
    }

    private static func loaded(_ identity: TLSIdentity) throws(NodeServiceError) -> Loaded {
        let now = Date()
        return Loaded(context: try context(identity, at: now), facts: try facts(of: identity, at: now))
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

    /// What a certificate is; refuses one that no client could take.
    package static func facts(of identity: TLSIdentity, at date: Date) throws(NodeServiceError) -> CertificateFacts {
        _ = try context(identity, at: date)
        guard let leaf = (try? NIOSSLCertificate.fromPEMBytes(identity.certificate))?.first,
            let bytes = try? leaf.toDERBytes()
        else { throw refusal("The TLS certificate \(identity.certificatePath) has no certificate in PEM.") }
        var facts = CertificateFacts(
            end: Date(timeIntervalSince1970: Double(leaf.notValidAfter)),
            fingerprint: hex(CID.hashing(bytes, codec: .raw).bytes.suffix(32)))
        for name in leaf._subjectAlternativeNames() {
            if name.nameType == .dnsName {
                facts.names.append(String(decoding: name.contents, as: UTF8.self).lowercased())
            } else if name.nameType == .ipAddress {
                facts.addresses.append(Array(name.contents))
            }
        }
        return facts
    }

    private static func hex(_ bytes: some Sequence<UInt8>) -> String {
        bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
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
