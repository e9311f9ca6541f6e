import GuestFiles
import IPLD
import MeshTypes
import Multiformats
import PeerIdentity
import Receipts
import SignedObjects

@testable import Workflows

/// A workflow run to its end by hand: each job with a whole chain of evidence, all open to change before it is signed.
struct WorkflowScene {
    /// How a job ends.
    enum End {
        /// The module ends, with a code.
        case exits(Int32)
        /// The module traps.
        case traps
        /// Nobody ran it; `ofMesh` if it may be tried again.
        case isLost(ofMesh: Bool)
        /// It was cancelled before it began.
        case isCancelled
    }

    /// Where a test steps in.
    struct Changes {
        /// Before the manifest of an item's job is signed.
        var job: (ChildKey, inout MeshJobParams) -> Void = { _, _ in }
        /// Before the records are written, by stage.
        var items: (String, inout [ItemRecord]) -> Void = { _, _ in }
        /// Before the receipt is signed.
        var receipt: (inout WorkflowReceipt) -> Void = { _ in }
    }

    let originator: Identity
    private(set) var executor: Identity
    var blocks: [CID: [UInt8]] = [:]
    var changes = Changes()
    /// Whether the seeds and clocks of jobs follow from their work.
    var isRepeatable = false
    /// The receipts of jobs, by their keys.
    private(set) var receipts: [ChildKey: CID] = [:]
    private var made = 0
    /// Receipts that were signed: each end is later than the one before.
    private var signed: UInt64 = 0
    /// The executor's receipts are one chain.
    private var last: CID?
    static let start: UInt64 = 1_700_000_000_000

    init() throws {
        originator = try Identity(seed: [UInt8](repeating: 1, count: 32))
        executor = try Identity(seed: [UInt8](repeating: 2, count: 32))
    }

    /// A folder of these texts, whose blocks are at hand.
    mutating func folder(_ names: [String]) throws -> CID {
        try folder(names.map { name in ChildOutput(name: name, cid: add(Array(name.utf8)), isFolder: false) })
    }

    mutating func folder(_ entries: [ChildOutput]) throws -> CID {
        let (directory, made) = try UnixFSDirectoryBuilder.directory(
            entries.map { UnixFSEntry(name: Array($0.name.utf8), cid: $0.cid, totalBytes: 9) }, profile: .v1in2025)
        for block in made { blocks[block.cid] = block.bytes }
        return directory.cid
    }

    mutating func add(_ bytes: [UInt8], _ codec: CID.Codec = .raw) -> CID {
        let cid = CID.hashing(bytes, codec: codec)
        blocks[cid] = bytes
        return cid
    }

    /// What a job comes to, with its evidence.
    mutating func end(_ key: ChildKey, _ params: MeshJobParams, _ end: End) throws -> ChildEnd {
        made += 1
        let outcome: ExecutionOutcome
        switch end {
        case .isLost(let ofMesh): return ChildEnd(.failed(reason: "nobody bid", ofMesh: ofMesh))
        case .isCancelled: return ChildEnd(.cancelled)
        case .exits(let code): outcome = .exited(code: code)
        case .traps: outcome = .trapped(kind: .unreachable, message: "")
        }
        let date = { (milliseconds: UInt64) in UnixMilliseconds(Self.start + milliseconds) }
        var params = params
        changes.job(key, &params)
        let engine = EngineDescription(name: "wasmtime", version: "1", configurationDigest: "abc")
        var manifest = JobManifest(
            params: params, originatorDID: originator.did, originatorPeerID: originator.peerID,
            originatorAddresses: [], nonce: [UInt8](repeating: UInt8(truncatingIfNeeded: made), count: 16),
            submittedAt: date(0), biddingDeadline: date(1_000), expiresAt: date(60_000))
        if isRepeatable { manifest.execution = .repeatable(params, of: originator.did, on: engine) }
        let job = try keep(manifest, originator)
        let terms = BidTerms(
            price: TokenAmount(1), basePrice: TokenAmount(1), pricePerMillionFuel: TokenAmount(0),
            earliestStart: date(10), deadline: date(50_000), resourceGuarantees: params.resourcesRequired)
        // It has what the job asks for.
        let bid = try keep(
            Bid(
                jobID: JobID(job), originatorPeerID: originator.peerID, bidderDID: executor.did,
                bidderPeerID: executor.peerID, terms: terms, region: manifest.policy.regionFilter?.first,
                features: manifest.policy.requiredFeatures ?? [], resources: params.resourcesRequired,
                issuedAt: date(10), expiresAt: date(5_000)), executor)
        let assignment = try keep(
            Assignment(
                jobID: JobID(job), originatorDID: originator.did, bidCID: bid, executorDID: executor.did, attempt: 1,
                leaseMilliseconds: 10_000, terms: terms, assignedAt: date(20), acceptBy: date(5_000)), originator)
        var receipt = ExecutionReceipt(
            jobID: JobID(job), assignmentCID: assignment, originatorDID: originator.did, executorDID: executor.did,
            attempt: 1, moduleCID: params.wasmCID, inputCIDs: params.inputCIDs, outcome: outcome,
            resourceUsage: ResourceUsage(
                fuel: 1_000, peakMemoryBytes: 65_536, bytesRead: 0, bytesWritten: 9, wallMilliseconds: 7),
            price: TokenAmount(1),
            engine: engine, determinism: params.determinism, executionStartedAt: date(30), executionEndedAt: date(40))
        receipt.stdoutCID = add(Array("\(key.stage)/\(key.item)/\(key.attempt)".utf8))
        receipt.outputs = ["made": add(Array("made \(key.stage)/\(key.item)/\(key.attempt)".utf8))]
        if params.files != nil { receipt.readCID = add(ReadList(ReadRecord()).block.bytes, .dagCBOR) }
        receipt.previousReceiptCID = last
        let cid = try keep(receipt, executor)
        last = cid
        receipts[key] = cid
        var end = ChildEnd(
            .failed(reason: "\(outcome)", ofMesh: false), jobID: job, receiptCID: cid,
            outputs: [
                ChildOutput(name: "stdout", cid: receipt.outputBlocks[1], isFolder: false),
                ChildOutput(name: "made", cid: receipt.outputs.values[0], isFolder: false),
            ], paid: 1)
        if case .exited(let code) = outcome { end.outcome = .exited(code: Int64(code)) }
        return end
    }

    /// What an earlier job of the same work comes to, done by somebody else under a policy that admits him.
    mutating func earlier(_ key: ChildKey, _ params: MeshJobParams, by other: Identity) throws -> ChildEnd {
        let (own, chain) = (executor, last)
        (executor, last) = (other, nil)
        defer { (executor, last) = (own, chain) }
        var params = params
        params.executionPolicy?.allowedDIDs = nil
        params.executionPolicy?.deniedDIDs = nil
        return try end(key, params, .exits(0))
    }

    mutating func keep<Body: SignedBody>(_ body: Body, _ signer: Identity) throws -> CID {
        let signed = try SignedObject.sign(body, with: signer)
        blocks[signed.cid] = signed.bytes
        return signed.cid
    }

    /// Carries an effect out; what has to be told, if something has to.
    mutating func event(
        _ effect: PlanEffect, of plan: WorkflowPlan, _ ending: (ChildKey) -> End
    ) throws -> PlanEvent? {
        switch effect {
        case .list(let stage, let round, let folder):
            let bytes = blocks
            let answer = try UnixFSDirectoryReader.entries(of: folder) { bytes[$0] }
            guard case .here(let entries) = answer else { return nil }
            return .listed(
                stage: stage, round: round,
                entries: entries.map {
                    ChildOutput(
                        name: String(decoding: $0.name, as: UTF8.self), cid: $0.cid, isFolder: $0.cid.codec == .dagPB)
                })
        case .gather(let stage, let round):
            var folders: [ChildOutput] = []
            for (name, entries) in plan.gatherings(of: stage) {
                folders.append(ChildOutput(name: name, cid: try folder(entries), isFolder: true))
            }
            return .gathered(stage: stage, round: round, outputs: folders)
        case .submit(let key):
            guard let params = plan.params(of: key) else { return nil }
            return .ended(key, try end(key, params, ending(key)))
        case .cancel, .finish: return nil
        }
    }

    /// Runs a workflow to its end, one job after the other.
    mutating func run(_ definition: WorkflowDefinition, _ ending: (ChildKey) -> End) throws -> WorkflowPlan {
        var plan = try WorkflowPlan(definition)
        var effects = plan.begin()
        while !effects.isEmpty {
            if let event = try event(effects.removeFirst(), of: plan, ending) { effects += plan.handle(event) }
        }
        return plan
    }

    /// The manifest of a workflow.
    mutating func manifest(_ definition: WorkflowDefinition) throws -> CID {
        try keep(
            WorkflowManifest(
                definition: definition, originatorDID: originator.did, key: "k",
                submittedAt: UnixMilliseconds(Self.start)), originator)
    }

    /// The receipt of a plan that is over, as changed.
    mutating func sign(_ plan: WorkflowPlan, _ workflow: CID) throws -> CID {
        signed += 1
        var (receipt, pages) = try WorkflowReceipt.make(
            of: plan, workflow: workflow, by: originator.did, at: UnixMilliseconds(Self.start + 50_000 + signed))
        for (index, stage) in receipt.stages.enumerated() {
            var items: [ItemRecord] = []
            for page in stage.pages {
                let bytes = pages.first { $0.cid == page }?.bytes ?? []
                items += try DAGCBORDecoder().decode(ItemPage.self, from: bytes).items
            }
            changes.items(stage.id, &items)
            receipt.stages[index].items = UInt64(items.count)
            receipt.stages[index].pages = try stride(from: 0, to: items.count, by: 1_000).map { first in
                let page = ItemPage(items: Array(items[first..<min(items.count, first + 1_000)]))
                return add(try DAGCBOREncoder().encode(page), .dagCBOR)
            }
        }
        changes.receipt(&receipt)
        return try keep(receipt, originator)
    }

    /// The same, checked by all that is at hand.
    mutating func signedReport(_ plan: WorkflowPlan, _ workflow: CID) throws -> VerificationReport {
        let receipt = try sign(plan, workflow)
        return verify(receipt)
    }

    /// Every check of a receipt by all that is at hand.
    func verify(_ receipt: CID) -> VerificationReport {
        let file = CAR(
            roots: [receipt], blocks: blocks.sorted { $0.key.text < $1.key.text }.map { CAR.Block(cid: $0, bytes: $1) })
        return WorkflowArchive.verify(receipt, in: ReceiptArchive(file))
    }
}

extension VerificationReport {
    /// The names of the checks with a result.
    func codes(_ result: Result) -> [String] { lines.filter { $0.result == result }.map(\.code) }

    /// What was found by a check.
    func detail(_ check: WorkflowCheckName) -> String { lines.first { $0.code == check.rawValue }?.detail ?? "" }
}
