package import Determinism
package import JobMarket
package import MeshTypes
package import Multiformats

/// When something happens to a node, and in which state it finds the disk.
package struct NodeMoment: CoreMoment {
    /// The clock that only moves forward.
    package var now: MonotonicInstant
    /// The calendar.
    package var wallClock: UnixMilliseconds
    /// Whether the disk has room for new work.
    package var storage: StorageState

    /// The clock, as cores in general want it told.
    package var instant: MonotonicInstant { now }

    /// A moment, with room on the disk unless told otherwise.
    package init(now: MonotonicInstant, wallClock: UnixMilliseconds, storage: StorageState = .open) {
        self.now = now
        self.wallClock = wallClock
        self.storage = storage
    }
}

/// What a shell reports to the core. Commands are functions of `NodeCore`: `submit`, `cancel`, `beginDrain`.
package enum NodeInput: Sendable {
    /// A fact for the market that no rule of the node stands before.
    case fact(MarketInput)
    /// A direct message of an authenticated peer, as it came; answered by the effect `answer` of the same request. The
    /// round trip to the peer is given where its connection was measured.
    case message([UInt8], from: PeerID, roundTripMilliseconds: UInt64?, request: UInt64)
    /// A peer broke a rule of the wire before its message was whole.
    case misbehaved(PeerID, String, isConnected: Bool)
    /// All writes up to the one of this number are on the disk.
    case written(UInt64)
    /// The faults that were given to the disk are there, or were refused.
    case faultsWritten
    /// A direct message was answered.
    case deliveryReplied(DeliveryID, MeshProtocolReply)
    /// A direct message was not answered; whether its peer was not reached at all.
    case deliveryFailed(Delivery, reason: String, isUnreachable: Bool)
    /// The DHT was asked where a peer is; whether a connection to it came of that.
    case lookedUp(DeliveryID, isConnected: Bool)
    /// An output was asked for.
    case outputFetched(OutputRequest, OutputAnswer)
    /// The heads were handed to gossip.
    case headsPublished(of: [JobID])
    /// A run ended, and these of the blocks that it made are not on the disk yet.
    case runEnded(assignment: CID, ExecutionReport, blocks: [MadeBlock])
    /// What the node sees around itself; told again and again.
    case looked(Surroundings)
    /// All addresses known at the start were dialed.
    case dialedAtStart
}

extension NodeInput {
    /// Whether it tells what came of something that this node had under way: where that was cut off because the node
    /// goes, it says nothing about its job.
    package var isOfWork: Bool {
        switch self {
        case .message, .misbehaved, .written: false
        default: true
        }
    }
}

/// A block that a run made or that was fetched for a job.
package struct MadeBlock: Hashable, Sendable {
    /// Its CID.
    package let cid: CID
    /// Its bytes.
    package let bytes: [UInt8]

    /// A block under its CID.
    package init(cid: CID, bytes: [UInt8]) {
        self.cid = cid
        self.bytes = bytes
    }
}

/// What a node sees around itself.
package struct Surroundings: Sendable {
    /// Connected peers.
    package var connectionCount = 0
    /// Whether one of them may pass gossip on, as far as they have told yet.
    package var mayPassOn = false
    /// Peers that listen to what executors offer.
    package var listeners: [PeerID] = []

    /// Nobody and nothing.
    package init() {}
}
