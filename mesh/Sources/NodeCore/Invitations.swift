import DequeModule
import JobMarket
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
        /// With no more executors than this that take invitations a job is announced to everybody.
        var everybodyMax = 64
        /// Executors that are invited to one job; they are chosen at once.
        var perJobMax = 64
        /// Those of them that are invited at once.
        var atOnceMax = 32
        /// Those of all that are invited because they proved themselves here.
        var provenMax = 24
        /// Offers that are judged to choose them, besides those of executors that proved themselves.
        var judgedMax = 256
        /// Addresses of an offer that an invitation may dial, in the offer's order; they are hearsay.
        var addressesMax = 2
        /// Jobs whose invitations are remembered, the latest.
        var jobsMax = 1_024
    }

    /// An able executor, and what it would ask for the job.
    struct Guest: Sendable {
        let did: DID
        let price: TokenAmount
        let isProven: Bool
    }

    /// The executors that were chosen for one job.
    private struct List {
        var invited: [DID] = []
        var waiting: Deque<DID>
    }

    var limits = Limits()
    private var lists: [JobID: List] = [:]
    private var order = Deque<JobID>()

    init(limits: Limits = Limits()) {
        self.limits = limits
    }

    /// Whether executors were chosen for a job before.
    func hasChosen(for job: JobID) -> Bool { lists[job] != nil }

    /// Who was invited to a job so far.
    func invited(to job: JobID) -> [DID] { lists[job]?.invited ?? [] }

    /// The offers to judge for a job: those of executors that take invitations, if there are so many that some are
    /// invited; else none. Of very many a part, another for each job, and those that proved themselves.
    func sample(_ offers: [NodeCapability], for job: JobID, isProven: (DID) -> Bool) -> [NodeCapability] {
        guard offers.count > limits.everybodyMax else { return [] }
        let takers = offers.filter { $0.features.contains(JobInvitation.feature) }
        guard takers.count > limits.everybodyMax, takers.count > limits.judgedMax else {
            return takers.count > limits.everybodyMax ? takers : []
        }
        let start = Int(Self.draw(job, []) % UInt64(takers.count))
        let sampled = (0..<limits.judgedMax).map { takers[(start + $0) % takers.count] }
        let known = Set(sampled.map(\.nodeDID))
        var proven: [NodeCapability] = []
        for taker in takers where proven.count < limits.provenMax && !known.contains(taker.nodeDID) {
            if isProven(taker.nodeDID) { proven.append(taker) }
        }
        return sampled + proven
    }

    /// Chooses whom to invite to a job, of those that are able; nobody if they are too few.
    mutating func choose(_ job: JobID, among able: [Guest]) {
        guard able.count > limits.everybodyMax else { return }
        let drawn = able.map { (guest: $0, number: Self.draw(job, Array($0.did.text.utf8))) }
            .sorted { $0.number < $1.number }.map(\.guest)
        // Equal prices in the order of the draw.
        let cheapest = drawn.enumerated().sorted { left, right in
            (left.element.price, left.offset) < (right.element.price, right.offset)
        }.map(\.element)
        var chosen = Deque<DID>()
        var names: Set<DID> = []
        func add(_ guest: Guest) {
            if chosen.count < limits.perJobMax, names.insert(guest.did).inserted { chosen.append(guest.did) }
        }
        var proven = Deque(cheapest.filter(\.isProven).prefix(limits.provenMax))
        for (cheap, random) in zip(cheapest, drawn) {
            if let next = proven.popFirst() { add(next) }
            add(cheap)
            add(random)
        }
        if lists.updateValue(List(waiting: chosen), forKey: job) == nil {
            order.append(job)
            if order.count > limits.jobsMax, let eldest = order.popFirst() { lists[eldest] = nil }
        }
    }

    /// Those to invite now; none if the job is to be announced to everybody.
    mutating func next(_ job: JobID) -> [DID] {
        guard var list = lists[job] else { return [] }
        let now = Array(list.waiting.prefix(limits.atOnceMax))
        list.waiting.removeFirst(now.count)
        list.invited += now
        lists[job] = list
        return now
    }

    /// The message that invites an executor, dialed at some of the addresses of its offer.
    func delivery(
        of announcement: JobAnnouncementV1, on job: JobID, to guest: DID, at known: [Multiaddr]
    ) -> Delivery {
        let id = DeliveryID(
            jobID: job, kind: .invitation, subject: .hashing(Array(guest.text.utf8), codec: .raw))
        return Delivery(
            id: id, peer: guest.peerID, addresses: Array(known.prefix(limits.addressesMax)),
            message: .jobAnnouncement(announcement))
    }

    private static func draw(_ job: JobID, _ name: [UInt8]) -> UInt64 {
        CID.hashing(job.cid.bytes + name, codec: .raw).multihash.digest.prefix(8)
            .reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
    }
}
