import Determinism
public import Multiformats
import OrderedCollections

/// What misbehaviour costs: the weights of P4 and P7 of the GossipSub v1.1 score, and the thresholds.
public struct PeerScoringParameters: Sendable, Hashable {
    /// Weight of the square of the invalid messages (P4); negative.
    public var invalidMessagesWeight = -10.0
    /// Weight of the square of the behaviour penalties beyond `penaltiesFree` (P7); negative.
    public var penaltiesWeight = -10.0
    /// Behaviour penalties that cost nothing, for honest races.
    public var penaltiesFree = 6.0
    /// What remains of both counts after each heartbeat.
    public var decay = 0.99
    /// A count under this is zero.
    public var decayToZero = 0.1
    /// Under this score a peer gets no gossip and its gossip is ignored.
    public var gossipThreshold = -100.0
    /// Under this score a peer gets none of this node's messages.
    public var publishThreshold = -500.0
    /// Under this score the router ignores everything from a peer.
    public var graylistThreshold = -1_000.0
    /// How long the score of a peer that left is kept, so that leaving clears nothing.
    public var departedMilliseconds: Int64 = 3_600_000

    public init() {}
}

/// One way in which a peer broke the rules.
public enum PeerMisbehaviour: Int, CaseIterable, Hashable, Sendable {
    /// A message with a bad signature, or one that the application rejected.
    case invalidMessage
    /// Announced a message and did not send it when asked.
    case brokenPromise
    /// GRAFT before the back-off was over.
    case graftDuringBackoff
    /// GRAFT for a topic this node is not subscribed to.
    case graftUnknownTopic
    /// More IHAVE entries in a heartbeat than allowed.
    case ihaveFlood
    /// More IWANT IDs or repetitions in a heartbeat than allowed.
    case iwantFlood
    /// More subscriptions or control entries than allowed.
    case entryFlood
    /// An RPC that could not be decoded.
    case malformedRPC
}

/// What the router knows of the behaviour of peers, and the scores that follow.
///
/// The full scoring of GossipSub v1.1 can be added here: the router reports facts and asks for scores, and no other
/// part knows how a score is made. Of the specification's parameters only P4 (invalid messages) and P7 (behaviour)
/// exist; P1-P3 (time and deliveries in the mesh), P5 (application) and P6 (addresses) can add terms without changing a
/// caller.
public struct PeerScoring: Sendable {
    /// The counts of one peer.
    public struct Record: Hashable, Sendable {
        /// How often the peer did each thing, in the order of `PeerMisbehaviour.allCases`; never decays.
        public fileprivate(set) var totals = [UInt64](repeating: 0, count: PeerMisbehaviour.allCases.count)
        /// Decaying count behind P4.
        public fileprivate(set) var invalidMessages = 0.0
        /// Decaying count behind P7.
        public fileprivate(set) var penalties = 0.0

        fileprivate var isBlemished: Bool { invalidMessages > 0 || penalties > 0 }

        /// How often the peer did one thing.
        public func total(_ kind: PeerMisbehaviour) -> UInt64 { totals[kind.rawValue] }
    }

    private let parameters: PeerScoringParameters
    private let departedMax: Int
    private var records: [PeerID: Record] = [:]
    private var departed: OrderedDictionary<PeerID, Departure> = [:]

    private struct Departure: Sendable {
        var record: Record
        var leftAt: MonotonicInstant
    }

    /// Scores by `parameters`, remembering at most `departedMax` peers that left.
    public init(parameters: PeerScoringParameters, departedMax: Int) {
        self.parameters = parameters
        self.departedMax = departedMax
    }

    /// A peer came back, or is new; what was remembered counts again.
    mutating func connected(_ peer: PeerID) {
        records[peer] = departed.removeValue(forKey: peer)?.record ?? Record()
    }

    /// A peer left; its record, if blemished, is kept for a while.
    mutating func disconnected(_ peer: PeerID, now: MonotonicInstant) {
        guard let record = records.removeValue(forKey: peer), record.isBlemished else { return }
        if departed.count >= departedMax, !departed.isEmpty { departed.removeFirst() }
        if departedMax > 0 { departed[peer] = Departure(record: record, leftAt: now) }
    }

    /// A peer broke a rule, `times` times.
    mutating func note(_ kind: PeerMisbehaviour, by peer: PeerID, times: Int = 1) {
        guard times > 0, records[peer] != nil else { return }
        records[peer]?.totals[kind.rawValue] &+= UInt64(times)
        if kind == .invalidMessage {
            records[peer]?.invalidMessages += Double(times)
        } else {
            records[peer]?.penalties += Double(times)
        }
    }

    /// Lets counts decay and forgets peers that left long ago.
    mutating func heartbeat(now: MonotonicInstant) {
        for (peer, record) in records where record.isBlemished {
            let (invalidMessages, penalties) = (decayed(record.invalidMessages), decayed(record.penalties))
            records[peer]?.invalidMessages = invalidMessages
            records[peer]?.penalties = penalties
        }
        while let oldest = departed.elements.first,
            oldest.value.leftAt.advanced(milliseconds: parameters.departedMilliseconds) < now
        {
            departed.removeFirst()
        }
    }

    private func decayed(_ count: Double) -> Double {
        let rest = count * parameters.decay
        return rest < parameters.decayToZero ? 0 : rest
    }

    /// The counts of a connected peer.
    public func record(of peer: PeerID) -> Record? { records[peer] }

    /// The score of a peer: zero for an unblemished one, negative otherwise.
    public func score(of peer: PeerID) -> Double {
        guard let record = records[peer] else { return 0 }
        let excess = max(0, record.penalties - parameters.penaltiesFree)
        return parameters.invalidMessagesWeight * record.invalidMessages * record.invalidMessages
            + parameters.penaltiesWeight * excess * excess
    }

    /// Whether the router ignores everything from the peer.
    public func isGraylisted(_ peer: PeerID) -> Bool { score(of: peer) < parameters.graylistThreshold }

    /// Whether the peer takes part in gossip.
    public func mayGossip(_ peer: PeerID) -> Bool { score(of: peer) >= parameters.gossipThreshold }

    /// Whether the peer gets this node's messages.
    public func mayPublish(_ peer: PeerID) -> Bool { score(of: peer) >= parameters.publishThreshold }

    /// The number of records: of connected peers, and of peers that left.
    public var recordCounts: (connected: Int, departed: Int) { (records.count, departed.count) }
}
