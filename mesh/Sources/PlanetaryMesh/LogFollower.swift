import Determinism
import GossipSub
import LibP2P
import Logging
import MerkleLog
import MeshStore
import MeshTypes
import Multiformats
import NodeSetup
import P2PServices
import PeerIdentity
import Receipts
import SignedObjects

/// That an author told two histories of its log.
struct FoundFork: Hashable, Sendable {
    /// Who.
    let author: DID
    /// Names the proof.
    let proof: CID
    /// When this node had it, by its calendar.
    let foundAt: UnixMilliseconds
    /// Whether the proof is kept here; if not, there was no room for one more.
    let isKept: Bool
}

/// The logs of others: tells the mesh of this node's newest head, hears of theirs, fetches and keeps those that the
/// owner follows, serves them to others, and keeps and passes on each proof that somebody told two histories.
package actor LogFollower {
    /// Every bound of it; those of what is kept are in `FollowedShare.Limits`.
    struct Limits: Sendable {
        /// How often it looks what there is to do, in milliseconds.
        var lookMilliseconds: Int64 = 500
        /// After so long this node's head is told again, as gossip keeps none for who comes later, in milliseconds.
        var repeatMilliseconds: Int64 = 60_000
        /// After so long it is told again where somebody new listens, in milliseconds.
        var newcomerMilliseconds: Int64 = 5_000
        /// The pause between proofs of two histories that are told again, in milliseconds.
        var forkPauseMilliseconds: Int64 = 2_000
        /// How often a followed log is asked for of which no newer head was heard, in milliseconds.
        var roundMilliseconds: Int64 = 60_000
        /// The pause after a fetch that brought nothing, in milliseconds; it doubles up to `roundMilliseconds`.
        var retryMilliseconds: Int64 = 1_000
        /// Logs that are fetched at the same time.
        var fetchesMax = 4
        /// Logs of authors whom the owner does not name that are fetched at the same time.
        var strangersFetchesMax = 2
        /// Peers that one fetch asks.
        var peersAskedMax = 8
        /// How long one peer is asked in a row, in milliseconds; then others have their turn.
        var turnMilliseconds: Int64 = 30_000
        /// Proofs against authors of whose logs nothing is kept and whom the owner does not name.
        var strangersForksMax = LogForkRow.countMax / 2
        /// Heads of an author that are judged in a second.
        var headsPerSecondMax = 1
        /// Heads of an author that are judged at once.
        var headsBurstMax = 8
        /// How long the same head is not passed on again, in milliseconds.
        var sameHeadMilliseconds: Int64 = 30_000
        /// Proofs of two histories by one peer that are judged in a second.
        var forksPerSecondMax = 1
        /// Proofs of two histories by one peer that are judged at once.
        var forksBurstMax = 4
        /// Ranges that a peer is given in a second.
        var rangesPerSecondPerPeerMax = 16
        /// Ranges that a peer is given at once.
        var rangesBurstPerPeerMax = 64
        /// Ranges that are read for all peers at the same time; one more is refused.
        var servedAtOnceMax = 8
        /// What is kept.
        var share = FollowedShare.Limits()
        /// The bounds of a range.
        var range = FollowedLog.Limits()

        /// The defaults.
        init() {}
    }

    let identity: Identity
    let store: MeshStore
    let desk: LogDesk
    let limits: Limits
    private let host: any StreamHost
    private let gossip: GossipService
    private let settings: RunningSettings
    private let logger: Logger
    private let exchange: LogExchange
    private var admits: @Sendable (PeerID) async -> Bool = { _ in true }
    private var blame: @Sendable (PeerID, String) async -> Void = { _, _ in }
    private var onKept: @Sendable (DID, CID) async -> Void = { _, _ in }
    private var onFork: @Sendable (FoundFork) async -> Void = { _ in }

    private(set) var heads = KnownHeads()
    private(set) var share: FollowedShare
    /// What is kept of each log, by its name.
    // BOUNDED: by the authors that are followed, and `FollowedShare.Limits.logsPerAuthorMax`.
    private(set) var logs: [ExactText: FollowedLog] = [:]
    /// The name of each author's newest log.
    private(set) var newest: [DID: ExactText] = [:]
    private(set) var forks: KnownForks
    private var turns: LogTurns
    /// Whose logs are fetched now, and who waits for the end of that.
    // BOUNDED: by the authors that are followed, and the owner's own requests.
    private var fetching: [DID: [CheckedContinuation<Void, Never>]] = [:]
    /// Who gave a log last.
    private var givers: [DID: PeerID] = [:]
    private var headRates: PeerRates
    private var forkRates: PeerRates
    private var rangeRates: PeerRates
    private var servedNow = 0
    private var passedOn: [DID: MonotonicInstant] = [:]
    /// What was told last, when, and to whom at least.
    private var told: (size: UInt64, at: MonotonicInstant, listeners: Set<PeerID>)?
    private var isLoaded = false

    init(
        desk: LogDesk, host: any StreamHost, gossip: GossipService, settings: RunningSettings, logger: Logger,
        limits: Limits = Limits()
    ) {
        (identity, store, self.desk, self.limits) = (desk.identity, desk.store, desk, limits)
        (self.host, self.gossip, self.settings, self.logger) = (host, gossip, settings, logger)
        exchange = LogExchange(host: host)
        share = FollowedShare(limits: limits.share)
        forks = KnownForks(
            strangersMax: limits.strangersForksMax, pauseMilliseconds: limits.forkPauseMilliseconds)
        turns = LogTurns(limits: limits)
        headRates = PeerRates(perSecond: limits.headsPerSecondMax, burst: limits.headsBurstMax)
        forkRates = PeerRates(perSecond: limits.forksPerSecondMax, burst: limits.forksBurstMax)
        rangeRates = PeerRates(perSecond: limits.rangesPerSecondPerPeerMax, burst: limits.rangesBurstPerPeerMax)
    }

    // MARK: The loop

    /// Reads what is kept, and joins the protocols.
    ///
    /// - Parameters:
    ///   - admits: whether to listen to a peer at all.
    ///   - blame: receives who broke the protocol, and how.
    ///   - onKept: receives the newest entry that is kept of an author.
    ///   - onFork: receives who told two histories; those of whom the proof is kept at each start again.
    func begin(
        admitting admits: @escaping @Sendable (PeerID) async -> Bool,
        blame: @escaping @Sendable (PeerID, String) async -> Void,
        onKept: @escaping @Sendable (DID, CID) async -> Void,
        onFork: @escaping @Sendable (FoundFork) async -> Void = { _ in }
    ) async throws {
        (self.admits, self.blame, self.onKept, self.onFork) = (admits, blame, onKept, onFork)
        try await load()
        for (fork, foundAt) in forks.all {
            await onFork(FoundFork(author: fork.author, proof: fork.cid, foundAt: foundAt, isKept: true))
        }
        await desk.witness.tellForks { [weak self] fork in await self?.found(fork) }
        await exchange.serve(admitting: admits, blame: blame) { [weak self] peer, request in
            await self?.answer(request, to: peer)
        }
        for topic in [MeshTopics.logHeads(scope: AnchorEntry.globalScope), Self.forksTopic] {
            // The validator takes in what it accepts.
            _ = try await gossip.subscribe(topic) { [weak self] message in await self?.judge(message) ?? .ignore }
        }
    }

    private static let forksTopic = MeshTopics.logForks(scope: AnchorEntry.globalScope)

    /// Tells, and fetches, until the task is cancelled.
    func run() async {
        for log in logs.values.sorted(by: { $0.origin.text < $1.origin.text }) {
            guard let head = log.lastEntry, log.origin == newest[log.name.author] else { continue }
            // What an entry named before a restart is not named again.
            if let unnamed = try? await FollowedRow.unnamed([head], in: store), unnamed.isEmpty { continue }
            await onKept(log.name.author, head)
        }
        await withDiscardingTaskGroup { group in
            while (try? await Task.sleep(for: .milliseconds(limits.lookMilliseconds))) != nil {
                await tellHead()
                await tellFork()
                for author in due() { group.addTask { await self.fetch(author) } }
            }
        }
    }

    /// Reads what the disk has.
    func load() async throws(MeshStoreError) {
        guard !isLoaded else { return }
        let proofs = try await LogForkRow.all(in: store).compactMap { row in
            (try? LogFork(verifying: row.proof)).map { (fork: $0, foundAt: UnixMilliseconds(row.foundAt)) }
        }
        var kept: [(FollowedLog, FollowedShare.Amount)] = []
        for row in try await FollowedRow.all(in: store) {
            if let log = try await stored(row) {
                kept.append((log, .init(entries: row.size, bytes: row.byteCount)))
            } else {
                logger.warning(
                    "What is kept of a log is damaged; it is fetched anew.", metadata: ["log": "\(row.origin)"])
                try await store.commit([.forgetFollowed(origin: row.origin)])
            }
        }
        // Somebody else may have read it meanwhile.
        guard !isLoaded else { return }
        isLoaded = true
        // The oldest of an author is the last.
        for (fork, foundAt) in proofs { forks.load(fork, foundAt: foundAt) }
        for (log, amount) in kept {
            put(log)
            share.add(amount, of: log.name.author)
        }
        for (fork, _) in proofs { await desk.witness.renounce(fork.author) }
    }

    private func stored(_ row: FollowedRow) async throws(MeshStoreError) -> FollowedLog? {
        let places = HashPlace.places(of: 0..<row.size)
        let found = try await FollowedRow.hashes(of: row.origin, at: places.map(\.position), in: store)
        let peaks = places.compactMap { found[$0.position].flatMap(MerkleHash.init(bytes:)) }
        let last = try await FollowedRow.newest(of: row.origin, below: row.size, limit: 1, in: store).first
        guard let tree = MerkleTree(size: row.size, peaks: peaks), let last else { return nil }
        return FollowedLog(
            origin: row.origin, tree: tree, byteCount: row.byteCount, note: row.note, lastEntry: last.bytes,
            lastHashes: row.lastHashes)
    }

    private func put(_ log: FollowedLog) {
        logs[log.origin] = log
        let before = newest[log.name.author].flatMap { LogName($0.text) }
        if before.map({ log.name.isLater(than: $0) }) ?? true { newest[log.name.author] = log.origin }
    }

    /// Removes what is kept of an author's logs, from the disk first.
    func drop(_ author: DID) async throws(MeshStoreError) {
        // Nothing is fetched of it meanwhile.
        fetching[author] = []
        defer { for waiter in fetching.removeValue(forKey: author) ?? [] { waiter.resume() } }
        let origins = logs.values.filter { $0.name.author == author }.map(\.origin)
        try await store.commit(origins.map { .forgetFollowed(origin: $0.text) })
        for origin in origins { logs[origin] = nil }
        (newest[author], givers[author]) = (nil, nil)
        turns.forget(author)
        share.remove(author)
    }

    /// What is kept of an author's newest log.
    func log(of author: DID) -> FollowedLog? { newest[author].flatMap { logs[$0] } }

    // MARK: Whom to follow

    /// Whom the owner names.
    var named: [DID] { settings.configuration.log.followed.filter { $0 != identity.did } }

    /// Whose logs are followed now.
    var followed: [DID] {
        let heard = settings.configuration.log.followsAll ? heads.authors.filter { $0 != identity.did } : nil
        return share.authors(named: named, all: heard)
    }

    /// Whose logs are to be fetched now.
    func due() -> [DID] {
        turns.due(
            among: followed.filter { forks[$0] == nil }, fetching: fetching.keys, named: Set(named),
            now: NodeClock.now
        ) { isNewer(heads[$0], than: log(of: $0)) }
    }

    private func isNewer(_ known: KnownHeads.Known?, than log: FollowedLog?) -> Bool {
        guard let known else { return false }
        guard let log, log.origin == known.origin else { return log.map { known.name.isLater(than: $0.name) } ?? true }
        return known.head.size > log.tree.size
    }

    // MARK: Gossip

    /// Tells the mesh of this node's head, when it has grown and from time to time.
    private func tellHead() async {
        guard let size = try? await AnchoredRow.count(in: store), size > 0 else { return }
        let (now, topic) = (NodeClock.now, MeshTopics.logHeads(scope: AnchorEntry.globalScope))
        let listeners = Set(await gossip.peers(of: topic))
        guard !listeners.isEmpty else { return }
        if let told, told.size == size {
            let rest = listeners.isSubset(of: told.listeners) ? limits.repeatMilliseconds : limits.newcomerMilliseconds
            if now.milliseconds(since: told.at) < rest { return }
        }
        guard let (checkpoint, signed) = try? await desk.signedHead() else { return }
        var note = signed
        while note.signatures.count > 1, note.bytes.count > limits.range.noteBytesMax { note.signatures.removeLast() }
        let message = MeshProtocolMessage.logHead(LogHeadV1(note: note.bytes))
        guard let bytes = try? message.encoded(), (try? await gossip.publish(bytes, topic: topic)) != nil else {
            return
        }
        told = (checkpoint.head.size, now, listeners)
    }

    /// Judges a message before it is forwarded, and takes in a good one.
    func judge(_ message: GossipMessage) async -> GossipVerdict {
        let author = message.source
        guard author != identity.peerID else { return .accept }
        guard await admits(author) else { return .ignore }
        let isHead = !message.topic.isSameBytes(as: Self.forksTopic)
        do {
            switch try MeshProtocolMessage.decode(message.data, bytesMax: MeshProtocolMessage.Limits().gossipBytesMax) {
            case .logHead(let head) where isHead:
                let did = SignedNote(bytes: head.note).flatMap { Checkpoint(text: $0.text) }
                    .flatMap { LogName($0.origin) }?.author
                guard
                    did.map({ heads.isWorthJudging(head.note, of: $0) }) ?? false
                        || headRates.take(author, now: NodeClock.now)
                else { return .ignore }
                return await heard(head.note, from: author)
            case .logFork(let fork) where !isHead:
                guard forkRates.take(author, now: NodeClock.now) else { return .ignore }
                return await heardFork(fork.proof, from: author)
            case let other: return await rejected(author, "\(other.variant.rawValue) is not for this topic")
            }
        } catch MeshMessageError.unknownVariant {
            return .ignore
        } catch {
            return await rejected(author, "a message that does not read")
        }
    }

    private func rejected(_ author: PeerID, _ reason: String) async -> GossipVerdict {
        await blame(author, "gossip: \(reason)")
        return .reject
    }

    func heard(_ note: [UInt8], from peer: PeerID) async -> GossipVerdict {
        guard
            let author = SignedNote(bytes: note).flatMap({ Checkpoint(text: $0.text) }).flatMap({ LogName($0.origin) })?
                .author, author.peerID == peer
        else { return await rejected(peer, "a head of another's log, or of none") }
        // Of an author of two histories no head is worth anything.
        guard forks[author] == nil else { return .ignore }
        switch heads.heard(note, of: author, followed: Set(followed)) {
        case .bad(let reason): return await rejected(peer, reason)
        case .fork(let fork):
            await found(fork)
            return .ignore
        case .old(let known):
            await compare(known)
            return .ignore
        case .same:
            let now = NodeClock.now
            if let at = passedOn[author], now.milliseconds(since: at) < limits.sameHeadMilliseconds { return .ignore }
            passedOn[author] = now
            return .accept
        case .newest:
            if passedOn.count > heads.limits.authorsMax { passedOn = [:] }
            passedOn[author] = NodeClock.now
            if let known = heads[author] { await compare(known) }
            return forks[author] == nil ? .accept : .ignore
        }
    }

    /// Holds a signed head of a size that is kept against what is kept.
    private func compare(_ known: KnownHeads.Known) async {
        guard let log = logs[known.origin], let note = SignedNote(bytes: known.note) else { return }
        if let fork = log.contradiction(by: note, known.note, known.head) { return await found(fork) }
        guard known.head.size > 0, known.head.size < log.tree.size, let shelf = LogShelf(log, in: store),
            let tree = try? await shelf.tree(of: known.head.size), tree.root != known.head.root,
            Checkpoint.verified(note, by: known.name.author.publicKey) != nil,
            let evidence = (try? await shelf.evidence(of: known.head.size)) ?? nil,
            let fork = LogFork(evidence, FollowedLog.signedAlone(note, known.name).bytes)
        else { return }
        await found(fork)
    }

    // MARK: Two histories

    private func heardFork(_ bytes: [UInt8], from peer: PeerID) async -> GossipVerdict {
        let fork: LogFork
        do throws(LogForkError) {
            fork = try LogFork(verifying: bytes)
        } catch {
            return await rejected(peer, "\(error)")
        }
        // Whoever makes keys and histories of them is heard by nobody who did not hear of those keys before.
        guard forks[fork.author] == nil, heads[fork.author] != nil || isOwnConcern(fork.author) else { return .ignore }
        await keep(fork)
        return .accept
    }

    /// Keeps a proof that was found here, and tells the mesh of it, once, whatever the disk has room for.
    func found(_ fork: LogFork) async {
        guard forks[fork.author] == nil else { return }
        await keep(fork)
        await tell(fork)
    }

    /// Tells one of the proofs again where a new listener may not have it.
    private func tellFork() async {
        let listeners = Set(await gossip.peers(of: Self.forksTopic))
        var generator = SystemRandomNumberGenerator()
        guard let fork = forks.next(for: listeners, now: NodeClock.now, using: &generator) else { return }
        await tell(fork)
    }

    private func tell(_ fork: LogFork) async {
        let message = MeshProtocolMessage.logFork(LogForkV1(proof: fork.bytes))
        guard let bytes = try? message.encoded() else { return }
        _ = try? await gossip.publish(bytes, topic: Self.forksTopic)
    }

    /// Whether a proof is about this node, about whom the owner names, to be followed or witnessed, or about whose log
    /// something is kept.
    private func isOwnConcern(_ author: DID) -> Bool {
        author == identity.did || newest[author] != nil || named.contains(author)
            || desk.witness.authors.contains(author)
    }

    /// Keeps a proof, if there is room.
    private func keep(_ fork: LogFork) async {
        let foundAt = NodeClock.wallClock
        let hasRoom = forks.keep(fork, foundAt: foundAt) { isOwnConcern($0) }
        let found = FoundFork(author: fork.author, proof: fork.cid, foundAt: foundAt, isKept: hasRoom)
        guard hasRoom else {
            await desk.witness.renounce(fork.author)
            return await onFork(found)
        }
        heads.forget(fork.author)
        await desk.witness.renounce(fork.author)
        await onFork(found)
        let row = LogForkRow(
            origin: fork.origin.text, author: fork.author.text, proof: fork.bytes, foundAt: foundAt.value)
        if fork.author == identity.did {
            logger.critical(
                """
                There are two histories of this node's own log, so others believe no more of it: a copy of its home or \
                of its key runs elsewhere, or did. mesh dag forks has the proof; docs/anchoring.md says what to do.
                """, metadata: ["where": "\(fork.place)"])
        } else {
            logger.warning(
                "An author told two histories of its log; mesh dag forks has the proof.",
                metadata: ["author": "\(fork.author)", "where": "\(fork.place)"])
        }
        do throws(MeshStoreError) {
            try await store.commit([.logFork(row)])
        } catch {
            logger.error("The proof of two histories is not on the disk.", metadata: ["reason": "\(error)"])
        }
    }

    // MARK: Fetching

    /// Fetches an author's log as far as it goes, and returns once that is over, whoever began it.
    func fetch(_ author: DID) async {
        if fetching[author] != nil {
            await withCheckedContinuation { fetching[author]?.append($0) }
            return
        }
        fetching[author] = []
        let size = log(of: author)?.tree.size ?? 0
        var obstacle: String? = "no connected node has the log"
        var isHeldAgainstAnother = false
        for peer in await sources(of: author) where !Task.isCancelled && forks[author] == nil {
            let end = await fetch(author, from: peer)
            switch end {
            case .all:
                givers[author] = peer
                // Somebody else may have what the newest head is about.
                obstacle = isNewer(heads[author], than: log(of: author)) ? "the newest entries were not to be had" : nil
            case .none(let reason): obstacle = obstacle == nil ? nil : reason
            case .full(let reason): obstacle = reason
            }
            if case .full = end { break }
            // Who is not the author may be behind, where nobody said how far the log is. Whoever it is, one more is
            // asked, whose head is held against that: an author may tell each of its readers another history.
            guard obstacle == nil, peer == author.peerID || heads[author] != nil else { continue }
            if isHeldAgainstAnother { break }
            isHeldAgainstAnother = true
        }
        let hasGrown = (log(of: author)?.tree.size ?? 0) > size
        turns.ended(author, obstacle: obstacle, hasGrown: hasGrown, now: NodeClock.now)
        for waiter in fetching.removeValue(forKey: author) ?? [] { waiter.resume() }
    }

    /// Whom to ask: the author, who gave the log last, and others that are connected.
    private func sources(of author: DID) async -> [PeerID] {
        let connected = await host.connectedPeers()
        var peers = connected.contains(author.peerID) ? [author.peerID] : []
        if let giver = givers[author], connected.contains(giver) { peers.append(giver) }
        peers += connected.shuffled()
        peers.append(author.peerID)
        var seen: Set<PeerID> = [identity.peerID]
        return Array(peers.filter { seen.insert($0).inserted }.prefix(limits.peersAskedMax))
    }

    private enum End: Sendable {
        /// The peer has no more.
        case all
        /// The peer gave nothing, or something that is not taken.
        case none(String)
        /// Nothing more is taken of the author.
        case full(String)
    }

    private func fetch(_ author: DID, from peer: PeerID) async -> End {
        var begunAgain = 0
        let begunAt = NodeClock.now
        while !Task.isCancelled {
            guard NodeClock.now.milliseconds(since: begunAt) < limits.turnMilliseconds else {
                return .none("the rest comes with its next turn")
            }
            let room = share.room(of: author, isNamed: named.contains(author))
            guard !room.isNone else { return .full("the room for its log is used up") }
            let log = log(of: author)
            let request = LogRangeRequest(
                author: author, origin: log?.origin.text, start: log?.tree.size ?? 0,
                entriesMax: min(limits.range.entriesPerRangeMax, room.entries),
                entryBytesMax: min(limits.range.entryBytesPerRangeMax, room.bytes))
            do {
                let range = try await exchange.range(request, from: peer)
                switch try await Self.taken(range, log, request, room, limits.range) {
                case .nothingNew:
                    // A signed head of before may be of another history.
                    if let known = KnownHeads.Known(verifying: range.note) { await compare(known) }
                    return forks[author] == nil ? .all : .full("it told two histories")
                case .begunAgain(let origin):
                    begunAgain += 1
                    let count = logs.values.count { $0.name.author == author }
                    guard begunAgain == 1, count < limits.share.logsPerAuthorMax,
                        let again = FollowedLog(origin: origin)
                    else { return .full("it began again too often") }
                    put(again)
                case .grown(let log, let batch):
                    try await keep(log, batch)
                    if log.isComplete { return .all }
                }
            } catch LogExchange.Failure.none(let reason) {
                return .none(reason)
            } catch LogExchange.Failure.malformed {
                await blame(peer, "log: a range that does not read")
                return .none("a node answered nonsense")
            } catch LogRangeFault.fork(let fork) {
                await found(fork)
                return .full("it told two histories")
            } catch LogRangeFault.author(let what) {
                return .full(what)
            } catch LogRangeFault.giver(let what) {
                await blame(peer, "log: \(what)")
                return .none(what)
            } catch {
                return .full("\(error)")
            }
        }
        return .none("the node stops")
    }

    /// Looks at a range, away from the actor: that takes a signature an entry.
    private nonisolated static func taken(
        _ range: LogRange, _ log: FollowedLog?, _ request: LogRangeRequest, _ room: FollowedShare.Amount,
        _ limits: FollowedLog.Limits
    ) async throws -> FollowedLog.Taken {
        guard let note = SignedNote(bytes: range.note), let checkpoint = Checkpoint(text: note.text),
            let log = log ?? FollowedLog(origin: checkpoint.origin), log.name.author == request.author
        else { throw LogRangeFault.giver("its head is of no log, or of another's") }
        let taken = try log.taking(range, asked: request, limits: limits)
        // One entry may come although it is longer than what was asked for, and not longer than what there is room for.
        if case .grown(_, let batch) = taken, batch.entries.reduce(0, { $0 + UInt64($1.bytes.count) }) > room.bytes {
            throw LogRangeFault.author("the room for its log is used up")
        }
        return taken
    }

    private func keep(_ log: FollowedLog, _ batch: LogBatch) async throws(MeshStoreError) {
        let entries = batch.entries.enumerated().map { index, entry in
            FollowedEntry(number: batch.start + UInt64(index), entry: entry.cid, bytes: entry.bytes)
        }
        try await store.commit([
            .followed(
                FollowedBatch(
                    origin: batch.origin, author: batch.author.text, byteCount: log.byteCount, note: batch.note,
                    lastHashes: batch.lastHashes, entries: entries, hashes: batch.hashes))
        ])
        share.add(
            .init(
                entries: UInt64(batch.entries.count), bytes: batch.entries.reduce(0) { $0 + UInt64($1.bytes.count) }),
            of: batch.author)
        put(log)
        if let head = log.lastEntry { await onKept(batch.author, head) }
    }

    /// Whether an author's log is being fetched.
    func isFetching(_ author: DID) -> Bool { fetching[author] != nil }

    /// What keeps an author's log from being kept; nil if nothing does.
    func obstacle(of author: DID) -> String? { turns.obstacle(of: author) }

    // MARK: Serving

    /// The range that a peer asked for; nil if it gets none now.
    private func answer(_ request: LogRangeRequest, to peer: PeerID) async -> LogRange? {
        guard servedNow < limits.servedAtOnceMax, rangeRates.take(peer, now: NodeClock.now) else { return nil }
        servedNow += 1
        defer { servedNow -= 1 }
        do {
            if request.author == identity.did {
                return try await LogShelf(own: desk).range(request, limits: limits.range)
            }
            guard let log = log(of: request.author), let shelf = LogShelf(log, in: store) else { return nil }
            return try await shelf.range(request, limits: limits.range)
        } catch {
            return nil
        }
    }
}
