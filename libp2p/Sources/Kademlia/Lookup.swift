import Determinism
public import Multiformats

/// One iterative walk towards a key: asks the closest peers it knows, adds the closer ones they name, and is done when
/// the `k` closest live peers have all answered (kad-dht specification, "Peer routing").
///
/// It is a value that neither sends nor waits: `next()` says whom to ask, `answered` and `failed` report what happened.
/// It bounds lying answers: an answer counts for at most `peersPerAnswerMax` peers, the walk keeps at most
/// `candidatesMax` and makes at most `requestsMax` requests, and a peer whose names keep failing loses the rest of them
/// (names that a second peer confirmed stay). For disjoint paths (S/Kademlia, Baumgart and Mies 2007) the owner may run
/// several lookups with disjoint seeds and merge their results.
public struct Lookup: Sendable {
    /// Bounds of one walk.
    public struct Limits: Sendable, Hashable {
        /// Requests under way at once, the alpha of the specification; 3 to 10.
        public var parallelRequestsMax = 10
        /// Closest peers to find, the k of the specification.
        public var closestPeersMax = 20
        /// Peers remembered by one walk.
        public var candidatesMax = 160
        /// Requests made by one walk.
        public var requestsMax = 120
        /// Peers taken from one answer.
        public var peersPerAnswerMax = 20
        /// Failed names, if none answered, after which the rest of a peer's names are dropped.
        public var failuresPerSourceMax = 6

        /// The defaults.
        public init() {}
    }

    private enum State: Sendable {
        case heard, asked, answered, failed
    }

    private struct Candidate: Sendable {
        var info: PeerInfo
        let distance: KademliaKey
        var state: State
        /// The one peer that named it; `nil` for seeds and for names from two peers.
        var namedBy: PeerID?
    }

    private struct Source: Sendable {
        var failed = 0
        var answered = 0
    }

    /// What is looked for.
    public let target: KademliaKey
    /// The bounds in force.
    public let limits: Limits
    /// Requests made so far.
    public private(set) var requestsMade = 0
    private let localPeer: PeerID
    private var candidates: [Candidate] = []
    private var sources: [PeerID: Source] = [:]
    private var requestsUnderWay = 0

    /// A walk that starts at the closest peers the node knows.
    public init(target: KademliaKey, seeds: [PeerInfo], localPeer: PeerID, limits: Limits = Limits()) {
        self.target = target
        self.localPeer = localPeer
        self.limits = limits
        for seed in seeds { hear(seed, from: nil) }
    }

    /// The peers to ask now; each is returned once, and counts as under way until reported.
    public mutating func next() -> [PeerInfo] {
        var asked: [PeerInfo] = []
        var alive = 0
        for index in candidates.indices {
            guard requestsUnderWay < limits.parallelRequestsMax, requestsMade < limits.requestsMax else { break }
            guard candidates[index].state != .failed else { continue }
            alive += 1
            if alive > limits.closestPeersMax { break }
            guard candidates[index].state == .heard else { continue }
            candidates[index].state = .asked
            requestsUnderWay += 1
            requestsMade += 1
            asked.append(candidates[index].info)
        }
        return asked
    }

    /// Takes in an answer; peers that were not asked are ignored.
    public mutating func answered(_ peer: PeerID, closer: [PeerInfo]) {
        guard let index = index(of: peer), candidates[index].state == .asked else { return }
        candidates[index].state = .answered
        requestsUnderWay -= 1
        if let source = candidates[index].namedBy { sources[source, default: Source()].answered += 1 }
        for info in closer.prefix(limits.peersPerAnswerMax) { hear(info, from: peer) }
    }

    /// Notes that a peer did not answer.
    public mutating func failed(_ peer: PeerID) {
        guard let index = index(of: peer), candidates[index].state == .asked else { return }
        candidates[index].state = .failed
        requestsUnderWay -= 1
        guard let source = candidates[index].namedBy else { return }
        sources[source, default: Source()].failed += 1
        if let record = sources[source], record.answered == 0, record.failed >= limits.failuresPerSourceMax {
            candidates.removeAll { $0.namedBy == source && $0.state == .heard }
        }
    }

    /// Whether the walk is over: nothing that matters is under way, and no peer is left to ask.
    public var isFinished: Bool {
        var alive = 0
        for candidate in candidates where candidate.state != .failed {
            alive += 1
            if alive > limits.closestPeersMax { break }
            if candidate.state == .asked { return false }
            if candidate.state == .heard, requestsMade < limits.requestsMax { return false }
        }
        return true
    }

    /// The closest peers that answered, nearest first.
    public var closestAnswered: [PeerInfo] {
        Array(candidates.lazy.filter { $0.state == .answered }.map(\.info).prefix(limits.closestPeersMax))
    }

    /// What the walk heard about a peer, if anything.
    public func heard(of peer: PeerID) -> PeerInfo? {
        index(of: peer).map { candidates[$0].info }
    }

    /// Stops the process if the walk contradicts itself.
    public func checkInvariants() {
        precondition(candidates.count <= limits.candidatesMax, "walk remembers \(candidates.count) peers")
        precondition(requestsMade <= limits.requestsMax, "walk made \(requestsMade) requests")
        let asked = candidates.count { $0.state == .asked }
        precondition(asked == requestsUnderWay, "\(asked) asked, \(requestsUnderWay) under way")
        precondition(requestsUnderWay <= limits.parallelRequestsMax, "\(requestsUnderWay) requests at once")
        for (left, right) in zip(candidates, candidates.dropFirst()) {
            precondition(left.distance < right.distance, "candidates are not in order of distance")
        }
    }

    private mutating func hear(_ info: PeerInfo, from source: PeerID?) {
        guard info.peerID != localPeer else { return }
        let distance = KademliaKey(of: info.peerID).distance(to: target)
        let low = firstIndex(notCloserThan: distance)
        if low < candidates.count, candidates[low].distance == distance {
            confirm(at: low, info: info, source: source)
            return
        }
        if candidates.count >= limits.candidatesMax {
            guard let victim = candidates.lastIndex(where: { $0.state != .asked }), victim >= low else { return }
            candidates.remove(at: victim)
        }
        candidates.insert(Candidate(info: info, distance: distance, state: .heard, namedBy: source), at: low)
    }

    private func index(of peer: PeerID) -> Int? {
        let distance = KademliaKey(of: peer).distance(to: target)
        let index = firstIndex(notCloserThan: distance)
        return index < candidates.count && candidates[index].distance == distance ? index : nil
    }

    private func firstIndex(notCloserThan distance: KademliaKey) -> Int {
        var low = 0
        var high = candidates.count
        while low < high {
            let middle = (low + high) / 2
            if candidates[middle].distance < distance { low = middle + 1 } else { high = middle }
        }
        return low
    }

    private mutating func confirm(at index: Int, info: PeerInfo, source: PeerID?) {
        if source != candidates[index].namedBy { candidates[index].namedBy = nil }
        guard candidates[index].state == .heard else { return }
        // A second opinion on the addresses: a lie told first cannot hide where a peer really is.
        let known = candidates[index].info.addresses
        let fresh = info.addresses.filter { !known.contains($0) }
        candidates[index].info.addresses = Array((known + fresh).prefix(RoutingTable.Limits().addressesPerPeerMax))
    }
}
