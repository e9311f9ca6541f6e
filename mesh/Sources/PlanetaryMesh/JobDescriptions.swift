import Credit
import IPLD
import JobMarket
import MeshStore
import MeshTypes
import Multiformats
import NodeAPI
import SignedObjects
import Workflows

extension JobReader {
    /// Everything that the journals and the ledger tell about a job; `job` is how it stands now.
    func described(
        _ recalled: Recalled, as job: JobView, traceID: String?
    ) async throws(NodeServiceError) -> JobDescription {
        var description = JobDescription(job: job)
        description.traceID = traceID
        let manifest = recalled.history.originated?.manifest ?? recalled.history.executed?.manifest
        description.request = manifest.map(JobDescription.Request.init)
        for event in recalled.events { description.take(event) }
        description.mark(recalled.history)
        let id = try? CID(parsing: job.jobID)
        if let id {
            let rows = try await stored { () throws(MeshStoreError) in try await store.ledger(of: id) }
            try await tell(holdsOf: id, recalled.events, in: &description)
            description.movements = rows.prefix(JobDescription.receiptsMax).map(WalletView.Entry.init)
            try await tell(whatIsAround: id, in: &description)
        }
        description.sizes = try await sizes(in: description, manifest)
        return description
    }

    /// Tells what issuers hold for a job, and what they booked.
    private func tell(
        holdsOf id: CID, _ events: [JobEvent], in description: inout JobDescription
    ) async throws(NodeServiceError) {
        let rows = try await stored { () throws(MeshStoreError) in try await HoldBookingRow.of(id, in: store) }
        let booked = rows.compactMap(\.booking)
        let held = events.compactMap { event -> HoldCertificate? in
            switch event.kind {
            case .holdGiven(let certificate, _), .holdTaken(let certificate): certificate.body
            default: nil
            }
        }
        let open = held.filter { held in !booked.contains { $0.hold == held.holdCID } }
        let views = open.map { HoldView($0) } + booked.map { HoldView($0) }
        if !views.isEmpty { description.credit = views }
    }

    /// Tells of the workflow that made a job, and of the replicas that were made for it.
    private func tell(whatIsAround id: CID, in description: inout JobDescription) async throws(NodeServiceError) {
        let row = try await stored { () throws(MeshStoreError) in try await store.job(id, role: .originator) }
        guard let row else { return }
        if let workflow = ChildKey.workflow(ofKey: row.idempotencyKey) {
            // Anybody may submit a job under such a key.
            let known = try await stored { () throws(MeshStoreError) in
                try await StoredWorkflows(store).row(workflow)
            }
            if known != nil { description.workflowID = workflow.text }
        }
        let rows = try await stored { () throws(MeshStoreError) in
            try await JobRow.all(
                withKeysFrom: ReplicaKey.prefix(of: JobID(id)), limit: JobDescription.replicasMax, in: store)
        }
        var views: [JobView] = []
        for row in rows { views.append(await view(of: row)) }
        if !views.isEmpty { description.replicas = views }
    }

    /// How many sizes are looked up for one description.
    private static let sizesMax = 128

    /// The sizes of what a job names, by the first blocks that are here.
    private func sizes(
        in description: JobDescription, _ manifest: JobManifest?
    ) async throws(NodeServiceError) -> [JobDescription.ContentSize] {
        let given = manifest.map { $0.params.inputCIDs.values + ($0.params.files?.contentRoots ?? []) } ?? []
        let result = description.job.result
        let made = (result?.outputs.map(\.cid) ?? []) + [result?.stdoutCID, result?.stderrCID].compactMap(\.self)
        var sizes: [JobDescription.ContentSize] = []
        var seen: Set<CID> = []
        for cid in given + made.compactMap({ try? CID(parsing: $0) }) where seen.insert(cid).inserted {
            guard sizes.count < Self.sizesMax else { break }
            if let bytes = try await bytes(of: cid) { sizes.append(.init(cid: cid.text, bytes: bytes)) }
        }
        return sizes
    }

    /// How large a file is, or a folder as it says; nil if its first block is not here.
    private func bytes(of cid: CID) async throws(NodeServiceError) -> UInt64? {
        if cid.codec == .raw {
            let bytes = try await stored { () throws(MeshStoreError) in try await store.blockSize(cid) }
            return bytes.map { UInt64($0) }
        }
        guard let block = try? await store.block(cid), let node = try? UnixFSBlock(block, of: cid) else { return nil }
        if case .file(let bytes) = node.kind { return bytes }
        return node.treeBytes
    }
}

extension JobDescription {
    /// Takes in what an event tells.
    fileprivate mutating func take(_ event: JobEvent) {
        switch event.kind {
        case .bidReceived(let bid, let refusal): take(bid, refusal, at: event.at)
        case .bidMade(_, let bid) where job.role == JobSide.executor.rawValue: take(bid, nil, at: event.at)
        case .bidClosed(.refused(let code, let reason, _)) where job.role == JobSide.executor.rawValue:
            guard let last = bids.indices.last else { return }
            bids[last].verdict = .refused
            bids[last].reason = reason
            bids[last].code = code.text
        case .assignmentMade(let assignment, _): take(assignment, at: event.at)
        case .assignmentAccepted(_, _, let assignment) where job.role == JobSide.executor.rawValue:
            take(assignment, at: event.at)
        case .attemptEnded(let assignment, let end):
            guard let index = attempts.firstIndex(where: { $0.assignmentCID == assignment.text }) else { return }
            attempts[index].failure = end.description
            if case .declined(let code, _) = end { attempts[index].code = code.text }
        case .attemptResumed(let assignment, _):
            if let index = attempts.firstIndex(where: { $0.assignmentCID == assignment.text }) {
                attempts[index].failure = nil
            }
        case .receiptAccepted(_, let receipt, _), .lateReceipt(let receipt, _, _), .receiptSigned(let receipt, _):
            take(receipt, at: event.at)
        default: break
        }
    }

    private mutating func take(_ bid: SignedObject<MeshTypes.Bid>, _ refusal: BidRefusal?, at: UnixMilliseconds) {
        guard bids.count < Self.bidsMax else {
            furtherBids += 1
            return
        }
        bids.append(
            Bid(
                bidderDID: bid.body.bidderDID.text, price: bid.body.terms.price.units, at: at.value,
                verdict: refusal == nil ? .acceptable : .refused, reason: refusal?.description,
                code: refusal?.name.rawValue))
    }

    private mutating func take(_ assignment: SignedObject<Assignment>, at: UnixMilliseconds) {
        let executor = assignment.body.executorDID.text
        attempts.append(
            Attempt(
                assignmentCID: assignment.cid.text, executorDID: executor, price: assignment.body.terms.price.units,
                at: at.value))
        if let index = bids.lastIndex(where: { $0.bidderDID == executor }) {
            bids[index].verdict = .taken
            (bids[index].reason, bids[index].code) = (nil, nil)
        }
    }

    private mutating func take(_ receipt: SignedObject<ExecutionReceipt>, at: UnixMilliseconds) {
        let cid = receipt.cid.text
        guard receipts.count < Self.receiptsMax, !receipts.contains(where: { $0.receiptCID == cid }) else { return }
        receipts.append(
            ReceiptLine(
                receiptCID: cid, executorDID: receipt.body.executorDID.text,
                outcome: PlainText.sanitized(receipt.body.outcome.description),
                fuel: receipt.body.resourceUsage.fuel, price: receipt.body.price.units, at: at.value))
    }

    /// Marks the receipt that counts.
    fileprivate mutating func mark(_ history: JobHistory) {
        let counting =
            history.originated.map { $0.receipt?.cid.text } ?? history.executed.map { $0.receiptCID?.text } ?? nil
        for index in receipts.indices { receipts[index].counts = receipts[index].receiptCID == counting }
    }
}

extension JobDescription.Request {
    /// What a manifest asks for.
    fileprivate init(_ manifest: JobManifest) {
        let params = manifest.params
        self.init(
            originatorDID: manifest.originatorDID.text, moduleCID: params.wasmCID.text, entry: params.entryName,
            args: params.args, env: params.env.map { NamedText(name: $0.key, text: $0.value) },
            inputs: params.inputCIDs.map { NamedCID(name: $0.key, cid: $0.value.text) },
            limits: JobSubmission.Limits(
                timeoutSeconds: params.timeoutSeconds, maxFuel: params.maxFuel, maxMemoryBytes: params.maxMemoryBytes,
                maxOutputBytes: params.maxOutputBytes),
            budget: params.priceCeiling?.units,
            policy: Self.words(manifest) + Self.words(params.resourcesRequired),
            expiresAt: manifest.expiresAt.value)
        files = params.files.map(JobSubmission.Files.init)
        invoke = params.invoke.map { $0.map(\.text) }
    }

    /// What a policy asks for, each part with its name.
    private static func words(_ manifest: JobManifest) -> [NamedText] {
        let policy = manifest.policy
        // Every job asks for its engine.
        let features = policy.requiredFeatures?.filter {
            $0 != manifest.execution?.feature
                && ![PublicJob.feature, HedgedJob.feature, AttestedRun.feature].contains($0)
        }
        func list(_ name: String, _ values: [String]?) -> NamedText? {
            values.map { NamedText(name: name, text: $0.joined(separator: ", ")) }
        }
        func number(_ name: String, _ value: UInt64?) -> NamedText? {
            value.map { NamedText(name: name, text: String($0)) }
        }
        return [
            list("regions", policy.regionFilter), list("features", features?.isEmpty == true ? nil : features),
            number("reputation at least", policy.minReputation),
            list("only", policy.allowedDIDs?.map(\.text)), list("not", policy.deniedDIDs?.map(\.text)),
            number("attempts at most", policy.maxAttempts), number("bids are enough", policy.sufficientBids),
            policy.deadline.map { NamedText(name: "promised by", text: $0.description) },
            policy.weights.map { NamedText(name: "weights", text: words($0)) },
            policy.hasPublicBids ? NamedText(name: "bids", text: "public") : nil,
            policy.hasPublicStatus ? NamedText(name: "status", text: "public") : nil,
            policy.allowsHedge ? NamedText(name: "second copy", text: "where the run is slow") : nil,
        ].compactMap(\.self)
    }

    private static func words(_ weights: SelectionWeights) -> String {
        "price \(weights.price), reputation \(weights.reputation), region \(weights.region), "
            + "latency \(weights.latency), load \(weights.load)"
    }

    /// What an executor must have, each resource with its name.
    private static func words(_ resources: ResourceAmounts) -> [NamedText] {
        resources.map { NamedText(name: "at least of \($0.key)", text: String($0.value)) }
    }
}
