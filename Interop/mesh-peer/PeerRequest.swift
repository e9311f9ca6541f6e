/// One line on standard input: a command with its arguments. Bytes are hex in the fields that end in `Hex`, and may be
/// given as text in the field without the suffix.
struct PeerRequest: Decodable, Sendable {
    /// What the reply repeats.
    var id: Int?
    /// The command.
    var cmd: String
    /// A multiaddr with `/p2p`.
    var addr: String?
    /// A PeerID.
    var peer: String?
    /// A gossip topic.
    var topic: String?
    /// One protocol or several, the preferred first.
    var proto: OneOrMore?
    /// How often, or how many.
    var count: Int?
    /// How many bytes each message has.
    var size: Int?
    /// How many streams at once.
    var streams: Int?
    /// How many messages a second.
    var rate: Int?
    /// How many bytes to read.
    var readN: Int?
    /// A CID as text.
    var cid: String?
    var cidHex: String?
    var data: String?
    var dataHex: String?
    var key: String?
    var keyHex: String?
    var value: String?
    var valueHex: String?

    /// A text, or a list of them.
    struct OneOrMore: Decodable, Sendable {
        var values: [String]

        init(from decoder: any Decoder) throws {
            let container = try decoder.singleValueContainer()
            values = try (try? container.decode([String].self)) ?? [container.decode(String.self)]
        }
    }
}

/// One line on standard output that answers a request.
struct PeerReply: Encodable, Sendable {
    var id: Int?
    var ok = true
    var error: String?
    var peerId: String?
    var addrs: [String]?
    var peers: [String]?
    var mesh: [String]?
    var agent: String?
    var protocolVersion: String?
    var protocols: [String]?
    var listen: [String]?
    var publicKeyHex: String?
    var rttMs: [Double]?
    var proto: String?
    var dataHex: String?
    var valueHex: String?
    var cid: String?
    var cidHex: String?
    var providers: [FoundPeer]?
    var peer: FoundPeer?
    var bytes: Int?
    var count: Int?
    var seconds: Double?
    var milliseconds: [Double]?

    /// A peer with the addresses that somebody told of it.
    struct FoundPeer: Encodable, Sendable {
        var id: String
        var addrs: [String]
    }
}

/// One line on standard output that answers nothing: the peer is ready, a message came, a stream was opened.
struct PeerNotice: Encodable, Sendable {
    var event: String
    var peerId: String?
    var addrs: [String]?
    var pid: Int32?
    var topic: String?
    var from: String?
    var dataHex: String?
    var signed: Bool?
    var peer: String?
    var proto: String?
}
