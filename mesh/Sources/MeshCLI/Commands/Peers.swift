import ArgumentParser
import MeshHTTP
import NodeAPI

/// `mesh peers`: whom the node knows, and with whom it deals.
struct Peers: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "List the peers that the node knows; ban, allow and forget them.",
        discussion: """
            Without a further word it lists them, as mesh peers list does. A peer is named by its DID, its peer ID, or \
            the name by which the listing calls it.
            """,
        subcommands: [PeerList.self, PeerBans.self, PeerBanCommand.self, PeerAllow.self, PeerForget.self],
        defaultSubcommand: PeerList.self)
}

/// `mesh peers list`: whom the node knows.
struct PeerList: MeshCommand {
    static let configuration = CommandConfiguration(
        commandName: "list",
        abstract: "List the peers that the node is connected to or knows.",
        discussion: """
            NAME is the end of the peer's DID, by which all commands call a node. --full prints the DID, the peer ID \
            and every address.
            """)

    @OptionGroup var global: GlobalOptions

    @Flag(help: "Print DID, peer ID and all addresses of each.")
    var full = false

    func perform(_ console: Console) async throws -> ExitCode {
        let peers = try await global.node.peers()
        if global.json {
            try console.json(peers)
        } else if peers.isEmpty {
            console.note("No peers yet; connect to one with mesh connect ADDRESS.")
        } else {
            console.out(full ? peers.map { Self.facts($0) }.joined(separator: "\n") : Self.table(peers))
        }
        return .success
    }

    /// The listing of peers.
    static func table(_ peers: [PeerView]) -> String {
        var table = Table([
            ("NAME", .left), ("STATE", .left), ("REPUTATION", .right), ("FAULTS", .right), ("OFFERS", .left),
            ("ADDRESS", .left),
        ])
        for peer in peers {
            table.add([
                name(of: peer), state(of: peer), peer.reputation.map { String($0) } ?? "",
                Readable.count(UInt64(max(0, peer.misbehaviourCount))), peer.capability, peer.addresses.first ?? "",
            ])
        }
        return table.text
    }

    /// Everything about one peer.
    static func facts(_ peer: PeerView) -> String {
        var facts: [(name: String, value: String)] = [("name", name(of: peer)), ("state", state(of: peer))]
        if let did = peer.did { facts.append(("DID", did)) }
        facts.append(("peer ID", peer.peerID))
        facts += (peer.connections ?? []).map { ("connected at", $0) }
        facts += peer.addresses.map { ("address", $0) }
        if !peer.capability.isEmpty { facts.append(("offers", peer.capability)) }
        if let reputation = peer.reputation { facts.append(("reputation", String(reputation))) }
        facts.append(("faults", Readable.count(UInt64(max(0, peer.misbehaviourCount)))))
        return Table.facts(facts)
    }

    /// What all commands call the peer.
    private static func name(of peer: PeerView) -> String { Readable.short(peer.did ?? peer.peerID) }

    private static func state(of peer: PeerView) -> String {
        peer.isBanned == true ? "banned" : peer.isConnected ? "connected" : "known"
    }
}
