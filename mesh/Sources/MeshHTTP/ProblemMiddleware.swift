import Hummingbird
import Logging
import NodeAPI

/// Turns every failure of a route into problem+json, so that no other form of error leaves the server.
struct ProblemMiddleware<Context: RequestContext>: RouterMiddleware {
    func handle(
        _ request: Request, context: Context, next: (Request, Context) async throws -> Response
    ) async throws -> Response {
        do {
            return try await next(request, context)
        } catch {
            return try Self.response(Self.typed(error, logger: context.logger))
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

    private static func response(_ error: NodeServiceError) throws -> Response {
        let bytes = try MeshJSON.encode(Problem(error))
        return Response(
            status: .init(code: error.code.httpStatus),
            headers: [.contentType: "application/problem+json", .contentLength: String(bytes.count)],
            body: .init(byteBuffer: ByteBuffer(bytes: bytes)))
    }
}
