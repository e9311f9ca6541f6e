public import Multiformats
public import NIOCore

/// A bidirectional stream of bytes to one peer, already agreed on one protocol.
///
/// Reads and writes apply back-pressure: `write` returns when flow control has accepted the bytes, and the stream's
/// receive window bounds unread bytes. All functions throw `StreamError` once the stream is reset.
public protocol PeerStream: Sendable {
    /// The authenticated peer at the other end.
    var remotePeer: PeerID { get }
    /// The protocol that multistream-select agreed on.
    var protocolID: String { get }
    /// The next bytes, at least one and at most the receive window; `nil` when the peer closed its side.
    func read() async throws -> ByteBuffer?
    /// Exactly `count` bytes; throws `StreamError.endOfStream` when the peer closed before.
    func readExactly(_ count: Int) async throws -> ByteBuffer
    /// One message with an unsigned-varint length before it; throws `StreamError.frameTooLarge` past `bytesMax` before
    /// its body is read, and returns `nil` at a clean end.
    func readFrame(bytesMax: Int) async throws -> ByteBuffer?
    /// Sends bytes; suspends while the peer's window is full.
    func write(_ bytes: ByteBuffer) async throws
    /// Sends one message with an unsigned-varint length before it.
    func writeFrame(_ bytes: ByteBuffer) async throws
    /// Closes this side: the peer reads an end; reading may go on.
    func closeWrite() async throws
    /// Ends the stream in both directions at once.
    func reset() async
}

/// Why a stream failed.
public enum StreamError: Error, Hashable, Sendable {
    /// The stream was reset, by either side, or its connection closed.
    case reset
    /// The peer closed its side before the requested bytes had arrived.
    case endOfStream
    /// A message announced more bytes than the protocol allows.
    case frameTooLarge(announced: UInt64, bytesMax: Int)
    /// A message's length prefix is not a minimal varint of at most nine bytes.
    case malformedLength
    /// This side is closed already.
    case closedForWriting
}

extension StreamError: CustomStringConvertible {
    /// One sentence without a full stop, for people.
    public var description: String {
        switch self {
        case .reset: "the peer broke the stream off"
        case .endOfStream: "the peer ended the stream too early"
        case .frameTooLarge(let announced, let bytesMax): "a message of \(announced) bytes, of at most \(bytesMax)"
        case .malformedLength: "the length of the message does not read"
        case .closedForWriting: "the stream was closed for writing"
        }
    }
}

/// Why a stream could not be opened.
public enum OpenStreamError: Error, Hashable, Sendable {
    /// No address is known for the peer.
    case noAddresses
    /// No address answered; one reason per address tried.
    case dialFailed([String])
    /// The peer answered, but speaks none of the protocols asked for.
    case protocolsNotSupported([String])
    /// A limit of this node, named here, was reached.
    case limitReached(String)
    /// The connection closed, or the negotiation took too long.
    case connectionLost(String)
}

extension OpenStreamError: CustomStringConvertible {
    /// One sentence without a full stop, for people.
    public var description: String {
        switch self {
        case .noAddresses: "no address of the peer is known"
        case .dialFailed(let attempts): attempts.joined(separator: "; ")
        case .protocolsNotSupported(let protocols): "the peer does not speak \(protocols.joined(separator: ", "))"
        case .limitReached: "this node has as much to do with that peer, or at all, as it accepts"
        case .connectionLost(let reason): "the connection was lost: \(reason)"
        }
    }
}

/// What the host tells its services about peers.
public enum PeerEvent: Sendable, Hashable {
    /// The first connection to the peer is established.
    case connected(PeerID)
    /// The last connection to the peer is gone.
    case disconnected(PeerID)
    /// The peer announced its protocols and addresses (identify).
    case identified(PeerID, protocols: [String], addresses: [Multiaddr])
}

/// What protocol services need of a network; the swarm and the tests' in-memory network provide it.
public protocol StreamHost: Sendable {
    /// This node's own peer ID.
    var localPeer: PeerID { get }
    /// The addresses this node listens on, without `/p2p`.
    func listenAddresses() async -> [Multiaddr]
    /// Opens a stream, connecting first when needed; the first protocol that the peer accepts wins.
    func openStream(to peer: PeerID, protocols: [String]) async throws(OpenStreamError) -> any PeerStream
    /// Registers a handler of streams that peers open; each runs in a child task of the host, bounded per peer.
    func handle(_ protocolID: String, _ handler: @escaping @Sendable (any PeerStream) async -> Void) async
    /// Connects to a peer by addresses (with or without `/p2p`), or returns at once when connected.
    func connect(to peer: PeerID, addresses: [Multiaddr]) async throws(OpenStreamError)
    /// Dials an address whose peer need not be known.
    func dial(_ address: Multiaddr) async throws(OpenStreamError) -> PeerID
    /// Remembers addresses for later dials; bounded per peer.
    func addAddresses(_ addresses: [Multiaddr], for peer: PeerID) async
    /// The addresses known for a peer.
    func addresses(of peer: PeerID) async -> [Multiaddr]
    /// The peers connected now, sorted.
    func connectedPeers() async -> [PeerID]
    /// Closes all connections to a peer.
    func disconnect(_ peer: PeerID) async
    /// Events from now on; every caller gets its own stream, of bounded length.
    func peerEvents() async -> AsyncStream<PeerEvent>
    /// Whether this node opened its oldest connection to a peer. A host that cannot tell answers no: strangers who dial
    /// a node must not pass for peers that it chose itself.
    func isOutbound(_ peer: PeerID) async -> Bool
    /// Makes the connections to a peer that is slow to answer prove that they are alive, and closes dead ones. A host
    /// whose connections do not die unseen does nothing.
    func doubt(_ peer: PeerID)
}

extension StreamHost {
    /// No connection counts as this node's own choice.
    public func isOutbound(_ peer: PeerID) async -> Bool { false }
    /// Nothing has to be proved.
    public func doubt(_ peer: PeerID) {}
}
