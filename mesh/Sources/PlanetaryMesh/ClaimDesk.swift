import Credit
import IPLD
import JobMarket
import LibP2P
import Logging
import MerkleLog
import MeshStore
import MeshTypes
import Multiformats
import NodeAPI
import NodeCore
import SignedObjects

/// This node as an originator whose holds are claimed with an arbiter's word: it fetches what was left for it, takes it
/// as if the executor had delivered it, and disputes what is not the claimed result.
///
/// Nothing of it is kept: what the issuer's log, the arbiter and the market say leads to the same steps after a
/// restart.
actor ClaimDesk {
    /// Every bound of it.
    struct Limits: Sendable {
        /// How long after a start it looks for claims first, in milliseconds: what can be disputed may end soon.
        var firstLookMilliseconds: Int64 = 2_000
        /// How often it looks for claims, in milliseconds.
        var lookMilliseconds: Int64 = 20_000
        /// Entries about holds that are read at once.
        var entriesAtOnceMax = 64
        /// How long the step about one claim may take, without what is fetched, in milliseconds.
        var stepMilliseconds: Int64 = 60_000
        /// Results that are fetched at once, one of an arbiter: each is held in memory.
        var fetchesAtOnceMax = 2
        /// How often a part is asked for that an arbiter does not give, and how long before that, in milliseconds.
        var partTriesMax = 64
        var partMilliseconds: Int64 = 500
        /// The last part of a claim's window, in which what is being checked is disputed: one in so many.
        var lastShare: UInt64 = 8

        /// The defaults.
        init() {}
    }

    /// A claim in an issuer's log.
    private struct Claimed: Sendable {
        let issuer: DID
        let hold: CID
        let claim: [UInt8]
        let entry: BookEntry
        /// Whether its result was fetched: true if it is as claimed.
        var isWhole: Bool?
        /// Whether a step about it is taken.
        var isUnderWay = false
    }

    /// What belongs to a claim.
    private struct Found: Sendable {
        let hold: CID
        /// The hold by which the arbiter knows the result: that of the executor's issuer.
        let kept: CID
        let claim: SignedObject<HoldClaim>
        let entry: BookEntry
        let work: DoneWork
        let certificate: HoldCertificate
        /// The certificate as it was signed.
        let promise: [UInt8]
        let manifest: [UInt8]
    }

    private let parts: NodeParts
    private let limits: Limits
    private let arbiters: ArbiterExchange
    /// The entry from which each issuer's book is read.
    // BOUNDED: by `MemberDesk.Limits.issuersMax`.
    private var cursors: [DID: UInt64] = [:]
    /// Issuers whose books are read.
    // BOUNDED: by `MemberDesk.Limits.issuersMax`.
    private var reading: Set<DID> = []
    /// Arbiters of which a result is fetched.
    // BOUNDED: by `Limits.fetchesAtOnceMax`.
    private var fetching: Set<DID> = []
    /// Issuers where others' lines may pay for jobs of this node.
    // BOUNDED: by `TokenWallet.Limits.chainsMax`.
    private var byTokens: Set<DID> = []
    /// Claims about which something may have to be done.
    // BOUNDED: by the live holds of this node at issuers (`IssuerBook.Limits`, 64 of an originator).
    private var claims: [CID: Claimed] = [:]

    init(parts: NodeParts, limits: Limits = Limits()) {
        (self.parts, self.limits) = (parts, limits)
        arbiters = ArbiterExchange(host: parts.swarm)
    }

    private var store: MeshStore { parts.store }

    /// Looks for claims again and again, until the task is cancelled. A look begins whatever an earlier one waits for.
    func run(on node: MeshNode) async {
        await withDiscardingTaskGroup { group in
            var pause = limits.firstLookMilliseconds
            while (try? await Task.sleep(for: .milliseconds(pause))) != nil {
                group.addTask { await self.look(on: node) }
                pause = limits.lookMilliseconds
            }
        }
    }

    /// Looks once at every issuer at which this node has a line or a token, at all of them at once, and takes the next
    /// step about every claim.
    func look(on node: MeshNode) async {
        let issuers = (try? await parts.member.all()) ?? []
        byTokens = (try? await TokenDesk(member: parts.member).issuers()) ?? byTokens
        await withDiscardingTaskGroup { group in
            for issuer in issuers
            where issuer.fault.isEmpty && (!issuer.lines.isEmpty || byTokens.contains(issuer.charter.did)) {
                group.addTask { await self.look(at: issuer.charter.did, on: node) }
            }
        }
    }

    private func look(at did: DID, on node: MeshNode) async {
        if reading.insert(did).inserted {
            defer { reading.remove(did) }
            do throws(NodeServiceError) {
                // Without a hold nothing is claimed.
                var isHeld = byTokens.contains(did)
                if !isHeld {
                    isHeld = try await parts.member.lines(at: did).lines.contains { $0.leaving > 0 }
                }
                if isHeld { try await read(did) }
            } catch {
                parts.logger.debug("An issuer was not asked for claims.", metadata: ["reason": "\(error.message)"])
            }
        }
        await withDiscardingTaskGroup { group in
            for claimed in claims.values where claimed.issuer == did && !claimed.isUnderWay {
                claims[claimed.hold]?.isUnderWay = true
                group.addTask { await self.step(claimed, on: node) }
            }
        }
    }

    /// Reads what is new in an issuer's book.
    private func read(_ did: DID) async throws(NodeServiceError) {
        let issuer = try await parts.member.meet(did)
        while true {
            let entries = try await parts.member.entries(
                at: issuer, from: cursors[did] ?? 0, limit: limits.entriesAtOnceMax
            ) { $0.event.hold != nil }
            for entry in entries {
                guard let hold = entry.event.hold else { continue }
                switch entry.event {
                case .claimLodged(_, let block, _):
                    claims[hold] = Claimed(issuer: did, hold: hold, claim: block, entry: entry)
                case .holdSettled, .holdReleased, .holdExpired, .claimDecided, .claimPaid: claims[hold] = nil
                default: break
                }
            }
            guard entries.count >= limits.entriesAtOnceMax, let last = entries.last else { break }
            cursors[did] = last.number + 1
        }
        cursors[did] = issuer.head.size
    }

    /// What is left to do about a claim.
    private enum Next: Sendable {
        case nothing
        case later
        case fetching(Found)
    }

    /// Takes the next step about a claim; one that fails is taken again. Others go on while its result is fetched.
    private func step(_ claimed: Claimed, on node: MeshNode) async {
        let next = try? await withDeadline(milliseconds: limits.stepMilliseconds) {
            try await self.attend(to: claimed, on: node)
        }
        claims[claimed.hold]?.isUnderWay = false
        switch next {
        case .nothing?: claims[claimed.hold] = nil
        case .later?, nil: break
        case .fetching(let found)?:
            let arbiter = found.certificate.terms.arbiterDID
            guard fetching.count < limits.fetchesAtOnceMax, fetching.insert(arbiter).inserted else { return }
            defer { fetching.remove(arbiter) }
            let end = claimed.entry.at.advanced(milliseconds: found.certificate.terms.windowMilliseconds)
            let left = Int64(clamping: end.milliseconds(since: NodeClock.wallClock))
            let isWhole = try? await withDeadline(milliseconds: left) { await self.fetch(found, on: node) }
            guard let isWhole else { return }
            claims[claimed.hold]?.isWhole = isWhole
            // The time for a dispute may be over by the next look.
            guard !isWhole, let found = claims[claimed.hold], !found.isUnderWay else { return }
            claims[claimed.hold]?.isUnderWay = true
            await step(found, on: node)
        }
    }

    // MARK: One claim

    /// Takes the next step about a claim, but for fetching its result.
    private func attend(to claimed: Claimed, on node: MeshNode) async throws(NodeServiceError) -> Next {
        guard let claim = try? SignedObject<HoldClaim>(reading: claimed.claim),
            let delivery = try? SignedObject<DeliveryStatement>(reading: claim.body.delivery),
            // Its own word was given for what it paid.
            delivery.did != parts.identity.did,
            let found = try await found(claimed.hold, claim, claimed.entry, at: claimed.issuer)
        else { return .nothing }
        let terms = found.certificate.terms
        let row = try await stored { () throws(MeshStoreError) in
            try await HoldBookingRow.of(terms.jobID.cid, in: store).first { $0.hold == claimed.hold }
        }
        switch row?.booking?.state {
        case .disputed: return try await askArbiter(about: found, row) ? .nothing : .later
        case .ended, .lost, .claimed: return .nothing
        case .due:
            guard case .claimPaid? = row?.booking?.event else { return .later }
        case nil:
            // Where nothing speaks against it, it is paid when the time for a dispute is over.
            let date = claimed.entry.at.advanced(milliseconds: terms.windowMilliseconds + 1_000)
            try await book(.claimPaid(hold: claimed.hold), of: found, instead: nil, notBefore: date)
            return .later
        }
        let end = claimed.entry.at.advanced(milliseconds: terms.windowMilliseconds)
        let now = NodeClock.wallClock
        guard now < end else { return .nothing }
        let isLast = end.milliseconds(since: now) < terms.windowMilliseconds / limits.lastShare
        let isWhole = claims[claimed.hold]?.isWhole
        let reason =
            isWhole == false
            ? "what was left with the arbiter is not the claimed result"
            : await node.core.market.reasonNotDue(found.work.receipt, isLast: isLast)
        if let reason {
            try await dispute(found, reason, instead: row)
            return .later
        }
        return isWhole == nil ? .fetching(found) : .later
    }

    /// What belongs to a claim, if the hold is for a job of this node.
    private func found(
        _ hold: CID, _ claim: SignedObject<HoldClaim>, _ entry: BookEntry, at issuer: DID
    ) async throws(NodeServiceError) -> Found? {
        guard let assignment = try? SignedObject<Assignment>(verifying: claim.body.assignment).body,
            assignment.originatorDID == parts.identity.did
        else { return nil }
        let (row, manifest) = try await stored { () throws(MeshStoreError) in
            (
                try await HoldOrderRow.of(assignment.jobID.cid, attempt: assignment.attempt, in: store),
                try await store.block(assignment.jobID.cid)
            )
        }
        guard let row, let manifest, let order = try? SignedObject<PaymentOrder>(reading: row.bytes, .stored),
            order.bodyCID == hold
        else { return nil }
        // The same order is the same hold, with its certificate.
        guard
            case .taken(_, let certificate?, _) = try await parts.member.ask(
                issuer, .submit(event: try await TokenDesk(member: parts.member).event(for: order))),
            let signed = try? SignedObject<HoldCertificate>(reading: certificate), signed.did == issuer,
            signed.body.holdCID == hold, let work = try? signed.body.work(of: claim)
        else { return nil }
        let link = work.assignment.body.holdCID
        var shown: [UInt8]?
        if let link { shown = try await stored { () throws(MeshStoreError) in try await store.block(link) } }
        let below = shown.flatMap { try? SignedObject<HoldCertificate>(reading: $0) }?.body.holdCID
        return Found(
            hold: hold, kept: below ?? hold, claim: claim, entry: entry, work: work, certificate: signed.body,
            promise: signed.bytes, manifest: manifest)
    }

    /// Has something booked in the place of what was to be; not if that has changed meanwhile.
    private func book(
        _ event: BookEvent, of found: Found, instead row: HoldBookingRow?, notBefore date: UnixMilliseconds
    ) async throws(NodeServiceError) {
        let booking = HoldBooking(
            event, of: found.certificate, signed: found.promise, paying: found.work.due(of: found.certificate),
            notBefore: date)
        guard let next = try? HoldBookingRow(booking) else { return }
        let write = row.map { IssuerWrite.booked(next, was: $0.bytes) } ?? .firstBooking(next)
        try await stored { () throws(MeshStoreError) in
            try await store.commit([.issuer(write)], of: .ofBooking("\(event.name)_due"))
        }
    }

    // MARK: What was left

    /// Fetches what was left for a claim, and takes it as if it had been delivered: whether it is the claimed result;
    /// nil while its arbiter does not give it.
    private func fetch(_ found: Found, on node: MeshNode) async -> Bool? {
        let terms = found.certificate.terms
        let receipt = found.work.receipt
        await ReceiptAuditor(parts).reach([terms.arbiterDID.peerID])
        guard let params = try? SignedObject<JobManifest>(verifying: found.manifest).body.params else { return nil }
        let most = SealedPart.Limits.countMax(of: params)
        var sealed: [[UInt8]] = []
        var count: UInt64 = 1
        while UInt64(sealed.count) < count {
            let question = ArbiterQuestion.part(hold: found.kept, number: UInt64(sealed.count))
            var answer = try? await arbiters.ask(question, of: terms.arbiterDID.peerID)
            // What is here already is not fetched again because of one part.
            tries: for _ in 1..<limits.partTriesMax {
                switch answer {
                case nil, .refused(.full, _)?: break
                default: break tries
                }
                guard (try? await Task.sleep(for: .milliseconds(limits.partMilliseconds))) != nil else { return nil }
                answer = try? await arbiters.ask(question, of: terms.arbiterDID.peerID)
            }
            guard case .part(let part)? = answer, part.isPossible, part.number == UInt64(sealed.count),
                sealed.isEmpty || part.count == count
            else { return nil }
            // For another receipt it gave another word.
            guard part.receiptCID == receipt.cid, part.count <= most else { return false }
            count = part.count
            sealed.append(part.bytes)
        }
        let key = SealingKey(of: parts.identity, job: terms.jobID, attempt: terms.attempt)
        guard key.publicBytes == found.work.assignment.body.sealingKey,
            let archive = SealedResult.open(sealed, with: key, of: receipt.cid, for: found.kept),
            let result = LodgedResult(archive, of: receipt)
        else { return false }
        guard (try? await parts.fetcher.keep(result.blocks, of: terms.jobID.cid)) != nil else { return nil }
        let notice = ExecutionReceiptAvailableV1(
            jobID: terms.jobID, receiptCID: receipt.cid, executorDID: terms.executorDID, status: receipt.body.status,
            receipt: receipt.bytes, providerAddresses: [])
        guard let message = try? MeshProtocolMessage.executionReceiptAvailable(notice).encoded(),
            await node.answer(message, from: terms.executorDID.peerID) != nil
        else { return nil }
        parts.logger.info("A result was fetched from the arbiter of its hold.", metadata: ["job": "\(terms.jobID)"])
        return true
    }

    // MARK: Disputes

    private func dispute(
        _ found: Found, _ words: String, instead row: HoldBookingRow?
    ) async throws(NodeServiceError) {
        let reason = PlainText.sanitized(words, bytesMax: HoldDispute.Limits.reasonBytesMax)
        let body = HoldDispute(
            disputerDID: parts.identity.did, claimCID: found.claim.bodyCID, reason: reason,
            disputedAt: NodeClock.wallClock)
        guard let signed = try? SignedObject.sign(body, with: parts.identity) else { return }
        parts.logger.notice(
            "A claim is disputed.", metadata: ["job": "\(found.certificate.terms.jobID)", "reason": "\(reason)"])
        try await book(
            .claimDisputed(hold: found.hold, dispute: signed.bytes, lodging: nil), of: found, instead: row,
            notBefore: NodeClock.wallClock)
    }

    /// Asks the arbiter about a disputed claim, and has its decision booked if it pays less; returns whether that is
    /// over.
    private func askArbiter(
        about found: Found, _ row: HoldBookingRow?
    ) async throws(NodeServiceError) -> Bool {
        let terms = found.certificate.terms
        let body = HoldDispute(
            disputerDID: parts.identity.did, claimCID: found.claim.bodyCID, reason: "", disputedAt: found.entry.at)
        guard let dispute = try? SignedObject.sign(body, with: parts.identity) else { return true }
        let key = SealingKey(of: parts.identity, job: terms.jobID, attempt: terms.attempt)
        await ReceiptAuditor(parts).reach([terms.arbiterDID.peerID])
        let answer = try? await arbiters.ask(
            .decide(
                hold: found.kept, claim: found.claim.bytes, dispute: dispute.bytes, manifest: found.manifest,
                key: key.secret), of: terms.arbiterDID.peerID)
        switch answer {
        case .decided(let block):
            guard let decision = try? SignedObject<HoldDecision>(reading: block), decision.did == terms.arbiterDID,
                decision.body.claimCID == found.claim.bodyCID
            else { return true }
            // All of it is paid without its word, too.
            guard decision.body.payable < found.work.due(of: found.certificate) else { return true }
            try await book(
                .claimDecided(hold: found.hold, decision: block, lodging: nil), of: found, instead: row,
                notBefore: NodeClock.wallClock)
            return false
        case .refused(.undecidable, let text), .refused(.invalid, let text), .refused(.unknown, let text):
            parts.logger.warning(
                "An arbiter does not decide about a claim.",
                metadata: ["job": "\(terms.jobID)", "reason": "\(text.cut(bytesMax: 512))"])
            return true
        default: return false
        }
    }
}
