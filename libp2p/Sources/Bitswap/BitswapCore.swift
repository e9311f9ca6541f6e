public import Determinism
public import Multiformats
import OrderedCollections

/// The exchange of blocks without sockets and clocks: Bitswap 1.2, client and server.
///
/// Asking: a fetch goes through its candidates in order. It asks the first one at once, and the next one when that one
/// does not have the block, cannot be reached or stays silent for `hedgeMilliseconds`. The core hashes every block when
/// it arrives, and hands on only blocks that it asked for. Fetches of one CID share their questions: a fetch that joins
/// waits for the answer to an earlier question for at most `hedgeMilliseconds`, then asks its own candidates, fails by
/// them alone, and leaves the others unharmed. A peer that lacks a block keeps the want, so a fetch that ends cancels
/// it.
///
/// Serving: the core keeps a want until it is served, cancelled or `wantMilliseconds` old, and serves a want for a
/// missing block when the block is added. A peer has at most `wantsPerPeerMax`; one more displaces the oldest that only
/// waits for a block.
///
/// At a limit: a further fetch fails with `tooManyFetches`. A further want, while all are still to be looked up, gets
/// DONT_HAVE if the peer asked for that, else nothing, and is counted.
public struct BitswapCore: Core {
    /// Bounds of the exchange.
    public struct Limits: Sendable, Hashable {
        /// Bounds of one message.
        public var messages = BitswapMessageCoding.Limits()
        /// Wants kept for one peer.
        public var wantsPerPeerMax = 256
        /// How long a want is kept for a block that may still come, in milliseconds.
        public var wantMilliseconds: Int64 = 300_000
        /// Peers whose wants are kept.
        public var peersMax = 1_024
        /// Fetches under way at once.
        public var fetchesMax = 1_024
        /// Candidates of one fetch; further ones are ignored.
        public var candidatesPerFetchMax = 32
        /// CIDs remembered to tell a late copy from a block that nobody asked for.
        public var recentMax = 256
        /// How long a peer may be silent before the next one is asked as well.
        public var hedgeMilliseconds: Int64 = 2_000
        /// How long a peer may be silent before it counts as failed.
        public var answerTimeoutMilliseconds: Int64 = 15_000

        /// The defaults.
        public init() {}
    }

    private struct Fetch: Sendable {
        let id: BlockFetchID
        let bytesMax: Int
        let deadline: MonotonicInstant
        let candidates: OrderedSet<PeerID>
        var failures: [PeerID: BlockPeerFailure] = [:]
        /// When to ask one more candidate; `nil` once all were asked.
        var hedgeAt: MonotonicInstant?
    }

    private struct Asked: Sendable {
        let hedgeAt: MonotonicInstant
        let deadline: MonotonicInstant
        /// It answered that it lacks the block, and may still send it later.
        var isDenied = false
    }

    /// One wanted CID, with the fetches that want it.
    private struct Session: Sendable {
        var fetches: [Fetch] = []
        var asked: OrderedDictionary<PeerID, Asked> = [:]

        /// Whether anybody who was asked may still answer.
        var isWaiting: Bool { asked.values.contains { !$0.isDenied } }

        func isWaiting(for peer: PeerID) -> Bool { asked[peer].map { !$0.isDenied } ?? false }

        /// Whether a peer that was asked for this fetch may still answer.
        func isWaiting(_ fetch: Fetch) -> Bool { fetch.candidates.contains { isWaiting(for: $0) } }

        /// The next candidate to ask for a fetch: not one that failed it, and not one that is being asked.
        func next(for fetch: Fetch) -> PeerID? {
            fetch.candidates.first { fetch.failures[$0] == nil && !isWaiting(for: $0) }
        }
    }

    /// The bounds in force.
    public let limits: Limits
    /// What happened so far.
    public internal(set) var counters = BitswapCounters()
    var ledgers: OrderedDictionary<PeerID, PeerWants> = [:]
    /// Who wants a block, in the order of asking.
    var wanting: [CID: [PeerID]] = [:]
    /// When to look for wants that are too old.
    var wantsSweepAt: MonotonicInstant?
    private var sessions: OrderedDictionary<CID, Session> = [:]
    /// The CIDs that each peer was asked for and has not answered.
    private var outstanding: [PeerID: OrderedSet<CID>] = [:]
    private var recent: OrderedSet<CID> = []
    private var fetchCount = 0
    private var nextNumber: UInt64 = 1

    /// An exchange without fetches and wants.
    public init(limits: Limits = Limits()) {
        self.limits = limits
    }

    /// Begins to fetch a block from candidates, the likeliest first; the end arrives as `.fetched` or `.failed`.
    public mutating func fetch(
        _ cid: CID, from candidates: [PeerID], bytesMax: Int, deadline: MonotonicInstant, now: MonotonicInstant
    ) -> (id: BlockFetchID, actions: [BitswapAction]) {
        let id = BlockFetchID(number: nextNumber)
        nextNumber += 1
        guard cid.isSHA256 else { return (id, [.failed(id, .unsupportedHash)]) }
        guard !candidates.isEmpty else { return (id, [.failed(id, .noPeers)]) }
        guard fetchCount < limits.fetchesMax else {
            return (id, [.failed(id, .tooManyFetches(max: limits.fetchesMax))])
        }
        fetchCount += 1
        var fetch = Fetch(
            id: id, bytesMax: bytesMax, deadline: deadline,
            candidates: OrderedSet(candidates.prefix(limits.candidatesPerFetchMax)))
        // Another fetch may have asked just now, and its answer counts for this one too. A peer that stays silent is
        // not waited for.
        let hedges = sessions[cid]?.asked.values.filter { !$0.isDenied }.map(\.hedgeAt) ?? []
        fetch.hedgeAt = hedges.min()
        let joins = fetch.hedgeAt.map { $0 > now } ?? false
        sessions[cid, default: Session()].fetches.append(fetch)
        return (id, joins ? [] : askNext(cid, for: id, now: now))
    }

    /// Whether a peer was asked for a block that it has not sent.
    public func isAsked(_ peer: PeerID) -> Bool { outstanding[peer] != nil }

    /// Gives up a fetch, which ends without an action. Other fetches of the same block go on.
    public mutating func cancel(_ id: BlockFetchID, now: MonotonicInstant) -> [BitswapAction] {
        for (cid, session) in sessions where session.fetches.contains(where: { $0.id == id }) {
            return remove(id, of: cid)
        }
        return []
    }

    /// Takes in a message of a peer: serves what it wants, checks what it sends.
    public mutating func messageArrived(
        _ message: BitswapMessage, from peer: PeerID, now: MonotonicInstant
    ) -> [BitswapAction] {
        var actions = takeWants(of: message, from: peer, now: now)
        for block in message.blocks { actions += blockArrived(block, from: peer, now: now) }
        for presence in message.presences where !presence.isPresent {
            if sessions[presence.cid]?.asked[peer] != nil {
                actions += failed(peer, for: presence.cid, .doesNotHave, now: now)
            }
        }
        return actions
    }

    /// Notes that messages to a peer do not get through, or that its last connection is gone: forgets its wants, and
    /// asks others for what it was asked for.
    public mutating func peerLost(_ peer: PeerID, now: MonotonicInstant) -> [BitswapAction] {
        forgetWants(of: peer)
        var actions: [BitswapAction] = []
        for cid in outstanding[peer] ?? [] { actions += failed(peer, for: cid, .unreachable, now: now) }
        return actions
    }

    /// The next time `deadlineReached` has something to do.
    public var nextDeadline: MonotonicInstant? {
        var earliest = wantsSweepAt
        for session in sessions.values {
            for fetch in session.fetches {
                let next = min(fetch.deadline, fetch.hedgeAt ?? fetch.deadline)
                earliest = min(earliest ?? next, next)
            }
            for asked in session.asked.values where !asked.isDenied {
                earliest = min(earliest ?? asked.deadline, asked.deadline)
            }
        }
        return earliest
    }

    /// Ends fetches whose time is over, asks other peers where one stays silent, forgets old wants.
    public mutating func deadlineReached(now: MonotonicInstant) -> [BitswapAction] {
        var actions: [BitswapAction] = []
        for (cid, session) in sessions {
            for fetch in session.fetches where fetch.deadline <= now {
                actions += remove(fetch.id, of: cid)
                actions.append(.failed(fetch.id, .timedOut))
            }
            for (peer, asked) in session.asked where !asked.isDenied && asked.deadline <= now {
                actions += failed(peer, for: cid, .timedOut, now: now)
            }
            for fetch in sessions[cid]?.fetches ?? [] {
                if let hedgeAt = fetch.hedgeAt, hedgeAt <= now { actions += askNext(cid, for: fetch.id, now: now) }
            }
        }
        if let sweepAt = wantsSweepAt, sweepAt <= now { forgetOldWants(now: now) }
        return actions
    }

    /// Stops the process if the core contradicts itself; tests call it after every input.
    public func checkInvariants() {
        precondition(fetchCount == sessions.values.reduce(0) { $0 + $1.fetches.count }, "fetches are miscounted")
        precondition(fetchCount <= limits.fetchesMax, "\(fetchCount) fetches")
        precondition(recent.count <= limits.recentMax, "\(recent.count) recent blocks")
        precondition(ledgers.count <= limits.peersMax, "wants of \(ledgers.count) peers")
        for (peer, wants) in ledgers { wants.checkInvariants(of: peer, wantsMax: limits.wantsPerPeerMax) }
        checkWanting()
        for (cid, session) in sessions {
            precondition(!session.fetches.isEmpty, "\(cid) is wanted by nobody")
            for fetch in session.fetches {
                precondition(
                    session.isWaiting(fetch) || session.isWaiting && fetch.hedgeAt != nil,
                    "fetch \(fetch.id.number) of \(cid) waits for nobody")
                precondition(fetch.candidates.count <= limits.candidatesPerFetchMax, "too many candidates")
            }
            for peer in session.asked.keys {
                precondition(outstanding[peer]?.contains(cid) == true, "\(cid) is not outstanding at \(peer)")
            }
        }
        for (peer, cids) in outstanding {
            precondition(!cids.isEmpty, "nothing is outstanding at \(peer)")
            for cid in cids { precondition(sessions[cid]?.asked[peer] != nil, "\(cid) was not asked of \(peer)") }
        }
    }

    private mutating func blockArrived(
        _ block: BitswapMessage.Block, from peer: PeerID, now: MonotonicInstant
    ) -> [BitswapAction] {
        // Hashing costs time, so a block of a peer that was asked for nothing is not hashed.
        guard let asked = outstanding[peer], !asked.isEmpty else {
            counters.unsolicitedBlocks += 1
            return [.peerMisbehaved(peer, .unsolicitedBlock)]
        }
        guard let cid = BlockPrefix.cid(prefix: block.prefix, data: block.data) else {
            counters.mismatchedBlocks += 1
            return [.peerMisbehaved(peer, .malformedPrefix)] + distrust(peer, for: Array(asked), now: now)
        }
        if let session = sessions[cid] {
            counters.blocksReceived += 1
            counters.bytesReceived += block.data.count
            recent.append(cid)
            if recent.count > limits.recentMax { recent.removeFirst() }
            var actions = close(cid, receivedFrom: peer)
            fetchCount -= session.fetches.count
            for fetch in session.fetches {
                let isTooLarge = block.data.count > fetch.bytesMax
                actions.append(
                    isTooLarge
                        ? .failed(fetch.id, .tooLarge(bytes: block.data.count, bytesMax: fetch.bytesMax))
                        : .fetched(fetch.id, block.data, from: peer))
            }
            return actions
        }
        if recent.contains(cid) {
            counters.duplicateBlocks += 1
            return []
        }
        // The wire names no digest, so a forged block looks like one that nobody asked for. Under the prefix of a block
        // that this peer was asked for, it most likely is a forgery and counts as one.
        let suspects = asked.filter { BlockPrefix.bytes(of: $0) == block.prefix }
        guard !suspects.isEmpty else {
            counters.unsolicitedBlocks += 1
            return [.peerMisbehaved(peer, .unsolicitedBlock)]
        }
        counters.mismatchedBlocks += 1
        return [.peerMisbehaved(peer, .blockDoesNotMatch)] + distrust(peer, for: Array(suspects), now: now)
    }

    private mutating func distrust(_ peer: PeerID, for cids: [CID], now: MonotonicInstant) -> [BitswapAction] {
        cids.flatMap { failed(peer, for: $0, .sentWrongBlock, now: now) }
    }

    /// Notes that a peer does not give a block: fetches that waited for it ask another peer, or fail.
    private mutating func failed(
        _ peer: PeerID, for cid: CID, _ reason: BlockPeerFailure, now: MonotonicInstant
    ) -> [BitswapAction] {
        guard var session = sessions[cid], let asked = session.asked[peer] else { return [] }
        if reason == .doesNotHave {
            guard !asked.isDenied else { return [] }
            session.asked[peer]?.isDenied = true
        } else {
            session.asked.removeValue(forKey: peer)
            forget(cid, at: peer)
        }
        for index in session.fetches.indices where session.fetches[index].candidates.contains(peer) {
            if session.fetches[index].failures[peer] == nil { session.fetches[index].failures[peer] = reason }
        }
        sessions[cid] = session
        var actions: [BitswapAction] = []
        if reason == .timedOut { actions.append(.send(peer, cancelMessage(cid))) }
        for fetch in session.fetches {
            guard let current = sessions[cid], !current.isWaiting(fetch) else { continue }
            // A fetch that waits for another's answer goes on waiting while one is outstanding.
            guard fetch.candidates.contains(peer) || !current.isWaiting else { continue }
            actions += askNext(cid, for: fetch.id, now: now)
        }
        return actions
    }

    /// Asks the next candidate of a fetch, or ends it when it has none left and none of them is being asked.
    private mutating func askNext(_ cid: CID, for id: BlockFetchID, now: MonotonicInstant) -> [BitswapAction] {
        guard var session = sessions[cid], let index = session.fetches.firstIndex(where: { $0.id == id }) else {
            return []
        }
        let fetch = session.fetches[index]
        guard let peer = session.next(for: fetch) else {
            session.fetches[index].hedgeAt = nil
            sessions[cid] = session
            if session.isWaiting(fetch) { return [] }
            return remove(id, of: cid) + [.failed(id, .allPeersFailed(fetch.failures))]
        }
        let hedgeAt = now.advanced(milliseconds: limits.hedgeMilliseconds)
        session.asked[peer] = Asked(
            hedgeAt: hedgeAt, deadline: now.advanced(milliseconds: limits.answerTimeoutMilliseconds))
        session.fetches[index].hedgeAt = session.next(for: fetch) == nil ? nil : hedgeAt
        sessions[cid] = session
        outstanding[peer, default: []].append(cid)
        return [.send(peer, BitswapMessage(wants: [.init(cid: cid)]))]
    }

    /// Removes a fetch; the last one of its CID ends the questions.
    private mutating func remove(_ id: BlockFetchID, of cid: CID) -> [BitswapAction] {
        sessions[cid]?.fetches.removeAll { $0.id == id }
        fetchCount -= 1
        return sessions[cid]?.fetches.isEmpty == true ? close(cid) : []
    }

    /// Ends a session: cancels the wants at peers that have not answered, and at those that lack the block and keep the
    /// want.
    private mutating func close(_ cid: CID, receivedFrom source: PeerID? = nil) -> [BitswapAction] {
        guard let session = sessions.removeValue(forKey: cid) else { return [] }
        var actions: [BitswapAction] = []
        for peer in session.asked.keys {
            forget(cid, at: peer)
            if peer != source { actions.append(.send(peer, cancelMessage(cid))) }
        }
        return actions
    }

    private mutating func forget(_ cid: CID, at peer: PeerID) {
        outstanding[peer]?.remove(cid)
        if outstanding[peer]?.isEmpty == true { outstanding.removeValue(forKey: peer) }
    }

    private func cancelMessage(_ cid: CID) -> BitswapMessage {
        BitswapMessage(wants: [.init(cid: cid, sendDontHave: false, isCancel: true)])
    }
}
