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

/// What the swarm's `run` does in child tasks.
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

    /// What proves the identity in handshakes, made with the first one: a key and a signature less for each.
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

    // MARK: Work

    /// Gives work to `run`; `false` when too much waits, which is counted, or the swarm has stopped.
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
        // What serves a protocol holds the swarm that it serves on.
        protocols.withLockedValue { $0 = Protocols() }
    }

    // MARK: Protocols

    var protocolNames: [String] { protocols.withLockedValue { $0.names } }

    /// Registers a protocol; of one peer at most so many streams are served at once, or as many as of any protocol.
    func register(_ name: String, streamsPerPeerMax: Int? = nil, _ handler: @escaping InboundHandler) {
        let streamsMax = streamsPerPeerMax ?? limits.streamsPerProtocolPerPeerMax
        protocols.withLockedValue { protocols in
            protocols.handlers[name] = Entry(streamsPerPeerMax: streamsMax, handler: handler)
            protocols.names = Array(protocols.handlers.keys)
        }
    }

    /// Hands an inbound stream, agreed on its protocol, to its handler; `false` when a limit is reached.
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

    /// Sets the addresses that identify tells; whether they are others than before.
    func announce(_ addresses: [Multiaddr]) -> Bool {
        let told = Array(InterfaceAddresses.tellable(addresses).prefix(IdentifyMessage.addressesMax))
        return announced.withLockedValue { announced in
            defer { announced = told }
            return announced != told
        }
    }

    /// The addresses that identify tells.
    var announcedAddresses: [Multiaddr] { announced.withLockedValue { $0 } }

    /// What we tell about ourselves on a connection. The record's sequence is the time, so that it grows over restarts.
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

    /// A place for a connection that was accepted; the handshake that had to give up its own is closed.
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

    /// Enters a connection after its handshake; the number of connections to the peer, or why it is not let in.
    func establish(_ connection: Connection) -> Result<Int, ConnectionRefusal> {
        guard connection.remotePeer != localPeer else {
            count(.refusedSelf)
            return .failure(ConnectionRefusal(counter: .refusedSelf))
        }
        // Events go out under the lock, or `connected` and `disconnected` could overtake one another.
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
        // Who is displaced was counted then.
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
