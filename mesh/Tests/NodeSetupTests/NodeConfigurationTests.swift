import Foundation
import MerkleLog
import Multiformats
import NodeAPI
import P2PTesting
import PeerIdentity
import SignedObjects
import Testing

@testable import NodeSetup

@Suite struct NodeConfigurationTests {
    @Test func whatIsWrittenIsReadBack() throws {
        var configuration = NodeConfiguration()
        configuration.region = "eu-west"
        configuration.bootstrap = [try Multiaddr(parsing: "/ip4/10.0.0.1/tcp/4001")]
        configuration.announce = [try Multiaddr(parsing: "/ip4/203.0.113.7/tcp/4001")]
        configuration.executor.isEnabled = false
        configuration.executor.priceBase = 7
        configuration.executor.hours = ["22:00-06:00"]
        configuration.executor.nice = 19
        configuration.executor.takesHedgedJobs = false
        let identity = try Identity(seed: Array(repeating: 1, count: 32))
        configuration.executor.issuers = ["\(identity.did) hours/2 0.10 0.02"]
        let credential = try OperatorText(of: identity.did, signedBy: identity, atMilliseconds: 7)
        configuration.executor.operatorText = credential.text
        configuration.limits.openJobsMax = 3
        configuration.limits.diskReserveBytes = 1 << 20
        configuration.limits.databaseBytesMax = 1 << 30
        configuration.limits.fullDiskSeconds = 0
        configuration.limits.unpaidEvidenceKeptDays = 7
        configuration.originator.biddingDeadlineMilliseconds = 2_000
        configuration.gateway.listen = try Multiaddr(parsing: "/ip6/::1/tcp/8080")
        configuration.gateway.connectionsPerAddressMax = 7
        configuration.api.listen = "[::1]:4080"
        let witness = try #require(NoteKey(name: "w", kind: .cosignature, publicKey: identity.publicKey))
        configuration.log.witnesses = ["\(witness.text) http://[::1]:8080/witness"]
        configuration.log.witnessSeconds = 5
        configuration.witness.authors = [identity.did.text]
        configuration.arbiter.issuers = [identity.did.text]
        configuration.holds.windowSeconds = 30
        configuration.holds.tellsPaid = false
        #expect(configuration.witness.dids == [identity.did])
        #expect(
            configuration.log.addresses == [
                WitnessAddress(name: "w", key: witness.text, host: "::1", port: 8_080, prefix: "/witness")
            ])
        var many = configuration.log
        many.witnesses = Array(repeating: configuration.log.witnesses[0], count: WitnessEntry.countMax + 1)
        #expect(many.addresses.count == WitnessEntry.countMax)
        #expect(try load(String(decoding: configuration.encoded(), as: UTF8.self)) == configuration)
        #expect(try load("{}") == NodeConfiguration())
    }

    @Test(arguments: [
        ("{", "cannot be used: it is no JSON (unexpected end of file during JSON parse)."),
        ("[]", "the file is a list, and must be a group of settings, in braces."),
        (#"{"lissten": []}"#, "\"lissten\" is no setting; there are announce, api, arbiter, bootstrap, credit_grant, "),
        (#"{"executor": {"price": 1}}"#, "\"executor.price\" is no setting; there are allowed_originators, "),
        (#"{"executor": true}"#, "executor is true, and must be a group of settings, in braces."),
        (#"{"mdns": "yes"}"#, "mdns is \"yes\", and must be true or false"),
        (#"{"mdns_network": "Home"}"#, "mdns_network is \"Home\", and must be 1 to 32 of the characters 0 to 9"),
        (#"{"log_format": "xml"}"#, "log_format is \"xml\", and must be text or json"),
        (#"{"log_level": "loud"}"#, "log_level is \"loud\", and must be one of trace, debug"),
        (
            #"{"executor": {"jobs_at_once": 0}}"#,
            "executor.jobs_at_once is 0, and must be a whole number from 1 to 1024."
        ),
        (
            #"{"executor": {"hours": ["22:00-06:00", "at night"]}}"#,
            "executor.hours[1] is \"at night\", and must be hours of the day such as 22:00-06:00."
        ),
        (#"{"executor": {"hours": "22:00-06:00"}}"#, "executor.hours is \"22:00-06:00\", and must be a list of texts"),
        (#"{"log": {"witnesses": ["w"]}}"#, "log.witnesses[0] is \"w\", and must be the key that mesh dag witness"),
        (#"{"arbiter": {"issuers": ["a"]}}"#, "arbiter.issuers[0] is \"a\", and must be a DID such as"),
        (#"{"witness": {"authors": ["w"]}}"#, "witness.authors[0] is \"w\", and must be a DID such as"),
        (#"{"executor": {"nice": 20}}"#, "executor.nice is 20, and must be a whole number from 0 to 19."),
        (
            #"{"executor": {"operator": "bafy"}}"#,
            "executor.operator is \"bafy\", and must be a credential as mesh operator sign prints it."
        ),
        (#"{"executor": {"enabled": 1}}"#, "executor.enabled is 1, and must be true or false."),
        (#"{"limits": {"block_bytes_max": 0}}"#, "limits.block_bytes_max is 0, and must be a whole number from 1 to "),
        (
            #"{"limits": {"block_high_water_percent": 100}}"#,
            "limits.block_high_water_percent is 100, and must be a whole number from 50 to 99."
        ),
        (
            #"{"limits": {"evidence_kept_hours": 0}}"#,
            "limits.evidence_kept_hours is 0, and must be a whole number from 1 to 87600."
        ),
        (
            #"{"limits": {"unpaid_evidence_kept_days": 0}}"#,
            "limits.unpaid_evidence_kept_days is 0, and must be a whole number from 1 to 3650."
        ),
        (
            #"{"limits": {"full_disk_seconds": 86401}}"#,
            "limits.full_disk_seconds is 86401, and must be a whole number from 0 to 86400."
        ),
        (
            #"{"limits": {"disk_reserve_bytes": -1}}"#,
            "limits.disk_reserve_bytes is -1, and must be a whole number from"
        ),
        (#"{"limits": {"database_bytes_max": 4096}}"#, "limits.database_bytes_max is 4096, and must be a whole number"),
        (#"{"credit_grant": -1}"#, "credit_grant is -1, and must be a whole number from 0 to 9223372036854775807."),
        (#"{"credit_grant": 1.5}"#, "credit_grant is 1.5, and must be a whole number from 0 to 9223372036854775807."),
        (#"{"credit_grant": 99999999999999999999}"#, "credit_grant is 1e+20, and must be a whole number from 0 to "),
        (#"{"credit_grant": "much"}"#, "credit_grant is \"much\", and must be a whole number from 0 to "),
        (
            #"{"listen": ["/ip4/127.0.0.1/tcp/1", "/ip4/1.2.3/tcp/1"]}"#,
            "listen[1] is \"/ip4/1.2.3/tcp/1\", and must be a multiaddr such as "
        ),
        (#"{"listen": "/ip4/127.0.0.1/tcp/1"}"#, "listen is \"/ip4/127.0.0.1/tcp/1\", and must be a list of texts"),
        (
            #"{"kademlia_protocol": "kad"}"#,
            "kademlia_protocol is \"kad\", and must be 2 to 256 printable characters that begin with /."
        ),
        (
            #"{"originator": {"bid_window_ms": 20001}}"#,
            "originator.bid_window_ms is 20001, and must be a whole number from 0 to 20000."
        ),
        (
            #"{"originator": {"bidding_deadline_ms": 1}}"#,
            "originator.bidding_deadline_ms is 1, and must be a whole number from 100 to 600000."
        ),
        (
            #"{"gateway": {"listen": "127.0.0.1:8080"}}"#,
            "gateway.listen is \"127.0.0.1:8080\", and must be an address of this machine with a port, such as /ip4/"
        ),
        (#"{"gateway": {"listen": "/dns4/localhost/tcp/80"}}"#, "gateway.listen is \"/dns4/localhost/tcp/80\", and"),
        (#"{"gateway": {"listen": "/ip4/127.0.0.1/udp/80"}}"#, "gateway.listen is \"/ip4/127.0.0.1/udp/80\", and must"),
        (#"{"gateway": {"listen": "/ip4/127.0.0.1"}}"#, "gateway.listen is \"/ip4/127.0.0.1\", and must be an"),
        (
            #"{"gateway": {"connections_max": 0}}"#,
            "gateway.connections_max is 0, and must be a whole number from 1 to 65536."
        ),
        (
            #"{"api": {"listen": "0.0.0.0:4080"}}"#,
            "api.listen 0.0.0.0:4080 is beyond this machine, where the API speaks TLS alone: api.tls_certificate and "
                + "api.tls_key are missing."
        ),
        (
            #"{"api": {"listen": "127.0.0.1"}}"#,
            "api.listen is \"127.0.0.1\", and must be an IP address of this machine"
        ),
        (#"{"api": {"listen": "127.0.0.1.evil.example:80"}}"#, "api.listen is \"127.0.0.1.evil.example:80\", and must"),
        (#"{"api": {"listen": "127.0.0.1:65536"}}"#, "api.listen is \"127.0.0.1:65536\", and must be"),
        (#"{"api": {"listen": "[::]:80"}}"#, "api.listen [::]:80 is beyond this machine, where"),
        (#"{"api": {"tls": {}}}"#, "\"api.tls\" is no setting; there are listen"),
        (#"{"region": ""}"#, "region is \"\", and must be 1 to 64 bytes of text."),
    ])
    func whatDoesNotReadSaysWhereAndWhy(_ text: String, _ reason: String) throws {
        let error = try #require(throws: NodeServiceError.self) { try load(text) }
        #expect(error.code == .configurationInvalid)
        #expect(error.message.contains(reason), "\(error.message)")
    }

    @Test func aGatewayListensWhereItsAddressSays() throws {
        #expect(NodeConfiguration().gateway.place == nil)
        let places = [("/ip4/0.0.0.0/tcp/80", "0.0.0.0", 80), ("/ip6/2001:db8::1/tcp/0", "2001:db8::1", 0)]
        for (text, host, port) in places {
            let gateway = try load(#"{"gateway": {"listen": "\#(text)"}}"#).gateway
            #expect(gateway.place?.host == host && gateway.place?.port == port)
        }
    }

    @Test func theAPIListensOnThisMachineAlone() throws {
        #expect(NodeConfiguration().api.place == nil)
        let places = [
            ("127.0.0.1:4080", "127.0.0.1", 4_080), ("127.8.9.10:0", "127.8.9.10", 0),
            ("[::1]:65535", "::1", 65_535),
        ]
        for (text, host, port) in places {
            let api = try load(#"{"api": {"listen": "\#(text)"}}"#).api
            #expect(api.place?.host == host && api.place?.port == port, "\(text)")
        }
    }

    @Test func whatEveryKeyHoldsByDefaultIsAllowed() throws {
        #expect(NodeConfiguration().refusal == nil)
        var configuration = NodeConfiguration()
        configuration.logLevel = "loud"
        #expect(configuration.refusal?.hasPrefix("log_level is \"loud\"") == true)
    }

    @Test func thePageOfSettingsNamesEveryKeyAndNoOther() throws {
        guard case .group(let groups) = ConfigurationRule.file else { return }
        var keys: [String] = []
        for (key, rule) in groups {
            if case .group(let rules) = rule { keys += rules.map { "\(key).\($0.key)" } } else { keys.append(key) }
        }
        let page = URL(filePath: #filePath).appending(path: "../../../../docs/configuration.md").standardized
        let told = Self.rows(of: try String(contentsOf: page, encoding: .utf8)).map(\.key)
        #expect(told.sorted() == keys.sorted())
    }

    /// The keys of the page by path, each with the cells of its row: a heading names the group of those below it.
    private static func rows(of page: String) -> [(key: String, cells: [String])] {
        var group = ""
        var rows: [(key: String, cells: [String])] = []
        for line in page.split(separator: "\n") {
            if line.hasPrefix("## ") { group = line == "## Keys" ? "" : line.dropFirst(3) + "." }
            guard line.hasPrefix("| `") else { continue }
            let cells = line.split(separator: "|").map { $0.trimmingCharacters(in: .whitespaces) }
            rows.append((group + cells[0].replacing("`", with: ""), cells))
        }
        return rows
    }

    /// The keys of the file by path, with their rules and with what a fresh file has.
    private static func settings() throws -> [String: (rule: ConfigurationRule, value: Any)] {
        let file = try #require(
            try JSONSerialization.jsonObject(with: NodeConfiguration().encoded()) as? [String: Any])
        guard case .group(let groups) = ConfigurationRule.file else { return [:] }
        var settings: [String: (rule: ConfigurationRule, value: Any)] = [:]
        for (key, rule) in groups {
            guard case .group(let rules) = rule else {
                settings[key] = (rule, try #require(file[key], "\(key) is not written"))
                continue
            }
            let group = try #require(file[key] as? [String: Any])
            #expect(group.count == rules.count, "\(key)")
            for (inner, rule) in rules {
                settings["\(key).\(inner)"] = (rule, try #require(group[inner], "\(key).\(inner)"))
            }
        }
        #expect(file.count == groups.count)
        return settings
    }

    /// A number as the page writes it: 1,024, 64 MiB, 10^9.
    private static func number(_ text: String) -> UInt64? {
        let words = text.components(separatedBy: " ")
        let units: [String: UInt64] = ["KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40]
        guard let word = words.first, words.count == 1 || units[words[1]] != nil else { return nil }
        let power = word.split(separator: "^").compactMap { UInt64($0) }
        if power.count == 2 { return (0..<power[1]).reduce(1) { product, _ in product * power[0] } }
        return UInt64(word.replacing(",", with: "")).map { $0 * (words.count > 1 ? units[words[1]] ?? 1 : 1) }
    }

    @Test func aFreshFileHasEveryKeyAndThePageTellsTheirDefaultsAndRanges() throws {
        let settings = try Self.settings()
        let page = URL(filePath: #filePath).appending(path: "../../../../docs/configuration.md").standardized
        var (defaults, ranges) = (0, 0)
        for (key, cells) in Self.rows(of: try String(contentsOf: page, encoding: .utf8)) {
            try #require(cells.count == 5, "\(key)")
            let setting = try #require(settings[key], "\(key)")
            if let told = Self.number(cells[1]) {
                defaults += 1
                #expect((setting.value as? NSNumber)?.uint64Value == told, "\(key)")
            } else if setting.value is NSNumber {
                // Only flags, and what the machine decides, have defaults in words.
                #expect(cells[1].hasPrefix("true") || cells[1] == "false", "\(key): \(cells[1])")
                if key == "mdns" { #expect(setting.value as? Bool == (cells[1] == "true")) }
            }
            guard case .count(let range) = setting.rule else { continue }
            let ends = cells[2].replacing("from ", with: "").components(separatedBy: " to ").compactMap(Self.number)
            ranges += ends.count
            if range.upperBound < UInt64(Int64.max) {
                #expect(ends == [range.lowerBound, range.upperBound], "\(key): \(cells[2])")
            } else if range.lowerBound > 1 {
                #expect(ends == [range.lowerBound], "\(key): \(cells[2])")
            } else {
                #expect(cells[2].isEmpty, "\(key): \(cells[2])")
            }
        }
        #expect(defaults > 20 && ranges > 40, "\(defaults) defaults, \(ranges) ends of ranges")
    }

    @Test func thePageTellsOfEachKeyWhenItChangesAndTheCodeDoesAsItSays() throws {
        let page = URL(filePath: #filePath).appending(path: "../../../../docs/configuration.md").standardized
        for (key, cells) in Self.rows(of: try String(contentsOf: page, encoding: .utf8)) {
            let atOnce = NodeConfiguration.changesAtOnce.contains(key)
            #expect(cells[3] == (atOnce ? "at once" : "restart"), "\(key)")
        }
        let folder = try TestFolder()
        let path = folder.path + "/config.json"
        let identity = try Identity(seed: Array(repeating: 1, count: 32))
        let witness = try #require(NoteKey(name: "w", kind: .cosignature, publicKey: identity.publicKey))
        // Another value of each key, by what is allowed there.
        let others: [String: [String]] = [
            "listen": ["/ip4/127.0.0.1/tcp/1"], "announce": ["/ip4/127.0.0.1/tcp/1"],
            "bootstrap": ["/ip4/127.0.0.1/tcp/1"], "region": ["eu"], "kademlia_protocol": ["/x"],
            "log_level": ["error"], "log_format": ["json"], "executor.jobs_at_once": ["7"],
            "executor.features": ["gpu"],
            "executor.hours": ["22:00-06:00"], "executor.issuers": ["\(identity.did) hours/2 0.10 0.02"],
            "executor.allowed_originators": [identity.did.text], "executor.denied_originators": [identity.did.text],
            "executor.operator": [try OperatorText(of: identity.did, signedBy: identity, atMilliseconds: 7).text],
            "originator.verification": ["replay"], "gateway.listen": ["/ip4/127.0.0.1/tcp/1"],
            "api.listen": ["127.0.0.1:1"], "api.tls_certificate": ["/c.pem"], "api.tls_key": ["/k.pem"],
            "api.name": ["node.example.org"], "mdns_network": ["c0ffee"],
            "traces.endpoint": ["http://[::1]:4318/x"], "traces.remote_endpoint": ["http://collector.example:1"],
            "traces.service": ["other"],
            "log.witnesses": ["\(witness.text) http://[::1]:8080/witness"], "witness.authors": [identity.did.text],
            "log.follow": ["all"], "arbiter.issuers": [identity.did.text],
            "witness.issuers": [identity.did.text],
        ]
        for key in ConfigurationFile.keys {
            try NodeConfiguration().encoded().write(to: URL(filePath: path))
            var file = try ConfigurationFile(path: path)
            let words: [String]
            switch try file.setting(key).value {
            case .flag(let flag): words = ["\(!flag)"]
            case .count(let count): words = others[key] ?? ["\(count < 100 ? count + 1 : count - 1)"]
            default: words = others[key] ?? ["1048577"]
            }
            try file.set(key, to: words)
            // Neither of these two is anything without the other.
            if key == "api.tls_certificate" { try file.set("api.tls_key", to: ["/k.pem"]) }
            if key == "api.tls_key" { try file.set("api.tls_certificate", to: ["/c.pem"]) }
            try file.write()
            let other = try NodeConfiguration.load(path: path)
            #expect(other != NodeConfiguration(), "\(key) \(words)")
            var running = NodeConfiguration()
            running.takeWhatChangesAtOnce(from: other)
            #expect((running == other) == NodeConfiguration.changesAtOnce.contains(key), "\(key)")
        }
    }

    private func load(_ text: String) throws -> NodeConfiguration {
        let folder = try TestFolder()
        let path = folder.path + "/config.json"
        try Data(text.utf8).write(to: URL(filePath: path))
        return try NodeConfiguration.load(path: path)
    }
}
