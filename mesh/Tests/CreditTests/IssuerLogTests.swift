import Credit
import IPLD
import MerkleLog
import MeshTypes
import Multiformats
import PeerIdentity
import SignedObjects
import Testing

@Suite("The log of an issuer: replay, audit and proofs of fault")
struct IssuerLogTests {
    /// A book with every kind of entry.
    static func busy() throws -> CreditWorld {
        var world = try CreditWorld(witnesses: true)
        let (job, hold) = try world.held(1)
        try world.enter(try job.settled(hold, try job.receipt(), pays: 100))
        let (second, released) = try world.held(2)
        let release = try SignedObject.sign(
            HoldRelease(executorDID: second.executor.did, holdCID: released, releasedAt: world.now),
            with: second.executor)
        try world.enter(.holdReleased(hold: released, release: release.bytes))
        for (number, payable) in [(UInt64(3), UInt64(40)), (4, 100)] {
            let (job, hold) = try world.held(number) { $0.disputeBudget = TokenAmount(10) }
            let claim = try job.claim(try job.receipt(), kept: world.arbiter, at: world.now)
            let word = try world.lodging(claim.cid, at: world.now, by: world.witnesses[0])
            try world.enter(.claimLodged(hold: hold, claim: claim.bytes, lodging: word))
            let dispute = try world.disputed(claim, by: job.originator)
            try world.enter(.claimDisputed(hold: hold, dispute: dispute.bytes, lodging: nil))
            let decision = try world.decided(claim, payable: payable)
            try world.enter(.claimDecided(hold: hold, decision: decision.bytes, lodging: nil))
        }
        let (third, claimed) = try world.held(5)
        let claim = try third.claim(try third.receipt(), kept: third.originator, at: world.now)
        try world.enter(.claimLodged(hold: claimed, claim: claim.bytes, lodging: nil))
        _ = try world.held(6)
        world.now = world.now.advanced(milliseconds: 300_000)
        let forged = try third.claim(try third.receipt(), kept: third.executor, at: world.now)
        let listed = [(forged.cid, UnixMilliseconds(world.now.value - 1)), (claim.cid, world.now)]
        let reports = try world.witnesses.map { try world.report(by: $0, until: world.now, listed) }
        try world.enter(.caughtUp(reports: reports, refused: [forged.bytes]))
        try world.passTime(0)
        let order = try world.payment(from: world.members[0], to: world.members[1].did, 5)
        let entry = try world.enter(.transferred(order: order.bytes))
        try world.enter(try world.order(.reverse(entry: entry.number, reason: "an error")))
        let line = LineID(world.members[0].did, CreditWorld.unit)
        try world.enter(
            try world.order(
                .rate(
                    unit: CreditUnit(name: "EUR", decimals: 2),
                    rate: CreditRate(unit: CreditWorld.unit, debit: 10, credit: 3))))
        try world.enter(try world.order(.freeze(line: line, frozen: true)))
        try world.enter(try world.order(.writeOff(line: line, amount: TokenAmount(1), reason: "")))
        let everybody = world.officers + [world.members[0]]
        try world.enter(
            try world.order(.deposit(line: line, amount: TokenAmount(2), reference: "a"), by: everybody))
        try world.enter(
            try world.order(.withdraw(line: line, amount: TokenAmount(1), reference: "b"), by: everybody))
        return world
    }

    @Test("Every kind of entry is written, read and replayed to the same book, from every prefix on")
    func replay() throws {
        let world = try Self.busy()
        var kinds: Set<String> = []
        for opening in world.openings {
            let entry = try #require(opening.read)
            kinds.insert(try #require(DAGCBORDocument(validating: opening.entry).root["event"]?.onlyEntry).key)
            #expect(entry == world.entries[Int(entry.number)])
            #expect(opening.entry.count <= entry.event.entryBytesMost)
        }
        #expect(kinds.count == 12, "\(kinds)")
        for count in 1...world.entries.count {
            for origin in [BlockOrigin.stored, .arrived] {
                var book = try IssuerBook(replaying: world.entries.prefix(count), origin: origin)
                for entry in world.entries.dropFirst(count) { _ = book.record(entry.event, now: entry.at) }
                #expect(book == world.book, "from \(count) entries on")
                book.checkInvariants()
            }
        }
        let again = try Issuer(replaying: world.entries, salts: CreditWorld.salts)
        #expect(again.tree == world.core.tree && again.book == world.book)
    }

    @Test("Entries that are missing, twice, out of order, or of another date are none of the book")
    func otherEntries() throws {
        let entries = try Self.busy().entries
        func fault(_ entries: [BookEntry]) -> ReplayFault? {
            do {
                _ = try IssuerBook(replaying: entries, origin: .arrived)
                return nil
            } catch {
                return error
            }
        }
        #expect(fault([]) == ReplayFault(entry: 0, reason: .notOpened))
        #expect(fault(Array(entries.dropFirst())) == ReplayFault(entry: 0, reason: .outOfOrder))
        #expect(fault([entries[0], entries[2]]) == ReplayFault(entry: 1, reason: .outOfOrder))
        let again = BookEntry(number: 2, at: entries[1].at, event: entries[1].event)
        #expect(fault([entries[0], entries[1], again]) == ReplayFault(entry: 2, reason: .entryTwice))
        let early = BookEntry(number: 1, at: UnixMilliseconds(1), event: entries[1].event)
        #expect(fault([entries[0], early]) == ReplayFault(entry: 1, reason: .outOfOrder))
        let first = BookEntry(number: 0, at: UnixMilliseconds(1), event: entries[0].event)
        #expect(fault([first]) == ReplayFault(entry: 0, reason: .refused(.outOfDate)))
        #expect(fault([BookEntry(number: 0, at: entries[1].at, event: entries[1].event)])?.reason == .notOpened)
        #expect(
            fault([entries[0], BookEntry(number: 1, at: entries[0].at, event: entries[0].event)])?.reason
                == .refused(.otherBook))
    }

    // MARK: Audit

    @Test("An auditor with all entries finds the book; a member with its own finds that they are in the log")
    func audit() throws {
        let world = try Self.busy()
        let head = try #require(try world.core.head(signedBy: world.issuer))
        let commitments = world.openings.map(\.commitment)
        let all = world.openings.enumerated().map { (UInt64($0), $1) }
        let key = world.issuer.publicKey
        func finding(
            _ head: SignedNote, _ commitments: [[UInt8]], _ openings: [(UInt64, EntryOpening)], _ key: PublicKey
        ) -> IssuerAudit.Finding? {
            switch IssuerAudit.audit(head: head, of: key, commitments: commitments, openings: openings) {
            case .success: nil
            case .failure(let finding): finding
            }
        }
        let report = try IssuerAudit.audit(head: head, of: key, commitments: commitments, openings: all).get()
        #expect(report.book == world.book && report.opened == all.count)
        let own = try IssuerAudit.audit(head: head, of: key, commitments: commitments, openings: [all[7]]).get()
        #expect(own.book == nil && own.head.size == UInt64(all.count))
        #expect(finding(head, commitments, all, world.arbiter.publicKey) == .headNotSigned)
        #expect(finding(head, commitments.dropLast(), all, key) == .sizeDiffers(UInt64(all.count)))
        var other = commitments
        other.swapAt(3, 4)
        #expect(finding(head, other, all, key) == .rootDiffers)
        #expect(finding(head, commitments, [(3, all[4].1)], key) == .notCommitted(entry: 3))
        let guess = EntryOpening(salt: [UInt8](repeating: 0, count: 32), entry: all[3].1.entry)
        #expect(finding(head, commitments, [(3, guess)], key) == .notCommitted(entry: 3))
    }

    /// The issuer signs a head of a book that its own rules forbid.
    @Test("A debit that nobody ordered is the first line that an audit names, though the head is signed")
    func inventedDebit() throws {
        let world = try Self.busy()
        var order = try #require(
            world.entries.compactMap { entry -> PaymentOrder? in
                guard case .transferred(let block) = entry.event else { return nil }
                return try? SignedObject<PaymentOrder>(verifying: block).body
            }.first)
        order.debtorDID = world.issuer.did
        let forged = try SignedObject.sign(order, with: world.issuer)
        var entries = world.entries
        entries.append(
            BookEntry(number: world.book.count, at: world.book.lastAt, event: .transferred(order: forged.bytes)))
        let openings = try entries.map { try CreditWorld.salts.opening(of: $0) }
        var tree = MerkleTree()
        for opening in openings { _ = tree.append(.leaf(opening.commitment)) }
        let head = try #require(
            try Checkpoint(origin: Issuer.logName(of: world.issuer.did), head: TreeHead(tree))?
                .signed(with: world.issuer))
        let result = IssuerAudit.audit(
            head: head, of: world.issuer.publicKey, commitments: openings.map(\.commitment),
            openings: openings.enumerated().map { (UInt64($0), $1) })
        guard case .failure(.refused(let fault)) = result else {
            Issue.record("it was not found: \(result)")
            return
        }
        #expect(fault.entry == world.book.count)
        #expect(fault.reason == .refused(.malformed(.outOfBounds(field: "debtor_did"))))
        let unknown = EntryOpening(salt: [UInt8](repeating: 1, count: 32), entry: [0xA0])
        #expect(unknown.read == nil)
    }

    // MARK: Certificates

    private func certificate(_ world: CreditWorld, _ entry: BookEntry) throws -> SignedObject<HoldCertificate> {
        try SignedObject.sign(try #require(try world.core.certificate(of: entry)), with: world.issuer)
    }

    @Test("A certificate says what an executor needs, and is refused where it does not pay")
    func certificate() throws {
        var world = try CreditWorld()
        let (job, hold) = try world.held(1)
        let body = try certificate(world, world.entries[world.entries.count - 1]).body
        #expect(body.holdCID == hold && body.entry == world.book.count - 1)
        #expect(body.commitment == world.openings[Int(body.entry)].commitment)
        #expect(body.loggedBy == world.now.advanced(milliseconds: 60_000))
        var accepted = HoldAcceptance(arbiters: [world.arbiter.did], disputeBudgetMax: .zero)
        func reason(_ change: (inout HoldCertificate) -> Void = { _ in }, now: UnixMilliseconds? = nil) -> String? {
            var body = body
            change(&body)
            return body.reasonNotPay(
                job.assignment.body, in: CreditWorld.unit, accepting: accepted, now: now ?? world.now)
        }
        #expect(reason() == nil)
        #expect(reason { $0.creditorDID = world.arbiter.did } == "it pays somebody else")
        #expect(reason { $0.terms.attempt = 2 } == "it is for another assignment")
        #expect(reason { $0.amount = TokenAmount(999) } == "it holds less than the price")
        #expect(reason { $0.unit = CreditUnit(name: "EUR", decimals: 2) } == "it is in EUR")
        #expect(reason(now: job.terms.deliverBy.advanced(milliseconds: 1)) == "it ends before the promised date")
        // What the originator chose and the executor does not accept.
        #expect(reason { $0.terms.arbiterDID = world.members[3].did } == "somebody else would decide")
        #expect(reason { $0.terms.disputeBudget = TokenAmount(1) } == "a dispute costs more than is accepted")
        #expect(reason { $0.terms.windowMilliseconds = 3_600_001 } == "it can be disputed for too long")
        #expect(reason { $0.terms.extensionMilliseconds = 3_600_001 } == "a decision may take too long")
        accepted.graceMillisecondsMin = 60_001
        #expect(reason() == "it leaves too little time to claim")
        accepted.graceMillisecondsMin = 60_000
        // The budget is in the unit of the debtor's line: 3 of those are 10 of the executor's.
        let rate = CreditRate(unit: CreditUnit(name: "EUR", decimals: 2), debit: 3, credit: 10)
        accepted.disputeBudgetMax = TokenAmount(9)
        func dear(_ certificate: inout HoldCertificate) {
            (certificate.terms.disputeBudget, certificate.rate) = (TokenAmount(3), rate)
        }
        #expect(reason(dear) == "a dispute costs more than is accepted")
        accepted.disputeBudgetMax = TokenAmount(10)
        #expect(reason(dear) == nil)
        #expect(try world.core.certificate(of: world.entries[0]) == nil)
        // A promise that is over is none.
        let granted = world.entries[world.entries.count - 1]
        try world.passTime(120_001)
        #expect(world.book.holds[hold]?.isLive == false)
        #expect(try world.core.certificate(of: granted) == nil)
    }

    @Test("Certificate and later head without it are a proof; so are two heads of one size")
    func faults() throws {
        var world = try CreditWorld(witnesses: true)
        _ = try world.held(1)
        let promise = try certificate(world, world.entries[world.entries.count - 1])
        let key = world.issuer.publicKey
        let honest = try #require(try world.core.head(signedBy: world.issuer))
        // The issuer books something else in its place.
        var other = try Issuer(replaying: Array(world.entries.dropLast()), salts: CreditWorld.salts)
        let short = try #require(try other.head(signedBy: world.issuer))
        let payment = try world.payment(from: world.members[0], to: world.members[1].did, 1)
        guard case .success(.entered(_, let opening)) = other.record(.transferred(order: payment.bytes), now: world.now)
        else { return #expect(Bool(false)) }
        let forked = try #require(try other.head(signedBy: world.issuer))
        #expect(IssuerFault.twoHistories(honest, forked).holds(against: key))
        #expect(!IssuerFault.twoHistories(honest, short).holds(against: key))
        #expect(!IssuerFault.twoHistories(honest, honest).holds(against: key))
        #expect(!IssuerFault.twoHistories(honest, forked).holds(against: world.arbiter.publicKey))

        let leaves = (world.openings.dropLast().map(\.commitment) + [opening.commitment]).map { MerkleHash.leaf($0) }
        let plan = try #require(ProofPlan.inclusion(of: promise.body.entry, in: UInt64(leaves.count)))
        var (tree, hashes) = (MerkleTree(), [HashPlace: MerkleHash]())
        for (index, leaf) in leaves.enumerated() {
            for (level, hash) in tree.append(leaf).enumerated() {
                hashes[HashPlace(level: UInt64(level), index: UInt64(index) >> UInt64(level))] = hash
            }
        }
        let proof = try #require(plan.proof(of: hashes))
        func replaced(_ certificate: [UInt8], _ head: SignedNote, _ commitment: [UInt8]) -> Bool {
            IssuerFault.holdReplaced(certificate: certificate, head: head, commitment: commitment, proof: proof)
                .holds(against: key)
        }
        #expect(replaced(promise.bytes, forked, opening.commitment))
        #expect(!replaced(promise.bytes, forked, promise.body.commitment))
        #expect(!replaced(promise.bytes, honest, promise.body.commitment))
        #expect(
            !replaced(try SignedObject.sign(payment.body, with: world.members[0]).bytes, forked, opening.commitment))

        try dates(world, promise, short: short, honest: honest)
    }

    /// The date of a head without an entry is that of three of the charter's four witnesses.
    private func dates(
        _ world: CreditWorld, _ promise: SignedObject<HoldCertificate>, short: SignedNote, honest: SignedNote
    ) throws {
        guard case .opened(let charter) = world.entries[0].event else { return #expect(Bool(false)) }
        let other = try SignedObject.sign(
            {
                var charter = world.book.charter
                charter.witnesses = [world.members[0].did]
                return charter
            }(),
            with: world.issuer)
        let last = promise.body.loggedBy.value / 1_000
        func late(
            _ note: SignedNote, _ times: [UInt64], by witnesses: [Identity]? = nil, charter block: [UInt8]? = nil
        ) throws -> Bool {
            var note = note
            for (witness, time) in zip(witnesses ?? world.witnesses, times) {
                let key = try #require(
                    NoteKey(name: "witness.example", kind: .cosignature, publicKey: witness.publicKey))
                let word = try Cosignature.sign(note.text, at: time, with: witness)
                note.signatures.append(SignedNote.Signature(by: key, word.bytes))
            }
            return IssuerFault.holdNotLogged(
                certificate: promise.bytes, charter: block ?? charter, head: note
            ).holds(against: world.issuer.publicKey)
        }
        let after = last + 1
        #expect(try late(short, [after, after, after]))
        #expect(try !late(short, [after, after, last, last]))
        #expect(try !late(short, [after, after]))
        #expect(try !late(short, [after, after, after], by: [0, 0, 0].map { world.witnesses[$0] }))
        #expect(try !late(short, [after, after, after], by: Array(world.members.prefix(3))))
        #expect(try !late(honest, [after, after, after]))
        #expect(try !late(short, [after], by: [world.members[0]], charter: other.bytes))
    }
}
