/// Every bound of the HTTP server and its client.
public struct MeshHTTPLimits: Hashable, Sendable {
    /// A JSON body of a request, in bytes.
    public var requestBytesMax = 1024 * 1024
    /// A file that is added or fetched, in bytes.
    public var fileBytesMax = 64 * 1024 * 1024
    /// Any other answer, in bytes.
    public var responseBytesMax = 64 * 1024 * 1024
    /// One line of a stream of events, in bytes.
    public var lineBytesMax = 1024 * 1024
    /// Events that wait for a slow reader before the oldest are dropped.
    public var eventsWaitingMax = 4_096
    /// Connections at once.
    public var connectionsMax = 512
    /// Header fields of a request.
    public var headerFieldsMax = 64
    /// All header fields of a request together, in bytes.
    public var headerBytesMax = 16 * 1024
    /// Seconds after which a connection on which nothing is asked is closed.
    public var idleSeconds = 60
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
