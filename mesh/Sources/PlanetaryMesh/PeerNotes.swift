import MeshStore
import Multiformats

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

    /// Empties the table; what is to be written.
    mutating func takeAll() -> [StoreWrite] {
        defer {
            faults = [:]
            notMetCount = 0
        }
        return faults.map { peer, known in
            .peerMisbehaved(peer, note: known.note, count: known.count, isMet: known.isMet, at: known.at)
        }
    }
}
