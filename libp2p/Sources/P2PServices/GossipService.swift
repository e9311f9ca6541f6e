import Determinism
import Foundation
public import GossipSub
public import LibP2P
public import Logging
public import Multiformats
import NIOCore
public import PeerIdentity

/// GossipSub over the streams of a host: the shell around the core `GossipSubRouter`.
///
/// It serves `/meshsub/1.1.0`, `/meshsub/1.0.0` and `/floodsub/1.0.0`, and keeps one outbound stream and one writing
/// task per peer. The topic's validator validates messages before they are forwarded, at most
/// `Limits.validationsPerStreamMax` at a time for each inbound stream: a peer that sends more waits, by the flow
/// control of its stream. Subscribers get messages through a stream of `subscriptionMessagesMax`; a slow one loses the
/// *oldest*, because gossip ages. `OutgoingQueue` says what a slow peer loses.
///
/// `run` must be running; it owns every task of the service.
public actor GossipService: Service {
    /// The application's verdict on a message. It may wait, but should end within the router's
    /// `validationMilliseconds`, after which the message counts as ignored.
    public typealias Validator = @Sendable (GossipMessage) async -> GossipVerdict

    /// The service's bounds; the protocol's are in `GossipSubRouter.Limits`.
    public struct Limits: Sendable {
        /// Bounds of the protocol.
        public var core = GossipSubRouter.Limits()
        /// Messages that wait for a subscriber; the oldest is dropped for one more.
        public var subscriptionMessagesMax = 1_024
        /// Messages of one inbound stream whose validators run at the same time.
        public var validationsPerStreamMax = 32
        /// Inbound streams per peer; a further one is reset.
        public var inboundStreamsPerPeerMax = 2
        /// How long a stream to a peer has to last for the next attempt to count as a first one.
        public var steadyStreamMilliseconds: Int64 = 30_000
        /// Failed attempts in a row to open a stream to a connected peer before the service leaves it alone until it
        /// connects anew.
        public var openAttemptsMax = 4
        /// The pause before the first attempt is repeated, halved; it doubles with each failure.
        public var reopenMilliseconds: Int64 = 50
        /// Bytes after which a write takes no further waiting frame; one write joins many, because each costs a
        /// wake-up.
        public var batchBytesMax = 131_072

        /// The defaults.
        public init() {}
    }

    struct Subscription {
        let validator: Validator
        let messages: AsyncStream<GossipMessage>.Continuation
    }

    struct Peer {
        let outlet: GossipOutlet
        /// Whether the hello is queued or sent.
        var isGreeted = false
    }

    /// A message that waits for its validator.
    struct Validation: Sendable {
        let message: GossipMessage
        let validator: Validator
    }

    let host: any StreamHost
    let logger: Logger
    let limits: Limits
    private let identity: Identity
    var core: GossipSubRouter
    var peers: [PeerID: Peer] = [:]
    var subscriptions: [ExactText: Subscription] = [:]
    /// Messages dropped because a subscriber was slow.
    private(set) var undelivered: UInt64 = 0
    /// The outlets whose writers have to be started.
    let jobs: JobQueue<GossipOutlet>
    var alarm = DeadlineAlarm()
    var inbound: InboundStreams
    /// What happened to streams at the service's limits.
    public internal(set) var streamCounters = ServiceStreamCounters()

    /// A service that does nothing until `run`.
    public init(
        host: any StreamHost, parameters: GossipSubParameters = .init(), limits: Limits = .init(),
        identity: Identity, logger: Logger
    ) {
        self.host = host
        self.identity = identity
        self.logger = logger
        self.limits = limits
        // The wall clock, so that numbers grow across restarts.
        let nanoseconds = UInt64(max(0, Date().timeIntervalSince1970 * 1e9))
        core = GossipSubRouter(
            localPeer: identity.peerID, parameters: parameters, limits: limits.core, firstSequenceNumber: nanoseconds,
            seed: UInt64.random(in: .min ... .max), now: SwarmClock.now)
        jobs = JobQueue(waitingMax: limits.core.peersMax)
        inbound = InboundStreams(
            perPeerMax: limits.inboundStreamsPerPeerMax,
            inAllMax: limits.core.peersMax * limits.inboundStreamsPerPeerMax)
    }

    /// Serves until the task is cancelled; then subscriptions end.
    public func run() async {
        let events = await host.peerEvents()
        for version in GossipSubVersion.allCases.reversed() {
            await host.handle(version.protocolID) { [weak self] stream in await self?.serve(stream) }
        }
        await drive(following: events)
        for subscription in subscriptions.values { subscription.messages.finish() }
        subscriptions = [:]
    }

    // MARK: The application's side

    /// Joins a topic. A topic has one subscription: a second one replaces it, and the first one's stream ends.
    public func subscribe(
        _ topic: String, validator: @escaping Validator
    ) throws(SubscribeRefusal) -> AsyncStream<GossipMessage> {
        let actions = try core.subscribe(topic, now: SwarmClock.now)
        let (stream, continuation) = AsyncStream.makeStream(
            of: GossipMessage.self, bufferingPolicy: .bufferingNewest(limits.subscriptionMessagesMax))
        subscriptions.updateValue(Subscription(validator: validator, messages: continuation), forKey: ExactText(topic))?
            .messages.finish()
        carryOut(actions)
        return stream
    }

    /// Leaves a topic; its stream ends.
    public func unsubscribe(_ topic: String) {
        subscriptions.removeValue(forKey: ExactText(topic))?.messages.finish()
        carryOut(core.unsubscribe(topic, now: SwarmClock.now))
    }

    /// Signs and publishes a message; this node need not be subscribed, and its own subscription does not get the
    /// message.
    @discardableResult
    public func publish(_ data: [UInt8], topic: String) throws(PublishRefusal) -> MessageID {
        let (id, actions) = try core.publish(data, topic: topic, identity: identity, now: SwarmClock.now)
        carryOut(actions)
        return id
    }

    /// The peers in the mesh of a topic.
    public func meshPeers(_ topic: String) -> [PeerID] { core.meshPeers(topic) }

    /// The peers known to subscribe to a topic.
    public func peers(of topic: String) -> [PeerID] { core.peers(of: topic) }

    /// The topics that this node follows, in the order in which it joined them.
    package var topics: [String] { core.topics }

    /// What the router has seen and done.
    public var counters: GossipSubCounters { core.counters }

    /// How full the router's tables are.
    public var occupancy: GossipSubOccupancy { core.occupancy }

    /// The record of a peer's behaviour.
    public func scoreRecord(of peer: PeerID) -> PeerScoring.Record? { core.scoring.record(of: peer) }

    /// A peer's score: zero for flawless behaviour, negative otherwise.
    public func score(of peer: PeerID) -> Double { core.scoring.score(of: peer) }

    /// Messages dropped because a subscriber was slow, and because peers were.
    public var droppedMessages: (subscribers: UInt64, peers: UInt64) {
        (undelivered, peers.values.reduce(0) { $0 + $1.outlet.droppedMessages })
    }

    // MARK: Actions

    /// Carries out actions; returns the messages to validate, and whether to reset the sender's stream.
    @discardableResult
    func carryOut(_ actions: [GossipSubAction]) -> (validations: [Validation], resets: Bool) {
        var validations: [Validation] = []
        var resets = false
        for action in actions {
            switch action {
            case .send(let rpc, let recipients): send(rpc, to: recipients)
            case .validate(let message, _):
                if let validator = subscriptions[ExactText(message.topic)]?.validator {
                    validations.append(Validation(message: message, validator: validator))
                } else {
                    carryOut(core.validated(message.id, .ignore, now: SwarmClock.now))
                }
            case .deliver(let message):
                if case .dropped? = subscriptions[ExactText(message.topic)]?.messages.yield(message) {
                    undelivered += 1
                }
            case .resetStream(let peer, let error):
                logger.debug("gossip: refused an RPC", metadata: ["peer": "\(peer)", "reason": "\(error)"])
                resets = true
            }
        }
        return (validations, resets)
    }

    private func send(_ rpc: GossipSubRPC, to recipients: [PeerID]) {
        let bytes = GossipSubCodec.encode(rpc)
        var frame = ByteBuffer()
        frame.reserveCapacity(bytes.count + 9)
        frame.writeBytes(Varint.encode(UInt64(bytes.count)))
        frame.writeBytes(bytes)
        let isControl = rpc.messages.isEmpty
        for recipient in recipients {
            guard let outlet = peers[recipient]?.outlet else { continue }
            if outlet.append(frame, isControl: isControl) == .overflow {
                // The peer does not read at all, and what it missed cannot be sent later in part.
                logger.debug("gossip: a peer reads nothing", metadata: ["peer": "\(recipient)"])
                gone(recipient)
            }
        }
    }

    // MARK: Time

    func carryOutDue(_ actions: [GossipSubAction]) { carryOut(actions) }
}
