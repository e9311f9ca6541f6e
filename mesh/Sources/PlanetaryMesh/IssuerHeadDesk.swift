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
    private var rates: PeerRates
    private var admits: @Sendable (PeerID) async -> Bool = { _ in true }
    private var blame: @Sendable (PeerID, String) async -> Void = { _, _ in }
    private var onConvicted: @Sendable (DID) async -> Void = { _ in }
    private var onCount: @Sendable (String) -> Void = { _ in }
    /// Issuers of two histories that the market was told of, and when the proof was told to others.
    // BOUNDED: by `HeardHeads.Limits.issuersMax`.
    private var convicted: [DID: MonotonicInstant] = [:]

    init(
        member: MemberDesk, gossip: GossipService, settings: RunningSettings, logger: Logger,
        limits: Limits = Limits()
    ) {
        (self.member, self.gossip, self.settings, self.logger) = (member, gossip, settings, logger)
        (self.limits, heads) = (limits, HeardHeads(limits: limits.heads))
        rates = PeerRates(perSecond: limits.headsPerSecondMax, burst: limits.headsBurstMax)
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
        while (try? await Task.sleep(for: .milliseconds(limits.lookMilliseconds))) != nil {
            await look()
        }
    }

    private func look() async {
        guard let known = try? await member.all() else { return }
        let named = settings.configuration.executor.trustedIssuers.map(\.issuerDID)
        let lined = known.filter { !$0.lines.isEmpty }.map(\.charter.did)
        let (new, gone) = heads.follow(named + lined, now: NodeClock.now)
        for did in gone {
            convicted[did] = nil
            await gossip.unsubscribe(MeshTopics.issuerHeads(of: did))
        }
        for did in new {
            // The validator takes in what it accepts.
            _ = try? await gossip.subscribe(MeshTopics.issuerHeads(of: did)) { [weak self] message in
                await self?.judge(message, of: did) ?? .ignore
            }
        }
        for issuer in known where heads.followed.contains(issuer.charter.did) {
            if issuer.fault.isEmpty { await tell(issuer) } else { await tellProof(issuer) }
        }
        for did in heads.followed { await compare(did) }
    }

    // MARK: Telling

    private func tell(_ issuer: KnownIssuer) async {
        let (did, topic) = (issuer.charter.did, MeshTopics.issuerHeads(of: issuer.charter.did))
        guard issuer.head.size > 0, await !gossip.peers(of: topic).isEmpty,
            heads.tells(issuer.head.size, of: did, now: NodeClock.now)
        else { return }
        await publish(issuer.note, topic)
    }

    /// Tells the two heads one after the other: together they are the proof for whoever hears both.
    private func tellProof(_ issuer: KnownIssuer) async {
        let (did, topic, now) = (issuer.charter.did, MeshTopics.issuerHeads(of: issuer.charter.did), NodeClock.now)
        if let at = convicted[did], now.milliseconds(since: at) < limits.proofMilliseconds { return }
        if convicted[did] == nil { await onConvicted(did) }
        convicted[did] = now
        for note in issuer.fault { await publish(note, topic) }
    }

    private func publish(_ note: SignedNote, _ topic: String) async {
        var note = note
        while note.signatures.count > 1, note.bytes.count > limits.noteBytesMax { note.signatures.removeLast() }
        guard let bytes = try? MeshProtocolMessage.logHead(LogHeadV1(note: note.bytes)).encoded() else { return }
        // Where gossip takes nothing now, it is told again later.
        _ = try? await gossip.publish(bytes, topic: topic)
    }

    // MARK: Hearing

    /// Judges a head before it is forwarded, and takes in a good one.
    func judge(_ message: GossipMessage, of did: DID) async -> GossipVerdict {
        let author = message.source
        guard author != member.identity.peerID else { return .accept }
        guard await admits(author), rates.take(author, now: NodeClock.now) else { return .ignore }
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
            let tree = KnownIssuer.head(of: note, by: did)
        else { return await rejected(author, "a head that the issuer of its topic did not sign") }
        onCount("issuer_heads_heard")
        guard let known = try? await member.known(did) else { return .accept }
        let head = HeardHeads.Head(note: note, tree: tree)
        switch heads.heard(head, of: did, known: known.head, now: NodeClock.now) {
        case .nothing:
            if head.contradicts(known.head) { await convict(known, note) }
        case .twoHistories(let other):
            var shown = known
            (shown.note, shown.head) = (other.note, other.tree)
            await convict(shown, note)
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
    private func compare(_ did: DID) async {
        guard let head = heads.toCompare(of: did, now: NodeClock.now) else { return }
        switch await HeadStanding.of(head.note, head.tree, at: did, by: member) {
        case .same: break
        case .ahead, .unknown:
            return logger.debug("A head of an issuer is not compared yet.", metadata: ["issuer": "\(did)"])
        case .other:
            logger.warning(
                "An issuer does not prove that its log goes on from a head that it signed.",
                metadata: ["issuer": "\(did)", "size": "\(head.tree.size)"])
        case .convicted: await conclude(did)
        }
        onCount("issuer_heads_compared")
        heads.compared(of: did, now: NodeClock.now)
    }

    /// Tells whoever has to know that an issuer told two histories, the first time.
    private func conclude(_ did: DID) async {
        guard convicted[did] == nil, let issuer = try? await member.convicted(did) else { return }
        logger.error("An issuer told two histories.", metadata: ["issuer": "\(did)"])
        await tellProof(issuer)
    }
}
