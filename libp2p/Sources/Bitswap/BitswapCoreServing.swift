import Determinism
public import Multiformats
import OrderedCollections

/// What one peer wants, and which wants are still to be looked up.
struct PeerWants: Sendable {
    struct Entry: Sendable {
        var kind: BitswapMessage.WantKind
        var sendDontHave: Bool
        var expiresAt: MonotonicInstant
        /// The block was not here; the want waits for it.
        var isWaiting = false
    }

    /// In the order they came, the newest last.
    var wants: OrderedDictionary<CID, Entry> = [:]
    var toLookUp: OrderedSet<CID> = []
    /// The number of wants that only wait.
    var waitingCount = 0

    func checkInvariants(of peer: PeerID, wantsMax: Int) {
        precondition(wants.values.count { $0.isWaiting } == waitingCount, "those that wait are miscounted")
        precondition(!wants.isEmpty && wants.count <= wantsMax, "\(peer) has \(wants.count) wants")
        for cid in toLookUp { precondition(wants[cid] != nil, "\(cid) is looked up without being wanted") }
    }
}

/// A want to look up in the store.
public struct WantedBlock: Hashable, Sendable {
    /// The block.
    public let cid: CID
    /// The block itself or its presence.
    public let kind: BitswapMessage.WantKind

    /// A want.
    public init(cid: CID, kind: BitswapMessage.WantKind) {
        self.cid = cid
        self.kind = kind
    }
}

/// What the store has of a wanted block.
public enum BlockLookup: Hashable, Sendable {
    /// Nothing.
    case missing
    /// The block is there; enough for a want of kind `have`.
    case present
    /// The block.
    case block([UInt8])
}

/// The serving half of the core.
extension BitswapCore {
    /// The number of wants kept for a peer.
    public func wantCount(of peer: PeerID) -> Int { ledgers[peer]?.wants.count ?? 0 }

    /// Whether `nextWant` would give anything.
    public func hasWants(of peer: PeerID) -> Bool { ledgers[peer]?.toLookUp.isEmpty == false }

    /// The next want of a peer to look up; each is given once.
    public mutating func nextWant(of peer: PeerID) -> WantedBlock? {
        guard var wants = ledgers[peer], !wants.toLookUp.isEmpty else { return nil }
        let cid = wants.toLookUp.removeFirst()
        ledgers[peer] = wants
        return wants.wants[cid].map { WantedBlock(cid: cid, kind: $0.kind) }
    }

    /// Takes in what the store has, and returns what to send, if anything.
    public mutating func lookedUp(_ cid: CID, for peer: PeerID, _ found: BlockLookup) -> BitswapMessage? {
        guard let want = ledgers[peer]?.wants[cid] else { return nil }
        switch (found, want.kind) {
        case (.block(let data), .block):
            guard data.count <= limits.messages.blockBytesMax, let prefix = BlockPrefix.bytes(of: cid) else {
                // A block this large can never be sent.
                forgetWant(cid, of: peer)
                return answer(want, cid: cid, isPresent: false)
            }
            forgetWant(cid, of: peer)
            counters.blocksSent += 1
            counters.bytesSent += data.count
            return BitswapMessage(blocks: [.init(prefix: prefix, data: data)])
        case (.block, .have), (.present, .have):
            forgetWant(cid, of: peer)
            return BitswapMessage(presences: [.init(cid: cid, isPresent: true)])
        case (.missing, _), (.present, .block):
            // The want stays: it is served when the block is added.
            if !want.isWaiting {
                ledgers[peer]?.wants[cid]?.isWaiting = true
                ledgers[peer]?.waitingCount += 1
            }
            return answer(want, cid: cid, isPresent: false)
        }
    }

    /// Notes that the store has a new block: peers that want it are served.
    public mutating func blockAdded(_ cid: CID) -> [BitswapAction] {
        (wanting[cid] ?? []).map { peer in
            // Also where a look-up is under way: its answer may predate the block.
            ledgers[peer]?.toLookUp.append(cid)
            return .serve(peer)
        }
    }

    mutating func takeWants(
        of message: BitswapMessage, from peer: PeerID, now: MonotonicInstant
    ) -> [BitswapAction] {
        if message.replacesWants { forgetWants(of: peer) }
        let expiresAt = now.advanced(milliseconds: limits.wantMilliseconds)
        var refused: [BitswapMessage.Presence] = []
        for want in message.wants {
            forgetWant(want.cid, of: peer)
            if want.isCancel { continue }
            guard hasRoom(for: peer) else {
                counters.wantsRefused += 1
                if want.sendDontHave { refused.append(.init(cid: want.cid, isPresent: false)) }
                continue
            }
            ledgers[peer, default: PeerWants()].wants[want.cid] = .init(
                kind: want.kind, sendDontHave: want.sendDontHave, expiresAt: expiresAt)
            ledgers[peer]?.toLookUp.append(want.cid)
            wanting[want.cid, default: []].append(peer)
            if wantsSweepAt == nil { wantsSweepAt = expiresAt }
        }
        var actions: [BitswapAction] = []
        if !refused.isEmpty { actions.append(.send(peer, BitswapMessage(presences: refused))) }
        if ledgers[peer]?.toLookUp.isEmpty == false { actions.append(.serve(peer)) }
        return actions
    }

    /// Whether one more want of a peer fits, if need be in place of its oldest that only waits.
    private mutating func hasRoom(for peer: PeerID) -> Bool {
        guard let wants = ledgers[peer] else { return ledgers.count < limits.peersMax }
        if wants.wants.count < limits.wantsPerPeerMax { return true }
        guard wants.waitingCount > 0, let oldest = wants.wants.first(where: { $0.value.isWaiting })?.key else {
            return false
        }
        forgetWant(oldest, of: peer)
        counters.wantsForgotten += 1
        return true
    }

    /// Forgets wants that waited too long, and notes when to look again.
    mutating func forgetOldWants(now: MonotonicInstant) {
        wantsSweepAt = nil
        for peer in ledgers.keys {
            for (cid, want) in ledgers[peer]?.wants ?? [:] {
                guard want.expiresAt <= now else {
                    wantsSweepAt = min(wantsSweepAt ?? want.expiresAt, want.expiresAt)
                    break
                }
                forgetWant(cid, of: peer)
                counters.wantsForgotten += 1
            }
        }
    }

    /// Forgets everything that a peer wants.
    mutating func forgetWants(of peer: PeerID) {
        for cid in ledgers.removeValue(forKey: peer)?.wants.keys ?? [] { isWantedNoMore(cid, by: peer) }
    }

    private mutating func forgetWant(_ cid: CID, of peer: PeerID) {
        guard let want = ledgers[peer]?.wants.removeValue(forKey: cid) else { return }
        ledgers[peer]?.toLookUp.remove(cid)
        if want.isWaiting { ledgers[peer]?.waitingCount -= 1 }
        if ledgers[peer]?.wants.isEmpty == true { ledgers.removeValue(forKey: peer) }
        isWantedNoMore(cid, by: peer)
    }

    private mutating func isWantedNoMore(_ cid: CID, by peer: PeerID) {
        wanting[cid]?.removeAll { $0 == peer }
        if wanting[cid]?.isEmpty == true { wanting.removeValue(forKey: cid) }
    }

    func checkWanting() {
        let wants = ledgers.values.reduce(0) { $0 + $1.wants.count }
        precondition(wanting.values.reduce(0) { $0 + $1.count } == wants, "wants are miscounted")
        for (cid, peers) in wanting {
            precondition(!peers.isEmpty, "nobody wants \(cid)")
            for peer in peers { precondition(ledgers[peer]?.wants[cid] != nil, "\(peer) does not want \(cid)") }
        }
        precondition(ledgers.isEmpty || wantsSweepAt != nil, "wants are kept for ever")
    }

    private func answer(_ want: PeerWants.Entry, cid: CID, isPresent: Bool) -> BitswapMessage? {
        want.sendDontHave ? BitswapMessage(presences: [.init(cid: cid, isPresent: isPresent)]) : nil
    }
}
