import Credit
import Determinism
import Economics
import MerkleLog
import MeshTypes
import Multiformats
import PeerIdentity
import Reputation
import SignedObjects

/// What both halves of the market share, and the transition that the current input builds.
struct MarketContext: Sendable {
    let identity: Identity
    let did: DID
    let peerID: PeerID
    var configuration: MarketConfiguration
    var ledger: Ledger
    var reputation: ReputationBook
    /// How originators paid this node.
    var payers: ReputationBook
    var records: TrackRecords
    var anchors: AnchorLog
    var lastReceipt: CID?
    /// Whether the store named the last receipt; if so, a replay of open jobs does not change it.
    let isLastReceiptStored: Bool
    /// When the chain of receipts began again, as the home was restored from a backup; nil if it never was.
    let chainOpenedAt: UnixMilliseconds?
    var counters = MarketCounters()
    var outbox = Outbox()
    var timers = DeadlineQueue<MarketTimer>()
    /// Round trips to peers, in milliseconds.
    var latencies = LatestByPeer<UInt64>()
    /// The parts of the open internet from which peers are connected.
    var networks = LatestByPeer<[AddressGroup]>()
    /// Whose the executors are, as far as these say.
    var operators = KnownOperators()
    var now = MonotonicInstant.zero
    /// The calendar: it dates what this node signs, and judges what others signed.
    var wallClock = UnixMilliseconds.epoch
    /// The steady calendar, for dates that only this node sets and reads.
    var steady = UnixMilliseconds.epoch
    var steadyClock = SteadyClock()
    var clockWatch = ClockWatch()
    /// From whom this node heard last.
    private var hearing = Hearing()
    /// When the node started, by the steady calendar; nil before it took its journals up.
    var startedAt: UnixMilliseconds?
    var isReplaying = false
    /// What the replay of journals added to the books, which is perhaps not on the disk.
    // BOUNDED: by the journals of open jobs.
    var replayed: [ReputationChange] = []
    /// What is known of the bidder of the message being received.
    var bidder = KnownBidder()
    var transition = MarketTransition()

    init(
        identity: Identity, configuration: MarketConfiguration, ledger: Ledger, reputation: ReputationBook,
        payers: ReputationBook, records: TrackRecords, anchors: AnchorLog, lastReceipt: CID?,
        chainOpenedAt: UnixMilliseconds?
    ) {
        self.identity = identity
        self.did = identity.did
        self.peerID = identity.peerID
        self.configuration = configuration
        self.ledger = ledger
        self.reputation = reputation
        self.payers = payers
        self.records = records
        self.anchors = anchors
        self.lastReceipt = lastReceipt
        isLastReceiptStored = lastReceipt != nil
        self.chainOpenedAt = chainOpenedAt
    }

    var limits: MarketLimits { configuration.limits }
    /// Where this node can be reached, with no more addresses than others accept.
    var addresses: [Multiaddr] { Array(configuration.addresses.prefix(configuration.rules.addressCountMax)) }

    mutating func begin(now: MonotonicInstant, wallClock: UnixMilliseconds, isIdle: Bool) {
        self.now = now
        self.wallClock = wallClock
        steady = steadyClock.read(wallClock, now: now, isIdle: isIdle)
        isReplaying = false
        transition = MarketTransition()
    }

    mutating func finish() -> MarketTransition {
        defer { transition = MarketTransition() }
        transition.nextDeadline = timers.next
        transition.clockOffsetMilliseconds = clockWatch.offsetMilliseconds
        return transition
    }

    mutating func emit(_ action: MarketAction) {
        if !isReplaying { transition.actions.append(action) }
    }

    /// Keeps the block of a signed object as evidence.
    mutating func keep<Body: SignedBody>(_ signed: SignedObject<Body>, of job: JobID, isContradiction: Bool = false) {
        guard !isReplaying, !transition.blocks.contains(where: { $0.cid == signed.cid }) else { return }
        transition.blocks.append(EvidenceBlock(signed, of: job, isContradiction: isContradiction))
    }

    /// Records what a job showed of somebody, and has it written down; whether it showed anything new.
    @discardableResult
    mutating func judge(_ evidence: ReputationEvidence, as side: ReputationSide = .executor) -> Bool {
        let change =
            switch side {
            case .executor: reputation.record(evidence)
            case .originator: payers.record(evidence)
            case .elsewhere: reputation.recordElsewhere(evidence)
            }
        guard let change else { return false }
        if isReplaying { replayed.append(change) } else { transition.judged.append(change) }
        return true
    }

    /// Records a fault that a proof shows to anybody, and that this node checked itself; dated by when this node had
    /// the proof, and never later than now.
    mutating func proved(_ evidence: ReputationEvidence) {
        var evidence = evidence
        evidence.at = min(evidence.at, steady)
        if judge(evidence), evidence.verdict == .invalid { records.wasWrong(evidence.subject) }
        // Whoever told two histories of its log is believed on neither side.
        guard evidence.verdict == .equivocated else { return }
        judge(evidence, as: .originator)
        forgetElsewhere { $0.payer == evidence.subject }
    }

    /// Records what somebody else's record shows, which this node checked. What it paid itself it knows better, and of
    /// itself it learns nothing; what those paid or had run who told two histories counts for nobody. No date is later
    /// than now.
    mutating func learned(_ evidence: ReputationEvidence, from rater: DID) {
        let others = [evidence.payer, rater]
        guard evidence.subject != did, !others.contains(did), !others.contains(where: hasTwoHistories) else { return }
        var evidence = evidence
        evidence.at = min(evidence.at, steady)
        judge(evidence, as: .elsewhere)
    }

    private func hasTwoHistories(_ author: DID) -> Bool {
        payers.evidence(about: author).contains { $0.verdict == .equivocated }
    }

    /// Forgets records of others that are no evidence any more, on the disk, too.
    mutating func forgetElsewhere(where isGone: (ReputationEvidence) -> Bool) {
        let gone = reputation.forgetElsewhere(where: isGone)
        if gone.isEmpty { return }
        transition.judged.append(ReputationChange(side: .elsewhere, recorded: nil, dropped: gone))
    }

    /// Has something booked at an issuer.
    mutating func book(_ booking: HoldBooking) {
        if !isReplaying { transition.bookings.append(booking) }
    }

    /// A date of this node's own.
    func date(inMilliseconds milliseconds: UInt64) -> UnixMilliseconds {
        steady.advanced(milliseconds: milliseconds)
    }

    /// A date for others.
    func calendarDate(inMilliseconds milliseconds: UInt64) -> UnixMilliseconds {
        wallClock.advanced(milliseconds: milliseconds)
    }

    /// A date of this node's own, converted for others.
    func calendarDate(of date: UnixMilliseconds) -> UnixMilliseconds {
        calendarDate(inMilliseconds: date.milliseconds(since: steady))
    }

    /// The instant of a date of this node's own; a past date is now.
    func instant(of date: UnixMilliseconds) -> MonotonicInstant {
        now.advanced(milliseconds: Int64(clamping: date.milliseconds(since: steady)))
    }

    mutating func setTimer(_ timer: MarketTimer, at date: UnixMilliseconds) {
        if !isReplaying { timers.set(timer, at: instant(of: date)) }
    }

    mutating func setTimer(_ timer: MarketTimer, inMilliseconds milliseconds: UInt64) {
        if !isReplaying { timers.set(timer, at: now.advanced(milliseconds: Int64(clamping: milliseconds))) }
    }

    /// Notes a time that a peer signed just now.
    mutating func heard(_ peer: PeerID, signedAt: UnixMilliseconds) {
        clockWatch.heard(
            peer, signedAt: signedAt, calendar: wallClock, now: now,
            skewMilliseconds: configuration.rules.clockSkewMilliseconds)
    }

    /// Notes that something came of a peer, once all that was due before is done: what waited behind an outage of this
    /// node says nothing of the time before. What comes of itself says nothing at all.
    mutating func heard(from peer: PeerID) { if peer != peerID { hearing.heard(peer, now: now) } }

    /// Whether, at the end of a wait of so many milliseconds for a peer, others were heard in its last third; if not,
    /// it may be this node that nobody reached.
    func hearsOthers(than peer: PeerID, inLastThirdOf milliseconds: UInt64) -> Bool {
        hearing.heardOther(than: peer, withinMilliseconds: milliseconds / 3, now: now)
    }

    /// Whether an originator has paid this node before, or is this node.
    func knows(_ originator: DID) -> Bool {
        originator == did || ledger.balance(of: .income(originator)) > .zero
    }

    /// How many of `max` strangers may hold together: half, as soon as anybody has paid this node; `nil` for a known
    /// originator, and for everybody before that.
    func strangersMax(of max: Int, for originator: DID) -> Int? {
        // What a node paid itself makes nobody known.
        ledger.earned > ledger.balance(of: .income(did)) && !knows(originator) ? (max + 1) / 2 : nil
    }

    /// Sends a direct message to a peer, and retries until it answers or the date is reached.
    mutating func deliver(
        _ message: MeshProtocolMessage, _ kind: DeliveryID.Kind, job: JobID, subject: CID, to peer: PeerID,
        addresses: [Multiaddr] = [], until: UnixMilliseconds
    ) {
        guard !isReplaying else { return }
        guard outbox.count < limits.deliveriesMax else {
            counters.deliveriesDropped += 1
            return
        }
        let id = DeliveryID(jobID: job, kind: kind, subject: subject)
        let delivery = Delivery(id: id, peer: peer, addresses: addresses, message: message)
        if outbox.add(delivery, giveUpAt: instant(of: until)) { emit(.deliver(delivery)) }
    }

    /// Sends a direct message once.
    mutating func tell(
        _ message: MeshProtocolMessage, _ kind: DeliveryID.Kind, job: JobID, subject: CID, to peer: PeerID,
        addresses: [Multiaddr] = []
    ) {
        let id = DeliveryID(jobID: job, kind: kind, subject: subject)
        emit(.deliver(Delivery(id: id, peer: peer, addresses: addresses, message: message)))
    }

    /// Publishes the heads of the anchored DAG, which cover the entries of a job.
    mutating func publishHeads(anchorOf job: JobID) {
        let heads = AnchorHeadsV1(scope: configuration.anchorScope, heads: anchors.heads, height: anchors.height)
        emit(.gossip(topic: MeshTopics.anchorHeads(scope: heads.scope), .anchorHeads(heads), anchorOf: job))
    }

    mutating func dropDelivery(_ kind: DeliveryID.Kind, job: JobID, subject: CID) {
        let id = DeliveryID(jobID: job, kind: kind, subject: subject)
        if outbox.remove(id) { timers.clear(.delivery(id)) }
    }

    mutating func sign<Body: SignedBody>(_ body: Body) -> SignedObject<Body>? {
        try? SignedObject.sign(body, with: identity)
    }

    /// Makes an entry of this node the head; in a replay, only if it came after the stored heads.
    mutating func anchored(_ signed: SignedObject<AnchorEntry>) {
        if isReplaying, anchors.covers(signed.body) { return }
        let logged = anchors.append(signed, headsMax: limits.anchorHeadsMax)
        if !isReplaying { transition.logged.append(logged) }
    }

    /// Makes evidence a part of the log without an event, and publishes the heads.
    mutating func anchor(_ evidence: [CID], of job: JobID) {
        log(evidence, of: job)
        publishHeads(anchorOf: job)
    }

    /// Makes evidence a part of the log without an event, so many blocks an entry.
    private mutating func log(_ evidence: [CID], of job: JobID) {
        guard !isReplaying else { return }
        var rest = evidence[...]
        while !rest.isEmpty, let entry = anchorEntry(for: Array(rest.prefix(AnchorEntry.payloadMax))) {
            keep(entry, of: job)
            anchored(entry)
            rest = rest.dropFirst(AnchorEntry.payloadMax)
        }
    }

    /// Signs the entry that anchors the receipt of a job and its settlement, behind what the run anchored itself; the
    /// caller records it, and the event has the heads of all published.
    mutating func anchorEntry(
        for payload: [CID], behind receipt: ExecutionReceipt, of job: JobID
    ) -> SignedObject<AnchorEntry>? {
        log(receipt.anchoredCIDs, of: job)
        return anchorEntry(for: payload)
    }

    /// Signs the entry that anchors evidence of a job; the caller records it.
    mutating func anchorEntry(for payload: [CID]) -> SignedObject<AnchorEntry>? {
        sign(
            AnchorEntry(
                nodeDID: did, parents: anchors.heads, payload: payload, scope: configuration.anchorScope,
                height: anchors.heads.isEmpty ? 0 : anchors.height + 1, recordedAt: wallClock,
                size: anchors.tree.size, root: anchors.tree.root.bytes, openedAt: chainOpenedAt,
                heads: anchors.takeOthers()))
    }
}

/// What was last measured of each of the latest `peersMax` peers.
struct LatestByPeer<Value: Sendable>: Sendable {
    static var peersMax: Int { 1024 }

    private var values: [PeerID: Value] = [:]
    private var order: [PeerID] = []

    subscript(peer: PeerID) -> Value? { values[peer] }

    mutating func record(_ peer: PeerID, _ value: Value) {
        if values.updateValue(value, forKey: peer) == nil {
            order.append(peer)
            if order.count > Self.peersMax { values[order.removeFirst()] = nil }
        }
    }

    mutating func forget(_ peer: PeerID) {
        if values.removeValue(forKey: peer) != nil { order.removeAll { $0 == peer } }
    }
}
