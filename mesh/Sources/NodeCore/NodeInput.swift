package import Determinism
package import JobMarket
package import MeshTypes
package import Multiformats
package import SignedObjects

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
    /// A fact for the market to which no rule of the node applies.
    case fact(MarketInput)
    /// A direct message of an authenticated peer, as it came; the effect `answer` of the same request answers it. With
    /// the round trip to the peer if its connection was measured, and the parts of the internet that it comes from.
    case message(
        [UInt8], from: PeerID, roundTripMilliseconds: UInt64?, networks: [AddressGroup] = [], request: UInt64)
    /// A bidder gave the block of what its bid cites as its offer; before the message with the bid.
    case offerFetched([UInt8], CID, of: DID)
    /// A peer broke a rule of the wire before its message was complete.
    case misbehaved(PeerID, String, isConnected: Bool)
    /// All writes up to this number are on the disk.
    case written(UInt64)
    /// The faults handed to the disk are written, or were refused.
    case faultsWritten
    /// A direct message was answered.
    case deliveryReplied(DeliveryID, MeshProtocolReply)
    /// A direct message was not answered, and whether its peer was unreachable.
    case deliveryFailed(Delivery, reason: String, isUnreachable: Bool)
    /// A lookup of a peer in the DHT ended, and whether it led to a connection.
    case lookedUp(DeliveryID, isConnected: Bool)
    /// An executor was asked why it does not bid on a job; its answer, if it gave one.
    case inquiryAnswered(JobID, by: DID, MeshProtocolReply?)
    /// There was no connection over which to ask an executor why it does not bid on a job, or none that lasted.
    case inquiryFailed(JobID, by: DID)
    /// A lookup of executors in the DHT ended: whether anybody answered, and whether it led to a new connection.
    case executorsSought(key: CID, isAnswered: Bool, hasMet: Bool)
    /// Notes the result of asking for an output.
    case outputFetched(OutputRequest, OutputAnswer)
    /// Gossip has the heads.
    case headsPublished(of: [JobID])
    /// A run ended; these of its blocks are not on the disk yet.
    case runEnded(assignment: CID, ExecutionReport, blocks: [MadeBlock])
    /// What the node sees around itself; reported again and again.
    case looked(Surroundings)
    /// The node dialed all addresses known at the start.
    case dialedAtStart
}

extension NodeInput {
    /// Whether it reports the result of something that this node had under way: if the node's end interrupted it, the
    /// result says nothing about its job.
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
    /// Whether one of them may forward gossip, as far as they have told.
    package var mayPassOn = false
    /// Peers that listen to executors' offers.
    package var listeners: [PeerID] = []
    /// Whether it is one of the hours at which the owner lets the node run jobs.
    package var isWithinHours = true

    /// Nobody and nothing.
    package init() {}
}
