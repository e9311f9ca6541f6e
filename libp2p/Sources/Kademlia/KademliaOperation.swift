public import Multiformats

/// What a node asks of the DHT.
public enum KademliaOperation: Hashable, Sendable {
    /// Where a peer is.
    case findPeer(PeerID)
    /// The live servers closest to a raw key.
    case findClosest(key: [UInt8])
    /// The value under a key, valid by its namespace's rule.
    case getValue(key: [UInt8])
    /// Store a value at the closest servers and keep it announced.
    case putValue(key: [UInt8], value: [UInt8])
    /// Tell the closest servers that this node provides a multihash, and keep it announced.
    case provide(multihash: [UInt8])
    /// Find up to `limit` providers of a multihash.
    case findProviders(multihash: [UInt8], limit: Int)

    /// The raw key that the operation walks to.
    public var key: [UInt8] {
        switch self {
        case .findPeer(let peer): peer.bytes
        case .findClosest(let key), .getValue(let key), .putValue(let key, _): key
        case .provide(let multihash), .findProviders(let multihash, _): multihash
        }
    }

    /// Whether it only wants to know the closest servers of now: not what they have under the key, and not, as a
    /// refresh does, whether they are there.
    var mayReuseAnswers: Bool {
        switch self {
        case .putValue, .provide: true
        case .findPeer, .findClosest, .getValue, .findProviders: false
        }
    }
}

/// How an operation ended.
public enum KademliaOutcome: Hashable, Sendable {
    /// The peer and its addresses.
    case peerFound(PeerInfo)
    /// The live servers closest to the key, nearest first.
    case closest([PeerInfo])
    /// A valid value and who had it; `nil` for this node itself.
    case valueFound([UInt8], from: PeerID?)
    /// The servers that confirmed the value.
    case stored(at: [PeerID])
    /// The servers that got the announcement; they do not confirm.
    case provided(at: [PeerID])
    /// The providers, at least one.
    case providersFound([PeerInfo])
    /// Why there is no result.
    case failed(KademliaFailure)
}

/// Why an operation has no result.
public enum KademliaFailure: Error, Hashable, Sendable {
    /// The routing table is empty: the node has met no server yet.
    case noPeersKnown
    /// The walk asked all peers that might know, `asked` in all.
    case notFound(asked: Int)
    /// All records that arrived were invalid: their number, and why the last was refused.
    case onlyInvalidRecords(count: Int, lastReason: RecordRefusal)
    /// The record to put is not valid itself.
    case recordRefused(RecordRefusal)
    /// Servers were asked to store, and none confirmed.
    case storedNowhere(asked: Int)
    /// The operation's time ran out.
    case timedOut
    /// Too many operations are under way already.
    case tooManyOperations(max: Int)
    /// The caller gave up.
    case cancelled
}

extension KademliaFailure: CustomStringConvertible {
    /// One sentence without a full stop, for people.
    public var description: String {
        switch self {
        case .noPeersKnown: "this node has met nobody yet who could know"
        case .notFound(let asked): "none of the \(asked) peers asked has it"
        case .onlyInvalidRecords(let count, let lastReason): "\(count) records came, none of them valid: \(lastReason)"
        case .recordRefused(let refusal): "the record is not valid: \(refusal)"
        case .storedNowhere(let asked): "none of the \(asked) peers asked has stored it"
        case .timedOut: "it took too long"
        case .tooManyOperations(let max): "\(max) operations are under way already, the most at once"
        case .cancelled: "it was given up"
        }
    }
}

/// Names an operation under way.
public struct QueryID: Hashable, Comparable, Sendable {
    let number: UInt64

    /// Orders operations by their start.
    public static func < (left: QueryID, right: QueryID) -> Bool { left.number < right.number }
}

/// Names a request under way.
public struct RequestID: Hashable, Comparable, Sendable {
    let number: UInt64

    /// Orders requests by their start.
    public static func < (left: RequestID, right: RequestID) -> Bool { left.number < right.number }
}

/// A message for a peer.
public struct KademliaRequest: Hashable, Sendable {
    /// Names the request when its end is reported.
    public let id: RequestID
    /// The peer to ask, with addresses in case it is not connected.
    public let peer: PeerInfo
    /// What to ask.
    public let message: KademliaMessage

    /// Whether an answer comes. go-libp2p never answers ADD_PROVIDER: report `requestDelivered` once it is written,
    /// close the stream, and use another for what follows.
    public var expectsAnswer: Bool { message.kind != .addProvider }
}

/// Why a request is no longer wanted.
public enum RequestCancellation: Hashable, Sendable {
    /// Its time is over: reset its stream.
    case timedOut
    /// Its operation ended without it: drop it if it has not begun, else let it finish.
    case notNeeded
}

/// How an answer broke the protocol.
public enum KademliaViolation: Hashable, Sendable {
    /// It answered with a message of another kind.
    case wrongKind(asked: KademliaMessage.Kind, answered: KademliaMessage.Kind)
    /// It gave a record that the key's rule refuses.
    case invalidRecord(RecordRefusal)
    /// It confirmed another record than it got.
    case wrongConfirmation
}

/// What the shell must do.
public enum KademliaAction: Hashable, Sendable {
    /// Send a request; report `responseArrived`, `requestDelivered` or `requestFailed` with its ID.
    case send(KademliaRequest)
    /// A request is no longer wanted.
    case cancel(RequestID, RequestCancellation)
    /// An operation ended.
    case finished(QueryID, KademliaOutcome)
    /// A peer broke the protocol; the request counts as failed already.
    case peerMisbehaved(PeerID, KademliaViolation)
}

/// Why a peer's request gets no answer; reset the stream.
public enum RequestRefusal: Error, Hashable, Sendable {
    /// This node is a client.
    case notAServer
    /// The key is empty or longer than its kind allows.
    case badKeyLength(Int)
    /// The record may not be stored.
    case record(RecordRefusal)
    /// A PUT_VALUE without a record.
    case missingRecord
    /// An ADD_PROVIDER in which the sender does not name itself with an address.
    case notTheProvider
    /// The provider store has no room for it.
    case providerStoreFull
}

extension RequestRefusal: CustomStringConvertible {
    /// One sentence without a full stop, for people.
    public var description: String {
        switch self {
        case .notAServer: "this node does not serve the DHT"
        case .badKeyLength(let bytes): "a key of \(bytes) bytes is not accepted"
        case .record(let refusal): "the record is refused: \(refusal)"
        case .missingRecord: "the record is missing"
        case .notTheProvider: "the provider is not the sender"
        case .providerStoreFull: "there is no room for further providers"
        }
    }
}

/// What happened so far, for metrics and tests.
public struct KademliaCounters: Hashable, Sendable {
    /// Requests of peers that were answered or taken.
    public var requestsServed = 0
    /// Requests of peers that were refused.
    public var requestsRefused = 0
    /// Records in answers that were not valid.
    public var invalidRecordsReceived = 0
    /// Answers that broke the protocol otherwise.
    public var wrongAnswers = 0
    /// Peers kept out of the routing table because their address group is full.
    public var peersRefusedByGroup = 0
    /// Peers kept out of the routing table because they have no address of the open internet.
    public var peersRefusedAsPrivate = 0
    /// Records displaced by newer ones, because the store was full.
    public var recordsDisplaced = 0
    /// Records refused, of others and of this node, because the store was full.
    public var recordsRefusedAsFull = 0
    /// Provider records displaced by newer ones, because their key or the store was full.
    public var providersDisplaced = 0
    /// Provider records refused because their key or the store was full.
    public var providersRefusedAsFull = 0
    /// Announcements dropped because there were too many to repeat.
    public var publicationsDropped = 0
    /// Repeated announcements.
    public var republished = 0
}
