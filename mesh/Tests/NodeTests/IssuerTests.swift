import Credit
import Foundation
import IPLD
import LibP2P
import Logging
import MerkleLog
import MeshStore
import MeshTypes
import Multiformats
import NodeAPI
import NodeSetup
import P2PTesting
import PeerIdentity
import SignedObjects
import Synchronization
import Testing

@testable import PlanetaryMesh

/// A cooperative of nodes, over sockets; and issuers that lie.
@Suite("Issuers", .serialized) struct IssuerTests {
    private let folder = URL(fileURLWithPath: "/tmp/mn-\(UUID().uuidString.prefix(8))")

    private func open(_ number: Int, _ identity: Identity, by entrance: MeshNode? = nil) async throws -> MeshNode {
        var configuration = try NodeMesh.loopback()
        configuration.executor.isEnabled = false
        if let entrance {
            configuration.bootstrap = await entrance.swarm.listenAddresses().map {
                $0.withPeerID(entrance.identity.peerID)
            }
        }
        return try await NodeMesh.open(
            folder.appendingPathComponent("\(number)").path, configuration, identity: identity)
    }

    /// Two officers appoint an auditor, who replays the book.
    private func audit(
        _ first: MeshNode, _ second: MeshNode, _ auditor: MeshNode, at issuer: String
    ) async throws {
        var appointed = OfficerProposal(issuer: issuer, action: .appoint)
        appointed.did = second.identity.did.text
        // Nobody appoints itself, as one of so few.
        let own = try await first.propose(appointed)
        let alone = await #expect(throws: NodeServiceError.self) {
            let view = try await second.approve(own.orderCID, at: issuer)
            #expect(view.approvers.count == 2 && view.counted == 1)
            if view.entry == nil { throw NodeServiceError(.issuerRefused, "it waits") }
        }
        #expect(alone?.code == .issuerRefused)
        appointed.did = auditor.identity.did.text
        _ = try await second.propose(appointed)
        let waiting = try #require(try await first.officerOrders(at: issuer).last)
        #expect(try await first.approve(waiting.orderCID, at: issuer).entry != nil)
        let audit = try await auditor.audit(issuer)
        #expect(audit.finding == nil && audit.isWhole && audit.totals.first.map { $0.owed == $0.owing } == true)
        #expect(Set(audit.lines.map(\.balance)) == [-250, 250])
        var wrong = OfficerProposal(issuer: issuer, action: .appoint)
        (wrong.did, wrong.amount) = (auditor.identity.did.text, 5)
        let field = await #expect(throws: NodeServiceError.self) { _ = try await first.propose(wrong) }
        #expect(field?.code == .invalidRequest)
    }

    @Test("Two officers open two lines, a member pays, an auditor replays the book, and a start changes nothing")
    func cooperative() async throws {
        defer { try? FileManager.default.removeItem(at: folder) }
        let identities = (0..<5).map { _ in Identity.generate() }
        let dids = identities.map(\.did.text)
        let issuer = try await open(0, identities[0])
        var nodes = [issuer]
        for number in 1..<5 { nodes.append(try await open(number, identities[number], by: issuer)) }
        let (first, second, member, other) = (nodes[1], nodes[2], nodes[3], nodes[4])
        func connect(to issuer: MeshNode) async throws {
            let addresses = await issuer.swarm.listenAddresses()
            for node in nodes.dropFirst() {
                try await node.swarm.connect(to: issuer.identity.peerID, addresses: addresses)
            }
        }
        func carryOut(_ proposal: OfficerProposal) async throws -> OfficerOrderView {
            let waiting = try await first.propose(proposal)
            #expect(waiting.entry == nil && waiting.approvers == [dids[1]] && waiting.counted == 1)
            // Whoever did not hear of that and proposes it again has proposed one order.
            #expect(try await first.propose(proposal) == waiting)
            #expect(try await second.officerOrders(at: dids[0]).count == 1)
            let shown = try #require(try await second.officerOrders(at: dids[0]).first)
            #expect(shown == waiting)
            return try await second.approve(shown.orderCID, at: dids[0])
        }
        var key = CreditPayment(issuer: dids[0], creditor: dids[4], amount: 250, idempotencyKey: "rent")
        try await NodeMesh.running(nodes) {
            try await connect(to: issuer)
            let absent = await #expect(throws: NodeServiceError.self) { _ = try await member.issuer(dids[0]) }
            #expect(absent?.code == .peerUnreachable, "it is no issuer yet")
            let none = await #expect(throws: NodeServiceError.self) { _ = try await issuer.ownIssuer() }
            #expect(none?.code == .noIssuer)
            let rules = IssuerFounding(unit: "hours", decimals: 2, officers: [dids[1], dids[2]], approvals: 2)
            #expect(try await issuer.found(rules).entries == 1)
            for member in [dids[3], dids[4]] {
                var limit = OfficerProposal(issuer: dids[0], action: .limit)
                (limit.did, limit.owed, limit.owing) = (member, 1_000, 2_000)
                #expect(try await carryOut(limit).entry != nil)
            }
            let paid = try await member.pay(key)
            #expect(paid.entry == 3 && paid.amount == 250 && paid.unit == "hours")
            #expect(try await member.pay(key) == paid)
            key.amount = 251
            let conflict = await #expect(throws: NodeServiceError.self) { _ = try await member.pay(key) }
            #expect(conflict?.code == .conflict)
            let tooMuch = CreditPayment(issuer: dids[0], creditor: dids[4], amount: 751)
            let refused = await #expect(throws: NodeServiceError.self) { _ = try await member.pay(tooMuch) }
            #expect(refused?.code == .issuerRefused)
            #expect(refused?.message.contains("the debtor has 7.50 hours left") == true)
            let statement = try await member.statement(at: dids[0])
            #expect(statement.isComplete == true && statement.bookings.map(\.amount) == [nil, -250])
            #expect(statement.lines.first.map { [$0.balance, Int64($0.spendable)] } == [-250, 750])
            #expect(try await other.statement(at: dids[0]).bookings.map(\.amount) == [nil, 250])
            #expect(try await member.issuers().first?.lines.first?.balance == -250)
            let partial = try await second.audit(dids[0])
            #expect(partial.finding == nil && !partial.isWhole && partial.opened == 0 && partial.entries == 4)
            try await audit(first, second, other, at: dids[0])
        }
        nodes[0] = try await open(0, identities[0])
        for number in 1..<5 { nodes[number] = try await open(number, identities[number], by: nodes[0]) }
        let (again, payer) = (nodes[0], nodes[3])
        try await NodeMesh.running(nodes) {
            try await connect(to: again)
            #expect(try await payer.statement(at: dids[0]).isComplete == true)
            key.amount = 250
            #expect(try await payer.pay(key).entry == 3)
            #expect(try await nodes[4].audit(dids[0]).isWhole)
        }
    }

    // MARK: Lies

    private typealias Liar = CreditLiar

    private func meeting(
        _ stand: CreditStand, as identity: Identity, _ limits: MemberDesk.Limits = MemberDesk.Limits(),
        _ body: (MemberDesk, CreditLiar, Swarm) async throws -> Void
    ) async throws {
        try await stand.meeting(as: identity, limits, body)
    }

    @Test("An issuer that tells two histories is convicted by its own signatures, for good")
    func twoHistories() async throws {
        for isShort in [true, false] {
            let stand = try CreditStand()
            try await stand.found()
            let member = stand.members[0]
            let did = stand.issuer.did.text
            // The same key over another book.
            let copy = try CreditStand.copied(stand)
            let other = IssuerDesk(identity: stand.issuer, store: copy.store)
            try await other.load()
            try await stand.pay(250)
            try await stand.pay(10)
            let order = try await stand.payment(9)
            _ = await other.answer(.submit(event: .transferred(order: order.bytes)), for: member.did)
            if isShort {
                try await Self.pay(4, at: other, stand)
            } else {
                for _ in 0..<3 { try await Self.pay(4, at: other, stand) }
            }
            try await meeting(stand, as: member) { (desk: MemberDesk, liar: Liar, swarm: Swarm) async throws in
                #expect(try await desk.statement(at: did).isComplete == true)
                liar.set(other)
                for _ in 0..<2 {
                    let error = await #expect(throws: NodeServiceError.self) { _ = try await desk.statement(at: did) }
                    #expect(error?.code == .issuerFaulty && error?.message.contains("two histories") == true)
                }
                #expect(try await desk.issuer(did).fault != nil, "the proof is shown")
                liar.set(stand.desk)
                let again = MemberDesk(
                    identity: member, host: swarm, own: IssuerDesk(identity: member, store: await desk.store))
                let known = try #require(try await again.all().first)
                let notes = known.fault
                #expect(
                    notes.count == 2
                        && IssuerFault.twoHistories(notes[0], notes[1]).holds(against: stand.issuer.publicKey))
                #expect(known.view.fault?.contains(Issuer.logName(of: stand.issuer.did)) == true)
                let event = try DAGCBOREncoder().encode(BookEvent.transferred(order: order.bytes))
                for question in ["statement", "event"] {
                    let error = await #expect(throws: NodeServiceError.self) {
                        if question == "event" {
                            _ = try await again.enter(event, at: did)
                        } else {
                            _ = try await again.statement(at: did)
                        }
                    }
                    #expect(error?.code == .issuerFaulty, "it is not asked any more")
                }
                #expect(try await again.issuer(did).fault == known.view.fault)
            }
        }
    }

    private static func pay(_ amount: UInt64, at desk: IssuerDesk, _ stand: CreditStand) async throws {
        let order = try await stand.payment(amount)
        guard case .taken = await desk.answer(.submit(event: .transferred(order: order.bytes)), for: stand.issuer.did)
        else { throw NodeServiceError(.internalError, "not taken") }
    }

    /// Ways to change an honest answer, each with its name.
    private static func lies(
        _ early: CreditAnswer, _ foreignHead: CreditAnswer, of other: DID
    ) -> [(String, Liar.Change)] {
        [
            ("a shorter log", { if case .head = $0 { early } else { $1 } }),
            ("another's head", { if case .head = $0 { foreignHead } else { $1 } }),
            ("a head that nobody signed", { if case .head = $0 { .head(note: [1], proof: []) } else { $1 } }),
            (
                "another's line",
                { question, answer in
                    guard case .lines(let lines, let size) = answer, var line = lines.first else { return answer }
                    line.line = LineID(other, CreditStand.unit)
                    return .lines(lines: [line], size: size)
                }
            ),
            (
                "a size that the head has not",
                { question, answer in
                    guard case .lines(let lines, _) = answer else { return answer }
                    return .lines(lines: lines, size: 99)
                }
            ),
            (
                "an entry with another salt",
                { question, answer in
                    guard case .entries(var entries, let more) = answer, let last = entries.last else { return answer }
                    entries[entries.count - 1].opening = EntryOpening(
                        salt: [UInt8](repeating: 0, count: 32), entry: last.opening.entry)
                    return .entries(entries: entries, more: more)
                }
            ),
            (
                "an entry at another place",
                { question, answer in
                    guard case .entries(var entries, let more) = answer, !entries.isEmpty else { return answer }
                    entries[entries.count - 1].number += 1
                    return .entries(entries: entries, more: more)
                }
            ),
            (
                "entries again and again",
                { question, answer in
                    guard case .entries(let entries, _) = answer else { return answer }
                    return .entries(entries: entries + entries, more: true)
                }
            ),
            ("another answer", { if case .statement = $0 { .number(next: 1) } else { $1 } }),
        ]
    }

    @Test("Lies are found: shrunk logs, foreign heads, entries that are not there, balances that nothing makes")
    func lies() async throws {
        let stand = try CreditStand()
        try await stand.found()
        try await stand.pay(250)
        let member = stand.members[0]
        let did = stand.issuer.did.text
        let foreign = try CreditStand()
        try await foreign.found()
        let early = await stand.desk.answer(.head(since: 0, size: 2), for: member.did)
        let foreignHead = await foreign.desk.answer(.head(since: 0, size: nil), for: member.did)
        let lies = Self.lies(early, foreignHead, of: stand.members[1].did)
        try await meeting(stand, as: member) { (desk: MemberDesk, liar: Liar, _: Swarm) async throws in
            #expect(try await desk.statement(at: did).isComplete == true)
            for (name, lie) in lies {
                liar.set(nil, lie)
                let error = await #expect(throws: NodeServiceError.self, "\(name)") {
                    _ = try await desk.statement(at: did)
                }
                #expect(error?.code == .issuerFaulty, "\(name): \(error.map { "\($0)" } ?? "")")
            }
            // What is left out, or changed, does not come to the balance.
            liar.set(nil) { _, answer in
                guard case .entries(let entries, let more) = answer else { return answer }
                return .entries(entries: Array(entries.dropLast()), more: more)
            }
            #expect(try await desk.statement(at: did).isComplete == false)
            liar.set(nil) { _, answer in
                guard case .lines(var lines, let size) = answer else { return answer }
                lines[0].owing += 1
                return .lines(lines: lines, size: size)
            }
            #expect(try await desk.statement(at: did).isComplete == false)
            liar.set(nil) { question, answer in
                if case .submit = question { .taken(entry: 1, certificate: nil) } else { answer }
            }
            let payment = CreditPayment(issuer: did, creditor: stand.members[1].did.text, amount: 5)
            let unpaid = await #expect(throws: NodeServiceError.self) { _ = try await desk.pay(payment) }
            #expect(unpaid?.code == .issuerFaulty, "a payment that it says it made and does not show")
            liar.set()
            #expect(try await desk.statement(at: did).isComplete == true)
        }
    }

    /// Holds one question back until it is opened.
    private final class Gate: Sendable {
        private let asked = Mutex(0)
        private let stream: AsyncStream<Void>
        private let continuation: AsyncStream<Void>.Continuation

        init() { (stream, continuation) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1)) }

        var isReached: Bool { asked.withLock { $0 > 0 } }

        /// Whether this is the first to come, who has waited then.
        func waited() async -> Bool {
            let isFirst = asked.withLock { asked in
                asked += 1
                return asked == 1
            }
            if isFirst { for await _ in stream { break } }
            return isFirst
        }

        func open() { continuation.finish() }
    }

    /// How something is refused; nil if it is not.
    private static func refusal(_ body: @Sendable () async throws -> Void) async -> NodeServiceError? {
        do {
            try await body()
            return nil
        } catch {
            return error as? NodeServiceError
        }
    }

    @Test("Of two heads that arrive together neither takes the other's place unseen")
    func together() async throws {
        let stand = try CreditStand()
        try await stand.found()
        let (member, did) = (stand.members[0], stand.issuer.did.text)
        let copy = try CreditStand.copied(stand)
        let other = IssuerDesk(identity: stand.issuer, store: copy.store)
        try await other.load()
        let gate = Gate()
        try await meeting(stand, as: member) { (desk: MemberDesk, liar: Liar, _: Swarm) async throws in
            _ = try await desk.issuer(did)
            try await stand.pay(250)
            try await Self.pay(4, at: other, stand)
            liar.set(nil) { question, answer in
                guard case .head = question else { return answer }
                return await gate.waited() ? answer : await other.answer(question, for: member.did)
            }
            async let held = Self.refusal { _ = try await desk.issuer(did) }
            try await eventually("the first question is asked") { gate.isReached }
            _ = try await desk.issuer(did)
            gate.open()
            let error = await held
            #expect(error?.code == .issuerFaulty && error?.message.contains("two histories") == true)
            let fault = try #require(try await desk.all().first).fault
            #expect(
                fault.count == 2
                    && IssuerFault.twoHistories(fault[0], fault[1]).holds(against: stand.issuer.publicKey))
        }
    }

    @Test("Statements have a length, lines a number, and one statement is made at a time")
    func bounds() async throws {
        let stand = try CreditStand()
        try await stand.found()
        try await stand.pay(250)
        let (member, did) = (stand.members[0], stand.issuer.did.text)
        var limits = MemberDesk.Limits()
        (limits.linesMax, limits.statementBytesMax) = (1, 1_000)
        try await meeting(stand, as: member, limits) { (desk: MemberDesk, liar: Liar, _: Swarm) async throws in
            let long = await #expect(throws: NodeServiceError.self) { _ = try await desk.statement(at: did) }
            #expect(long?.code == .tooLarge)
            let own = await #expect(throws: NodeServiceError.self) { _ = try await desk.audit(did) }
            #expect(own?.code == .tooLarge)
            #expect(try await desk.issuer(did).lines.count == 1)
            liar.set(nil) { _, answer in
                guard case .lines(let lines, let size) = answer else { return answer }
                return .lines(lines: lines + lines, size: size)
            }
            let many = await #expect(throws: NodeServiceError.self) { _ = try await desk.issuer(did) }
            #expect(many?.code == .issuerFaulty)
            let gate = Gate()
            liar.set(nil) { question, answer in
                if case .lines = question { _ = await gate.waited() }
                return answer
            }
            async let held = Self.refusal { _ = try await desk.statement(at: did) }
            try await eventually("a statement is under way") { gate.isReached }
            let second = await #expect(throws: NodeServiceError.self) { _ = try await desk.audit(did) }
            #expect(second?.code == .overloaded)
            gate.open()
            #expect(await held?.code == .tooLarge)
        }
        limits = MemberDesk.Limits()
        limits.pagesMilliseconds = 0
        try await meeting(stand, as: member, limits) { (desk: MemberDesk, _: Liar, _: Swarm) async throws in
            for question in [{ _ = try await desk.statement(at: did) }, { _ = try await desk.audit(did) }]
                as [() async throws -> Void]
            {
                let error = await #expect(throws: NodeServiceError.self) { try await question() }
                #expect(error?.code == .peerUnreachable && error?.message.contains("too slowly") == true)
            }
        }
        limits = MemberDesk.Limits()
        limits.meetsMax = 0
        try await meeting(stand, as: member, limits) { (desk: MemberDesk, _: Liar, _: Swarm) async throws in
            let error = await #expect(throws: NodeServiceError.self) { _ = try await desk.issuer(did) }
            #expect(error?.code == .overloaded)
        }
    }

    @Test("A payment whose time is over is found in the member's own entries, or was none", .timeLimit(.minutes(1)))
    func overduePayments() async throws {
        let stand = try CreditStand()
        try await stand.found()
        let did = stand.issuer.did.text
        var limits = MemberDesk.Limits()
        limits.paymentMilliseconds = 3_000
        try await meeting(stand, as: stand.members[0], limits) {
            (desk: MemberDesk, liar: Liar, _: Swarm) async throws in
            liar.set { question, answer in
                if case .submit = question { return .refused(reason: .closed, text: "It is lost.") }
                return answer
            }
            let (creditor, stranger) = (stand.members[1].did.text, stand.stranger.did.text)
            let booked = CreditPayment(issuer: did, creditor: creditor, amount: 250, idempotencyKey: "rent")
            let none = CreditPayment(issuer: did, creditor: stranger, amount: 250, idempotencyKey: "none")
            for payment in [booked, none] {
                let error = await #expect(throws: NodeServiceError.self) { _ = try await desk.pay(payment) }
                #expect(error?.message.contains("Whether it took the order is not known") == true)
            }
            let over = NodeClock.wallClock.advanced(milliseconds: 3_001)
            try await eventually("the orders' time is over") { NodeClock.wallClock > over }
            #expect(try await desk.pay(booked).entry == 3)
            let error = await #expect(throws: NodeServiceError.self) { _ = try await desk.pay(none) }
            #expect(error?.code == .conflict && error?.message.contains("Nothing was paid with this key") == true)
        }
    }

    @Test("Long logs are read no faster than an issuer answers")
    func paced() async throws {
        let stand = try CreditStand { ($0.entriesPerAnswerMax, $0.questionsBurstPerPeerMax) = (1, 40) }
        try await stand.found()
        for _ in 0..<60 { try await stand.pay(1) }
        try await stand.carryOut(.auditor(did: stand.members[0].did, appointed: true))
        try await meeting(stand, as: stand.members[0]) {
            (desk: MemberDesk, _: Liar, _: Swarm) async throws in
            #expect(try await desk.audit(stand.issuer.did.text).isWhole)
        }
    }

    @Test("An audit names what an issuer that lies to its auditor hides")
    func audits() async throws {
        let stand = try CreditStand()
        try await stand.found()
        try await stand.pay(250)
        try await stand.carryOut(.auditor(did: stand.auditor.did, appointed: true))
        let did = stand.issuer.did.text
        try await meeting(stand, as: stand.auditor) { (desk: MemberDesk, liar: Liar, _: Swarm) async throws in
            #expect(try await desk.audit(did).isWhole)
            liar.set(nil) { question, answer in
                guard case .commitments(var bytes) = answer else { return answer }
                bytes[40] ^= 1
                return .commitments(bytes: bytes)
            }
            #expect(try await desk.audit(did).finding == "\(IssuerAudit.Finding.rootDiffers)")
            liar.set(nil) { question, answer in
                guard case .openings = question, case .entries(var entries, let more) = answer else { return answer }
                entries[3].opening = entries[2].opening
                return .entries(entries: entries, more: more)
            }
            #expect(try await desk.audit(did).finding == "\(IssuerAudit.Finding.notCommitted(entry: 3))")
            for lie in [
                { question, answer in
                    guard case .commitments = answer else { return answer }
                    return .commitments(bytes: [])
                },
                { question, answer in
                    guard case .commitments(let bytes) = answer else { return answer }
                    return .commitments(bytes: bytes + bytes)
                },
                { question, answer in
                    guard case .openings = question, case .entries(let entries, let more) = answer else {
                        return answer
                    }
                    return .entries(entries: Array(entries.dropFirst()), more: more)
                },
            ] as [Liar.Change] {
                liar.set(nil, lie)
                let error = await #expect(throws: NodeServiceError.self) { _ = try await desk.audit(did) }
                #expect(error?.code == .issuerFaulty)
            }
        }
    }
}
