import Credit
import LibP2P
import Logging
import MerkleLog
import MeshStore
import MeshTypes
import Multiformats
import NodeAPI
import PeerIdentity
import SignedObjects

/// This node as an issuer that pays the members of others: what it holds for another issuer's line it has held there,
/// for the executor, and what becomes of the two is the same.
///
/// The book here follows the one there. Whatever somebody brings for a hold here is given to the other issuer first,
/// and booked once that one's log has it; what was brought there is read and booked here. So no two who are in league
/// have one receipt paid there and a cheaper one here. What is ordered there is a function of what was ordered here:
/// however often this node dies, it is one hold. Source: PROTOCOL.md, "Across two issuers".
actor AcrossDesk {
    /// Every bound of it.
    struct Limits: Sendable {
        /// How often it looks what became of holds at other issuers, in milliseconds.
        var lookMilliseconds: Int64 = 2_000
        /// Issuers that are asked at the same time; those first whose turn is longest ago.
        var issuersAtOnceMax = 16
        /// Holds that are ordered, and events that are given, at one issuer at the same time because somebody waits.
        var waitedPerIssuerMax = 4
        /// How long somebody waits for another issuer, in milliseconds: less than a member waits for this one.
        var waitMilliseconds: Int64 = 5_000
        /// How long one turn at an issuer takes at most, in milliseconds.
        var turnMilliseconds: Int64 = 60_000
        /// Holds of which nothing is known that are ordered again in one turn, as after a start.
        var orderedPerTurnMax = 16
        /// How long before such a hold is ordered again, in milliseconds.
        var pauseMilliseconds: Int64 = 30_000
        /// Entries about holds that are read at once.
        var entriesAtOnceMax = 64
        /// Holds that ended, and are proved to have, in one turn.
        var provedPerTurnMax = 8
        /// How often another issuer is asked what line it has for this one, in milliseconds.
        var neighbourMilliseconds: Int64 = 60_000
        /// The same while it did not say, in milliseconds.
        var unknownMilliseconds: Int64 = 5_000
        /// Issuers that members are told of, those first whose lines take most.
        var neighboursMax = 64

        /// The defaults.
        init() {}
    }

    /// A hold at another issuer.
    private struct Below {
        /// The CID of its order's body.
        let hold: CID
        /// The entry there that granted it.
        let grantedBy: UInt64
        /// Its certificate; nil where it was over already.
        let certificate: [UInt8]?
        /// The entry there from which it was not looked for yet.
        var next: UInt64
        /// Whether an entry there says that it is over, which is not proved yet.
        var isEnding = false
        /// Whether it is over there.
        var isOver = false
    }

    private let identity: Identity
    private let own: IssuerDesk
    private let member: MemberDesk
    private let logger: Logger
    private let limits: Limits
    /// What is held at other issuers, by the holds here.
    // BOUNDED: by the holds of the book for other issuers (`IssuerBook.Limits`).
    private var belows: [CID: Below] = [:]
    /// Why another issuer refused, by the holds here.
    // BOUNDED: like `belows`.
    private var refusals: [CID: String] = [:]
    /// When a hold was ordered last.
    // BOUNDED: like `belows`.
    private var orderedAt: [CID: ContinuousClock.Instant] = [:]
    /// The holds about which somebody waits for an answer of another issuer, one a hold.
    // BOUNDED: by `Limits.waitedPerIssuerMax` and the lines of issuers in the book.
    private var waitingNow: [DID: Set<CID>] = [:]
    /// When the end of a hold was to be proved last.
    // BOUNDED: like `belows`.
    private var provedAt: [CID: ContinuousClock.Instant] = [:]
    /// When each issuer had its turn last.
    // BOUNDED: by the lines of issuers in the book.
    private var turns: [DID: ContinuousClock.Instant] = [:]
    /// The lines of other issuers that have one for this one, and when they are asked again.
    // BOUNDED: by the lines of issuers in the book.
    private var neighbours: [LineID: (isOpen: Bool, until: ContinuousClock.Instant)] = [:]
    /// Issuers that are asked at the moment.
    // BOUNDED: by `Limits.issuersAtOnceMax`.
    private var asked: Set<DID> = []

    private nonisolated var questions: HoldQuestions { HoldQuestions(member: member) }

    init(member: MemberDesk, logger: Logger, limits: Limits = Limits()) {
        (identity, own) = (member.identity, member.own)
        (self.member, self.logger, self.limits) = (member, logger, limits)
    }

    // MARK: Time

    /// Orders, and follows what it ordered, until the task is cancelled.
    func run() async {
        await own.join(self)
        await withDiscardingTaskGroup { group in
            repeat {
                for (issuer, holds, lines) in await due() {
                    asked.insert(issuer)
                    turns[issuer] = .now
                    group.addTask { await self.attend(to: issuer, holds, lines) }
                }
            } while (try? await Task.sleep(for: .milliseconds(limits.lookMilliseconds))) != nil
        }
    }

    /// The issuers whose turn it is, with the holds that are followed there and the lines they have here.
    private func due() async -> [(issuer: DID, holds: [Hold], lines: [LineID])] {
        let (holds, lines, now) = (await own.holdsAcross(), await own.issuerLines(), ContinuousClock.now)
        let known = Set(holds.map(\.id))
        belows = belows.filter { known.contains($0.key) }
        refusals = refusals.filter { known.contains($0.key) }
        orderedAt = orderedAt.filter { known.contains($0.key) }
        provedAt = provedAt.filter { known.contains($0.key) }
        neighbours = neighbours.filter { lines.contains($0.key) }
        var issuers: [DID: [Hold]] = [:]
        for hold in holds { issuers[hold.creditorLine.did, default: []].append(hold) }
        for line in lines where neighbours[line].map({ $0.until <= now }) ?? true {
            issuers[line.did, default: []] += []
        }
        turns = turns.filter { issuers[$0.key] != nil || now < $0.value + .seconds(60) }
        let free = issuers.filter { !asked.contains($0.key) }
        let never = now - .seconds(1 << 32)
        return free.sorted { (turns[$0.key] ?? never, $0.key) < (turns[$1.key] ?? never, $1.key) }
            .prefix(max(0, limits.issuersAtOnceMax - asked.count))
            .map { issuer in (issuer.key, issuer.value, lines.filter { $0.did == issuer.key }) }
    }

    /// Does all that there is to do at another issuer.
    private func attend(to issuer: DID, _ holds: [Hold], _ lines: [LineID]) async {
        defer { asked.remove(issuer) }
        try? await withDeadline(milliseconds: limits.turnMilliseconds) {
            await self.greet(issuer, lines)
            // What was brought there comes first: a claim has its dates.
            await self.followAll(holds, at: issuer)
        }
        try? await withDeadline(milliseconds: limits.turnMilliseconds) { await self.orderAll(holds) }
    }

    private func followAll(_ holds: [Hold], at issuer: DID) async {
        do throws(NodeServiceError) {
            try await follow(issuer, Set(holds.map(\.id)))
        } catch {
            logger.debug(
                "What became of holds at another issuer is not known.",
                metadata: ["issuer": "\(issuer)", "reason": "\(error.message)"])
        }
    }

    /// Orders what is not known to be held, as after a start.
    private func orderAll(_ holds: [Hold]) async {
        let (now, date) = (ContinuousClock.now, NodeClock.wallClock)
        let unknown = holds.filter { hold in
            belows[hold.id] == nil
                && orderedAt[hold.id].map { $0 + .milliseconds(limits.pauseMilliseconds) <= now } ?? true
                // What was refused is asked for once more, when it can be booked no more.
                && (refusals[hold.id] == nil || hold.terms.claimBy < date)
        }
        for hold in unknown.sorted(by: { $0.entry < $1.entry }).prefix(limits.orderedPerTurnMax) {
            guard !Task.isCancelled else { return }
            let answer = await order(below: hold.id)
            // Nothing was held, and the order is valid no more.
            if case .refused(.book, _) = answer, belows[hold.id] == nil, hold.terms.claimBy < date {
                await own.isOverBelow(hold.id)
            }
        }
    }

    /// Asks another issuer for this one's lines there.
    private func greet(_ issuer: DID, _ lines: [LineID]) async {
        let now = ContinuousClock.now
        guard lines.contains(where: { neighbours[$0].map { $0.until <= now } ?? true }) else { return }
        var open: Set<CreditUnit>?
        do throws(NodeServiceError) {
            let met = try await member.meet(issuer)
            let told = try await member.lines(at: issuer).lines
            let charter = met.charter.body
            open = Set(
                told.filter {
                    $0.isIssuer && !$0.isFrozen && $0.line.unit == charter.unit && charter.witnesses.isEmpty
                }.map(\.line.unit))
        } catch {
            logger.debug(
                "Another issuer does not say what line it has for this one.",
                metadata: ["issuer": "\(issuer)", "reason": "\(error.message)"])
        }
        let milliseconds = open == nil ? limits.unknownMilliseconds : limits.neighbourMilliseconds
        for line in lines {
            // One that did not answer is as it was.
            let isOpen = open?.contains(line.unit) ?? neighbours[line]?.isOpen ?? false
            neighbours[line] = (isOpen, .now + .milliseconds(milliseconds))
        }
    }

    /// The issuers that this one pays for its members, by their lines.
    func neighbourLines() async -> [LineID] {
        guard await own.hasNoWitnesses else { return [] }
        return Array(await own.issuerLines().filter { neighbours[$0]?.isOpen == true }.prefix(limits.neighboursMax))
    }

    // MARK: Orders

    /// The certificate of what is held at another issuer for a hold here, which is ordered now if it was not.
    func below(of hold: CID, at issuer: DID) async -> CreditAnswer {
        if let certificate = belows[hold]?.certificate { return .below(certificate: certificate) }
        if let text = refusals[hold] { return .refused(reason: .book, text: text) }
        return await waiting(for: issuer, about: hold) { await self.order(below: hold) }
    }

    /// Does something for somebody who waits: not for long, and not for many at once.
    private func waiting(
        for issuer: DID, about hold: CID, _ body: @escaping @Sendable () async -> CreditAnswer
    ) async -> CreditAnswer {
        guard waitingNow[issuer]?.count ?? 0 < limits.waitedPerIssuerMax,
            waitingNow[issuer, default: []].insert(hold).inserted
        else { return .refused(reason: .later, text: "As many wait for the executor's issuer as may.") }
        defer {
            waitingNow[issuer]?.remove(hold)
            if waitingNow[issuer]?.isEmpty == true { waitingNow[issuer] = nil }
        }
        let answer = try? await withDeadline(milliseconds: limits.waitMilliseconds) { await body() }
        return answer ?? .refused(reason: .later, text: "The executor's issuer did not answer in time.")
    }

    private func order(below hold: CID) async -> CreditAnswer {
        guard let (upper, order) = await own.orderAcross(hold) else {
            return .refused(reason: .unknown, text: "There is no such hold for another issuer.")
        }
        orderedAt[hold] = .now
        do throws(NodeServiceError) {
            let other = upper.creditorLine.did
            let issuer = try await questions.acquainted(other)
            let margin = await own.marginMilliseconds
            // A witness of the one dates and keeps nothing for the other, so the two books could not follow each other.
            guard issuer.charter.body.witnesses.isEmpty, await own.hasNoWitnesses else {
                return refused(hold, "Nothing is held across issuers of which one has witnesses.")
            }
            guard let body = order.body.below(hold, marginMilliseconds: margin, under: issuer.charter),
                body.fieldOutOfBounds == nil, let signed = try? SignedObject.sign(body, with: identity)
            else { return refused(hold, "Its terms leave no room for those at the executor's issuer.") }
            let (answer, entry) = try await member.submit(.holdGranted(order: signed.bytes), to: other)
            switch answer {
            case .taken(let number, let block, _):
                try await check(block, of: signed, grantedBy: number, entry, at: issuer)
                // What the member goes by next is at its node, so this node's disk has the head first.
                try await member.keepKnown(other)
                // Whoever is ordered twice is one hold.
                if belows[hold] == nil {
                    belows[hold] = Below(
                        hold: signed.bodyCID, grantedBy: number, certificate: block, next: number + 1)
                }
                refusals[hold] = nil
                if let block { return .below(certificate: block) }
                return .refused(reason: .book, text: "What was held at the executor's issuer is over.")
            // A member that orders twice for one attempt is refused here before.
            case .refused(.book, let text), .refused(.held, let text): return refused(hold, text)
            case .refused(_, let text):
                return .refused(reason: .later, text: text.cut(bytesMax: member.limits.textBytesMax))
            default: throw MemberDesk.faulty("its answer is another one")
            }
        } catch {
            return .refused(reason: .later, text: "The executor's issuer: \(error.message)")
        }
    }

    private func refused(_ hold: CID, _ text: String) -> CreditAnswer {
        let words = "The executor's issuer refuses. \(text.cut(bytesMax: member.limits.textBytesMax))"
        refusals[hold] = words
        return .refused(reason: .book, text: words)
    }

    /// Checks that the log of another issuer has an order of this one, and that what it promises is that.
    private func check(
        _ block: [UInt8]?, of order: SignedObject<PaymentOrder>, grantedBy number: UInt64, _ shown: ProvedEntry?,
        at issuer: KnownIssuer
    ) async throws(NodeServiceError) {
        var commitment: [UInt8]?
        if let block {
            guard let certificate = try? SignedObject<HoldCertificate>(reading: block).body,
                certificate.issuerDID == issuer.charter.did, certificate.charterCID == issuer.charter.bodyCID,
                certificate.holdCID == order.bodyCID, certificate.entry == number,
                certificate.debtorDID == order.body.debtorDID, certificate.creditorDID == order.body.creditorDID,
                certificate.amount == order.body.amount, certificate.unit == order.body.unit, certificate.rate == nil,
                certificate.terms == order.body.hold
            else { throw MemberDesk.faulty("its certificate is not for the order") }
            commitment = certificate.commitment
        }
        let entry = try await questions.proved(number, at: issuer.charter.did, shown, committedTo: commitment)
        guard case .holdGranted(let granted) = entry.event,
            (try? SignedObject<PaymentOrder>(reading: granted))?.bodyCID == order.bodyCID
        else { throw MemberDesk.faulty("entry \(number) is not the hold that it promises") }
    }

    // MARK: What becomes of them

    /// Gives an event about a hold here to the other issuer, and books it here once that one's log has it.
    ///
    /// - Returns: nil if it can be booked here, else why not.
    func give(_ event: BookEvent, about hold: Hold) async -> CreditAnswer? {
        let answer = await waiting(for: hold.creditorLine.did, about: hold.id) {
            await self.given(event, about: hold) ?? .taken(entry: 0, certificate: nil)
        }
        if case .taken = answer { return nil }
        return answer
    }

    private func given(_ event: BookEvent, about upper: Hold) async -> CreditAnswer? {
        let (hold, other) = (upper.id, upper.creditorLine.did)
        if belows[hold] == nil { _ = await order(below: hold) }
        guard let below = belows[hold] else {
            return .refused(
                reason: .later, text: refusals[hold] ?? "What is held at the executor's issuer is not known yet.")
        }
        let lower = event.about(below.hold)
        do throws(NodeServiceError) {
            switch try await member.answer(of: other, to: .submit(event: lower)) {
            case .taken(let number, _, _):
                // Each entry there has to justify the next: then no other can be paid beside this one.
                let story = try await questions.story(
                    of: below.hold, from: below.grantedBy, at: try await member.meet(other))
                for entry in story where entry.event.hold == below.hold { await book(entry.event, about: hold) }
                guard story.contains(where: { $0.number == number && $0.event == lower }) else {
                    return .refused(reason: .later, text: "The executor's issuer has booked something else.")
                }
                return nil
            case .refused(_, let text):
                // The other side may have ended it there.
                try? await follow(other, [hold])
                return await own.isEnded(hold)
                    ? nil
                    : .refused(
                        reason: .later,
                        text: "The executor's issuer: \(text.cut(bytesMax: member.limits.textBytesMax))")
            default: throw MemberDesk.faulty("its answer is another one")
            }
        } catch {
            return .refused(reason: .later, text: "The executor's issuer: \(error.message)")
        }
    }

    /// Books here what another issuer's log has about a hold.
    private func book(_ event: BookEvent, about hold: CID) async {
        switch event {
        // Here time decides, too, with dates of its own.
        case .claimPaid, .holdExpired: return
        default: break
        }
        guard await !own.isEnded(hold), case .failure(let refusal)? = await own.take(event.about(hold)) else { return }
        logger.warning(
            "What another issuer booked about a hold is not booked here.",
            metadata: ["hold": "\(hold)", "event": "\(event.name)", "reason": "\(refusal)"])
    }

    /// Reads what is new about holds at another issuer, and books it here.
    private func follow(_ issuer: DID, _ holds: Set<CID>) async throws(NodeServiceError) {
        var uppers: [CID: CID] = [:]
        for (upper, below) in belows where holds.contains(upper) && !below.isOver { uppers[below.hold] = upper }
        guard let from = uppers.values.compactMap({ belows[$0]?.next }).min() else { return }
        let met = try await member.meet(issuer)
        let lowers = Set(uppers.keys)
        var next = from
        while next < met.head.size {
            let entries = try await member.entries(at: met, from: next, limit: limits.entriesAtOnceMax) {
                $0.event.hold.map(lowers.contains) ?? false
            }
            for entry in entries {
                guard let lower = entry.event.hold, let upper = uppers[lower] else { continue }
                await book(entry.event, about: upper)
                if entry.event.endsHold { belows[upper]?.isEnding = true }
            }
            let isLast = entries.count < limits.entriesAtOnceMax
            next = isLast ? met.head.size : (entries.last?.number ?? met.head.size) + 1
            // What was read is not read again, whatever becomes of the rest.
            for upper in uppers.values {
                guard let known = belows[upper]?.next, known < next else { continue }
                belows[upper]?.next = next
            }
        }
        try await prove(uppers.values.filter { belows[$0]?.isEnding == true }, at: met)
    }

    /// Holds that ended at another issuer are over once what justifies each of their entries was seen, and booked here:
    /// then nothing can be paid there any more.
    private func prove(_ ending: [CID], at issuer: KnownIssuer) async throws(NodeServiceError) {
        // Those first that were not tried for longest.
        let never = ContinuousClock.now - .seconds(1 << 32)
        let sorted = ending.sorted { (provedAt[$0] ?? never, $0) < (provedAt[$1] ?? never, $1) }
        for upper in sorted.prefix(limits.provedPerTurnMax) {
            guard let below = belows[upper] else { continue }
            provedAt[upper] = .now
            guard let story = try? await questions.story(of: below.hold, from: below.grantedBy, at: issuer) else {
                continue
            }
            for entry in story where entry.event.hold == below.hold { await book(entry.event, about: upper) }
            let isPaid = story.contains { entry in
                switch entry.event {
                case .holdSettled, .claimPaid: true
                default: false
                }
            }
            if isPaid, await own.isOpen(upper) {
                // A week after its `claim_by` this issuer bears it.
                logger.error("What another issuer paid is not booked here.", metadata: ["hold": "\(upper)"])
                continue
            }
            belows[upper]?.isOver = true
            await own.isOverBelow(upper)
        }
    }
}
