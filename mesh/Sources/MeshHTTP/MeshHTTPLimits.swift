/// Every bound of the HTTP server and its client.
package struct MeshHTTPLimits: Hashable, Sendable {
    /// A JSON body of a request, in bytes; a longer one is refused as too large.
    package var requestBytesMax = 1024 * 1024
    /// A file to add or fetch, in bytes; a larger one is refused as too large. The longest file of the mesh; a node
    /// takes what its configuration says (`NodeLimits`).
    package var fileBytesMax = 1024 * 1024 * 1024
    /// Blocks that are sent at once, in bytes; more are refused as too large.
    package var uploadBytesMax = 16 * 1024 * 1024
    /// Any other answer, in bytes; the client refuses a longer one as too large.
    package var responseBytesMax = 64 * 1024 * 1024
    /// A receipt in a file, in bytes: the largest outputs, and the evidence.
    package var archiveBytesMax = 80 * 1024 * 1024
    /// One line of a stream of events, in bytes; at a longer one the client ends the stream.
    package var lineBytesMax = 1024 * 1024
    /// Events that wait for a slow reader before the oldest are dropped.
    package var eventsWaitingMax = 4_096
    /// Connections at once, plus a few that come at the same instant; the next waits until one is closed.
    package var connectionsMax = 512
    /// Header fields of a request, or of an answer; one with more is refused.
    package var headerFieldsMax = 64
    /// All header fields of either together, in bytes; one with more is refused.
    package var headerBytesMax = 16 * 1024
    /// Seconds after which an idle connection is closed.
    package var idleSeconds = 60
    /// Seconds for answering requests under way when the node stops.
    package var goodbyeSeconds = 5
    /// Seconds that the client waits for the node to accept a connection.
    package var connectSeconds = 5
    /// Seconds that the client waits for an answer.
    package var answerSeconds = 60
    /// Seconds that the client waits for an answer that needs a run or a search of the mesh.
    package var longAnswerSeconds = 900
    /// Connections that a client keeps for its next request after an answer; one more is closed.
    package var clientIdleConnectionsMax = 32
    /// How long it keeps each, in milliseconds: much shorter than the node waits for a request.
    package var clientIdleMilliseconds: Int64 = 1_000
    /// Entries that a listing may ask for.
    package var listingMax = 10_000

    /// The defaults.
    package init() {}
}
