public import Determinism
public import Multiformats
import OrderedCollections

/// Whom a node wants to be connected to, whom it is connected to, and when it tries whom again. A core: it dials nobody
/// itself.
///
/// It always wants bootstrap addresses, so that parts of a mesh that lost each other reunite. It wants peers that the
/// node has met while the node has fewer than `peersWanted` connections. It retries a peer that does not answer after a
/// pause that doubles up to a minute, with jitter, since all nodes lose a failed peer at the same moment. A node that
/// has lost too many peers does not wait for these pauses, but tries everybody within `urgentMilliseconds`.
public struct PeersCore: Core {
    /// The bounds of the core.
    public struct Limits: Sendable {
        /// Connected peers below which the node also dials peers met before.
        public var peersWanted = 4
        /// Dials under way at once.
        public var dialsAtOnceMax = 8
        /// Bootstrap addresses; further ones are ignored.
        public var bootstrapMax = 64
        /// Peers met that are remembered; one more replaces the one met longest ago.
        public var rememberedMax = 64
        /// The pause after the first failure, in milliseconds; it doubles with each further one.
        public var firstPauseMilliseconds: Int64 = 5_000
        /// The longest pause, in milliseconds.
        public var longestPauseMilliseconds: Int64 = 60_000
        /// The time within which a lost peer is first retried, and everybody when too many are lost, in milliseconds.
        public var urgentMilliseconds: Int64 = 5_000
        /// The shortest time between two occasions that cut pauses short, in milliseconds.
        public var urgencyPauseMilliseconds: Int64 = 60_000
        /// How long a connection has to last for its end to start again with the shortest pause, in milliseconds.
        public var steadyMilliseconds: Int64 = 30_000

        /// The defaults.
        public init() {}
    }

    /// Somebody to dial.
    public enum Contact: Hashable, Sendable {
        /// A peer at its known addresses.
        case peer(PeerID)
        /// Whoever is at an address.
        case address(Multiaddr)
    }

    /// What the shell has to do.
    public enum Action: Hashable, Sendable {
        /// Dial, and report with `dialed`.
        case dial(Contact)
    }

    private struct Candidate: Sendable {
        var peer: PeerID?
        var isBootstrap: Bool
        var failures = 0
        var notBefore: MonotonicInstant
        var isDialing = false
        var metAt: UInt64 = 0
    }

    private let limits: Limits
    private var candidates: OrderedDictionary<Contact, Candidate> = [:]
    private var live: [PeerID: MonotonicInstant] = [:]
    private var avoided: OrderedDictionary<PeerID, MonotonicInstant> = [:]
    private var dialing = 0
    private var meetings: UInt64 = 0
    private var urgentAgainAt = MonotonicInstant.zero

    /// A node that knows nobody.
    public init(limits: Limits = Limits()) {
        self.limits = limits
    }

    /// Peers connected now.
    public var liveCount: Int { live.count }

    /// Those that may be dialed, bootstrap addresses first; for tests and reports.
    public var contacts: [Contact] { candidates.keys.sorted { rank($0) < rank($1) } }

    // MARK: Inputs

    /// Names an address that this node shall stay connected to.
    public mutating func bootstrap(_ address: Multiaddr, now: MonotonicInstant) {
        let known = candidates.values.count(where: \.isBootstrap)
        guard candidates[.address(address)] == nil, known < limits.bootstrapMax else { return }
        candidates[.address(address)] = Candidate(peer: address.peerID, isBootstrap: true, notBefore: now)
    }

    /// Remembers a peer that this node has met and whose addresses are known; the latest are dialed first.
    public mutating func met(_ peer: PeerID, now: MonotonicInstant) {
        meetings += 1
        let contact = Contact.peer(peer)
        if candidates[contact] == nil {
            let remembered = candidates.filter { !$0.value.isBootstrap && !$0.value.isDialing }
            if remembered.count >= limits.rememberedMax,
                let oldest = remembered.min(by: { $0.value.metAt < $1.value.metAt })
            {
                candidates[oldest.key] = nil
            }
            candidates[contact] = Candidate(peer: peer, isBootstrap: false, notBefore: now)
        }
        candidates[contact]?.metAt = meetings
    }

    /// Notes a connection to a peer.
    public mutating func connected(_ peer: PeerID, now: MonotonicInstant) {
        if live[peer] == nil { live[peer] = now }
    }

    /// Notes that the last connection to a peer is gone.
    public mutating func disconnected(
        _ peer: PeerID, now: MonotonicInstant, using generator: inout some RandomNumberGenerator
    ) {
        guard let since = live.removeValue(forKey: peer) else { return }
        let wasSteady = now.milliseconds(since: since) >= limits.steadyMilliseconds
        for (contact, candidate) in candidates where candidate.peer == peer {
            candidates[contact]?.failures = wasSteady ? 0 : candidate.failures + 1
            let pause =
                wasSteady
                ? Int64.random(in: 0...limits.urgentMilliseconds, using: &generator)
                : pause(after: candidate.failures + 1, using: &generator)
            candidates[contact]?.notBefore = now.advanced(milliseconds: pause)
        }
        guard live.count < limits.peersWanted else { return }
        cutPausesShort(now: now, sparing: wasSteady ? nil : peer, using: &generator)
    }

    /// Leaves a peer alone for a while, because it misbehaved.
    public mutating func avoid(_ peer: PeerID, until: MonotonicInstant) {
        if avoided[peer] == nil, avoided.count >= limits.rememberedMax { avoided.removeFirst() }
        avoided[peer] = until
    }

    /// Forgets that a peer was met, so that it is not dialed for that; an address that was named stays.
    public mutating func forget(_ peer: PeerID) {
        let contact = Contact.peer(peer)
        if candidates[contact]?.isDialing == false { candidates[contact] = nil }
        avoided[peer] = nil
    }

    /// Reports how a dial ended: with the peer that answered, or `nil`.
    public mutating func dialed(
        _ contact: Contact, answeredBy peer: PeerID?, now: MonotonicInstant,
        using generator: inout some RandomNumberGenerator
    ) {
        guard let candidate = candidates[contact], candidate.isDialing else { return }
        dialing -= 1
        candidates[contact]?.isDialing = false
        if let peer {
            candidates[contact]?.peer = peer
            // A connection that ends at once counts as a failure when it ends; until then the peer is not dialed.
            candidates[contact]?.notBefore = now.advanced(milliseconds: limits.firstPauseMilliseconds)
        } else {
            let failures = candidate.failures + 1
            candidates[contact]?.failures = failures
            let pause = pause(after: failures, using: &generator)
            candidates[contact]?.notBefore = now.advanced(milliseconds: pause)
        }
    }

    /// Returns those whose turn it is.
    public mutating func deadlineReached(now: MonotonicInstant) -> [Action] {
        avoided.removeAll { $0.value <= now }
        var actions: [Action] = []
        var missing = limits.peersWanted - live.count - dialing
        for contact in candidates.keys.filter({ isDue($0, now: now) }).sorted(by: { rank($0) < rank($1) }) {
            guard dialing < limits.dialsAtOnceMax else { break }
            // A node without any peer dials as many as it may; one with a few dials only as many as it lacks.
            guard candidates[contact]?.isBootstrap == true || missing > 0 || live.isEmpty else { continue }
            candidates[contact]?.isDialing = true
            dialing += 1
            missing -= 1
            actions.append(.dial(contact))
        }
        return actions
    }

    /// When `deadlineReached` has something to do; `nil` while nobody is wanted or no further dial is possible.
    public var nextDeadline: MonotonicInstant? {
        guard dialing < limits.dialsAtOnceMax else { return nil }
        return candidates.keys.compactMap(wantedAt).min()
    }

    /// Stops with a message when the core contradicts itself; tests call it after every input.
    public func checkInvariants() {
        precondition(dialing == candidates.values.count(where: \.isDialing), "\(dialing) dials are counted")
        precondition(dialing <= limits.dialsAtOnceMax, "\(dialing) dials")
        precondition(candidates.values.count(where: \.isBootstrap) <= limits.bootstrapMax, "too many to begin with")
        precondition(
            candidates.values.count { !$0.isBootstrap } <= limits.rememberedMax + limits.dialsAtOnceMax,
            "too many are remembered")
        precondition(avoided.count <= limits.rememberedMax, "too many are avoided")
    }

    // MARK: Decisions

    /// When a peer is next due, as things are; for an avoided one, when avoidance ends.
    private func wantedAt(_ contact: Contact) -> MonotonicInstant? {
        guard let candidate = candidates[contact], !candidate.isDialing else { return nil }
        // Those being dialed may be enough; a node without any peer does not wait for them.
        let missing = limits.peersWanted - live.count - (live.isEmpty ? 0 : dialing)
        guard candidate.isBootstrap || missing > 0 else { return nil }
        guard let peer = candidate.peer else { return candidate.notBefore }
        return live[peer] == nil ? max(candidate.notBefore, avoided[peer] ?? candidate.notBefore) : nil
    }

    private func isDue(_ contact: Contact, now: MonotonicInstant) -> Bool {
        wantedAt(contact).map { $0 <= now } ?? false
    }

    /// Bootstrap addresses first, then those that failed least, then those met last.
    private func rank(_ contact: Contact) -> (Int, Int, UInt64) {
        guard let candidate = candidates[contact] else { return (2, 0, 0) }
        return (candidate.isBootstrap ? 0 : 1, candidate.failures, .max - candidate.metAt)
    }

    /// The pause doubles with each failure; its second half is random.
    private func pause(after failures: Int, using generator: inout some RandomNumberGenerator) -> Int64 {
        let doubled = limits.firstPauseMilliseconds << Int64(min(failures - 1, 16))
        let longest = min(doubled, limits.longestPauseMilliseconds)
        return Int64.random(in: longest / 2...longest, using: &generator)
    }

    /// Everybody is tried soon, except a peer whose connections do not last.
    private mutating func cutPausesShort(
        now: MonotonicInstant, sparing flapping: PeerID?, using generator: inout some RandomNumberGenerator
    ) {
        guard urgentAgainAt <= now else { return }
        urgentAgainAt = now.advanced(milliseconds: limits.urgencyPauseMilliseconds)
        for (contact, candidate) in candidates where flapping == nil || candidate.peer != flapping {
            let soon = now.advanced(
                milliseconds: Int64.random(in: 0...limits.urgentMilliseconds, using: &generator))
            candidates[contact]?.failures = 0
            candidates[contact]?.notBefore = min(candidate.notBefore, soon)
        }
    }
}
