import NodeAPI

/// Counters of a node that belong together, named for people.
struct CounterGroup {
    private let title: String
    private let lines: [(name: String, value: String)]

    /// The groups of a node's counters, in a fixed order; one that this program does not know is among the others.
    static func groups(of counters: [NodeStatus.Counter]) -> [CounterGroup] {
        var left = counters
        var groups: [CounterGroup] = []
        for (title, prefixes, names) in all {
            let own = left.filter { counter in
                names[counter.name] != nil || prefixes.contains { counter.name.hasPrefix($0) }
            }
            left.removeAll { own.contains($0) }
            guard !own.isEmpty else { continue }
            let lines = ordered(own).map { counter in
                let isBytes = counter.name.hasSuffix("_bytes")
                let value = isBytes ? Readable.bytes(counter.value) : Readable.count(counter.value)
                return (names[counter.name] ?? words(counter.name, without: prefixes), value)
            }
            groups.append(CounterGroup(title: title, lines: lines))
        }
        return groups
    }

    /// The same counters, refusals last and of these the most numerous first.
    private static func ordered(_ counters: [NodeStatus.Counter]) -> [NodeStatus.Counter] {
        func isRefusal(_ counter: NodeStatus.Counter) -> Bool {
            ["market_refused_", "market_declined_"].contains { counter.name.hasPrefix($0) }
        }
        let refusals = counters.filter(isRefusal).enumerated().sorted {
            ($1.element.value, $0.offset) < ($0.element.value, $1.offset)
        }
        return counters.filter { !isRefusal($0) } + refusals.map(\.element)
    }

    /// The title, and a line per counter, the numbers aligned under each other.
    var text: String {
        let names = lines.map { Terminal.safe($0.name) }
        let nameWidth = names.map(\.count).max() ?? 0
        let valueWidth = lines.map(\.value.count).max() ?? 0
        let rows = zip(names, lines).map { name, line in
            let blanks = String(repeating: " ", count: valueWidth - line.value.count)
            return "  " + name + String(repeating: " ", count: nameWidth - name.count + 2) + blanks + line.value
        }
        return ([title] + rows).map { $0 + "\n" }.joined()
    }

    /// A name that is not in the table: without its group, and in words.
    private static func words(_ name: String, without prefixes: [String]) -> String {
        let prefix = prefixes.first { name.hasPrefix($0) } ?? ""
        var words = ""
        for character in name.dropFirst(prefix.count) {
            if character == "_" {
                words += " "
            } else if character.isUppercase {
                words += " " + character.lowercased()
            } else {
                words.append(character)
            }
        }
        return words
    }

    /// The groups: title, the prefixes that belong to it, and the counters that have a name of their own.
    private static let all: [(title: String, prefixes: [String], names: [String: String])] = [
        (
            "Jobs", ["jobs_"],
            [
                "jobs_originated_open": "under way, asked for by this node",
                "jobs_executed_open": "under way, bid on or run by this node",
                "journals_left_out": "left out at the start, since their journals do not read",
                "holds_given_back": "holds given back at the start",
            ]
        ),
        (
            "Bids and announcements", ["market_", "capabilities_", "executors_"],
            [
                "market_duplicates": "messages that came again",
                "market_announcements_ignored": "announcements ignored, since their author made too many",
                "market_bids_not_written": "bids left out of the journal",
                "executors_asked": "executors asked why they do not bid",
                "capabilities_advertised": "times this node advertised its offer",
                "capabilities_withdrawn": "times this node withdrew its offer",
            ]
        ),
        (
            "Receipts and files", ["receipts_", "roots_", "announcement_", "bitswap_"],
            [
                "receipts_put": "receipts put into the DHT", "receipts_not_put": "receipts not put into the DHT",
                "roots_provided": "files announced in the DHT", "roots_not_provided": "files not announced in the DHT",
                "announcement_rounds": "rounds of announcing files", "bitswap_blocks_refused": "blocks refused",
            ]
        ),
        (
            "Storage", ["store_"],
            [
                "store_commits": "changes written", "store_transactions": "groups of changes written together",
                "store_blocks": "blocks",
                "store_block_bytes": "bytes of blocks", "store_corrupt_blocks": "damaged blocks",
                "store_evicted_blocks": "blocks evicted", "store_corrupt_records": "damaged records",
                "store_lock_retries": "times the database was locked", "store_full_retries": "times there was no room",
            ]
        ),
        (
            "Peers",
            ["swarm_", "peers_", "messages_", "offers_", "records_", "issuer_heads_", "misbehaviours", "mdns_"],
            [
                "peers_looked_for": "lost peers looked for", "peers_shunned": "peers shunned",
                "messages_unknown": "messages of unknown kinds",
                "issuer_heads_heard": "heads of issuers that others told",
                "issuer_heads_compared": "such heads held against the log that the issuer shows",
                "offers_fetched": "offers that bids cite and that their bidders gave",
                "offers_not_fetched": "offers that bids cite and that their bidders did not give in time",
                "records_heard": "records of reputation that could show something new",
                "messages_unread": "messages that did not read",
                "mdns_sent": "messages sent to look for nodes on the local network",
                "mdns_received": "messages of nodes on the local network",
                "mdns_dropped": "such messages that came too fast",
                "mdns_malformed": "such messages that did not read", "mdns_found": "nodes found on the local network",
                "mdns_finds_dropped": "nodes found there too fast",
                "mdns_sockets_lost": "sockets for that, ended by an error and opened again",
                "misbehaviours": "faults of peers", "misbehaviours_not_written": "faults of peers, not written down",
            ]
        ),
        (
            "Witnesses of issuers", ["issuer_catch_ups", "witness_"],
            [
                "issuer_catch_ups": "times this issuer's book caught up with its witnesses",
                "issuer_catch_ups_failed": "times it did not",
                "witness_lodged": "statements given as a witness of charters",
                "witness_refused": "questions refused as one", "witness_reports": "reports given to issuers",
            ]
        ),
        (
            "Other", [""],
            ["log_lines_left_out": "lines left out of the log"]
        ),
    ]
}
