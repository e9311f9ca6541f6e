import ArgumentParser
import MeshHTTP
import NodeAPI

/// `mesh status`: who the node is and how it is doing.
struct Status: MeshCommand {
    static let configuration = CommandConfiguration(
        abstract: "Show the node's identity and state.",
        discussion: """
            Counters run since the node's start, in groups; those that are zero are left out. --json prints them under \
            their stable names.
            """)

    @OptionGroup var global: GlobalOptions

    func perform(_ console: Console) async throws -> ExitCode {
        let status = try await global.node.status()
        if global.json {
            try console.json(status)
        } else {
            console.out(Self.text(status))
        }
        return .success
    }

    /// The facts of a node, and its counters in groups.
    static func text(_ status: NodeStatus) -> String {
        var facts = [(name: "version", value: status.version)]
        facts += NodeNames.facts(did: status.did, peerID: status.peerID)
        facts += status.addresses.map { ("listens on", $0) }
        facts += [
            ("up", Readable.duration(milliseconds: status.uptimeMilliseconds)),
            ("memory", Readable.bytes(status.residentBytes)),
            ("peers", Readable.count(UInt64(max(0, status.connectedPeers)))),
            ("executor", status.executorState.map(ExecutorWords.fact) ?? (status.isExecutor ? "yes" : "no")),
            ("region", status.region ?? "none stated"),
            ("process", String(status.processID)),
        ]
        if let isolation = status.runIsolation { facts.append(("runs", self.words(of: isolation))) }
        if let storage = status.storage { facts += self.facts(of: storage) }
        if let gateway = status.gateway { facts.append(("gateway", words(of: gateway))) }
        if let address = status.apiAddress { facts.append(("API", address)) }
        if let at = status.restoredAtMilliseconds {
            facts.append(("restored", "from a backup; its receipts began again at \(Readable.date(at))"))
        }
        if let warning = status.clockWarning { facts.append(("clock", warning)) }
        if let warning = status.keyWarning { facts.append(("key", warning)) }
        if let warning = status.issuerWarning { facts.append(("issuer", warning)) }
        if let warning = status.journalWarning { facts.append(("journal", warning)) }
        return Table.facts(facts) + CounterGroup.groups(of: status.counters).map { "\n" + $0.text }.joined()
    }
}

extension Status {
    /// How runs are kept apart, and what this system lacks for it.
    static func words(of isolation: [String]) -> String {
        guard isolation.contains("process") else { return "in the node's own process" }
        let missing = ["seccomp", "landlock"].filter { !isolation.contains($0) }
        let means = missing.isEmpty ? ", kept apart by seccomp and landlock" : ""
        let lack = missing.isEmpty ? "" : "; this kernel has no " + missing.joined(separator: " and no ")
        return "each in a process of its own" + means + lack
    }

    /// Where a gateway listens, and how much it serves.
    static func words(of gateway: NodeStatus.Gateway) -> String {
        func counted(_ count: UInt64, _ one: String, _ many: String) -> String {
            "\(Readable.count(count)) \(count == 1 ? one : many)"
        }
        let roots = counted(UInt64(max(0, gateway.publicRoots)), "public pin", "public pins")
        let answers = counted(gateway.answers, "answer", "answers")
        let cut = gateway.cutAnswers == 0 ? "" : " (\(Readable.count(gateway.cutAnswers)) broke off)"
        let refused = gateway.refusals == 0 ? "" : ", \(Readable.count(gateway.refusals)) refused"
        let sent = Readable.bytes(gateway.sentBytes)
        return "\(gateway.address) serves \(roots): \(answers) with \(sent)\(cut)\(refused)"
    }

    /// What the node stores, and whether it accepts new work.
    private static func facts(of storage: NodeStatus.Storage) -> [(name: String, value: String)] {
        let state =
            switch storage.state {
            case "open": "has room for new work"
            case "full":
                "full, takes no new work past \(Readable.bytes(storage.highWaterBytes)); see mesh gc and mesh rm"
            case "disk_full":
                "disk full, takes no new work with less than "
                    + "\(storage.diskReserveBytes.map { Readable.bytes($0) } ?? "the reserve") left; free some space"
            case "locked": "locked by another program, takes no new work meanwhile"
            default: storage.state
            }
        var facts: [(name: String, value: String)] = [
            (
                "blocks",
                "\(Readable.count(storage.blocks)) with \(Readable.bytes(storage.blockBytes)) of "
                    + Readable.bytes(storage.blockBytesMax)
            ),
            ("database", Readable.bytes(storage.databaseBytes)),
        ]
        if let free = storage.diskFreeBytes { facts.append(("free on the disk", Readable.bytes(free))) }
        facts.append(("storage", state))
        return facts
    }
}
