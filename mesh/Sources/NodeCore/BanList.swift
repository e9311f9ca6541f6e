import MeshTypes
package import Multiformats
import OrderedCollections

/// The peers with which the owner of a node wants nothing to do, in the order of the bans: no connection, no message,
/// no job in either direction.
package struct BanList: Hashable, Sendable {
    /// Peers banned at once: one more is refused, since forgetting another's ban would lift it unasked.
    package static let peersMax = 1_024
    /// What the owner notes about a ban, in bytes.
    package static let noteBytesMax = 200

    /// One ban.
    package struct Ban: Hashable, Sendable, Codable {
        /// Who is banned.
        package let peer: PeerID
        /// Since when, in milliseconds since the Unix epoch.
        package let at: UInt64
        /// What the owner noted.
        package let note: String
        /// True if the peer offered to run jobs when it was banned, else absent.
        package let ranJobs: Bool?

        /// A ban as of a moment.
        package init(peer: PeerID, at: UInt64, note: String, ranJobs: Bool? = nil) {
            (self.peer, self.at, self.note, self.ranJobs) = (peer, at, note, ranJobs)
        }
    }

    /// The answer to a message that was read before its sender was banned.
    static let refusal = Refusal(.notAccepting, "this node takes no messages of this peer")

    private var bans: OrderedDictionary<PeerID, Ban> = [:]

    /// These bans; of too many, the first.
    package init(_ bans: [Ban] = []) {
        for ban in bans.prefix(Self.peersMax) { self.bans[ban.peer] = ban }
    }

    /// All bans, the oldest first.
    package var all: [Ban] { Array(bans.values) }
    /// All who are banned.
    package var peers: Set<PeerID> { Set(bans.keys) }
    /// How many of them offered to run jobs when they were banned.
    package var executors: Int { bans.values.count { $0.ranJobs == true } }
    /// Whether there is no room for another.
    package var isFull: Bool { bans.count >= Self.peersMax }

    /// The ban of a peer, if it has one.
    package subscript(peer: PeerID) -> Ban? { bans[peer] }

    /// Bans a peer, or notes something else about its ban, whose date stays; `false` if there is no room.
    package mutating func ban(_ ban: Ban) -> Bool {
        if let known = bans[ban.peer] {
            bans[ban.peer] = Ban(
                peer: ban.peer, at: known.at, note: ban.note, ranJobs: known.ranJobs ?? ban.ranJobs)
            return true
        }
        guard !isFull else { return false }
        bans[ban.peer] = ban
        return true
    }

    /// Lifts the ban of a peer; `false` if it had none.
    package mutating func allow(_ peer: PeerID) -> Bool { bans.removeValue(forKey: peer) != nil }
}
