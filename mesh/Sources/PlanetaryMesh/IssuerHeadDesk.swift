import Determinism
import GossipSub
import JobMarket
import LibP2P
import Logging
import MerkleLog
import MeshTypes
import Multiformats
import NodeCore
import NodeSetup
import P2PServices
import PeerIdentity
import SignedObjects

/// Tells the heads that issuers showed this node, and holds those that others tell against them, so that an issuer
/// that shows two members two logs is found out by both (PROTOCOL.md, "Heads of issuers").
///
/// Each issuer has a topic of its own, so that only those hear of it who know it.
actor IssuerHeadDesk {
    /// Every bound of it.
    struct Limits: Sendable {
        /// How often it looks for what is due, in milliseconds.
        var lookMilliseconds: Int64 = 1_000
        /// Bytes of a head with its signatures, as with logs.
        var noteBytesMax = 8_192
        /// Heads of one peer that are judged in a second.
        var headsPerSecondMax = 1
        /// Heads of one peer that are judged at once.
        var headsBurstMax = 8
        /// How often the proof of two histories is told, in milliseconds.
        var proofMilliseconds: Int64 = 600_000
        /// Issuers whose heads are compared at the same time.
        var comparedAtOnceMax = 4
        /// What is remembered of heads.
        var heads = HeardHeads.Limits()

        /// The defaults.
        init() {}
    }

    private let member: MemberDesk
    private let gossip: GossipService
    private let settings: RunningSettings
    private let logger: Logger
    private let limits: Limits
    private var heads: HeardHeads
    // BOUNDED: by the issuers that are followed, as are those who listen and those that are compared.
    private var rates: [DID: PeerRates] = [:]
    private var listeners: [DID: Set<PeerID>] = [:]
    private var compared: Set<DID> = []
    private var admits: @Sendable (PeerID) async -> Bool = { _ in true }
    private var blame: @Sendable (PeerID, String) async -> Void = { _, _ in }
    private var onConvicted: @Sendable (DID) async -> Void = { _ in }
    private var onCount: @Sendable (String) -> Void = { _ in }
    /// Issuers of two histories that the market was told of.
    // BOUNDED: by `MemberDesk.Limits.issuersMax`.
    private var convicted: Set<DID> = []
    /// When the proof of each was told to others.
    // BOUNDED: like `convicted`.
    private var toldAt: [DID: MonotonicInstant] = [:]

    init(
        member: MemberDesk, gossip: GossipService, settings: RunningSettings, logger: Logger,
        limits: Limits = Limits()
    ) {
        (self.member, self.gossip, self.settings, self.logger) = (member, gossip, settings, logger)
        (self.limits, heads) = (limits, HeardHeads(limits: limits.heads))
    }

    /// Sets who is listened to, and who hears what comes of it.
    ///
    /// - Parameters:
    ///   - admits: whether to listen to a peer at all.
    ///   - blame: receives who broke the protocol, and how.
    ///   - onConvicted: receives an issuer that told two histories, once.
    ///   - onCount: receives the names of what is counted.
    func begin(
        admitting admits: @escaping @Sendable (PeerID) async -> Bool,
        blame: @escaping @Sendable (PeerID, String) async -> Void,
        onConvicted: @escaping @Sendable (DID) async -> Void, onCount: @escaping @Sendable (String) -> Void = { _ in }
    ) {
        (self.admits, self.blame, self.onConvicted, self.onCount) = (admits, blame, onConvicted, onCount)
    }

    /// The same for a node, whose market forgets what such an issuer booked.
    func begin(
        for node: MeshNode, admitting admits: @escaping @Sendable (PeerID) async -> Bool,
        blame: @escaping @Sendable (PeerID, String) async -> Void
    ) {
        begin(admitting: admits, blame: blame) { [weak node] issuer in
            await node?.take(.fact(.issuerConvicted(issuer)))
        } onCount: { [tallies = node.parts.tallies] in
            tallies.add($0)
        }
    }

    /// Listens, tells and compares, until the task is cancelled.
    func run() async {
        await withDiscardingTaskGroup { group in
            while (try? await Task.sleep(for: .milliseconds(limits.lookMilliseconds))) != nil {
                for (head, issuer) in await look() {
                    group.addTask { await self.compare(head, of: issuer) }
                }
            }
        }
    }

    /// Tells what is due, and returns what is to be compared.
    func look() async -> [(HeardHeads.Head, of: DID)] {
        guard let known = try? await member.all() else { return [] }
        for issuer in known where !issuer.fault.isEmpty { await tellMarket(of: issuer.charter.did) }
        let named = settings.configuration.executor.trustedIssuers.map(\.issuerDID)
        let lined = known.filter { !$0.lines.isEmpty || !$0.fault.isEmpty }.map(\.charter.did)
        await follow(named + lined)
        var due: [(HeardHeads.Head, of: DID)] = []
        for issuer in known where heads.followed.contains(issuer.charter.did) {
            let did = issuer.charter.did
            guard issuer.fault.isEmpty else {
                await tellProof(issuer)
                continue
            }
            await tell(issuer)
            guard compared.count < limits.comparedAtOnceMax, !compared.contains(did),
                let head = heads.toCompare(of: did, known: issuer.head, now: NodeClock.now)
            else { continue }
            compared.insert(did)
            due.append((head, did))
        }
        return due
    }

    private func follow(_ issuers: [DID]) async {
        let (new, gone) = heads.follow(issuers, now: NodeClock.now)
        for did in gone {
            (rates[did], listeners[did], toldAt[did]) = (nil, nil, nil)
            await gossip.unsubscribe(MeshTopics.issuerHeads(of: did))
        }
        for did in new {
            rates[did] = PeerRates(perSecond: limits.headsPerSecondMax, burst: limits.headsBurstMax)
            do {
                // The validator takes in what it accepts.
                _ = try await gossip.subscribe(MeshTopics.issuerHeads(of: did)) { [weak self] message in
                    await self?.judge(message, of: did) ?? .ignore
                }
            } catch {
                // It is tried again at the next look.
                heads.leave(did)
            }
        }
    }

    // MARK: Telling

    private func tell(_ issuer: KnownIssuer) async {
        let (did, topic) = (issuer.charter.did, MeshTopics.issuerHeads(of: issuer.charter.did))
        let now = Set(await gossip.peers(of: topic))
        guard issuer.head.size > 0, !now.isEmpty,
            heads.tells(
                issuer.head.size, of: did, hasNewcomers: !now.isSubset(of: listeners[did] ?? []), now: NodeClock.now)
        else { return }
        listeners[did] = now
        await publish(issuer.note, of: did)
    }

    /// Tells the two heads one after the other: together they are the proof for whoever hears both.
    private func tellProof(_ issuer: KnownIssuer) async {
        let (did, now) = (issuer.charter.did, NodeClock.now)
        if let at = toldAt[did], now.milliseconds(since: at) < limits.proofMilliseconds { return }
        guard await !gossip.peers(of: MeshTopics.issuerHeads(of: did)).isEmpty else { return }
        toldAt[did] = now
        for note in issuer.fault { await publish(note, of: did) }
    }

    /// Publishes a head with its issuer's signature alone: what others put under it is theirs to tell.
    private func publish(_ note: SignedNote, of issuer: DID) async {
        guard let alone = KnownIssuer.alone(note, by: issuer),
            let bytes = try? MeshProtocolMessage.logHead(LogHeadV1(note: alone.bytes)).encoded()
        else { return }
        // Where gossip takes nothing now, it is told again later.
        _ = try? await gossip.publish(bytes, topic: MeshTopics.issuerHeads(of: issuer))
    }

    /// Tells the market of an issuer of two histories, the first time.
    private func tellMarket(of issuer: DID) async {
        guard convicted.insert(issuer).inserted else { return }
        logger.error("An issuer told two histories.", metadata: ["issuer": "\(issuer)"])
        await onConvicted(issuer)
    }

    // MARK: Hearing

    /// Judges a head before it is forwarded, and takes in a good one.
    func judge(_ message: GossipMessage, of did: DID) async -> GossipVerdict {
        let author = message.source
        guard author != member.identity.peerID else { return .accept }
        guard await admits(author), rates[did]?.take(author, now: NodeClock.now) == true else { return .ignore }
        let told: LogHeadV1
        do {
            guard
                case .logHead(let head) = try MeshProtocolMessage.decode(
                    message.data, bytesMax: MeshProtocolMessage.Limits().gossipBytesMax)
            else { return await rejected(author, "a message that is no head") }
            told = head
        } catch MeshMessageError.unknownVariant {
            return .ignore
        } catch {
            return await rejected(author, "a message that does not read")
        }
        guard told.note.count <= limits.noteBytesMax, let note = SignedNote(bytes: told.note),
            let alone = KnownIssuer.alone(note, by: did), let tree = KnownIssuer.head(of: alone, by: did)
        else { return await rejected(author, "a head that the issuer of its topic did not sign") }
        onCount("issuer_heads_heard")
        let known = try? await member.known(did)
        let head = HeardHeads.Head(note: alone, tree: tree)
        // Of one that this node never met every head is beyond what it knows.
        let finding = heads.heard(head, of: did, known: known?.head ?? TreeHead(MerkleTree()), now: NodeClock.now)
        if case .again = finding { return .ignore }
        guard var shown = known, shown.fault.isEmpty else { return .accept }
        if head.contradicts(shown.head) {
            await convict(shown, alone)
        } else if case .twoHistories(let other) = finding {
            (shown.note, shown.head) = (other.note, other.tree)
            await convict(shown, alone)
        }
        return .accept
    }

    private func rejected(_ author: PeerID, _ reason: String) async -> GossipVerdict {
        await blame(author, "gossip: \(reason)")
        return .reject
    }

    private func convict(_ issuer: KnownIssuer, _ note: SignedNote) async {
        guard issuer.fault.isEmpty else { return }
        _ = try? await member.convict(issuer, note)
        await conclude(issuer.charter.did)
    }

    /// Holds a head against the log that the issuer shows this node.
    private func compare(_ head: HeardHeads.Head, of did: DID) async {
        defer { compared.remove(did) }
        let standing = await HeadStanding.of(head.note, head.tree, at: did, by: member)
        onCount("issuer_heads_compared")
        let metadata: Logger.Metadata = ["issuer": "\(did)", "size": "\(head.tree.size)"]
        switch standing {
        case .same: heads.isSame(head, of: did, now: NodeClock.now)
        case .unknown: logger.debug("A head of an issuer cannot be compared now.", metadata: metadata)
        case .ahead:
            heads.isApart(head, of: did, now: NodeClock.now)
            logger.info("An issuer signed a head of more entries than it shows here.", metadata: metadata)
        case .other:
            heads.isApart(head, of: did, now: NodeClock.now)
            await member.doubt(did)
            logger.warning(
                "An issuer does not prove that its log goes on from a head that it signed, and is not believed.",
                metadata: metadata)
        case .convicted: await conclude(did)
        }
    }

    private func conclude(_ did: DID) async {
        guard let issuer = try? await member.convicted(did) else { return }
        await tellMarket(of: did)
        await tellProof(issuer)
    }
}
