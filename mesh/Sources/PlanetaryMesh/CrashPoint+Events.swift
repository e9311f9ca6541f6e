import Credit
import JobMarket
import MeshTypes
import NodeCore
import SignedObjects
import Workflows

extension CrashPoint.Event {
    /// The events of a write, in order.
    static func all(of write: NodeWrite) -> [Self] {
        var states: [JobRole: [JobID: (kind: String, state: String)]] = [:]
        for job in write.jobs {
            switch job {
            case .originated(let job): states[.originator, default: [:]][job.id] = (kind(of: job), job.status.rawValue)
            case .executed(let job):
                let kind = kind(of: job.signedManifest.body)
                states[.executor, default: [:]][job.id] = (kind, job.status.rawValue)
            }
        }
        return write.events.map { event in
            let found = states[event.role]?[event.jobID]
            return Self(
                role: event.role.rawValue, name: event.kindName, kind: found?.kind ?? "forgotten",
                state: found?.state ?? "forgotten")
        }
    }

    /// The kind of a job of this node's own.
    private static func kind(of job: OriginatedJob) -> String {
        if job.replicaOf != nil { return "replica" }
        if job.replicaCount > 0 { return "compared" }
        let plain = kind(of: job.signedManifest.body)
        return plain == "simple" && job.verification != nil ? "checked" : plain
    }

    /// The kind of a job, as far as an executor can tell.
    private static func kind(of manifest: JobManifest) -> String {
        if manifest.params.isInteractive { return "interactive" }
        if manifest.policy.allowsHedge { return "hedged" }
        return manifest.policy.hasPublicBids ? "public" : "simple"
    }

    /// An event of a workflow's plan.
    init(_ event: PlanEvent, leaving status: WorkflowStatus) { self.init(event.name, leaving: status) }

    /// An event of a workflow, by its name.
    init(_ name: PlanEvent.Name, leaving status: WorkflowStatus) {
        self.init(role: "plan", name: name.rawValue, kind: "workflow", state: status.rawValue)
    }

    /// A write of an arbiter.
    static func ofArbiter(_ name: String) -> Self {
        Self(role: "arbiter", name: name, kind: "lodging", state: "stored")
    }

    /// A write of what a witness keeps of a book.
    static func ofReplica(_ name: String) -> Self {
        Self(role: "replica", name: name, kind: "book", state: "stored")
    }

    /// A write of what a node has booked at issuers: an order to hold, or by its name what is to be booked or became
    /// of it.
    static func ofBooking(_ name: String) -> Self {
        Self(role: "booking", name: name, kind: "hold", state: "stored")
    }
}

extension HoldBooking.State {
    /// Its name at crash points, and among what a node tells live.
    var name: String {
        switch self {
        case .due: "due"
        case .claimed: "claimed"
        case .disputed: "disputed"
        case .ended: "ended"
        case .lost: "lost"
        }
    }
}
