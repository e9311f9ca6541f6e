import MeshTypes
import Multiformats
import SignedObjects

/// What a book says of the last token of a chain.
package struct TokenState: Hashable, Sendable, Codable {
    /// What can still be held by it, as far as the line has so much.
    package var left: UInt64
    /// The entry that revoked it, or one above it.
    package var revokedBy: UInt64?
    /// Whether the line takes no orders, or there is none.
    package var isFrozen: Bool

    package init(left: UInt64, revokedBy: UInt64?, isFrozen: Bool) {
        (self.left, self.revokedBy, self.isFrozen) = (left, revokedBy, isFrozen)
    }

    enum CodingKeys: String, CodingKey {
        case left
        case revokedBy = "revoked_by"
        case isFrozen = "frozen"
    }
}

/// What was taken by each token that is not over, and which were revoked.
///
/// A token is here from its first use, or its revocation, until a day after it expires, so that those that expire soon
/// make no room for others at once. A revoked one stands for all below it, which are forgotten: so whoever gave a token
/// can end it, however many others were given below.
struct TokenTable: Hashable, Sendable {
    /// A token that was used or revoked.
    struct Token: Hashable, Sendable {
        /// The tokens above it, the first one's first.
        let above: [CID]
        let line: LineID
        let amount: UInt64
        let expiresAt: UnixMilliseconds
        /// What its holds took off the line, and may still take.
        fileprivate(set) var taken: UInt64 = 0
        /// The entry that revoked it.
        fileprivate(set) var revokedBy: UInt64?

        /// The first token of its chain; itself if it is that.
        func root(_ own: CID) -> CID { above.first ?? own }
    }

    private(set) var tokens: [CID: Token] = [:]
    /// The tokens of each tree, by its first one.
    private var trees: [CID: Set<CID>] = [:]
    /// How many tokens each line has.
    private var lines: [LineID: Int] = [:]
    /// Holds that are remembered, by the first tokens of their chains.
    private var holds: [CID: Int] = [:]
    private var ends = DueDates()

    /// Why no more may be held by a chain; nil if it may.
    func refusal(
        of chain: TokenChain, cost: UInt64, _ limits: IssuerBook.Limits, at: UnixMilliseconds
    ) -> BookRefusal? {
        if let fault = fault(of: chain, cost: cost) { return .token(fault) }
        if holds[chain.cids[0]] ?? 0 >= limits.holdsPerTokenMax { return .tooMany(.holdsOfToken) }
        return quota(of: chain, limits, at)
    }

    /// What of a chain is revoked, or spent, so that nothing more can be held by it at a cost.
    func fault(of chain: TokenChain, cost: UInt64) -> TokenFault? {
        if revokedBy(chain) != nil { return .revoked }
        let left = left(of: chain)
        return cost > left ? .spent(left: left) : nil
    }

    /// What can still be taken by a chain: of each of its tokens.
    func left(of chain: TokenChain) -> UInt64 {
        chain.tokens.map { $0.body.amount.units - (tokens[$0.bodyCID]?.taken ?? 0) }.min() ?? 0
    }

    /// The first quota that the tokens of a chain that are new here would exceed. What is over counts only until it is
    /// looked for.
    func quota(of chain: TokenChain, _ limits: IssuerBook.Limits, _ at: UnixMilliseconds) -> BookRefusal? {
        guard let full = quota(of: chain, limits) else { return nil }
        guard let first = ends.first, first.at < at else { return .tooMany(full) }
        var rest = self
        rest.forget(before: at)
        return rest.quota(of: chain, limits).map { .tooMany($0) }
    }

    private func quota(of chain: TokenChain, _ limits: IssuerBook.Limits) -> IssuerBook.Quota? {
        let new = chain.cids.count { tokens[$0] == nil }
        guard new > 0 else { return nil }
        let root = chain.cids[0]
        if tokens.count + new > limits.tokensMax { return .tokens }
        if (lines[chain.line] ?? 0) + new > limits.tokensPerLineMax { return .tokensOfLine }
        return (trees[root]?.count ?? 0) + new > limits.tokensPerTreeMax ? .tokensOfTree : nil
    }

    /// Counts what a new hold may take, for every token of its chain.
    mutating func take(_ cost: UInt64, by chain: TokenChain) {
        insert(chain)
        for cid in chain.cids { tokens[cid]?.taken += cost }
    }

    /// Counts what a hold takes off the line after all.
    mutating func take(_ amount: UInt64, by cids: [CID]) { for cid in cids { tokens[cid]?.taken += amount } }

    /// What was held comes back; not to tokens that are over.
    mutating func giveBack(_ amount: UInt64, to cids: [CID]) { for cid in cids { tokens[cid]?.taken -= amount } }

    /// Counts a hold that is remembered from now on, or not any more.
    mutating func remember(_ hold: Hold, by step: Int) {
        guard let root = hold.tokens.first else { return }
        let count = (holds[root] ?? 0) + step
        holds[root] = count == 0 ? nil : count
    }

    /// The entry that revoked the last token of a chain, or one above it.
    func revokedBy(_ chain: TokenChain) -> UInt64? {
        chain.cids.lazy.compactMap { tokens[$0]?.revokedBy }.first
    }

    /// Revokes the last token of a chain.
    mutating func revoke(_ chain: TokenChain, entry: UInt64) {
        insert(chain)
        let cid = chain.last.bodyCID
        tokens[cid]?.revokedBy = entry
        for below in trees[chain.cids[0]] ?? [] where tokens[below]?.above.contains(cid) == true { remove(below) }
        // The dates of what was forgotten are not kept for long.
        guard ends.count > 2 * tokens.count + Self.datesMin else { return }
        ends = DueDates()
        for (cid, token) in tokens.sorted(by: { $0.key < $1.key }) {
            ends.insert(DueDates.Due(at: Self.end(of: token.expiresAt), hold: cid))
        }
    }

    /// Dates beyond twice those of the tokens, before they are gathered again.
    private static let datesMin = 64

    private mutating func insert(_ chain: TokenChain) {
        let cids = chain.cids
        for (index, token) in chain.tokens.enumerated() where tokens[token.bodyCID] == nil {
            tokens[token.bodyCID] = Token(
                above: Array(cids[..<index]), line: chain.line, amount: token.body.amount.units,
                expiresAt: token.body.expiresAt)
            lines[chain.line, default: 0] += 1
            trees[cids[0], default: []].insert(token.bodyCID)
            ends.insert(DueDates.Due(at: Self.end(of: token.body.expiresAt), hold: token.bodyCID))
        }
    }

    private mutating func remove(_ cid: CID) {
        guard let token = tokens.removeValue(forKey: cid) else { return }
        let root = token.root(cid)
        trees[root]?.remove(cid)
        if trees[root]?.isEmpty == true { trees[root] = nil }
        let count = (lines[token.line] ?? 0) - 1
        lines[token.line] = count == 0 ? nil : count
    }

    private static func end(of date: UnixMilliseconds) -> UnixMilliseconds {
        date.advanced(milliseconds: HoldUsage.dayMilliseconds)
    }

    /// Forgets the tokens that expired a day before a date; none above one expires before it.
    mutating func forget(before date: UnixMilliseconds) {
        while let first = ends.first, first.at < date {
            remove(first.hold)
            ends.dropFirst { $0 == first }
        }
    }

    /// Stops the process if the counts are not those of the tokens, or a token gave more than it has.
    func checkInvariants(_ live: some Sequence<Hold>) {
        var reserved: [CID: UInt64] = [:]
        for hold in live { for cid in hold.tokens { reserved[cid, default: 0] += hold.reserved } }
        var (members, counts): ([CID: Set<CID>], [LineID: Int]) = ([:], [:])
        for (cid, token) in tokens {
            members[token.root(cid), default: []].insert(cid)
            counts[token.line, default: 0] += 1
            precondition(token.taken <= token.amount, "\(cid) gave \(token.taken) of \(token.amount)")
            precondition(token.taken >= reserved[cid] ?? 0, "\(cid) gave \(token.taken), and more is reserved")
            for above in token.above {
                guard let found = tokens[above] else { preconditionFailure("\(cid) is below a token that is gone") }
                precondition(found.taken >= token.taken, "\(above) gave less than \(cid) below it")
                precondition(found.revokedBy == nil, "\(cid) is below a token that was revoked")
            }
        }
        precondition(members == trees && counts == lines, "the tokens are not those that were counted")
    }
}
