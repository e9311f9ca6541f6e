import Credit
import MeshStore
import MeshTypes
import Multiformats
import NodeAPI
import SignedObjects

/// The tokens of this node: it gives them, holds them, ends them, and has its jobs paid by them.
struct TokenDesk: Sendable {
    /// Who asks issuers.
    let member: MemberDesk

    /// How much earlier a token that is given begins, in milliseconds: as far as clocks may differ.
    private static let clockSkewMilliseconds: UInt64 = 300_000

    var wallet: TokenWallet { TokenWallet(store: member.store) }
    private var did: DID { member.identity.did }

    // MARK: What is here

    func tokens() async throws(NodeServiceError) -> [TokenView] {
        var views: [TokenView] = []
        for chain in try await wallet.all() { views.append(try view(of: chain)) }
        return views
    }

    /// A token, and what its issuer says of it.
    func token(_ text: String) async throws(NodeServiceError) -> TokenView {
        let chain = try await chain(text)
        return try view(of: chain, try await state(of: chain))
    }

    /// A chain that is here, by the CID of its last token.
    func chain(_ text: String) async throws(NodeServiceError) -> TokenChain {
        let cid = try CID(named: text, "token")
        guard let chain = try await wallet.chain(to: cid) else {
            throw NodeServiceError(
                .invalidRequest, "The token \(text) is not here.",
                hint: "mesh token list shows those that are; mesh token import takes one from a file.")
        }
        return chain
    }

    /// Takes a chain that somebody handed to this node.
    func take(_ bytes: [UInt8]) async throws(NodeServiceError) -> TokenView {
        let chain = try TokenWallet.chain(of: bytes, .arrived)
        guard chain.holder == did || chain.givers.contains(did) else {
            throw NodeServiceError(
                .invalidRequest, "The token is for \(chain.holder), and not for this node.",
                hint: "Whoever gives one names the DID that mesh status prints here.")
        }
        try await wallet.keep(chain, now: NodeClock.wallClock)
        return try view(of: chain)
    }

    // MARK: Giving

    /// Gives a token of this node's own line, or below one that it holds: under one key once.
    func give(_ gift: TokenGift) async throws(NodeServiceError) -> TokenView {
        let key = try gift.idempotencyKey.map { key throws(NodeServiceError) in try self.key(key) }
        if let key, let known = try await wallet.chain(givenAs: key) { return try view(of: known, asAskedFor: gift) }
        var parent: TokenChain?
        if let text = gift.parent { parent = try await chain(text) }
        let now = NodeClock.wallClock
        let body = try await body(of: gift, below: parent?.last.body, now: now)
        if let field = body.fieldOutOfBounds {
            throw NodeServiceError(
                .invalidRequest, "The token is impossible: its field \(field) is out of bounds.",
                hint: "It is for another node than this one and the issuer, more than nothing, and valid for 90 days "
                    + "at most; each list names 1 to \(ScopedResourceToken.Limits.listedMax), each once.")
        }
        // One that is valid for longer could not be revoked yet.
        let life = ScopedResourceToken.Limits.lifeMilliseconds
        guard body.expiresAt > now, body.expiresAt.milliseconds(since: now) <= life else {
            throw NodeServiceError(.invalidRequest, "The token ends within 90 days, and not before now.")
        }
        guard let signed = try? SignedObject.sign(body, with: member.identity) else {
            throw NodeServiceError(.internalError, "The token could not be signed.")
        }
        let given: TokenChain
        do {
            given = try TokenChain(reading: (parent?.blocks ?? []) + [signed.bytes])
        } catch {
            throw NodeServiceError(
                .invalidRequest, "The token cannot be given: \(error).",
                hint: "It allows no more than the one above it: in amount, in time, and in each list of its scope.")
        }
        try await wallet.keep(given, givenAs: key, now: now)
        // Of two at once with one key the first one counts.
        if let key, let first = try await wallet.chain(givenAs: key) { return try view(of: first, asAskedFor: gift) }
        return try view(of: given)
    }

    private func key(_ key: String) throws(NodeServiceError) -> String {
        guard (1...member.limits.keyBytesMax).contains(key.utf8.count) else {
            throw NodeServiceError(.invalidRequest, "A key of a token has 1 to \(member.limits.keyBytesMax) bytes.")
        }
        return key
    }

    /// What a gift says, as a token below another, or of this node's own line.
    private func body(
        of gift: TokenGift, below last: ScopedResourceToken?, now: UnixMilliseconds
    ) async throws(NodeServiceError) -> ScopedResourceToken {
        let holder = try MemberDesk.did(gift.holder, "holder")
        var scope = try TokenScope(gift.scope)
        if let last { scope.fill(from: last.scope) }
        let (issuerDID, charterCID, unit): (DID, CID, CreditUnit)
        if let last {
            guard gift.issuer == nil || gift.issuer == last.issuerDID.text else {
                throw NodeServiceError(.invalidRequest, "The token above is of another issuer.")
            }
            (issuerDID, charterCID, unit) = (last.issuerDID, last.charterCID, last.unit)
        } else {
            guard let text = gift.issuer else {
                throw NodeServiceError(
                    .invalidRequest, "A token needs issuer, whose book has the line, or parent, a token that is here.")
            }
            let issuer = try await member.meet(try MemberDesk.did(text, "issuer"))
            let rules = issuer.charter.body
            (issuerDID, charterCID, unit) = (rules.issuerDID, issuer.charter.bodyCID, rules.unit)
        }
        let begins = UnixMilliseconds(now.value - min(now.value, Self.clockSkewMilliseconds))
        return ScopedResourceToken(
            issuerDID: issuerDID, charterCID: charterCID, parentCID: try gift.parentCID, giverDID: did,
            holderDID: holder, unit: unit, amount: TokenAmount(gift.amount), scope: scope,
            notBefore: max(gift.notBefore.map { UnixMilliseconds($0) } ?? begins, last?.notBefore ?? .epoch),
            expiresAt: UnixMilliseconds(gift.expiresAt), nonce: MemberDesk.random(16))
    }

    /// A token that was given under a key, if it is what is asked for under the same key.
    private func view(of known: TokenChain, asAskedFor gift: TokenGift) throws(NodeServiceError) -> TokenView {
        let (body, above) = (known.last.body, known.tokens.dropLast().last?.body)
        var scope = try TokenScope(gift.scope)
        if let above { scope.fill(from: above.scope) }
        let begins = gift.notBefore.map { max(UnixMilliseconds($0), above?.notBefore ?? .epoch) }
        guard body.holderDID == (try MemberDesk.did(gift.holder, "holder")), body.amount.units == gift.amount,
            body.expiresAt.value == gift.expiresAt, body.scope == scope, begins == nil || begins == body.notBefore,
            body.parentCID == (try gift.parentCID), gift.issuer == nil || gift.issuer == body.issuerDID.text
        else {
            throw NodeServiceError(
                .conflict, "The key was used for another token.", hint: "Use another key for this one.")
        }
        return try view(of: known)
    }

    // MARK: At the issuer

    /// What an issuer says of a chain.
    func state(of chain: TokenChain) async throws(NodeServiceError) -> TokenState {
        guard case .token(let state) = try await member.ask(chain.last.body.issuerDID, .token(chain: chain.blocks))
        else { throw MemberDesk.faulty("its answer is another one") }
        return state
    }

    /// Ends a token that this node gave, or one below it, and holds the entry against the log.
    func revoke(_ text: String) async throws(NodeServiceError) -> TokenView {
        let chain = try await chain(text)
        guard chain.givers.contains(did) else {
            throw NodeServiceError(
                .invalidRequest, "This node gave neither that token nor one above it, so it cannot end it.")
        }
        let issuer = chain.last.body.issuerDID
        let body = TokenRevocation(
            issuerDID: issuer, revokerDID: did, tokenCID: chain.last.bodyCID, revokedAt: NodeClock.wallClock)
        guard let signed = try? SignedObject.sign(body, with: member.identity) else {
            throw NodeServiceError(.internalError, "The revocation could not be signed.")
        }
        let event = BookEvent.tokenRevoked(revocation: signed.bytes, tokens: chain.blocks)
        guard case .taken(let number, _, _) = try await member.ask(issuer, .submit(event: event)) else {
            throw MemberDesk.faulty("its answer is another one")
        }
        let entry = try await HoldQuestions(member: member).proved(number, at: issuer)
        // Whoever else gave it, or one above, may have been first.
        guard case .tokenRevoked(let block, let tokens) = entry.event,
            let shown = try? SignedObject<TokenRevocation>(reading: block),
            let ended = try? TokenChain(reading: tokens), ended.givers.contains(shown.did),
            shown.body.tokenCID == ended.last.bodyCID, chain.cids.starts(with: ended.cids)
        else { throw MemberDesk.faulty("entry \(number) does not end the token") }
        var view = try view(of: chain)
        (view.left, view.revokedBy) = (0, number)
        return view
    }

    // MARK: Paying

    /// The tokens that pay for a job of this node; nil where its manifest names none.
    func chain(of job: JobID) async throws(NodeServiceError) -> TokenChain? {
        guard
            let text = try await manifest(of: job).flatMap({ try? SignedObject<JobManifest>(verifiedBefore: $0) })?
                .body.params.scopedResourceToken
        else { return nil }
        return try await chain(text)
    }

    /// What can be held by a chain if nothing else were held: none by one that is over, or not valid now.
    func most(of chain: TokenChain) async throws(NodeServiceError) -> Int128 {
        let state = try await state(of: chain)
        return state.revokedBy != nil || state.isFrozen ? 0 : Int128(mostHere(of: chain))
    }

    /// The same by what is known here.
    func mostHere(of chain: TokenChain) -> UInt64 {
        let (body, now) = (chain.last.body, NodeClock.wallClock)
        return body.notBefore <= now && now <= body.expiresAt ? body.amount.units : 0
    }

    /// The issuers at which tokens that are here may pay for jobs of this node.
    func issuers() async throws(NodeServiceError) -> Set<DID> {
        Set(try await wallet.all().filter { $0.holder == did }.map(\.last.body.issuerDID))
    }

    private func manifest(of job: JobID) async throws(NodeServiceError) -> [UInt8]? {
        try await stored { () throws(MeshStoreError) in try await member.store.block(job.cid) }
    }

    /// The event by which an issuer holds what this node orders: by tokens where the order names one.
    func event(for order: SignedObject<PaymentOrder>) async throws(NodeServiceError) -> BookEvent {
        guard let cid = order.body.tokenCID, let terms = order.body.hold else {
            return .holdGranted(order: order.bytes)
        }
        let chain = try await chain(cid.text)
        let manifest = chain.needsManifest ? try await manifest(of: terms.jobID) : nil
        return .holdGrantedByToken(order: order.bytes, tokens: chain.blocks, manifest: manifest)
    }

    // MARK: Words

    private func view(of chain: TokenChain, _ state: TokenState? = nil) throws(NodeServiceError) -> TokenView {
        let body = chain.last.body
        var view = TokenView(
            token: chain.last.bodyCID.text,
            chain: Multibase.encodeWithoutPrefix(try TokenWallet.bytes(of: chain), .base64pad),
            issuer: body.issuerDID.text, givers: chain.givers.map(\.text), holder: body.holderDID.text)
        (view.amount, view.unit, view.decimals) = (body.amount.units, body.unit.name, body.unit.decimals)
        (view.notBefore, view.expiresAt) = (body.notBefore.value, body.expiresAt.value)
        view.scope = TokenScopeView(body.scope)
        view.isOwn = body.holderDID == did
        (view.left, view.revokedBy, view.isFrozen) = (state?.left, state?.revokedBy, state?.isFrozen)
        return view
    }
}

extension TokenGift {
    /// The token below which it is given.
    fileprivate var parentCID: CID? {
        get throws(NodeServiceError) {
            try parent.map { text throws(NodeServiceError) in try CID(named: text, "token") }
        }
    }
}

extension TokenScope {
    /// Makes a policy keep to the scope, where it does not say something narrower.
    func narrow(_ policy: inout ExecutionPolicy) {
        if let executors {
            policy.allowedDIDs = policy.allowedDIDs.map { $0.filter(executors.contains) } ?? executors
        }
        policy.regionFilter = policy.regionFilter ?? regions
        for feature in features ?? [] { policy.require(feature) }
    }

    /// What an owner asked for.
    init(_ view: TokenScopeView?) throws(NodeServiceError) {
        func dids(_ texts: [String]?, _ what: String) throws(NodeServiceError) -> [DID]? {
            guard let texts else { return nil }
            var dids: [DID] = []
            for text in texts { dids.append(try MemberDesk.did(text, what)) }
            return dids
        }
        func cids(_ texts: [String]?, _ what: String) throws(NodeServiceError) -> [CID]? {
            guard let texts else { return nil }
            var cids: [CID] = []
            for text in texts { cids.append(try CID(named: text, what)) }
            return cids
        }
        self.init(
            executors: try dids(view?.executors, "executor"), cooperatives: try dids(view?.cooperatives, "cooperative"),
            jobs: try cids(view?.jobs, "job"), modules: try cids(view?.modules, "module"), regions: view?.regions,
            features: view?.features, resources: view?.resources)
    }
}

extension TokenScopeView {
    init(_ scope: TokenScope) {
        self.init()
        (executors, cooperatives) = (scope.executors?.map(\.text), scope.cooperatives?.map(\.text))
        (jobs, modules) = (scope.jobs?.map(\.text), scope.modules?.map(\.text))
        (regions, features, resources) = (scope.regions, scope.features, scope.resources)
    }
}
