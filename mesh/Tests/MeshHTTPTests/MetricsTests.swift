import Foundation
import NIOHTTP1
import NodeAPI
import NodeAPITesting
import Testing

@testable import MeshHTTP

/// Reads metrics as strictly as the format is written: https://prometheus.io/docs/instrumenting/exposition_formats/
struct ReadMetrics {
    struct Family {
        let kind: String
        let help: String
        var series: [[String: String]: Double] = [:]
        var labels: [[String]] = []
    }

    struct Fault: Error { let line: String }

    private(set) var families: [String: Family] = [:]

    init(_ text: String) throws {
        guard text.hasSuffix("\n") else { throw Fault(line: "the end") }
        var (name, help): (String, String?) = ("", nil)
        for line in text.dropLast().split(separator: "\n", omittingEmptySubsequences: false) {
            let words = line.split(separator: " ", maxSplits: 3, omittingEmptySubsequences: false).map(String.init)
            if line.hasPrefix("# HELP "), words.count == 4, help == nil {
                (name, help) = (words[2], words[3])
            } else if line.hasPrefix("# TYPE "), words.count == 4, words[2] == name, families[name] == nil,
                let told = help
            {
                guard ["counter", "gauge"].contains(words[3]), Self.isName(name) else {
                    throw Fault(line: String(line))
                }
                families[name] = Family(kind: words[3], help: told)
                help = nil
            } else {
                guard help == nil else { throw Fault(line: String(line)) }
                try read(String(line), of: name)
            }
        }
    }

    private static func isName(_ text: String) -> Bool { text.wholeMatch(of: /[a-zA-Z_][a-zA-Z0-9_]*/) != nil }

    private mutating func read(_ line: String, of name: String) throws {
        var rest = Substring(line)
        guard rest.hasPrefix(name), !name.isEmpty else { throw Fault(line: line) }
        rest = rest.dropFirst(name.count)
        var labels: [String: String] = [:]
        var order: [String] = []
        if rest.hasPrefix("{") {
            repeat {
                guard let pair = rest.prefixMatch(of: /[{,]([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"/),
                    labels.updateValue(Self.plain(pair.2), forKey: String(pair.1)) == nil
                else { throw Fault(line: line) }
                order.append(String(pair.1))
                rest = rest[pair.range.upperBound...]
            } while rest.hasPrefix(",")
            guard rest.hasPrefix("}") else { throw Fault(line: line) }
            rest = rest.dropFirst()
        }
        guard rest.wholeMatch(of: /\ -?[0-9]+(\.[0-9]+)?(e[+-]?[0-9]+)?/) != nil, let value = Double(rest.dropFirst()),
            families[name]?.series.updateValue(value, forKey: labels) == nil
        else { throw Fault(line: line) }
        families[name]?.labels.append(order)
    }

    private static func plain(_ text: Substring) -> String {
        var (plain, isEscaped) = ("", false)
        for character in text {
            if !isEscaped, character == "\\" {
                isEscaped = true
                continue
            }
            plain.append(isEscaped && character == "n" ? "\n" : character)
            isEscaped = false
        }
        return plain
    }
}

/// What a Prometheus gets of a node, and what is written of it.
@Suite("Metrics", .timeLimit(.minutes(1)))
struct MetricsTests {
    private static func file(_ path: String) -> URL {
        URL(filePath: #filePath).appending(path: "../../../../\(path)").standardized
    }

    private static var full: NodeStatus {
        var status = Samples.status
        status.counters = NodeMetrics.counted.map { .init(name: $0.counter, value: 3) }
        status.counters += NodeMetrics.grouped.map { .init(name: $0.prefix + "x", value: 4) }
        status.gateway = .init(address: "http://127.0.0.1:1", publicRoots: 2, connections: 3, sentBytes: 1 << 40)
        status.storage?.diskFreeBytes = 7
        status.storage?.diskReserveBytes = 8
        return status
    }

    private func read(_ status: NodeStatus) throws -> [String: ReadMetrics.Family] {
        try ReadMetrics(MetricsText.text(NodeMetrics(status, Samples.wallet).families)).families
    }

    @Test("A token that only reads gets them over TCP, nobody without one does, and the socket has them too")
    func route() async throws {
        try await WebScene.run { scene in
            let answer = try await scene.ask("/metrics", scene.read)
            #expect(answer.status == 200)
            #expect(answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8")
            let families = try ReadMetrics(String(decoding: answer.body, as: UTF8.self)).families
            #expect(families["mesh_connected_peers"]?.series == [[:]: 3])
            #expect(families["mesh_wallet_tokens"]?.series[["balance": "held"]] == 60)
            let refused = try await scene.ask("/metrics")
            #expect(refused.status == 401 && refused.problem == "not_signed_in")
        }
        try await withServer { _, path in
            let answer = try await HTTPExchange(socketPath: path, limits: MeshHTTPLimits()).answer(
                .GET, "/metrics", bytesMax: 1 << 20, seconds: 30)
            #expect(try ReadMetrics(String(decoding: answer, as: UTF8.self)).families["mesh_build_info"] != nil)
        }
    }

    @Test("Values are the node's, absent counters are zero, and phases and states are told whole")
    func values() throws {
        let families = try read(Samples.status)
        #expect(families["mesh_uptime_seconds"]?.series == [[:]: 61])
        #expect(families["mesh_receipts_put_total"]?.series == [[:]: 0])
        #expect(families["mesh_store_state"]?.series[["state": "full"]] == 1)
        #expect(families["mesh_store_state"]?.series.values.reduce(0, +) == 1)
        #expect(families["mesh_jobs"]?.series[["side": "executor", "phase": "running"]] == 2)
        #expect(families["mesh_jobs"]?.series.count == 2 * JobOutcome.allCases.count { $0.isUnderWay })
        #expect(families["mesh_job_events_total"]?.series == [["side": "originator", "event": "submitted"]: 5])
        #expect(families["mesh_gateway_answers_total"] == nil)
        let full = try read(Self.full)
        #expect(full["mesh_receipts_put_total"]?.series == [[:]: 3])
        #expect(full["mesh_market_refusals_total"]?.series == [["reason": "x"]: 4])
        #expect(full["mesh_gateway_sent_bytes_total"]?.series == [[:]: 1_099_511_627_776])
    }

    @Test("Nothing in a name ends a line, a value or a label")
    func names() throws {
        let hostile = "a\"} 1\nmesh_forged_total 7\n# TYPE x \\ \\\" é\u{0}"
        var status = Samples.status
        status.version = hostile
        status.counters = [.init(name: "market_refused_" + hostile, value: 1)]
        status.events = [.init(side: "executor", event: hostile, count: 1)]
        let families = try read(status)
        #expect(families["mesh_build_info"]?.series == [["version": hostile]: 1])
        #expect(families["mesh_market_refusals_total"]?.series == [["reason": hostile]: 1])
        #expect(families["mesh_job_events_total"]?.series == [["side": "executor", "event": hostile]: 1])
        let odd = MetricFamily(name: "mesh_odd", kind: .gauge, help: "a\\b\n\"c\"", series: [.init([], 1e-7)])
        #expect(try ReadMetrics(MetricsText.text([odd])).families["mesh_odd"]?.help == #"a\\b\n"c""#)
    }

    @Test("The page of metrics has every metric, with its type and labels, and no other")
    func page() throws {
        let page = try String(contentsOf: Self.file("docs/metrics.md"), encoding: .utf8)
        let told = page.split(separator: "\n").filter { $0.hasPrefix("| `mesh_") }.map { line in
            let cells = line.split(separator: "|").map {
                $0.replacing("`", with: "").trimmingCharacters(in: .whitespaces)
            }
            return cells.prefix(3).joined(separator: " ").trimmingCharacters(in: .whitespaces)
        }
        let families = try read(Self.full)
        let known = families.map { name, family in
            let labels = Set(family.labels)
            #expect(labels.count == 1, "\(name)")
            #expect(name.hasSuffix("_total") == (family.kind == "counter"), "\(name)")
            return "\(name) \(family.kind) \((labels.first ?? []).joined(separator: ", "))".trimmingCharacters(
                in: .whitespaces)
        }
        #expect(told.sorted() == known.sorted())
    }

    @Test("The dashboard for Grafana asks for metrics that there are, with labels that they have")
    func dashboard() throws {
        let file = try Data(contentsOf: Self.file("packaging/grafana/planetary-mesh.json"))
        struct Board: Decodable {
            struct Panel: Decodable {
                struct Target: Decodable { let expr: String }
                let targets: [Target]
            }
            let panels: [Panel]
        }
        let families = try read(Self.full)
        let asked = try JSONDecoder().decode(Board.self, from: file).panels.flatMap(\.targets).map(\.expr)
        #expect(asked.count >= 12)
        for expression in asked {
            let names = expression.matches(of: /\bmesh_[a-z_]+/).map { String($0.output) }
            #expect(!names.isEmpty, "\(expression)")
            var known: Set = ["instance"]
            for name in names { known.formUnion(try #require(families[name], "\(name)").labels.first ?? []) }
            for labels in expression.matches(of: /by \(([a-z_, ]+)\)/).map(\.1) {
                #expect(Set(labels.components(separatedBy: ", ")).isSubset(of: known), "\(expression)")
            }
            for selected in expression.matches(of: /[{,]\s*([a-z_]+)\s*(?:=~|!=|!~|=)/).map({ String($0.1) }) {
                #expect(known.contains(selected), "\(selected) in \(expression)")
            }
            // A rate of a gauge means nothing.
            for rated in expression.matches(of: /(?:rate|increase)\((mesh_[a-z_]+)/).map({ String($0.1) }) {
                #expect(families[rated]?.kind == "counter", "\(expression)")
            }
        }
    }

    @Test("Every counter of the node is a metric")
    func counters() throws {
        let sources = Self.file("mesh/Sources")
        var found: Set<String> = []
        for folder in ["NodeCore", "PlanetaryMesh"] {
            for file in try FileManager.default.contentsOfDirectory(
                at: sources.appending(path: folder), includingPropertiesForKeys: nil)
            where file.pathExtension == "swift" {
                let text = try String(contentsOf: file, encoding: .utf8)
                for match in text.matches(of: /(?:tally\(|tallies\.add\(|onCount\(|tallies\[|\ball\[)"([a-z_]+)"/) {
                    found.insert(String(match.1))
                }
            }
        }
        #expect(found.count > 30)
        let known = Set(NodeMetrics.counted.map(\.counter)).union(NodeMetrics.gauges)
        #expect(found.subtracting(known) == [])
        #expect(Set(NodeMetrics.counted.map(\.counter)).subtracting(found) == [])
    }
}
