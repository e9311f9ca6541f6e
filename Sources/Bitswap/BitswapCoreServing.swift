import Determinism
import Multiformats
import OrderedCollections

/// What one peer wants, and which of it is still to be looked up.
struct PeerWants: Sendable {
    struct Entry: Sendable {
        var kind: BitswapMessage.WantKind
        var sendDontHave: Bool
    }

    var wants: OrderedDictionary<CID, Entry> = [:]
    var toLookUp: OrderedSet<CID> = []

    func checkInvariants(of peer: PeerID, wantsMax: Int) {
        precondition(!wants.isEmpty && wants.count <= wantsMax, "\(peer) has \(wants.count) wants")
        for cid in toLookUp { precondition(wants[cid] != nil, "\(cid) is looked up without being wanted") }
    }
}

/// A want that is to be looked up in the store.
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
    /// It has it; enough for a want of kind `have`.
    case present
    /// The block.
    case block([UInt8])
}

/// The serving half of the core.
extension BitswapCore {
    /// How many wants of a peer are kept.
    public func wantCount(of peer: PeerID) -> Int { ledgers[peer]?.wants.count ?? 0 }

    /// Whether `nextWant` would give anything.
    public func hasWants(of peer: PeerID) -> Bool { ledgers[peer]?.toLookUp.isEmpty == false }

    /// The next want of a peer to look up, each once.
    public mutating func nextWant(of peer: PeerID) -> WantedBlock? {
        guard var wants = ledgers[peer], !wants.toLookUp.isEmpty else { return nil }
        let cid = wants.toLookUp.removeFirst()
        ledgers[peer] = wants
        return wants.wants[cid].map { WantedBlock(cid: cid, kind: $0.kind) }
    }

    /// Takes in what the store has; returns what to send, if anything.
    public mutating func lookedUp(_ cid: CID, for peer: PeerID, _ found: BlockLookup) -> BitswapMessage? {
        guard let want = ledgers[peer]?.wants[cid] else { return nil }
        switch (found, want.kind) {
        case (.block(let data), .block):
            guard data.count <= limits.messages.blockBytesMax, let prefix = BlockPrefix.bytes(of: cid) else {
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
            return answer(want, cid: cid, isPresent: false)
        }
    }

    /// Notes that the store has a new block: peers that want it are served.
    public mutating func blockAdded(_ cid: CID) -> [BitswapAction] {
        var actions: [BitswapAction] = []
        for (peer, wants) in ledgers where wants.wants[cid] != nil {
            ledgers[peer]?.toLookUp.append(cid)
            actions.append(.serve(peer))
        }
        return actions
    }

    mutating func takeWants(of message: BitswapMessage, from peer: PeerID) -> [BitswapAction] {
        guard !message.wants.isEmpty || message.replacesWants else { return [] }
        var wants = ledgers.removeValue(forKey: peer) ?? PeerWants()
        if message.replacesWants { wants = PeerWants() }
        let isKnown = ledgers.count < limits.peersMax
        var refused: [BitswapMessage.Presence] = []
        for want in message.wants {
            if want.isCancel {
                wants.wants.removeValue(forKey: want.cid)
                wants.toLookUp.remove(want.cid)
                continue
            }
            guard isKnown, wants.wants[want.cid] != nil || wants.wants.count < limits.wantsPerPeerMax else {
                counters.wantsRefused += 1
                if want.sendDontHave { refused.append(.init(cid: want.cid, isPresent: false)) }
                continue
            }
            wants.wants[want.cid] = .init(kind: want.kind, sendDontHave: want.sendDontHave)
            wants.toLookUp.append(want.cid)
        }
        if !wants.wants.isEmpty { ledgers[peer] = wants }
        var actions: [BitswapAction] = []
        if !refused.isEmpty { actions.append(.send(peer, BitswapMessage(presences: refused))) }
        if !wants.toLookUp.isEmpty { actions.append(.serve(peer)) }
        return actions
    }

    private mutating func forgetWant(_ cid: CID, of peer: PeerID) {
        ledgers[peer]?.wants.removeValue(forKey: cid)
        ledgers[peer]?.toLookUp.remove(cid)
        if ledgers[peer]?.wants.isEmpty == true { ledgers.removeValue(forKey: peer) }
    }

    private func answer(_ want: PeerWants.Entry, cid: CID, isPresent: Bool) -> BitswapMessage? {
        want.sendDontHave ? BitswapMessage(presences: [.init(cid: cid, isPresent: isPresent)]) : nil
    }
}
