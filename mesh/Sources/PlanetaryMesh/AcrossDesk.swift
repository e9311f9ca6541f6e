import Credit
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
        /// Issuers that are asked at the same time.
        var issuersAtOnceMax = 16
        /// Holds that are ordered at other issuers at the same time.
        var orderedAtOnceMax = 16
        /// Events that are given to other issuers at the same time.
        var givenAtOnceMax = 16
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
    private var orderedNow = 0
    private var givenNow = 0
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
                var issuers: [DID: [Hold]] = [:]
                for hold in await own.holdsAcross() { issuers[hold.creditorLine.did, default: []].append(hold) }
                let now = ContinuousClock.now
                let lines = await own.issuerLines()
                neighbours = neighbours.filter { lines.contains($0.key) }
                for line in lines where neighbours[line].map({ $0.until <= now }) ?? true {
                    issuers[line.did, default: []] += []
                }
                for (issuer, holds) in issuers.sorted(by: { $0.key < $1.key })
                where !asked.contains(issuer) && asked.count < limits.issuersAtOnceMax {
                    asked.insert(issuer)
                    let due = lines.filter { $0.did == issuer }
                    group.addTask { await self.attend(to: issuer, holds, due) }
                }
            } while (try? await Task.sleep(for: .milliseconds(limits.lookMilliseconds))) != nil
        }
    }

    /// Does all that there is to do at another issuer.
    private func attend(to issuer: DID, _ holds: [Hold], _ lines: [LineID]) async {
        defer { asked.remove(issuer) }
        await greet(issuer, lines)
        let now = NodeClock.wallClock
        for hold in holds where belows[hold.id] == nil {
            // What was refused is asked for once more, when it can be booked no more.
            if refusals[hold.id] != nil, hold.terms.claimBy > now, hold.isLive { continue }
            guard !Task.isCancelled else { return }
            let answer = await below(of: hold.id)
            if case .refused(.book, _) = answer, hold.terms.claimBy <= now { await own.isOverBelow(hold.id) }
        }
        do throws(NodeServiceError) {
            try await follow(issuer, Set(holds.map(\.id)))
        } catch {
            logger.debug(
                "What became of holds at another issuer is not known.",
                metadata: ["issuer": "\(issuer)", "reason": "\(error.message)"])
        }
        for hold in holds where !hold.isLive && belows[hold.id]?.isOver == true {
            await own.forgetAcross(hold.id)
            (belows[hold.id], refusals[hold.id]) = (nil, nil)
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
            open = Set(
                told.filter { $0.isIssuer && !$0.isFrozen && $0.line.unit == met.charter.body.unit }.map(\.line.unit))
        } catch {
            logger.debug(
                "Another issuer does not say what line it has for this one.",
                metadata: ["issuer": "\(issuer)", "reason": "\(error.message)"])
        }
        let milliseconds = open == nil ? limits.unknownMilliseconds : limits.neighbourMilliseconds
        for line in lines {
            neighbours[line] = (open?.contains(line.unit) ?? false, .now + .milliseconds(milliseconds))
        }
    }

    /// The issuers that this one pays for its members, by their lines.
    func neighbourLines() async -> [LineID] {
        Array(await own.issuerLines().filter { neighbours[$0]?.isOpen == true }.prefix(limits.neighboursMax))
    }

    // MARK: Orders

    /// The certificate of what is held at another issuer for a hold here, which is ordered now if it was not.
    func below(of hold: CID) async -> CreditAnswer {
        if let certificate = belows[hold]?.certificate { return .below(certificate: certificate) }
        guard orderedNow < limits.orderedAtOnceMax else {
            return .refused(reason: .later, text: "The issuer orders as much at others as it does at once.")
        }
        orderedNow += 1
        defer { orderedNow -= 1 }
        return await order(below: hold)
    }

    private func order(below hold: CID) async -> CreditAnswer {
        guard let (upper, order) = await own.orderAcross(hold) else {
            return .refused(reason: .unknown, text: "There is no such hold for another issuer.")
        }
        do throws(NodeServiceError) {
            let other = upper.creditorLine.did
            let issuer = try await questions.acquainted(other)
            let margin = await own.marginMilliseconds
            guard let body = order.body.below(hold, marginMilliseconds: margin, under: issuer.charter),
                body.fieldOutOfBounds == nil, let signed = try? SignedObject.sign(body, with: identity)
            else { return refused(hold, "Its terms leave no room for those at the executor's issuer.") }
            switch try await member.answer(of: other, to: .submit(event: .holdGranted(order: signed.bytes))) {
            case .taken(let number, let block):
                try await check(block, of: signed, grantedBy: number, at: issuer)
                // Whoever is ordered twice is one hold.
                if belows[hold] == nil {
                    belows[hold] = Below(
                        hold: signed.bodyCID, grantedBy: number, certificate: block, next: number + 1)
                }
                refusals[hold] = nil
                if let block { return .below(certificate: block) }
                return .refused(reason: .book, text: "What was held at the executor's issuer is over.")
            case .refused(.book, let text): return refused(hold, text)
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
        _ block: [UInt8]?, of order: SignedObject<PaymentOrder>, grantedBy number: UInt64, at issuer: KnownIssuer
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
        let entry = try await questions.proved(number, at: issuer.charter.did, committedTo: commitment)
        guard case .holdGranted(let granted) = entry.event,
            (try? SignedObject<PaymentOrder>(reading: granted))?.bodyCID == order.bodyCID
        else { throw MemberDesk.faulty("entry \(number) is not the hold that it promises") }
    }

    // MARK: What becomes of them

    /// Gives an event about a hold here to the other issuer; nil once that one's log has it, so that it can be booked
    /// here, else why it is not taken.
    func give(_ event: BookEvent, about hold: CID) async -> CreditAnswer? {
        guard givenNow < limits.givenAtOnceMax else {
            return .refused(reason: .later, text: "The issuer gives as much to others as it does at once.")
        }
        givenNow += 1
        defer { givenNow -= 1 }
        if belows[hold] == nil, case .refused(let reason, let text) = await below(of: hold), belows[hold] == nil {
            return .refused(reason: reason == .book ? .later : reason, text: text)
        }
        guard let below = belows[hold], let (upper, _) = await own.orderAcross(hold) else {
            return .refused(reason: .later, text: "There is no hold at the executor's issuer.")
        }
        let other = upper.creditorLine.did
        do throws(NodeServiceError) {
            switch try await member.answer(of: other, to: .submit(event: event.about(below.hold))) {
            case .taken(let number, _):
                let entry = try await questions.proved(number, at: other)
                guard entry.event.hold == below.hold else {
                    throw MemberDesk.faulty("entry \(number) is not about the hold")
                }
                await book(entry.event, about: hold)
                return nil
            case .refused(let reason, let text):
                // The other side may have ended it there.
                try? await follow(other, [hold])
                return await own.isEnded(hold)
                    ? nil
                    : .refused(
                        reason: reason == .book ? .later : reason,
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
        guard case .failure(let refusal)? = await own.take(event.about(hold)) else { return }
        logger.info(
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
        let entries = try await member.entries(at: met, from: from) {
            $0.event.hold.map(lowers.contains) ?? false
        }
        var over: [CID] = []
        for entry in entries {
            guard let lower = entry.event.hold, let upper = uppers[lower] else { continue }
            await book(entry.event, about: upper)
            if entry.event.endsHold { over.append(upper) }
        }
        for upper in uppers.values { belows[upper]?.next = met.head.size }
        for upper in over {
            guard let below = belows[upper] else { continue }
            // Only what justifies each of its entries ends it: then nothing can be paid there any more.
            _ = try await questions.story(of: below.hold, from: below.grantedBy, at: met)
            belows[upper]?.isOver = true
            await own.isOverBelow(upper)
        }
    }
}
