import Determinism
import Multiformats

/// What is heard of the runs that others do for this node; nothing of it is written down, so a restart begins anew.
struct LeaseTable: Sendable {
    private struct Lease: Sendable {
        /// The last sequence number heard.
        var heard: UInt64 = 0
        /// Until when status updates renew it.
        var renewalEnd: MonotonicInstant?
    }

    private var leases: [CID: Lease] = [:]

    /// The executor took an assignment; its lease is renewed until a moment at most.
    mutating func begin(_ assignment: CID, renewalEnd: MonotonicInstant) {
        leases[assignment, default: Lease()].renewalEnd = renewalEnd
    }

    /// A status update came; `false` when a later one, or the same, came before.
    mutating func heard(_ assignment: CID, sequence: UInt64) -> Bool {
        guard sequence > leases[assignment]?.heard ?? 0 else { return false }
        leases[assignment, default: Lease()].heard = sequence
        return true
    }

    /// Until when status updates renew a lease.
    func renewalEnd(_ assignment: CID) -> MonotonicInstant? { leases[assignment]?.renewalEnd }

    mutating func end(_ assignment: CID) { leases[assignment] = nil }
}
