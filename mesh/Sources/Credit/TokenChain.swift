import MeshTypes
package import Multiformats
package import SignedObjects

/// Tokens of which each is given below the one before it, the first by the owner of a credit line: read with every
/// signature, and none of them allows more than the one before it.
package struct TokenChain: Hashable, Sendable {
    /// The tokens, that of the line's owner first.
    package let tokens: [SignedObject<ScopedResourceToken>]
    private let first: SignedObject<ScopedResourceToken>
    /// The token at its end.
    package let last: SignedObject<ScopedResourceToken>

    /// Reads the blocks of a chain.
    package init(reading blocks: [[UInt8]], _ origin: BlockOrigin = .arrived) throws(BookRefusal) {
        guard blocks.count <= ScopedResourceToken.Limits.chainMax else { throw .token(.length) }
        var tokens: [SignedObject<ScopedResourceToken>] = []
        var people: Set<DID> = []
        for block in blocks {
            let token: SignedObject<ScopedResourceToken>
            do {
                token = try SignedObject(reading: block, origin)
            } catch {
                throw .malformed(error)
            }
            guard token.body.parentCID == tokens.last?.bodyCID else { throw .token(.notBelow) }
            if let field = tokens.last.flatMap({ token.body.widerField(than: $0.body) }) {
                throw .token(.wider(field: field))
            }
            // Nobody has what it gave away.
            people.insert(token.did)
            guard !people.contains(token.body.holderDID) else { throw .token(.loop) }
            tokens.append(token)
        }
        guard let first = tokens.first, let last = tokens.last else { throw .token(.length) }
        (self.tokens, self.first, self.last) = (tokens, first, last)
    }

    /// The line that pays.
    package var line: LineID { LineID(first.did, first.body.unit) }
    /// Who has to sign what uses it.
    package var holder: DID { last.body.holderDID }
    /// The names of the tokens, the first one's first.
    package var cids: [CID] { tokens.map(\.bodyCID) }
    /// Who gave them, in the same order.
    package var givers: [DID] { tokens.map(\.did) }
    /// The blocks, as they are given to others.
    package var blocks: [[UInt8]] { tokens.map(\.bytes) }
    /// Whether only the job's manifest shows that a job is in the scopes.
    package var needsManifest: Bool { tokens.contains { $0.body.scope.needsManifest } }

    /// Why a chain does not pay for an order, by what the two say alone; nil if it does. What was spent and revoked is
    /// not known here.
    ///
    /// - Parameters:
    ///   - order: what its holder orders.
    ///   - manifest: the block of the job's manifest, given where a scope needs it and else not.
    ///   - at: when it is taken.
    func refusal(of order: PaymentOrder, _ manifest: [UInt8]?, at: UnixMilliseconds) -> BookRefusal? {
        guard let terms = order.hold, order.tokenCID == last.bodyCID else { return .token(.otherOrder) }
        guard last.body.issuerDID == order.issuerDID, last.body.charterCID == order.charterCID else {
            return .otherBook
        }
        guard order.debtorDID == holder, terms.originatorDID == holder, order.debtorLine.unit == line.unit else {
            return .token(.otherOrder)
        }
        // Whoever gave it has an interest; and is not paid out of its own line.
        if givers.contains(terms.arbiterDID) || order.creditorDID == line.did { return .token(.otherOrder) }
        // Each begins no earlier, and ends no later, than the one before it.
        guard last.body.notBefore <= at, at <= last.body.expiresAt else { return .token(.outOfTime) }
        var job: MeshJobParams?
        switch (manifest, needsManifest) {
        case (nil, false): break
        case (let block?, true):
            guard block.count <= ScopedResourceToken.Limits.manifestBytesMax else {
                return .tooLarge(bytesMax: ScopedResourceToken.Limits.manifestBytesMax)
            }
            // Its CID is the job's ID; the hold's originator is its signer.
            guard let signed = try? SignedObject<JobManifest>(verifying: block), signed.cid == terms.jobID.cid,
                signed.did == terms.originatorDID
            else { return .token(.manifest) }
            job = signed.body.params
        case (nil, true), (_?, false): return .token(.manifest)
        }
        let cooperative = order.creditorDID == terms.executorDID ? order.issuerDID : order.creditorDID
        for token in tokens {
            if let field = token.body.scope.fieldWithout(terms, cooperative, job) {
                return .token(.outOfScope(field: field))
            }
        }
        return nil
    }

    /// Checks that somebody who gave its last token, or one above it, revokes it.
    func checkRevocation(_ block: [UInt8], _ origin: BlockOrigin) throws(BookRefusal) {
        let revocation: SignedObject<TokenRevocation>
        do {
            revocation = try SignedObject(reading: block, origin)
        } catch {
            throw .malformed(error)
        }
        guard revocation.body.issuerDID == last.body.issuerDID else { throw .otherBook }
        guard revocation.body.tokenCID == last.bodyCID else { throw .token(.notBelow) }
        guard givers.contains(revocation.did) else { throw .wrongSigner }
    }
}

/// Why a chain of tokens does not pay for a hold.
package enum TokenFault: Hashable, Sendable {
    /// There is no token, or there are more than a chain may have.
    case length
    /// A token is not given below the one before it.
    case notBelow
    /// A token allows more than the one before it.
    case wider(field: String)
    /// Somebody gives a token to who gave it, or one above it.
    case loop
    /// The order is not by the chain's holder for its own job, is in another unit, or names another token.
    case otherOrder
    /// The token is not valid yet, or no more.
    case outOfTime
    /// The hold is not in the scope.
    case outOfScope(field: String)
    /// The job's manifest is missing, or is given where no scope needs it, or belongs to another job.
    case manifest
    /// A token of the chain was revoked.
    case revoked
    /// A token of the chain has less left than the hold costs.
    case spent(left: UInt64)

    /// Whether it is that less is left.
    var isSpent: Bool { if case .spent = self { true } else { false } }
}

extension TokenFault {
    func text(_ amount: (UInt64) -> String) -> String {
        switch self {
        case .length: "a chain has 1 to \(ScopedResourceToken.Limits.chainMax) tokens"
        case .notBelow: "a token is not given below the one before it"
        case .wider(let field): "a token allows more than the one above it: \(field)"
        case .loop: "a token is given to who gave it away"
        case .otherOrder: "the token does not pay for this order"
        case .outOfTime: "the token is not valid yet, or no more"
        case .outOfScope(let field): "the token is not for this: \(field)"
        case .manifest: "the job's manifest is missing, not needed, or of another job"
        case .revoked: "the token was revoked"
        case .spent(let left): "the token has \(amount(left)) left"
        }
    }
}
