import Credit
import IPLD
import JobMarket
import LibP2P
import Logging
import MeshStore
import MeshTypes
import Multiformats
import NodeAPI
import SignedObjects

/// Leaves results of this node with the arbiters of their holds, each sealed to its originator: a few at a time, and
/// with each arbiter one after the other.
actor LodgingDesk {
    /// Every bound of it.
    struct Limits: Sendable {
        /// How long before an arbiter that did not take a result is asked again, in milliseconds.
        var pauseMilliseconds: Int64 = 5_000
        /// How long a result waits for its turn before it looks again, in milliseconds.
        var turnMilliseconds: Int64 = 500
        /// Results that are sealed and sent at once: each is held in memory.
        var atOnceMax = 4
        /// How long one may take, in milliseconds.
        var attemptMilliseconds: Int64 = 1_200_000
        /// How often a part is sent again that an arbiter has no time for, and how long before that, in milliseconds.
        var partTriesMax = 10
        var partMilliseconds: Int64 = 500

        /// The defaults.
        init() {}
    }

    /// How one attempt ended.
    private enum End {
        case kept([UInt8])
        case refused(String)
        case failed(String)
    }

    private let parts: NodeParts
    private let limits: Limits
    private let exchange: ArbiterExchange
    /// Receipts whose results are on their way.
    // BOUNDED: by the runs that wait for their payment (`MarketLimits`).
    private var underWay: Set<CID> = []
    /// The arbiters that are sent results at the moment.
    // BOUNDED: by `Limits.atOnceMax`.
    private var sending: Set<DID> = []

    init(parts: NodeParts, limits: Limits = Limits()) {
        (self.parts, self.limits) = (parts, limits)
        exchange = ArbiterExchange(host: parts.swarm)
    }

    /// Leaves a result with the arbiter until the date for its delivery, and tells of the statement that came of it.
    func lodge(_ order: LodgingOrder, _ tell: @Sendable ([UInt8]) async -> Void) async {
        guard underWay.insert(order.receipt.cid).inserted else { return }
        defer { underWay.remove(order.receipt.cid) }
        let metadata: Logger.Metadata = ["job": "\(order.jobID)"]
        var hasWarned = false
        let terms = order.certificate.body.terms
        // What it took in time without this node's knowing, it says as long as it has it.
        while NodeClock.wallClock <= terms.claimBy {
            var pause = limits.turnMilliseconds
            if sending.count < limits.atOnceMax, sending.insert(terms.arbiterDID).inserted {
                let end = await attemptInTime(order)
                sending.remove(terms.arbiterDID)
                switch end {
                case .kept(let statement):
                    parts.logger.info("A result was left with the arbiter of its hold.", metadata: metadata)
                    return await tell(statement)
                case .refused(let reason):
                    return warn("The arbiter of a hold does not take a result.", reason, metadata)
                case .failed(let reason):
                    if !hasWarned { warn("The arbiter of a hold cannot be given a result yet.", reason, metadata) }
                    hasWarned = true
                    pause = limits.pauseMilliseconds
                }
            }
            guard (try? await Task.sleep(for: .milliseconds(pause))) != nil else { return }
        }
    }

    private nonisolated func warn(_ text: String, _ reason: String, _ metadata: Logger.Metadata) {
        parts.logger.warning("\(text)", metadata: metadata.merging(["reason": "\(reason)"]) { $1 })
    }

    private nonisolated func attemptInTime(_ order: LodgingOrder) async -> End {
        let end = try? await withDeadline(milliseconds: limits.attemptMilliseconds) { await self.attempt(order) }
        return end ?? .failed("it took longer than \(limits.attemptMilliseconds / 1_000) s")
    }

    /// Hands over all parts, from the first one on.
    private nonisolated func attempt(_ order: LodgingOrder) async -> End {
        let certificate = order.certificate
        let archive = await LodgedResult.archive(of: order.receipt) { cid in
            if let own = cid.ownBlock { return own }
            return (try? await parts.store.block(cid)) ?? nil
        }
        guard let archive,
            let sealed = SealedResult.seal(
                archive, to: order.sealingKey, of: order.receipt.cid, for: certificate.body.holdCID)
        else { return .failed("it is not here as a whole, or has more than \(SealedPart.Limits.bytesMax) bytes") }
        let arbiter = certificate.body.terms.arbiterDID.peerID
        await ReceiptAuditor(parts).reach([arbiter])
        // A sealed result is another one each time, so it goes from its beginning.
        for part in sealed {
            var answer = await answer(to: .keep(certificate: certificate.bytes, part: part), of: arbiter)
            for _ in 1..<limits.partTriesMax {
                guard case .success(.refused(.full, _)) = answer, part.number > 0,
                    (try? await Task.sleep(for: .milliseconds(limits.partMilliseconds))) != nil
                else { break }
                answer = await self.answer(to: .keep(certificate: certificate.bytes, part: part), of: arbiter)
            }
            guard case .success(let answer) = answer else {
                if case .failure(.none(let reason)) = answer { return .failed("it did not answer: \(reason)") }
                return .failed("its answer does not read")
            }
            switch answer {
            case .kept(let statement): return .kept(statement)
            case .wanted(part.number + 1): continue
            case .refused(.full, let text): return .failed(text.cut(bytesMax: 512))
            case .refused(_, let text): return .refused(text.cut(bytesMax: 512))
            default: return .failed("it wants another part than the next")
            }
        }
        return .failed("it has all parts, and did not say so")
    }

    private nonisolated func answer(
        to question: ArbiterQuestion, of arbiter: PeerID
    ) async -> Result<ArbiterAnswer, ArbiterExchange.Failure> {
        do {
            return .success(try await exchange.ask(question, of: arbiter))
        } catch {
            return .failure(error)
        }
    }
}
