/// What a node does with tokens: rights to have jobs paid at the cost of somebody else's line (docs/issuers.md).
package protocol TokenService: Sendable {
    /// Gives a token of this node's own line at an issuer, or below one that it holds. The same gift under the same
    /// key is one token, as long as that is kept.
    func give(_ gift: TokenGift) async throws(NodeServiceError) -> TokenView
    /// The tokens that this node holds, and those that it gave; nobody is asked.
    func tokens() async throws(NodeServiceError) -> [TokenView]
    /// A token that is here, by its CID, with what its issuer says of it.
    func token(_ cid: String) async throws(NodeServiceError) -> TokenView
    /// Takes a chain that somebody handed to this node: what `TokenView.chain` has, decoded.
    func takeToken(_ chain: [UInt8]) async throws(NodeServiceError) -> TokenView
    /// Has an issuer end a token that this node gave, or one below that, and holds the entry against the log.
    func revokeToken(_ cid: String) async throws(NodeServiceError) -> TokenView
}

/// A token to be given. Amounts are in the smallest unit, dates in milliseconds since the Unix epoch.
package struct TokenGift: Hashable, Sendable, Codable {
    /// The DID of the issuer at which this node has a line; not needed with `parent`.
    package var issuer: String?
    /// The CID of a token that this node holds, below which it gives this one.
    package var parent: String?
    /// The DID of who gets it.
    package var holder: String
    /// What may leave the line because of it, with fees and budgets of disputes.
    package var amount: UInt64
    /// From when it counts; nil for 5 min before now.
    package var notBefore: UInt64?
    /// Until when it counts: 90 days at most.
    package var expiresAt: UInt64
    /// For what; nil for everything that the token above it pays for.
    package var scope: TokenScopeView?
    /// A key of the caller's choice: the same gift under the same key is one token. Nil for a new one each time.
    package var idempotencyKey: String?

    package init(holder: String, amount: UInt64, expiresAt: UInt64) {
        (self.holder, self.amount, self.expiresAt) = (holder, amount, expiresAt)
    }

    private enum CodingKeys: String, CodingKey {
        case issuer, parent, holder, amount, scope
        case notBefore = "not_before"
        case expiresAt = "expires_at"
        case idempotencyKey = "idempotency_key"
    }
}

/// For what a token pays. A list that is nil restricts nothing; each names 16 at most.
package struct TokenScopeView: Hashable, Sendable, Codable {
    /// The DIDs of who may run the jobs.
    package var executors: [String]?
    /// The DIDs of the issuers of whose members the executors are.
    package var cooperatives: [String]?
    /// The jobs, by ID.
    package var jobs: [String]?
    /// The modules that the jobs run, by CID.
    package var modules: [String]?
    /// The regions to which the jobs' policies keep.
    package var regions: [String]?
    /// Features that the jobs' policies require, all of them.
    package var features: [String]?
    /// The types of resources for which the jobs may ask.
    package var resources: [String]?

    package init() {}
}

/// A token. Amounts are in the smallest unit, dates in milliseconds since the Unix epoch.
package struct TokenView: Hashable, Sendable, Codable {
    /// Its CID.
    package var token: String
    /// What is handed to its holder, in base64: all tokens from that of the line's owner on.
    package var chain: String
    /// The issuer's DID.
    package var issuer: String
    /// The DIDs of who gave it and those above it, the owner of the line first.
    package var givers: [String]
    /// The DID of who can use it.
    package var holder: String
    /// Whether that is this node.
    package var isOwn = false
    /// What may leave the line because of it.
    package var amount: UInt64 = 0
    /// The name of the unit.
    package var unit = ""
    /// Decimal places of the smallest unit.
    package var decimals: UInt64 = 0
    /// For what it pays.
    package var scope = TokenScopeView()
    /// From when it counts.
    package var notBefore: UInt64 = 0
    /// Until when it counts.
    package var expiresAt: UInt64 = 0
    /// What is left of it, as the issuer says; nil where it was not asked.
    package var left: UInt64?
    /// The number of the entry that revoked it, or one above it; nil if none did.
    package var revokedBy: UInt64?
    /// Whether the line takes no new orders; nil where the issuer was not asked.
    package var isFrozen: Bool?

    package init(token: String, chain: String, issuer: String, givers: [String], holder: String) {
        (self.token, self.chain, self.issuer) = (token, chain, issuer)
        (self.givers, self.holder) = (givers, holder)
    }

    private enum CodingKeys: String, CodingKey {
        case token, chain, issuer, givers, holder, amount, unit, decimals, scope, left
        case isOwn = "is_own"
        case notBefore = "not_before"
        case expiresAt = "expires_at"
        case revokedBy = "revoked_by"
        case isFrozen = "is_frozen"
    }
}

/// A chain of tokens that is handed to a node.
package struct TokenHanded: Hashable, Sendable, Codable {
    /// The chain, in base64.
    package var chain: String

    package init(chain: String) { self.chain = chain }
}

/// A token that is named.
package struct TokenNamed: Hashable, Sendable, Codable {
    /// Its CID.
    package var token: String

    package init(token: String) { self.token = token }
}
