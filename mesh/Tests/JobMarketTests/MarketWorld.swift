import Credit
import Determinism
import Economics
import JobMarket
import MerkleLog
import MeshTypes
import Multiformats
import PeerIdentity
import Receipts
import Reputation
import SignedObjects
import Testing

/// What a fake executor does with a run.
enum FakeRun: Sendable {
    case succeed(fuel: UInt64)
    case end(ExecutionOutcome, fuel: UInt64)
    /// Runs, sends heartbeats and never ends.
    case hang
    /// Never even starts the module: its blocks come slowly, without an end.
    case stall
    /// Not one of its blocks ever comes.
    case starve
    /// Reports that outputs are produced, and never ends.
    case produce
}

/// A node of the test: its market, and the journal as a disk would have it.
struct Party {
    let identity: Identity
    var configuration: MarketConfiguration
    var market: JobMarket
    var journal: [[UInt8]] = []
    /// Whether the transaction of each event was waited for, before its actions or before its answer.
    var isForced: [Bool] = []
    var grants: [LedgerEntry] = []
    var blocks: [CID: [UInt8]] = [:]
    /// What its runs anchor.
    var anchoredByRuns: [CID] = []
    /// What issuers are to book, one a hold, as a disk keeps it.
    var bookings: [CID: HoldBooking] = [:]
    /// The heads of the anchored DAG and the tree of its log, which a disk keeps beside the journals.
    var heads: (heads: [CID], height: UInt64) = ([], 0)
    var tree = MerkleTree()
    /// What it recorded of others, in order, which a disk keeps there, too.
    var conduct: [ReputationChange] = []
    var isDown = false
    var run = FakeRun.succeed(fuel: 1_000_000)
    /// How far its calendar was set, in milliseconds.
    var clockStepMilliseconds: Int64 = 0
    var orders: [ExecutionOrder] = []
    /// Orders of which the blocks have not all come.
    var fetching: [CID: ExecutionOrder] = [:]
    /// Jobs whose blocks never come.
    var starving: Set<PeerID> = []
    /// Modules of its store that are longer than it runs, and those that it was asked for.
    var longModules: Set<CID> = []
    var lookedUp: [CID] = []
    /// Whether its machine sleeps, how long it has slept in all, and what waits inside it meanwhile.
    var isAsleep = false
    var sleptMilliseconds: Int64 = 0
    var dreams: [MarketWorld.Packet] = []

    init(seed: UInt8, configuration: MarketConfiguration) {
        // A test may trap: a seed of 32 bytes is always a key.
        identity = try! Identity(seed: Array(repeating: seed, count: 32))
        self.configuration = configuration
        market = JobMarket(identity: identity, configuration: configuration)
    }

    var peer: PeerID { identity.peerID }
    var events: [JobEvent] { journal.map { try! JobEvent.decode($0) } }

    /// The market that a restart would make from the journal, before it recovers.
    func replayed() throws -> JobMarket {
        var ledger = Ledger()
        for entry in grants { try ledger.post(entry) }
        var reputation = ReputationBook()
        var payers = ReputationBook(of: .originator, limits: .ofOriginators)
        for change in conduct {
            guard let recorded = change.recorded else { continue }
            switch change.side {
            case .executor: reputation.record(recorded)
            case .originator: payers.record(recorded)
            case .elsewhere: _ = reputation.recordElsewhere(recorded)
            }
        }
        var fresh = JobMarket(
            identity: identity, configuration: configuration, ledger: ledger, reputation: reputation,
            payers: payers, anchorHeads: heads, log: tree)
        for event in events { try fresh.replay(event) }
        return fresh
    }
}

/// A handful of markets on a virtual clock with a network that a test controls: enough for every state and every fault.
struct MarketWorld {
    enum Packet {
        case announce(from: Int, JobAnnouncementV1)
        case direct(from: Int, Delivery)
        case reply(to: Int, DeliveryID, MeshProtocolReply)
        case failed(to: Int, DeliveryID)
        case input(to: Int, MarketInput)
        case holdAsked(by: Int, HoldWish)
    }

    var parties: [Party]
    var now = MonotonicInstant.zero
    var packets: [(at: MonotonicInstant, order: Int, packet: Packet)] = []
    var order = 0
    var transitions = 0
    var generator: SeededGenerator
    var lossPermille: UInt64 = 0
    var duplicatePermille: UInt64 = 0
    var delayMillisecondsMax: Int64 = 5
    var checksReplay = false
    /// Messages of these variants are lost.
    var blocked: Set<MeshProtocolMessage.Variant> = []
    var blocksAnnouncements = false
    var missingOutputs = false
    /// Parties whose outputs never come.
    var withheldOutputs: Set<Int> = []
    var blocksAnchors = false
    /// Whether a crash also loses the events that nobody waited for.
    var losesLazyEvents = false
    /// What a check of a receipt finds; one without a finding never ends.
    var checks: (CheckOrder) -> ReplayFinding? = { $0.check == .refusal ? .confirmed : Self.honestFinding($0) }
    /// What this node's own run of a job shows that executors failed; one without a finding never ends.
    var trial: (TrialOrder) -> ReplayFinding? = { _ in .notMade(reason: "this node cannot run it") }
    /// The trials that were ordered.
    var tried: [TrialOrder] = []
    /// How long a check takes.
    var checkMilliseconds: Int64 = 100
    /// The checks that were ordered, and those that were stopped.
    var checked: [CheckOrder] = []
    var stopped: [CID] = []
    /// The receipts that executors told everybody of, and when.
    var published: [(receipt: CID, at: MonotonicInstant)] = []
    /// The issuer by which jobs are paid.
    var bank: CreditBank?
    /// The results that executors left with the arbiter.
    var lodged: [LodgingOrder] = []
    /// The proofs that were published.
    var proofs: [CID: [UInt8]] = [:]
    var log: [MeshProtocolMessage] = []
    /// What was published on the topics of jobs.
    var told: [(topic: String, message: MeshProtocolMessage)] = []
    static let epoch: UInt64 = 1_800_000_000_000

    var wallClock: UnixMilliseconds { UnixMilliseconds(Self.epoch + UInt64(now.nanoseconds / 1_000_000)) }

    /// The clock of one party that only moves forward: it stands while the machine sleeps.
    func instant(of index: Int) -> MonotonicInstant {
        now.advanced(milliseconds: -parties[index].sleptMilliseconds)
    }

    /// The calendar of one party.
    func calendar(of index: Int) -> UnixMilliseconds {
        UnixMilliseconds(UInt64(Int64(wallClock.value) + parties[index].clockStepMilliseconds))
    }

    init(
        executors: Int, seed: UInt64 = 1, tokens: UInt64 = 1_000_000,
        configure: (Int, inout MarketConfiguration) -> Void = { _, _ in }
    ) {
        generator = SeededGenerator(seed: seed)
        parties = (0...executors).map { index in
            var configuration = MarketConfiguration()
            // Most runs of these tests are over in a moment, and are to be told of all the same.
            configuration.limits.statusQuietMilliseconds = 0
            if index > 0 {
                var executor = ExecutorConfiguration()
                executor.basePrice = TokenAmount(UInt64(10 * index))
                executor.priceMax = TokenAmount(UInt64(20 * index))
                executor.pricePerMillionFuel = TokenAmount(1)
                executor.region = "region-\(index)"
                configuration.executor = executor
            }
            configure(index, &configuration)
            return Party(seed: UInt8(index + 1), configuration: configuration)
        }
        let entry = try! parties[0].market.grant(TokenAmount(tokens), reference: "test", wallClock: wallClock)
        parties[0].grants = [entry!]
    }

    static func request(_ key: String = "job", _ change: (inout MeshJobParams) -> Void = { _ in }) -> JobRequest {
        var params = MeshJobParams(wasmCID: CID.hashing(Array("module".utf8), codec: .raw))
        params.timeoutSeconds = 10
        change(&params)
        return JobRequest(
            requesterDID: try! Identity(seed: Array(repeating: 99, count: 32)).did,
            submittedAt: UnixMilliseconds(epoch), params: params, idempotencyKey: key)
    }

    @discardableResult
    mutating func submit(_ request: JobRequest = Self.request()) throws -> JobID {
        let nonce = (0..<16).map { _ in UInt8.random(in: 0...255, using: &generator) }
        let (id, transition) = try parties[0].market.submit(
            request, nonce: nonce, now: instant(of: 0), wallClock: calendar(of: 0)
        ).get()
        carryOut(transition, of: 0)
        return id
    }

    mutating func cancel(_ id: JobID) throws {
        let transition = try parties[0].market.cancel(
            id, reason: "no longer needed", now: instant(of: 0), wallClock: wallClock
        ).get()
        carryOut(transition, of: 0)
    }

    mutating func give(_ input: MarketInput, to index: Int) {
        guard !parties[index].isDown else { return }
        let transition = parties[index].market.handle(
            input, now: instant(of: index), wallClock: calendar(of: index))
        carryOut(transition, of: index)
    }

    /// Hands a direct message over, and forgets the reply.
    mutating func give(_ message: MeshProtocolMessage, from peer: PeerID, to index: Int) {
        guard !parties[index].isDown else { return }
        let (_, transition) = parties[index].market.receive(
            message, from: peer, now: instant(of: index), wallClock: calendar(of: index))
        carryOut(transition, of: index)
    }

    /// Hands a gossip message over, and forgets the verdict.
    mutating func give(_ message: MeshProtocolMessage, author: PeerID, to index: Int) {
        guard !parties[index].isDown else { return }
        let (_, transition) = parties[index].market.judge(
            message, author: author, now: instant(of: index), wallClock: calendar(of: index))
        carryOut(transition, of: index)
    }

    mutating func carryOut(_ transition: MarketTransition, of index: Int) {
        for event in transition.events {
            parties[index].journal.append(try! event.encoded())
            parties[index].isForced.append(transition.needsDurability || transition.acknowledges)
        }
        parties[index].conduct += transition.judged
        for booking in transition.bookings { parties[index].bookings[booking.hold] = booking }
        for block in transition.blocks { parties[index].blocks[block.cid] = block.bytes }
        for entry in transition.logged {
            #expect(entry.number == parties[index].tree.size, "two entries of one number")
            _ = parties[index].tree.append(.leaf(entry.cid.bytes))
            parties[index].heads = parties[index].market.anchorHeads
        }
        // A market looks at all of its jobs, so one that holds hundreds is looked at less often.
        transitions += 1
        if transitions < 512 || transitions.isMultiple(of: 16) { parties[index].market.checkInvariants() }
        if checksReplay { expectSameAfterReplay(index) }
        for action in transition.actions { carryOut(action, of: index) }
    }

    func expectSameAfterReplay(_ index: Int) {
        let party = parties[index]
        do {
            let fresh = try party.replayed()
            #expect(fresh.originatedJobs == party.market.originatedJobs)
            #expect(fresh.executedJobs == party.market.executedJobs)
            #expect(fresh.ledger == party.market.ledger)
            #expect(fresh.reputation == party.market.reputation)
            #expect(fresh.payers == party.market.payers)
            #expect(fresh.lastReceipt == party.market.lastReceipt)
            #expect(fresh.anchorHeads.heads == party.market.anchorHeads.heads)
            #expect(fresh.log == party.market.log)
            #expect(fresh.runCounts == party.market.runCounts)
        } catch {
            Issue.record("the journal of party \(index) does not replay: \(error)")
        }
    }

    private mutating func lodge(_ order: LodgingOrder, of index: Int) {
        lodged.append(order)
        guard let statement = bank?.keep(order, now: wallClock) else { return }
        send(.input(to: index, .resultLodged(order.jobID, statement: statement)))
    }

    private mutating func carryOut(_ action: MarketAction, of index: Int) {
        switch action {
        case .announce(let id, let announcement):
            log.append(.jobAnnouncement(announcement))
            if blocksAnnouncements {
                send(.input(to: index, .announcementFailed(id, reason: "no peers")))
            } else {
                send(.input(to: index, .announcementPublished(id)))
                send(.announce(from: index, announcement))
            }
        case .deliver(let delivery):
            log.append(delivery.message)
            if blocked.contains(delivery.message.variant) || chance(lossPermille) {
                send(.failed(to: index, delivery.id), after: 1000)
            } else {
                send(.direct(from: index, delivery))
                if chance(duplicatePermille) { send(.direct(from: index, delivery)) }
            }
        case .gossip(_, _, let job): if let job, !blocksAnchors { send(.input(to: index, .anchorPublished(job))) }
        case .tellEverybody(_, let topic, let message): told.append((topic, message))
        case .fetchManifest(let id, _, _, _):
            let block = parties.lazy.compactMap { $0.blocks[id.cid] }.first
            send(.input(to: index, .manifestFetched(id, block: block)))
        case .lookUpModule(let module):
            parties[index].lookedUp.append(module)
            let isLong = parties[index].longModules.contains(module)
            send(.input(to: index, .moduleLookedUp(module, isBeyondLimits: isLong)))
        case .fetchInputs(let order): fetch(order, of: index)
        case .execute(let assignment):
            if let order = parties[index].fetching.removeValue(forKey: assignment) { run(order, of: index) }
        case .cancelExecution(let assignment, _):
            parties[index].fetching[assignment] = nil
            finish(assignment, .cancelled, fuel: 500_000, of: index, after: 5)
        case .fetchOutputs(let id, let receipt, let peer, let blocks, let milliseconds):
            if withheldOutputs.contains(where: { parties[$0].peer == peer }) {
                return send(
                    .input(to: index, .outputsFetched(id, receipt: receipt, missing: blocks)), after: milliseconds)
            }
            send(.input(to: index, .outputsFetched(id, receipt: receipt, missing: missingOutputs ? blocks : [])))
        case .checkReceipt(let order):
            checked.append(order)
            guard let finding = checks(order) else { return }
            send(
                .input(to: index, .receiptChecked(order.jobID, receipt: order.receipt.cid, finding)),
                after: checkMilliseconds)
        case .tryJob(let order):
            tried.append(order)
            guard let finding = trial(order) else { return }
            send(
                .input(to: index, .receiptChecked(order.jobID, receipt: order.assignmentCID, finding)),
                after: checkMilliseconds)
        case .stopCheck(let receipt):
            let job = checked.last { $0.receipt.cid == receipt }?.jobID
            guard let job = job ?? tried.last(where: { $0.assignmentCID == receipt })?.jobID else { return }
            stopped.append(receipt)
            let finding = ReplayFinding.notMade(reason: "the replay was stopped")
            send(.input(to: index, .receiptChecked(job, receipt: receipt, finding)), after: 5)
        case .orderHold(let wish):
            let (debtor, date) = (parties[index].identity, wallClock)
            guard date < wish.useBy, let answer = bank?.hold(wish, for: debtor, now: date) else { return }
            send(.input(to: index, .holdAnswered(wish.jobID, attempt: wish.attempt, answer)))
            // Asked again, as the shell does.
            if case .delayed = answer { send(.holdAsked(by: index, wish), after: 2_000) }
        case .lodgeResult(let order): lodge(order, of: index)
        case .publishProof(_, let proof, let block): proofs[proof] = block
        case .publishReceipt(let receipt, _, _): published.append((receipt, now))
        }
    }

    /// What an honest check finds here: runs succeed with a million fuel.
    static func honestFinding(_ order: CheckOrder) -> ReplayFinding {
        let receipt = order.receipt.body
        if order.check == .refusal { return .claimRefuted(reason: "the module is taken here") }
        let (outcome, fuel) = (ExecutionOutcome.exited(code: 0), UInt64(1_000_000))
        let stdout = CID.hashing(Array("out".utf8), codec: .raw)
        if receipt.outcome == outcome, receipt.resourceUsage.fuel == fuel, receipt.stdoutCID == stdout {
            return .confirmed
        }
        let found = ReplayedResult(
            outcome: outcome, outputs: [:], stdoutCID: stdout, stderrCID: nil, logCID: nil, readCID: nil,
            anchoredCIDs: [], fuel: fuel, engine: receipt.engine)
        return .refuted(found, fuelMax: fuel, reason: "this run gave something else")
    }

    private mutating func fetch(_ order: ExecutionOrder, of index: Int) {
        parties[index].fetching[order.assignmentCID] = order
        if parties[index].starving.contains(order.manifest.originatorPeerID) { return }
        switch parties[index].run {
        case .starve: break
        case .stall:
            for second in 1...300 {
                send(
                    .input(to: index, .blocksFetched(assignment: order.assignmentCID, bytes: 1 << 20)),
                    after: Int64(second) * 1000)
            }
        default: send(.input(to: index, .executionPrepared(assignment: order.assignmentCID)), after: 5)
        }
    }

    private mutating func run(_ order: ExecutionOrder, of index: Int) {
        parties[index].orders.append(order)
        switch parties[index].run {
        case .succeed(let fuel): finish(order.assignmentCID, .exited(code: 0), fuel: fuel, of: index, after: 100)
        case .end(let outcome, let fuel):
            // Its clock does not stop a run before its time is over.
            let milliseconds =
                outcome == .limitExceeded(.wallClock) ? Int64(order.manifest.params.timeoutSeconds) * 1_000 : 100
            finish(order.assignmentCID, outcome, fuel: fuel, of: index, after: milliseconds)
        case .hang, .stall, .starve: break
        case .produce:
            send(
                .input(
                    to: index,
                    .executionProgressed(assignment: order.assignmentCID, .producingOutputs, progressPermille: nil)),
                after: 20)
        }
    }

    mutating func finish(
        _ assignment: CID, _ outcome: ExecutionOutcome, fuel: UInt64, of index: Int, after milliseconds: Int64
    ) {
        var report = ExecutionReport(
            outcome: outcome, usage: ResourceUsage(fuel: fuel), startedAt: calendar(of: index),
            endedAt: calendar(of: index).advanced(milliseconds: UInt64(milliseconds)))
        report.stdoutCID = CID.hashing(Array("out".utf8), codec: .raw)
        report.anchoredCIDs = parties[index].anchoredByRuns
        let order = parties[index].orders.last { $0.assignmentCID == assignment }
        if order?.manifest.params.files != nil {
            report.readCID = CID.hashing(Array("read".utf8), codec: .dagCBOR)
        }
        send(.input(to: index, .executionFinished(assignment: assignment, report)), after: milliseconds)
    }

    private mutating func chance(_ permille: UInt64) -> Bool {
        permille > 0 && generator.next() % 1000 < permille
    }

    private mutating func send(_ packet: Packet, after milliseconds: Int64? = nil) {
        let delay = milliseconds ?? 1 + Int64(generator.next() % UInt64(delayMillisecondsMax))
        order += 1
        packets.append((now.advanced(milliseconds: delay), order, packet))
    }

    /// Moves the clock to the next packet or deadline, and handles it; `false` when nothing is left before `end`.
    mutating func step(until end: MonotonicInstant) -> Bool {
        let packet = packets.indices.min { (packets[$0].at, packets[$0].order) < (packets[$1].at, packets[$1].order) }
        let deadline = parties.indices.filter { !parties[$0].isDown }
            .compactMap { index in
                parties[index].market.nextDeadline.map {
                    (at: $0.advanced(milliseconds: parties[index].sleptMilliseconds), index: index)
                }
            }
            .min { ($0.at, $0.index) < ($1.at, $1.index) }
        if let packet, packets[packet].at <= deadline?.at ?? .distantFuture {
            guard packets[packet].at <= end else { return false }
            now = max(now, packets[packet].at)
            handle(packets.remove(at: packet).packet)
        } else if let deadline {
            guard deadline.at <= end else { return false }
            now = max(now, deadline.at)
            give(.deadlineReached, to: deadline.index)
        } else {
            return false
        }
        return true
    }

    private mutating func handle(_ packet: Packet) {
        switch packet {
        case .reply(let to, _, _) where parties[to].isAsleep, .failed(let to, _) where parties[to].isAsleep,
            .input(let to, _) where parties[to].isAsleep:
            parties[to].dreams.append(packet)
        case .announce(let from, let announcement):
            for index in parties.indices where index != from && !chance(lossPermille) {
                give(.jobAnnouncement(announcement), author: parties[from].peer, to: index)
            }
        case .direct(let from, let delivery): handOver(delivery, from: from)
        case .reply(let to, let id, let reply): give(.deliveryReplied(id, reply), to: to)
        case .failed(let to, let id): give(.deliveryFailed(id, reason: "lost"), to: to)
        case .input(let to, let input): give(input, to: to)
        case .holdAsked(let index, let wish): carryOut(.orderHold(wish), of: index)
        }
    }

    private mutating func handOver(_ delivery: Delivery, from: Int) {
        guard let to = parties.firstIndex(where: { $0.peer == delivery.peer }), !parties[to].isDown else {
            return send(.failed(to: from, delivery.id), after: 1000)
        }
        let (reply, transition) = parties[to].market.receive(
            delivery.message, from: parties[from].peer, now: instant(of: to), wallClock: calendar(of: to))
        carryOut(transition, of: to)
        if chance(lossPermille) {
            send(.failed(to: from, delivery.id), after: 1000)
        } else {
            send(.reply(to: from, delivery.id, reply))
        }
    }

    mutating func run(milliseconds: Int64) {
        let end = now.advanced(milliseconds: milliseconds)
        while step(until: end) {}
        now = end
    }

    /// Runs until a condition holds; `false` when the time is over before.
    mutating func run(milliseconds: Int64, until condition: (MarketWorld) -> Bool) -> Bool {
        let end = now.advanced(milliseconds: milliseconds)
        while !condition(self) {
            if !step(until: end) { return condition(self) }
        }
        return true
    }

    /// kill -9, and a restart from the journal some time later; what was under way inside the process is lost.
    mutating func restart(_ index: Int, afterMilliseconds: Int64 = 0) throws {
        parties[index].isDown = true
        packets.removeAll { item in
            switch item.packet {
            case .input(let to, _), .reply(let to, _, _), .failed(let to, _), .holdAsked(let to, _): to == index
            default: false
            }
        }
        if afterMilliseconds > 0 { run(milliseconds: afterMilliseconds) }
        while losesLazyEvents, parties[index].isForced.last == false {
            parties[index].journal.removeLast()
            parties[index].isForced.removeLast()
        }
        parties[index].market = try parties[index].replayed()
        parties[index].isDown = false
        let transition = parties[index].market.recover(now: instant(of: index), wallClock: calendar(of: index))
        carryOut(transition, of: index)
    }

    /// Lets the machine of a party sleep: nobody reaches it, what goes on inside it stands, and so does its clock that
    /// only moves forward; the calendar goes on.
    mutating func suspend(_ index: Int, milliseconds: Int64) {
        parties[index].isDown = true
        parties[index].isAsleep = true
        run(milliseconds: milliseconds)
        parties[index].sleptMilliseconds += milliseconds
        parties[index].isAsleep = false
        parties[index].isDown = false
        for packet in parties[index].dreams { send(packet) }
        parties[index].dreams = []
    }

    /// Has the issuer book what is due of a party, as its shell does.
    mutating func book(of index: Int) throws {
        for (hold, booking) in parties[index].bookings.sorted(by: { $0.key < $1.key }) {
            guard let event = booking.next(now: wallClock), var bank else { continue }
            var booking = booking
            switch bank.enter(event, now: wallClock) {
            case .success(let entry): booking.proved(entry)
            case .failure(let refusal):
                if let ending = bank.ending(of: hold) {
                    booking.proved(ending)
                } else {
                    booking.refused("\(refusal)", now: wallClock)
                }
            }
            self.bank = bank
            parties[index].bookings[hold] = booking
        }
    }

    // MARK: What tests ask

    func job(_ id: JobID) -> OriginatedJob? { parties[0].market.originatedJob(id) }

    func names(of index: Int) -> [String] { parties[index].events.map(\.kindName) }

    /// Tokens of all nodes: wallets and holds, and what was paid but is not yet booked by the executor.
    var totalTokens: UInt64 {
        let originator = parties[0].market.ledger
        let held = originator.wallet.units + originator.escrowTotal.units
        let earned = parties.dropFirst().reduce(UInt64(0)) { $0 + $1.market.ledger.wallet.units }
        let booked = parties.dropFirst().reduce(UInt64(0)) { $0 + $1.market.ledger.earned.units }
        return held + earned + (originator.paid.units - booked)
    }
}
