import IPLD
import MeshTypes
import Multiformats
import PeerIdentity
import SignedObjects

@testable import Receipts

/// A whole evidence chain with every part open to change before it is signed.
struct ReceiptChain {
    var originator: Identity
    var executor: Identity
    var manifest: JobManifest
    var bid: Bid
    var assignment: Assignment
    var receipt: ExecutionReceipt
    var blocks: [CID: [UInt8]] = [:]

    static let start: UInt64 = 1_700_000_000_000

    private static func identity(_ byte: UInt8) throws -> Identity {
        try Identity(seed: [UInt8](repeating: byte, count: 32))
    }

    /// A run that printed a line and made one output, all as agreed.
    init() throws {
        originator = try Self.identity(1)
        executor = try Self.identity(2)
        let module = Array("module".utf8)
        let input = Array("input".utf8)
        let output = Array("output".utf8)
        let stdout = Array("hello\n".utf8)
        for block in [module, input, output, stdout] { blocks[CID.hashing(block, codec: .raw)] = block }
        var params = MeshJobParams(wasmCID: CID.hashing(module, codec: .raw))
        params.inputCIDs = ["stdin": CID.hashing(input, codec: .raw)]
        params.maxAcceptableBidTokens = TokenAmount(1000)
        let date = { (milliseconds: UInt64) in UnixMilliseconds(Self.start + milliseconds) }
        manifest = JobManifest(
            params: params, originatorDID: originator.did, originatorPeerID: originator.peerID,
            originatorAddresses: [Multiaddr([.ip4([127, 0, 0, 1]), .tcp(4001)])],
            nonce: [UInt8](repeating: 9, count: 16),
            submittedAt: date(0), biddingDeadline: date(1000), expiresAt: date(60_000))
        let terms = BidTerms(
            price: TokenAmount(500), basePrice: TokenAmount(10), pricePerMillionFuel: TokenAmount(3),
            earliestStart: date(10), deadline: date(50_000))
        // The links are set by `sign`, once their CIDs are known.
        let nowhere = CID.hashing([], codec: .dagCBOR)
        bid = Bid(
            jobID: JobID(nowhere), originatorPeerID: originator.peerID, bidderDID: executor.did,
            bidderPeerID: executor.peerID, terms: terms, issuedAt: date(10), expiresAt: date(5000))
        assignment = Assignment(
            jobID: JobID(nowhere), originatorDID: originator.did, bidCID: nowhere, executorDID: executor.did,
            attempt: 1,
            leaseMilliseconds: 10_000, terms: terms, assignedAt: date(20), acceptBy: date(5000))
        let usage = ResourceUsage(
            fuel: 2_500_001, peakMemoryBytes: 65_536, bytesRead: 5, bytesWritten: 12, wallMilliseconds: 7)
        receipt = ExecutionReceipt(
            jobID: JobID(nowhere), assignmentCID: nowhere, originatorDID: originator.did, executorDID: executor.did,
            attempt: 1, moduleCID: params.wasmCID, inputCIDs: params.inputCIDs, outcome: .exited(code: 0),
            resourceUsage: usage, price: TokenAmount(18),
            engine: EngineDescription(name: "wasmtime", version: "1", configurationDigest: "abc"),
            determinism: .deterministic, executionStartedAt: date(30), executionEndedAt: date(40))
        receipt.outputs = ["result": CID.hashing(output, codec: .raw)]
        receipt.stdoutCID = CID.hashing(stdout, codec: .raw)
    }

    /// Where a test may step in between the signatures.
    struct Changes {
        var manifest: (inout JobManifest) -> Void = { _ in }
        var bid: (inout Bid) -> Void = { _ in }
        var assignment: (inout Assignment) -> Void = { _ in }
        var receipt: (inout ExecutionReceipt) -> Void = { _ in }
    }

    /// Links and signs all four objects; the receipt's CID comes back. Whoever an object names signs it.
    mutating func sign(_ changes: Changes = Changes()) throws -> CID {
        changes.manifest(&manifest)
        let signedManifest = try SignedObject.sign(manifest, with: signer(manifest.originatorDID))
        blocks[signedManifest.cid] = signedManifest.bytes
        let job = JobID(signedManifest.cid)
        bid.jobID = job
        changes.bid(&bid)
        let signedBid = try SignedObject.sign(bid, with: signer(bid.bidderDID))
        blocks[signedBid.cid] = signedBid.bytes
        assignment.jobID = job
        assignment.bidCID = signedBid.cid
        changes.assignment(&assignment)
        let signedAssignment = try SignedObject.sign(assignment, with: signer(assignment.originatorDID))
        blocks[signedAssignment.cid] = signedAssignment.bytes
        receipt.jobID = job
        receipt.assignmentCID = signedAssignment.cid
        changes.receipt(&receipt)
        let signedReceipt = try SignedObject.sign(receipt, with: signer(receipt.executorDID))
        blocks[signedReceipt.cid] = signedReceipt.bytes
        return signedReceipt.cid
    }

    static let stranger = Identity.generate()
    /// Who runs the job, of a fixed seed.
    static let executorDID = (try? identity(2))?.did ?? stranger.did

    private func signer(_ did: DID) -> Identity {
        [originator, executor].first { $0.did == did } ?? Self.stranger
    }

    func evidence(_ cid: CID) -> BlockEvidence {
        blocks[cid].map { .bytes($0) } ?? .missing("nobody has it")
    }

    func verify(_ cid: CID) -> VerificationReport {
        ReceiptVerifier().verify(cid, evidence: evidence)
    }
}

extension VerificationReport {
    func codes(_ result: Result) -> [String] {
        lines.filter { $0.result == result }.map(\.code)
    }
}
