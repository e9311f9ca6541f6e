package import Multiformats

/// What peers did wrong since it was written down last.
///
/// Anybody can make a node note something, under any number of keys, and nobody waits for it. So faults are added up
/// here, in a bounded table, and written all together.
struct PeerNotes: Sendable {
    /// The bounds of the table.
    struct Limits: Sendable {
        /// Peers whose faults are gathered; a fault of one more is not written down.
        var peersMax = 1_024
        /// Those of them that may be peers without a connection, of which a stranger can invent any number.
        var notMetMax = 512
        /// Between two commits, in milliseconds.
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

    /// Peers that something is to be written about.
    var count: Int { faults.count }

    /// Adds a fault of a peer, which is connected or was only heard of; returns whether there was room for it.
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

    /// Empties the table; what is to be written, in the order of the peers.
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

/// What a peer did wrong since it was written down last.
package struct PeerFault: Hashable, Sendable {
    /// The peer.
    package let peer: PeerID
    /// How often.
    package let count: Int
    /// The last of it, in words.
    package let note: String
    /// Whether it was connected, and not only heard of.
    package let isMet: Bool
    /// When the last of it was, in milliseconds since the Unix epoch.
    package let at: UInt64
}
