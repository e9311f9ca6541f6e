import Multiformats

/// The names and the records of one node (libp2p's specs/discovery/mdns.md).
struct DiscoveryNames: Sendable {
    /// How long what a host alone says is true, in seconds, and the rest (RFC 6762, 10).
    static let hostLifeSeconds: UInt32 = 120
    static let lifeSeconds: UInt32 = 4_500
    /// The length of the random name: 32 characters at the least.
    static let labelBytes = 40
    /// The characters in hex of a network's name at the most.
    static let networkCharactersMax = 32

    /// All peers of the network.
    let service: DNSName
    /// This node among them.
    let instance: DNSName
    /// Its machine.
    let host: DNSName
    private static let services = name("_services._dns-sd._udp.local")
    private static let letters = Array("abcdefghijklmnopqrstuvwxyz0123456789".utf8)

    init(network: String?, using generator: inout some RandomNumberGenerator) {
        let label = (0..<Self.labelBytes).map { _ in Self.letters.randomElement(using: &generator) ?? 0x61 }
        service = Self.name("_p2p\(network.map { "-" + $0.prefix(Self.networkCharactersMax) } ?? "")._udp.local")
        let text = String(decoding: label, as: UTF8.self)
        instance = Self.name("\(text).\(service)")
        host = Self.name("\(text).p2p.local")
    }

    private static func name(_ text: String) -> DNSName {
        guard let name = DNSName(text) else { preconditionFailure("\(text) is no name") }
        return name
    }

    /// The question for all peers.
    var find: DNSMessage.Question { DNSMessage.Question(service, .pointer) }

    var query: DNSMessage {
        var message = DNSMessage(isResponse: false)
        message.questions = [find]
        return message
    }

    var farewell: DNSMessage {
        var message = DNSMessage(isResponse: true)
        message.answers = [
            DNSMessage.Record(service, .pointer(instance), lifeSeconds: 0, isUnique: false)
        ]
        return message
    }

    /// Whether this node has something to answer.
    func answers(_ question: DNSMessage.Question) -> Bool {
        let kinds: Set<DNSMessage.Kind> =
            switch question.name {
            case service, Self.services: [.pointer, .any]
            case instance: [.service, .texts, .any]
            case host: [.ip4, .ip6, .any]
            default: []
            }
        return kinds.contains(question.kind)
    }

    /// Whether the asker of all peers says that it knows this one, and not only for a short while (RFC 6762, 7.1).
    func isKnown(to query: DNSMessage, _ question: DNSMessage.Question) -> Bool {
        question.name == service
            && query.answers.contains { record in
                record.name == service && record.content == .pointer(instance)
                    && record.lifeSeconds >= Self.lifeSeconds / 2
            }
    }

    /// The answer to questions: what was asked first, then all the rest.
    func answer(to questions: Set<DNSMessage.Question>, _ addresses: [Multiaddr]) -> DNSMessage {
        var message = DNSMessage(isResponse: true)
        var records = [DNSMessage.Record(service, .pointer(instance), lifeSeconds: Self.lifeSeconds, isUnique: false)]
        if questions.contains(where: { $0.name == Self.services }) {
            records.append(
                DNSMessage.Record(Self.services, .pointer(service), lifeSeconds: Self.lifeSeconds, isUnique: false))
        }
        records.append(
            DNSMessage.Record(
                instance, .texts(addresses.compactMap(Self.text)), lifeSeconds: Self.lifeSeconds, isUnique: true))
        for case .tcp(let port) in addresses.lazy.flatMap(\.components).prefix(2).suffix(1) {
            records.append(
                DNSMessage.Record(
                    instance, .service(port: port, host: host), lifeSeconds: Self.hostLifeSeconds, isUnique: true))
        }
        var seen: Set<DNSMessage.Content> = []
        for address in addresses {
            let content: DNSMessage.Content
            switch address.components.first {
            case .ip4(let bytes): content = .ip4(bytes)
            case .ip6(let bytes): content = .ip6(bytes)
            default: continue
            }
            guard seen.insert(content).inserted else { continue }
            records.append(
                DNSMessage.Record(host, content, lifeSeconds: Self.hostLifeSeconds, isUnique: true))
        }
        for record in records {
            let isAsked = questions.contains { $0.name == record.name && ($0.kind == record.kind || $0.kind == .any) }
            if isAsked { message.answers.append(record) } else { message.additions.append(record) }
        }
        return message
    }

    private static let attribute = Array("dnsaddr=".utf8)

    /// An address as a text of a record; nil if it is too long for one.
    static func text(_ address: Multiaddr) -> [UInt8]? {
        let text = attribute + address.text.utf8
        return text.count <= DNSMessage.Limits.textBytesMax ? text : nil
    }

    /// The address in a text, if it is one of a machine. py-libp2p numbers the attributes: `dnsaddr2`.
    static func address(in text: [UInt8]) -> Multiaddr? {
        let key = text.prefix { $0 != 0x3D }
        let plain = attribute.dropLast()
        guard key.starts(with: plain), key.dropFirst(plain.count).allSatisfy({ (0x30...0x39).contains($0) }),
            key.count < text.count,
            let address = try? Multiaddr(parsing: String(decoding: text[(key.count + 1)...], as: UTF8.self)),
            address.components.count == 3
        else { return nil }
        switch (address.components[0], address.components[1]) {
        case (.ip4, .tcp), (.ip6, .tcp): return address
        default: return nil
        }
    }
}
