/// Every bound of the HTTP server and its client.
package struct MeshHTTPLimits: Hashable, Sendable {
    /// A JSON body of a request, in bytes; a longer one is refused as too large.
    package var requestBytesMax = 1024 * 1024
    /// A file to add or fetch, in bytes; a larger one is refused as too large. The longest file of the mesh; a node
    /// takes what its configuration says (`NodeLimits`).
    package var fileBytesMax = 1024 * 1024 * 1024
    /// Bytes of a file that are held for each of its readers.
    package var fileWindowBytes = 2 * 1024 * 1024
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
    /// Connections at once over TCP, plus a few that come at the same instant; the next waits until one is closed.
    package var webConnectionsMax = 320
    /// Seconds that a connection over TCP has from its beginning, or from the end of an answer, until the head of a
    /// request is whole; then it is closed.
    package var webIdleSeconds = 30
    /// Seconds for the body of a request over TCP.
    package var webBodySeconds = 120
    /// Seconds for what is left of a body after its answer, as where it was refused.
    package var webLeftoverSeconds = 5
    /// Bytes of a body that are read after its answer; then the connection is closed.
    package var webLeftoverBytesMax = 1024 * 1024
    /// Seconds in which a reader over TCP has to take something; then it is cut off.
    package var webPieceSeconds = 20
    /// Seconds in which a TLS handshake has to be done; then the connection is closed.
    package var tlsHandshakeSeconds = 10
    /// TLS handshakes at once; one more ends the eldest of the address that has most.
    package var tlsHandshakesMax = 64
    /// Connections over TLS from one IPv4 address, or one IPv6 network of 64 bits; one more is closed.
    package var tlsConnectionsPerAddressMax = 32
    /// Requests over TCP that are worked on at once, also for readers that have gone; the next is refused with 503.
    package var webAnswersMax = 64
    /// Requests over TCP with good credentials in a second; the next is refused with 429.
    package var webRequestsPerSecondMax = 10_000
    /// Requests over TCP in a second that are told why their token, session or code is refused; the next with a wrong
    /// one gets 429. One with a good one is answered.
    package var webRefusalsPerSecondMax = 50
    /// The body of a request to sign in, in bytes.
    package var signInBytesMax = 4 * 1024
    /// Codes to sign in with at once; a new one takes the place of the oldest.
    package var webCodesMax = 8
    /// Seconds for which a code is good.
    package var webCodeSeconds = 300
    /// Sessions of browsers at once; a new one ends the oldest.
    package var webSessionsMax = 128
    /// Seconds after which a session is over.
    package var webSessionSeconds = 43_200
    /// Changes of the node that are kept for readers that were away; one that missed more begins anew.
    package var eventsKeptMax = 1_024
    /// Readers of the stream of events at once; the next is refused with 503.
    package var eventReadersMax = 64
    /// Seconds after which a stream of events without any sends a line that says nothing.
    package var eventBeatSeconds = 15
    /// Cookies of this node's name that are looked at in a request.
    package var webCookiesMax = 4
    /// The key of `Idempotency-Key`, in bytes; a longer one is refused as an invalid request.
    package var idempotencyKeyBytesMax = 255
    /// Texts of each kind of answer that are kept for the next request of the same address: pages of jobs, jobs,
    /// receipts. With one more all of the kind are written anew.
    package var knownTextsMax = 256
    /// Texts of jobs that are kept for the pages they are in. With one more all are written anew.
    package var knownRowsMax = 4_096
    /// The bytes of the texts of each kind, these too; a text that is longer by itself is not kept.
    package var knownTextBytesMax = 4 * 1024 * 1024
    /// Entries that a listing may ask for.
    package var listingMax = 10_000

    /// The defaults.
    package init() {}
}
