import Credit
import JobMarket
import Logging
import MeshStore
import MeshTypes
import Multiformats
import NodeAPI
import NodeCore
import NodeSetup
import SignedObjects

/// What the market of this node wants of issuers: holds for its jobs, bookings about holds, and whether it has a line.
///
/// Bookings are on the disk, one a hold, in the transaction of the event from which they follow. So whatever was not
/// answered before a crash is asked again after it, and a book takes each once.
actor HoldDesk {
    /// Every bound of it.
    struct Limits: Sendable {
        /// How often it looks for what is due, in milliseconds.
        var lookMilliseconds: Int64 = 500
        /// Bookings that are asked for in one look.
        var bookingsPerLookMax = 64
        /// Issuers that are asked at the same time.
        var issuersAtOnceMax = 16
        /// How long one is asked in a row before others have their turn, in milliseconds; once at the least.
        var turnMilliseconds: Int64 = 30_000
        /// Orders that are with issuers before the disk has them; beyond, and where the disk is full, it comes first. A
        /// node that dies forgets them, so the book holds for them until their `claim_by`, for nobody.
        var unwrittenMax = 16
        /// How long before an issuer that did not answer is asked again for a hold, in milliseconds.
        var holdPauseMilliseconds: Int64 = 2_000
        /// How long before an issuer that did not answer is asked again for bookings: at first, and at the most, in
        /// milliseconds.
        var pauseMilliseconds: ClosedRange<Int64> = 2_000...30_000
        /// How long before a book that did not take a booking is asked again, in milliseconds.
        var refusedMilliseconds: UInt64 = 30_000
        /// How often a trusted issuer is asked whether this node has a line, in milliseconds.
        var standingMilliseconds: Int64 = 60_000
        /// The same while it has said nothing, in milliseconds.
        var unknownMilliseconds: Int64 = 2_000
        /// For how long what an issuer said of this node's line is believed, in milliseconds.
        var believedMilliseconds: Int64 = 300_000

        /// The defaults.
        init() {}
    }

    private struct Pause {
        var until: ContinuousClock.Instant
        var milliseconds: Int64
    }

    private let member: MemberDesk
    /// Hears of each hold that was settled, once its entry is proved.
    private let onSettled: @Sendable (RecordDesk.PaidHold) async -> Void
    /// Lodges what an issuer does not book with the witnesses of its charter.
    private let witnesses: BookingWitnesses?
    private let logger: Logger
    private let limits: Limits
    private let unwritten: UnwrittenOrders
    private nonisolated var questions: HoldQuestions { HoldQuestions(member: member) }
    private var store: MeshStore { member.store }
    /// Hears of each booking of which something came.
    private var tell: @Sendable (HoldBooking) -> Void = { _ in }
    /// Issuers that did not answer.
    // BOUNDED: by the issuers of the bookings, which are trusted or were named by the owner's jobs.
    private var pauses: [DID: Pause] = [:]
    /// Issuers that are asked at the moment.
    // BOUNDED: by `Limits.issuersAtOnceMax`.
    private var asked: Set<DID> = []
    /// When each issuer was asked last for bookings.
    // BOUNDED: like `pauses`.
    private var turns: [DID: ContinuousClock.Instant] = [:]

    init(
        member: MemberDesk, witnesses: BookingWitnesses? = nil, logger: Logger, limits: Limits = Limits(),
        onSettled: @escaping @Sendable (RecordDesk.PaidHold) async -> Void = { _ in }
    ) {
        (self.member, self.witnesses, self.logger) = (member, witnesses, logger)
        (self.limits, self.onSettled) = (limits, onSettled)
        unwritten = UnwrittenOrders(countMax: limits.unwrittenMax)
    }

    // MARK: Holds

    /// Has the price of a bid held, and tells what came of it. While the issuer does not answer, or cannot hold it now,
    /// it is asked again, as long as the bid is waited for.
    nonisolated func order(_ wish: HoldWish, _ tell: @Sendable (HoldAnswer) async -> Void) async {
        var ordered: HoldQuestions.Ordered?
        while NodeClock.wallClock < wish.useBy {
            do throws(NodeServiceError) {
                return await tell(try await questions.hold(wish, &ordered, unwritten))
            } catch {
                if error.code == .issuerFaulty { return await tell(.refused(error.message, isOwn: false)) }
                await tell(.delayed(error.message))
            }
            guard (try? await Task.sleep(for: .milliseconds(limits.holdPauseMilliseconds))) != nil else { return }
        }
    }

    // MARK: Bookings

    /// Asks for bookings as they fall due, each issuer by itself, until the task is cancelled.
    ///
    /// - Parameter tell: hears of each booking of which something came, once that is on the disk.
    func run(_ tell: @escaping @Sendable (HoldBooking) -> Void = { _ in }) async {
        self.tell = tell
        await withDiscardingTaskGroup { group in
            repeat {
                for (issuer, rows) in await due() {
                    asked.insert(issuer)
                    turns[issuer] = .now
                    group.addTask { await self.ask(issuer, rows) }
                }
            } while (try? await Task.sleep(for: .milliseconds(limits.lookMilliseconds))) != nil
        }
    }

    /// What is to be asked of issuers that are not asked already: of those first that waited longest for their turn.
    func due() async -> [(issuer: DID, rows: [HoldBookingRow])] {
        let silent = pauses.filter { ContinuousClock.now < $0.value.until }.keys
        let others = Set(silent).union(asked).sorted().map(\.text)
        let rows = try? await HoldBookingRow.due(
            by: NodeClock.wallClock.value, besides: others, limit: limits.bookingsPerLookMax, in: store)
        var found: [DID: [HoldBookingRow]] = [:]
        for row in rows ?? [] {
            guard let booking = row.booking else {
                logger.error("What an issuer has to book is damaged.", metadata: ["hold": "\(row.hold)"])
                var over = row
                over.dueAt = nil
                try? await store.commit([.issuer(.booked(over, was: row.bytes))])
                continue
            }
            found[booking.issuerDID, default: []].append(row)
        }
        let free = max(0, limits.issuersAtOnceMax - asked.count)
        let never = ContinuousClock.now - .seconds(1 << 32)
        return found.sorted { (turns[$0.key] ?? never, $0.key) < (turns[$1.key] ?? never, $1.key) }.prefix(free).map {
            ($0.key, $0.value)
        }
    }

    private func ask(_ issuer: DID, _ rows: [HoldBookingRow]) async {
        defer { asked.remove(issuer) }
        let booked = await askInTurn(issuer, rows)
        guard !Task.isCancelled, let witnesses else { return }
        // Whatever the issuer says of it: one that will not book it may not say later that it came too late.
        let left = rows.filter { !booked.contains($0.hold) }
        for booking in await witnesses.lodge(left.compactMap(\.booking), at: issuer) {
            guard let row = left.first(where: { $0.hold == booking.hold }) else { continue }
            await keep(booking, instead: row)
        }
    }

    /// Asks an issuer for bookings while it has its turn, and answers; returns the holds about which it proved
    /// something.
    private func askInTurn(_ issuer: DID, _ rows: [HoldBookingRow]) async -> Set<CID> {
        var booked: Set<CID> = []
        let end = ContinuousClock.now + .milliseconds(limits.turnMilliseconds)
        for (index, row) in rows.enumerated() {
            let now = NodeClock.wallClock
            guard index == 0 || ContinuousClock.now < end, !Task.isCancelled else { return booked }
            guard var booking = row.booking, let event = booking.next(now: now) else { continue }
            do throws(NodeServiceError) {
                switch try await questions.book(event, of: booking) {
                case .proved(let entry):
                    booking.proved(entry)
                    booked.insert(row.hold)
                    if case .holdSettled = entry.event {
                        await onSettled(.init(issuerDID: issuer, granted: booking.heldBy, settled: entry.number))
                    }
                case .refused(let reason): booking.refused(reason, now: now)
                }
                pauses[issuer] = nil
                await keep(booking, instead: row)
            } catch {
                booking.refused(error.message, now: now)
                let isSilent = error.code == .peerUnreachable || error.code == .overloaded
                // What cannot be checked keeps no other waiting.
                if booking.dueAt == nil || !isSilent { await keep(booking, instead: row) }
                guard isSilent else { continue }
                wait(for: issuer, error)
                return booked
            }
        }
        return booked
    }

    private func keep(_ booking: HoldBooking, instead row: HoldBookingRow) async {
        let again = booking.state == row.booking?.state
        let date = NodeClock.wallClock.advanced(milliseconds: again ? limits.refusedMilliseconds : 0)
        guard let next = try? HoldBookingRow(booking, askedAgainAt: date) else { return }
        // What fails here is asked for again, and is the same.
        let isKept: ()? = try? await store.commit(
            [.issuer(.booked(next, was: row.bytes))], of: .ofBooking(booking.state.name))
        if isKept != nil, !again { tell(booking) }
        var metadata: Logger.Metadata = ["job": "\(booking.jobID)"]
        switch booking.state {
        case .ended(let entry, let paid):
            metadata["entry"] = "\(entry)"
            metadata["paid"] = "\(paid.counted(in: booking.unit))"
            logger.info("A hold is over.", metadata: metadata)
        case .lost(let reason):
            metadata["reason"] = "\(reason)"
            logger.warning("What a hold should pay was not booked.", metadata: metadata)
        case .due, .claimed, .disputed: break
        }
    }

    private func wait(for issuer: DID, _ error: NodeServiceError) {
        let least = limits.pauseMilliseconds.lowerBound
        let milliseconds = pauses[issuer].map { min($0.milliseconds * 2, limits.pauseMilliseconds.upperBound) } ?? least
        pauses[issuer] = Pause(until: .now + .milliseconds(milliseconds), milliseconds: milliseconds)
        logger.notice(
            "An issuer does not book what it has to.", metadata: ["issuer": "\(issuer)", "reason": "\(error.message)"])
    }

    // MARK: Membership

    /// Tells the market what issuers said before this start, so that what was bid before it is still paid.
    nonisolated func recall(on node: MeshNode) async {
        let trusted = node.parts.configuration.executor.trustedIssuers
        for standing in await remembered(trusted) { await node.take(.fact(.issuerTold(standing))) }
    }

    /// Keeps the market told, until the task is cancelled.
    nonisolated func follow(on node: MeshNode) async {
        await follow(node.parts.configuration.executor.trustedIssuers) { [weak node] standing in
            await node?.take(.fact(.issuerTold(standing)))
        }
    }

    /// What trusted issuers said of this node before it stopped.
    nonisolated func remembered(_ issuers: [TrustedIssuer]) async -> [IssuerStanding] {
        (try? await questions.rememberedStandings(at: issuers)) ?? []
    }

    /// Asks trusted issuers again and again what this node has there, until the task is cancelled.
    nonisolated func follow(
        _ issuers: [TrustedIssuer], _ tell: @escaping @Sendable (IssuerStanding) async -> Void
    ) async {
        await withDiscardingTaskGroup { group in
            for issuer in issuers { group.addTask { await self.follow(issuer, tell) } }
        }
    }

    /// What one said is believed for a while; one that broke its word has no member here.
    private nonisolated func follow(
        _ issuer: TrustedIssuer, _ tell: @Sendable (IssuerStanding) async -> Void
    ) async {
        var (told, heardAt) = (IssuerStanding?.none, ContinuousClock.now)
        var pause: Int64
        repeat {
            do throws(NodeServiceError) {
                let standing = try await questions.standing(at: issuer.issuerDID, in: issuer.unit)
                (told, heardAt) = (standing, .now)
                await tell(standing)
            } catch {
                let isBelieved = ContinuousClock.now < heardAt + .milliseconds(limits.believedMilliseconds)
                if error.code == .issuerFaulty || !isBelieved {
                    told = IssuerStanding(
                        issuerDID: issuer.issuerDID, unit: issuer.unit, isMember: false,
                        arbiters: told?.arbiters ?? issuer.arbiters)
                    if let told { await tell(told) }
                }
            }
            pause = told?.isMember == true ? limits.standingMilliseconds : limits.unknownMilliseconds
        } while (try? await Task.sleep(for: .milliseconds(pause))) != nil
    }
}
