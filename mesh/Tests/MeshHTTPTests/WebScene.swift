import Foundation
import Logging
import NIOConcurrencyHelpers
import NodeAPI
import NodeAPITesting
import Testing

@testable import MeshHTTP

/// Changes that a test tells, to one follower.
struct ScriptedChanges: ChangeSource {
    let tell: AsyncStream<NodeChange>.Continuation
    private let streams: NIOLockedValueBox<[AsyncStream<NodeChange>]>

    init() {
        // BOUNDED: by what the test tells.
        let (stream, tell) = AsyncStream.makeStream(of: NodeChange.self)
        self.tell = tell
        streams = NIOLockedValueBox([stream])
    }

    func changes() async throws(NodeServiceError) -> AsyncStream<NodeChange> {
        guard let stream = streams.withLockedValue({ $0.popLast() }) else {
            throw NodeServiceError(.overloaded, "Somebody follows already.")
        }
        return stream
    }
}

/// A node's API on a port of this machine, with a clock that the test sets.
struct WebScene: Sendable {
    let server: WebServer
    let port: Int
    let tokens: APITokens
    /// The seconds that its clock says.
    let seconds: NIOLockedValueBox<Double>

    /// Serves a scripted node while `body` asks it.
    static func run(
        _ script: ScriptedNode.Script = .init(), limits: MeshHTTPLimits = MeshHTTPLimits(),
        changes: ScriptedChanges = ScriptedChanges(), name: String? = nil, certificate: WebCertificate? = nil,
        _ body: @Sendable (WebScene) async throws -> Void
    ) async throws {
        let tokens = APITokens(full: .random(), read: .random())
        let seconds = NIOLockedValueBox(1_000.0)
        let server = WebServer(
            service: ScriptedNode(script: script), changes: changes, host: "127.0.0.1", port: 0, name: name,
            certificate: certificate, tokens: tokens, limits: limits, logger: Logger(label: "test"),
            seconds: { seconds.withLockedValue { $0 } })
        try await whileServing {
            try await server.run(listening: $0)
        } _: {
            let port = server.address?.split(separator: ":").last.flatMap { Int($0) } ?? 0
            try await body(WebScene(server: server, port: port, tokens: tokens, seconds: seconds))
        }
    }

    var origin: String { "http://127.0.0.1:\(port)" }
    var full: String { "authorization: Bearer \(tokens.full.text)" }
    var read: String { "authorization: Bearer \(tokens.read.text)" }

    /// The answer to a request on a connection of its own.
    func ask(
        _ target: String, method: String = "GET", host: String? = nil, body: String = "", _ headers: String...
    ) async throws -> WebAnswer {
        let connection = try await WebConnection.open(port)
        var lines = ["\(method) \(target) HTTP/1.1", "connection: close"] + headers
        if let host {
            if !host.isEmpty { lines.append("host: \(host)") }
        } else {
            lines.append("host: 127.0.0.1:\(port)")
        }
        if method != "GET" { lines.append("content-length: \(body.utf8.count)") }
        try await connection.send(lines.joined(separator: "\r\n") + "\r\n\r\n" + body)
        try await connection.closed()
        guard let answer = WebAnswer(connection.received) else { throw NoAnswer(text: connection.text) }
        return answer
    }

    /// Uses a code up.
    func signIn(_ code: String, _ headers: String...) async throws -> WebAnswer {
        try await ask("/v1/sign-in", method: "POST", body: #"{"code":"\#(code)"}"#, headers.first ?? "accept: */*")
    }

    /// The code in a new link.
    func code(_ scope: APIScope = .full) throws -> String {
        let link = try server.gate.link(scope)
        #expect(link.url.hasPrefix("\(origin)/dashboard/#"))
        return link.url.split(separator: "#").last.map(String.init) ?? ""
    }

    /// The header with which a browser that signed in asks.
    func cookie(_ scope: APIScope = .full) async throws -> String { try await page(scope).cookie }

    /// That, and the header with which its page changes something.
    func page(_ scope: APIScope = .full) async throws -> (cookie: String, secret: String) {
        let answer = try await signIn(code(scope))
        let pair = answer.headers["set-cookie"]?.split(separator: ";").first ?? ""
        let secret = try MeshJSON.decode(SignedIn.self, from: answer.body).pageSecret ?? ""
        return ("cookie: theme=dark; \(pair)", "mesh-page-secret: \(secret)")
    }
}

extension WebAnswer {
    /// The code of the problem that it is.
    var problem: String? {
        guard headers["content-type"] == "application/problem+json" else { return nil }
        return (try? MeshJSON.decode(Problem.self, from: body))?.code
    }
}
