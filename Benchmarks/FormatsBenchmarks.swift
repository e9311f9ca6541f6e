import ArgumentParser
import IPLD
import MerkleLog
import MeshTypes
import Multiformats
import PeerIdentity
import Receipts
import SignedObjects

/// DAG-CBOR on a receipt, and checking receipts.
struct FormatsBenchmarks: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "formats", abstract: "DAG-CBOR encode and decode of a receipt, signatures, receipt verification.")

    @Flag(help: "Print JSON.") var json = false

    func run() throws {
        let chain = try SampleChain()
        let body = chain.receipt.body
        let bodyBytes = try DAGCBOREncoder().encode(body)
        let block = chain.receipt.bytes
        let identity = chain.executor
        let message = SignedObjectFormat.message("ExecutionReceipt", chain.receipt.bodyCID)
        let signature = chain.receipt.signature
        let text = identity.did.text
        let value = try DAGCBOR.decode(block)
        let encoder = DAGCBOREncoder()
        let decoder = DAGCBORDecoder()
        let verifier = ReceiptVerifier()
        var sink = 0
        var results: [Measurement] = []
        func measure(_ name: String, bytes: Int? = nil, _ operation: () throws -> Int) rethrows {
            results.append(try Measurement.take(name, bytes: bytes) { sink &+= try operation() })
        }
        try measure("dag-cbor encode receipt", bytes: bodyBytes.count) { try encoder.encode(body).count }
        try measure("dag-cbor decode receipt", bytes: bodyBytes.count) {
            try decoder.decode(ExecutionReceipt.self, from: bodyBytes).outputs.count
        }
        try measure("dag-cbor validate receipt", bytes: block.count) {
            try DAGCBORDocument(validating: block).bytes.count
        }
        try measure("dag-cbor tree decode", bytes: block.count) { try DAGCBOR.decode(block) == .null ? 1 : 0 }
        try measure("dag-cbor tree encode", bytes: block.count) { try DAGCBOR.encode(value).count }
        try measure("did:key parse") { try DID(parsing: text).text.utf8.count }
        measure("cid of a receipt block", bytes: block.count) { CID.hashing(block, codec: .dagCBOR).bytes.count }
        try measure("ed25519 sign") { try identity.sign(message).count }
        measure("ed25519 verify") { identity.publicKey.isValidSignature(signature, for: message) ? 1 : 0 }
        try measure("signed receipt open") { try SignedObject<ExecutionReceipt>(verifying: block).bytes.count }
        measure("receipt chain verify") {
            verifier.verify(chain.receipt.cid) { cid in
                chain.blocks[cid].map { .bytes($0) } ?? .missing("")
            }.isVerified ? 1 : 0
        }
        let log = try SampleLog(chain.receipt.cid, by: identity)
        try measure("log proof of a million, verify", bytes: log.proof.count) {
            try LogEvidence(verifying: log.proof).heads.count
        }
        precondition(sink != 0, "nothing was measured")
        try Measurement.report(results, asJSON: json)
    }
}

/// A log with the entry of a receipt in its middle, and the proof of that.
private struct SampleLog {
    let proof: [UInt8]

    init(_ receipt: CID, by identity: Identity) throws {
        let (count, number) = (UInt64(1_000_000), UInt64(600_000))
        var tree = MerkleTree()
        var entry: SignedObject<AnchorEntry>?
        var hashes: [HashPlace: MerkleHash] = [:]
        guard let plan = ProofPlan.inclusion(of: number, in: count) else { preconditionFailure("no such entry") }
        let wanted = Set(plan.places)
        for index in 0..<count {
            var leaf = withUnsafeBytes(of: index) { Array($0) }
            if index == number {
                let signed = try SignedObject.sign(
                    AnchorEntry(
                        nodeDID: identity.did, parents: [], payload: [receipt], scope: AnchorEntry.globalScope,
                        height: index, recordedAt: UnixMilliseconds(0), size: index, root: tree.root.bytes),
                    with: identity)
                (entry, leaf) = (signed, signed.cid.bytes)
            }
            for (level, hash) in tree.append(.leaf(leaf)).enumerated() {
                let place = HashPlace(level: UInt64(level), index: index >> UInt64(level))
                if wanted.contains(place) { hashes[place] = hash }
            }
        }
        let origin = AnchorEntry.logName(of: identity.did, scope: AnchorEntry.globalScope, openedAt: nil)
        guard let entry, let path = plan.proof(of: hashes),
            let checkpoint = Checkpoint(origin: origin, head: TreeHead(tree))
        else { preconditionFailure("no proof of an entry of the log") }
        proof =
            LogProof(
                extra: entry.bytes, index: number, hashes: path, note: try checkpoint.signed(with: identity)
            ).bytes
    }
}

/// A receipt as a run of a small job leaves it, with the chain before it.
private struct SampleChain {
    let executor: Identity
    let receipt: SignedObject<ExecutionReceipt>
    var blocks: [CID: [UInt8]] = [:]

    init() throws {
        let originator = try Identity(seed: [UInt8](repeating: 1, count: 32))
        executor = try Identity(seed: [UInt8](repeating: 2, count: 32))
        let content = (0..<6).map { Array("content \($0)".utf8) }
        let cids = content.map { CID.hashing($0, codec: .raw) }
        let date = { UnixMilliseconds(1_700_000_000_000 + $0) }
        var params = MeshJobParams(wasmCID: cids[0])
        params.args = ["--width", "80"]
        params.inputCIDs = ["stdin": cids[1], "picture": cids[2]]
        let manifest = try SignedObject.sign(
            JobManifest(
                params: params, originatorDID: originator.did, originatorPeerID: originator.peerID,
                originatorAddresses: [Multiaddr([.ip4([127, 0, 0, 1]), .tcp(4001)])],
                nonce: [UInt8](repeating: 3, count: 16), submittedAt: date(0), biddingDeadline: date(1000),
                expiresAt: date(60_000)), with: originator)
        let terms = BidTerms(
            price: TokenAmount(1000), basePrice: TokenAmount(10), pricePerMillionFuel: TokenAmount(3),
            earliestStart: date(0), deadline: date(50_000), resourceGuarantees: ["memory_mib": 256])
        let bid = try SignedObject.sign(
            Bid(
                jobID: JobID(manifest.cid), originatorPeerID: originator.peerID, bidderDID: executor.did,
                bidderPeerID: executor.peerID, terms: terms, region: "eu", issuedAt: date(5), expiresAt: date(5000)),
            with: executor)
        let assignment = try SignedObject.sign(
            Assignment(
                jobID: JobID(manifest.cid), originatorDID: originator.did, bidCID: bid.cid, executorDID: executor.did,
                attempt: 1, leaseMilliseconds: 10_000, terms: terms, assignedAt: date(20), acceptBy: date(5000)),
            with: originator)
        var body = ExecutionReceipt(
            jobID: JobID(manifest.cid), assignmentCID: assignment.cid, originatorDID: originator.did,
            executorDID: executor.did, attempt: 1, moduleCID: cids[0], inputCIDs: params.inputCIDs,
            outcome: .exited(code: 0),
            resourceUsage: ResourceUsage(
                fuel: 2_500_000, peakMemoryBytes: 1 << 20, hostCalls: ["fd_write": 12, "fd_read": 4, "proc_exit": 1],
                bytesRead: 4096, bytesWritten: 48, wallMilliseconds: 3),
            price: terms.due(fuel: 2_500_000),
            engine: EngineDescription(
                name: "wasmtime", version: "36.0.0", configurationDigest: String(repeating: "0f", count: 32)),
            determinism: .deterministic, executionStartedAt: date(30), executionEndedAt: date(33))
        body.outputs = ["picture.txt": cids[3]]
        body.stdoutCID = cids[4]
        body.stderrCID = cids[5]
        body.previousReceiptCID = assignment.cid
        receipt = try SignedObject.sign(body, with: executor)
        for (cid, block) in zip(cids, content) { blocks[cid] = block }
        for (cid, block) in [
            (manifest.cid, manifest.bytes), (bid.cid, bid.bytes), (assignment.cid, assignment.bytes),
            (receipt.cid, receipt.bytes),
        ] { blocks[cid] = block }
    }
}
