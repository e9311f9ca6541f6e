import Hummingbird
import Logging
import NodeAPI

/// Turns every failure of a route into problem+json, so that no other form of error leaves the server.
struct ProblemMiddleware: RouterMiddleware {
    /// What there is.
    let table: APITable

    func handle(
        _ request: Request, context: ConnectionContext,
        next: (Request, ConnectionContext) async throws -> Response
    ) async throws -> Response {
        do {
            return try await next(request, context)
        } catch {
            let problem = Self.typed(error, logger: context.logger)
            guard problem.code == .noSuchRoute, error is HTTPError else { return try Self.response(problem) }
            let methods = table.methods(at: request.uri.path).map(\.rawValue).sorted()
            guard !methods.isEmpty else { return try Self.response(problem) }
            let allowed = methods.joined(separator: ", ")
            var response = try Self.response(
                NodeServiceError(.methodNotAllowed, "This route is for \(allowed) only."))
            response.headers[.allow] = allowed
            return response
        }
    }

    private static func typed(_ error: any Error, logger: Logger) -> NodeServiceError {
        if let known = error as? NodeServiceError { return known }
        guard let refusal = error as? HTTPError else {
            logger.error("A request failed unexpectedly", metadata: ["error": "\(error)"])
            return NodeServiceError(
                .internalError, "The node failed in a way it did not expect.", hint: "Its log says more.")
        }
        return switch refusal.status {
        case .notFound, .methodNotAllowed:
            NodeServiceError(
                .noSuchRoute, "There is no such route.",
                hint: "Node and command may be of different versions; restart the node with this program.")
        case .contentTooLarge:
            NodeServiceError(.tooLarge, "The body is larger than this route accepts.")
        default:
            NodeServiceError(.invalidRequest, refusal.body ?? refusal.status.reasonPhrase)
        }
    }

    /// A failure as an answer.
    static func response(_ error: NodeServiceError) throws -> Response {
        let bytes = try MeshJSON.encode(Problem(error))
        var headers: HTTPFields = [.contentType: "application/problem+json", .contentLength: String(bytes.count)]
        if error.code.httpStatus == 401 { headers[.wwwAuthenticate] = "Bearer realm=\"mesh\"" }
        if error.code == .tooManyRequests { headers[.retryAfter] = "1" }
        return Response(
            status: .init(code: error.code.httpStatus), headers: headers,
            body: .init(byteBuffer: ByteBuffer(bytes: bytes)))
    }
}
