public import Multiformats

/// What a router wants done; the shell carries it out in order.
public enum GossipSubAction: Hashable, Sendable {
    /// Send one RPC to each of these peers.
    case send(GossipSubRPC, to: [PeerID])
    /// Ask the application about a message, then call `validated` with its ID; nothing is forwarded before.
    case validate(GossipMessage, from: PeerID)
    /// Hand an accepted message to this node's subscribers.
    case deliver(GossipMessage)
    /// Reset the stream of a peer that sent what cannot be decoded.
    case resetStream(PeerID, GossipSubCodecError)
}

/// What the application says of a message.
public enum GossipVerdict: Hashable, Sendable {
    /// Deliver and forward it.
    case accept
    /// Neither deliver nor forward it, and hold it against nobody: too old, already known, not understood.
    case ignore
    /// Neither deliver nor forward it, and hold it against everybody who sent it.
    case reject
}

/// Why a message was not published.
public enum PublishRefusal: Error, Hashable, Sendable {
    /// The message with its signature does not fit into one RPC.
    case tooLong(bytes: Int, bytesMax: Int)
    /// The topic's name is empty or too long.
    case badTopic(bytes: Int, bytesMax: Int)
    /// The key did not sign.
    case notSigned
}

/// Why a topic was not subscribed to.
public enum SubscribeRefusal: Error, Hashable, Sendable {
    /// As many topics as `ownTopicsMax` are subscribed to.
    case tooManyTopics(topicsMax: Int)
    /// The topic's name is empty or too long.
    case badTopic(bytes: Int, bytesMax: Int)
}
