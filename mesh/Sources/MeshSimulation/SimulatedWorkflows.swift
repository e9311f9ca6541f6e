import Determinism
import JobMarket
import MeshTypes
import Multiformats
import OrderedCollections
import PeerIdentity
import SignedObjects
import Workflows

/// The simulator's stand-in for `WorkflowDesk`: it carries out what plans want, in virtual time, and tells them what
/// came of it. What is decided is in `WorkflowRun`.
struct SimulatedWorkflows: Sendable {
    /// What its node has to do, in this order.
    enum Act: Sendable {
        case submit(JobRequest, CID, ChildKey, attempt: Int)
        case cancel(JobID)
        case write(WorkflowWrite, isUrgent: Bool)
        case note(String)
    }

    private enum Task: Sendable {
        case list(stage: String, round: Int, folder: CID)
        case gather(stage: String, round: Int)
        case submit(ChildKey, attempt: Int)
    }

    /// The time that a folder takes, and the pause before a job is submitted again, in milliseconds.
    private static let (folderMilliseconds, pauseMilliseconds): (Int64, Int64) = (20, 1_000)

    /// Those that are not over, and those whose end is not on the disk.
    private(set) var open: OrderedDictionary<CID, WorkflowRun> = [:]
    /// Those that are over.
    private(set) var over: OrderedDictionary<CID, WorkflowRun> = [:]
    /// Which is whose, by the client's key.
    private var keys: [String: CID] = [:]
    /// The jobs of plans.
    private(set) var children: OrderedDictionary<JobID, (workflow: CID, key: ChildKey)> = [:]
    private var tasks: [(at: MonotonicInstant, workflow: CID, task: Task)] = []
    private let identity: Identity
    /// Those that the last input may have changed.
    private(set) var touched: Set<CID> = []

    init(_ identity: Identity) { self.identity = identity }

    /// The workflows that a start finds on a disk.
    init(_ identity: Identity, on disk: VirtualDisk) {
        self.identity = identity
        for (id, stored) in disk.workflows {
            keys[stored.manifest.key] = id
            do {
                let run = try WorkflowRun(recalling: id, stored.manifest, journal: stored.journal)
                if stored.isOver { over[id] = run } else { open[id] = run }
            } catch {
                preconditionFailure("the workflow \(id) cannot be read: \(error)")
            }
        }
    }

    /// When the next folder is there, or a job is to be submitted again.
    var nextDeadline: MonotonicInstant? { tasks.map(\.at).min() }

    mutating func beginInput() { touched = [] }

    // MARK: The client

    /// A workflow as its client asks for it; the same key is the same workflow.
    mutating func begin(_ definition: WorkflowDefinition, key: String, at date: UnixMilliseconds) -> [Act] {
        guard keys[key] == nil else { return [] }
        let manifest = WorkflowManifest(
            definition: definition, originatorDID: identity.did, key: key, submittedAt: date)
        do {
            let signed = try SignedObject.sign(manifest, with: identity)
            keys[key] = signed.cid
            return [.write(.begun(signed.cid, manifest), isUrgent: true)]
        } catch {
            preconditionFailure("\(definition) is no workflow: \(error)")
        }
    }

    /// Has one cancelled, or run again.
    mutating func order(_ event: PlanEvent, key: String, now: MonotonicInstant) -> [Act] {
        guard let id = keys[key] else { return [] }
        if open[id] == nil, let known = over[id] {
            var trial = known
            guard trial.tell(event) != nil else { return [] }
            open[id] = over.removeValue(forKey: id)
        }
        return tell(id, event, isUrgent: true, now: now)
    }

    // MARK: The disk

    /// A write is on the disk.
    mutating func written(_ write: WorkflowWrite, now: MonotonicInstant) -> [Act] {
        switch write {
        case .begun(let id, let manifest):
            // Until now nobody could cancel it, as at the desk.
            guard let plan = try? WorkflowPlan(manifest.definition) else {
                preconditionFailure("\(manifest.definition) is no workflow")
            }
            var run = WorkflowRun(id, manifest, plan: plan)
            let effects = run.begin()
            open[id] = run
            touched.insert(id)
            return carryOut(effects, of: id, now: now)
        case .event(let id, _, isOver: true):
            // It may have been resumed meanwhile.
            if open[id]?.plan.isClosed == true { over[id] = open.removeValue(forKey: id) }
            return []
        case .event, .folder: return []
        }
    }

    /// What is under way after a start.
    mutating func again(now: MonotonicInstant) -> [Act] {
        open.values.flatMap { run in carryOut(run.plan.again(), of: run.id, now: now) }
    }

    // MARK: Jobs

    /// A job was submitted under its key.
    mutating func submitted(_ job: JobID, _ id: CID, _ key: ChildKey) -> [Act] {
        children[job] = (id, key)
        return open[id]?.submitted(job.cid, as: key) == true ? [.cancel(job)] : []
    }

    /// The node did not take a job.
    mutating func refused(
        _ id: CID, _ key: ChildKey, attempt: Int, isPassing: Bool, reason: String, now: MonotonicInstant
    ) -> [Act] {
        guard let run = open[id] else { return [] }
        if let end = run.refused(key, attempt: attempt, isPassing: isPassing, reason: reason) {
            return tell(id, .ended(key, end), now: now)
        }
        tasks.append((now.advanced(milliseconds: Self.pauseMilliseconds), id, .submit(key, attempt: attempt + 1)))
        return []
    }

    /// The end of a job is on the disk.
    mutating func ended(_ job: OriginatedJob, paidForReplicas: TokenAmount, now: MonotonicInstant) -> [Act] {
        guard let child = children[job.id] else { return [] }
        return tell(child.workflow, .ended(child.key, ChildEnd(job, paidForReplicas)), now: now)
    }

    // MARK: Time

    /// What is due; folders are read from the disk.
    mutating func due(now: MonotonicInstant, _ disk: VirtualDisk) -> [Act] {
        let due = tasks.filter { $0.at <= now }
        tasks.removeAll { $0.at <= now }
        return due.flatMap { item in finish(item.task, of: item.workflow, disk, now: now) }
    }

    private mutating func finish(
        _ task: Task, of id: CID, _ disk: VirtualDisk, now: MonotonicInstant
    ) -> [Act] {
        switch task {
        case .submit(let key, let attempt): return submission(key, of: id, attempt: attempt)
        case .list(let stage, let round, let folder):
            let event =
                disk.folders[folder].map { PlanEvent.listed(stage: stage, round: round, entries: $0) }
                ?? .contentFailed(stage: stage, round: round, reason: "its folder is gone")
            return tell(id, event, now: now)
        case .gather(let stage, let round):
            var acts: [Act] = []
            var outputs: [ChildOutput] = []
            for (name, entries) in open[id]?.plan.gatherings(of: stage) ?? [] {
                let text = entries.map { "\($0.name) \($0.cid.text)" }.joined(separator: "\n")
                let folder = CID.hashing(Array(text.utf8), codec: .dagPB)
                acts.append(.write(.folder(folder, entries), isUrgent: false))
                outputs.append(ChildOutput(name: name, cid: folder, isFolder: true))
            }
            return acts + tell(id, .gathered(stage: stage, round: round, outputs: outputs), now: now)
        }
    }

    // MARK: Plans

    private mutating func tell(
        _ id: CID, _ event: PlanEvent, isUrgent: Bool = false, isOver: Bool = false, now: MonotonicInstant
    ) -> [Act] {
        guard let effects = open[id]?.tell(event) else { return [] }
        touched.insert(id)
        guard let entry = try? WorkflowRun.entry(event) else { preconditionFailure("\(event) cannot be written") }
        return [.write(.event(id, entry, isOver: isOver), isUrgent: isUrgent)] + carryOut(effects, of: id, now: now)
    }

    private mutating func carryOut(_ effects: [PlanEffect], of id: CID, now: MonotonicInstant) -> [Act] {
        var acts: [Act] = []
        let later = now.advanced(milliseconds: Self.folderMilliseconds)
        for effect in effects {
            switch effect {
            case .list(let stage, let round, let folder):
                tasks.append((later, id, .list(stage: stage, round: round, folder: folder)))
            case .gather(let stage, let round): tasks.append((later, id, .gather(stage: stage, round: round)))
            case .submit(let key): acts += submission(key, of: id, attempt: 1)
            case .cancel(let key):
                if let job = open[id]?.cancel(key) { acts.append(.cancel(JobID(job))) }
            case .finish: acts += finish(id, now: now)
            }
        }
        return acts
    }

    private func submission(_ key: ChildKey, of id: CID, attempt: Int) -> [Act] {
        guard let run = open[id], let params = run.plan.params(of: key) else { return [] }
        var request = JobRequest(
            requesterDID: identity.did, submittedAt: .epoch, params: params, idempotencyKey: key.idempotencyKey(of: id))
        request.verification = run.plan.verification(of: key.stage).flatMap { VerificationLevel(text: $0) }
        return [.submit(request, id, key, attempt: attempt)]
    }

    private mutating func finish(_ id: CID, now: MonotonicInstant) -> [Act] {
        guard let run = open[id], run.plan.status.isOver, !run.plan.isClosed else { return [] }
        do {
            let date = UnixMilliseconds(UInt64(clamping: now.nanoseconds / 1_000_000))
            let made = try WorkflowReceipt.make(of: run.plan, workflow: id, by: identity.did, at: date)
            let receipt = try SignedObject.sign(made.receipt, with: identity)
            return [.note("workflow \(id) \(run.plan.status.rawValue)")]
                + tell(id, .receiptSigned(receipt.cid), isUrgent: true, isOver: true, now: now)
        } catch {
            preconditionFailure("the receipt of the workflow \(id) cannot be signed: \(error)")
        }
    }

    // MARK: What has to hold

    /// What does not hold of the workflows that the last input touched.
    func broken(_ market: JobMarket) -> [String] {
        var broken: [String] = []
        for id in touched {
            guard let plan = (open[id] ?? over[id])?.plan else { continue }
            if let fault = plan.brokenInvariant() { broken.append("workflow \(id): \(fault)") }
            if let budget = plan.definition.budget, paid(for: id, market) > budget {
                broken.append("workflow \(id) cost \(paid(for: id, market)) of \(budget)")
            }
        }
        return broken
    }

    /// What was paid for all jobs of a workflow that this node remembers, those of replicas left out.
    private func paid(for id: CID, _ market: JobMarket) -> UInt64 {
        children.filter { $0.value.workflow == id }.keys.reduce(0) { sum, job in
            sum + (market.originatedJob(job)?.paid.units ?? 0)
        }
    }

    /// Where a workflow is, for reports.
    func state(of key: String) -> String {
        guard let id = keys[key], let run = open[id] ?? over[id] else { return "it is not known" }
        let stages = run.plan.stages.map { "\($0.definition.id) \($0.status) with \($0.running) of \($0.items.count)" }
        return "\(run.plan.status), \(stages.joined(separator: ", ")), jobs \(run.jobs.values.map(\.text))"
    }

    /// What a start from a disk would know otherwise.
    func forgotten(on disk: VirtualDisk) -> [String] {
        let then = SimulatedWorkflows(identity, on: disk)
        return (Array(open.values) + Array(over.values)).compactMap { run in
            let known = then.open[run.id] ?? then.over[run.id]
            return known?.plan == run.plan ? nil : "the workflow \(run.id)"
        }
    }
}

extension ChildEnd {
    /// The end of a job, as a plan takes it: what `WorkflowDesk` reads in the API's account of it.
    fileprivate init(_ job: OriginatedJob, _ paidForReplicas: TokenAmount) {
        let outcome = ChildOutcome(job)
        let isOfMesh = if case .failed(_, ofMesh: true) = outcome { true } else { false }
        let isWaived = job.finding == .waived
        let receipt = isOfMesh || isWaived ? nil : job.receipt
        let stdout = isWaived ? nil : job.receipt?.receipt.stdoutCID
        self.init(
            outcome, jobID: job.id.cid, receiptCID: receipt?.cid,
            outputs: stdout.map { [ChildOutput(name: "stdout", cid: $0, isFolder: false)] } ?? [],
            paid: job.paid.addingSaturated(paidForReplicas).units)
    }
}

extension ChildOutcome {
    fileprivate init(_ job: OriginatedJob) {
        if job.finding == .waived {
            self = .cancelled
            return
        }
        if job.receipt != nil, let outcome = job.outcome {
            switch outcome {
            case .exited(let code): self = .exited(code: Int64(code))
            case .cancelled: self = .cancelled
            case .fetchFailed, .nodeFailed: self = .failed(reason: "\(outcome)", ofMesh: true)
            case .trapped, .limitExceeded, .moduleRefused, .filesRefused:
                self = .failed(reason: "\(outcome)", ofMesh: false)
            }
            return
        }
        if job.result == .cancelled {
            self = .cancelled
            return
        }
        switch job.failure {
        case .crashesEngine?, .unverified?, .attemptsExhausted(_, .refuted?)?, .attemptsExhausted(_, .unverified?)?:
            self = .failed(reason: "not borne out", ofMesh: false)
        default: self = .failed(reason: job.failure.map { "\($0)" } ?? "it failed", ofMesh: true)
        }
    }
}
