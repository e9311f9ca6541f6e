import IPLD
package import Multiformats

/// A workflow that is under way: its plan, the jobs that were submitted for it, and those that are to end. Whoever
/// carries out what the plan wants holds one, and decides by it what is told, written and submitted.
package struct WorkflowRun: Sendable {
    /// The bounds of asking a node again that has no room for a job.
    package struct Limits: Sendable {
        /// How often it tries to submit a job while the node has no room for it.
        package var submissionsMax = 60

        package init() {}
    }

    /// What it is called by.
    package let id: CID
    /// As its originator signed it.
    package let manifest: WorkflowManifest
    /// The plan.
    package private(set) var plan: WorkflowPlan
    /// The jobs that were submitted and have not ended.
    package private(set) var jobs: [ChildKey: CID] = [:]
    private var cancelled: Set<ChildKey> = []

    /// A workflow with a plan that has not begun.
    package init(_ id: CID, _ manifest: WorkflowManifest, plan: WorkflowPlan) {
        (self.id, self.manifest, self.plan) = (id, manifest, plan)
    }

    /// A workflow as its journal says.
    ///
    /// - Parameter journal: what the plan was told, as `entry` wrote it.
    /// - Throws: what is wrong with the definition, or an entry that is none.
    package init(recalling id: CID, _ manifest: WorkflowManifest, journal: [[UInt8]]) throws {
        self.init(id, manifest, plan: try WorkflowPlan(manifest.definition))
        _ = plan.begin()
        for bytes in journal { _ = plan.handle(try DAGCBORDecoder().decode(PlanEvent.self, from: bytes)) }
    }

    /// An event as the journal keeps it.
    ///
    /// - Throws: if it cannot be written.
    package static func entry(_ event: PlanEvent) throws -> [UInt8] { try DAGCBOREncoder().encode(event) }

    /// Begins.
    package mutating func begin() -> [PlanEffect] { plan.begin() }

    /// Tells the plan what happened; nil if that changes nothing, so that there is nothing to write.
    package mutating func tell(_ event: PlanEvent) -> [PlanEffect]? {
        let before = plan.taken
        let effects = plan.handle(event)
        guard plan.taken != before else { return nil }
        switch event {
        case .ended(let key, _): jobs[key] = nil
        case .resumed: cancelled = []
        default: break
        }
        return effects
    }

    /// Notes the job of a key; whether it is to end, because that was decided before it was there.
    package mutating func submitted(_ job: CID, as key: ChildKey) -> Bool {
        jobs[key] = job
        return cancelled.contains(key)
    }

    /// Has a job end; the job to cancel, if it was submitted already.
    package mutating func cancel(_ key: ChildKey) -> CID? {
        cancelled.insert(key)
        return jobs[key]
    }

    /// What it means that the node did not take a job: its end, or nil if it is to be submitted again after a pause.
    ///
    /// - Parameters:
    ///   - key: which job it was to be.
    ///   - attempt: which submission this was, counted from 1.
    ///   - isPassing: whether the node may take it another time.
    ///   - reason: why it was not taken, in words.
    ///   - limits: how often it is submitted.
    package func refused(
        _ key: ChildKey, attempt: Int, isPassing: Bool, reason: String, limits: Limits = Limits()
    ) -> ChildEnd? {
        if cancelled.contains(key) { return ChildEnd(.cancelled) }
        if isPassing, attempt < limits.submissionsMax { return nil }
        return ChildEnd(.failed(reason: reason, ofMesh: isPassing))
    }
}
