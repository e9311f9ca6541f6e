import Credit
import Determinism
import IPLD
import MerkleLog
import MeshTypes
import Multiformats
import PeerIdentity
import SignedObjects
import Testing

/// What a witness keeps of a book, and what a quorum of them keeps whatever happens.
@Suite("Replicas of a book") struct BookReplicaTests {
    /// An issuer that seals entries and signs heads.
    private struct Writer {
        let identity = Identity.generate()
        let secret = (0..<32).map { _ in UInt8.random(in: 0...255) }
        var seal: BookSeal { BookSeal(issuer: identity.did, secret: secret) }
        var replica: BookReplica {
            BookReplica(issuer: identity.did, charterCID: CID.hashing([1], codec: .dagCBOR))
        }

        static func term(_ number: UInt64) -> BookTerm {
            BookTerm(number: number, life: [UInt8](repeating: UInt8(truncatingIfNeeded: number), count: 16))
        }

        /// The bytes of an entry that differs by what it is of.
        static func entry(_ number: UInt64, _ kind: UInt64 = 0) throws -> [UInt8] {
            let hold = CID.hashing(
                [UInt8(truncatingIfNeeded: kind), UInt8(truncatingIfNeeded: kind >> 8)], codec: .dagCBOR)
            return try DAGCBOREncoder().encode(
                BookEntry(number: number, at: UnixMilliseconds(1_000 + number), event: .holdExpired(hold: hold)))
        }

        func sealed(_ entries: [[UInt8]], from start: UInt64, in term: BookTerm) throws -> ReplicaBatch {
            ReplicaBatch(
                start: start,
                entries: try entries.enumerated().map { index, entry in
                    try #require(seal.seal(entry, number: start + UInt64(index), in: term))
                })
        }

        func batch(_ numbers: Range<UInt64>, _ term: UInt64, kind: UInt64 = 0) throws -> ReplicaBatch {
            try sealed(numbers.map { try Self.entry($0, kind) }, from: numbers.lowerBound, in: Self.term(term))
        }

        func head(_ commitments: [[UInt8]]) throws -> [UInt8] {
            var tree = MerkleTree()
            for commitment in commitments { _ = tree.append(.leaf(commitment)) }
            let checkpoint = try #require(
                Checkpoint(origin: IssuerLogName.of(identity.did), head: TreeHead(tree)))
            return try checkpoint.signed(with: identity).bytes
        }

        func head(of batches: ReplicaBatch...) throws -> [UInt8] {
            try head(batches.flatMap { $0.entries.map(\.commitment) })
        }
    }

    /// A witness, whose answers expectations can ask for.
    private final class Keeper {
        private(set) var replica: BookReplica
        var tree: MerkleTree { replica.tree }
        var batch: ReplicaBatch? { replica.batch }
        var promised: BookTerm? { replica.promised }

        init(_ replica: BookReplica) { self.replica = replica }

        func promise(_ term: BookTerm) -> ReplicaAnswer { replica.promise(term) }

        func propose(_ term: BookTerm, head: [UInt8]?, _ batch: ReplicaBatch) -> BookReplica.Step {
            replica.propose(term, head: head, batch)
        }

        func fill(_ head: [UInt8], _ batch: ReplicaBatch) -> BookReplica.Step { replica.fill(head, batch) }
    }

    private func reason(_ answer: ReplicaAnswer) -> ReplicaAnswer.Reason? {
        if case .refused(let reason, _) = answer { reason } else { nil }
    }

    // MARK: Rules

    @Test("A later term is promised, and nothing of an earlier one is taken any more")
    func terms() throws {
        let writer = Writer()
        let replica = Keeper(writer.replica)
        #expect(reason(replica.promise(BookTerm(number: 0, life: []))) == .invalid)
        #expect(replica.promise(Writer.term(2)) == .promised(head: nil, batch: nil))
        #expect(replica.promise(Writer.term(2)) == .promised(head: nil, batch: nil))
        #expect(replica.promise(Writer.term(1)) == .superseded(term: Writer.term(2)))
        #expect(
            replica.propose(Writer.term(1), head: nil, try writer.batch(0..<2, 1)).answer
                == .superseded(term: Writer.term(2)))
        let batch = try writer.batch(0..<2, 2)
        #expect(replica.propose(Writer.term(2), head: nil, batch).answer == .accepted)
        #expect(replica.promise(Writer.term(3)) == .promised(head: nil, batch: batch))
        // Two lives with one number are told apart.
        var twin = Writer.term(3)
        twin.life[0] = 0
        #expect(twin < Writer.term(3) && replica.promise(twin) == .superseded(term: Writer.term(3)))
        // A later one needs no promise, and what is sealed in another term is none of it.
        #expect(reason(replica.propose(Writer.term(4), head: nil, batch).answer) == .invalid)
        #expect(replica.propose(Writer.term(4), head: nil, try writer.batch(0..<1, 4)).answer == .accepted)
        #expect(replica.batch?.end == 1 && replica.promised == Writer.term(4))
    }

    @Test("In one term a batch is only added to, however questions overtake each other")
    func reordered() throws {
        let writer = Writer()
        let replica = Keeper(writer.replica)
        let (short, long) = (try writer.batch(0..<2, 1), try writer.batch(0..<5, 1))
        #expect(replica.propose(Writer.term(1), head: nil, long).answer == .accepted)
        #expect(replica.propose(Writer.term(1), head: nil, short).answer == .accepted)
        #expect(replica.batch == long)
        #expect(replica.propose(Writer.term(1), head: nil, ReplicaBatch(start: 0, entries: [])).answer == .accepted)
        #expect(replica.batch == long)
        let other = try writer.batch(0..<2, 1, kind: 7)
        #expect(reason(replica.propose(Writer.term(1), head: nil, other).answer) == .invalid)
        #expect(replica.batch == long)
    }

    @Test("A head gives a head to what was given before, if it leads there, and to nothing else")
    func heads() throws {
        let writer = Writer()
        let (first, second) = (try writer.batch(0..<3, 1), try writer.batch(3..<5, 1))
        let replica = Keeper(writer.replica)
        #expect(replica.propose(Writer.term(1), head: nil, first).answer == .accepted)
        let step = replica.propose(Writer.term(1), head: try writer.head(of: first), second)
        #expect(step == BookReplica.Step(answer: .accepted, headed: first))
        #expect(replica.tree.size == 3 && replica.batch == second)
        // One that was given something else wants what the head leads to.
        let other = Keeper(writer.replica)
        _ = other.propose(Writer.term(1), head: nil, try writer.batch(0..<3, 1, kind: 7))
        #expect(
            other.propose(Writer.term(2), head: try writer.head(of: first), try writer.batch(3..<5, 2)).answer
                == .behind(size: 0))
        #expect(other.tree.size == 0)
        // A stranger's head, and a second one of a size.
        let stranger = try Writer().head(of: first)
        #expect(reason(replica.propose(Writer.term(1), head: stranger, second).answer) == .invalid)
        let fork = try writer.head(of: try writer.batch(0..<3, 1, kind: 7))
        #expect(reason(replica.propose(Writer.term(1), head: fork, second).answer) == .contradicts)
        #expect(reason(replica.fill(fork, try writer.batch(0..<3, 1, kind: 7)).answer) == .contradicts)
    }

    @Test("What is filled in keeps what it was given behind it, and drops what it contradicts")
    func fills() throws {
        let writer = Writer()
        let (all, part) = (try writer.batch(0..<5, 1), try writer.batch(0..<3, 1))
        let replica = Keeper(writer.replica)
        _ = replica.propose(Writer.term(1), head: nil, all)
        #expect(replica.fill(try writer.head(of: part), part).headed == part)
        #expect(replica.batch?.start == 3 && replica.batch?.entries == Array(all.entries.dropFirst(3)))
        #expect(replica.fill(try writer.head(of: part), part).answer == .behind(size: 3))
        let wrong = try writer.batch(3..<5, 1, kind: 7)
        #expect(reason(replica.fill(try writer.head(of: all), wrong).answer) == .invalid)
        let other = Keeper(writer.replica)
        _ = other.propose(Writer.term(1), head: nil, try writer.batch(0..<5, 1, kind: 7))
        #expect(other.fill(try writer.head(of: part), part).answer == .accepted)
        #expect(other.batch == nil && other.tree.size == 3)
    }

    @Test("A batch has 256 entries with 512 KiB, one at least")
    func bounds() throws {
        let term = Writer.term(1)
        func batch(_ count: Int, _ bytes: Int) -> ReplicaBatch {
            let entry = ReplicaEntry(
                term: term, commitment: [UInt8](repeating: 0, count: 32), sealed: [UInt8](repeating: 0, count: bytes))
            return ReplicaBatch(start: 0, entries: [ReplicaEntry](repeating: entry, count: count))
        }
        #expect(batch(256, 2_048).isPossible && !batch(257, 1).isPossible && !batch(256, 2_049).isPossible)
        #expect(
            batch(1, ReplicaEntry.sealedBytesMax).isPossible && !batch(1, ReplicaEntry.sealedBytesMax + 1).isPossible)
        let replica = Keeper(Writer().replica)
        #expect(reason(replica.propose(term, head: nil, batch(257, 1)).answer) == .invalid)
    }

    @Test("Of what a quorum has the newest head counts, then the latest term, then how far a batch goes")
    func surveys() throws {
        let writer = Writer()
        let (first, second) = (try writer.batch(0..<2, 1), try writer.batch(2..<4, 2))
        let head = try writer.head(of: first)
        var survey = ReplicaSurvey(of: writer.identity.did)
        let (strange, early) = (try Writer().head(of: first), try writer.batch(3..<4, 1))
        // None of these counts: another issuer's head, a batch elsewhere, or one of two terms, each genuine.
        var mixed = try writer.batch(2..<4, 1, kind: 7)
        mixed.entries[0] = second.entries[0]
        for (note, batch) in [(strange, nil), (head, early), (nil, second), (head, mixed)]
            as [([UInt8]?, ReplicaBatch?)]
        {
            let counts = survey.note(head: note, batch, of: writer.identity.did)
            #expect(!counts)
        }
        #expect(survey.count == 0 && survey.newest == nil && survey.candidates.isEmpty)
        let long = try writer.batch(0..<5, 1)
        for (note, batch) in [(nil, first), (nil, long), (head, second), (head, nil)] as [([UInt8]?, ReplicaBatch?)] {
            let counts = survey.note(head: note, batch, of: writer.identity.did)
            #expect(counts)
        }
        #expect(survey.count == 4 && survey.newest?.note == head && survey.newest?.head.size == 2)
        // What ends where the newest head does is no candidate.
        #expect(survey.candidates.map(\.batch) == [second, long])
        let longer = try writer.batch(2..<5, 2)
        let counts = survey.note(head: head, longer, of: writer.identity.did)
        #expect(counts && survey.candidates.map(\.batch) == [longer, second, long])
    }

    @Test("An entry opens as what it was sealed as, and as nothing else")
    func seals() throws {
        let writer = Writer()
        let bytes = try Writer.entry(4)
        let sealed = try #require(writer.seal.seal(bytes, number: 4, in: Writer.term(1)))
        #expect(writer.seal.open(sealed, number: 4)?.opening.entry == bytes)
        #expect(writer.seal.open(sealed, number: 5) == nil)
        var later = sealed
        later.term = Writer.term(2)
        #expect(writer.seal.open(later, number: 4) == nil)
        var other = sealed
        other.commitment[0] ^= 1
        #expect(writer.seal.open(other, number: 4) == nil)
        #expect(BookSeal(issuer: Identity.generate().did, secret: writer.secret).open(sealed, number: 4) == nil)
        #expect(
            BookSeal(issuer: writer.identity.did, secret: [UInt8](repeating: 0, count: 32)).open(sealed, number: 4)
                == nil)
        #expect(sealed.sealed.count == bytes.count + BookSeal.addedBytes)
        #expect(!sealed.sealed.contains(bytes.prefix(16)))
    }

    @Test("Of what is kept behind a head the latest term is taken up, and of this home what is later than others")
    func takesUp() throws {
        let writer = Writer()
        let (late, early) = (try writer.batch(3..<5, 5), try writer.batch(3..<7, 4))
        func steps(_ own: UInt64?, _ given: [(ReplicaBatch, UInt64?)]) -> [ReplicaTakeUp.Step] {
            var taking = ReplicaTakeUp(behind: 3, own: own.map(Writer.term))
            return given.map { taking.next($0.0, fork: $0.1) }
        }
        // Where nothing contradicts, all is taken.
        #expect(steps(9, [(late, nil), (early, nil)]) == [.take(cuttingTo: nil), .take(cuttingTo: nil)])
        // What this home wrote in a later term, or the same, stays; of an earlier term it goes.
        #expect(steps(5, [(late, 4), (early, 4)]) == [.stop, .stop])
        #expect(steps(4, [(late, 4)]) == [.take(cuttingTo: 4)] && steps(nil, [(late, 3)]) == [.take(cuttingTo: 3)])
        // Once some went, what is left is of no term.
        #expect(steps(4, [(late, 4), (early, 6)]) == [.take(cuttingTo: 4), .take(cuttingTo: 6)])
        // Nothing contradicts what has a head, nor what came of a later term.
        #expect(steps(nil, [(late, 2)]) == [.pass] && steps(nil, [(late, nil), (early, 4)]).last == .pass)
        #expect(steps(nil, [(late, 2), (early, 5)]) == [.pass, .take(cuttingTo: 5)])
        #expect(steps(nil, [(ReplicaBatch(start: 3, entries: []), nil)]) == [.pass])
    }

    // MARK: Lives

    /// A life of the issuer, from one start to its end; old ones may go on.
    private struct Life {
        let term: BookTerm
        /// What is on its disk.
        var entries: [[UInt8]]
        /// How many of these it has shown.
        var shown: UInt64
        var head: [UInt8]?
        var batch: ReplicaBatch?
        var keepers: Set<Int> = []
        var isOver = false
    }

    /// A question on its way.
    private struct Question {
        let life: Int
        let witness: Int
        let head: [UInt8]?
        let batch: ReplicaBatch
    }

    /// An issuer, its witnesses, and all that can happen to them.
    private struct Round {
        /// The most entries of a batch. Each batch has as many as there are, up to that: one of a later term must not
        /// be shorter than what it takes the place of.
        static let batchMax = 5

        let writer = Writer()
        var dice: SeededGenerator
        let quorum: WitnessQuorum
        let dids: [DID]
        var replicas: [BookReplica]
        /// What each has under a head.
        var kept: [[ReplicaEntry]]
        /// Those that lie.
        let liars: Set<Int>
        /// What these were given, each with the head before it.
        var told: [Int: [(head: [UInt8]?, batch: ReplicaBatch)]] = [:]
        var lives: [Life] = []
        var questions: [Question] = []
        /// All that was ever shown, in order.
        var shown: [[UInt8]] = []
        let seed: UInt64
        var made: UInt64 = 0
        var terms: UInt64 = 0

        init(seed: UInt64, witnesses: Int) throws {
            (self.seed, dice) = (seed, SeededGenerator(seed: seed))
            quorum = try #require(WitnessQuorum(of: witnesses))
            dids = (0..<witnesses).map { _ in Identity.generate().did }
            replicas = [BookReplica](repeating: writer.replica, count: witnesses)
            kept = [[ReplicaEntry]](repeating: [], count: witnesses)
            liars = Set((0..<witnesses).shuffled(using: &dice).prefix(quorum.faulty))
        }

        mutating func roll(_ count: Int) -> Int { Int.random(in: 0..<count, using: &dice) }

        private func commitment(_ entry: [UInt8], _ number: Int) throws -> [UInt8] {
            try #require(writer.seal.seal(entry, number: UInt64(number), in: Writer.term(1))).commitment
        }

        /// What a witness says that it has. One that lies has forgotten all, or has a part of what it was once given,
        /// or parts of two lives; or it says the truth, and promises nothing.
        private mutating func said(
            by witness: Int, _ head: [UInt8]?, _ batch: ReplicaBatch?
        ) -> (head: [UInt8]?, batch: ReplicaBatch?) {
            guard liars.contains(witness) else { return (head, batch) }
            let (lie, given) = (roll(4), told[witness] ?? [])
            if lie == 0 { return (nil, nil) }
            guard lie < 3, let first = given.randomElement(using: &dice) else { return (head, batch) }
            let others = given.filter { $0.batch.start == first.batch.start }
            guard lie == 2, let second = others.randomElement(using: &dice) else {
                let entries = Array(first.batch.entries.prefix(1 + roll(first.batch.entries.count)))
                return (first.head, ReplicaBatch(start: first.batch.start, entries: entries))
            }
            let entries = [first.batch.entries[0]] + second.batch.entries.dropFirst()
            return (first.head, ReplicaBatch(start: first.batch.start, entries: entries))
        }

        /// A start, of the newest home, of an old copy, or of a backup that has only a part.
        mutating func start() throws {
            let home = lives.isEmpty ? nil : lives[roll(lives.count)]
            var entries = home?.entries ?? []
            if !entries.isEmpty, roll(2) == 0 { entries.removeLast(roll(entries.count + 1)) }
            terms += 1
            let term = BookTerm(number: terms, life: (0..<16).map { _ in UInt8(truncatingIfNeeded: dice.next()) })
            var survey = ReplicaSurvey(of: writer.identity.did)
            for witness in replicas.indices.shuffled(using: &dice) where survey.count < quorum.needed {
                let isLiar = liars.contains(witness)
                var asked = replicas[witness]
                guard case .promised(let head, let batch) = asked.promise(term) else { continue }
                if !isLiar { replicas[witness] = asked }
                let answer = said(by: witness, head, batch)
                let counts = survey.note(head: answer.head, answer.batch, of: dids[witness])
                #expect(counts || isLiar, "seed \(seed): an honest answer does not count")
            }
            guard survey.count >= quorum.needed else { return }
            var (base, own) = (0, home?.term)
            if let newest = survey.newest, let holder = dids.firstIndex(of: newest.witness) {
                let opened = kept[holder].enumerated().compactMap { writer.seal.open($1, number: UInt64($0)) }
                base = Int(newest.head.size)
                if opened.count < base {
                    // It does not lead to the head that it tells, and nothing begins with it.
                    let isLiar = liars.contains(holder)
                    #expect(isLiar, "seed \(seed): entries under a head are lost")
                    return
                }
                let followed = opened.prefix(base).map(\.opening.entry)
                if Array(entries.prefix(base)) != followed { (entries, own) = (followed, nil) }
            }
            entries = takenUp(survey.candidates.map(\.batch), by: own, entries, behind: base)
            lives.append(
                Life(term: term, entries: entries, shown: UInt64(base), head: survey.newest?.note, batch: nil))
            // All that was shown is there again, before it signs anything.
            let all = try entries.enumerated().map { try commitment($1, $0) }
            let hasAll = all.starts(with: shown)
            #expect(hasAll, "seed \(seed): a start lost what was shown")
        }

        /// What a start goes on with.
        private func takenUp(
            _ candidates: [ReplicaBatch], by own: BookTerm?, _ entries: [[UInt8]], behind base: Int
        ) -> [[UInt8]] {
            var entries = entries
            var taking = ReplicaTakeUp(behind: UInt64(base), own: own)
            for batch in candidates {
                let start = Int(batch.start)
                let opened = batch.entries.enumerated().compactMap { index, entry in
                    writer.seal.open(entry, number: batch.start + UInt64(index))?.opening.entry
                }
                guard opened.count == batch.entries.count, start <= entries.count else { continue }
                let offset = zip(entries.dropFirst(start), opened).enumerated().first { $1.0 != $1.1 }?.offset
                switch taking.next(batch, fork: offset.map { UInt64(start + $0) }) {
                case .stop: return entries
                case .pass: continue
                case .take(let fork):
                    if let fork { entries = Array(entries.prefix(Int(fork))) }
                    entries += opened.dropFirst(entries.count - start)
                }
            }
            return entries
        }

        /// A life writes an entry down, or asks its witnesses to keep what they have not.
        mutating func work() throws {
            guard !lives.isEmpty else { return }
            // The last ones mostly; an old one at times.
            let life = roll(4) == 0 ? roll(lives.count) : lives.count - 1
            guard !lives[life].isOver else { return }
            if roll(2) == 0 {
                made += 1
                lives[life].entries.append(try Writer.entry(UInt64(lives[life].entries.count), made))
            }
            let (start, entries) = (lives[life].shown, lives[life].entries)
            guard lives[life].batch == nil, Int(start) < entries.count else { return resend(life) }
            let next = Array(entries.dropFirst(Int(start)).prefix(Self.batchMax))
            lives[life].batch = try writer.sealed(next, from: start, in: lives[life].term)
            lives[life].keepers = []
            resend(life)
        }

        private mutating func resend(_ life: Int) {
            guard let batch = lives[life].batch else { return }
            for witness in replicas.indices where roll(3) > 0 {
                questions.append(Question(life: life, witness: witness, head: lives[life].head, batch: batch))
            }
        }

        /// A question arrives, in any order, and perhaps again later.
        mutating func deliver() throws {
            guard !questions.isEmpty else { return }
            let index = roll(questions.count)
            let question = questions[index]
            if roll(4) > 0 { questions.remove(at: index) }
            let (witness, life) = (question.witness, question.life)
            if liars.contains(witness) {
                told[witness, default: []].append((question.head, question.batch))
                if roll(2) == 0 { return try note(.accepted, question) }
            }
            let step = replicas[witness].propose(lives[life].term, head: question.head, question.batch)
            kept[witness] += step.headed?.entries ?? []
            if case .behind(let size) = step.answer, size < question.batch.start, !lives[life].isOver {
                // What it missed, as far as the life has shown it.
                let missed = Array(lives[life].entries.prefix(Int(question.batch.start)).dropFirst(Int(size)))
                let batch = try writer.sealed(missed, from: size, in: lives[life].term)
                let all = try lives[life].entries.prefix(Int(batch.end)).enumerated().map { try commitment($1, $0) }
                let filled = replicas[witness].fill(try writer.head(all), batch)
                kept[witness] += filled.headed?.entries ?? []
            }
            try note(step.answer, question)
        }

        private mutating func note(_ answer: ReplicaAnswer, _ question: Question) throws {
            let life = question.life
            switch answer {
            case .superseded:
                lives[life].isOver = true
                return
            case .accepted: break
            // It has a head behind all of it.
            case .behind(let size) where size >= question.batch.end: break
            default: return
            }
            guard lives[life].batch == question.batch, !lives[life].isOver else { return }
            lives[life].keepers.insert(question.witness)
            guard lives[life].keepers.count >= quorum.needed else { return }
            lives[life].shown = question.batch.end
            lives[life].batch = nil
            let all = try lives[life].entries.prefix(Int(question.batch.end)).enumerated().map {
                try commitment($1, $0)
            }
            lives[life].head = try writer.head(all)
            let common = min(all.count, shown.count)
            let isOne = all.prefix(common) == shown.prefix(common)
            #expect(isOne, "seed \(seed): two histories were shown")
            if all.count > shown.count { shown = all }
        }
    }

    @Test(
        "Whatever lives begin, die and wake again, what was shown is never lost, and never two histories are",
        arguments: 1...7)
    func lives(_ witnesses: Int) throws {
        var most = 0
        for seed in 0..<UInt64(40) {
            var round = try Round(seed: seed, witnesses: witnesses)
            for _ in 0..<250 {
                switch round.roll(20) {
                case 0: try round.start()
                case 1...9: try round.work()
                default: try round.deliver()
                }
                if round.lives.isEmpty { try round.start() }
            }
            most = max(most, round.shown.count)
        }
        #expect(most > 8, "little was ever shown")
    }
}
