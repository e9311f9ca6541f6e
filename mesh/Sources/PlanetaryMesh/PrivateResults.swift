import JobMarket
import MeshStore
import MeshTypes
import Multiformats
import P2PServices
import SignedObjects
import Synchronization

/// What this node knows of results that do not count yet, and tells nobody: receipts, and what they name.
///
/// An executor tells it to the originator alone until the result is settled, and the originator to nobody; so nobody
/// can wait for another's result, and copy it. What is here for another reason, too, is served as ever: or whoever has
/// something run that writes what others want could keep them from having it.
final class PrivateResults: Sendable {
    /// The bounds of what is kept.
    struct Limits: Sendable {
        /// Outputs of a receipt that are kept private, its streams first, then by name; the fuel, which decides whether
        /// a copy passes for a result, stands in the receipt.
        var outputsPerReceiptMax = 64
    }

    /// One side of a job.
    private struct Side: Hashable {
        let job: CID
        let role: JobRole
    }

    private struct State {
        var blocks: [Side: [CID]] = [:]
        var sides: [CID: [Side]] = [:]
        /// Who may have them.
        var readers: [Side: PeerID] = [:]
    }

    private let limits: Limits
    private let state = Mutex(State())

    init(limits: Limits = Limits()) { self.limits = limits }

    // MARK: What happens

    /// Takes in what happened to a job, before anything of it is on the disk.
    func follow(_ event: JobEvent) {
        let side = Side(job: event.jobID.cid, role: event.role)
        switch (event.role, event.kind) {
        case (.executor, .receiptSigned(let receipt, _)):
            hide(receipt, side, for: receipt.body.originatorDID.peerID)
        case (.originator, .receiptAccepted(_, let receipt, _)): hide(receipt, side, for: nil)
        case (.executor, .settlementReceived), (.executor, .settlementOverdue), (_, .closed),
            (.originator, .resultReached), (.originator, .failed), (.originator, .cancelled):
            reveal(side)
        default: break
        }
    }

    /// Takes in the jobs that a start found open.
    func recover(_ market: JobMarket) {
        let open = market.unclosedJobs
        for job in open.executed where job.verdict == nil && !job.isOverdue {
            guard let signed = job.signedReceipt else { continue }
            hide(signed, Side(job: job.id.cid, role: .executor), for: job.manifest.originatorPeerID)
        }
        for job in open.originated where job.result == nil {
            for candidate in job.candidateReceipts {
                hide(candidate.accepted.signed, Side(job: job.id.cid, role: .originator), for: nil)
            }
        }
    }

    private func hide(_ receipt: SignedObject<ExecutionReceipt>, _ side: Side, for reader: PeerID?) {
        let body = receipt.body
        let streams = [body.stdoutCID, body.stderrCID, body.logCID, body.readCID].compactMap(\.self)
        let cids = [receipt.cid] + (streams + body.outputs.values).prefix(limits.outputsPerReceiptMax)
        state.withLock { state in
            state.readers[side] = reader
            for cid in cids where !(state.sides[cid]?.contains(side) ?? false) {
                state.blocks[side, default: []].append(cid)
                state.sides[cid, default: []].append(side)
            }
        }
    }

    private func reveal(_ side: Side) {
        state.withLock { state in
            state.readers[side] = nil
            for cid in state.blocks.removeValue(forKey: side) ?? [] {
                state.sides[cid]?.removeAll { $0 == side }
                if state.sides[cid]?.isEmpty ?? false { state.sides[cid] = nil }
            }
        }
    }

    // MARK: What others may have

    /// The jobs for which a block is kept from a peer; none if it may have it.
    private func jobs(hiding cid: CID, from peer: PeerID?) -> Set<CID> {
        state.withLock { state in
            guard let sides = state.sides[cid] else { return [] }
            if let peer, sides.contains(where: { state.readers[$0] == peer }) { return [] }
            return Set(sides.map(\.job))
        }
    }

    /// Whether a block is kept from a peer, or from all: nothing else than such results has it.
    func hides(_ cid: CID, from peer: PeerID? = nil, in store: MeshStore) async -> Bool {
        let jobs = jobs(hiding: cid, from: peer)
        if jobs.isEmpty { return false }
        guard let owners = try? await BlockOwners.of(cid, in: store) else { return true }
        return !owners.isFile && owners.jobs.isSubset(of: jobs)
    }
}

/// The store as the source of blocks for others, without what is private.
struct StoreBlockSource: BlockSource {
    let store: MeshStore
    let results: PrivateResults

    func block(_ cid: CID) async -> [UInt8]? { (try? await store.block(cid)) ?? nil }
    func hasBlock(_ cid: CID) async -> Bool { (try? await store.hasBlock(cid)) ?? false }

    func block(_ cid: CID, for peer: PeerID) async -> [UInt8]? {
        if await results.hides(cid, from: peer, in: store) { return nil }
        guard let block = await block(cid) else { return nil }
        return Self.isKept(block, of: cid, from: peer) ? nil : block
    }

    func hasBlock(_ cid: CID, for peer: PeerID) async -> Bool {
        // What a transcript is shows in the block alone.
        if cid.codec == .dagCBOR { return await block(cid, for: peer) != nil }
        return await results.hides(cid, from: peer, in: store) ? false : await hasBlock(cid)
    }

    /// Whether a block is a transcript that is for another peer alone: nobody else hears what a user typed, as long as
    /// the block is here.
    private static func isKept(_ block: [UInt8], of cid: CID, from peer: PeerID) -> Bool {
        guard cid.codec == .dagCBOR, let reader = SessionTranscript.reader(ofBlock: block) else { return false }
        return reader.peerID != peer
    }
}
