import Hummingbird
import NIOCore
import NodeAPI

/// What the API has over TCP: the operations of the socket that are not its alone, and sessions of browsers.
struct WebRoutes: Sendable {
    let routes: NodeRoutes
    let gate: WebGate
    let desk: EventDesk

    /// A router with all operations, failures as problem+json.
    func router() -> Router<ConnectionContext> {
        let table = table()
        let router = Router(context: ConnectionContext.self)
        router.add(middleware: WebHeaders())
        router.add(middleware: ProblemMiddleware(table: table))
        router.add(middleware: WebMiddleware(gate: gate))
        let gate = gate
        let tally = AnswerTally(max: routes.limits.webAnswersMax)
        table.add(to: router) { request, operation in
            try gate.admit(request, to: operation)
            return try tally.begin()
        }
        DashboardFiles().add(to: router)
        return router
    }

    /// Every operation.
    func table() -> APITable {
        var table = routes.table().overTCP
        addSessions(to: &table)
        addEvents(to: &table)
        addDocument(to: &table)
        return table
    }

    /// The document describes itself too: so the table is complete before it is written, once.
    private func addDocument(to table: inout APITable) {
        let form = APIOperation.Content.bytes("application/json")
        let summary = "This document"
        var whole = table
        whole.get(
            "/openapi.json", summary, for: .anyone, conditions: .tag, answer: form
        ) { _, _ in Response(status: .ok) }
        let written = Result {
            var document = APIDocument(whole)
            return try MeshJSON.encode(document.json())
        }
        table.get("/openapi.json", summary, for: .anyone, conditions: .tag, answer: form) { request, _ in
            let bytes = try written.get()
            return routes.tagged(routes.bytes(bytes, type: "application/json"), bytes, for: request)
        }
    }

    private func addEvents(to table: inout APITable) {
        table.get(
            "/v1/events", "Every change at the node as it happens, as server-sent events",
            answer: .bytes("text/event-stream")
        ) { request, _ in
            let given = Self.lastEventID.map { request.headers[values: $0] } ?? []
            let last = given.first.flatMap { EventRing.ID($0) }
            let isResumed = !given.isEmpty
            let bell = try desk.bell()
            return Response(
                status: .ok, headers: [.contentType: "text/event-stream"],
                body: events(since: isResumed ? last : desk.newest, resumed: isResumed, bell, for: request))
        }
    }

    /// Every change as it happens, each with its ID; `reset` where some are lost; ends early with the reader's session.
    private func events(
        since id: EventRing.ID?, resumed isResumed: Bool, _ bell: AsyncStream<Void>, for request: Request
    ) -> ResponseBody {
        ResponseBody { writer in
            try await request.body.consumeWithCancellationOnInboundClose { _ in
                var place = id ?? desk.newest
                if !isResumed { try await writer.write(Self.event("open", place, "{}")) }
                if isResumed, id == nil { try await writer.write(Self.event("reset", place, "{}")) }
                for await _ in bell {
                    guard gate.isStillGood(request) else { break }
                    guard let changes = desk.changes(after: place) else {
                        place = desk.newest
                        try await writer.write(Self.event("reset", place, "{}"))
                        continue
                    }
                    var text = changes.isEmpty ? ByteBuffer(string: ":\n\n") : ByteBuffer()
                    for (id, change) in changes {
                        let json = String(decoding: try MeshJSON.encode(change), as: UTF8.self)
                        text.writeImmutableBuffer(Self.event(change.kind.rawValue, id, json))
                        place = id
                    }
                    try await writer.write(text)
                }
            }
            try await writer.finish(nil)
        }
    }

    private static let lastEventID = HeaderName("last-event-id")

    private static func event(_ name: String, _ id: EventRing.ID, _ data: String) -> ByteBuffer {
        ByteBuffer(string: "id: \(id.text)\nevent: \(name)\ndata: \(data)\n\n")
    }

    private func addSessions(to table: inout APITable) {
        table.post(
            "/v1/sign-in", "Signs a browser in with a code, once", for: .anyone, body: .json(SignInCode.self),
            answer: .json(SignedIn.self)
        ) { request, _ in
            let asked: SignInCode = try await routes.decode(request, bytesMax: routes.limits.signInBytesMax)
            let (session, cookie) = try gate.signIn(asked.code)
            let signedIn = SignedIn(
                scope: session.scope, seconds: gate.secondsLeft(of: session), pageSecret: session.pageSecret.text)
            var response = try routes.json(signedIn)
            response.headers[.setCookie] = cookie
            return response
        }
        table.get(
            "/v1/session", "What whoever asks may do", answer: .json(SignedIn.self)
        ) { request, _ in
            let (scope, session) = try gate.credentials(of: request)
            return try routes.json(
                SignedIn(scope: scope, seconds: session.map(gate.secondsLeft), pageSecret: nil))
        }
        // Whoever has a session may end it.
        table.post(
            "/v1/sign-out", "Ends a browser's session", for: .read, status: 204
        ) { request, _ in
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
    /// What the page says in `mesh-page-secret` with everything that changes something; told once, at the sign-in.
    let pageSecret: String?

    private enum CodingKeys: String, CodingKey {
        case scope
        case seconds
        case pageSecret = "page_secret"
    }
}
