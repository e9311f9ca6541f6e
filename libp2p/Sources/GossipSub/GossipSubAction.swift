public import Multiformats

/// What the shell must do, in order.
public enum GossipSubAction: Hashable, Sendable {
    /// Send one RPC to each of these peers.
    case send(GossipSubRPC, to: [PeerID])
    /// Ask the application about a message, then call `validated` with its ID; nothing is forwarded before.
    case validate(GossipMessage, from: PeerID)
    /// Hand an accepted message to this node's subscribers.
    case deliver(GossipMessage)
    /// Reset the stream of a peer that sent undecodable bytes.
    case resetStream(PeerID, GossipSubCodecError)
}

/// The application's verdict on a message.
public enum GossipVerdict: Hashable, Sendable {
    /// Deliver and forward it.
    case accept
    /// Neither deliver nor forward it, and blame nobody: too old, already known, not understood.
    case ignore
    /// Neither deliver nor forward it, and blame everybody who sent it.
    case reject
}

/// Why a message was not published.
public enum PublishRefusal: Error, Hashable, Sendable {
    /// The message with its signature does not fit into one RPC.
    case tooLong(bytes: Int, bytesMax: Int)
    /// The topic's name is empty or too long.
    case badTopic(bytes: Int, bytesMax: Int)
    /// Signing failed.
    case notSigned
}

extension PublishRefusal: CustomStringConvertible {
    /// One sentence without a full stop, for people.
    public var description: String {
        switch self {
        case .tooLong(let bytes, let bytesMax): "the message has \(bytes) bytes, of at most \(bytesMax)"
        case .badTopic(let bytes, let bytesMax): "the topic's name has \(bytes) bytes, and must have 1 to \(bytesMax)"
        case .notSigned: "the message could not be signed"
        }
    }
}

/// Why a subscription was refused.
public enum SubscribeRefusal: Error, Hashable, Sendable {
    /// The node subscribes to `ownTopicsMax` topics already.
    case tooManyTopics(topicsMax: Int)
    /// The topic's name is empty or too long.
    case badTopic(bytes: Int, bytesMax: Int)
}

extension SubscribeRefusal: CustomStringConvertible {
    /// One sentence without a full stop, for people.
    public var description: String {
        switch self {
        case .tooManyTopics(let topicsMax): "this node has \(topicsMax) topics already, the most at once"
        case .badTopic(let bytes, let bytesMax): "the topic's name has \(bytes) bytes, and must have 1 to \(bytesMax)"
        }
    }
}
