package import NodeAPI

/// A failure on the wire: RFC 9457 problem details with a stable `code` and what to do next.
struct Problem: Codable {
    /// A URN that ends in the code.
    var type: String
    /// The code in words.
    var title: String
    /// The HTTP status.
    var status: Int
    /// What is wrong, as a sentence.
    var detail: String
    /// The code of `NodeServiceError`.
    var code: String
    /// What to do next, as a sentence.
    var hint: String?

    init(_ error: NodeServiceError) {
        type = "urn:planetary-mesh:problem:\(error.code.rawValue)"
        title = error.code.rawValue.split(separator: "_").joined(separator: " ")
        status = error.code.httpStatus
        detail = error.message
        code = error.code.rawValue
        hint = error.hint
    }

    /// The failure, as the client throws it; a code of a newer node counts as the node's own fault.
    var error: NodeServiceError {
        NodeServiceError(NodeServiceError.Code(rawValue: code) ?? .internalError, detail, hint: hint)
    }
}

extension NodeServiceError.Code {
    /// The HTTP status for a failure of this kind.
    package var httpStatus: Int {
        switch self {
        case .invalidRequest: 400
        case .notSignedIn, .credentialsRefused: 401
        case .readOnly, .hostRefused, .originRefused, .codeRefused: 403
        case .jobNotFound, .receiptNotFound, .blockNotFound, .noSuchRoute, .noIssuer: 404
        case .methodNotAllowed: 405
        case .conflict, .issuerRefused: 409
        case .tooLarge: 413
        case .rangeNotSatisfiable: 416
        case .moduleRefused, .receiptInvalid, .issuerFaulty: 422
        case .tooManyRequests: 429
        case .blockCorrupt, .storageFailed, .notInitialised, .alreadyInitialised, .keyUnusable, .permissionDenied,
            .configurationInvalid, .addressInUse, .alreadyRunning, .nodeNotRunning, .protocolMismatch, .internalError:
            500
        case .peerUnreachable: 502
        case .overloaded, .shuttingDown: 503
        case .timedOut: 504
        case .storageFull: 507
        }
    }
}
