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
import P2PTesting
import PeerIdentity
import SignedObjects
import Synchronization
import Testing

@testable import PlanetaryMesh

/// What a node asks issuers for its jobs, of issuers that are slow, busy, silent, or lie.
@Suite("Holds and bookings at issuers", .serialized) struct HoldDeskTests {
    /// Whether this node was told to be a member, each time.
    private final class Told: Sendable {
        let isMember = Mutex<[Bool]>([])
    }

    private static let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

    private func desk(_ member: MemberDesk, _ change: (inout HoldDesk.Limits) -> Void = { _ in }) -> HoldDesk {
        var limits = HoldDesk.Limits()
        (limits.lookMilliseconds, limits.holdPauseMilliseconds) = (20, 20)
        limits.pauseMilliseconds = 20...20
        change(&limits)
        return HoldDesk(member: member, logger: Self.logger, limits: limits)
    }

    private func wish(
        _ stand: CreditStand, for executor: DID, amount: UInt64 = 100, attempt: UInt64 = 1,
        milliseconds: UInt64 = 60_000
    ) -> HoldWish {
        let now = NodeClock.wallClock
        return HoldWish(
            issuerDID: stand.issuer.did, unit: CreditStand.unit, jobID: JobID(CID.hashing([1], codec: .dagCBOR)),
            attempt: attempt, bidCID: CID.hashing([2], codec: .dagCBOR), executorDID: executor,
            amount: TokenAmount(amount), useBy: now.advanced(milliseconds: milliseconds),
            deliverBy: now.advanced(milliseconds: 600_000), claimBy: now.advanced(milliseconds: 1_200_000),
            windowMilliseconds: 1_000, extensionMilliseconds: 1_000)
    }

    /// What a desk tells about a wish, until it tells the end.
    private func told(_ desk: HoldDesk, _ wish: HoldWish) async -> [HoldAnswer] {
        let answers = Mutex<[HoldAnswer]>([])
        await desk.order(wish) { answer in answers.withLock { $0.append(answer) } }
        return answers.withLock(\.self)
    }

    /// A member's desk, for which the first member of a stand asks.
    private func meeting(_ body: (CreditStand, MemberDesk, CreditLiar) async throws -> Void) async throws {
        let stand = try CreditStand { $0.questionsBurstPerPeerMax = 10_000 }
        try await stand.found()
        try await stand.meeting(as: stand.members[0]) { member, liar, _ in try await body(stand, member, liar) }
    }

    @Test("A busy issuer is asked again, before and after it granted the hold, and holds once")
    func busy() async throws {
        try await meeting { (stand: CreditStand, member: MemberDesk, liar: CreditLiar) async throws in
            let refusals = Mutex((submits: 3, statements: 2, heads: 2))
            liar.set { question, answer in
                let isRefused = refusals.withLock { left in
                    switch question {
                    case .submit where left.submits > 0: left.submits -= 1
                    case .statement where left.statements > 0: left.statements -= 1
                    case .head where left.heads > 0: left.heads -= 1
                    default: return false
                    }
                    return true
                }
                if isRefused { return .refused(reason: .tooMany, text: "as many as it takes") }
                // It answers as one that shows no entry with its answer.
                guard case .taken(let entry, let certificate, _) = answer else { return answer }
                return .taken(entry: entry, certificate: certificate)
            }
            let answers = await told(desk(member), wish(stand, for: stand.members[1].did))
            guard case .given(let block, nil) = answers.last else {
                Issue.record("\(answers)")
                return
            }
            let delays = answers.dropLast().compactMap { if case .delayed(let text) = $0 { text } else { nil } }
            #expect(delays.count == 7 && delays.allSatisfy { $0.contains("as many as it takes") }, "\(answers)")
            let certificate = try SignedObject<HoldCertificate>(reading: block).body
            #expect(certificate.amount.units == 100 && certificate.terms.arbiterDID == stand.arbiter.did)
            // Every submit but the refused ones reached the book, and it is one order.
            #expect(await stand.desk.issuer?.book.holds.count == 1)
        }
    }

    private static func name(_ question: CreditQuestion) -> String {
        switch question {
        case .head: "head"
        case .charter: "charter"
        case .submit: "submit"
        case .statement: "statement"
        case .lines: "lines"
        default: "other"
        }
    }

    @Test("A hold takes one question: the answer proves its entry, and the new head goes to the disk with what follows")
    func oneQuestion() async throws {
        try await meeting { (stand: CreditStand, member: MemberDesk, liar: CreditLiar) async throws in
            let asked = Mutex<[String]>([])
            _ = try await member.issuer(stand.issuer.did.text)
            liar.set { question, answer in
                asked.withLock { $0.append(Self.name(question)) }
                return answer
            }
            for attempt in UInt64(1)...3 {
                let wish = wish(stand, for: stand.members[1].did, attempt: attempt)
                guard case .given = try await HoldQuestions(member: member).hold(wish) else {
                    Issue.record("attempt \(attempt) is not held")
                    return
                }
                // What follows from the answer is written behind the order.
                try await member.store.persisted()
                let kept = try await HoldOrderRow.of(wish.jobID.cid, attempt: attempt, in: member.store)
                #expect(kept != nil)
            }
            #expect(asked.withLock(\.self) == ["submit", "submit", "submit"])
            let size = await stand.desk.durable.size
            #expect(try await member.all().first?.head.size == size)
            try await member.store.persisted()
            let rows = try await KnownIssuerRow.all(in: member.store)
            #expect(rows.compactMap(KnownIssuer.init).map(\.head.size) == [size])
        }
    }

    @Test("Two holds at once cost one question more, which proves that two heads that they are shown are of one log")
    func twoAtOnce() async throws {
        try await meeting { (stand: CreditStand, member: MemberDesk, liar: CreditLiar) async throws in
            _ = try await member.issuer(stand.issuer.did.text)
            let asked = Mutex<[String]>([])
            let notes = Mutex<Set<[UInt8]>>([])
            let second = Mutex<CheckedContinuation<Void, Never>?>(nil)
            liar.set { question, answer in
                asked.withLock { $0.append(Self.name(question)) }
                if case .taken(_, _, let shown?) = answer { notes.withLock { _ = $0.insert(shown.note) } }
                guard case .submit = question else { return answer }
                // Whoever comes first waits for the other.
                await withCheckedContinuation { continuation in
                    let waiting = second.withLock { held -> CheckedContinuation<Void, Never>? in
                        guard let first = held else {
                            held = continuation
                            return nil
                        }
                        held = nil
                        return first
                    }
                    guard let waiting else { return }
                    waiting.resume()
                    continuation.resume()
                }
                return answer
            }
            let questions = HoldQuestions(member: member)
            let wishes = [UInt64(1), 2].map { wish(stand, for: stand.members[1].did, attempt: $0) }
            let given = try await withThrowingTaskGroup(of: Bool.self) { group in
                for wish in wishes {
                    group.addTask { if case .given = try await questions.hold(wish) { true } else { false } }
                }
                return try await group.reduce(into: 0) { $0 += $1 ? 1 : 0 }
            }
            #expect(given == 2)
            // Both may have come to the disk before either was answered.
            let heads = notes.withLock { $0.count }
            #expect(asked.withLock { $0.filter { $0 != "submit" } } == (heads == 2 ? ["head"] : []), "\(heads)")
            #expect(try await member.all().first?.head.size == stand.desk.durable.size)
        }
    }

    /// Fills a store until it takes no order more; returns a block that makes room when it goes.
    private func fill(_ store: MeshStore) async throws -> CID {
        var last: CID?
        for size in [50_000, 4_000] {
            await #expect(throws: MeshStoreError.self) {
                for number in 0..<1_000 {
                    let bytes = withUnsafeBytes(of: size + number) { Array($0) } + [UInt8](repeating: 0, count: size)
                    let cid = CID.hashing(bytes, codec: .raw)
                    try await store.commit([.block(cid: cid, bytes: bytes), .file(root: cid)])
                    if size == 50_000 { last = cid }
                }
            }
        }
        for size in [500, 8] {
            await #expect(throws: MeshStoreError.self) {
                for number in 0..<1_000 as Range<UInt64> {
                    let row = HoldOrderRow(
                        jobID: CID.hashing([200, UInt8(size / 8)], codec: .dagCBOR), attempt: number,
                        bytes: [UInt8](repeating: 1, count: size))
                    try await store.commit([.issuer(.holdOrder(row))], of: .ofBooking("hold_ordered"))
                }
            }
        }
        return try #require(last)
    }

    @Test("Where the disk takes nothing no order leaves, and each is one hold once there is room again")
    func fullDisk() async throws {
        let stand = try CreditStand { $0.questionsBurstPerPeerMax = 10_000 }
        try await stand.found()
        var storeLimits = StoreLimits()
        (storeLimits.databasePagesMax, storeLimits.fullMillisecondsMax) = (400, 10)
        try await stand.meeting(as: stand.members[0], storing: storeLimits) { member, liar, _ in
            _ = try await member.issuer(stand.issuer.did.text)
            let room = try await fill(member.store)
            let asked = Mutex(0)
            liar.set { question, answer in
                if case .submit = question { asked.withLock { $0 += 1 } }
                return answer
            }
            let desk = desk(member)
            let delays = Mutex(0)
            for attempt in UInt64(1)...3 {
                let wish = wish(stand, for: stand.members[1].did, attempt: attempt)
                await desk.order(wish) { answer in
                    guard case .delayed = answer else {
                        if case .given = answer { return }
                        Issue.record("\(answer)")
                        return
                    }
                    guard
                        delays.withLock({
                            $0 += 1
                            return $0
                        }) == 3
                    else { return }
                    #expect(asked.withLock(\.self) == 0)
                    await #expect(throws: Never.self) { try await member.store.commit([.removeBlock(room)]) }
                }
            }
            #expect(delays.withLock(\.self) == 3)
            #expect(asked.withLock(\.self) == 3)
            #expect(await stand.desk.issuer?.book.holds.count == 3)
        }
    }

    @Test("Beyond unwrittenMax an order is on the disk before it leaves")
    func unwritten() async throws {
        try await meeting { (stand: CreditStand, member: MemberDesk, liar: CreditLiar) async throws in
            _ = try await member.issuer(stand.issuer.did.text)
            let wish = wish(stand, for: stand.members[1].did)
            let isThere = Mutex<[Bool]>([])
            liar.set { question, answer in
                guard case .submit = question else { return answer }
                let row = try await HoldOrderRow.of(wish.jobID.cid, attempt: wish.attempt, in: member.store)
                isThere.withLock { $0.append(row != nil) }
                return answer
            }
            guard case .given? = await told(desk(member) { $0.unwrittenMax = 0 }, wish).last else {
                Issue.record("it is not held")
                return
            }
            #expect(isThere.withLock(\.self) == [true])
        }
    }

    /// Ways to change what is shown with an answer, so that the entry has to be asked for.
    private static let lies: [(String, @Sendable (inout ShownEntry) -> Void)] = [
        (
            "another salt",
            {
                $0.entry.opening = EntryOpening(
                    salt: [UInt8](repeating: 0, count: 32), entry: $0.entry.opening.entry)
            }
        ),
        ("another number", { $0.entry.number += 1 }),
        ("no proof", { $0.entry.proof = [] }),
    ]

    /// Ways to change it that are the issuer's fault, and what is said of them.
    private static let faults: [(String, @Sendable (inout ShownEntry) -> Void)] = [
        ("not signed by it", { $0.note = [1] }),
        ("does not continue", { $0.continues = [UInt8](repeating: 1, count: 32) }),
    ]

    @Test("What an answer shows counts only if it holds; else the entry is asked for, and two histories are a proof")
    func shown() async throws {
        try await meeting { (stand: CreditStand, member: MemberDesk, liar: CreditLiar) async throws in
            let (questions, executor) = (HoldQuestions(member: member), stand.members[1].did)
            _ = try await member.issuer(stand.issuer.did.text)
            func lie(_ change: @escaping @Sendable (inout ShownEntry) -> Void) {
                liar.set { _, answer in
                    guard case .taken(let entry, let certificate, var shown?) = answer else { return answer }
                    change(&shown)
                    return .taken(entry: entry, certificate: certificate, shown: shown)
                }
            }
            for (index, (name, change)) in Self.lies.enumerated() {
                lie(change)
                let wish = wish(stand, for: executor, attempt: UInt64(index) + 1)
                guard case .given = try await questions.hold(wish) else {
                    Issue.record("\(name): the entry is not asked for")
                    continue
                }
            }
            for (index, (words, change)) in Self.faults.enumerated() {
                lie(change)
                let error = await #expect(throws: NodeServiceError.self) {
                    _ = try await questions.hold(wish(stand, for: executor, attempt: UInt64(index) + 10))
                }
                #expect(error?.code == .issuerFaulty && error?.message.contains(words) == true)
            }
            // The same key over another book of the size that this node knows.
            let copy = try CreditStand.copied(stand)
            let other = IssuerDesk(identity: stand.issuer, store: copy.store)
            try await other.load()
            try await stand.pay(250)
            let order = try await stand.payment(9)
            _ = await other.answer(.submit(event: .transferred(order: order.bytes)), for: stand.issuer.did)
            liar.set()
            _ = try await member.issuer(stand.issuer.did.text)
            guard case .head(let note, _) = await other.answer(.head(since: 0, size: nil), for: executor) else {
                Issue.record("it has no head")
                return
            }
            lie { $0.note = note }
            let error = await #expect(throws: NodeServiceError.self) {
                _ = try await questions.hold(wish(stand, for: executor, attempt: 12))
            }
            #expect(error?.code == .issuerFaulty && error?.message.contains("two histories") == true)
            #expect(try await member.all().first?.fault.count == 2, "the proof is kept")
        }
    }

    @Test("An attempt that is held by an order which this node forgot is said to be held")
    func forgotten() async throws {
        try await meeting { (stand: CreditStand, member: MemberDesk, _: CreditLiar) async throws in
            let wish = wish(stand, for: stand.members[1].did)
            let terms = HoldTerms(
                jobID: wish.jobID, attempt: wish.attempt, bidCID: CID.hashing([3], codec: .dagCBOR),
                originatorDID: stand.members[0].did, executorDID: stand.members[1].did,
                arbiterDID: stand.arbiter.did, deliverBy: wish.deliverBy, claimBy: wish.claimBy,
                windowMilliseconds: 1_000, extensionMilliseconds: 1_000)
            let order = try await stand.payment(500, hold: terms)
            let answer = await stand.desk.answer(
                .submit(event: .holdGranted(order: order.bytes)), for: stand.members[0].did)
            guard case .taken = answer else {
                Issue.record("\(answer)")
                return
            }
            guard case .held(let reason) = try await HoldQuestions(member: member).hold(wish) else {
                Issue.record("it is held twice")
                return
            }
            #expect(reason.contains("has a hold already"))
        }
    }

    @Test("Nothing is ordered for a bid that is of no use any more, and a late order is no hold")
    func late() async throws {
        try await meeting { (stand: CreditStand, member: MemberDesk, _: CreditLiar) async throws in
            let executor = stand.members[1].did
            #expect(await told(desk(member), wish(stand, for: executor, milliseconds: 0)).isEmpty)
            // An order that arrives as late as no clock can explain is refused by the book.
            var late = wish(stand, for: executor)
            late.useBy = UnixMilliseconds(NodeClock.wallClock.value - 300_001)
            guard case .refused(let reason, let isOwn) = try await HoldQuestions(member: member).hold(late) else {
                Issue.record("it is held")
                return
            }
            #expect(reason.contains("the order's time is over") && !isOwn)
            #expect(await stand.desk.issuer?.book.holds.isEmpty == true)
        }
    }

    @Test("Whose fault a refusal is: the line of the originator, that of the executor, or what else is held")
    func refusals() async throws {
        try await meeting { (stand: CreditStand, member: MemberDesk, _: CreditLiar) async throws in
            let executor = stand.members[1].did
            func answer(_ wish: HoldWish) async -> String {
                do throws(NodeServiceError) {
                    switch try await HoldQuestions(member: member).hold(wish) {
                    case .given: return "given"
                    case .refused(_, let isOwn): return isOwn ? "own" : "executor"
                    case .delayed: return "delayed"
                    case .held: return "held"
                    }
                } catch {
                    return "\(error.code)"
                }
            }
            #expect(await answer(wish(stand, for: executor, amount: 10_001)) == "own")
            #expect(await answer(wish(stand, for: stand.stranger.did, attempt: 2)) == "executor")
            #expect(await answer(wish(stand, for: executor, amount: 6_000, attempt: 3)) == "given")
            // It would be enough once the other hold is over.
            #expect(await answer(wish(stand, for: executor, amount: 6_000, attempt: 4)) == "overloaded")
            var other = wish(stand, for: executor, attempt: 5)
            other.unit = CreditUnit(name: "kWh", decimals: 2)
            #expect(await answer(other) == "own")
            #expect(await answer(wish(stand, for: stand.arbiter.did, attempt: 6)) == "executor")
        }
    }

    // MARK: Bookings

    private func booking(
        _ number: UInt8, at issuer: DID, claimBy: UnixMilliseconds
    ) throws -> HoldBooking {
        let (one, other) = (CID.hashing([number], codec: .dagCBOR), Identity.generate().did)
        let terms = HoldTerms(
            jobID: JobID(one), attempt: 1, bidCID: one, originatorDID: other, executorDID: Identity.generate().did,
            arbiterDID: other, deliverBy: claimBy, claimBy: claimBy, windowMilliseconds: 1_000,
            extensionMilliseconds: 1_000)
        let certificate = HoldCertificate(
            issuerDID: issuer, charterCID: one, holdCID: one, debtorDID: other, creditorDID: other,
            amount: TokenAmount(5), unit: CreditStand.unit, terms: terms, entry: 1,
            commitment: [UInt8](repeating: 0, count: 32), loggedBy: claimBy)
        return HoldBooking(
            .holdExpired(hold: one), of: certificate, paying: TokenAmount(5), notBefore: UnixMilliseconds(1))
    }

    private func state(_ booking: HoldBooking, in store: MeshStore) async throws -> (HoldBooking.State?, due: UInt64?) {
        let row = try #require(try await HoldBookingRow.of(booking.jobID.cid, in: store).first)
        return (row.booking?.state, row.dueAt)
    }

    /// Runs a desk until something is so.
    private func running(
        _ desk: HoldDesk, telling tell: @escaping @Sendable (HoldBooking) -> Void = { _ in },
        until isSo: @escaping () async throws -> Bool
    ) async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { await desk.run(tell) }
            defer { group.cancelAll() }
            try await eventually { try await isSo() }
        }
    }

    @Test("What a silent issuer did not book in time is lost, and damage is written off", .timeLimit(.minutes(1)))
    func lost() async throws {
        try await meeting { (stand: CreditStand, member: MemberDesk, _: CreditLiar) async throws in
            let silent = Identity.generate().did
            let over = try booking(1, at: silent, claimBy: UnixMilliseconds(1_000))
            let open = try booking(2, at: silent, claimBy: NodeClock.wallClock)
            var damaged = try HoldBookingRow(try booking(3, at: silent, claimBy: NodeClock.wallClock))
            damaged.bytes = [0xFF]
            let (one, other) = (try HoldBookingRow(over), try HoldBookingRow(open))
            try await member.store.commit([
                .issuer(.booking(one)), .issuer(.booking(other)), .issuer(.booking(damaged)),
            ])
            let told = Mutex<[HoldBooking]>([])
            try await running(desk(member)) { booking in
                told.withLock { $0.append(booking) }
            } until: {
                try await state(over, in: member.store).due == nil && !told.withLock(\.isEmpty)
            }
            #expect(told.withLock { $0.map(\.jobID) } == [over.jobID], "of the other nothing came yet")
            guard case .lost(let reason)? = try await state(over, in: member.store).0 else {
                Issue.record("\(try await state(over, in: member.store))")
                return
            }
            #expect(reason.contains("The issuer did not answer"))
            #expect(try await state(open, in: member.store).0 == .due)
            #expect(try await HoldBookingRow.of(damaged.jobID, in: member.store).map(\.dueAt) == [nil])
        }
    }

    @Test("An issuer that answers slowly keeps no other waiting", .timeLimit(.minutes(1)))
    func slow() async throws {
        try await meeting { (stand: CreditStand, member: MemberDesk, liar: CreditLiar) async throws in
            // This node is an issuer as well, which refuses what it does not know at once.
            _ = try await member.own.found(stand.founding)
            let own = stand.members[0].did
            _ = try await member.issuer(own.text)
            let (isAsked, mayAnswer) = (AsyncStream<Void>.makeStream(), AsyncStream<Void>.makeStream())
            liar.set { question, answer in
                if case .submit = question {
                    isAsked.continuation.yield()
                    for await _ in mayAnswer.stream { break }
                }
                return answer
            }
            let date = NodeClock.wallClock
            let slow = try booking(1, at: stand.issuer.did, claimBy: date)
            let quick = try booking(2, at: own, claimBy: date)
            let row = try HoldBookingRow(slow)
            try await member.store.commit([.issuer(.booking(row))])
            let asking = isAsked.stream
            try await running(desk(member)) {
                for await _ in asking { break }
                let row = try HoldBookingRow(quick)
                try await member.store.commit([.issuer(.booking(row))])
                try await eventually { try await state(quick, in: member.store).due != 1 }
                #expect(try await state(slow, in: member.store).due == 1, "it still waits for its answer")
                mayAnswer.continuation.finish()
                return true
            }
        }
    }

    @Test("Of two issuers where one is asked at a time, both have their turns", .timeLimit(.minutes(1)))
    func turns() async throws {
        try await meeting { (stand: CreditStand, member: MemberDesk, liar: CreditLiar) async throws in
            _ = try await member.own.found(stand.founding)
            let own = stand.members[0].did
            _ = try await member.issuer(own.text)
            let desk = desk(member) { ($0.issuersAtOnceMax, $0.turnMilliseconds) = (1, 0) }
            let bookings = try (1...4).map { number in
                try booking(number, at: number < 3 ? stand.issuer.did : own, claimBy: NodeClock.wallClock)
            }
            for each in bookings {
                let row = try HoldBookingRow(each)
                try await member.store.commit([.issuer(.booking(row))])
            }
            let first = await desk.due()
            #expect(first.count == 1 && first.first?.rows.count == 2, "one of the two, with both of its rows")
            // How many rows of the other one were asked for, at each question of the one.
            let others = Mutex<[Int]>([])
            liar.set { question, answer in
                guard case .submit = question else { return answer }
                var count = 0
                for other in bookings[2...] where (try? await state(other, in: member.store).due) != 1 { count += 1 }
                let found = count
                others.withLock { $0.append(found) }
                // While it is asked, its place is taken.
                #expect(await desk.due().isEmpty)
                return answer
            }
            try await running(desk) {
                for each in bookings where try await state(each, in: member.store).due == 1 { return false }
                return true
            }
            let counts = others.withLock(\.self)
            #expect(counts == [0, 1] || counts == [1, 2], "they take turns, whoever is the first: \(counts)")
        }
    }

    @Test("What an issuer said of a line is believed for a while, and not for longer", .timeLimit(.minutes(1)))
    func believed() async throws {
        try await meeting { (stand: CreditStand, member: MemberDesk, liar: CreditLiar) async throws in
            let trusted = TrustedIssuer(
                issuerDID: stand.issuer.did, unit: CreditStand.unit, basePrice: TokenAmount(1),
                pricePerMillionFuel: .zero)
            // What is told of the line while the issuer, once it said what it is, is busy for four questions.
            func told(believing milliseconds: Int64) async -> [Bool] {
                let told = Told()
                let (refusals, refused) = AsyncStream<Void>.makeStream()
                liar.set { _, answer in
                    if told.isMember.withLock(\.isEmpty) { return answer }
                    refused.yield()
                    return .refused(reason: .tooMany, text: "as many as it takes")
                }
                let desk = desk(member) {
                    ($0.standingMilliseconds, $0.unknownMilliseconds, $0.believedMilliseconds) = (20, 20, milliseconds)
                }
                await withTaskGroup(of: Void.self) { group in
                    group.addTask {
                        await desk.follow([trusted]) { standing in
                            told.isMember.withLock { $0.append(standing.isMember) }
                        }
                    }
                    var count = 0
                    for await _ in refusals {
                        count += 1
                        if count == 4 { break }
                    }
                    group.cancelAll()
                }
                return told.isMember.withLock(\.self)
            }
            let kept = await told(believing: 300_000)
            #expect(kept == [true])
            let lost = await told(believing: 0)
            #expect(lost.first == true && lost.dropFirst().allSatisfy { !$0 } && lost.count > 1, "\(lost)")
        }
    }

    @Test("An issuer that broke its word has no member here")
    func membership() async throws {
        try await meeting { (stand: CreditStand, member: MemberDesk, liar: CreditLiar) async throws in
            var trusted = TrustedIssuer(
                issuerDID: stand.issuer.did, unit: CreditStand.unit, basePrice: TokenAmount(1),
                pricePerMillionFuel: .zero)
            #expect(await desk(member).remembered([trusted]).isEmpty, "it never met it")
            let standing = try await HoldQuestions(member: member).standing(at: stand.issuer.did, in: CreditStand.unit)
            #expect(standing.isMember && standing.arbiters == [stand.arbiter.did])
            #expect(await desk(member).remembered([trusted]) == [standing], "by what is on the disk")
            trusted.unit = CreditUnit(name: "kWh", decimals: 0)
            #expect(await desk(member).remembered([trusted]).map(\.isMember) == [false])
            trusted.unit = CreditStand.unit
            liar.set { question, answer in
                guard case .head = question else { return answer }
                return .head(note: [1], proof: [])
            }
            let told = AsyncStream<IssuerStanding>.makeStream()
            let desk = desk(member)
            let (issuers, continuation) = ([trusted], told.continuation)
            await withTaskGroup(of: Void.self) { group in
                group.addTask { await desk.follow(issuers) { continuation.yield($0) } }
                defer { group.cancelAll() }
                for await standing in told.stream {
                    #expect(!standing.isMember)
                    break
                }
            }
        }
    }
}

extension HoldQuestions {
    /// The same of an order that goes ahead of the disk.
    func hold(_ wish: HoldWish) async throws(NodeServiceError) -> HoldAnswer {
        var ordered: Ordered?
        return try await hold(wish, &ordered, UnwrittenOrders(countMax: 1))
    }
}
