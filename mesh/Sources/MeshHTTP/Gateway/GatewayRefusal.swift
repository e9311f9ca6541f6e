/// Why the gateway does not give what was asked for: a status, and a sentence for whoever reads it.
struct GatewayRefusal: Error, Hashable, CustomStringConvertible {
    /// The statuses of refusals, by their numbers in HTTP.
    enum Status: Int {
        case badRequest = 400
        case notFound = 404
        case methodNotAllowed = 405
        case notAcceptable = 406
        case gone = 410
        case uriTooLong = 414
        case internalServerError = 500
        case serviceUnavailable = 503
    }

    let status: Status
    let text: String
    /// After how many seconds it may be otherwise, where the client should try again.
    var retrySeconds: Int?

    init(_ status: Status, _ text: String, retrySeconds: Int? = nil) {
        self.status = status
        self.text = text
        self.retrySeconds = retrySeconds
    }

    var description: String { text }

    /// What says how to ask, for all who ask as they would ask another web server.
    static let howToAsk =
        "Ask for one block with /ipfs/CID?format=raw, or for an archive with /ipfs/CID/path?format=car."

    /// The same for what is private and for what is not here: strangers do not learn which.
    static let notHere = GatewayRefusal(.notFound, "This gateway does not serve that.")
}
