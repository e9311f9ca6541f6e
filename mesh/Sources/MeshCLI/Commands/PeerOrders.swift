import ArgumentParser
import MeshHTTP
import NodeAPI

/// The peer that a command is about.
struct NamedPeer: ParsableArguments {
    @Argument(help: "The peer: its DID, its peer ID, or its name in mesh peers.")
    var peer: String

    /// What the node is asked for: a name that the listing gives is that of one peer alone.
    func ordered(_ node: NodeClient, note: String? = nil) async throws(NodeServiceError) -> OrderedPeer {
        let name = peer.hasPrefix(ShownName.ellipsis) ? String(peer.dropFirst()) : peer
        // Nothing that begins so is the end of a name.
        if name.hasPrefix("did:") || name.hasPrefix("12D3") { return OrderedPeer(peer: name, note: note) }
        let known = try await node.peers().map { $0.did ?? $0.peerID }
        return OrderedPeer(peer: try ShownName.meant(by: name, among: known) ?? name, note: note)
    }

    /// Gives the node an order about the peer, and prints what that has changed.
    func give(
        _ order: PeerOrder, note: String? = nil, _ global: GlobalOptions, _ console: Console
    ) async throws -> ExitCode {
        let node = global.node
        let outcome = try await node.obey(order, about: ordered(node, note: note))
        if global.json { try console.json(outcome) } else { console.out(PeerOrderWords.text(order, outcome) + "\n") }
        return .success
    }
}

/// `mesh peers ban`.
struct PeerBanCommand: MeshCommand {
    static let configuration = CommandConfiguration(
        commandName: "ban",
        abstract: "Have nothing to do with a peer from now on.",
        discussion: """
            Its connections are closed and no new ones are made, in either direction; its bids, announcements and \
            messages are not read, whoever forwards them; its jobs here are stopped, and yours there go to others. A \
            ban lasts over restarts, until mesh peers allow. A new key is another peer.
            """)

    @OptionGroup var global: GlobalOptions
    @OptionGroup var named: NamedPeer

    @Option(help: "What you want to remember about it, in at most 200 bytes.")
    var note: String?

    func perform(_ console: Console) async throws -> ExitCode {
        try await named.give(.ban, note: note, global, console)
    }
}

/// `mesh peers allow`.
struct PeerAllow: MeshCommand {
    static let configuration = CommandConfiguration(
        commandName: "allow", abstract: "Lift the ban of a peer.",
        discussion: "The node does not connect to it by itself for that; mesh connect does.")

    @OptionGroup var global: GlobalOptions
    @OptionGroup var named: NamedPeer

    func perform(_ console: Console) async throws -> ExitCode {
        try await named.give(.allow, global, console)
    }
}

/// `mesh peers forget`.
struct PeerForget: MeshCommand {
    static let configuration = CommandConfiguration(
        commandName: "forget",
        abstract: "Drop what the node knows of a peer, but for evidence.",
        discussion: """
            Addresses, round trip, offer and counted faults go, and its connections are closed. Receipts, proofs, \
            journals, the ledger and the reputation that follows from them stay, and so does a ban. A peer that comes \
            back is met anew.
            """)

    @OptionGroup var global: GlobalOptions
    @OptionGroup var named: NamedPeer

    func perform(_ console: Console) async throws -> ExitCode {
        try await named.give(.forget, global, console)
    }
}

/// `mesh peers bans`.
struct PeerBans: MeshCommand {
    static let configuration = CommandConfiguration(
        commandName: "bans", abstract: "List the peers that are banned, the oldest ban first.")

    @OptionGroup var global: GlobalOptions

    func perform(_ console: Console) async throws -> ExitCode {
        let bans = try await global.node.bans()
        if global.json {
            try console.json(bans)
        } else if bans.isEmpty {
            console.note("Nobody is banned.")
        } else {
            var table = Table([("NAME", .left), ("SINCE", .left), ("NOTE", .left), ("PEER", .left)])
            for ban in bans {
                table.add([
                    Readable.short(ban.did ?? ban.peerID), Readable.date(ban.at), Terminal.safe(ban.note),
                    ban.did ?? ban.peerID,
                ])
            }
            console.out(table.text)
        }
        return .success
    }
}

/// What a person reads of an order about a peer.
enum PeerOrderWords {
    /// One line, with what was done and what stays.
    static func text(_ order: PeerOrder, _ outcome: PeerOrderOutcome) -> String {
        let name = Readable.short(outcome.did ?? outcome.peerID)
        switch order {
        case .ban:
            let ended = [
                count(outcome.closedConnections, "connection", "closed"),
                count(outcome.stoppedJobs, "job of it", "stopped"),
                count(outcome.reassignedJobs, "job there", "given to others"),
            ].compactMap(\.self)
            let told = ended.isEmpty ? "" : " \(ended.joined(separator: ", "))."
            let replaced = outcome.replacedNote.map { " Your note takes the place of \"\(Terminal.safe($0))\"." } ?? ""
            return "\(name) \(outcome.wasBanned ? "was banned already" : "is banned").\(replaced)\(told)"
        case .allow: return outcome.wasBanned ? "\(name) is allowed again." : "\(name) was not banned."
        case .forget:
            let gone = [
                count(outcome.forgottenAddresses, "address", "forgotten"),
                count(outcome.closedConnections, "connection", "closed"),
            ].compactMap(\.self)
            let ban = outcome.isBanned ? " It stays banned." : ""
            let bootstrap = outcome.isBootstrap ? " Your bootstrap addresses name it, so the node dials it again." : ""
            return "\(name) is forgotten\(gone.isEmpty ? "" : ": " + gone.joined(separator: ", ")). Kept: receipts, "
                + "proofs and journals of its work, the ledger, and its reputation.\(ban)\(bootstrap)"
        }
    }

    private static func count(_ number: Int, _ what: String, _ done: String) -> String? {
        guard number > 0 else { return nil }
        let plural =
            switch what {
            case "address": "addresses"
            case "connection": "connections"
            default: what.replacing("job", with: "jobs")
            }
        return "\(Readable.count(UInt64(number))) \(number == 1 ? what : plural) \(done)"
    }
}
