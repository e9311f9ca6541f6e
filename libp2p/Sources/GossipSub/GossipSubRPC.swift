import Multiformats

/// One frame of the pubsub protocols: subscriptions, messages and control entries, in any mixture.
///
/// It is the `RPC` of the specification. It carries messages as they were received, so that a node forwards byte for
/// byte what the author signed.
public struct GossipSubRPC: Hashable, Sendable {
    /// A topic that the sender joins or leaves.
    public struct Subscription: Hashable, Sendable {
        /// Whether it joins.
        public var subscribes: Bool
        /// The topic.
        public var topic: String

        /// An entry of the hello or of a change.
        public init(subscribes: Bool, topic: String) {
            self.subscribes = subscribes
            self.topic = topic
        }
    }

    /// An announcement of messages that the sender has, in one topic.
    public struct IHave: Hashable, Sendable {
        /// The topic.
        public var topic: String
        /// The messages' IDs.
        public var messageIDs: [MessageID]

        /// An announcement.
        public init(topic: String, messageIDs: [MessageID]) {
            self.topic = topic
            self.messageIDs = messageIDs
        }
    }

    /// The sender takes the receiver out of its mesh.
    public struct Prune: Hashable, Sendable {
        /// The topic.
        public var topic: String
        /// How long not to graft, in seconds; `nil` where the peer's version has none.
        public var backoffSeconds: UInt64?
        /// How many other peers it recommended. The router ignores them: addresses come from the DHT and identify.
        public var exchangedPeers: Int

        /// A PRUNE without peer exchange.
        public init(topic: String, backoffSeconds: UInt64?, exchangedPeers: Int = 0) {
            self.topic = topic
            self.backoffSeconds = backoffSeconds
            self.exchangedPeers = exchangedPeers
        }
    }

    /// Topics joined and left.
    public var subscriptions: [Subscription] = []
    /// Messages, each the bytes of one protobuf `Message`.
    public var messages: [[UInt8]] = []
    /// Announcements.
    public var ihave: [IHave] = []
    /// Requests, one list of IDs per entry.
    public var iwant: [[MessageID]] = []
    /// Topics whose mesh the sender added the receiver to.
    public var graft: [String] = []
    /// Topics whose mesh the sender removed the receiver from.
    public var prune: [Prune] = []
    /// Entries that decoding left out, because of a limit or because they made no sense.
    public var entriesLeftOut = 0

    /// An RPC without entries.
    public init() {}

    /// Whether there is anything to send.
    public var isEmpty: Bool {
        subscriptions.isEmpty && messages.isEmpty && !hasControl
    }

    /// Whether there is any control entry.
    public var hasControl: Bool {
        !(ihave.isEmpty && iwant.isEmpty && graft.isEmpty && prune.isEmpty)
    }
}

/// Why the bytes of an RPC or of a message were refused.
public enum GossipSubCodecError: Error, Hashable, Sendable {
    /// Longer than `rpcBytesMax`.
    case tooLong(bytes: Int, bytesMax: Int)
    /// More fields than `rpcElementsMax`.
    case tooManyElements(elementsMax: Int)
    /// Not protobuf, or a known field of the wrong wire type.
    case malformed
}

extension GossipSubCodecError: CustomStringConvertible {
    /// One sentence without a full stop, for people.
    public var description: String {
        switch self {
        case .tooLong(let bytes, let bytesMax): "\(bytes) bytes, of at most \(bytesMax)"
        case .tooManyElements(let elementsMax): "more than \(elementsMax) fields"
        case .malformed: "the bytes are not of this protocol"
        }
    }
}
