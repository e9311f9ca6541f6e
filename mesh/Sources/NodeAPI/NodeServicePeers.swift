/// A peer with which the node's owner wants nothing to do.
package struct PeerBan: Hashable, Sendable, Codable {
    /// Its peer ID.
    package var peerID: String
    /// Its DID, if its peer ID contains its key.
    package var did: String?
    /// Since when, in milliseconds since the Unix epoch.
    package var at: UInt64
    /// What the owner noted; empty if nothing.
    package var note: String

    package init(peerID: String, did: String?, at: UInt64, note: String) {
        self.peerID = peerID
        self.did = did
        self.at = at
        self.note = note
    }

    private enum CodingKeys: String, CodingKey {
        case did, at, note
        case peerID = "peer_id"
    }
}

/// What the owner orders about a peer.
package enum PeerOrder: String, Hashable, Sendable, CaseIterable {
    /// Have nothing to do with it: no connection, no message, no job in either direction, until it is allowed again.
    case ban
    /// Lift its ban.
    case allow
    /// Drop what the node knows of it: addresses, round trip, offer, counted faults. Evidence of work stays.
    case forget
}

/// The peer that an order is about.
package struct OrderedPeer: Hashable, Sendable, Codable {
    /// Its DID or its peer ID.
    package var peer: String
    /// What the owner wants to remember about a ban.
    package var note: String?

    package init(peer: String, note: String? = nil) {
        self.peer = peer
        self.note = note
    }
}

/// What an order about a peer has changed.
package struct PeerOrderOutcome: Hashable, Sendable, Codable {
    /// The peer ID.
    package var peerID: String
    /// Its DID, if its peer ID contains its key.
    package var did: String?
    /// Whether it was banned before.
    package var wasBanned = false
    /// Whether it is now.
    package var isBanned = false
    /// The note of an earlier ban, where another one took its place.
    package var replacedNote: String?
    /// Connections that were closed.
    package var closedConnections = 0
    /// Jobs of the peer that were stopped here.
    package var stoppedJobs = 0
    /// Jobs of this node at the peer that go to others.
    package var reassignedJobs = 0
    /// Addresses of it that were forgotten.
    package var forgottenAddresses = 0
    /// Whether the configuration names an address of it, so that the node dials it again.
    package var isBootstrap = false
    /// What the node keeps of it: `evidence`, `ledger`, `reputation`, `ban`.
    package var kept: [String] = []

    package init(peerID: String, did: String?) {
        self.peerID = peerID
        self.did = did
    }

    private enum CodingKeys: String, CodingKey {
        case did, kept
        case peerID = "peer_id"
        case wasBanned = "was_banned"
        case isBanned = "banned"
        case replacedNote = "replaced_note"
        case closedConnections = "closed_connections"
        case stoppedJobs = "stopped_jobs"
        case reassignedJobs = "reassigned_jobs"
        case forgottenAddresses = "forgotten_addresses"
        case isBootstrap = "bootstrap"
    }
}
