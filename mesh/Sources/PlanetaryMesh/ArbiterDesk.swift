import CoVM
import Credit
import JobMarket
import LibP2P
import Logging
import MeshStore
import MeshTypes
import Multiformats
import NodeAPI
import PeerIdentity
import Receipts
import SignedObjects

/// This node as an arbiter of holds: it keeps results that their originators did not fetch, sealed to them, and decides
/// about claims that they dispute.
///
/// It believes neither side. What it keeps it cannot read; that it has it, it says to whoever left it. Of a disputed
/// claim it is given the key by the originator: it opens what it has, holds it against the claimed receipt, and makes
/// the run again. It serves the issuers that its owner names, whose holds bound what can be left here.
actor ArbiterDesk {
    /// Every bound of it.
    struct Limits: Sendable {
        /// Results that are kept at once.
        var countMax = 4_096
        /// Bytes of these.
        var bytesMax: UInt64 = 4 << 30
        /// The part of both that one executor may have: one in so many.
        var executorShare: UInt64 = 4
        /// How long a result stays after its hold ended at the latest, in milliseconds: a day.
        var keptMilliseconds: UInt64 = 86_400_000
        /// Questions of a peer that are read in a second, and at once.
        var questionsPerSecondPerPeerMax = 64
        var questionsBurstPerPeerMax = 256
        /// Questions that are answered at once, and of those one peer's: each may have a part in memory.
        var answeredAtOnceMax = 16
        var answeredAtOncePerPeerMax = 2
        /// Disputes that wait for their decision, and of those one originator's.
        var disputesMax = 16
        var disputesPerOriginatorMax = 4
        /// Disputes that are looked into at once: each may have a result in memory twice, and makes a run.
        var decidedAtOnceMax = 2
        /// How often a claim is looked into which could not be decided.
        var triesMax = 4
        /// How much longer a second run may take than the job's time: so many times as long.
        var replayTimesMax: UInt64 = 4
        /// How often it looks for what is over, in milliseconds.
        var lookMilliseconds: Int64 = 60_000

        /// The defaults.
        init() {}
    }

    /// A claim that is looked into.
    private struct Dispute: Sendable {
        let work: DoneWork
        let claimCID: CID
        let manifest: SignedObject<JobManifest>
        let key: SealingKey
        let due: TokenAmount
        let originator: PeerID
        /// When the book takes no decision any more.
        let until: UnixMilliseconds
    }

    private let identity: Identity
    private let store: MeshStore
    private let runner: JobRunner
    private let issuers: Set<DID>
    private let logger: Logger
    private let limits: Limits
    private let exchange: ArbiterExchange
    // BOUNDED: by `Limits.countMax`.
    private var rows: [CID: LodgingRow] = [:]
    private var isLoaded = false
    /// Holds of which a part is written.
    // BOUNDED: by `Limits.answeredAtOnceMax`.
    private var busy: Set<CID> = []
    /// Questions that are answered at the moment, by peer.
    // BOUNDED: the same.
    private var answered: [PeerID: Int] = [:]
    private var rates: PeerRates
    // BOUNDED: by `Limits.disputesMax`.
    private var disputes: [CID: Dispute] = [:]
    /// Why claims could not be decided, and how often that was tried.
    // BOUNDED: like `rows`.
    private var undecided: [CID: (tries: Int, reason: String)] = [:]
    private let waiting: AsyncStream<CID>
    private let waits: AsyncStream<CID>.Continuation

    init(
        identity: Identity, store: MeshStore, host: any StreamHost, runner: JobRunner, issuers: Set<DID>,
        logger: Logger, limits: Limits = Limits()
    ) {
        (self.identity, self.store, self.runner, self.issuers) = (identity, store, runner, issuers)
        (self.logger, self.limits) = (logger, limits)
        exchange = ArbiterExchange(host: host)
        rates = PeerRates(perSecond: limits.questionsPerSecondPerPeerMax, burst: limits.questionsBurstPerPeerMax)
        // BOUNDED: by `Limits.disputesMax`.
        (waiting, waits) = AsyncStream.makeStream(of: CID.self)
    }

    /// Joins the protocol, if the owner named issuers.
    func begin(
        admitting admits: @escaping @Sendable (PeerID) async -> Bool,
        blame: @escaping @Sendable (PeerID, String) async -> Void
    ) async throws(NodeServiceError) {
        guard !issuers.isEmpty else { return }
        try await load()
        await exchange.serve { [weak self] peer in
            if await admits(peer) { await self?.takes(from: peer) ?? false } else { false }
        } blame: { peer, fault in
            await blame(peer, fault)
        } answer: { [weak self] peer, question in
            await self?.answer(question, from: peer) ?? .refused(reason: .full, text: "This node ends.")
        }
    }

    /// Reads what is kept from the disk.
    func load() async throws(NodeServiceError) {
        guard !isLoaded else { return }
        for row in try await stored({ () throws(MeshStoreError) in try await LodgingRow.all(in: store) }) {
            rows[row.hold] = row
        }
        isLoaded = true
    }

    private func takes(from peer: PeerID) -> Bool { rates.take(peer, now: NodeClock.now) }

    /// Decides about disputed claims one after the other, and forgets what is over, until the task is cancelled.
    func run() async {
        guard !issuers.isEmpty else { return }
        await withDiscardingTaskGroup { group in
            group.addTask { await self.decideAll() }
            group.addTask {
                repeat {
                    await self.forgetOld()
                } while (try? await Task.sleep(for: .milliseconds(self.limits.lookMilliseconds))) != nil
            }
        }
    }

    private nonisolated func decideAll() async {
        await withTaskGroup(of: Void.self) { group in
            var underWay = 0
            for await hold in waiting {
                if underWay == limits.decidedAtOnceMax {
                    await group.next()
                    underWay -= 1
                }
                underWay += 1
                group.addTask { await self.decide(hold) }
            }
        }
    }

    private func forgetOld() async {
        let now = NodeClock.wallClock.value
        for row in rows.values where row.until < now && !busy.contains(row.hold) && disputes[row.hold] == nil {
            let write = StoreWrite.lodging(.forgotten(hold: row.hold))
            guard (try? await store.commit([write], of: .ofArbiter("forgotten"))) != nil else { return }
            rows[row.hold] = nil
            undecided[row.hold] = nil
        }
    }

    // MARK: Answers

    private static func invalid(_ text: String) -> ArbiterAnswer { .refused(reason: .invalid, text: text) }

    func answer(_ question: ArbiterQuestion, from peer: PeerID) async -> ArbiterAnswer {
        guard let did = (try? PublicKey(peerID: peer))?.did else { return Self.invalid("The key has no DID.") }
        let hold: CID
        switch question {
        case .keep(let block, let part):
            switch certificate(block, for: did) {
            case .refused(let text): return Self.invalid(text)
            case .right(let certificate):
                return await alone(peer, certificate.body.holdCID) { await self.keep(part, under: certificate) }
            }
        case .part(let named, _): hold = named
        case .decide(let named, _, _, _, _): hold = named
        }
        guard let row = rows[hold], row.statement != nil,
            let terms = (try? SignedObject<HoldCertificate>(reading: row.certificate, .stored))?.body.terms,
            terms.originatorDID == did
        else { return .refused(reason: .unknown, text: "Nothing is kept for you under this hold.") }
        switch question {
        case .part(_, let number):
            return await alone(peer, nil) { await self.part(number, of: row) }
        case .decide(_, let claim, let dispute, let manifest, let key):
            return take(claim, dispute, manifest, key, of: row, from: peer)
        case .keep: return Self.invalid("It is no question.")
        }
    }

    /// Answers a few questions at a time, fewer of one peer, and one alone that writes a part of what is left for a
    /// hold.
    private func alone(
        _ peer: PeerID, _ hold: CID?, _ body: () async -> ArbiterAnswer
    ) async -> ArbiterAnswer {
        let own = answered[peer] ?? 0
        guard own < limits.answeredAtOncePerPeerMax,
            answered.values.reduce(0, +) < limits.answeredAtOnceMax, hold.map({ busy.insert($0).inserted }) ?? true
        else { return .refused(reason: .full, text: "Too much is asked of this node at once.") }
        answered[peer] = own + 1
        defer {
            if let hold { busy.remove(hold) }
            let left = (answered[peer] ?? 1) - 1
            answered[peer] = left > 0 ? left : nil
        }
        return await body()
    }

    /// A certificate, if something may be left under it.
    private enum Certificate {
        case right(SignedObject<HoldCertificate>)
        case refused(String)
    }

    private func certificate(_ block: [UInt8], for executor: DID) -> Certificate {
        guard let certificate = try? SignedObject<HoldCertificate>(reading: block) else {
            return .refused("The certificate does not verify.")
        }
        guard issuers.contains(certificate.did) else { return .refused("This node is no arbiter for that issuer.") }
        let terms = certificate.body.terms
        guard terms.arbiterDID == identity.did, terms.executorDID == executor else {
            return .refused("The hold has another arbiter, or another executor.")
        }
        return .right(certificate)
    }

    // MARK: What is kept

    private func keep(_ part: SealedPart, under certificate: SignedObject<HoldCertificate>) async -> ArbiterAnswer {
        let (hold, terms) = (certificate.body.holdCID, certificate.body.terms)
        guard part.isPossible else { return Self.invalid("There is no such part.") }
        if let row = rows[hold], let statement = row.statement {
            return row.receipt == part.receiptCID
                ? .kept(statement: statement) : Self.invalid("Another result is kept for this hold.")
        }
        let now = NodeClock.wallClock
        guard now <= terms.deliverBy else { return Self.invalid("The time for the delivery is over.") }
        var row: LodgingRow
        if part.number == 0 {
            row = LodgingRow(
                hold: hold, executor: terms.executorDID.text, receipt: part.receiptCID, count: part.count,
                bytes: 0, until: terms.deliverBy.value, certificate: certificate.bytes)
        } else {
            guard let begun = rows[hold], begun.receipt == part.receiptCID, begun.count == part.count else {
                return .wanted(number: 0)
            }
            row = begun
            guard part.number == row.kept else { return .wanted(number: row.kept) }
        }
        row.kept = part.number + 1
        row.bytes += UInt64(part.bytes.count)
        if let text = reasonNoRoom(for: row, of: terms.executorDID) { return .refused(reason: .full, text: text) }
        if row.kept == row.count {
            // Until then it goes when nothing more can come.
            row.until = Self.end(of: terms, from: terms.claimBy).advanced(milliseconds: limits.keptMilliseconds).value
            let statement = DeliveryStatement(
                keeperDID: identity.did, receiptCID: part.receiptCID, bidCID: terms.bidCID, deliveredAt: now)
            guard let signed = try? SignedObject.sign(statement, with: identity) else {
                return .refused(reason: .full, text: "The statement could not be signed.")
            }
            row.statement = signed.bytes
        }
        // Its room is taken from here on.
        let before = rows.updateValue(row, forKey: hold)
        do {
            try await store.commit(
                [.lodging(.part(row, number: part.number, bytes: part.bytes))],
                of: .ofArbiter(row.statement == nil ? "part_kept" : "result_kept"))
        } catch {
            rows[hold] = before
            return .refused(reason: .full, text: "This node's disk takes nothing now.")
        }
        return row.statement.map { .kept(statement: $0) } ?? .wanted(number: row.kept)
    }

    /// Why there is no room for a result with its next part; nil if there is.
    private func reasonNoRoom(for row: LodgingRow, of executor: DID) -> String? {
        let others = rows.values.filter { $0.hold != row.hold }
        let own = others.filter { $0.executor == executor.text }
        func isOver(_ kept: [LodgingRow], _ share: UInt64) -> Bool {
            UInt64(kept.count) >= UInt64(limits.countMax) / share
                || kept.reduce(row.bytes) { $0 + $1.bytes } > limits.bytesMax / share
        }
        if isOver(others, 1) { return "This node keeps as many results as it may." }
        return isOver(own, limits.executorShare) ? "This node keeps as much of yours as it may." : nil
    }

    private func part(_ number: UInt64, of row: LodgingRow) async -> ArbiterAnswer {
        guard number < row.count, let bytes = try? await LodgingRow.part(number, of: row.hold, in: store) else {
            return .refused(reason: .unknown, text: "There is no such part.")
        }
        return .part(part: SealedPart(receiptCID: row.receipt, number: number, count: row.count, bytes: bytes))
    }

    // MARK: Disputes

    private func take(
        _ claimBlock: [UInt8], _ disputeBlock: [UInt8], _ manifestBlock: [UInt8], _ secret: [UInt8],
        of row: LodgingRow, from originator: PeerID
    ) -> ArbiterAnswer {
        if let decision = row.decision { return .decided(decision: decision) }
        if disputes[row.hold] != nil { return .undecided }
        if let last = undecided[row.hold], last.tries >= limits.triesMax {
            return .refused(reason: .undecidable, text: last.reason)
        }
        guard disputes.count < limits.disputesMax,
            disputes.values.count(where: { $0.originator == originator }) < limits.disputesPerOriginatorMax
        else {
            return .refused(reason: .full, text: "As many disputes wait as this node takes.")
        }
        guard let certificate = try? SignedObject<HoldCertificate>(reading: row.certificate, .stored).body,
            let claim = try? SignedObject<HoldClaim>(reading: claimBlock),
            let work = try? certificate.work(of: claim), work.receipt.cid == row.receipt
        else { return Self.invalid("The claim is not for what is kept here.") }
        guard let dispute = try? SignedObject<HoldDispute>(reading: disputeBlock),
            dispute.did == certificate.terms.originatorDID, dispute.body.claimCID == claim.bodyCID
        else { return Self.invalid("The dispute is not the originator's, or about another claim.") }
        guard let manifest = try? SignedObject<JobManifest>(verifying: manifestBlock),
            JobID(manifest.cid) == certificate.terms.jobID
        else { return Self.invalid("The manifest is of another job.") }
        if let refusal = JobRules().refusal(of: manifest.body.params) {
            return Self.invalid("Nobody runs such a job: \(refusal).")
        }
        guard let key = SealingKey(secret: secret), key.publicBytes == work.assignment.body.sealingKey else {
            return Self.invalid("The key is not that of the assignment.")
        }
        disputes[row.hold] = Dispute(
            work: work, claimCID: claim.bodyCID, manifest: manifest, key: key, due: work.due(of: certificate),
            originator: originator,
            until: Self.end(of: certificate.terms, from: NodeClock.wallClock))
        waits.yield(row.hold)
        return .undecided
    }

    /// When the book takes no decision any more about a claim that was disputed by now.
    private static func end(of terms: HoldTerms, from now: UnixMilliseconds) -> UnixMilliseconds {
        min(now, terms.claimBy).advanced(milliseconds: terms.windowMilliseconds)
            .advanced(milliseconds: terms.extensionMilliseconds)
    }

    private func decide(_ hold: CID) async {
        defer { disputes[hold] = nil }
        guard let dispute = disputes[hold], let row = rows[hold] else { return }
        let payable: TokenAmount
        switch await finding(of: dispute, row) {
        case .confirmed: payable = dispute.due
        case .fuelUnknown(let fuel):
            // Another engine's fuel is not this one's; what this run used is the most that it bears out.
            let receipt = dispute.work.receipt.body
            let least = min(fuel, receipt.resourceUsage.fuel)
            payable = min(dispute.due, dispute.work.assignment.body.terms.due(for: receipt.outcome, fuel: least))
        case .refuted, .claimRefuted: payable = .zero
        case .doubtful(let reason), .notMade(let reason):
            undecided[hold] = ((undecided[hold]?.tries ?? 0) + 1, reason.cut(bytesMax: 1_024))
            logger.notice("A claim could not be decided.", metadata: ["hold": "\(hold)", "reason": "\(reason)"])
            return
        }
        let decision = HoldDecision(
            arbiterDID: identity.did, claimCID: dispute.claimCID, payable: payable, decidedAt: NodeClock.wallClock)
        guard let signed = try? SignedObject.sign(decision, with: identity) else { return }
        var decided = row
        decided.decision = signed.bytes
        guard (try? await store.commit([.lodging(.row(decided))], of: .ofArbiter("decided"))) != nil else { return }
        rows[hold] = decided
        logger.info(
            "A claim was decided.",
            metadata: ["job": "\(dispute.work.receipt.body.jobID)", "pays": "\(payable == .zero ? "nothing" : "all")"])
    }

    /// What comes of opening what is kept, and of making the run again.
    private func finding(of dispute: Dispute, _ row: LodgingRow) async -> ReplayFinding {
        let receipt = dispute.work.receipt
        guard row.count <= SealedPart.Limits.countMax(of: dispute.manifest.body.params) else {
            return .claimRefuted(reason: "what was left here is longer than a result of the job can be")
        }
        var parts: [[UInt8]] = []
        for number in 0..<row.count {
            guard let part = try? await LodgingRow.part(number, of: row.hold, in: store) else {
                return .notMade(reason: "what was kept cannot be read")
            }
            parts.append(part)
        }
        guard let archive = SealedResult.open(parts, with: dispute.key, of: receipt.cid, for: row.hold),
            LodgedResult(archive, of: receipt) != nil
        else { return .claimRefuted(reason: "what was left here is not the claimed result") }
        let (manifest, assignment) = (dispute.manifest.body, dispute.work.assignment.body)
        if let fault = ReceiptRules().fault(of: receipt.body, assignment: assignment, manifest: manifest) {
            return .claimRefuted(reason: "\(fault)")
        }
        let (longest, isOver) = manifest.params.timeoutSeconds.multipliedReportingOverflow(
            by: 1_000 * limits.replayTimesMax)
        let order = CheckOrder(
            jobID: receipt.body.jobID, receipt: receipt, manifest: manifest, terms: assignment.terms, check: .replay,
            wallClockMilliseconds: isOver ? .max : longest)
        // Later nobody wants it any more.
        let left = dispute.until.milliseconds(since: NodeClock.wallClock)
        let (checker, cancellation) = (ReceiptChecker(runner: runner), ExecutionCancellation())
        return await withTaskGroup(of: ReplayFinding?.self) { group in
            group.addTask { await checker.finding(of: order, cancellation, from: [dispute.originator]) }
            group.addTask {
                try? await Task.sleep(for: .milliseconds(Int64(clamping: left)))
                cancellation.cancel()
                return nil
            }
            var found = ReplayFinding.notMade(reason: "the time for it is over")
            while let next = await group.next() {
                guard let next else { continue }
                found = next
                group.cancelAll()
            }
            return found
        }
    }
}
