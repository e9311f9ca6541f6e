import Credit
import MerkleLog
import MeshTypes
import Multiformats
import P2PTesting
import PeerIdentity
import SignedObjects

/// What came of a round of an issuer scenario, and what of it should not have.
package struct IssuerReport: Hashable, Sendable {
    /// The seed of the round.
    package let seed: UInt64
    /// Holds that were given, at the executors' issuers.
    package private(set) var holds = 0
    /// Of these, for members of the other issuer.
    package private(set) var across = 0
    /// Holds that were paid, by their originators.
    package private(set) var settled = 0
    /// Holds that were paid by claims.
    package private(set) var claimed = 0
    /// Claims that were decided.
    package private(set) var decided = 0
    /// Holds of which nothing was paid.
    package private(set) var unpaid = 0
    /// Claims by what an executor never delivered, which were all refused.
    package private(set) var bareClaims = 0
    /// Wrong results that were paid since nobody told their originators in time: their issuers were away.
    package private(set) var untold = 0
    /// Fees that those paid who held too often.
    package private(set) var fees: UInt64 = 0
    /// Members that can prove that an issuer told two histories.
    package private(set) var provers = 0
    /// What does not hold; empty in a good round.
    package private(set) var violations: [String] = []
    /// The hash of the trace.
    package let trace: String

    init(_ network: borrowing VirtualNetwork<IssuerNode>, of scenario: IssuerScenario, town: IssuerTown) {
        seed = scenario.seed
        trace = network.trace.hexadecimal
        var parts: [IssuingPart] = []
        for index in IssuerTown.issuers {
            if let part = network[SimulatedNodeID(index)].issuing { parts.append(part) }
        }
        guard parts.count == 2 else { return }
        for part in parts { count(part, town) }
        compare(parts, town)
        for node in IssuerTown.members {
            guard let member = network[SimulatedNodeID(node)].member else { continue }
            check(member, parts[IssuerTown.issuer(of: node)]) { originator, job in
                network[SimulatedNodeID(originator)].member?.told[job]
            }
            if !member.faults.isEmpty { provers += 1 }
            if member.faults.contains(0) { violations.append("issuer 0 was proved to have told two histories") }
        }
        if scenario.hasTwoHistories != (provers > 0) {
            violations.append("\(provers) members can prove that an issuer told two histories")
        }
        if settled + claimed + decided == 0 || fees == 0 { violations.append("nothing was played") }
        checkSpender(network, parts[0].issuer.book)
    }

    private mutating func count(_ part: IssuingPart, _ town: IssuerTown) {
        violations += part.violations
        let book = part.issuer.book
        for hold in book.holds.values.sorted(by: { $0.id < $1.id }) {
            guard case .ended(let end, _) = hold.state else {
                violations.append("issuer \(part.index) still has the hold \(hold.id.text.suffix(8)) as \(hold.state)")
                continue
            }
            guard hold.creditorLine.did == hold.terms.executorDID else { continue }
            holds += 1
            if hold.debtorLine.did != hold.terms.originatorDID { across += 1 }
            switch end {
            case .settled: settled += 1
            case .claimPaid: claimed += 1
            case .decided: decided += 1
            case .released, .expired: unpaid += 1
            }
        }
        for (id, line) in book.accounts.sorted where line.leaving > 0 || line.coming > 0 {
            violations.append("the line of \(id) at issuer \(part.index) has something reserved")
        }
        let fee = book.accounts.balance(of: .fees, IssuerTown.unit(of: part.index))
        fees += UInt64(clamping: fee)
        // Each hold is paid by at most one entry, whatever was said how often.
        let again = IssuerAudit.audit(
            head: (try? part.issuer.head(signedBy: town.identities[part.index])) ?? .init(text: "", signatures: []),
            of: town.identities[part.index].publicKey, commitments: part.openings.map(\.commitment),
            openings: part.openings.enumerated().map { (UInt64($0), $1) })
        switch again {
        case .success(let report):
            if report.book != book { violations.append("an auditor of issuer \(part.index) finds another book") }
        case .failure(let finding): violations.append("an auditor of issuer \(part.index) finds: \(finding)")
        }
    }

    /// What one issuer owes the other is what the other is owed.
    private mutating func compare(_ parts: [IssuingPart], _ town: IssuerTown) {
        for unit in IssuerTown.issuers.map(IssuerTown.unit(of:)) {
            let balances = parts.map { $0.issuer.book.accounts[LineID(town.did(1 - $0.index), unit)]?.balance ?? 0 }
            if balances[0] != -balances[1] { violations.append("the line in \(unit) is \(balances) in the two books") }
        }
        for part in parts {
            for (above, below) in part.below.sorted(by: { $0.key < $1.key }) {
                let ends = [part.issuer.book.holds[above], parts[1 - part.index].issuer.book.holds[below]].map { hold in
                    if case .ended(let end, _)? = hold?.state { end.paid } else { UInt64(0) }
                }
                if ends[0] != ends[1] { violations.append("a hold across paid \(ends[0]) above and \(ends[1]) below") }
            }
        }
    }

    /// Who delivered is paid exactly what is due, whatever the originator says; who did not is not.
    private mutating func check(
        _ member: IssuerMember, _ part: IssuingPart, told: (Int, JobID) -> UnixMilliseconds?
    ) {
        let book = part.issuer.book
        for (job, own) in member.executed.sorted(by: { $0.key < $1.key }) {
            guard let hold = book.holds[own.hold], case .ended(let end, _) = hold.state else {
                violations.append("the hold of \(job.short) is not over, or not there")
                continue
            }
            let due = own.receipt.body.price.units
            switch member.kind {
            case .claimer:
                bareClaims += own.hasClaimed ? 1 : 0
                if end.paid > 0 { violations.append("\(job.short) was paid and never delivered") }
            case .liar:
                guard case .claimPaid = end, isHeard(own.originator) else { continue }
                let claimedAt = part.entries.first { entry in
                    if case .claimLodged(own.hold, _, _) = entry.event { true } else { false }
                }?.at
                let end = claimedAt?.advanced(milliseconds: own.terms.windowMilliseconds) ?? .epoch
                if told(own.originator, job).map({ $0 <= end }) ?? false {
                    violations.append("the wrong result of \(job.short) was paid")
                } else {
                    untold += 1
                }
            case .honest, .silent, .denier:
                guard let statement = own.statement, statement.body.deliveredAt <= own.terms.deliverBy else { continue }
                if end.paid != due { violations.append("\(job.short) was paid \(end.paid) of \(due): \(end)") }
            }
        }
    }

    /// Whether an originator says that a result is wrong.
    private func isHeard(_ originator: Int) -> Bool { (originator - IssuerTown.members.lowerBound) % 6 != 1 }

    private mutating func checkSpender(_ network: borrowing VirtualNetwork<IssuerNode>, _ book: IssuerBook) {
        let spender = SimulatedNodeID(IssuerTown.members.lowerBound)
        let all = network[spender].member?.originated.values.map(\.self) ?? []
        let both = all.filter { IssuerScenario.dearJobs.contains($0.number) }
        let given = both.filter { book.holds[$0.hold] != nil }
        if given.count != 1 { violations.append("\(given.count) of two holds were given out of one line") }
    }

    /// A line for people.
    package var summary: String {
        let broken = violations.isEmpty ? "" : "\n  VIOLATED: " + violations.joined(separator: "; ")
        return """
            seed \(seed): \(holds) holds, \(across) across issuers; \(settled) settled, \(claimed) claimed, \
            \(decided) decided, \(unpaid) unpaid, \(untold) untold; \(bareClaims) claims without delivery, \
            \(fees) in fees, \(provers) prove two histories; trace \(trace.prefix(16))\(broken)
            """
    }

    /// The same as one line of JSON.
    package var json: String {
        let broken = violations.map { "\"\($0)\"" }.joined(separator: ", ")
        return """
            {"seed": \(seed), "holds": \(holds), "across": \(across), "settled": \(settled), "claimed": \(claimed), \
            "decided": \(decided), "unpaid": \(unpaid), "untold": \(untold), "bare_claims": \(bareClaims), \
            "fees": \(fees), "provers": \(provers), "trace": "\(trace)", "violations": [\(broken)]}
            """
    }
}
