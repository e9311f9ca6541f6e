import DequeModule
package import Determinism
import JobMarket
package import MeshTypes
package import Multiformats
package import SignedObjects

/// What executors offer, as this node last heard it; bounded in entries and in bytes.
///
/// An offer lasts from its arrival as long as it says, and at most `lifeMilliseconds`; without room for a new one, the
/// oldest goes. An executor's own dates only order its offers, so a withdrawn one does not return by a slower route.
package struct CapabilityBook: Sendable {
    /// The bounds of the book.
    struct Limits: Sendable {
        /// Executors whose offers the book remembers.
        var entriesMax = 1_024
        /// The bytes of all offers, as signed.
        var bytesMax = 1 << 20
        /// How long an offer lasts at most from its arrival, in milliseconds; executors repeat it every minute.
        var lifeMilliseconds: UInt64 = 120_000
    }

    private struct Entry {
        let capability: NodeCapability
        let cid: CID
        let byteCount: Int
        /// Since when the executor offers something without a gap.
        let since: MonotonicInstant
        let until: MonotonicInstant
        let number: UInt64
    }

    private let limits: Limits
    private var entries: [DID: Entry] = [:]
    /// In the order of arrival; places of replaced offers lapse.
    private var order = Deque<(did: DID, number: UInt64)>()
    private var number: UInt64 = 0
    /// Bytes of all offers.
    private(set) var byteCount = 0
    /// Offers that bids cite and this node did not hear.
    var cited = CitedOffers()

    /// An empty book.
    init(limits: Limits = Limits()) {
        self.limits = limits
    }

    /// How many executors have an offer, or withdrew theirs lately.
    var count: Int { entries.count }

    /// What an executor offers; `nil` if unknown or withdrawn.
    func offer(of did: DID, now: MonotonicInstant) -> NodeCapability? {
        guard let entry = entries[did], now < entry.until, !entry.capability.offersNothing else { return nil }
        return entry.capability
    }

    /// What an executor offers, and how bids cite it; `nil` if unknown or withdrawn.
    func signedOffer(of did: DID, now: MonotonicInstant) -> KnownBidder.Offer? {
        offer(of: did, now: now).flatMap { offer in
            entries[did].map { KnownBidder.Offer(cid: $0.cid, capability: offer) }
        }
    }

    /// What is known of who bids.
    func bidder(_ did: DID, now: MonotonicInstant) -> KnownBidder {
        KnownBidder(offer: signedOffer(of: did, now: now), cited: cited.offer(of: did))
    }

    /// Whether an executor's offer of this name is known, or what a bid of it cited by it.
    package func knows(_ cid: CID, of did: DID, now: MonotonicInstant) -> Bool {
        signedOffer(of: did, now: now)?.cid == cid || cited.offer(of: did)?.cid == cid
    }

    /// Whether an executor's offer, or one that it has replaced, was known before a moment, and without a gap since.
    func hasOffered(_ did: DID, since moment: MonotonicInstant, now: MonotonicInstant) -> Bool {
        offer(of: did, now: now) != nil && entries[did].map { $0.since < moment } ?? false
    }

    /// All offers, in the order of their arrival.
    package func offers(now: MonotonicInstant) -> [NodeCapability] {
        order.compactMap { place in
            guard let entry = entries[place.did], entry.number == place.number, now < entry.until,
                !entry.capability.offersNothing
            else { return nil }
            return entry.capability
        }
    }

    /// The executors that offer nothing now: they withdrew their offers, or their owners let them rest.
    func withoutOffer(now: MonotonicInstant) -> [NodeCapability] {
        order.compactMap { place in
            guard let entry = entries[place.did], entry.number == place.number, now < entry.until,
                entry.capability.offersNothing
            else { return nil }
            return entry.capability
        }
    }

    /// Whether an executor offers nothing now.
    func isWithoutOffer(_ did: DID, now: MonotonicInstant) -> Bool {
        entries[did].map { now < $0.until && $0.capability.offersNothing } ?? false
    }

    /// Whether each of these peers said lately what it offers, or that it offers nothing.
    func know(all peers: [PeerID], now: MonotonicInstant) -> Bool {
        let known = Set(entries.values.filter { now < $0.until }.map(\.capability.peerID))
        return peers.allSatisfy(known.contains)
    }

    /// Whether any executor offers something; asked a few times a second.
    func hasOffer(now: MonotonicInstant) -> Bool {
        entries.values.contains { now < $0.until && !$0.capability.offersNothing }
    }

    /// Takes in a verified offer of this name and so many bytes.
    mutating func heard(_ capability: NodeCapability, cid: CID, byteCount bytes: Int, now: MonotonicInstant) {
        forget(now: now)
        let did = capability.nodeDID
        if let known = entries[did], capability.issuedAt < known.capability.issuedAt { return }
        let since = offer(of: did, now: now).flatMap { _ in entries[did]?.since } ?? now
        remove(did)
        guard bytes <= limits.bytesMax else { return }
        let life = min(limits.lifeMilliseconds, capability.validUntil.milliseconds(since: capability.issuedAt))
        number += 1
        entries[did] = Entry(
            capability: capability, cid: cid, byteCount: bytes, since: since,
            until: now.advanced(milliseconds: Int64(clamping: life)), number: number)
        byteCount += bytes
        order.append((did, number))
        while entries.count > limits.entriesMax || byteCount > limits.bytesMax, let eldest = order.popFirst() {
            if entries[eldest.did]?.number == eldest.number { remove(eldest.did) }
        }
        // Sweeps out lapsed places before they are many more than the offers.
        if order.count > 2 * limits.entriesMax {
            order.removeAll { entries[$0.did]?.number != $0.number }
        }
    }

    /// Forgets, from the front, offers whose time is over.
    private mutating func forget(now: MonotonicInstant) {
        while let eldest = order.first {
            let entry = entries[eldest.did]
            if let entry, entry.number == eldest.number {
                guard now >= entry.until else { return }
                remove(eldest.did)
            }
            order.removeFirst()
        }
    }

    /// Forgets an executor's offer; its place in the order lapses.
    mutating func remove(_ did: DID) {
        if let entry = entries.removeValue(forKey: did) { byteCount -= entry.byteCount }
    }
}
