import NodeAPI

/// The codes with which browsers sign in, and the sessions that they get: a value, which is told the time.
///
/// A code is good once and for minutes. Neither codes nor sessions are written anywhere; a restart ends all of them.
struct SignIns: Sendable {
    /// A browser that signed in.
    struct Session: Hashable, Sendable {
        /// What its cookie says.
        let secret: APISecret
        /// What the page that signed in says with each change: unlike a cookie, no other port of this machine gets it.
        let pageSecret: APISecret
        /// What it may do.
        let scope: APIScope
        /// When it ends, in seconds of the clock that it is told.
        let end: UInt64
    }

    private struct Code: Sendable {
        let secret: APISecret
        let scope: APIScope
        let end: UInt64
    }

    private let limits: MeshHTTPLimits
    /// BOUNDED: by `webCodesMax`.
    private var codes: [Code] = []
    /// BOUNDED: by `webSessionsMax`.
    private var sessions: [Session] = []

    init(limits: MeshHTTPLimits) { self.limits = limits }

    /// Takes a new code; with too many the oldest is good no more.
    mutating func add(code: APISecret, scope: APIScope, at now: UInt64) {
        expire(at: now)
        if codes.count >= limits.webCodesMax { codes.removeFirst() }
        codes.append(Code(secret: code, scope: scope, end: now + UInt64(limits.webCodeSeconds)))
    }

    /// Uses a code up for a session; nil if it is not good. With too many sessions the oldest ends.
    mutating func redeem(_ given: String, as secret: APISecret, page: APISecret, at now: UInt64) -> Session? {
        expire(at: now)
        // All are compared, so that the time says nothing of which one fits.
        let fitting = codes.indices.filter { codes[$0].secret.matches(given) }
        guard let index = fitting.first else { return nil }
        let code = codes.remove(at: index)
        if sessions.count >= limits.webSessionsMax { sessions.removeFirst() }
        let end = now + UInt64(limits.webSessionSeconds)
        let session = Session(secret: secret, pageSecret: page, scope: code.scope, end: end)
        sessions.append(session)
        return session
    }

    /// The session that a cookie names; nil if it is over or never was.
    mutating func session(_ given: String, at now: UInt64) -> Session? {
        expire(at: now)
        return sessions.filter { $0.secret.matches(given) }.first
    }

    /// Ends a session.
    mutating func end(_ session: Session) { sessions.removeAll { $0 == session } }

    private mutating func expire(at now: UInt64) {
        codes.removeAll { $0.end <= now }
        sessions.removeAll { $0.end <= now }
    }
}

/// So much in a second, and what one second saved up at most: a value, which is told the time.
struct RateBucket: Sendable {
    private let perSecond: Int
    private var left: Double
    private var last: Double?

    init(perSecond: Int) {
        self.perSecond = perSecond
        left = Double(perSecond)
    }

    /// Whether there is one more at this second.
    mutating func take(at seconds: Double) -> Bool {
        left = min(Double(perSecond), left + Double(perSecond) * max(0, seconds - (last ?? seconds)))
        last = seconds
        guard left >= 1 else { return false }
        left -= 1
        return true
    }
}
