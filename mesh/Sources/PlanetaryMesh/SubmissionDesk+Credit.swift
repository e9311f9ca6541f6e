import Credit
import JobMarket
import MeshTypes
import Multiformats
import NodeAPI
import SignedObjects

extension SubmissionDesk {
    /// Has a job paid by issuers, which have to have one unit: amounts of different ones cannot be compared.
    func payBy(_ texts: [String], in params: inout MeshJobParams, isNew: Bool) async throws(NodeServiceError) {
        var (issuers, units): ([DID], [CreditUnit]) = ([], [])
        for text in texts.prefix(CreditJob.Limits.issuersMax + 1) {
            let issuer = try MemberDesk.did(text, "issuer")
            issuers.append(issuer)
            units.append(try await HoldQuestions(member: parts.member).unit(of: issuer))
        }
        if let unit = units.first, units.contains(where: { $0 != unit }) {
            throw NodeServiceError(
                .invalidRequest, "The issuers have different units, so their bids could not be compared.",
                hint: "Submit a job for each unit, or name the issuers of one.")
        }
        let unit = units.first ?? CreditUnit(name: "", decimals: 0)
        var policy = params.executionPolicy ?? ExecutionPolicy()
        policy.payBy = PayBy(issuers: issuers, unit: unit)
        let across = await neighbours(of: issuers, in: unit)
        if !across.isEmpty { policy.payBy?.across = across }
        policy.require(CreditJob.feature)
        params.executionPolicy = policy
        if isNew, let budget = params.priceCeiling { try await requireLine(issuers, unit, budget) }
        if let refusal = JobRules().refusal(of: params) {
            throw NodeServiceError(SubmissionRefusal.jobRefused(refusal))
        }
    }

    /// The issuers that these pay for this node; one that does not answer pays none, and its members are paid as ever.
    private func neighbours(of issuers: [DID], in unit: CreditUnit) async -> [PayBy.Neighbour] {
        var found: [PayBy.Neighbour] = []
        var named = Set(issuers)
        for issuer in issuers {
            let all = (try? await HoldQuestions(member: parts.member).neighbours(of: issuer, in: unit)) ?? []
            for did in all where found.count < CreditJob.Limits.acrossMax && named.insert(did).inserted {
                found.append(PayBy.Neighbour(issuerDID: did, byDID: issuer))
            }
        }
        return found
    }

    /// Has a job paid by a token that this node holds, whose scope becomes a part of what the job asks for.
    func payBy(
        token text: String, _ issuers: [String]?, in params: inout MeshJobParams, isNew: Bool
    ) async throws(NodeServiceError) {
        let tokens = TokenDesk(member: parts.member)
        let chain = try await tokens.chain(text)
        let token = chain.last.body
        guard chain.holder == parts.identity.did else {
            throw NodeServiceError(
                .invalidRequest, "The token is for \(chain.holder), and not for this node.",
                hint: "mesh token list shows which ones this node holds.")
        }
        guard issuers == nil || issuers == [token.issuerDID.text] else {
            throw NodeServiceError(
                .invalidRequest, "The token is of \(token.issuerDID), and the job is to be paid by another issuer.")
        }
        var policy = params.executionPolicy ?? ExecutionPolicy()
        token.scope.narrow(&policy)
        policy.payBy = PayBy(issuers: [token.issuerDID], unit: token.unit)
        policy.require(CreditJob.feature)
        (params.executionPolicy, params.scopedResourceToken) = (policy, chain.last.bodyCID.text)
        if let refusal = JobRules().refusal(of: params) {
            throw NodeServiceError(SubmissionRefusal.jobRefused(refusal))
        }
        if let field = token.scope.fieldWithout(params) {
            throw NodeServiceError(
                .invalidRequest, "The token does not pay for this job: \(field).",
                hint: "mesh token show tells for what it pays.")
        }
        if isNew, let budget = params.priceCeiling { try await require(budget, of: chain) }
    }

    /// Refuses a budget that the token could not give.
    private func require(_ budget: TokenAmount, of chain: TokenChain) async throws(NodeServiceError) {
        let unit = chain.last.body.unit
        var most = TokenDesk(member: parts.member).mostHere(of: chain)
        // An issuer that does not answer now is asked again for each hold.
        if let told = try? await TokenDesk(member: parts.member).state(of: chain) {
            most = told.isFrozen ? 0 : min(most, told.left)
        }
        guard most < budget.units else { return }
        throw NodeServiceError(
            .issuerRefused,
            "The budget is \(budget.counted(in: unit)), and the token can give "
                + "\(TokenAmount(most).counted(in: unit)) at most.",
            hint: "Lower --budget, or ask who gave the token for another; mesh token show tells what is left.")
    }

    /// Refuses a budget that no line of this node could give: bids up to it would come, and nothing could be held.
    private func requireLine(
        _ issuers: [DID], _ unit: CreditUnit, _ budget: TokenAmount
    ) async throws(NodeServiceError) {
        var most: Int128 = 0
        for issuer in issuers {
            guard let own = try await HoldQuestions(member: parts.member).most(at: issuer, in: unit) else { return }
            most = max(most, own)
        }
        guard most < Int128(budget.units) else { return }
        let line = TokenAmount(UInt64(clamping: most)).counted(in: unit)
        throw NodeServiceError(
            .issuerRefused,
            "The budget is \(budget.counted(in: unit)), and this node's line at the issuer can give \(line) at most.",
            hint: "Lower --budget, or have the issuer's officers raise the limit: mesh issuer show tells it.")
    }
}
