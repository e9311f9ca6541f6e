/// Every bound of the HTTP server and its client.
public struct MeshHTTPLimits: Hashable, Sendable {
    /// A JSON body of a request, in bytes; a longer one is refused as too large.
    public var requestBytesMax = 1024 * 1024
    /// A file that is added or fetched, in bytes; a larger one is refused as too large.
    public var fileBytesMax = 64 * 1024 * 1024
    /// Any other answer, in bytes; of a longer one the client says that it is too large.
    public var responseBytesMax = 64 * 1024 * 1024
    /// One line of a stream of events, in bytes; at a longer one the client ends the stream.
    public var lineBytesMax = 1024 * 1024
    /// Events that wait for a slow reader before the oldest are dropped.
    public var eventsWaitingMax = 4_096
    /// Connections at once, and a few more when they come at the same instant; the next waits until one is closed.
    public var connectionsMax = 512
    /// Header fields of a request; one with more is refused.
    public var headerFieldsMax = 64
    /// All header fields of a request together, in bytes; one with more is refused.
    public var headerBytesMax = 16 * 1024
    /// Seconds after which a connection on which nothing is asked is closed.
    public var idleSeconds = 60
    /// Seconds that requests which are under way have to be answered when the node stops.
    public var goodbyeSeconds = 5
    /// Seconds that the client waits for the node to accept a connection.
    public var connectSeconds = 5
    /// Seconds that the client waits for an answer.
    public var answerSeconds = 60
    /// Seconds that the client waits for an answer that takes the node a run or a search of the mesh.
    public var longAnswerSeconds = 900
    /// Entries that a listing may ask for.
    public var listingMax = 10_000

    /// The defaults.
    public init() {}
}
