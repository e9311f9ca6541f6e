/// Every bound of the HTTP server and its client.
public struct MeshHTTPLimits: Hashable, Sendable {
    /// A JSON body of a request, in bytes; a longer one is refused as too large.
    public var requestBytesMax = 1024 * 1024
    /// A file to add or fetch, in bytes; a larger one is refused as too large.
    public var fileBytesMax = 64 * 1024 * 1024
    /// Any other answer, in bytes; the client refuses a longer one as too large.
    public var responseBytesMax = 64 * 1024 * 1024
    /// One line of a stream of events, in bytes; at a longer one the client ends the stream.
    public var lineBytesMax = 1024 * 1024
    /// Events that wait for a slow reader before the oldest are dropped.
    public var eventsWaitingMax = 4_096
    /// Connections at once, plus a few that come at the same instant; the next waits until one is closed.
    public var connectionsMax = 512
    /// Header fields of a request; one with more is refused.
    public var headerFieldsMax = 64
    /// All header fields of a request together, in bytes; one with more is refused.
    public var headerBytesMax = 16 * 1024
    /// Seconds after which an idle connection is closed.
    public var idleSeconds = 60
    /// Seconds for answering requests under way when the node stops.
    public var goodbyeSeconds = 5
    /// Seconds that the client waits for the node to accept a connection.
    public var connectSeconds = 5
    /// Seconds that the client waits for an answer.
    public var answerSeconds = 60
    /// Seconds that the client waits for an answer that needs a run or a search of the mesh.
    public var longAnswerSeconds = 900
    /// Connections that a client keeps for its next request after an answer; one more is closed.
    public var clientIdleConnectionsMax = 32
    /// How long it keeps each, in milliseconds: much shorter than the node waits for a request.
    public var clientIdleMilliseconds: Int64 = 1_000
    /// Entries that a listing may ask for.
    public var listingMax = 10_000

    /// The defaults.
    public init() {}
}
