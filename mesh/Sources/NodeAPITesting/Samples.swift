package import Multiformats
package import NodeAPI

/// One value of each kind, every field set.
package enum Samples {
    /// The ID of the job.
    package static let jobID = CID.hashing(Array("job".utf8), codec: .dagCBOR)
    /// The CID of its receipt.
    package static let receiptCID = CID.hashing(Array("receipt".utf8), codec: .dagCBOR)

    /// A node with a full store.
    package static var status: NodeStatus {
        var status = NodeStatus(
            version: "0.1.0", peerID: "12D3KooW", did: "did:key:z6Mk", addresses: ["/ip4/127.0.0.1/tcp/4001"],
            uptimeMilliseconds: 61_000, residentBytes: 48 << 20, connectedPeers: 3, isExecutor: true, region: "eu",
            processID: 42, counters: [.init(name: "jobs", value: 7)],
            storage: .init(
                state: "full", blocks: 12, blockBytes: 15 << 30, blockBytesMax: 16 << 30, highWaterBytes: 14 << 30,
                databaseBytes: 17 << 30))
        status.jobs = [.init(side: "executor", outcome: .running, count: 2)]
        status.events = [.init(side: "originator", event: "submitted", count: 5)]
        return status
    }

    /// What it takes.
    package static let limits = NodeLimits(fileBytesMax: 1 << 20, moduleBytesMax: 1 << 16)

    /// The end of a job that went well.
    package static var result: JobResult {
        var result = JobResult(ending: .succeeded, detail: "exited with 0", attempts: 1)
        result.exitCode = 0
        result.receiptCID = receiptCID.text
        result.isReceiptVerified = true
        result.executorDID = "did:key:z6Mkexecutor"
        result.stdoutCID = CID.hashing(Array("hello\n".utf8), codec: .raw).text
        result.outputs = [NamedCID(name: "report", cid: receiptCID.text)]
        result.fuel = 1_234_567
        result.paid = 40
        result.wallMilliseconds = 12
        return result
    }

    /// The job, as its originator lists it.
    package static var job: JobView {
        var job = JobView(
            jobID: jobID.text, role: "originator", phase: "ReceiptAnchored", status: "CompletedSuccessfully",
            outcome: .succeeded, reason: "", isTerminal: true, submittedAt: 1_700_000_000_000,
            updatedAt: 1_700_000_000_025, counterpartyDID: "did:key:z6Mkexecutor", label: "count", price: 40,
            result: result)
        job.exitCode = 0
        job.receiptCID = receiptCID.text
        return job
    }

    /// Everything about it.
    package static var description: JobDescription {
        var description = JobDescription(job: job)
        description.request = JobDescription.Request(
            originatorDID: "did:key:z6Mkoriginator", moduleCID: jobID.text, entry: "_start", args: ["-n", "5"],
            env: [NamedText(name: "A", text: "1")], inputs: [NamedCID(name: "stdin", cid: jobID.text)],
            limits: JobSubmission.Limits(
                timeoutSeconds: 10, maxFuel: 5_000_000, maxMemoryBytes: 1 << 20, maxOutputBytes: 1 << 16),
            budget: 100, policy: [NamedText(name: "regions", text: "eu")], expiresAt: 1_700_000_600_000)
        description.bids = [
            .init(bidderDID: "did:key:z6Mkexecutor", price: 40, at: 1_700_000_000_002, verdict: .taken),
            .init(
                bidderDID: "did:key:z6Mkdearexec", price: 400, at: 1_700_000_000_003, verdict: .refused,
                reason: "price 400 > max 100"),
        ]
        description.furtherBids = 3
        var hold = HoldView(
            issuer: "did:key:z6Mkissuer", hold: jobID.text, amount: 250, unit: "hours", decimals: 2, state: .paid)
        (hold.entry, hold.dueAt, hold.reason) = (12, 1_700_000_000_005, "")
        description.credit = [hold]
        description.attempts = [
            .init(
                assignmentCID: jobID.text, executorDID: "did:key:z6Mkexecutor", price: 40, at: 1_700_000_000_004)
        ]
        description.receipts = [
            .init(
                receiptCID: receiptCID.text, executorDID: "did:key:z6Mkexecutor",
                outcome: "the module ended with exit code 0", fuel: 1_234_567, price: 40, at: 1_700_000_000_020,
                counts: true)
        ]
        description.movements = [
            .init(
                at: 1_700_000_000_004, kind: "hold", debit: "wallet", credit: "escrow", amount: 40, jobID: jobID.text)
        ]
        return description
    }

    /// The receipt of the job.
    package static let receipt = ReceiptView(
        receiptCID: receiptCID.text, jobID: jobID.text, assignmentCID: jobID.text, originatorDID: "did:key:z6Mka",
        executorDID: "did:key:z6Mkb", attempt: 1, moduleCID: jobID.text,
        inputs: [NamedCID(name: "stdin", cid: jobID.text)], status: "CompletedSuccessfully",
        outcome: "exited with 0", outputs: [], stdoutCID: nil, stderrCID: nil, logCID: nil, fuel: 5,
        peakMemoryBytes: 65_536, wallMilliseconds: 3, price: 40, engine: "wasmtime 48.0.0",
        determinism: "deterministic", startedAt: 1, endedAt: 4, previousReceiptCID: nil, source: "here")

    /// A receipt of which one check was made and passed.
    package static let report = ReceiptReport(
        receiptCID: receiptCID.text, isValid: true,
        lines: [.init(name: "signature", verdict: .passed, detail: "by did:key:z6Mkb")])

    /// A connected executor.
    package static let peer = PeerView(
        peerID: "12D3KooW", did: "did:key:z6Mk", isConnected: true, addresses: ["/ip4/10.0.0.1/tcp/4001"],
        lastSeen: 5, reputation: 3, capability: "eu, 10 per Mfuel", misbehaviourCount: 1)

    /// One topic, and a part of the DHT.
    package static let network = NetworkView(
        topics: [.init(name: "/icn/mesh/capabilities/v1", peers: 3, meshPeers: 2)],
        directory: .init(tableNodes: 4, records: 5, providers: 6, announced: 7))

    /// Balances with one hold and one movement.
    package static let wallet = WalletView(
        did: "did:key:z6Mk", available: 900, held: 60, paid: 40, earned: 0,
        holds: [.init(jobID: jobID.text, amount: 60)],
        entries: [.init(at: 1, kind: "grant", debit: "mint", credit: "me", amount: 1_000, jobID: nil)])
}
