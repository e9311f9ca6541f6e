import Hummingbird
import NIOCore
import NodeAPI
import Synchronization

/// The name of a header.
typealias HeaderName = HTTPFields.Element.Name

/// Decides who may ask what over TCP.
///
/// It holds each request against the address that the node listens on (a page that a name of its own leads to this
/// machine says another host), against the origin of the page that makes it, and against the tokens and sessions.
final class WebGate: Sendable {
    private struct State {
        var address: SocketAddress?
        /// What requests may call this host.
        var names: [String] = []
        var signIns: SignIns
        var requests: RateBucket
        var refusals: RateBucket
    }

    private let tokens: APITokens
    private let limits: MeshHTTPLimits
    private let name: String?
    private let isSecure: Bool
    private let seconds: @Sendable () -> Double
    private let state: Mutex<State>

    /// A gate that lets nobody through before it knows where it listens.
    ///
    /// - Parameters:
    ///   - name: what clients call this host, if that is not its address.
    ///   - isSecure: whether they come over TLS.
    ///   - seconds: a clock that is never set back.
    init(
        tokens: APITokens, limits: MeshHTTPLimits, name: String?, isSecure: Bool,
        seconds: @escaping @Sendable () -> Double
    ) {
        (self.name, self.isSecure) = (name, isSecure)
        self.tokens = tokens
        self.limits = limits
        self.seconds = seconds
        state = Mutex(
            State(
                signIns: SignIns(limits: limits), requests: RateBucket(perSecond: limits.webRequestsPerSecondMax),
                refusals: RateBucket(perSecond: limits.webRefusalsPerSecondMax)))
    }

    /// The seconds since now, on a clock that goes on while the machine sleeps.
    static func clock() -> @Sendable () -> Double {
        let begin = ContinuousClock.now
        return { (ContinuousClock.now - begin) / .seconds(1) }
    }

    func listens(on address: SocketAddress) {
        let names = names(of: address)
        state.withLock { ($0.address, $0.names) = (address, names) }
    }

    /// Where it listens, as a browser writes it; nil before it does.
    var url: String? { state.withLock { $0.address }.map { "\(scheme)://\(name ?? Self.host($0)):\($0.port ?? 0)" } }

    private var scheme: String { isSecure ? "https" : "http" }

    /// A link for one sign-in.
    func link(_ scope: APIScope) throws(NodeServiceError) -> SignInLink {
        guard let url else { throw Self.absent }
        let code = APISecret.random()
        let now = UInt64(seconds())
        state.withLock { $0.signIns.add(code: code, scope: scope, at: now) }
        return SignInLink(url: "\(url)/dashboard/#\(code.text)", seconds: limits.webCodeSeconds)
    }

    /// What a node says of links where its API does not listen on TCP.
    static let absent = NodeServiceError(
        .invalidRequest, "This node's API does not listen on TCP, so no browser reaches it.",
        hint: "Set \"listen\" under \"api\" in config.json, or start the node with mesh up --api.")

    /// Holds a request against the address that this is, and against the page that makes it.
    func checkPlace(of request: Request) throws(NodeServiceError) {
        let names = state.withLock(\.names)
        guard let host = request.head.authority?.lowercased(), !Self.hasSecondHost(request),
            names.contains(host)
        else {
            throw NodeServiceError(
                .hostRefused, "The request names another host than the one that this node listens on.",
                hint: "Use the address that mesh status prints, with its port.")
        }
        let origins = request.headers[values: .origin]
        guard origins.isEmpty || origins == ["\(scheme)://\(host)"] else {
            throw NodeServiceError(.originRefused, "The request comes from a page that is not this node's.")
        }
    }

    /// Holds a request against what an operation needs.
    func admit(_ request: Request, to operation: APIOperation) throws(NodeServiceError) {
        guard operation.access != .anyone else { return }
        let (scope, session) = try credentials(of: request)
        let now = seconds()
        // Behind the credentials: who has none takes nothing from those who have.
        guard state.withLock({ $0.requests.take(at: now) }) else {
            throw Self.tooMany(limits.webRequestsPerSecondMax, "requests")
        }
        let changes = operation.access == .change
        if session != nil { try checkPage(of: request, changes: changes) }
        guard operation.access == .read || scope == .full else {
            throw NodeServiceError(
                .readOnly, "\(session == nil ? "This token" : "This session") only reads.",
                hint: session == nil
                    ? "Use the token in the home folder's file api-token."
                    : "mesh dashboard without --read-only prints a link for a session that may do everything.")
        }
        if changes, let session { try checkSecret(of: request, session) }
    }

    /// What a request may do, and the session that says so, if it is one; a wrong token is not made good by a cookie.
    func credentials(of request: Request) throws(NodeServiceError) -> (scope: APIScope, session: SignIns.Session?) {
        if let given = request.headers[.authorization] {
            let parts = given.split(separator: " ", omittingEmptySubsequences: true)
            guard parts.count == 2, parts[0].lowercased() == "bearer", let scope = tokens.scope(of: String(parts[1]))
            else { throw refused(.credentialsRefused, "The token is none of this node's.") }
            return (scope, nil)
        }
        let cookies = self.cookies(of: request)
        guard !cookies.isEmpty else {
            throw refused(.notSignedIn, "The request has neither a token nor a session.")
        }
        let now = UInt64(seconds())
        for cookie in cookies {
            let session = state.withLock { $0.signIns.session(cookie, at: now) }
            if let session { return (session.scope, session) }
        }
        throw refused(.credentialsRefused, "The session is over.")
    }

    /// Whether a request that was let in would be now: its session may be over.
    func isStillGood(_ request: Request) -> Bool { (try? credentials(of: request)) != nil }

    /// Signs a browser in; returns its session and the cookie to set.
    func signIn(_ code: String) throws(NodeServiceError) -> (session: SignIns.Session, cookie: String) {
        let (secret, page, now) = (APISecret.random(), APISecret.random(), UInt64(seconds()))
        guard let session = state.withLock({ $0.signIns.redeem(code, as: secret, page: page, at: now) }) else {
            throw refused(.codeRefused, "The code was used, is too old, or never was one.")
        }
        return (session, "\(cookieName)=\(secret.text); \(cookieRules); Max-Age=\(limits.webSessionSeconds)")
    }

    /// How long a session still is, in seconds.
    func secondsLeft(of session: SignIns.Session) -> UInt64 {
        let now = UInt64(seconds())
        return session.end > now ? session.end - now : 0
    }

    /// Ends a session; returns the cookie that takes the browser's away.
    func signOut(_ session: SignIns.Session) -> String {
        state.withLock { $0.signIns.end(session) }
        return "\(cookieName)=; \(cookieRules); Max-Age=0"
    }

    private var cookieRules: String { "HttpOnly; SameSite=Strict; Path=/" + (isSecure ? "; Secure" : "") }

    /// Cookies are the same for all ports of a host, so each node's has a name of its own.
    /// Behind TLS the prefix keeps other hosts of a domain from setting it (RFC 6265bis, section 4.1.3.2).
    private var cookieName: String {
        (isSecure ? "__Host-" : "") + "mesh_session_\(state.withLock { $0.address?.port } ?? 0)"
    }

    /// What cookies of this node's name say; more of them than a browser has are not looked at.
    private func cookies(of request: Request) -> [String] {
        let start = cookieName + "="
        let pairs = request.headers[values: .cookie].flatMap { $0.split(separator: ";") }
        let own = pairs.map { $0.drop { $0 == " " } }.filter { $0.hasPrefix(start) }
        return own.prefix(limits.webCookiesMax).map { String($0.dropFirst(start.count)) }
    }

    /// A browser sends cookies for any page of the same host, whatever its port: only this node's own may use them.
    private func checkPage(of request: Request, changes: Bool) throws(NodeServiceError) {
        let site = request.headers[values: Self.fetchSite]
        let isOwn = site == ["same-origin"]
        // What a page cannot leave out: browsers send an origin with everything but GET and HEAD.
        let hasOrigin = request.headers.contains(.origin) || (isOwn && request.method == .get)
        guard isOwn || site == ["none"] || site.isEmpty, !changes || hasOrigin else {
            throw NodeServiceError(
                .originRefused, "A session changes something only for a page of this node, which says its origin.",
                hint: "Programs use a token.")
        }
    }

    /// It sends them to any port too, and so to another user's server: a change needs what the page alone knows.
    private func checkSecret(of request: Request, _ session: SignIns.Session) throws(NodeServiceError) {
        let given = Self.pageSecret.map { request.headers[values: $0] } ?? []
        guard given.count == 1, session.pageSecret.matches(given[0]) else {
            throw refused(.credentialsRefused, "A session's cookie alone changes nothing.")
        }
    }

    /// The header in which a page says what it got when it signed in.
    private static let pageSecret = HeaderName("mesh-page-secret")

    /// The first is the authority of the request, and leaves the headers.
    private static func hasSecondHost(_ request: Request) -> Bool {
        request.headers.contains { $0.name.canonicalName == "host" }
    }

    private static let fetchSite = HeaderName("sec-fetch-site") ?? .origin

    /// A refusal, or, where there were too many, one that says so.
    private func refused(_ code: NodeServiceError.Code, _ message: String) -> NodeServiceError {
        let now = seconds()
        guard state.withLock({ $0.refusals.take(at: now) }) else {
            return Self.tooMany(limits.webRefusalsPerSecondMax, "refused requests")
        }
        return NodeServiceError(
            code, message,
            hint: "Programs send \"Authorization: Bearer\" with the token in the home folder's file api-token; a "
                + "browser signs in with the link that mesh dashboard prints.")
    }

    private static func tooMany(_ count: Int, _ what: String) -> NodeServiceError {
        NodeServiceError(.tooManyRequests, "More than \(count) \(what) in a second.", hint: "Try again in a second.")
    }

    private static func host(_ address: SocketAddress) -> String {
        let text = address.ipAddress ?? ""
        return text.contains(":") ? "[\(text)]" : text
    }

    /// What requests may call this host: its name, or its address. `localhost` may be another one, at which somebody
    /// else listens.
    private func names(of address: SocketAddress) -> [String] {
        guard let port = address.port else { return [] }
        let hosts = [name ?? Self.host(address)]
        return hosts.map { "\($0):\(port)" } + (port == (isSecure ? 443 : 80) ? hosts : [])
    }
}
