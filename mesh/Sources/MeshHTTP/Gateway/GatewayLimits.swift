/// Every bound of the gateway, whose clients are strangers.
package struct GatewayLimits: Hashable, Sendable {
    /// Connections at once, plus a few that come at the same instant; the next waits until one is closed.
    package var connectionsMax = 256
    /// Connections at once from one address, or from one network of 64 bits where it is IPv6; the next is closed.
    package var connectionsPerAddressMax = 16
    /// Requests that are answered at once; the next is refused with 503.
    package var responsesMax = 64
    /// Blocks that are read from the store at the same time; the node itself has the rest of the store's readers.
    package var readsMax = 2
    /// The target of a request (path and query), in bytes; a longer one is refused with 414.
    package var targetBytesMax = 8 * 1024
    /// Names in a path; one with more is refused with 400.
    package var pathNamesMax = 64
    /// Header fields of a request; one with more is refused with 400.
    package var headerFieldsMax = 64
    /// All header fields together, in bytes; a request with more is refused with 400.
    package var headerBytesMax = 16 * 1024
    /// The body of a request to the witness, in bytes; a longer one is refused with 413.
    /// Where the node is no witness, no request has a body.
    package var witnessBodyBytesMax = 16 * 1024
    /// Seconds for an answer of the witness, from the head of the request on.
    package var witnessSeconds = 10
    /// Bytes of bodies, which no other request here has, that are read before the connection is closed.
    package var bodyBytesMax = 64 * 1024
    /// Seconds in which a request has to be whole, from when the connection was made or the answer before it ended.
    package var requestSeconds = 10
    /// Seconds in which a client has to take in a piece of an answer (`pieceBytes`).
    package var pieceSeconds = 15
    /// Seconds for a whole answer.
    package var responseSeconds = 3_600
    /// Bytes of an answer that are written at once.
    package var pieceBytes = 64 * 1024
    /// Pieces of an answer that the system has not taken yet; the next waits. They and one block are in memory.
    package var piecesUnsentMax = 4
    /// Blocks of one archive, which is cut off there; whoever wants more asks for parts of it.
    package var archiveBlocksMax = 131_072
    /// Seconds for answers under way when the node stops.
    package var goodbyeSeconds = 5

    /// The defaults.
    package init() {}
}
