import Multiformats

extension NodeConfiguration {
    /// The API over TCP, which the node's owner uses by browser and by programs that take no Unix socket.
    package struct API: Hashable, Sendable, Codable {
        /// Where it listens, such as `127.0.0.1:4080`; nil means nowhere.
        package var listen: String?
        /// The file of the certificate with which it speaks TLS, in PEM, with those between it and its root; nil means
        /// no TLS.
        package var tlsCertificate: String?
        /// The file of that certificate's key, in PEM.
        package var tlsKey: String?
        /// What clients call it, if that is not the address at which it listens.
        package var name: String?

        /// Nowhere.
        package init() {}

        /// The host and the port that it listens on; nil if it does not.
        package var place: (host: String, port: Int)? { listen.flatMap(Self.place) }

        /// What `mesh up --api` without an address means.
        package static let usual = "127.0.0.1:4080"

        /// The host and the port in a text: an IPv4 address, or an IPv6 address in brackets, and a port. Not a name
        /// such as `localhost`, which is two addresses: at the other one somebody else could listen.
        static func place(_ text: String) -> (host: String, port: Int)? {
            guard let colon = text.lastIndex(of: ":") else { return nil }
            let digits = text[text.index(after: colon)...]
            guard (1...5).contains(digits.utf8.count), digits.utf8.allSatisfy({ (0x30...0x39).contains($0) }),
                let port = Int(digits), port <= 65_535
            else { return nil }
            let host = text[..<colon]
            let isBracketed = host.hasPrefix("[") && host.hasSuffix("]") && host.count > 2
            let bare = String(isBracketed ? host.dropFirst().dropLast() : host)
            let family = isBracketed ? "ip6" : "ip4"
            guard (try? Multiaddr(parsing: "/\(family)/\(bare)/tcp/\(port)")) != nil else { return nil }
            return (bare, port)
        }

        /// Whether a host is this machine alone.
        private static func isLoopback(_ host: String) -> Bool { host == "::1" || host.hasPrefix("127.") }

        /// Whether a host stands for all addresses of this machine.
        private static func isEverywhere(_ host: String) -> Bool {
            if host == "0.0.0.0" { return true }
            guard case .ip6(let bytes)? = (try? Multiaddr(parsing: "/ip6/\(host)"))?.components.first else {
                return false
            }
            let isMapped = bytes.prefix(12) == [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF]
            return bytes.allSatisfy { $0 == 0 } || (isMapped && bytes.suffix(4).allSatisfy { $0 == 0 })
        }

        /// Whether a text is the name of a host: letters, digits, hyphens and full stops.
        static func isName(_ text: String) -> Bool {
            (1...253).contains(text.utf8.count) && !text.hasPrefix(".") && !text.hasPrefix("-")
                && text.utf8.allSatisfy { byte in
                    (0x61...0x7A).contains(byte) || (0x30...0x39).contains(byte) || byte == 0x2D || byte == 0x2E
                }
        }

        /// Why no node can listen so, as a clause that names the keys; nil if one can.
        var fault: String? {
            switch (tlsCertificate, tlsKey) {
            case (_?, nil): return "api.tls_certificate needs the key of the certificate, in api.tls_key"
            case (nil, _?): return "api.tls_key needs its certificate, in api.tls_certificate"
            default: break
            }
            guard let listen, let place else { return nil }
            if tlsCertificate == nil, !Self.isLoopback(place.host) {
                return "api.listen \(listen) is beyond this machine, where the API speaks TLS alone: "
                    + "api.tls_certificate and api.tls_key are missing"
            }
            if name == nil, Self.isEverywhere(place.host) {
                return "api.listen \(listen) is every address of this machine, so api.name has to say what clients "
                    + "call it, as the certificate does"
            }
            return nil
        }

        /// Writes every key, one without a value as null.
        package func encode(to encoder: any Encoder) throws {
            var container = encoder.container(keyedBy: CodingKeys.self)
            try container.encode(listen, forKey: .listen)
            try container.encode(tlsCertificate, forKey: .tlsCertificate)
            try container.encode(tlsKey, forKey: .tlsKey)
            try container.encode(name, forKey: .name)
        }

        private enum CodingKeys: String, CodingKey {
            case listen, name
            case tlsCertificate = "tls_certificate"
            case tlsKey = "tls_key"
        }

        /// Reads what is given; `ConfigurationRule` has checked it.
        package init(from decoder: any Decoder) throws {
            let container = try decoder.container(keyedBy: CodingKeys.self)
            listen = try container.decodeIfPresent(String.self, forKey: .listen)
            tlsCertificate = try container.decodeIfPresent(String.self, forKey: .tlsCertificate)
            tlsKey = try container.decodeIfPresent(String.self, forKey: .tlsKey)
            name = try container.decodeIfPresent(String.self, forKey: .name)
        }
    }
}

extension ConfigurationRule {
    /// What settings of the API contradict each other, as a clause; nil if none do. What each of them says is checked
    /// before.
    static func apiFault(in file: ConfigurationValue) -> String? {
        guard case .group(let groups) = file, case .group(let values)? = groups["api"] else { return nil }
        func text(_ key: String) -> String? { if case .text(let text)? = values[key] { text } else { nil } }
        var api = NodeConfiguration.API()
        (api.listen, api.name) = (text("listen"), text("name"))
        (api.tlsCertificate, api.tlsKey) = (text("tls_certificate"), text("tls_key"))
        return api.fault
    }
}
