import DequeModule
import MeshTypes
import Multiformats
import SignedObjects

/// Whom an originator invites in person to bid on a job, where an announcement to everybody would wake thousands.
///
/// A job that at most `everybodyMax` known executors could run is announced by gossip. Where there are more, some are
/// invited by direct messages, and more of them with each repeated announcement, as long as there is no acceptable bid;
/// after `perJobMax` the job is announced to everybody. Offers are hearsay, so not only the cheapest are invited: first
/// executors that proved themselves here, then by turns the cheapest and some that a draw by job and key decides. Who
/// invents cheap executors delays a job by the time of two announcements.
struct Invitations: Sendable {
    /// The bounds of inviting.
    struct Limits: Sendable {
        /// With no more able executors than this a job is announced to everybody.
        var everybodyMax = 64
        /// Executors that are invited to one job.
        var perJobMax = 64
        /// Those of them that are invited at once.
        var atOnceMax = 32
        /// Those of these that are invited because they proved themselves here.
        var provenMax = 12
        /// Addresses of an offer that an invitation may dial, in the offer's order; they are hearsay.
        var addressesMax = 2
        /// Jobs whose invitations are remembered, the latest.
        var jobsMax = 1_024
    }

    /// An able executor, and what it would ask for the job.
    struct Guest: Sendable {
        let offer: NodeCapability
        let price: TokenAmount
        let isProven: Bool
    }

    var limits = Limits()
    private var invited: [JobID: Set<DID>] = [:]
    private var order = Deque<JobID>()

    init(limits: Limits = Limits()) {
        self.limits = limits
    }

    /// Those to invite now, of all that are able; none if the job is to be announced to everybody.
    mutating func next(_ job: JobID, among able: [Guest]) -> [NodeCapability] {
        let before = invited[job] ?? []
        let room = min(limits.atOnceMax, limits.perJobMax - before.count)
        let known = before.union(able.map(\.offer.nodeDID))
        guard known.count > limits.everybodyMax, room > 0 else { return [] }
        let others = able.filter {
            !before.contains($0.offer.nodeDID) && $0.offer.features.contains(JobInvitation.feature)
        }
        let chosen = choose(room, of: others, job)
        guard !chosen.isEmpty else { return [] }
        if invited.updateValue(before.union(chosen.map(\.nodeDID)), forKey: job) == nil {
            order.append(job)
            if order.count > limits.jobsMax, let eldest = order.popFirst() { invited[eldest] = nil }
        }
        return chosen
    }

    private func choose(_ room: Int, of guests: [Guest], _ job: JobID) -> [NodeCapability] {
        func draw(_ guest: Guest) -> [UInt8] {
            CID.hashing(job.cid.bytes + Array(guest.offer.nodeDID.text.utf8), codec: .raw).bytes
        }
        let drawn = guests.map { (guest: $0, number: draw($0)) }
            .sorted { $0.number.lexicographicallyPrecedes($1.number) }.map(\.guest)
        // Equal prices in the order of the draw.
        let cheapest = drawn.enumerated().sorted { left, right in
            (left.element.price, left.offset) < (right.element.price, right.offset)
        }.map(\.element)
        var chosen: [NodeCapability] = []
        var names: Set<DID> = []
        func add(_ guest: Guest) {
            if chosen.count < room, names.insert(guest.offer.nodeDID).inserted { chosen.append(guest.offer) }
        }
        for guest in cheapest.filter(\.isProven).prefix(limits.provenMax) { add(guest) }
        for (cheap, random) in zip(cheapest, drawn) {
            add(cheap)
            add(random)
        }
        return chosen
    }
}
