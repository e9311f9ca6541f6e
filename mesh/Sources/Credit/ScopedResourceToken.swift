package import MeshTypes
package import Multiformats
package import SignedObjects

/// A right to have so much held at one issuer for one's own jobs, at the cost of somebody else's credit line.
///
/// The owner of the line gives the first token of a chain; whoever holds one gives others below it, each for no more
/// than it has itself. It is worth nothing without the key of its holder, who signs each order that uses it. The CID of
/// its body names it. Source: PROTOCOL.md, "Tokens".
package struct ScopedResourceToken: Hashable, CreditObject {
    /// The bounds of a token.
    package enum Limits {
        /// Tokens of a chain.
        package static let chainMax = 4
        /// What each list of a scope names.
        package static let listedMax = 16
        /// Bytes of a name in a scope.
        package static let nameBytesMax = 256
        /// How long a token is valid, in milliseconds: 90 days.
        package static let lifeMilliseconds: UInt64 = 90 * 86_400_000
        /// Bytes of a job's manifest that shows that the job is in the scope.
        package static let manifestBytesMax = 131_072
    }

    /// Whose book counts it.
    package var issuerDID: DID
    /// The CID of the body of that book's charter.
    package var charterCID: CID
    /// The token below which this one is given; absent where the owner of the line gives it.
    package var parentCID: CID?
    /// Who gives it: the owner of the line, or the holder of the parent.
    package var giverDID: DID
    /// Whose jobs it pays, and who signs the orders.
    package var holderDID: DID
    /// The unit of the line.
    package var unit: CreditUnit
    /// What may leave the line because of it: what is held, with budgets of disputes and fees.
    package var amount: TokenAmount
    /// For what.
    package var scope: TokenScope
    /// From when an order counts.
    package var notBefore: UnixMilliseconds
    /// Until when an order counts; a hold that was given stands.
    package var expiresAt: UnixMilliseconds
    /// 16 random bytes, which make equal tokens different.
    package var nonce: [UInt8]

    package init(
        issuerDID: DID, charterCID: CID, parentCID: CID? = nil, giverDID: DID, holderDID: DID, unit: CreditUnit,
        amount: TokenAmount, scope: TokenScope = TokenScope(), notBefore: UnixMilliseconds,
        expiresAt: UnixMilliseconds, nonce: [UInt8]
    ) {
        (self.issuerDID, self.charterCID, self.parentCID) = (issuerDID, charterCID, parentCID)
        (self.giverDID, self.holderDID, self.unit, self.amount) = (giverDID, holderDID, unit, amount)
        (self.scope, self.notBefore, self.expiresAt, self.nonce) = (scope, notBefore, expiresAt, nonce)
    }

    /// The type name that is signed.
    package static let typeName = "ScopedResourceToken"
    package static let bytesMax = 4_096
    /// Who gives it signs.
    package var signerDID: DID { giverDID }

    package var fieldOutOfBounds: String? {
        if giverDID == issuerDID { return "giver_did" }
        if holderDID == giverDID || holderDID == issuerDID { return "holder_did" }
        if !unit.isPossible { return "unit" }
        if amount == .zero || amount > CreditLine.limitMax { return "amount" }
        if let field = scope.fieldOutOfBounds { return field }
        if expiresAt <= notBefore || expiresAt.milliseconds(since: notBefore) > Limits.lifeMilliseconds {
            return "expires_at"
        }
        return nonce.count == 16 ? nil : "nonce"
    }

    /// The first field in which a token allows more than the one below which it is given; nil if it allows no more.
    package func widerField(than parent: ScopedResourceToken) -> String? {
        if issuerDID != parent.issuerDID { return "issuer_did" }
        if charterCID != parent.charterCID { return "charter_cid" }
        if giverDID != parent.holderDID { return "giver_did" }
        if unit != parent.unit { return "unit" }
        if amount > parent.amount { return "amount" }
        if notBefore < parent.notBefore { return "not_before" }
        if expiresAt > parent.expiresAt { return "expires_at" }
        return scope.widerField(than: parent.scope)
    }

    enum CodingKeys: String, CodingKey {
        case issuerDID = "issuer_did"
        case charterCID = "charter_cid"
        case parentCID = "parent_cid"
        case giverDID = "giver_did"
        case holderDID = "holder_did"
        case unit
        case amount
        case scope
        case notBefore = "not_before"
        case expiresAt = "expires_at"
        case nonce
    }
}

/// For what a token pays; an absent list restricts nothing. Each list is sorted, and names each once.
package struct TokenScope: Hashable, Sendable, Codable {
    /// Who may run the jobs.
    package var executors: [DID]?
    /// Of whose members the executors are: this issuer for its own, and others whose lines are paid for theirs.
    package var cooperatives: [DID]?
    /// Which jobs.
    package var jobs: [CID]?
    /// Which modules the jobs run.
    package var modules: [CID]?
    /// In which regions: the job's policy admits no others.
    package var regions: [String]?
    /// What the job's policy requires of the executor, all of it.
    package var features: [String]?
    /// The types of resources that the job may ask for.
    package var resources: [String]?

    package init(
        executors: [DID]? = nil, cooperatives: [DID]? = nil, jobs: [CID]? = nil, modules: [CID]? = nil,
        regions: [String]? = nil, features: [String]? = nil, resources: [String]? = nil
    ) {
        (self.executors, self.cooperatives, self.jobs) = (executors?.sorted(), cooperatives?.sorted(), jobs?.sorted())
        (self.modules, self.regions) = (modules?.sorted(), regions?.sorted())
        (self.features, self.resources) = (features?.sorted(), resources?.sorted())
    }

    /// Whether only the job's manifest shows that a job is in the scope.
    package var needsManifest: Bool { modules != nil || regions != nil || features != nil || resources != nil }

    /// The same with what another scope restricts and this one does not.
    package mutating func fill(from other: TokenScope) {
        (executors, cooperatives) = (executors ?? other.executors, cooperatives ?? other.cooperatives)
        (jobs, modules) = (jobs ?? other.jobs, modules ?? other.modules)
        (regions, resources) = (regions ?? other.regions, resources ?? other.resources)
        features = features ?? other.features
    }

    /// The first list that is out of its bounds.
    var fieldOutOfBounds: String? {
        func isList<Element: Comparable>(_ list: [Element]?) -> Bool {
            guard let list else { return true }
            return (1...ScopedResourceToken.Limits.listedMax).contains(list.count)
                && zip(list, list.dropFirst()).allSatisfy { $0 < $1 }
        }
        func isNames(_ list: [String]?) -> Bool {
            isList(list)
                && (list ?? []).allSatisfy {
                    (1...ScopedResourceToken.Limits.nameBytesMax).contains($0.utf8.count)
                }
        }
        if !isList(executors) { return "executors" }
        if !isList(cooperatives) { return "cooperatives" }
        if !isList(jobs) { return "jobs" }
        if !isList(modules) { return "modules" }
        if !isNames(regions) { return "regions" }
        if !isNames(features) { return "features" }
        return isNames(resources) ? nil : "resources"
    }

    /// The first list that allows more than another scope's.
    func widerField(than parent: TokenScope) -> String? {
        func isWithin<Element: Hashable>(_ list: [Element]?, _ allowed: [Element]?) -> Bool {
            allowed.map { Set(list ?? []).isSubset(of: $0) && list != nil } ?? true
        }
        if !isWithin(executors, parent.executors) { return "executors" }
        if !isWithin(cooperatives, parent.cooperatives) { return "cooperatives" }
        if !isWithin(jobs, parent.jobs) { return "jobs" }
        if !isWithin(modules, parent.modules) { return "modules" }
        if !isWithin(regions, parent.regions) { return "regions" }
        // More that is required admits fewer jobs.
        if !Set(features ?? []).isSuperset(of: parent.features ?? []) { return "features" }
        return isWithin(resources, parent.resources) ? nil : "resources"
    }

    /// The first list in which a hold is not; nil if the scope has it.
    ///
    /// - Parameters:
    ///   - terms: what the hold is for.
    ///   - cooperative: the issuer whose member the executor is.
    ///   - job: what the job's manifest asks for; needed where a list is about that.
    func fieldWithout(_ terms: HoldTerms, _ cooperative: DID, _ job: MeshJobParams?) -> String? {
        if let executors, !executors.contains(terms.executorDID) { return "executors" }
        if let cooperatives, !cooperatives.contains(cooperative) { return "cooperatives" }
        if let jobs, !jobs.contains(terms.jobID.cid) { return "jobs" }
        return fieldWithout(job)
    }

    /// The first list in which a job is not, by what it asks for alone.
    package func fieldWithout(_ job: MeshJobParams?) -> String? {
        if let modules, job.map({ modules.contains($0.wasmCID) }) != true { return "modules" }
        let policy = job?.executionPolicy
        if let regions {
            guard let wanted = policy?.regionFilter, Set(wanted).isSubset(of: regions) else { return "regions" }
        }
        if let features, !Set(policy?.requiredFeatures ?? []).isSuperset(of: features) { return "features" }
        if let resources {
            guard let asked = job?.resourcesRequired.keys, asked.allSatisfy(resources.contains) else {
                return "resources"
            }
        }
        return nil
    }
}

/// The word of somebody that gave a token, or one above it, that nothing more is held by it, nor by any below it.
package struct TokenRevocation: Hashable, CreditObject {
    /// Whose book counts the token.
    package var issuerDID: DID
    /// Who revokes it.
    package var revokerDID: DID
    /// The CID of the token's body.
    package var tokenCID: CID
    /// When it was signed.
    package var revokedAt: UnixMilliseconds

    package init(issuerDID: DID, revokerDID: DID, tokenCID: CID, revokedAt: UnixMilliseconds) {
        (self.issuerDID, self.revokerDID) = (issuerDID, revokerDID)
        (self.tokenCID, self.revokedAt) = (tokenCID, revokedAt)
    }

    /// The type name that is signed.
    package static let typeName = "TokenRevocation"
    package static let bytesMax = 512
    /// Who revokes it signs.
    package var signerDID: DID { revokerDID }
    package var fieldOutOfBounds: String? { nil }

    enum CodingKeys: String, CodingKey {
        case issuerDID = "issuer_did"
        case revokerDID = "revoker_did"
        case tokenCID = "token_cid"
        case revokedAt = "revoked_at"
    }
}
