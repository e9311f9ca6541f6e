import Credit
import LibP2P
import Logging
import MerkleLog
import MeshStore
import MeshTypes
import Multiformats
import NodeAPI
import SignedObjects

/// Has the witnesses of this issuer's charter keep its book, so that what others were shown survives its machine.
///
/// A start of the node begins a term: it asks a quorum of witnesses what they keep, takes up what this home does not
/// have, which is how a restored backup catches up, and from then on no earlier life of the issuer shows anything. Then
/// each entry goes to all of them, and is shown once a quorum has it on its disks. Source: PROTOCOL.md, "Replicas of a
/// book".
actor BookReplicator {
    /// Every bound of it.
    struct Limits: Sendable {
        /// How long before what failed is tried again, in milliseconds: at first, and, for a witness that others do not
        /// wait for, at the most.
        var pauseMilliseconds: ClosedRange<Int64> = 2_000...16_000
        /// How long looking for witnesses may take, in milliseconds.
        var reachMilliseconds: Int64 = 10_000
        /// How often it looks for a new book, and who waits too long, in milliseconds.
        var tickMilliseconds: Int64 = 500
        /// How long taking up what witnesses keep may last, in milliseconds, before others are asked; what came until
        /// then stays.
        var recoveryMilliseconds: Int64 = 600_000
        /// How often in one start a later term than that of some witnesses is tried.
        var termTriesMax = 8

        /// The defaults.
        init() {}
    }

    /// The book as a term begins.
    struct Standing: Sendable {
        let charter: SignedObject<IssuerCharter>
        let seal: BookSeal
        /// The term in which they were written; nil before the first.
        let term: BookTerm?
    }

    /// Why a term did not begin.
    private enum Failure: Error {
        case tooFew(answered: Int, needed: Int)
        case recovery(BookRecovery.Failure)
    }

    private let desk: IssuerDesk
    private let exchange: ReplicaExchange
    private let logger: Logger
    private let limits: Limits
    /// Finds and dials peers that have no connection.
    private let dial: @Sendable ([PeerID]) async -> Void
    /// The term that this start began; nil while it has not.
    private var term: BookTerm?
    /// The latest number of a term that this start tried, or that an honest witness told.
    private var latest: UInt64 = 0
    /// The newest head that a witness told: a history without it would be a second one.
    private var newest: TreeHead?
    /// Witnesses that could not give what they say they keep, since a term did not begin with them.
    // BOUNDED: by the witnesses of the charter.
    private var unreliable: Set<DID> = []
    /// What goes to the witnesses now, and the head before it.
    private var proposal: (head: [UInt8]?, batch: ReplicaBatch)?
    /// The newest head, and of how many entries.
    private var head: [UInt8]?
    private var shown: UInt64 = 0
    /// Whether nothing is on its way, so that witnesses are given the newest head, and what they miss before it.
    private var isQuiet = false
    /// Of how many entries each witness has the head.
    // BOUNDED: by the witnesses of the charter.
    private var headed: [DID: UInt64] = [:]
    /// Whether a quorum keeps it, and it is being shown.
    private var isShowing = false
    /// How many entries each witness keeps in this term.
    // BOUNDED: by the witnesses of the charter.
    private var kept: [DID: UInt64] = [:]
    /// Until where each was given what it had missed.
    // BOUNDED: the same.
    private var filled: [DID: UInt64] = [:]
    /// The later terms that witnesses told.
    // BOUNDED: the same.
    private var later: [DID: BookTerm] = [:]
    /// How many entries have to be shown before the book takes more.
    private var opensAt: UInt64 = 0
    private var isForming = false
    private var hasGrown = false
    private var wakes: [DID: AsyncStream<Void>.Continuation] = [:]
    /// Of which witnesses was said that they do not answer.
    // BOUNDED: by the witnesses of the charter.
    private var silent: Set<DID> = []

    init(
        desk: IssuerDesk, host: any StreamHost, logger: Logger, limits: Limits = Limits(),
        reach: @escaping @Sendable ([PeerID]) async -> Void
    ) {
        (self.desk, self.logger, self.limits, dial) = (desk, logger, limits, reach)
        exchange = ReplicaExchange(host: host)
    }

    /// How many witnesses keep all that is shown; nil before a term began.
    var keeping: Int? {
        get async {
            guard term != nil else { return nil }
            let shown = await desk.durable.size
            return kept.values.count { $0 >= shown }
        }
    }

    // MARK: A start

    /// Begins a term as soon as this node is an issuer with witnesses and a quorum of them answers, and goes on until
    /// the task is cancelled, or another life of the issuer begins a later one.
    func run() async {
        var pause = limits.tickMilliseconds
        while (try? await Task.sleep(for: .milliseconds(pause))) != nil {
            await desk.resumeWaiters()
            guard let standing = await desk.replicated else { continue }
            do throws(Failure) {
                try await begin(standing)
                await replicate(standing)
                break
            } catch {
                tell(error)
                pause = limits.pauseMilliseconds.lowerBound
            }
        }
        // Nobody waits for witnesses that nobody asks any more.
        if await !desk.hasNoWitnesses { await desk.close("This node ends.") }
    }

    /// Connects to witnesses, as far as it can.
    private func reach(_ witnesses: [DID]) async {
        let (peers, dial) = (witnesses.map(\.peerID), dial)
        _ = try? await withDeadline(milliseconds: limits.reachMilliseconds) { await dial(peers) }
    }

    private func tell(_ failure: Failure) {
        switch failure {
        case .tooFew(let answered, let needed):
            logger.warning(
                "The book of this issuer stays closed: too few of its witnesses answer.",
                metadata: ["answered": "\(answered)", "needed": "\(needed)"])
        case .recovery(.unreliable(let witness, let reason)):
            logger.warning(
                "A witness of this issuer does not give what it keeps.",
                metadata: ["witness": "\(witness)", "reason": "\(reason)"])
        case .recovery(.node(let error)):
            logger.error("The book of this issuer stays closed.", metadata: ["reason": "\(error.message)"])
        }
    }

    private func begin(_ standing: Standing) async throws(Failure) {
        let witnesses = standing.charter.body.witnesses
        guard let quorum = WitnessQuorum(of: witnesses.count) else { return }
        if witnesses.count - unreliable.count < quorum.needed { unreliable = [] }
        let asked = witnesses.filter { !unreliable.contains($0) }
        await reach(asked)
        for _ in 0..<limits.termTriesMax {
            var generator = SystemRandomNumberGenerator()
            let life = (0..<BookTerm.lifeBytes).map { _ in UInt8.random(in: .min ... .max, using: &generator) }
            latest = max(latest, standing.term?.number ?? 0) + 1
            let term = BookTerm(number: latest, life: life)
            guard let answers = try await promises(of: asked, term, standing.charter.bytes, quorum) else { continue }
            try await takeUp(answers, standing)
            do {
                try await desk.begin(term, shown: newest)
            } catch {
                throw .recovery(.node(error))
            }
            (opensAt, shown, unreliable) = (await desk.written.size, await desk.durable.size, [])
            (head, self.term) = (await desk.headOf(shown), term)
            if shown >= opensAt { await desk.open() }
            logger.notice(
                "The witnesses of this issuer keep its book.",
                metadata: ["entries": "\(opensAt)", "term": "\(term.number)"])
            return
        }
        throw .tooFew(answered: 0, needed: quorum.needed)
    }

    /// What a quorum of witnesses keeps, which take nothing of an earlier term any more; nil if there is a later term.
    ///
    /// Of several later terms the one counts that an honest witness knows, whoever lies.
    private func promises(
        of witnesses: [DID], _ term: BookTerm, _ charter: [UInt8], _ quorum: WitnessQuorum
    ) async throws(Failure) -> [DID: (head: [UInt8]?, batch: ReplicaBatch?)]? {
        var found: [DID: (head: [UInt8]?, batch: ReplicaBatch?)] = [:]
        var later: [UInt64] = []
        await withTaskGroup(of: (DID, ReplicaAnswer?).self) { group in
            for witness in witnesses {
                group.addTask { [exchange] in
                    (witness, try? await exchange.ask(.promise(term: term, charter: charter), of: witness.peerID))
                }
            }
            for await (witness, answer) in group {
                switch answer {
                case .promised(let head, let batch)?: found[witness] = (head, batch)
                case .superseded(let other)? where other.isPossible: later.append(other.number)
                case .refused(_, let text)?:
                    logger.warning(
                        "A witness of this issuer keeps nothing of its book.",
                        metadata: ["witness": "\(witness)", "reason": "\(text.cut(bytesMax: 512))"])
                default: break
                }
                if found.count >= quorum.needed { group.cancelAll() }
            }
        }
        if found.count >= quorum.needed { return found }
        if later.count > quorum.faulty {
            latest = max(latest, later.sorted(by: >)[quorum.faulty])
            return nil
        }
        // Whoever was left out is better than nobody.
        unreliable = []
        throw .tooFew(answered: found.count, needed: quorum.needed)
    }

    /// Takes up what witnesses keep and this home has not, and forgets what it has beside that, which nobody was shown.
    private func takeUp(
        _ answers: [DID: (head: [UInt8]?, batch: ReplicaBatch?)], _ standing: Standing
    ) async throws(Failure) {
        do {
            try await takeUp(surveyed(answers, standing), standing)
        } catch {
            if case .unreliable(let witness, _) = error { unreliable.insert(witness) }
            throw .recovery(error)
        }
    }

    private func surveyed(
        _ answers: [DID: (head: [UInt8]?, batch: ReplicaBatch?)], _ standing: Standing
    ) throws(BookRecovery.Failure) -> ReplicaSurvey {
        var survey = ReplicaSurvey(of: standing.charter.body.issuerDID)
        for (witness, answer) in answers where !survey.note(head: answer.head, answer.batch, of: witness) {
            throw .unreliable(witness, "its head, or what it keeps behind that, does not hold")
        }
        return survey
    }

    private func takeUp(_ survey: ReplicaSurvey, _ standing: Standing) async throws(BookRecovery.Failure) {
        let recovery = BookRecovery(
            desk: desk, exchange: exchange, seal: standing.seal,
            until: .now + .milliseconds(limits.recoveryMilliseconds))
        var own = standing.term
        if let told = survey.newest {
            if told.head.size >= newest?.size ?? 0 { newest = told.head }
            if try await recovery.follow(told.head, at: told.witness) { own = nil }
        }
        try await recovery.takeUp(survey.candidates, behind: survey.newest?.head.size ?? 0, own: own)
        guard let newest, try await !recovery.has(newest) else { return }
        throw .node(
            NodeServiceError(
                .storageFailed, "The witnesses do not give all \(newest.size) entries that one of them has seen.",
                hint: "It is tried again as long as the node runs; other witnesses may have them."))
    }

    // MARK: A term

    /// Gives the witnesses each entry until the task is cancelled, or a later term begins.
    private func replicate(_ standing: Standing) async {
        let witnesses = standing.charter.body.witnesses
        await withTaskGroup(of: Void.self) { group in
            for witness in witnesses {
                // BOUNDED: one wake at a time.
                let (waking, wakes) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
                self.wakes[witness] = wakes
                group.addTask { await self.serve(witness, waking) }
            }
            group.addTask { [desk] in
                for await _ in desk.growth { await self.form() }
            }
            group.addTask { [desk, limits] in
                while (try? await Task.sleep(for: .milliseconds(limits.tickMilliseconds))) != nil {
                    await desk.resumeWaiters()
                    await self.settle()
                }
            }
            await form()
            // Whichever ends first: a later term, or the node.
            while await group.next() != nil, !Task.isCancelled, term != nil {}
            group.cancelAll()
        }
    }

    /// Makes the next batch, if the last one is kept.
    private func form() async {
        guard let term, proposal == nil else { return }
        // Who comes meanwhile is seen by the next round.
        guard !isForming else {
            hasGrown = true
            return
        }
        isForming = true
        repeat {
            hasGrown = false
            guard let batch = await desk.batch(in: term), !batch.entries.isEmpty, self.term != nil else { continue }
            (proposal, isQuiet) = ((head, batch), false)
            for wake in wakes.values { wake.yield() }
        } while hasGrown && proposal == nil
        isForming = false
    }

    /// Where nothing is on its way, has those brought up who lack something.
    private func settle() {
        guard proposal == nil, term != nil else { return }
        isQuiet = true
        for (witness, wake) in wakes where headed[witness] ?? 0 < shown { wake.yield() }
    }

    /// What a witness is given next; nil if it lacks nothing that has to be now.
    private func next(for witness: DID) -> (head: [UInt8]?, batch: ReplicaBatch)? {
        if let proposal { return kept[witness] ?? 0 < proposal.batch.end ? proposal : nil }
        guard isQuiet, head != nil, headed[witness] ?? 0 < shown else { return nil }
        return (head, ReplicaBatch(start: shown, entries: []))
    }

    /// Gives one witness what it has not, as long as the term goes on.
    private func serve(_ witness: DID, _ waking: AsyncStream<Void>) async {
        var pause = limits.pauseMilliseconds.lowerBound
        for await _ in waking {
            while let term, let (head, batch) = next(for: witness) {
                if await give(batch, head, term, to: witness) {
                    pause = limits.pauseMilliseconds.lowerBound
                    continue
                }
                guard self.term != nil, (try? await Task.sleep(for: .milliseconds(pause))) != nil else { return }
                let (least, most) = (limits.pauseMilliseconds.lowerBound, limits.pauseMilliseconds.upperBound)
                pause = isQuiet ? min(pause * 2, most) : least
                await reach([witness])
            }
            if term == nil { return }
        }
    }

    /// Whether a witness took something.
    private func give(_ batch: ReplicaBatch, _ head: [UInt8]?, _ term: BookTerm, to witness: DID) async -> Bool {
        let question = ReplicaQuestion.propose(term: term, head: head, batch: batch)
        let peer = witness.peerID
        switch try? await exchange.ask(question, of: peer) {
        case .accepted?:
            if head != nil { headed[witness] = batch.start }
            await note(kept: batch.end, by: witness)
            return true
        case .behind(let size)? where size >= batch.end && size > batch.start:
            // It has seen a head behind all of it.
            headed[witness] = batch.end
            await note(kept: batch.end, by: witness)
            return true
        case .behind(let size)? where size > batch.start:
            // Its head is of an earlier start, and in the midst of this.
            let rest = ReplicaBatch(start: size, entries: Array(batch.entries.dropFirst(Int(size - batch.start))))
            guard case .accepted? = try? await exchange.ask(.propose(term: term, head: nil, batch: rest), of: peer)
            else {
                return false
            }
            headed[witness] = size
            await note(kept: batch.end, by: witness)
            return true
        case .behind(let size)? where size < batch.start: return await fill(from: size, to: batch.start, term, witness)
        case .superseded(let other)? where other.isPossible && term < other:
            say(witness, "it promised a later start of this issuer not to take anything of this one")
            await note(other, by: witness)
            return false
        case .refused(_, let text)?:
            say(witness, text.cut(bytesMax: 512))
            return false
        case nil:
            say(witness, "it does not answer")
            return false
        default:
            say(witness, "its answer does not fit the question")
            return false
        }
    }

    /// Gives a witness what it has missed, each page under a head.
    private func fill(from start: UInt64, to end: UInt64, _ term: BookTerm, _ witness: DID) async -> Bool {
        // What a witness took it has, or it fills without end.
        guard start >= filled[witness] ?? 0 else {
            say(witness, "it does not have what it took")
            return false
        }
        var next = start
        while next < end {
            guard let page = await desk.batch(from: next, below: end, in: term), !page.entries.isEmpty,
                let head = await desk.headOf(page.end),
                case .accepted? = try? await exchange.ask(.fill(head: head, batch: page), of: witness.peerID)
            else { return false }
            next = page.end
            (filled[witness], headed[witness]) = (next, next)
        }
        return true
    }

    private func note(kept end: UInt64, by witness: DID) async {
        kept[witness] = max(kept[witness] ?? 0, end)
        if silent.remove(witness) != nil {
            logger.notice("A witness of this issuer keeps its book again.", metadata: ["witness": "\(witness)"])
        }
        guard let (_, batch) = proposal, let quorum = WitnessQuorum(of: wakes.count),
            kept.values.count(where: { $0 >= batch.end }) >= quorum.needed, !isShowing, term != nil
        else { return }
        isShowing = true
        let note = await desk.show(batch)
        if note != nil { shown = batch.end }
        (isShowing, proposal) = (false, nil)
        guard let note else {
            await desk.close(
                "What the witnesses keep is not what the book has: it is closed until the node starts again.")
            return
        }
        head = note
        if term != nil, await desk.durable.size >= opensAt { await desk.open() }
        await form()
    }

    private func say(_ witness: DID, _ reason: String) {
        guard silent.insert(witness).inserted else { return }
        logger.warning(
            "A witness of this issuer does not keep its book.",
            metadata: ["witness": "\(witness)", "reason": "\(reason)"])
    }

    /// Notes that a witness knows a later term. Once one of them is honest, whoever lies, another life of this issuer
    /// has begun: this one shows nothing any more.
    private func note(_ other: BookTerm, by witness: DID) async {
        later[witness] = other
        guard term != nil, let quorum = WitnessQuorum(of: wakes.count), later.count > quorum.faulty,
            let later = later.values.max()
        else { return }
        (term, proposal) = (nil, nil)
        for wake in wakes.values { wake.finish() }
        logger.error("Another copy of this issuer's home writes its book now.", metadata: ["term": "\(later.number)"])
        await desk.close(IssuerDesk.superseded)
    }
}
