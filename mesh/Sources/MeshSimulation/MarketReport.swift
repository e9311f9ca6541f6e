import Determinism
import Economics
import JobMarket
import MeshTypes
import Multiformats
package import OrderedCollections
package import P2PTesting
import SignedObjects

/// The result of a round of the job market, and whether everything held that must hold.
package struct MarketReport: Hashable, Sendable {
    /// The seed of the round.
    package let seed: UInt64
    /// Nodes.
    package let nodes: Int
    /// Jobs that originators accepted.
    package private(set) var jobs = 0
    /// Jobs by how they ended, in a fixed order.
    package private(set) var results: OrderedDictionary<String, Int> = [:]
    /// Workflows, and jobs that several executors ran, by how they ended, in a fixed order.
    package private(set) var composites: OrderedDictionary<String, Int> = [:]
    /// Assignments over all jobs.
    package private(set) var attempts = 0
    /// Assignments that ended without a result, by the first words of the reason.
    package private(set) var attemptEnds: OrderedDictionary<String, Int> = [:]
    /// Second copies of slow runs.
    package private(set) var hedges = 0
    /// What each node earned, in their order.
    package private(set) var earned: [UInt64] = []
    /// Receipts that came after their job's result.
    package private(set) var lateReceipts = 0
    /// Results that count although they are not what the job gives, and whose check nobody waived.
    package private(set) var wrongResults = 0
    /// Receipts that a replay refuted.
    package private(set) var refuted = 0
    /// Tokens that were issued.
    package private(set) var tokensIssued: UInt64 = 0
    /// Tokens at the end: in wallets, in holds, and paid but not yet known to their earner.
    package private(set) var tokensFound: UInt64 = 0
    /// Tokens that were paid for receipts.
    package private(set) var tokensPaid: UInt64 = 0
    /// Virtual time from submission to the end, per job that completed, sorted, in milliseconds.
    package private(set) var completionMilliseconds: [UInt64] = []
    /// Virtual time of the round, in milliseconds.
    package let durationMilliseconds: Int64
    /// Restarts of nodes.
    package private(set) var restarts = 0
    /// What the network did.
    package let statistics: VirtualNetworkStatistics
    /// What did not hold; empty in a good round.
    package private(set) var violations: [String] = []
    /// The hash of the trace.
    package let trace: String

    init(_ network: borrowing VirtualNetwork<MarketNode>, seed: UInt64) {
        self.seed = seed
        nodes = network.count
        durationMilliseconds = network.now.milliseconds(since: .zero)
        statistics = network.statistics
        trace = network.trace.hexadecimal
        for id in network.nodeIDs {
            add(network[id], id)
            add(network[id].forgotten.map { "\(id): \($0)" })
        }
        results.sort()
        attemptEnds.sort()
        completionMilliseconds.sort()
        checkPayments(network)
        checkEvidence(network)
        // Longer than any wait of the market in these rounds, with all of its retries.
        if durationMilliseconds > 1_200_000 { violations.append("the round took \(durationMilliseconds / 1_000) s") }
        if tokensFound != tokensIssued { violations.append("\(tokensIssued) tokens issued, \(tokensFound) found") }
        // Each node loses a few peers for a while; in rounds of composite jobs, which last longer, more of them.
        let dialsMax = UInt64(nodes) * (Self.hasWorkflows(network) ? 20 : 10) + Self.dialsOfGoneMax(network)
        if statistics.dialsFailed > dialsMax { violations.append("\(statistics.dialsFailed) dials failed") }
        if results.values.reduce(0, +) != jobs { violations.append("some jobs have no result") }
    }

    /// The dials of bootstrap addresses whose nodes moved: they are tried for ever, each after 30 s at least.
    private static func dialsOfGoneMax(_ network: borrowing VirtualNetwork<MarketNode>) -> UInt64 {
        let places = Set(network.nodeIDs.map { network.place(of: $0) })
        let gone = network.nodeIDs.map { node in
            network[node].bootstrap.count { OverlayDirectory.place($0).map { !places.contains($0) } ?? false }
        }
        return UInt64(gone.reduce(0, +)) * UInt64(network.now.milliseconds(since: .zero)) / 30_000
    }

    private static func hasWorkflows(_ network: borrowing VirtualNetwork<MarketNode>) -> Bool {
        network.nodeIDs.contains { !network[$0].workflows.over.isEmpty }
    }

    mutating func add(_ findings: [String]) { violations += findings }

    mutating func add(_ composite: CompositeReport) {
        composites = composite.ends
        violations += composite.findings
    }

    private mutating func add(_ node: MarketNode, _ id: SimulatedNodeID) {
        let market = node.market
        restarts += node.restarts
        jobs += node.submitted.count
        tokensIssued += market.ledger.issued.units
        tokensPaid += market.ledger.paid.units
        // A payment is in no wallet until its earner books it, and moves from `paid` to a wallet then.
        tokensFound += market.ledger.wallet.units + market.ledger.escrowTotal.units + market.ledger.paid.units
        tokensFound -= market.ledger.earned.units
        earned.append(market.ledger.earned.units)
        for job in node.submitted.values {
            guard let job = market.originatedJob(job) else {
                violations.append("\(id) has forgotten a job")
                continue
            }
            add(job, id)
        }
        for blame in node.blamed { violations.append("\(id) blames a peer: \(blame)") }
        if market.openCounts.executed > 0 { violations.append("\(id) still executes") }
        if market.ledger.escrowTotal != .zero { violations.append("\(id) still holds \(market.ledger.escrowTotal)") }
    }

    private mutating func add(_ job: OriginatedJob, _ id: SimulatedNodeID) {
        guard let result = job.result else { return violations.append("\(id): \(job.id.short) is \(job.status)") }
        if !job.isClosed { violations.append("\(id): \(job.id.short) is not closed") }
        results[job.failure.map { "\(result.rawValue) (\($0.code))" } ?? result.rawValue, default: 0] += 1
        attempts += job.attempts.count
        lateReceipts += job.lateReceipts.count
        if let accepted = job.receipt, !MarketFakeMachine.isTrue(accepted.receipt, of: job.manifest),
            job.finding != .waived
        {
            wrongResults += 1
            if job.verification?.level == .replay {
                violations.append("\(id): a wrong result of \(job.id.short) counts")
            }
        }
        refuted += job.attempts.count { if case .refuted? = $0.end { true } else { false } }
        let hedged = job.attempts.count { $0.end?.isHedge ?? false }
        hedges += hedged
        if hedged > 1 { violations.append("\(id): \(job.id.short) has \(hedged) slow runs beside another") }
        for end in job.attempts.compactMap(\.end) where !end.isHedge {
            let words = String(describing: end).split(separator: ":", maxSplits: 1).first.map(String.init) ?? ""
            attemptEnds[words.split(separator: ",").first.map(String.init) ?? words, default: 0] += 1
        }
        if hedged > 0, !job.manifest.policy.allowsHedge { violations.append("\(id): \(job.id.short) allows no copy") }
        if job.attempts.filter(\.hasWon).count > 1 { violations.append("\(id): \(job.id.short) has two winners") }
        if result == .completedSuccessfully, let receipt = job.receipt?.receipt {
            completionMilliseconds.append(receipt.executionEndedAt.milliseconds(since: job.manifest.submittedAt))
        }
    }

    /// Nobody was paid twice, and nobody earned what nobody paid.
    private mutating func checkPayments(_ network: borrowing VirtualNetwork<MarketNode>) {
        var settled: OrderedDictionary<String, Int> = [:]
        for id in network.nodeIDs {
            let ledger = network[id].market.ledger
            for entry in ledger.entries where entry.kind == .settle { settled[entry.subject, default: 0] += 1 }
            for account in ledger.accounts {
                guard case .income(let payer) = account.account,
                    let other = network.nodeIDs.first(where: { network[$0].identity.did == payer })
                else { continue }
                let paid = network[other].market.ledger.balance(of: .paid(network[id].identity.did))
                if account.balance > paid {
                    violations.append("\(id) earned \(account.balance), \(other) paid \(paid)")
                }
            }
        }
        for (job, count) in settled where count > 1 { violations.append("\(job) was paid \(count) times") }
    }

    /// Receipts form one chain at each executor; an output that was not lost was fetched; who was paid knows it.
    private mutating func checkEvidence(_ network: borrowing VirtualNetwork<MarketNode>) {
        // Receipts whose output their executor's disk lost; cheats write the same for many jobs.
        var lost: Set<CID> = []
        for id in network.nodeIDs {
            for event in network[id].journal where event.role == .executor {
                guard case .receiptSigned(let receipt, _) = event.kind, let output = receipt.body.stdoutCID,
                    network[id].lostOutputs.contains(output)
                else { continue }
                lost.insert(receipt.cid)
            }
        }
        var missed: [String] = []
        for id in network.nodeIDs {
            let node = network[id]
            var last: CID?
            for event in node.journal where event.role == .executor {
                guard case .receiptSigned(let receipt, _) = event.kind else { continue }
                if receipt.body.previousReceiptCID != last { violations.append("\(id) forks its chain of receipts") }
                last = receipt.cid
            }
            // Nobody waits for the outputs of a job that was cancelled.
            for job in node.market.originatedJobs where job.result != .cancelled {
                let isMissed = job.attempts.contains { attempt in
                    guard case .outputsMissing(let receipt, _)? = attempt.end else { return false }
                    return !lost.contains(receipt)
                }
                if isMissed { missed.append("\(id) did not fetch the outputs of \(job.id.short)") }
            }
            for account in node.market.ledger.accounts {
                guard case .paid(let earner) = account.account,
                    let other = network.nodeIDs.first(where: { network[$0].identity.did == earner })
                else { continue }
                let known = network[other].market.ledger.balance(of: .income(node.identity.did))
                if known < account.balance { violations.append("\(other) does not know that \(id) paid it") }
            }
        }
        // Rounds of composite jobs fetch far more, and the network may lie in two parts as long as a fetch lasts.
        if missed.count > (Self.hasWorkflows(network) ? 2 : 0) { violations += missed }
    }

    /// The completion time that a share of completed jobs did not exceed, in milliseconds of virtual time.
    package func completionMilliseconds(percentile: Int) -> UInt64 {
        guard !completionMilliseconds.isEmpty else { return 0 }
        return completionMilliseconds[
            min(completionMilliseconds.count - 1, completionMilliseconds.count * percentile / 100)]
    }

    /// A few lines for people.
    package var summary: String {
        let ends = results.map { "\($0.value) \($0.key)" }.joined(separator: ", ")
        let whole = composites.map { "\($0.value) \($0.key)" }.joined(separator: ", ")
        let lost = attemptEnds.map { "\($0.value) x \($0.key)" }.joined(separator: ", ")
        return """
            seed \(seed): \(nodes) nodes, \(jobs) jobs: \(ends)\(whole.isEmpty ? "" : "; composite jobs: " + whole)
              \(attempts) assignments\(lost.isEmpty ? "" : " (\(lost))"), \(lateReceipts) late receipts, \
            \(hedges) second copies, \(restarts) restarts
              completion p50 \(completionMilliseconds(percentile: 50)) ms, \
            p95 \(completionMilliseconds(percentile: 95)) ms of virtual time; \
            \(tokensPaid) tokens paid, \(tokensFound) of \(tokensIssued) accounted for
              \(statistics.sent) messages, \(statistics.lost) lost, \(statistics.events) events, \
            \(durationMilliseconds / 1000) s simulated
              \(statistics.connectionsOpened) connections, \(statistics.dialsFailed) dials that failed, \
            \(statistics.lostInConnections) messages into dead connections
              trace \(trace)\(violations.isEmpty ? "" : "\n  VIOLATED: " + violations.joined(separator: "; "))
            """
    }

    /// The same as one line of JSON.
    package var json: String {
        func object(_ rows: OrderedDictionary<String, Int>) -> String {
            "{" + rows.map { "\"\($0.key)\": \($0.value)" }.joined(separator: ", ") + "}"
        }
        let broken = violations.map { "\"\($0)\"" }.joined(separator: ", ")
        return """
            {"seed": \(seed), "nodes": \(nodes), "jobs": \(jobs), "results": \(object(results)), \
            "composites": \(object(composites)), \
            "attempts": \(attempts), "attempt_ends": \(object(attemptEnds)), "late_receipts": \(lateReceipts), \
            "second_copies": \(hedges), \
            "restarts": \(restarts), "tokens_issued": \(tokensIssued), "tokens_found": \(tokensFound), \
            "tokens_paid": \(tokensPaid), "completion_p50_ms": \(completionMilliseconds(percentile: 50)), \
            "completion_p95_ms": \(completionMilliseconds(percentile: 95)), "messages_sent": \(statistics.sent), \
            "messages_lost": \(statistics.lost), "connections": \(statistics.connectionsOpened), \
            "dials_failed": \(statistics.dialsFailed), "events": \(statistics.events), \
            "simulated_ms": \(durationMilliseconds), "trace": "\(trace)", "violations": [\(broken)]}
            """
    }
}
