import Foundation
import MerkleLog
import MeshTypes
import Multiformats
import SignedObjects

/// What `config.json` may say, key by key: the one place for the form and the bounds of settings.
///
/// The file is first read as plain JSON and checked against these rules, so that an error can name the key, what was
/// found there and what is allowed; only then are the values used.
indirect enum ConfigurationRule: Sendable {
    /// `true` or `false`.
    case flag
    /// A whole number in a range.
    case count(ClosedRange<UInt64>)
    /// A text; the clause says which ones, the test decides.
    case text(String, @Sendable (String) -> Bool)
    /// A list of texts of one kind.
    case list(ConfigurationRule)
    /// A group of settings.
    case group([(key: String, rule: ConfigurationRule)])

    /// The rules of the whole file.
    static let file = ConfigurationRule.group([
        ("listen", .list(address)),
        ("announce", .list(address)),
        ("bootstrap", .list(address)),
        ("mdns", .flag),
        (
            "mdns_network",
            .text("1 to 32 of the characters 0 to 9 and a to f") { text in
                (1...32).contains(text.utf8.count) && text.utf8.allSatisfy { "0123456789abcdef".utf8.contains($0) }
            }
        ),
        ("executor", executor),
        ("originator", originator),
        ("region", name),
        ("credit_grant", .count(0...UInt64(Int64.max))),
        (
            "kademlia_protocol",
            .text("2 to 256 printable characters that begin with /") { text in
                text.hasPrefix("/") && (2...256).contains(text.utf8.count)
                    && text.utf8.allSatisfy { (0x21...0x7E).contains($0) }
            }
        ),
        ("drain_seconds", .count(0...86_400)),
        ("gateway", gateway),
        ("api", api),
        ("traces", traces),
        (
            "log",
            .group([
                (
                    "witnesses",
                    .list(
                        .text(
                            "the key that mesh dag witness prints at the witness, and its address, such as "
                                + "http://192.0.2.1:8080/witness"
                        ) { WitnessEntry(text: $0)?.place != nil })
                ),
                ("witness_seconds", .count(1...86_400)),
                (
                    "follow",
                    .list(
                        .text("a DID such as mesh peers --full prints it, or all") { text in
                            text == NodeConfiguration.Log.everybody || (try? DID(parsing: text)) != nil
                        })
                ),
            ])
        ),
        ("witness", .group([("authors", .list(did)), ("issuers", .list(did))])),
        ("holds", HoldDates.rule),
        ("arbiter", .group([("issuers", .list(did))])),
        ("limits", limits),
        ("log_level", .text("one of \(logLevels.joined(separator: ", "))") { logLevels.contains($0) }),
        ("log_format", .text("text or json") { ["text", "json"].contains($0) }),
    ])

    /// What bids and capabilities name; it has to fit into them.
    private static let name = ConfigurationRule.text("1 to 64 bytes of text") { (1...64).contains($0.utf8.count) }

    private static let executor = ConfigurationRule.group([
        ("enabled", .flag),
        ("price_base", .count(0...UInt64(Int64.max))),
        ("price_per_million_fuel", .count(0...UInt64(Int64.max))),
        ("jobs_at_once", .count(1...1024)),
        ("queued_jobs_max", .count(0...8_192)),
        ("cpu_millicores", .count(1...1_000_000_000)),
        ("memory_mib", .count(1...(1 << 40))),
        ("storage_mib", .count(0...(1 << 40))),
        ("fuel_max", .count(1...JobRules().fuelMax)),
        ("run_seconds_max", .count(1...JobRules().timeoutSecondsMax)),
        ("output_bytes_max", .count(1...JobRules().outputBytesMax)),
        ("files_bytes_max", .count(0...JobRules().fileBytesMax)),
        ("features", .list(name)),
        ("hours", .list(.text("hours of the day such as 22:00-06:00") { DayHours($0) != nil })),
        ("allowed_originators", .list(did)),
        ("denied_originators", .list(did)),
        ("min_originator_reputation", .count(0...1_000)),
        ("takes_hedged_jobs", .flag),
        (
            "issuers",
            .list(
                .text("an issuer's DID, its unit with decimals, and two prices: did:key:z6Mk… hours/2 0.10 0.02") {
                    IssuerPrices($0) != nil
                })
        ),
        ("nice", .count(0...19)),
        ("operator", .text("a credential as mesh operator sign prints it") { OperatorText($0) != nil }),
    ])

    private static let did = ConfigurationRule.text("a DID such as mesh peers --full prints it") {
        (try? DID(parsing: $0)) != nil
    }

    private static let originator = ConfigurationRule.group([
        // Bids are valid for 30 s.
        ("bid_window_ms", .count(0...JobRules().bidWindowMillisecondsMax)),
        ("bidding_deadline_ms", .count(100...600_000)),
        (
            "verification",
            .text(
                "none, spot:P% with P from 0.1 to 100, replay or adaptive, each also with @executor, or quorum:K/N"
            ) {
                VerificationLevel(text: $0) != nil
            }
        ),
        ("checks_at_once", .count(1...64)),
        ("check_trust", .count(1...10_000)),
        ("check_floor_permille", .count(1...1_000)),
    ])

    private static let gateway = ConfigurationRule.group([
        (
            "listen",
            .text("an address of this machine with a port, such as /ip4/127.0.0.1/tcp/8080") { text in
                (try? Multiaddr(parsing: text)).flatMap(NodeConfiguration.Gateway.place) != nil
            }
        ),
        ("connections_max", .count(1...65_536)),
        ("connections_per_address_max", .count(1...65_536)),
    ])

    private static let api = ConfigurationRule.group([
        (
            "listen",
            .text(
                "an IP address of this machine with a port, such as \(NodeConfiguration.API.usual): beyond this "
                    + "machine the API needs TLS (api.tls_certificate)"
            ) { NodeConfiguration.API.place($0) != nil }
        ),
        ("tls_certificate", path), ("tls_key", path),
        (
            "name",
            .text("the name or IPv4 address by which clients call the node, in small letters: node.example.org") {
                NodeConfiguration.API.isName($0)
            }
        ),
    ])

    private static let traces = ConfigurationRule.group([
        (
            "endpoint",
            .text(
                "the address of a receiver on this machine, such as http://127.0.0.1:4318; for another machine there "
                    + "is traces.remote_endpoint"
            ) { TraceEndpoint($0)?.isLoopback ?? false }
        ),
        (
            "remote_endpoint",
            .text("an address with http://, a host and a port, such as http://collector.example:4318") {
                TraceEndpoint($0) != nil
            }
        ),
        ("ratio_permille", .count(0...1_000)),
        ("others_per_minute_max", .count(0...6_000)),
        ("service", name),
    ])

    private static let path = ConfigurationRule.text("the whole path of a file, such as /etc/mesh/tls/node.pem") {
        $0.hasPrefix("/") && $0.utf8.count < 4_096
    }

    private static let limits = ConfigurationRule.group([
        ("block_bytes_max", .count(1...UInt64(Int64.max))),
        ("block_high_water_percent", .count(50...99)),
        ("evidence_kept_hours", .count(1...87_600)),
        ("results_kept_hours", .count(0...87_600)),
        ("unpaid_evidence_kept_days", .count(1...3_650)),
        ("database_bytes_max", .count((1 << 20)...UInt64(Int64.max))),
        ("disk_reserve_bytes", .count(0...UInt64(Int64.max))),
        ("full_disk_seconds", .count(0...86_400)),
        ("module_bytes_max", .count(1...UInt64(Int64.max))),
        ("module_functions_max", .count(1...1_000_000)),
        ("function_bytes_max", .count(1...(64 << 20))),
        // Originators wait three minutes for fetching and compiling; what takes longer is for the next job.
        ("compile_seconds_max", .count(1...3_600)),
        ("compile_memory_bytes_max", .count((64 << 20)...(64 << 30))),
        ("file_bytes_max", .count(1...UInt64(Int64.max))),
        ("connections_max", .count(1...1_000_000)),
        ("open_jobs_max", .count(1...1_000_000)),
        ("held_bytes_max", .count((64 << 20)...UInt64(Int64.max))),
        ("served_bytes_per_second_per_peer_max", .count((64 << 10)...(1 << 40))),
        ("exempts_loopback", .flag),
    ])

    private static let address = ConfigurationRule.text("a multiaddr such as /ip4/127.0.0.1/tcp/4001") {
        (try? Multiaddr(parsing: $0)) != nil
    }

    private static let logLevels = ["trace", "debug", "info", "notice", "warning", "error", "critical"]

    /// Why the bytes of a file are not a configuration, as a clause; nil if they are.
    static func fault(in file: Data) -> String? {
        let value: ConfigurationValue
        do {
            value = try JSONDecoder().decode(ConfigurationValue.self, from: file)
        } catch {
            return "it is no JSON" + placeOfFault(in: file)
        }
        return Self.file.fault(in: value, at: "") ?? apiFault(in: value)
    }

    /// Where a file stops being JSON, according to the system's other reader.
    private static func placeOfFault(in file: Data) -> String {
        do {
            _ = try JSONSerialization.jsonObject(with: file, options: .fragmentsAllowed)
            return ""
        } catch {
            let reason = (error as NSError).userInfo[NSDebugDescriptionErrorKey] as? String
            guard let reason else { return "" }
            let clause = reason.hasSuffix(".") ? reason.dropLast() : reason[...]
            return " (\(clause.prefix(1).lowercased())\(clause.dropFirst()))"
        }
    }

    /// Why a key cannot have a value, as a clause that says what was found and what is allowed.
    func fault(in value: ConfigurationValue, at path: String) -> String? { faults(in: value, at: path).first }

    /// All reasons why a key cannot have a value, those of a group by key; of a list its first.
    func faults(in value: ConfigurationValue, at path: String) -> [String] {
        switch (self, value) {
        case (.group(let rules), .group(let values)):
            return values.sorted { $0.key < $1.key }.flatMap { key, value in
                guard let rule = rules.first(where: { $0.key == key })?.rule else {
                    let known = rules.map(\.key).sorted().joined(separator: ", ")
                    return ["\"\(Self.join(path, key))\" is no setting; there are \(known)"]
                }
                return value == .null ? [] : rule.faults(in: value, at: Self.join(path, key))
            }
        case (.list(let rule), .list(let values)):
            for (index, value) in values.enumerated() {
                if let fault = rule.fault(in: value, at: "\(path)[\(index)]") { return [fault] }
            }
            return []
        case (.flag, .flag): return []
        case (.count(let range), .count(let count)) where range.contains(count): return []
        case (.text(_, let allows), .text(let text)) where allows(text): return []
        default:
            return ["\(path.isEmpty ? "the file" : path) is \(Self.withoutSecrets(value.text)), and must be \(allowed)"]
        }
    }

    /// A value as it may stand in a log: an address without the name and password that it may have.
    private static func withoutSecrets(_ text: String) -> String {
        guard let scheme = text.range(of: "://"), let at = text.range(of: "@", options: .backwards),
            scheme.upperBound < at.lowerBound
        else { return text }
        return text.replacingCharacters(in: scheme.upperBound..<at.lowerBound, with: "…")
    }

    /// What is allowed, as a clause.
    var allowed: String {
        switch self {
        case .flag: "true or false"
        case .count(let range): "a whole number from \(range.lowerBound) to \(range.upperBound)"
        case .text(let clause, _): clause
        case .list: "a list of texts, in brackets"
        case .group: "a group of settings, in braces"
        }
    }

    private static func join(_ path: String, _ key: String) -> String { path.isEmpty ? key : "\(path).\(key)" }
}

/// A value of a JSON file, as far as settings go.
package enum ConfigurationValue: Codable, Hashable, Sendable {
    /// No value.
    case null
    /// `true` or `false`.
    case flag(Bool)
    /// A whole number.
    case count(UInt64)
    /// Any other number, which no setting takes.
    case otherNumber(Double)
    /// A text.
    case text(String)
    /// A list.
    case list([ConfigurationValue])
    /// A group of settings.
    case group([String: ConfigurationValue])

    /// Writes the value as it stands in the file.
    package func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        switch self {
        case .null: try container.encodeNil()
        case .flag(let flag): try container.encode(flag)
        case .count(let count): try container.encode(count)
        case .otherNumber(let number): try container.encode(number)
        case .text(let text): try container.encode(text)
        case .list(let list): try container.encode(list)
        case .group(let group): try container.encode(group)
        }
    }

    /// Reads any value of JSON.
    package init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        if container.decodeNil() {
            self = .null
        } else if let flag = try? container.decode(Bool.self) {
            self = .flag(flag)
        } else if let text = try? container.decode(String.self) {
            self = .text(text)
        } else if let count = try? container.decode(UInt64.self) {
            self = .count(count)
        } else if let number = try? container.decode(Double.self) {
            self = .otherNumber(number)
        } else if let list = try? container.decode([ConfigurationValue].self) {
            self = .list(list)
        } else {
            self = .group(try container.decode([String: ConfigurationValue].self))
        }
    }

    /// Its short form for messages.
    var text: String {
        switch self {
        case .null: "null"
        case .flag(let flag): "\(flag)"
        case .count(let count): "\(count)"
        case .otherNumber(let number):
            number.rounded() == number && abs(number) < 1e15 ? "\(Int64(number))" : "\(number)"
        case .text(let text): "\"\(text.cut(bytesMax: 80))\(text.utf8.count > 80 ? "…" : "")\""
        case .list: "a list"
        case .group: "a group"
        }
    }
}
