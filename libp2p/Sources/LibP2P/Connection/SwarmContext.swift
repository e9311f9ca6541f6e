import Determinism
import Foundation
import Identify
import Logging
import Multiformats
import NIOConcurrencyHelpers
import NIOCore
import Noise
import OrderedCollections
import PeerIdentity

/// A registered handler of inbound streams.
typealias InboundHandler = @Sendable (any PeerStream, Connection) async -> Void

/// The work that the swarm's `run` does in child tasks.
enum SwarmWork: Sendable {
    case serve(BufferedStream, Connection, InboundHandler)
    case identify(Connection)
    case dial(PeerID, [Multiaddr])
    case cancelDial(PeerID, waiter: UInt64)
    case push(Connection)
}

/// What event loops and the swarm's tasks share: limits, registered protocols, counters, and the ways to the swarm.
final class SwarmContext: Sendable {
    private struct Entry: Sendable {
        let streamsPerPeerMax: Int
        let handler: InboundHandler
    }

    private struct Protocols: Sendable {
        var handlers: OrderedDictionary<String, Entry> = [:]
        var names: [String] = []
    }

    let configuration: SwarmConfiguration
    let identity: Identity
    let logger: Logger
    let events = PeerEventHub()
    let budget: ByteBudget
    let work: AsyncStream<SwarmWork>
    private let workInput: AsyncStream<SwarmWork>.Continuation
    private let protocols = NIOLockedValueBox(Protocols())
    private let registry: NIOLockedValueBox<ConnectionRegistry>
    private let announced = NIOLockedValueBox<[Multiaddr]>([])
    private let counters = NIOLockedValueBox<[SwarmCounter: Int]>([:])
    private let signed = NIOLockedValueBox<NoiseCredentials?>(nil)
    private let doubles = NIOLockedValueBox<OwnKeySighting?>(nil)

    init(configuration: SwarmConfiguration, identity: Identity, logger: Logger) {
        self.configuration = configuration
        self.identity = identity
        self.logger = logger
        let limits = configuration.limits
        budget = ByteBudget(
            limits: ByteLedger.Limits(
                connectionBytesMax: limits.heldBytesPerConnectionMax, peerBytesMax: limits.heldBytesPerPeerMax,
                totalBytesMax: limits.heldBytesMax))
        registry = NIOLockedValueBox(ConnectionRegistry(limits: configuration.limits))
        (work, workInput) = AsyncStream.makeStream(
            bufferingPolicy: .bufferingOldest(configuration.limits.queuedWorkMax))
        budget.onShortage { [weak self] in
            guard let self else { return }
            let fair = budget.withLedger { $0.fairBytes }
            for connection in withRegistry({ $0.allConnections }) { connection.giveUp(above: fair) }
        }
    }

    var limits: SwarmConfiguration.Limits { configuration.limits }
    var localPeer: PeerID { identity.peerID }

    func count(_ counter: SwarmCounter) {
        counters.withLockedValue { $0[counter, default: 0] += 1 }
    }

    var counts: [SwarmCounter: Int] {
        var counts = counters.withLockedValue { $0 }
        let lost = events.lostEvents
        if lost > 0 { counts[.peerEventsLost] = lost }
        return counts
    }

    func withRegistry<Value: Sendable>(_ body: (inout ConnectionRegistry) -> Value) -> Value {
        registry.withLockedValue(body)
    }

    /// The proof of identity for all handshakes, made with the first: saves each a key and a signature.
    func credentials() throws(UpgradeError) -> NoiseCredentials {
        if let made = signed.withLockedValue({ $0 }) { return made }
        do throws(NoiseError) {
            let made = try ConnectionUpgrade.credentials(of: identity)
            signed.withLockedValue { $0 = made }
            return made
        } catch {
            throw .noise(error)
        }
    }

    /// The last time that another process proved to have this node's key.
    var ownKeyElsewhere: OwnKeySighting? { doubles.withLockedValue { $0 } }

    /// A handshake proved that its other end has this node's identity: this process itself, which knows its Noise key,
    /// or another one. Nobody without the identity's key gets here.
    func metOwnKey(staticKey: [UInt8], at address: Multiaddr) {
        guard let own = signed.withLockedValue({ $0 }), own.staticPublicKey != staticKey else { return }
        count(.ownKeyElsewhere)
        doubles.withLockedValue { $0 = OwnKeySighting(address: address, at: SwarmClock.now) }
    }

    // MARK: Work

    /// Gives work to `run`; `false` when too much waits (counted) or the swarm has stopped.
    func enqueue(_ work: SwarmWork) -> Bool {
        switch workInput.yield(work) {
        case .enqueued: return true
        case .dropped:
            count(.refusedQueuedWork)
            return false
        default: return false
        }
    }

    func stop() {
        workInput.finish()
        events.finish()
        // A protocol's handler holds the swarm that it serves on.
        protocols.withLockedValue { $0 = Protocols() }
    }

    // MARK: Protocols

    var protocolNames: [String] { protocols.withLockedValue { $0.names } }

    /// Registers a protocol; serves at most this many streams of one peer at once, by default the bound for any
    /// protocol.
    func register(_ name: String, streamsPerPeerMax: Int? = nil, _ handler: @escaping InboundHandler) {
        let streamsMax = streamsPerPeerMax ?? limits.streamsPerProtocolPerPeerMax
        protocols.withLockedValue { protocols in
            protocols.handlers[name] = Entry(streamsPerPeerMax: streamsMax, handler: handler)
            protocols.names = Array(protocols.handlers.keys)
        }
    }

    /// Hands an inbound stream to the handler of its agreed protocol; `false` when a limit is reached.
    func accept(_ stream: BufferedStream, on connection: Connection) -> Bool {
        let protocolID = stream.protocolID
        guard let entry = protocols.withLockedValue({ $0.handlers[protocolID] }) else { return false }
        let full = withRegistry {
            $0.takeHandlerSlot(connection.remotePeer, of: protocolID, atMost: entry.streamsPerPeerMax)
        }
        if let full {
            count(full)
            return false
        }
        if enqueue(.serve(stream, connection, entry.handler)) { return true }
        withRegistry { $0.returnHandlerSlot(connection.remotePeer, of: protocolID) }
        return false
    }

    // MARK: Identity

    /// Sets the addresses that identify announces; returns whether they changed.
    func announce(_ addresses: [Multiaddr]) -> Bool {
        let told = Array(InterfaceAddresses.tellable(addresses).prefix(IdentifyMessage.addressesMax))
        return announced.withLockedValue { announced in
            defer { announced = told }
            return announced != told
        }
    }

    /// The addresses that identify announces.
    var announcedAddresses: [Multiaddr] { announced.withLockedValue { $0 } }

    /// This node's identify message on a connection. The record's sequence is the time, so that it grows across
    /// restarts.
    func ownIdentity(observed: Multiaddr?) -> IdentifyMessage {
        let addresses = announcedAddresses
        var message = IdentifyMessage()
        message.publicKey = identity.publicKey.protobuf
        message.listenAddresses = addresses
        message.protocols = protocolNames
        message.observedAddress = observed
        message.protocolVersion = configuration.protocolVersion
        message.agentVersion = configuration.agentVersion
        let sequence = UInt64(max(0, Date().timeIntervalSince1970 * 1_000))
        let record = PeerRecord(peerID: localPeer, sequence: sequence, addresses: addresses)
        message.signedPeerRecord = try? record.signed(with: identity).bytes
        return message
    }

    // MARK: Connections

    func admitOutbound() -> Result<ConnectionTicket, ConnectionRefusal> {
        let result = withRegistry { $0.admitOutbound() }
        if case .failure(let refusal) = result { count(refusal.counter) }
        return result
    }

    /// Reserves a place for an accepted connection; closes the handshake that it displaces.
    func admitInbound(
        _ channel: any Channel, from address: Multiaddr?
    ) -> Result<ConnectionTicket, ConnectionRefusal> {
        let (result, displaced) = withRegistry { $0.admitInbound(channel, from: address) }
        if case .failure(let refusal) = result { count(refusal.counter) }
        if let displaced {
            count(.displacedPendingInbound)
            displaced.pipeline.fireUserInboundEventTriggered(HandshakeDisplaced())
        }
        return result
    }

    /// Enters a connection after its handshake; returns the number of connections to the peer, or the reason for
    /// refusing it.
    func establish(_ connection: Connection) -> Result<Int, ConnectionRefusal> {
        guard connection.remotePeer != localPeer else {
            count(.refusedSelf)
            return .failure(ConnectionRefusal(counter: .refusedSelf))
        }
        // Events go out under the lock, or `connected` and `disconnected` could overtake each other.
        let result = registry.withLockedValue { registry in
            let result = registry.establish(connection)
            if case .success(let older) = result {
                if older.isEmpty { events.send(.connected(connection.remotePeer)) }
                for other in older { other.probe() }
            }
            return result.map { $0.count + 1 }
        }
        switch result {
        case .success: count(.connectionsOpened)
        // A displaced connection was counted when it was displaced.
        case .failure(let refusal) where refusal.counter == .displacedPendingInbound: break
        case .failure(let refusal): count(refusal.counter)
        }
        return result
    }

    func release(_ ticket: ConnectionTicket, peer: PeerID?) {
        registry.withLockedValue { registry in
            if let last = registry.release(ticket, peer: peer) { events.send(.disconnected(last)) }
        }
    }
}
