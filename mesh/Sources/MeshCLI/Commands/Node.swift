import ArgumentParser
import Foundation
import MeshHTTP
import Multiformats
import NodeAPI

/// `mesh connect`: dials a peer.
struct Connect: MeshCommand {
    static let configuration = CommandConfiguration(
        abstract: "Connect to a peer by its address.",
        discussion: """
            Prints the peer that answered, and where the connections to it lead. An address that names its peer \
            (/p2p/...) is not tried while the node is connected to that peer.
            """)

    @OptionGroup var global: GlobalOptions

    @Argument(help: "The address, for example /ip4/192.0.2.1/tcp/4001.")
    var address: String

    func perform(_ console: Console) async throws -> ExitCode {
        let parsed: Multiaddr
        do {
            parsed = try Multiaddr(parsing: address)
        } catch {
            throw NodeServiceError(
                .invalidRequest, "\"\(address)\" is no multiaddr: \(error).",
                hint: "Write it like /ip4/127.0.0.1/tcp/4001.")
        }
        let peer = try await global.node.connect(parsed)
        if global.json {
            try console.json(peer)
        } else {
            console.out(PeerList.facts(peer))
            if let note = Self.note(peer, asked: address) { console.note(Terminal.safe(note)) }
        }
        return .success
    }

    /// What became of the address, where the connection does not lead there; nil if it does, or nobody says.
    static func note(_ peer: PeerView, asked: String) -> String? {
        guard let connections = peer.connections, !connections.isEmpty else { return nil }
        let isThere = connections.contains { asked == $0 || asked.hasPrefix("\($0)/p2p/") }
        if peer.wasConnected == true {
            return isThere ? "It was connected there already." : "It was connected already; \(asked) was not tried."
        }
        return isThere ? nil : "It answered at another of its addresses, not at \(asked)."
    }
}

/// `mesh wallet`: what the node owns and owes.
struct Wallet: MeshCommand {
    static let configuration = CommandConfiguration(
        abstract: "Show balances, holds and the newest movements.",
        discussion: """
            Tokens are numbers in this node's own book. It granted itself its first ones, no other node sees or \
            vouches for them, and none moves between nodes: they rank bids and limit what a job may cost. Credit lines \
            at issuers, which members pay each other with, stand below.
            """)

    @OptionGroup var global: GlobalOptions

    @Option(help: "How many movements, from 0 to 10000; by default 20.", transform: Quantity.number("from 0 to 10000"))
    var entries = 20

    @Option(
        help: "Only movements before this number, which --json tells of each.",
        transform: Quantity.number("from 1"))
    var before: Int?

    func validate() throws {
        guard before.map({ $0 > 0 }) ?? true else { throw ValidationError("--before must be 1 or more.") }
        guard (0...10_000).contains(entries) else { throw ValidationError("--entries must be from 0 to 10000.") }
    }

    func perform(_ console: Console) async throws -> ExitCode {
        let wallet = try await global.node.wallet(WalletQuery(limit: entries, before: before.map(Int64.init)))
        let issuers = try await global.node.issuers().filter { !$0.lines.isEmpty }
        if global.json {
            try console.json(Whole(wallet: wallet, issuers: issuers))
        } else {
            console.out(Self.text(wallet) + Self.text(issuers))
        }
        return .success
    }

    /// What is shown, as JSON: the wallet's fields, and the issuers with their lines beside them.
    private struct Whole: Encodable {
        let wallet: WalletView
        let issuers: [IssuerView]

        private enum CodingKeys: String, CodingKey {
            case issuers
        }

        func encode(to encoder: any Encoder) throws {
            try wallet.encode(to: encoder)
            var container = encoder.container(keyedBy: CodingKeys.self)
            try container.encode(issuers, forKey: .issuers)
        }
    }

    /// The lines at issuers, as these told them last.
    static func text(_ issuers: [IssuerView]) -> String {
        issuers.map { issuer in
            let facts = [
                ("issuer", issuer.did), ("told", Readable.date(issuer.toldAt) + " (mesh issuer show asks now)"),
            ]
            return "\n" + Table.facts(facts) + CreditWords.table(issuer.lines, with: "LINE").text
        }.joined()
    }

    /// Balances, then holds, then movements.
    static func text(_ wallet: WalletView) -> String {
        var text = Table.facts([
            ("account", wallet.did), ("available", Readable.tokens(wallet.available)),
            ("held", Readable.tokens(wallet.held)), ("paid", Readable.tokens(wallet.paid)),
            ("earned", Readable.tokens(wallet.earned)),
            ("book", "this node's own: it granted itself its first tokens, and no other node vouches for them"),
        ])
        if !wallet.holds.isEmpty {
            var table = Table([("HELD FOR", .left), ("TOKENS", .right)])
            for hold in wallet.holds { table.add([Readable.short(hold.jobID), Readable.count(hold.amount)]) }
            text += "\n" + table.text
        }
        if !wallet.entries.isEmpty {
            var table = Table([("WHEN", .left), ("TOKENS", .right), ("WHAT", .left)])
            for entry in wallet.entries {
                table.add([Readable.date(entry.at), Readable.count(entry.amount), what(entry)])
            }
            text += "\n" + table.text
        }
        return text
    }

    /// What a movement was for; one of a later version by its own names.
    private static func what(_ entry: WalletView.Entry) -> String {
        let job = entry.jobID.map { " job \(Readable.short($0))" } ?? " a job"
        return switch entry.kind {
        case "grant": "first tokens, which this node granted itself"
        case "hold": "held for\(job)"
        case "settle": "paid for\(job)" + (node(entry.credit).map { " to \($0)" } ?? "")
        case "refund": "came back from\(job)"
        case "income": "earned with\(job)" + (node(entry.debit).map { " from \($0)" } ?? "")
        default: "\(entry.kind) from \(entry.debit) to \(entry.credit)"
        }
    }

    /// The node that an account is about.
    private static func node(_ account: String) -> String? {
        let parts = account.split(separator: "/", maxSplits: 1)
        return parts.count == 2 && parts[1].hasPrefix("did:") ? Readable.short(String(parts[1])) : nil
    }
}

/// `mesh stop`: ends the node.
struct Stop: MeshCommand {
    static let configuration = CommandConfiguration(
        abstract: "Stop the node that runs in the home folder.",
        discussion: """
            The node takes no more jobs and lets running ones end, for at most drain_seconds of its config.json; the \
            next start takes up what still runs then. Asked a second time, the node stops at once. The command \
            returns when the node has ended; interrupting the command changes nothing for the node.
            """)

    @OptionGroup var global: GlobalOptions

    func perform(_ console: Console) async throws -> ExitCode {
        let node = global.node
        let status = try await running(node)
        let process = status.processID
        let isOfDevnet = DevnetParent.isParent(of: process)
        try await Self.shutDown(node)
        await Self.waitForEnd(of: process, console)
        if global.json {
            try console.json(StopReport(home: global.nodeHome.path, processID: process))
        } else {
            console.note(Terminal.safe("stopped node \(Readable.short(status.did))"))
            if isOfDevnet { console.note(DevnetParent.note) }
        }
        return .success
    }

    /// The node's status; without one there is nothing to stop, and no reason to start it.
    private func running(_ node: NodeClient) async throws -> NodeStatus {
        do {
            return try await node.status()
        } catch {
            throw error.code == .nodeNotRunning ? absence : error
        }
    }

    private var absence: NodeServiceError {
        do {
            try global.nodeHome.requireInitialised()
            return NodeServiceError(
                .nodeNotRunning, "No node runs in \(global.nodeHome.path); there is nothing to stop.")
        } catch let missing {
            return missing
        }
    }

    private static func shutDown(_ node: NodeClient) async throws {
        do {
            try await node.shutdown()
        } catch  where error.code == .nodeNotRunning {
            // It was there just now, and may be gone before its answer arrives.
        }
    }

    private static func waitForEnd(of process: Int32, _ console: Console) async {
        var looks = 0
        while isRunning(process) {
            looks += 1
            if looks == 20 { console.note("The node lets running jobs end; a second mesh stop ends it at once.") }
            do { try await Task.sleep(for: .milliseconds(50)) } catch { return }
        }
    }

    /// Whether a process runs; one that has ended may still exist for its parent (proc_pid_stat(5)).
    private static func isRunning(_ process: Int32) -> Bool {
        guard let stat = FileManager.default.contents(atPath: "/proc/\(process)/stat"),
            let state = String(decoding: stat, as: UTF8.self).split(separator: ")").last?.split(separator: " ").first
        else { return false }
        return state != "Z" && state != "X"
    }
}

/// The node that was stopped, as JSON.
struct StopReport: Encodable {
    let home: String
    let processID: Int32

    private enum CodingKeys: String, CodingKey {
        case home
        case processID = "pid"
    }
}
