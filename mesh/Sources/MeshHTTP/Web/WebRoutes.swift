import Hummingbird
import NIOCore
import NodeAPI

/// What the API has over TCP: the operations of the socket that are not its alone, and sessions of browsers.
struct WebRoutes: Sendable {
    let routes: NodeRoutes
    let gate: WebGate

    /// A router with all operations, failures as problem+json.
    func router() -> Router<ConnectionContext> {
        let table = table()
        let router = Router(context: ConnectionContext.self)
        router.add(middleware: WebHeaders())
        router.add(middleware: ProblemMiddleware(table: table))
        router.add(middleware: WebMiddleware(gate: gate))
        let gate = gate
        table.add(to: router) { request, operation in try gate.admit(request, to: operation) }
        DashboardFiles().add(to: router)
        return router
    }

    /// Every operation.
    func table() -> APITable {
        var table = routes.table().overTCP
        addSessions(to: &table)
        return table
    }

    private func addSessions(to table: inout APITable) {
        table.post("/v1/sign-in", .anyone) { request, _ in
            let asked: SignInCode = try await routes.decode(request, bytesMax: routes.limits.signInBytesMax)
            let (session, cookie) = try gate.signIn(asked.code)
            var response = try routes.json(SignedIn(scope: session.scope, seconds: gate.secondsLeft(of: session)))
            response.headers[.setCookie] = cookie
            return response
        }
        table.get("/v1/session") { request, _ in
            let (scope, session) = try gate.credentials(of: request)
            return try routes.json(SignedIn(scope: scope, seconds: session.map(gate.secondsLeft)))
        }
        // Whoever has a session may end it.
        table.post("/v1/sign-out", .read) { request, _ in
            var response = Response(status: .noContent)
            if let session = try gate.credentials(of: request).session {
                response.headers[.setCookie] = gate.signOut(session)
            }
            return response
        }
    }
}

/// The body of a request to sign in.
struct SignInCode: Codable {
    let code: String
}

/// What whoever asks may do.
struct SignedIn: Codable {
    let scope: APIScope
    /// How long the session still is, in seconds; absent for a token.
    let seconds: UInt64?
}
