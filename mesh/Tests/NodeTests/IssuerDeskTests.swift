import Credit
import Determinism
import Foundation
import GRDB
import IPLD
import MerkleLog
import MeshStore
import MeshTypes
import Multiformats
import NodeAPI
import PeerIdentity
import SignedObjects
import Testing

@testable import PlanetaryMesh

/// A node as an issuer: what it keeps, whom it tells what, and what it refuses.
@Suite struct IssuerDeskTests {
    private func balances(_ desk: IssuerDesk, _ stand: CreditStand) async -> [Int64] {
        var balances: [Int64] = []
        for member in stand.members { balances.append(await desk.lines(of: member.did).first?.balance ?? 0) }
        return balances
    }

    @Test("What is booked is there after a start, once, and adds up to zero")
    func booked() async throws {
        let stand = try CreditStand()
        try await stand.found()
        await #expect(throws: NodeServiceError.self) { _ = try await stand.desk.found(stand.founding) }
        let order = try await stand.payment(250)
        let event = CreditQuestion.submit(event: .transferred(order: order.bytes))
        let first = await stand.desk.answer(event, for: stand.members[0].did)
        #expect(first == .taken(entry: 3, certificate: nil))
        // Whoever brings it again, and however often at once.
        let again = await withTaskGroup(of: CreditAnswer.self) { group in
            for _ in 0..<8 { group.addTask { await stand.desk.answer(event, for: stand.stranger.did) } }
            return await group.reduce(into: Set<CreditAnswer>()) { $0.insert($1) }
        }
        #expect(again == [first])
        try await stand.pay(50, from: 1, to: 0)
        #expect(await balances(stand.desk, stand) == [-200, 200])
        let desk = try await stand.again()
        #expect(await balances(desk, stand) == [-200, 200])
        #expect(await desk.issuer?.book == stand.desk.issuer?.book)
        #expect(await desk.durable == stand.desk.durable)
        #expect(await desk.answer(event, for: stand.members[0].did) == first)
        await desk.issuer?.book.checkInvariants()
        guard case .totals(let totals) = await desk.answer(.totals, for: stand.stranger.did) else {
            Issue.record("no sums")
            return
        }
        #expect(totals.map { [$0.lines, $0.owed, $0.owing, $0.owedMax] } == [[2, 200, 200, 20_000]])
    }

    @Test("Many payments at once share the disk, and each is booked once")
    func atOnce() async throws {
        let stand = try CreditStand()
        try await stand.found()
        let orders = try await (0..<100).asyncMap { _ in try await stand.payment(1) }
        let entries = await withTaskGroup(of: CreditAnswer.self) { group in
            for order in orders {
                let event = CreditQuestion.submit(event: .transferred(order: order.bytes))
                group.addTask { await stand.desk.answer(event, for: stand.members[0].did) }
            }
            return await group.reduce(into: Set<CreditAnswer>()) { $0.insert($1) }
        }
        #expect(entries == Set((3..<103).map { .taken(entry: $0, certificate: nil) }))
        let again = try await stand.again()
        #expect(await balances(again, stand) == [-100, 100])
    }

    @Test(
        "A book that the disk changed is refused with the entry, and not opened",
        arguments: [
            "UPDATE issuer_entries SET entry = x'a0' WHERE number = 2",
            "UPDATE issuer_entries SET entry = (SELECT entry FROM issuer_entries WHERE number = 4) WHERE number = 3",
            "UPDATE issuer_entries SET commitment = zeroblob(32) WHERE number = 1",
            "DELETE FROM issuer_entries WHERE number = 1", "DELETE FROM issuer_entries WHERE number = 4",
            "UPDATE issuer SET size = 4", "UPDATE issuer SET size = 6", "UPDATE issuer SET root = zeroblob(32)",
            "UPDATE issuer SET secret = zeroblob(32)", "UPDATE issuer SET secret = 'text'", "DELETE FROM issuer",
            "UPDATE issuer SET size = -1", "UPDATE issuer_entries SET number = -1 WHERE number = 0",
        ])
    func damaged(_ sql: String) async throws {
        let stand = try CreditStand()
        try await stand.found()
        try await stand.pay(250)
        try await stand.pay(250)
        try stand.store.close()
        let queue = try DatabaseQueue(path: stand.path)
        try await queue.write { try $0.execute(sql: sql) }
        try queue.close()
        let store = try MeshStore(path: stand.path, owner: stand.issuer.did.text)
        let desk = IssuerDesk(identity: stand.issuer, store: store)
        let error = await #expect(throws: NodeServiceError.self) { try await desk.load() }
        #expect(error?.code == .storageFailed, "\(sql): \(error.map { "\($0)" } ?? "")")
        #expect(await desk.issuer == nil)
        try store.close()
    }

    @Test("A damaged hash of the log is found before a head is signed over it")
    func damagedHashes() async throws {
        let stand = try CreditStand()
        try await stand.found()
        try await stand.pay(250)
        let queue = try DatabaseQueue(path: stand.path)
        try await queue.write { try $0.execute(sql: "UPDATE issuer_hashes SET hash = zeroblob(32)") }
        try queue.close()
        let desk = try await stand.again()
        let questions: [CreditQuestion] = [
            .head(since: 2, size: 3), .statement(from: 0, size: 4), .charter(size: 4), .charter(size: 3),
        ]
        for question in questions {
            #expect(CreditStand.reason(await desk.answer(question, for: stand.members[0].did)) == .closed)
        }
        guard case .head(let note, _) = await desk.answer(.head(since: 0, size: nil), for: stand.stranger.did) else {
            Issue.record("the head follows from the entries alone")
            return
        }
        #expect(KnownIssuer.head(of: try #require(SignedNote(bytes: note)), by: stand.issuer.did)?.size == 4)
    }

    @Test("Each sees its own entries, an auditor all, and everybody the log")
    func privacy() async throws {
        let stand = try CreditStand()
        try await stand.found()
        let third = Identity.generate()
        try await stand.limit(third, 5)
        try await stand.pay(250)
        func own(_ identity: Identity) async -> [UInt64]? {
            CreditStand.numbers(await stand.desk.answer(.statement(from: 0, size: 5), for: identity.did))
        }
        #expect(await own(stand.members[0]) == [1, 4])
        #expect(await own(stand.members[1]) == [2, 4])
        #expect(await own(third) == [3])
        for other in stand.officers + [stand.stranger, stand.auditor] { #expect(await own(other) == []) }
        func all(_ identity: Identity) async -> CreditAnswer {
            await stand.desk.answer(.openings(from: 0, size: 5), for: identity.did)
        }
        for other in stand.officers + stand.members + [stand.stranger, stand.auditor] {
            #expect(CreditStand.reason(await all(other)) == .notForYou)
            #expect(await stand.desk.lines(of: other.did).allSatisfy { $0.line.did == other.did })
        }
        try await stand.carryOut(.auditor(did: stand.auditor.did, appointed: true))
        #expect(CreditStand.numbers(await all(stand.auditor)) == [0, 1, 2, 3, 4])
        try await stand.carryOut(.auditor(did: stand.auditor.did, appointed: false))
        #expect(CreditStand.reason(await all(stand.auditor)) == .notForYou)
        let commitments = await stand.desk.answer(.commitments(from: 1, size: 5), for: stand.stranger.did)
        guard case .commitments(let bytes) = commitments else {
            Issue.record("no commitments")
            return
        }
        #expect(bytes.count == 4 * 32)
        for question in [
            .head(since: 9, size: nil), .head(since: 0, size: 99), .head(since: 5, size: 4), .charter(size: 99),
            .charter(size: 0), .statement(from: 0, size: 99), .commitments(from: 0, size: .max),
            .head(since: 0, size: 0),
        ] as [CreditQuestion] {
            #expect(CreditStand.reason(await stand.desk.answer(question, for: stand.members[0].did)) == .unknown)
        }
    }

    @Test("Officers' orders wait for enough of them, over a start too; nobody else proposes or approves")
    func orders() async throws {
        let stand = try CreditStand { $0.ordersPerOfficerMax = 2 }
        _ = try await stand.desk.found(stand.founding)
        let line = LineID(stand.members[0].did, CreditStand.unit)
        let action = OfficerOrder.Action.limit(line: line, owed: TokenAmount(5), owing: .zero, issuer: false)
        let order = try await stand.order(action)
        for other in [stand.members[0], stand.stranger, stand.issuer] {
            let approval = try stand.approval(order, by: other)
            #expect(CreditStand.reason(await stand.desk.answer(.number, for: other.did)) == .notForYou)
            let answer = await stand.desk.answer(.propose(order: order, approval: approval), for: other.did)
            #expect(CreditStand.reason(answer) == .notForYou)
        }
        // An officer in another's name, or with the approval of another order.
        let foreign = try stand.approval(order, by: stand.officers[1])
        let answer = await stand.desk.answer(.propose(order: order, approval: foreign), for: stand.officers[0].did)
        #expect(CreditStand.reason(answer) == .book)
        #expect(await stand.desk.waiting.isEmpty)
        guard case .waits(let waiting) = try await stand.propose(order) else {
            Issue.record("it does not wait")
            return
        }
        #expect(waiting.approvals.count == 1)
        // The same officer again is one officer.
        guard case .waits(let still) = try await stand.approve(order, by: stand.officers[0]) else {
            Issue.record("it does not wait")
            return
        }
        #expect(still.approvals.count == 1)
        var next = try await stand.order(.freeze(line: line, frozen: true))
        #expect(next.number == order.number + 1)
        next.number = OfficerOrder.numberStepMax
        _ = try await stand.propose(next)
        #expect(try await stand.order(action).number == order.number + 1, "a high number drives the next ones up")
        var third = next
        third.number = 7
        #expect(CreditStand.reason(try await stand.propose(third)) == .tooMany)
        guard case .waits = try await stand.propose(third, by: 2) else {
            Issue.record("another officer has orders of its own")
            return
        }
        third.number = OfficerOrder.numberStepMax + 1
        #expect(CreditStand.reason(try await stand.propose(third, by: 2)) == .book)
        #expect(CreditStand.reason(try await stand.approve(order, by: stand.members[0])) == .notForYou)
        #expect(CreditStand.reason(try await stand.approve(third, by: stand.officers[1])) == .unknown)
        let long = LineID(line.did, CreditUnit(name: String(repeating: "a", count: 4_096), decimals: 0))
        let large = try await stand.order(.freeze(line: long, frozen: true))
        #expect(CreditStand.reason(try await stand.propose(large, by: 1)) == .book)
        let desk = try await stand.again()
        #expect(await desk.waiting.count == 3)
        let approval = try stand.approval(order, by: stand.officers[1])
        let cid = try #require(order.cid)
        let done = await desk.answer(.approve(order: cid, approval: approval), for: stand.officers[1].did)
        #expect(done == .taken(entry: 1, certificate: nil))
        #expect(await desk.waiting.count == 2)
        #expect(await desk.lines(of: line.did).first?.spendable == 5)
    }

    @Test("Cash needs the member's word, and it is shown what waits for that")
    func cash() async throws {
        let stand = try CreditStand()
        try await stand.found()
        let member = stand.members[0]
        let line = LineID(member.did, CreditStand.unit)
        let order = try await stand.order(.deposit(line: line, amount: TokenAmount(70), reference: "receipt 4"))
        _ = try await stand.propose(order)
        guard case .waits = try await stand.approve(order, by: stand.officers[1]) else {
            Issue.record("it does not wait for the member")
            return
        }
        for (identity, count) in [(member, 1), (stand.members[1], 0), (stand.stranger, 0), (stand.officers[2], 1)] {
            guard case .orders(let orders) = await stand.desk.answer(.orders, for: identity.did) else {
                Issue.record("no orders")
                return
            }
            #expect(orders.count == count)
        }
        #expect(CreditStand.reason(try await stand.approve(order, by: stand.members[1])) == .notForYou)
        #expect(try await stand.approve(order, by: member) == .taken(entry: 3, certificate: nil))
        #expect(await stand.desk.lines(of: member.did).first?.balance == 70)
    }

    private static var withoutEvidence: IssuerDesk.Limits {
        var limits = IssuerDesk.Limits()
        limits.evidenceBytesPerDayMax = 0
        return limits
    }

    @Test("The evidence of two members counts by their pair and day, and small events not at all")
    func evidence() {
        func parties(_ number: UInt8) -> EvidenceQuota.Parties {
            let lines = [0, number].map { seed in
                LineID(DID(publicKey: Identity.generate().publicKey), CreditUnit(name: "u\(seed)", decimals: 0))
            }
            return EvidenceQuota.Parties(debtor: lines[0], creditor: lines[1])
        }
        let (one, other) = (parties(1), parties(2))
        let (day, next) = (UnixMilliseconds(86_400_000), UnixMilliseconds(2 * 86_400_000))
        var quota = EvidenceQuota(bytesPerDayMax: 1_000)
        let most = EvidenceQuota.freeBytes + 1_000
        #expect(quota.allows(most, of: one, at: day) && !quota.allows(most + 1, of: one, at: day))
        quota.count(most, of: one, at: day)
        #expect(!quota.allows(EvidenceQuota.freeBytes + 1, of: one, at: day))
        #expect(quota.allows(EvidenceQuota.freeBytes, of: one, at: day))
        #expect(quota.allows(most, of: other, at: day) && quota.allows(most, of: one, at: next))
        quota.count(EvidenceQuota.freeBytes + 1, of: other, at: next)
        #expect(quota.allows(most, of: one, at: next) && !quota.allows(most, of: other, at: next))
    }

    @Test("A hold is granted with a certificate, over the same questions, and expires by itself")
    func holds() async throws {
        let stand = try CreditStand { $0.lookMilliseconds = 10 }
        try await stand.found()
        let now = NodeClock.wallClock
        let job = JobID(CID.hashing([1], codec: .dagCBOR))
        let terms = HoldTerms(
            jobID: job, attempt: 1, bidCID: CID.hashing([2], codec: .dagCBOR), originatorDID: stand.members[0].did,
            executorDID: stand.members[1].did, arbiterDID: stand.arbiter.did,
            deliverBy: now.advanced(milliseconds: 60_000), claimBy: now.advanced(milliseconds: 120_000),
            windowMilliseconds: 10_000, extensionMilliseconds: 20_000)
        let order = try await stand.payment(500, hold: terms)
        let event = CreditQuestion.submit(event: .holdGranted(order: order.bytes))
        let answer = await stand.desk.answer(event, for: stand.members[0].did)
        guard case .taken(3, let block?, nil) = answer else {
            Issue.record("\(answer)")
            return
        }
        let certificate = try SignedObject<HoldCertificate>(reading: block)
        #expect(certificate.did == stand.issuer.did && certificate.body.holdCID == order.bodyCID)
        #expect(await stand.desk.answer(event, for: stand.members[1].did) == answer)
        // A party that says which head it has is shown the entry; nobody else is, nor one with a head of another log.
        func shown(_ did: DID, since: UInt64) async -> ShownEntry? {
            let again = CreditQuestion.submit(event: .holdGranted(order: order.bytes), since: since)
            guard case .taken(3, block, let shown) = await stand.desk.answer(again, for: did) else { return nil }
            return shown
        }
        for since in UInt64(0)...4 {
            let shown = try #require(await shown(stand.members[1].did, since: since))
            let note = try #require(SignedNote(bytes: shown.note))
            let head = try #require(KnownIssuer.head(of: note, by: stand.issuer.did))
            #expect(ProvedEntry(shown.entry, under: head)?.entry.event == .holdGranted(order: order.bytes))
        }
        #expect(await shown(stand.stranger.did, since: 1) == nil)
        #expect(await shown(stand.members[0].did, since: 5) == nil)
        #expect(await stand.desk.lines(of: stand.members[0].did).first?.leaving == 500)
        // Of what is shown about it only so much is booked in a day; what does not read costs nobody's share.
        let long = BookEvent.claimLodged(
            hold: order.bodyCID, claim: [UInt8](repeating: 0, count: EvidenceQuota.freeBytes), lodging: nil)
        let poor = IssuerDesk(identity: stand.issuer, store: stand.store, limits: Self.withoutEvidence)
        try await poor.load()
        #expect(CreditStand.reason(await poor.answer(.submit(event: long), for: stand.members[1].did)) == .later)
        #expect(CreditStand.reason(await stand.desk.answer(.submit(event: long), for: stand.members[1].did)) == .book)
        for party in [stand.members[0], stand.members[1], stand.arbiter] {
            let shown = await stand.desk.answer(.statement(from: 3, size: 4), for: party.did)
            #expect(CreditStand.numbers(shown) == [3])
        }
        // Whoever could not reach it while it was away has some time first, also against who brings the end itself.
        let returned = IssuerDesk(identity: stand.issuer, store: stand.store) { now.advanced(milliseconds: 120_002) }
        try await returned.load()
        let expired = CreditQuestion.submit(event: .holdExpired(hold: order.bodyCID))
        #expect(CreditStand.reason(await returned.answer(expired, for: stand.members[0].did)) == .later)
        var limits = IssuerDesk.Limits()
        (limits.lookMilliseconds, limits.graceMilliseconds) = (10, 0)
        let later = IssuerDesk(identity: stand.issuer, store: stand.store, limits: limits) {
            now.advanced(milliseconds: 120_002)
        }
        try await later.load()
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { await later.run() }
            defer { group.cancelAll() }
            let began = NodeClock.now
            while await later.lines(of: stand.members[0].did).first?.leaving != 0 {
                try #require(NodeClock.now.milliseconds(since: began) < 60_000)
                await Task.yield()
            }
        }
    }

    @Test("Where a write fails the book is closed, and whole after the next start")
    func failedWrite() async throws {
        let stand = try CreditStand()
        try await stand.found()
        let queue = try DatabaseQueue(path: stand.path)
        try await queue.write {
            try $0.execute(
                sql: """
                    CREATE TRIGGER refusing BEFORE INSERT ON issuer_entries
                    BEGIN SELECT RAISE(ABORT, 'refused'); END
                    """)
        }
        let order = try await stand.payment(250)
        let event = CreditQuestion.submit(event: .transferred(order: order.bytes))
        for _ in 0..<2 {
            #expect(CreditStand.reason(await stand.desk.answer(event, for: stand.members[0].did)) == .closed)
        }
        #expect(CreditStand.reason(await stand.desk.answer(.lines, for: stand.members[0].did)) == .closed)
        #expect(await stand.desk.durable.size == 3)
        try await queue.write { try $0.execute(sql: "DROP TRIGGER refusing") }
        try queue.close()
        let desk = try await stand.again()
        #expect(await desk.answer(event, for: stand.members[0].did) == .taken(entry: 3, certificate: nil))
    }

    @Test("A restored book is shown, and takes nothing")
    func restored() async throws {
        let stand = try CreditStand()
        try await stand.found()
        let queue = try DatabaseQueue(path: stand.path)
        try await queue.write { try $0.execute(sql: "UPDATE issuer SET restored = 1") }
        try queue.close()
        let desk = try await stand.again()
        let order = try await stand.payment(250)
        let event = CreditQuestion.submit(event: .transferred(order: order.bytes))
        #expect(CreditStand.reason(await desk.answer(event, for: stand.members[0].did)) == .closed)
        #expect(try await desk.view().obstacle != nil)
        guard case .head = await desk.answer(.head(since: 0, size: nil), for: stand.members[0].did) else {
            Issue.record("it shows its head")
            return
        }
    }

    @Test("Strangers share one measure, and leave members theirs; each peer has its own")
    func rates() async throws {
        let stand = try CreditStand {
            ($0.strangersPerSecondMax, $0.strangersBurstMax) = (1, 3)
            ($0.questionsPerSecondPerPeerMax, $0.questionsBurstPerPeerMax) = (1, 5)
        }
        #expect(await !stand.desk.admits(stand.members[0].peerID), "a node that is no issuer reads no question")
        try await stand.found()
        let began = NodeClock.now
        var strangers = 0
        for _ in 0..<50 where await stand.desk.admits(Identity.generate().peerID) { strangers += 1 }
        var own = 0
        for _ in 0..<50 where await stand.desk.admits(stand.members[0].peerID) { own += 1 }
        let passed = Int(NodeClock.now.milliseconds(since: began) / 1_000) + 1
        #expect((3...3 + passed).contains(strangers) && (5...5 + passed).contains(own))
        for known in [stand.members[1], stand.officers[0], stand.arbiter] {
            #expect(await stand.desk.admits(known.peerID))
        }
    }

    @Test("Questions at once, and what an answer has, are bounded")
    func bounds() async throws {
        for (all, strangers, member, stranger) in [
            (0, 8, CreditAnswer.Reason.tooMany, CreditAnswer.Reason.tooMany), (8, 0, nil, .tooMany), (8, 8, nil, nil),
        ] as [(Int, Int, CreditAnswer.Reason?, CreditAnswer.Reason?)] {
            let stand = try CreditStand { ($0.answeredAtOnceMax, $0.strangersAtOnceMax) = (all, strangers) }
            try await stand.found()
            let question = CreditQuestion.head(since: 0, size: nil)
            #expect(CreditStand.reason(await stand.desk.answer(question, to: stand.members[0].peerID)) == member)
            #expect(CreditStand.reason(await stand.desk.answer(question, to: stand.stranger.peerID)) == stranger)
        }
        let stand = try CreditStand {
            ($0.entriesPerAnswerMax, $0.commitmentsPerAnswerMax, $0.linesPerAnswerMax) = (2, 3, 1)
        }
        try await stand.found()
        for _ in 0..<4 { try await stand.pay(1) }
        let page = await stand.desk.answer(.statement(from: 0, size: 7), for: stand.members[0].did)
        guard case .entries(let entries, true) = page else {
            Issue.record("no page")
            return
        }
        #expect(entries.map(\.number) == [1, 3])
        let small = try CreditStand { $0.entryBytesPerAnswerMax = 1 }
        try await small.found()
        let one = await small.desk.answer(.statement(from: 0, size: 3), for: small.members[0].did)
        #expect(CreditStand.numbers(one) == [1])
        guard
            case .commitments(let bytes) = await stand.desk.answer(
                .commitments(from: 0, size: 7), for: stand.stranger.did)
        else {
            Issue.record("no commitments")
            return
        }
        #expect(bytes.count == 96)
        let other = LineID(stand.members[0].did, CreditUnit(name: "eggs", decimals: 0))
        try await stand.carryOut(.limit(line: other, owed: TokenAmount(1), owing: .zero, issuer: false))
        #expect(await stand.desk.lines(of: stand.members[0].did).count == 1)
    }

    @Test("A start reads the whole book; how long that takes is printed (MESH_BOOK_ENTRIES entries)")
    func replay() async throws {
        let count = ProcessInfo.processInfo.environment["MESH_BOOK_ENTRIES"].flatMap { Int($0) } ?? 2_000
        let stand = try CreditStand { $0.book.ordersPerDayMax = .max }
        try await stand.found(lines: 1 << 40)
        let began = NodeClock.now
        for start in stride(from: 0, to: count, by: 64) {
            let orders = try await (start..<min(start + 64, count)).asyncMap { _ in try await stand.payment(1) }
            await withTaskGroup(of: Void.self) { group in
                for order in orders {
                    let event = CreditQuestion.submit(event: .transferred(order: order.bytes))
                    group.addTask { _ = await stand.desk.answer(event, for: stand.members[0].did) }
                }
            }
        }
        let written = NodeClock.now
        var limits = IssuerDesk.Limits()
        limits.book.ordersPerDayMax = .max
        let desk = IssuerDesk(identity: stand.issuer, store: stand.store, limits: limits)
        try await desk.load()
        let read = NodeClock.now.milliseconds(since: written)
        #expect(await desk.durable.size == UInt64(count + 3))
        let took = written.milliseconds(since: began)
        print("issuer: \(count) payments booked in \(took) ms, the book opened in \(read) ms")
    }
}

extension Sequence where Self: Sendable {
    /// What a closure makes of each element, one after the other.
    fileprivate func asyncMap<Value>(_ make: (Element) async throws -> Value) async rethrows -> [Value] {
        var values: [Value] = []
        for element in self { values.append(try await make(element)) }
        return values
    }
}
