import JobMarket
import MeshTypes
import Multiformats
import OrderedCollections
import P2PTesting
import SignedObjects
import Workflows

/// How composite jobs ended, and whether all held that must hold of them, once a round is over.
struct CompositeReport {
    /// Jobs by how they ended, in a fixed order.
    private(set) var ends: OrderedDictionary<String, Int> = [:]
    /// What does not hold.
    private(set) var findings: [String] = []

    init(
        _ jobs: [CompositeJobs.Job], in network: borrowing VirtualNetwork<MarketNode>, originators: Int
    ) {
        for (number, job) in jobs.enumerated() {
            let id = SimulatedNodeID(number % originators)
            switch job {
            case .workflow(_, let key):
                let run = network[id].workflows.over.values.first { $0.manifest.key == key }
                guard let run, run.plan.isClosed else {
                    findings.append("\(id): the workflow \(key) has no end: \(network[id].workflows.state(of: key))")
                    continue
                }
                ends["workflow \(run.plan.status.rawValue)", default: 0] += 1
            case .quorum(let request):
                let key = request.idempotencyKey
                let known = network[id].submitted[key].flatMap { network[id].market.originatedJob($0) }
                guard let result = known?.result else {
                    findings.append("\(id): the quorum \(key) has no end")
                    continue
                }
                ends["quorum \(known?.finding?.rawValue ?? result.rawValue)", default: 0] += 1
            }
        }
        for id in network.nodeIDs {
            let ended = Self.findWorkflows(network[id]) + Self.findReplicas(network[id])
            findings += ended.map { "\(id): \($0)" }
            findings += Self.findLies(at: id, in: network)
        }
        ends.sort()
    }

    /// What every workflow says of its jobs is what these say, no job serves two, and no more was paid than it counted.
    private static func findWorkflows(_ node: MarketNode) -> [String] {
        var findings: [String] = []
        var served: Set<JobID> = []
        let replicas = node.market.originatedJobs.filter { $0.replicaOf != nil }
        for run in node.workflows.over.values {
            let plan = run.plan
            if let fault = plan.brokenInvariant() { findings.append("workflow \(run.id): \(fault)") }
            if plan.held > 0 { findings.append("the workflow \(run.id) still holds \(plan.held)") }
            for stage in plan.stages {
                for item in stage.items where item.phase == .done {
                    guard let job = item.jobID.map(JobID.init), served.insert(job).inserted else {
                        findings.append("a job serves two items of \(run.id)")
                        continue
                    }
                    let ended = node.market.originatedJob(job)
                    if ended?.finding == .waived { findings.append("\(job.short) serves, and was not checked") }
                    let receipt = ended?.receipt
                    if receipt?.cid != item.receiptCID { findings.append("\(job.short) has another receipt") }
                }
            }
            var paid: UInt64 = 0
            let prefix = "workflow/\(run.id.text)/"
            for (key, job) in node.submitted where key.hasPrefix(prefix) {
                paid += node.market.originatedJob(job)?.paid.units ?? 0
                for replica in replicas where replica.replicaOf == job { paid += replica.paid.units }
            }
            if paid > plan.paid { findings.append("\(paid) was paid for the workflow \(run.id), not \(plan.paid)") }
            if let budget = plan.definition.budget, plan.paid > budget {
                findings.append("the workflow \(run.id) cost \(plan.paid) of \(budget)")
            }
        }
        return findings
    }

    /// Replicas end with their job, and hold nothing.
    private static func findReplicas(_ node: MarketNode) -> [String] {
        node.market.originatedJobs.filter { $0.replicaOf != nil && !$0.isClosed }.map { "\($0.id.short) is not closed" }
    }

    /// A wrong result counts where several executors run the work only if no fewer of those that gave one lied than
    /// were honest.
    private static func findLies(
        at id: SimulatedNodeID, in network: borrowing VirtualNetwork<MarketNode>
    ) -> [String] {
        var findings: [String] = []
        let jobs = network[id].market.originatedJobs
        for job in jobs where job.replicaOf == nil {
            guard let level = job.verification?.level, level.executorsMost > 1, job.finding != .waived,
                let receipt = job.receipt?.receipt,
                receipt.executorDID != receipt.originatorDID,
                !MarketFakeMachine.isTrue(receipt, of: job.manifest)
            else { continue }
            let members = [job] + jobs.filter { $0.replicaOf == job.id }
            let givers = members.flatMap(\.attempts).filter(\.gaveResult).map(\.assignment.executorDID)
            let liars = givers.count { did in
                network.nodeIDs.contains { network[$0].identity.did == did && network[$0].setup.cheat != nil }
            }
            if givers.count - liars > liars {
                findings.append("\(id): a wrong result of \(job.id.short) counts, \(liars) of \(givers.count) lied")
            }
        }
        return findings
    }
}

extension Attempt {
    /// Whether its executor gave a result: a receipt that says that a node or a fetch failed is none, nor is one whose
    /// outputs never came.
    fileprivate var gaveResult: Bool {
        switch end {
        case .nodeFailed, .outputsMissing, .receiptInvalid: false
        default: hasReceipt
        }
    }
}
