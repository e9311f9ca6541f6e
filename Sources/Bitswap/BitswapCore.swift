import Determinism
import Multiformats
import OrderedCollections

/// The exchange of blocks without sockets and clocks: Bitswap 1.2, client and server.
///
/// Asking: a fetch goes to its candidates in order. The first is asked for the block at once; the next when that one
/// does not have it, cannot be reached or stays silent for `hedgeMilliseconds`. Every block is hashed when it arrives,
/// and nobody sees one that was not asked for; several fetches of one CID share the question. Serving: wants of a peer
/// are kept until they are served or taken back, at most `wantsPerPeerMax`, and a want for a block that is not here is
/// served when the block is added.
///
/// At a limit: a further fetch fails with `tooManyFetches`; a further want is answered DONT_HAVE if that was asked for,
/// else ignored, and counted.
public struct BitswapCore: Sendable {
    /// Bounds of the exchange.
    public struct Limits: Sendable, Hashable {
        /// Bounds of one message.
        public var messages = BitswapMessageCoding.Limits()
        /// Wants kept for one peer.
        public var wantsPerPeerMax = 256
        /// Peers that wants are kept for.
        public var peersMax = 1_024
        /// Fetches under way at once.
        public var fetchesMax = 1_024
        /// Candidates of one fetch; further ones are ignored.
        public var candidatesPerFetchMax = 32
        /// CIDs remembered to tell a late copy from a block nobody asked for.
        public var recentMax = 256
        /// Silence of a peer after which the next one is asked as well.
        public var hedgeMilliseconds: Int64 = 2_000
        /// Silence of a peer after which it counts as failed.
        public var answerTimeoutMilliseconds: Int64 = 15_000

        /// The defaults.
        public init() {}
    }

    private struct Fetch: Sendable {
        let id: BlockFetchID
        let bytesMax: Int
        let deadline: MonotonicInstant
    }

    private struct Asked: Sendable {
        let hedgeAt: MonotonicInstant
        let deadline: MonotonicInstant
        var isHedged = false
    }

    /// One CID that is wanted, by one or more fetches.
    private struct Session: Sendable {
        var fetches: [Fetch]
        var candidates: OrderedSet<PeerID>
        var asked: OrderedDictionary<PeerID, Asked> = [:]
        var failures: [PeerID: BlockPeerFailure] = [:]
    }

    /// The bounds in force.
    public let limits: Limits
    /// What happened so far.
    public internal(set) var counters = BitswapCounters()
    var ledgers: OrderedDictionary<PeerID, PeerWants> = [:]
    private var sessions: OrderedDictionary<CID, Session> = [:]
    /// Which CIDs each peer was asked for and has not answered.
    private var outstanding: [PeerID: OrderedSet<CID>] = [:]
    private var recent: OrderedSet<CID> = []
    private var fetchCount = 0
    private var nextNumber: UInt64 = 1

    /// An exchange that asks nobody and knows of nobody's wants.
    public init(limits: Limits = Limits()) {
        self.limits = limits
    }

    /// Begins to fetch a block from candidates, the likeliest first; its end comes as `.fetched` or `.failed`.
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
        var session = sessions[cid] ?? Session(fetches: [], candidates: [])
        session.fetches.append(Fetch(id: id, bytesMax: bytesMax, deadline: deadline))
        for peer in candidates where session.candidates.count < limits.candidatesPerFetchMax {
            session.candidates.append(peer)
        }
        sessions[cid] = session
        return (id, session.asked.isEmpty ? askNext(cid, now: now) : [])
    }

    /// Whether a peer was asked for a block that it has not sent.
    public func isAsked(_ peer: PeerID) -> Bool { outstanding[peer] != nil }

    /// Gives a fetch up; it ends without an action.
    public mutating func cancel(_ id: BlockFetchID, now: MonotonicInstant) -> [BitswapAction] {
        for (cid, session) in sessions {
            guard let index = session.fetches.firstIndex(where: { $0.id == id }) else { continue }
            sessions[cid]?.fetches.remove(at: index)
            fetchCount -= 1
            return sessions[cid]?.fetches.isEmpty == true ? close(cid) : []
        }
        return []
    }

    /// Takes in a message of a peer: serves what it wants, checks what it sends.
    public mutating func messageArrived(
        _ message: BitswapMessage, from peer: PeerID, now: MonotonicInstant
    ) -> [BitswapAction] {
        var actions = takeWants(of: message, from: peer)
        for block in message.blocks { actions += blockArrived(block, from: peer, now: now) }
        for presence in message.presences where !presence.isPresent {
            if sessions[presence.cid]?.asked[peer] != nil {
                actions += failed(peer, for: presence.cid, .doesNotHave, now: now)
            }
        }
        return actions
    }

    /// Notes that messages to a peer do not get through, or that its last connection is gone: its wants are forgotten
    /// and what it was asked for is asked of others.
    public mutating func peerLost(_ peer: PeerID, now: MonotonicInstant) -> [BitswapAction] {
        ledgers.removeValue(forKey: peer)
        var actions: [BitswapAction] = []
        for cid in outstanding[peer] ?? [] { actions += failed(peer, for: cid, .unreachable, now: now) }
        return actions
    }

    /// The next time `deadlineReached` has something to do.
    public var nextDeadline: MonotonicInstant? {
        var earliest: MonotonicInstant?
        for session in sessions.values {
            for fetch in session.fetches { earliest = min(earliest ?? fetch.deadline, fetch.deadline) }
            for asked in session.asked.values {
                let next = asked.isHedged ? asked.deadline : min(asked.hedgeAt, asked.deadline)
                earliest = min(earliest ?? next, next)
            }
        }
        return earliest
    }

    /// Ends fetches whose time is over, asks others when peers stay silent.
    public mutating func deadlineReached(now: MonotonicInstant) -> [BitswapAction] {
        var actions: [BitswapAction] = []
        for (cid, session) in sessions {
            for fetch in session.fetches where fetch.deadline <= now {
                sessions[cid]?.fetches.removeAll { $0.id == fetch.id }
                fetchCount -= 1
                actions.append(.failed(fetch.id, .timedOut))
            }
            if sessions[cid]?.fetches.isEmpty == true {
                actions += close(cid)
                continue
            }
            for (peer, asked) in session.asked {
                if asked.deadline <= now {
                    actions += failed(peer, for: cid, .timedOut, now: now)
                } else if asked.hedgeAt <= now, !asked.isHedged {
                    sessions[cid]?.asked[peer]?.isHedged = true
                    actions += askOneMore(cid, now: now)
                }
            }
        }
        return actions
    }

    /// Stops with a message when the core contradicts itself; tests call it after every input.
    public func checkInvariants() {
        precondition(fetchCount == sessions.values.reduce(0) { $0 + $1.fetches.count }, "fetches are miscounted")
        precondition(fetchCount <= limits.fetchesMax, "\(fetchCount) fetches")
        precondition(recent.count <= limits.recentMax, "\(recent.count) recent blocks")
        precondition(ledgers.count <= limits.peersMax, "wants of \(ledgers.count) peers")
        for (peer, wants) in ledgers { wants.checkInvariants(of: peer, wantsMax: limits.wantsPerPeerMax) }
        for (cid, session) in sessions {
            precondition(!session.fetches.isEmpty, "\(cid) is wanted by nobody")
            precondition(!session.asked.isEmpty, "\(cid) is asked of nobody")
            precondition(session.candidates.count <= limits.candidatesPerFetchMax, "too many candidates")
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
        // Hashing costs; a peer that was asked for nothing does not get any.
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
                        : .fetched(fetch.id, block.data))
            }
            return actions
        }
        if recent.contains(cid) {
            counters.duplicateBlocks += 1
            return []
        }
        // The wire names no digest, so a forged block looks like one nobody asked for. Under the prefix of something
        // that this peer was asked for it counts as the forgery it most likely is.
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

    private mutating func failed(
        _ peer: PeerID, for cid: CID, _ reason: BlockPeerFailure, now: MonotonicInstant
    ) -> [BitswapAction] {
        guard sessions[cid]?.asked.removeValue(forKey: peer) != nil else { return [] }
        forget(cid, at: peer)
        sessions[cid]?.failures[peer] = reason
        var actions: [BitswapAction] = []
        if reason == .timedOut { actions.append(.send(peer, cancelMessage(cid))) }
        return actions + (sessions[cid]?.asked.isEmpty == true ? askNext(cid, now: now) : [])
    }

    /// Asks the next candidate, or ends the fetches when nobody is left and nobody is being asked.
    private mutating func askNext(_ cid: CID, now: MonotonicInstant) -> [BitswapAction] {
        let actions = askOneMore(cid, now: now)
        guard let session = sessions[cid], session.asked.isEmpty else { return actions }
        fetchCount -= session.fetches.count
        sessions.removeValue(forKey: cid)
        return actions + session.fetches.map { .failed($0.id, .allPeersFailed(session.failures)) }
    }

    private mutating func askOneMore(_ cid: CID, now: MonotonicInstant) -> [BitswapAction] {
        guard let session = sessions[cid],
            let peer = session.candidates.first(where: { session.asked[$0] == nil && session.failures[$0] == nil })
        else { return [] }
        sessions[cid]?.asked[peer] = Asked(
            hedgeAt: now.advanced(milliseconds: limits.hedgeMilliseconds),
            deadline: now.advanced(milliseconds: limits.answerTimeoutMilliseconds))
        outstanding[peer, default: []].append(cid)
        return [.send(peer, BitswapMessage(wants: [.init(cid: cid)]))]
    }

    /// Ends a session: those who were asked and have not answered need not.
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
