/// Reads components off the text form.
struct MultiaddrTextReader {
    private var parts: ArraySlice<Substring>
    private(set) var position = 0

    init(_ text: String) throws(MultiaddrError) {
        if text.utf8.count > Multiaddr.bytesMax * 2 { throw .tooLong(bytesMax: Multiaddr.bytesMax) }
        // By bytes: as characters, a slash and an accent behind it are one.
        var parts = text.utf8.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false)
            .map { Substring($0) }[...]
        if text.isEmpty { throw .empty }
        guard parts.popFirst()?.isEmpty == true else { throw .noLeadingSlash }
        // One slash at the end is common in the wild, and ignored.
        if parts.last?.isEmpty == true { parts.removeLast() }
        if parts.isEmpty { throw .empty }
        self.parts = parts
    }

    mutating func next() throws(MultiaddrError) -> Multiaddr.Component? {
        guard let name = parts.popFirst() else { return nil }
        position += 1
        switch name {
        case "ip4": return .ip4(try value("ip4", IPAddressText.parse4))
        case "ip6": return .ip6(try value("ip6", IPAddressText.parse6))
        case "dns": return try checked(.dns(try value("dns") { String($0) }))
        case "dns4": return try checked(.dns4(try value("dns4") { String($0) }))
        case "dns6": return try checked(.dns6(try value("dns6") { String($0) }))
        case "dnsaddr": return try checked(.dnsaddr(try value("dnsaddr") { String($0) }))
        case "tcp": return .tcp(try value("tcp", Self.port))
        case "udp": return .udp(try value("udp", Self.port))
        case "quic-v1": return .quicV1
        case "tls": return .tls
        case "ws": return .ws
        case "wss": return .wss
        case "p2p", "ipfs": return .p2p(try value("p2p") { try? PeerID(parsing: String($0)) })
        case "p2p-circuit": return .p2pCircuit
        case "unix":
            let path = "/" + parts.joined(separator: "/")
            parts = []
            return try checked(.unix(path))
        default: throw .unknownProtocolName(component: position)
        }
    }

    private mutating func value<Value>(
        _ name: String, _ parse: (Substring) -> Value?
    ) throws(MultiaddrError) -> Value {
        guard let text = parts.popFirst() else { throw .missingValue(name) }
        guard let value = parse(text) else { throw .invalidValue(name) }
        return value
    }

    private func checked(_ component: Multiaddr.Component) throws(MultiaddrError) -> Multiaddr.Component {
        if !component.isValid { throw .invalidValue(component.name) }
        return component
    }

    private static func port(_ text: Substring) -> UInt16? {
        IPAddressText.decimal(text.utf8, digitsMax: 5).flatMap { UInt16(exactly: $0) }
    }
}

/// Reads components off the binary form.
struct MultiaddrByteReader {
    private var rest: ArraySlice<UInt8>

    init(_ bytes: [UInt8]) throws(MultiaddrError) {
        if bytes.count > Multiaddr.bytesMax { throw .tooLong(bytesMax: Multiaddr.bytesMax) }
        if bytes.isEmpty { throw .empty }
        rest = bytes[...]
    }

    mutating func next() throws(MultiaddrError) -> Multiaddr.Component? {
        if rest.isEmpty { return nil }
        let code = try varint()
        let component: Multiaddr.Component
        switch code {
        case 4: component = .ip4(Array(try take(4)))
        case 41: component = .ip6(Array(try take(16)))
        case 53: component = .dns(try text("dns"))
        case 54: component = .dns4(try text("dns4"))
        case 55: component = .dns6(try text("dns6"))
        case 56: component = .dnsaddr(try text("dnsaddr"))
        case 6: component = .tcp(try port())
        case 273: component = .udp(try port())
        case 461: component = .quicV1
        case 448: component = .tls
        case 477: component = .ws
        case 478: component = .wss
        case 421:
            guard let peerID = try? PeerID(bytes: Array(try lengthPrefixed())) else { throw .invalidValue("p2p") }
            component = .p2p(peerID)
        case 290: component = .p2pCircuit
        case 400:
            component = .unix(try text("unix"))
            // A path takes the rest of the text, so nothing may follow it.
            if !rest.isEmpty { throw .invalidValue("unix") }
        default: throw .unknownProtocolCode(code)
        }
        if !component.isValid { throw .invalidValue(component.name) }
        return component
    }

    private mutating func varint() throws(MultiaddrError) -> UInt64 {
        do {
            let (value, after) = try Varint.decode(rest)
            rest = after
            return value
        } catch {
            throw .malformedVarint(error)
        }
    }

    private mutating func take(_ count: Int) throws(MultiaddrError) -> ArraySlice<UInt8> {
        if rest.count < count { throw .truncated }
        let taken = rest.prefix(count)
        rest = rest.dropFirst(count)
        return taken
    }

    private mutating func lengthPrefixed() throws(MultiaddrError) -> ArraySlice<UInt8> {
        let length = try varint()
        if length > UInt64(rest.count) { throw .truncated }
        return try take(Int(length))
    }

    private mutating func text(_ name: String) throws(MultiaddrError) -> String {
        guard let text = String(validating: try lengthPrefixed(), as: UTF8.self) else { throw .invalidValue(name) }
        return text
    }

    private mutating func port() throws(MultiaddrError) -> UInt16 {
        let bytes = try take(2)
        return UInt16(bytes[bytes.startIndex]) << 8 | UInt16(bytes[bytes.startIndex + 1])
    }
}
