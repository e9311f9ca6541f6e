package import Foundation
import Multiformats

/// What a certificate says of itself.
package struct CertificateFacts: Hashable, Sendable {
    /// When it is no longer good.
    package var end: Date
    /// The SHA-256 of its DER, in hexadecimal digits.
    package var fingerprint: String
    /// The names of hosts that it is for, in small letters; `*` may stand for the first label of one.
    package var names: [String] = []
    /// The IP addresses that it is for, of 4 or 16 bytes each.
    package var addresses: [[UInt8]] = []

    /// A certificate that is for no host yet.
    package init(end: Date, fingerprint: String) {
        (self.end, self.fingerprint) = (end, fingerprint)
    }

    /// Whether clients that call a host by this name, or by this IP address, take the certificate as its own. Its
    /// common name counts for nothing, as for them.
    ///
    /// Source: https://www.rfc-editor.org/rfc/rfc9525#section-6
    package func isFor(_ host: String) -> Bool {
        if let address = Self.address(host) { return addresses.contains(address) }
        let host = host.lowercased()
        let parent = host.dropFirst().firstIndex(of: ".").map { host[$0...] }
        return names.contains { name in
            name == host || (name.hasPrefix("*.") && parent.map { name.dropFirst() == $0 } == true)
        }
    }

    private static func address(_ host: String) -> [UInt8]? {
        let family = host.contains(":") ? "ip6" : "ip4"
        switch (try? Multiaddr(parsing: "/\(family)/\(host)"))?.components.first {
        case .ip4(let bytes)?: return Array(bytes)
        case .ip6(let bytes)?: return Array(bytes)
        default: return nil
        }
    }
}
