import JobMarket
import MeshTypes
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
