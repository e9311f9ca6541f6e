/// Why a node did not do what it was asked, for programs (`code`) and for people (`message`, `hint`).
package struct NodeServiceError: Error, Hashable, Sendable, Codable {
    /// What kind of failure; stable, programs may rely on it.
    package var code: Code
    /// What is wrong, as one sentence: "The module imports env.abort, which this node does not offer."
    package var message: String
    /// What to do next, as one sentence; nil if there is no advice.
    package var hint: String?

    /// A failure with a sentence, and another on what to do next.
    package init(_ code: Code, _ message: String, hint: String? = nil) {
        self.code = code
        self.message = message
        self.hint = hint
    }

    /// The kinds of failure. The raw values are part of the API.
    package enum Code: String, Hashable, Sendable, Codable, CaseIterable {
        /// The request is unreadable, or asks for something impossible.
        case invalidRequest = "invalid_request"
        /// A body, a file or a number of things exceeds a limit.
        case tooLarge = "too_large"
        /// The range of bytes that was asked for begins behind the last one.
        case rangeNotSatisfiable = "range_not_satisfiable"
        /// The module was refused before it was announced: not a module, unknown imports, no entry point.
        case moduleRefused = "module_refused"
        /// No such job here.
        case jobNotFound = "job_not_found"
        /// Neither this node nor the mesh has the receipt.
        case receiptNotFound = "receipt_not_found"
        /// Neither this node nor the mesh has the block or file.
        case blockNotFound = "block_not_found"
        /// A stored or received block does not hash to its CID.
        case blockCorrupt = "block_corrupt"
        /// What came under a receipt's CID is not a valid signed receipt.
        case receiptInvalid = "receipt_invalid"
        /// No route by that name and method.
        case noSuchRoute = "no_such_route"
        /// This node is no issuer.
        case noIssuer = "no_issuer"
        /// An issuer's book does not take the order, or the issuer refuses the question.
        case issuerRefused = "issuer_refused"
        /// An issuer's word does not hold: a head that does not continue the last one, a proof that fails.
        case issuerFaulty = "issuer_faulty"
        /// The idempotency key was used for another job.
        case conflict
        /// A peer did not answer, or could not be dialled.
        case peerUnreachable = "peer_unreachable"
        /// It took longer than it may.
        case timedOut = "timed_out"
        /// The node has as much to do as it accepts.
        case overloaded
        /// The node is stopping.
        case shuttingDown = "shutting_down"
        /// The disk, or the space granted to the node, is full.
        case storageFull = "storage_full"
        /// The database or a backup failed, is damaged, or is another node's.
        case storageFailed = "storage_failed"
        /// The home folder has no node in it, or something else is in its place.
        case notInitialised = "not_initialised"
        /// The home folder already has a node in it.
        case alreadyInitialised = "already_initialised"
        /// The key file cannot be read, is readable by others, or the passphrase is wrong.
        case keyUnusable = "key_unusable"
        /// This user has no permission for a file or folder of the node.
        case permissionDenied = "permission_denied"
        /// The configuration is invalid.
        case configurationInvalid = "configuration_invalid"
        /// A port or socket to listen on is taken or not allowed.
        case addressInUse = "address_in_use"
        /// Another node runs in this home folder.
        case alreadyRunning = "already_running"
        /// No node answers on the home folder's socket.
        case nodeNotRunning = "node_not_running"
        /// The node's answer is unreadable: another version, or not a node at all.
        case protocolMismatch = "protocol_mismatch"
        /// The API over TCP needs a token or a session, and the request has none.
        case notSignedIn = "not_signed_in"
        /// The token is none of this node's, or the session is over.
        case credentialsRefused = "credentials_refused"
        /// The token or the session only reads.
        case readOnly = "read_only"
        /// The request names another host than the one that the node listens on.
        case hostRefused = "host_refused"
        /// The request comes from a page of another origin.
        case originRefused = "origin_refused"
        /// The code to sign in with was used, is too old, or never was one.
        case codeRefused = "code_refused"
        /// There is such a route, but not for this method.
        case methodNotAllowed = "method_not_allowed"
        /// More requests, or more refused ones, than the node takes in a second.
        case tooManyRequests = "too_many_requests"
        /// A fault of the node itself.
        case internalError = "internal_error"
    }
}

extension NodeServiceError: CustomStringConvertible {
    /// The sentence, and what to do next.
    package var description: String {
        hint.map { "\(message) \($0)" } ?? message
    }
}
