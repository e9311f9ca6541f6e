import Credit
import DequeModule
import IPLD
import JobMarket
import LibP2P
import Logging
import MerkleLog
import MeshStore
import MeshTypes
import Multiformats
import NodeAPI
import NodeSetup
import OrderedCollections
import P2PServices
import PeerIdentity
import Reputation
import SignedObjects

/// Records that travel: tells others that receipts of this node's jobs were paid, with the issuer's proof of it, and
/// checks what others tell (PROTOCOL.md, "Records that travel").
///
/// Nothing here waits for it, and it waits for nothing: what comes while it has enough to do is left out, and is told
/// again by its rater.
actor RecordDesk {
    /// Every bound of it.
    struct Limits: Sendable {
        /// Records that are checked at once, of one rater one alone; another one is left out.
        var checksAtOnceMax = 4
        /// Of these, of raters of whom none held yet: keys are free.
        var newRatersAtOnceMax = 2
        /// How long one may take, in milliseconds.
        var checkMilliseconds: Int64 = 20_000
        /// How long a rater is not listened to after one that did not hold, or whose proof did not come, in
        /// milliseconds.
        var pauseMilliseconds: Int64 = 600_000
        /// Raters that are remembered, those that kept their word and those that did not; the last.
        var ratersMax = 1_024
        /// Receipts that are remembered, so that each is checked once; the last.
        var receiptsMax = 4_096
        /// Paid holds that wait to be told; of more, the oldest are not.
        var waitingMax = 256
        /// How long it rests after each that it told, in milliseconds.
        var tellMilliseconds: Int64 = 1_000
        /// How often one of the last is told again, in milliseconds, for those who came since.
        var repeatMilliseconds: Int64 = 60_000
        /// Records that are told again; the newest.
        var repeatedMax = 32
        /// How often the proof of one is asked for at an issuer that is away, or busy.
        var triesMax = 8
        /// How long it rests before it asks such an issuer again, in milliseconds.
        var retryMilliseconds: Int64 = 30_000

        /// The defaults.
        init() {}
    }

    /// A hold that was settled for a job of this node.
    struct PaidHold: Hashable, Sendable {
        /// Whose book.
        let issuerDID: DID
        /// The entry that granted it.
        let granted: UInt64
        /// The entry that settled it.
        let settled: UInt64
        /// How often its proof was asked for in vain.
        var tries = 0
    }

    /// What a check showed.
    enum Finding: Sendable {
        /// The record holds, and shows this.
        case holds(ReputationEvidence)
        /// The issuer told two histories.
        case issuerConvicted(DID)
    }

    /// Where the records that are told again are kept.
    static let toldKey = "records_told"

    /// Fetches a block from a peer, or from whoever has it.
    typealias Fetch = @Sendable (CID, PeerID) async throws -> [UInt8]

    private let member: MemberDesk
    private let gossip: GossipService
    private let fetch: Fetch
    private let settings: RunningSettings
    private let logger: Logger
    private let limits: Limits
    /// Raters whose records are checked at the moment.
    // BOUNDED: by `Limits.checksAtOnceMax`.
    private var checked: Set<DID> = []
    /// Raters of whom a record held.
    // BOUNDED: by `Limits.ratersMax`, as are those who are not listened to; the receipts by `Limits.receiptsMax`.
    private var honest = OrderedSet<DID>()
    private var paused = OrderedDictionary<DID, ContinuousClock.Instant>()
    private var seen = OrderedSet<CID>()
    // BOUNDED: by `Limits.waitingMax`.
    private var waiting = Deque<PaidHold>()
    /// The last records that were told, the oldest first.
    // BOUNDED: by `Limits.repeatedMax`.
    private var told = Deque<[UInt8]>()
    /// Which of them is told again next.
    private var next = 0
    private let bell = SharedBell()

    private nonisolated var did: DID { member.identity.did }
    private nonisolated var store: MeshStore { member.store }

    init(
        member: MemberDesk, gossip: GossipService, settings: RunningSettings, logger: Logger,
        limits: Limits = Limits(), fetch: @escaping Fetch
    ) {
        (self.member, self.gossip, self.fetch, self.settings) = (member, gossip, fetch, settings)
        (self.logger, self.limits) = (logger, limits)
    }

    /// The record that was told last.
    var lastTold: [UInt8]? { told.last }

    // MARK: Telling

    /// Notes that a hold for a job of this node was settled, to be told when there is time.
    func settled(_ hold: PaidHold) {
        guard settings.configuration.holds.tellsPaid else { return }
        waiting.append(hold)
        if waiting.count > limits.waitingMax { waiting.removeFirst() }
        bell.ring()
    }

    /// Tells what is to be told, until the task is cancelled.
    func run() async {
        if let kept = try? await store.setting(Self.toldKey),
            let records = try? DAGCBORDecoder().decode([[UInt8]].self, from: kept)
        {
            told = Deque(records.suffix(limits.repeatedMax))
        }
        await withDiscardingTaskGroup { group in
            group.addTask { await self.tellAgain() }
            for await _ in bell.listen() {
                while let hold = waiting.popFirst() {
                    let rest = await tell(hold)
                    guard (try? await Task.sleep(for: .milliseconds(rest))) != nil else { return }
                }
            }
        }
    }

    private func tellAgain() async {
        while (try? await Task.sleep(for: .milliseconds(limits.repeatMilliseconds))) != nil {
            guard settings.configuration.holds.tellsPaid, !told.isEmpty else { continue }
            next = (next + 1) % told.count
            let record = told[next]
            // Nobody can check one whose proof made room for other blocks.
            guard let proof = (try? SignedObject<ReputationRecord>(verifiedBefore: record))?.body.pay.proofCID,
                (try? await store.block(proof)) != nil
            else { continue }
            await publish(record)
        }
    }

    /// Tells that a hold was paid, and says how long to rest, in milliseconds.
    private func tell(_ hold: PaidHold) async -> Int64 {
        guard settings.configuration.holds.tellsPaid else { return 0 }
        do throws(NodeServiceError) {
            guard let (record, proof) = try await record(of: hold) else { return 0 }
            told.append(record.bytes)
            if told.count > limits.repeatedMax { told.removeFirst() }
            let kept = try? DAGCBOREncoder().encode(Array(told))
            try await stored { () throws(MeshStoreError) in
                try await store.commit(
                    [.block(cid: proof.cid, bytes: proof.bytes)]
                        + (kept.map { [.setting(key: Self.toldKey, value: $0)] } ?? []))
            }
            await publish(record.bytes)
        } catch {
            logger.info(
                "A paid receipt is not told to others.",
                metadata: ["issuer": "\(hold.issuerDID)", "entry": "\(hold.settled)", "reason": "\(error.message)"])
            guard [.peerUnreachable, .overloaded].contains(error.code), hold.tries + 1 < limits.triesMax else {
                return limits.tellMilliseconds
            }
            var again = hold
            again.tries += 1
            waiting.append(again)
            if waiting.count > limits.waitingMax { waiting.removeFirst() }
            return limits.retryMilliseconds
        }
        return limits.tellMilliseconds
    }

    /// The record of a settled hold, and the block of its proof; nil if it is not one of this node's jobs, or too long.
    private func record(
        of hold: PaidHold
    ) async throws(NodeServiceError) -> (SignedObject<ReputationRecord>, proof: (cid: CID, bytes: [UInt8]))? {
        let issuer = try await member.meet(hold.issuerDID)
        guard let granted = try await opened(hold.granted, at: issuer),
            let settled = try await opened(hold.settled, at: issuer),
            let block = PaidReceipt(
                charter: issuer.charter.bytes, head: issuer.note.bytes, granted: granted, settled: settled
            ).block
        else { return nil }
        let pay: PaidReceipt.Pay
        do {
            pay = try PaidReceipt(reading: block).verified()
        } catch {
            throw MemberDesk.faulty("\(error)")
        }
        guard pay.receipt.originatorDID == did, pay.receipt.executorDID != did else { return nil }
        let cid = CID.hashing(block, codec: .dagCBOR)
        let record = ReputationRecord(
            raterDID: did, subjectDID: pay.receipt.executorDID, receiptCID: pay.receiptCID, verdict: .fulfilled,
            weight: pay.amount, recordedAt: NodeClock.wallClock,
            pay: RecordedPay(issuerDID: pay.issuerDID, settlementCID: pay.settlementCID, proofCID: cid))
        guard pay.evidence(proof: cid) != nil, let signed = try? SignedObject.sign(record, with: member.identity) else {
            return nil
        }
        return (signed, (cid, block))
    }

    private func opened(_ number: UInt64, at issuer: KnownIssuer) async throws(NodeServiceError) -> OpenedEntry? {
        guard number < issuer.head.size,
            case .entries(let page, _) = try await member.ask(
                issuer.charter.did, .statement(from: number, size: issuer.head.size))
        else { return nil }
        return page.first.flatMap { $0.number == number ? $0 : nil }
    }

    private nonisolated func publish(_ record: [UInt8]) async {
        let message = MeshProtocolMessage.reputationRecordAvailable(ReputationRecordAvailableV1(record: record))
        guard let bytes = try? message.encoded() else { return }
        // Where gossip takes nothing now, it is told again later.
        _ = try? await gossip.publish(bytes, topic: MeshTopics.reputation)
    }

    // MARK: Checking

    /// Checks what a record cites, and tells what it shows; leaves it out if its issuer is none that this node trusts,
    /// or if enough are checked already.
    func check(_ record: ReputationRecord, _ tell: @Sendable (Finding) async -> Void) async {
        let rater = record.raterDID
        guard await trustedIssuers().contains(record.pay.issuerDID), !seen.contains(record.receiptCID), begins(rater)
        else { return }
        defer { checked.remove(rater) }
        let proof = try? await withDeadline(milliseconds: limits.checkMilliseconds) { [fetch] in
            try await fetch(record.pay.proofCID, rater.peerID)
        }
        guard let proof else { return pause(rater) }
        do throws(PaidReceipt.Fault) {
            let pay = try PaidReceipt(reading: proof).verified()
            guard let evidence = pay.evidence(of: record) else { return refuse(record, "it proves something else") }
            switch await standing(of: pay) {
            case .same: break
            case .unknown: return
            case .other: return refuse(record, "the issuer shows another log")
            case .convicted: return await tell(.issuerConvicted(pay.issuerDID))
            }
            trust(rater)
            seen.append(record.receiptCID)
            if seen.count > limits.receiptsMax { seen.removeFirst() }
            // Whoever hears of it later may have it here, too.
            try? await store.commit([.block(cid: record.pay.proofCID, bytes: proof)])
            await tell(.holds(evidence))
        } catch {
            refuse(record, "\(error)")
        }
    }

    /// Whether a record of a rater is checked now; then it has one of the places.
    private func begins(_ rater: DID) -> Bool {
        if isPaused(rater) { return false }
        let isNew = !honest.contains(rater)
        let newcomers = checked.count { !honest.contains($0) }
        guard checked.count < limits.checksAtOnceMax, !isNew || newcomers < limits.newRatersAtOnceMax else {
            return false
        }
        return checked.insert(rater).inserted
    }

    /// Notes that a record of a rater held.
    func trust(_ rater: DID) {
        honest.remove(rater)
        honest.append(rater)
        if honest.count > limits.ratersMax { honest.removeFirst() }
    }

    /// Whether a rater is not listened to now.
    func isPaused(_ rater: DID) -> Bool { paused[rater].map { ContinuousClock.now < $0 } ?? false }

    private func pause(_ rater: DID) {
        paused.removeValue(forKey: rater)
        paused[rater] = .now + .milliseconds(limits.pauseMilliseconds)
        if paused.count > limits.ratersMax { paused.removeFirst() }
    }

    /// How a proof's log stands to the one that its issuer shows this node.
    private enum Standing { case same, other, unknown, convicted }

    /// Whether the issuer shows this node the charter of a proof, and a log that begins with its head: who signs a
    /// private history for records alone is found out.
    private func standing(of pay: PaidReceipt.Pay) async -> Standing {
        do throws(NodeServiceError) {
            let issuer = try await member.meet(pay.issuerDID)
            guard issuer.charter.bodyCID == pay.charterCID, pay.head.size <= issuer.head.size else { return .other }
            if pay.head.size == issuer.head.size {
                guard pay.head.root != issuer.head.root, let note = SignedNote(bytes: pay.note) else { return .same }
                try await member.convict(issuer, note)
                return .other
            }
            let size = issuer.head.size
            guard
                case .head(_, let proof) = try await member.ask(
                    pay.issuerDID, .head(since: pay.head.size, size: size)), let hashes = MerkleHash.list(of: proof)
            else { return .unknown }
            return issuer.head.extends(pay.head, proof: hashes) ? .same : .other
        } catch {
            let isConvicted = try? await member.convicted(pay.issuerDID) != nil
            return isConvicted == true ? .convicted : .unknown
        }
    }

    /// The issuers whose bookings this node believes: it lets itself be paid there, or has a line there, and knows of
    /// no second history of that log.
    func trustedIssuers() async -> Set<DID> {
        let known = (try? await member.all()) ?? []
        let named = settings.configuration.executor.trustedIssuers.map(\.issuerDID)
        return Set(named + known.filter { !$0.lines.isEmpty }.map(\.charter.did))
            .subtracting(known.filter { !$0.fault.isEmpty }.map(\.charter.did))
    }

    private func refuse(_ record: ReputationRecord, _ reason: String) {
        pause(record.raterDID)
        logger.info(
            "A record of reputation does not hold.",
            metadata: ["rater": "\(record.raterDID)", "receipt": "\(record.receiptCID)", "reason": "\(reason)"])
    }
}

extension PaidReceipt.Pay {
    /// What it shows of the executor; nil if that is nothing, as of a run that ended by a fault which nobody checked.
    func evidence(proof: CID) -> ReputationEvidence? {
        let seen = ReputationEvidence(
            receipt: receipt, receiptCID: receiptCID, isChecked: false, takenAt: bookedAt)
        guard var evidence = seen, evidence.verdict == .fulfilled, payerDID != receipt.executorDID else { return nil }
        // The line that paid, and not whoever had the job run: keys are free, lines are not.
        evidence.payer = payerDID
        evidence.pay = ProvedPay(issuerDID: issuerDID, amount: amount, unit: unit, proofCID: proof)
        return evidence
    }

    /// What it shows as the proof of a record; nil if that says something else.
    func evidence(of record: ReputationRecord) -> ReputationEvidence? {
        guard issuerDID == record.pay.issuerDID, settlementCID == record.pay.settlementCID,
            receiptCID == record.receiptCID, amount == record.weight, receipt.originatorDID == record.raterDID,
            receipt.executorDID == record.subjectDID
        else { return nil }
        return evidence(proof: record.pay.proofCID)
    }
}
