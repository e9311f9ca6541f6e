package import Multiformats

/// What peers did wrong since the last write.
///
/// Anybody can make a node note something, under any number of keys, and nobody waits for it. So a bounded table adds
/// up faults, and the node writes them all together.
struct PeerNotes: Sendable {
    /// The bounds of the table.
    struct Limits: Sendable {
        /// Peers whose faults it gathers; a fault of one more is not recorded.
        var peersMax = 1_024
        /// How many of them may be peers without a connection, of which a stranger can invent any number.
        var notMetMax = 512
        /// The time between two commits, in milliseconds.
        var pauseMilliseconds: Int64 = 1_000
    }

    private struct Faults {
        var count = 0
        var note = ""
        var isMet = false
        var at: UInt64 = 0
    }

    let limits: Limits
    private var faults: [PeerID: Faults] = [:]
    private var notMetCount = 0

    /// An empty table.
    init(limits: Limits = Limits()) {
        self.limits = limits
    }

    /// Peers with faults to write.
    var count: Int { faults.count }

    /// Adds a fault of a peer, connected or only heard of; returns whether there was room for it.
    mutating func add(_ note: String, about peer: PeerID, isMet: Bool, at: UInt64) -> Bool {
        var known = faults[peer] ?? Faults()
        if known.count == 0 {
            guard faults.count < limits.peersMax, isMet || notMetCount < limits.notMetMax else { return false }
            if !isMet { notMetCount += 1 }
        } else if isMet, !known.isMet {
            notMetCount -= 1
        }
        known.count += 1
        known.note = note
        known.isMet = known.isMet || isMet
        known.at = max(known.at, at)
        faults[peer] = known
        return true
    }

    /// Empties the table; returns what to write, in the order of the peers.
    mutating func takeAll() -> [PeerFault] {
        defer {
            faults = [:]
            notMetCount = 0
        }
        return faults.sorted { $0.key < $1.key }.map { peer, known in
            PeerFault(peer: peer, count: known.count, note: known.note, isMet: known.isMet, at: known.at)
        }
    }
}

/// What a peer did wrong since the last write.
package struct PeerFault: Hashable, Sendable {
    /// The peer.
    package let peer: PeerID
    /// How often.
    package let count: Int
    /// The last fault, in words.
    package let note: String
    /// Whether it was connected, not only heard of.
    package let isMet: Bool
    /// The time of the last fault, in milliseconds since the Unix epoch.
    package let at: UInt64
}
