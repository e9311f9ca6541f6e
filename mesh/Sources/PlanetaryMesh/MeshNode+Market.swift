import Economics
import IPLD
import JobMarket
import MeshStore
import MeshTypes
import Multiformats
import Reputation
import SignedObjects

extension MeshNode {
    /// Gives the market an input and sees to what follows; returns what the sender of a message is to be told.
    ///
    /// Once the node goes, what its own work comes to is dropped: a run, a fetch or a delivery that was cut off says
    /// nothing about its job, and the next start takes it up.
    @discardableResult
    func take(_ input: MarketInput) async -> MarketTransition {
        if isLeaving || Task.isCancelled {
            switch input {
            case .directMessage, .gossipMessage: break
            default: return MarketTransition()
            }
        }
        market.configuration.storage = storageState
        let transition = market.handle(input, now: NodeClock.now, wallClock: NodeClock.wallClock)
        if !hasToldOfClock, transition.clockOffsetMilliseconds != nil, let warning = clockWarning {
            hasToldOfClock = true
            logger.warning("\(warning)")
        }
        await settle(transition)
        return transition
    }

    /// Queues the events of a transition for the disk, then, once they are there, lets its actions go.
    ///
    /// Everything up to the queue happens in one turn of the actor, so the journal has the order of the transitions.
    func settle(_ transition: MarketTransition) async {
        alarm.arm(for: transition.nextDeadline)
        if transition.events.isEmpty && transition.blocks.isEmpty {
            release(transition)
            // What is acknowledged again may still be on its way to the disk.
            if transition.acknowledges, unwritten.load(ordering: .relaxed) > 0 { await write([], isUrgent: false) }
            return
        }
        let writes: [StoreWrite]
        do {
            writes = try self.writes(of: transition)
        } catch {
            return giveUp(NodeServiceError(.internalError, "An event cannot be written: \(error)."))
        }
        let crashes = crashPoint.map { point in
            transition.events.contains { point.isAt(role: $0.role.rawValue, event: $0.kindName) }
        }
        guard transition.needsDurability || crashes == true else {
            if transition.acknowledges {
                // Nobody waits for its actions, but its sender must not be answered before it is on the disk.
                release(transition)
                await write(writes, isUrgent: false)
                return
            }
            unwritten.add(1, ordering: .relaxed)
            store.enqueue(writes, isUrgent: false) { [self] result in
                unwritten.subtract(1, ordering: .relaxed)
                if case .failure(let error) = result { giveUp(NodeServiceError(storage: error)) }
            }
            return release(transition)
        }
        guard await write(writes, isUrgent: true) else { return }
        if crashes == true { crashPoint?.die() }
        release(transition)
    }

    /// Queues writes for the disk at once, and returns when they are there, and all that was queued before; `false`
    /// when the node cannot go on.
    @discardableResult
    private func write(_ writes: [StoreWrite], isUrgent: Bool) async -> Bool {
        unwritten.add(1, ordering: .relaxed)
        let result = await withCheckedContinuation { continuation in
            store.enqueue(writes, isUrgent: isUrgent) { continuation.resume(returning: $0) }
        }
        unwritten.subtract(1, ordering: .relaxed)
        guard case .failure(let error) = result else { return true }
        giveUp(NodeServiceError(storage: error))
        return false
    }

    /// Lets the store forget bids that nobody took, again and again until the node stops: once the last date of a bid
    /// is over by more than clocks may differ, no assignment of it is taken, so nothing in its journal is needed
    /// (PROTOCOL.md, "Restarts").
    func pruneBids() async {
        let pause = Int64(clamping: market.configuration.limits.bidPruningMilliseconds)
        while (try? await Task.sleep(for: .milliseconds(pause))) != nil {
            guard let executor = market.configuration.executor else { continue }
            let age = executor.bidValidityMilliseconds + market.configuration.rules.clockSkewMilliseconds
            let now = NodeClock.wallClock.value
            store.enqueue([.pruneBids(before: now - min(now, age))], isUrgent: false) { _ in }
        }
    }

    /// Tells followers and lets the actions go; the events are on the disk, or nobody relies on them.
    private func release(_ transition: MarketTransition) {
        for event in transition.events { tellFollowers(of: event) }
        for action in transition.actions { actionsIn.yield(action) }
    }

    private func writes(of transition: MarketTransition) throws -> [StoreWrite] {
        var writes = transition.blocks.map {
            StoreWrite.evidence(cid: $0.cid, bytes: $0.bytes, jobID: $0.jobID.cid)
        }
        var touched: [JobKey: UnixMilliseconds] = [:]
        for event in transition.events {
            writes.append(
                .journal(
                    JournalEntry(
                        jobID: event.jobID.cid, role: StoreRole(event.role), kind: event.kindName, at: event.at.value,
                        bytes: try event.encoded())))
            writes += event.ledger.map { .ledger(LedgerRow($0, jobID: event.jobID)) }
            touched[JobKey(jobID: event.jobID, role: event.role)] = event.at
        }
        for (key, at) in touched {
            if let row = jobRow(key, at: at) { writes.append(.job(row)) }
        }
        if transition.events.contains(where: { if case .anchored = $0.kind { true } else { false } }) {
            let (heads, height) = market.anchorHeads
            let stored = AnchorHeadsV1(scope: market.configuration.anchorScope, heads: heads, height: height)
            writes.append(.setting(key: Self.anchorHeadsKey, value: try DAGCBOREncoder().encode(stored)))
        }
        if transition.events.contains(where: { if case .receiptSigned = $0.kind { true } else { false } }),
            let last = market.lastReceipt
        {
            writes.append(.setting(key: Self.lastReceiptKey, value: last.bytes))
        }
        for (row, receipt) in ReceiptRow.rows(of: transition, at: NodeClock.wallClock) {
            writes.append(.receiptLink(ReceiptLinkRow(receipt, row.cid)))
            writes.append(.receipt(row))
            if row.isVerified == true { writes += receipt.contentRoots.map { .root($0) } + [.root(row.cid)] }
        }
        return writes
    }

    /// The setting that holds the receipt that this node signed last, so that the chain of its receipts goes on.
    static let lastReceiptKey = "last_receipt"

    /// The setting that holds the heads of the anchored DAG, so that it goes on after a restart.
    static let anchorHeadsKey = "anchor_heads"

    /// Names one side of a job.
    struct JobKey: Hashable {
        let jobID: JobID
        let role: JobRole
    }

    private func jobRow(_ key: JobKey, at: UnixMilliseconds) -> JobRow? {
        switch key.role {
        case .originator: market.originatedJob(key.jobID).map { JobStory.row(of: $0, at: at) }
        case .executor: market.executedJob(key.jobID).map { JobStory.row(of: $0, at: at) }
        }
    }

    // MARK: Time

    /// What the owner is to be told of this node's clock; `nil` where it goes as its peers' clocks do.
    var clockWarning: String? {
        market.clockOffsetMilliseconds.map { offset in
            "This machine's clock is \(offset.magnitude / 1000) s \(offset > 0 ? "behind" : "ahead of") its peers' "
                + "clocks, by what they sign: jobs and bids are refused for their dates. Set the clock."
        }
    }

    /// Gives the market its deadlines, until the node stops.
    func keepTime() async {
        for await _ in alarm.stream {
            alarm.rang()
            await take(.deadlineReached)
        }
    }
}

extension ExecutionReceipt {
    /// The files that the run made, by their roots.
    var contentRoots: [CID] { outputs.map(\.value) + [stdoutCID, stderrCID, logCID].compactMap(\.self) }
}

extension StoreRole {
    /// The role of a journal, as the store names it.
    init(_ role: JobRole) {
        switch role {
        case .originator: self = .originator
        case .executor: self = .executor
        }
    }
}

extension ReceiptRow {
    /// The rows of the receipts that a transition keeps; the market has checked each of them, and its events say which
    /// one is wrong.
    static func rows(
        of transition: MarketTransition, at date: UnixMilliseconds
    ) -> [(row: ReceiptRow, receipt: ExecutionReceipt)] {
        let wrong = transition.events.compactMap { event -> CID? in
            guard case .attemptEnded(_, .receiptInvalid(let receipt, _)) = event.kind else { return nil }
            return receipt
        }
        return transition.blocks.filter { $0.typeName == ExecutionReceipt.typeName }.compactMap { block in
            guard let receipt = try? SignedObject<ExecutionReceipt>(verifiedBefore: block.bytes) else { return nil }
            let row = ReceiptRow(
                cid: block.cid, jobID: block.jobID.cid, executorDID: receipt.did.text,
                status: receipt.body.status.rawValue, at: date.value, isVerified: !wrong.contains(block.cid))
            return (row, receipt.body)
        }
    }

    /// The receipt of this row, where its block is here and intact.
    func receipt(in store: MeshStore) async throws(MeshStoreError) -> ExecutionReceipt? {
        do throws(MeshStoreError) {
            guard let block = try await store.block(cid) else { return nil }
            return (try? SignedObject<ExecutionReceipt>(verifying: block))?.body
        } catch {
            // A damaged one says nothing, and is no reason not to start.
            if case .blockCorrupt = error { return nil }
            throw error
        }
    }

    /// What the receipt of this row shows about its executor.
    func evidence(_ receipt: ExecutionReceipt) -> ReputationEvidence? {
        guard isVerified == false else {
            var evidence = ReputationEvidence(receipt: receipt, receiptCID: cid)
            // A date of the executor's clock that lies ahead would never decay.
            if let ended = evidence?.at { evidence?.at = min(ended, UnixMilliseconds(at)) }
            return evidence
        }
        return ReputationEvidence(
            subject: receipt.executorDID, payer: receipt.originatorDID, receiptCID: cid, verdict: .invalid,
            at: UnixMilliseconds(at))
    }
}

extension ReceiptLinkRow {
    /// The link of a receipt to the one before it; its executor signed both.
    init(_ receipt: ExecutionReceipt, _ cid: CID) {
        self.init(executorDID: receipt.executorDID.text, previous: receipt.previousReceiptCID, cid: cid)
    }
}

extension LedgerRow {
    /// A posting as the store keeps it.
    init(_ entry: LedgerEntry, jobID: JobID?) {
        self.init(
            debit: entry.from.description, credit: entry.to.description, amount: entry.amount.units, jobID: jobID?.cid,
            kind: entry.kind.rawValue, reference: entry.subject, at: entry.at.value)
    }

    /// The posting that the store kept; `nil` when it was written by nothing that this version knows.
    var entry: LedgerEntry? {
        guard let kind = LedgerEntryKind(rawValue: kind), let from = LedgerAccount(named: debit),
            let to = LedgerAccount(named: credit)
        else { return nil }
        return LedgerEntry(
            kind: kind, subject: reference, from: from, to: to, amount: TokenAmount(amount), at: UnixMilliseconds(at))
    }
}

extension LedgerAccount {
    /// The account of a name that `description` gave.
    init?(named name: String) {
        let parts = name.split(separator: "/", maxSplits: 1).map(String.init)
        switch (parts.first, parts.count) {
        case ("issuance", 1): self = .issuance
        case ("wallet", 1): self = .wallet
        case ("escrow", 2):
            guard let cid = try? CID(parsing: parts[1]) else { return nil }
            self = .escrow(JobID(cid))
        case ("paid", 2):
            guard let did = try? DID(parsing: parts[1]) else { return nil }
            self = .paid(did)
        case ("income", 2):
            guard let did = try? DID(parsing: parts[1]) else { return nil }
            self = .income(did)
        default: return nil
        }
    }
}

extension NodeServiceError {
    /// A failure of the store, as the node's owner is told of it.
    init(storage error: MeshStoreError) {
        switch error {
        case .inUse: self.init(.alreadyRunning, "\(error)")
        case .full, .blockSpaceUsedUp: self.init(.storageFull, "\(error)")
        case .blockCorrupt, .blockMismatch: self.init(.blockCorrupt, "\(error)")
        case .blockTooLarge: self.init(.tooLarge, "\(error)")
        case .overloaded: self.init(.overloaded, "\(error)")
        case .needed: self.init(.conflict, "\(error)")
        case .closed: self.init(.shuttingDown, "\(error)")
        default: self.init(.storageFailed, "\(error)")
        }
    }
}
