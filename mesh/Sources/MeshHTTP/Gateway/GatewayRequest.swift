import IPLD
import Multiformats

/// What a request to the gateway asks for.
///
/// Reading it does no work but on its own bytes, which are bounded. Source:
/// https://specs.ipfs.tech/http-gateways/trustless-gateway/#http-request
struct GatewayRequest: Hashable {
    /// The CID at the beginning of the path, as it is written.
    let root: CID
    /// The names behind it, as bytes.
    let names: [[UInt8]]
    /// The form of the answer.
    let format: GatewayFormat
    /// What of it an archive has.
    let scope: ArchiveWalk.Scope
    /// Whether the form follows from `Accept` alone.
    let isNegotiated: Bool

    /// The request with this target and `Accept` header.
    init(target: String, accept: String?, limits: GatewayLimits) throws(GatewayRefusal) {
        guard target.utf8.count <= limits.targetBytesMax else {
            throw GatewayRefusal(.uriTooLong, "Paths here have at most \(limits.targetBytesMax) bytes.")
        }
        let parts = target.split(separator: "?", maxSplits: 1, omittingEmptySubsequences: false)
        (root, names) = try Self.path(parts[0], limits)
        let query = try Self.query(parts.count > 1 ? parts[1] : "")
        isNegotiated = query["format"] == nil
        let accepted = accept ?? ""
        if let name = query["format"] {
            format = try GatewayFormat(named: name)
            // What the header says of this format is held to as well.
            if format == .car, query["car-version"] == nil, query["car-order"] == nil, query["car-dups"] == nil {
                _ = try GatewayFormat(accepting: accepted, only: .car)
            }
        } else if let known = try GatewayFormat(accepting: accepted) {
            format = known
        } else {
            throw GatewayRefusal(
                .notAcceptable,
                "This gateway gives blocks and archives that their readers can check, no files or pages. "
                    + GatewayRefusal.howToAsk)
        }
        scope = try Self.scope(query)
        if format == .raw { try Self.requireNone(query, names) }
    }

    // MARK: The path

    private static func path(_ text: Substring, _ limits: GatewayLimits) throws(GatewayRefusal) -> (CID, [[UInt8]]) {
        guard text.hasPrefix("/ipfs/") else {
            throw GatewayRefusal(.notFound, "There is nothing here but /ipfs/CID. \(GatewayRefusal.howToAsk)")
        }
        var names: [[UInt8]] = []
        for part in text.dropFirst(6).split(separator: "/") {
            let name = try decoded(part)
            // No client means them, and every proxy on the way makes something else of them.
            if name == [0x2E] || name == [0x2E, 0x2E] {
                throw GatewayRefusal(.badRequest, "Names in a path are taken as they are; . and .. are none.")
            }
            names.append(name)
            guard names.count <= limits.pathNamesMax + 1 else {
                throw GatewayRefusal(.badRequest, "A path here has at most \(limits.pathNamesMax) names.")
            }
        }
        guard let first = names.first else {
            throw GatewayRefusal(.badRequest, "There is no CID behind /ipfs/.")
        }
        guard let root = try? CID(parsing: String(decoding: first, as: UTF8.self)) else {
            throw GatewayRefusal(.badRequest, "What stands behind /ipfs/ is no CID.")
        }
        return (root, Array(names.dropFirst()))
    }

    /// The bytes that a percent-encoded text stands for.
    private static func decoded(_ text: Substring) throws(GatewayRefusal) -> [UInt8] {
        var bytes: [UInt8] = []
        var rest = text.utf8[...]
        while let byte = rest.popFirst() {
            guard byte == UInt8(ascii: "%") else {
                bytes.append(byte)
                continue
            }
            let digits = rest.prefix(2).compactMap { Character(UnicodeScalar($0)).hexDigitValue }
            guard digits.count == 2 else {
                throw GatewayRefusal(.badRequest, "A % in the path is not followed by two hexadecimal digits.")
            }
            bytes.append(UInt8(digits[0] << 4 | digits[1]))
            rest = rest.dropFirst(2)
        }
        return bytes
    }

    // MARK: The query

    private static let keys: Set<String> = [
        "format", "dag-scope", "entity-bytes", "car-version", "car-order", "car-dups",
    ]

    /// The parameters that mean something here; others are for other gateways.
    private static func query(_ text: Substring) throws(GatewayRefusal) -> [String: String] {
        var values: [String: String] = [:]
        for part in text.split(separator: "&") {
            let pair = part.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            let key = String(decoding: try decoded(pair[0]), as: UTF8.self)
            guard keys.contains(key) else { continue }
            let value = String(decoding: try decoded(pair.count > 1 ? pair[1] : ""), as: UTF8.self)
            // Caches and proxies would each take another one.
            guard values.updateValue(value, forKey: key) == nil else {
                throw GatewayRefusal(.badRequest, "\(key) is there twice.")
            }
        }
        return values
    }

    private static func scope(_ query: [String: String]) throws(GatewayRefusal) -> ArchiveWalk.Scope {
        for (key, value) in query where key.hasPrefix("car-") {
            try GatewayFormat.check(String(key.dropFirst(4)), value)
        }
        let named: ArchiveWalk.Scope? =
            switch query["dag-scope"] {
            case nil: nil
            case "block"?: .block
            case "entity"?: .entity
            case "all"?: .all
            case let other?:
                throw GatewayRefusal(
                    .badRequest, "dag-scope is block, entity or all, not \(GatewayFormat.quoted(other)).")
            }
        guard let text = query["entity-bytes"] else { return named ?? .all }
        guard let bytes = EntityBytes(text) else {
            throw GatewayRefusal(.badRequest, "entity-bytes is a range such as 0:1023, 0:* or -1024:*.")
        }
        guard named == nil || named == .entity else {
            throw GatewayRefusal(.badRequest, "entity-bytes goes with dag-scope=entity.")
        }
        return .bytes(bytes)
    }

    private static func requireNone(_ query: [String: String], _ names: [[UInt8]]) throws(GatewayRefusal) {
        guard names.isEmpty else {
            throw GatewayRefusal(.badRequest, "A block is named by its CID alone; a path leads into an archive.")
        }
        if let key = query.keys.filter({ $0 != "format" }).sorted().first {
            throw GatewayRefusal(.badRequest, "\(key) is for archives (format=car).")
        }
    }

    // MARK: What names the answer

    /// The path as this gateway writes it.
    var path: String {
        "/ipfs/\(root.text)" + names.map { "/" + Self.encoded($0) }.joined()
    }

    /// The target of the same request without `Accept`.
    var canonicalTarget: String {
        switch (format, scope) {
        case (.raw, _): "\(path)?format=raw"
        case (.car, .block): "\(path)?format=car&dag-scope=block"
        case (.car, .entity): "\(path)?format=car&dag-scope=entity"
        case (.car, .bytes(let bytes)): "\(path)?format=car&dag-scope=entity&entity-bytes=\(bytes.text)"
        case (.car, .all): "\(path)?format=car&dag-scope=all"
        }
    }

    /// The name of the answer's bytes, which are always the same: the scope, the CID, the form, and a hash of the rest.
    var entityTag: String {
        guard format == .car else { return "\"\(root.text).raw\"" }
        let digest = CID.hashing(Array(canonicalTarget.utf8), codec: .raw).text.suffix(20)
        let name =
            switch scope {
            case .block: "block"
            case .entity: "entity"
            case .bytes(let bytes): "entity-\(bytes.text)"
            case .all: "all"
            }
        return "\"\(name).\(root.text).car.\(digest)\""
    }

    /// Whether an `If-None-Match` header names the answer.
    func isKnown(by header: String?) -> Bool {
        header.map { EntityTag(quoted: entityTag).isKnown(by: $0) } ?? false
    }

    private static func encoded(_ name: [UInt8]) -> String {
        let digits = Array("0123456789ABCDEF".unicodeScalars)
        var text = String.UnicodeScalarView()
        for byte in name {
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"),
                UInt8(ascii: "~"):
                text.append(UnicodeScalar(byte))
            default:
                text.append("%")
                text.append(digits[Int(byte >> 4)])
                text.append(digits[Int(byte & 0xF)])
            }
        }
        return String(text)
    }
}
