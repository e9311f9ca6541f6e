import Hummingbird

/// Lets no request pass that names another host or comes from another page; makes every answer safe in a browser.
struct WebMiddleware: RouterMiddleware {
    let gate: WebGate

    func handle(
        _ request: Request, context: ConnectionContext,
        next: (Request, ConnectionContext) async throws -> Response
    ) async throws -> Response {
        try gate.checkPlace(of: request)
        return try await next(request, context)
    }
}

/// Says with every answer that a browser may do nothing with it but show or save it.
///
/// What a route says itself stays. Nothing that users put out is ever a page: what is neither JSON nor a stream of
/// events is an attachment.
struct WebHeaders: RouterMiddleware {
    func handle(
        _ request: Request, context: ConnectionContext,
        next: (Request, ConnectionContext) async throws -> Response
    ) async throws -> Response {
        var response = try await next(request, context)
        for (name, value) in Self.always where !response.headers.contains(name) { response.headers[name] = value }
        let type = response.headers[.contentType] ?? ""
        let isShown = Self.shownTypes.contains { type.hasPrefix($0) }
        if !type.isEmpty, !isShown, !response.headers.contains(.contentDisposition) {
            response.headers[.contentDisposition] = "attachment"
        }
        return response
    }

    private static let shownTypes = [
        "application/json", "application/problem+json", "application/x-ndjson", "text/event-stream",
    ]

    /// The headers of every answer, unless it has its own.
    private static let always: [(HeaderName, String)] = [
        ("x-content-type-options", "nosniff"),
        ("content-security-policy", "default-src 'none'; frame-ancestors 'none'; sandbox"),
        ("cross-origin-resource-policy", "same-origin"),
        ("cross-origin-opener-policy", "same-origin"),
        ("referrer-policy", "no-referrer"),
        ("cache-control", "no-store"),
    ].compactMap { name, value in HeaderName(name).map { ($0, value) } }
}
