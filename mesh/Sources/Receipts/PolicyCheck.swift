import MeshTypes
import Multiformats
import SignedObjects

/// What a job's policy demands of its executor, held against what was signed: manifest, bid, assignment and receipt.
///
/// It is what the originator asked of the bid when it chose (PROTOCOL.md, "Selection"), as far as a stranger can see
/// it: what a demand needs that is not there is not shown.
struct PolicyCheck {
    typealias Finding = (result: VerificationReport.Result, detail: String)

    let manifest: JobManifest
    let receipt: ExecutionReceipt
    let assignment: Assignment?
    let bid: Bid?

    private var policy: ExecutionPolicy { manifest.policy }

    /// What was found, for each check whose evidence is here.
    var findings: [ReceiptCheckName: Finding] {
        var findings: [ReceiptCheckName: Finding] = [.executors: executors, .reputation: reputation]
        if let assignment { findings[.payment] = payment(assignment.terms) }
        if let bid {
            findings[.region] = region(bid)
            findings[.features] = features(bid)
            findings[.resources] = resources(bid)
            findings[.deadline] = deadline(bid)
        }
        return findings
    }

    private var executors: Finding {
        let executor = receipt.executorDID
        if let denied = policy.deniedDIDs, denied.contains(executor) {
            return (.failed, "the job denies \(executor)")
        }
        guard let allowed = policy.allowedDIDs else {
            let denied = policy.deniedDIDs?.count ?? 0
            return (.passed, denied == 0 ? "the job admits any" : "none of the \(denied) that the job denies")
        }
        guard allowed.contains(executor) else {
            return (.failed, "the job admits \(allowed.count) executors, and not \(executor)")
        }
        let one = allowed.count == 1 ? "the one" : "one of the \(allowed.count)"
        return (.passed, "\(one) that the job admits")
    }

    private func payment(_ terms: BidTerms) -> Finding {
        switch (policy.payBy, terms.payment) {
        case (nil, nil): return (.passed, "in tokens")
        case (let payBy?, let payment?) where payBy.admits(payment):
            return (.passed, "by the issuer \(payment.issuerDID)")
        case (_, let payment?): return (.failed, "by the issuer \(payment.issuerDID), by which the job does not pay")
        case (_, nil): return (.failed, "in tokens, and the job pays by issuers")
        }
    }

    private func region(_ bid: Bid) -> Finding {
        guard let regions = policy.regionFilter else { return (.passed, "the job admits any") }
        let wanted = Self.list(regions)
        guard let region = bid.region else { return (.failed, "the bid names none, the job admits \(wanted)") }
        let named = PlainText.sanitized(region)
        guard regions.contains(where: { $0.isSameBytes(as: region) }) else {
            return (.failed, "the bid is of \(named), the job admits \(wanted)")
        }
        return (.passed, "the bid is of \(named), one of \(wanted)")
    }

    private func features(_ bid: Bid) -> Finding {
        let required = policy.requiredFeatures ?? []
        let missing = required.filter { feature in !bid.features.contains { $0.isSameBytes(as: feature) } }
        guard missing.isEmpty else { return (.failed, "the bid is without \(Self.list(missing))") }
        return (.passed, required.isEmpty ? "the job asks for none" : "the bid has \(Self.list(required))")
    }

    private func resources(_ bid: Bid) -> Finding {
        let required = manifest.params.resourcesRequired
        let lacking = required.firstUnmet(by: bid.resources) ?? required.firstUnmet(by: bid.terms.resourceGuarantees)
        if let lacking {
            let (offered, needed) = (GroupedNumber.of(lacking.offered), GroupedNumber.of(lacking.required))
            let name = PlainText.sanitized(lacking.resource)
            return (.failed, "the bid has \(offered) of \(name), the job needs \(needed)")
        }
        if required.isEmpty { return (.passed, "the job asks for none") }
        return (.passed, "the bid has and guarantees all \(required.count)")
    }

    /// The reputation that counts is the originator's own, which nothing signed tells.
    private var reputation: Finding {
        guard let least = policy.minReputation, least > 0 else { return (.passed, "the job asks for none") }
        let book = "the book of its originator, which is no part of the evidence"
        return (.notCheckable, "not shown: at least \(least) in \(book)")
    }

    /// The promise counts from the bid's arrival, which was not before the job was submitted.
    private func deadline(_ bid: Bid) -> Finding {
        guard let deadline = policy.deadline else { return (.passed, "the job names no date") }
        let promised = bid.terms.deadline.milliseconds(since: bid.issuedAt)
        let soonest = manifest.submittedAt.advanced(milliseconds: promised)
        let left = GroupedNumber.of(deadline.milliseconds(since: manifest.submittedAt))
        guard soonest <= deadline else {
            return (.failed, "within \(GroupedNumber.of(promised)) ms of the bid, and the job had \(left) ms in all")
        }
        let isLate = receipt.executionEndedAt > deadline
        return (
            .passed,
            "within \(GroupedNumber.of(promised)) ms of the bid, of \(left) ms"
                + (isLate ? "; by its executor's dates the run ended later" : "")
        )
    }

    /// How many names a line has.
    private static let namesShownMax = 3

    private static func list(_ names: [String]) -> String {
        let shown = names.prefix(namesShownMax).map { PlainText.sanitized($0) }.joined(separator: ", ")
        return names.count > namesShownMax ? "\(shown) and \(names.count - namesShownMax) more" : shown
    }
}
