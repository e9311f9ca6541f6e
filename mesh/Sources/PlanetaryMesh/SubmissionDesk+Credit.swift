import JobMarket
import MeshTypes
import NodeAPI
import SignedObjects

extension SubmissionDesk {
    /// Has a job paid by issuers, which have to have one unit: amounts of different ones cannot be compared.
    func payBy(_ texts: [String], in params: inout MeshJobParams) async throws(NodeServiceError) {
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
        policy.require(CreditJob.feature)
        params.executionPolicy = policy
        if let refusal = JobRules().refusal(of: params) {
            throw NodeServiceError(SubmissionRefusal.jobRefused(refusal))
        }
    }
}
