import LibP2P
public import Multiformats
import NIOConcurrencyHelpers
import OrderedCollections

/// A network of hosts in one process without sockets, for tests of protocol services.
///
/// Hosts find each other by peer ID alone; streams are pairs of bounded buffers with the back-pressure of a real
/// stream. `run` must be running, because it owns the tasks that serve inbound streams.
public final class InMemoryNetwork: Sendable {
    struct State: Sendable {
        var hosts: OrderedDictionary<PeerID, InMemoryHost> = [:]
        var links: OrderedSet<Link> = []
        var unreachable: Set<PeerID> = []
    }

    struct Link: Hashable, Sendable {
        let low: PeerID
        let high: PeerID

        init(_ one: PeerID, _ other: PeerID) {
            (low, high) = one < other ? (one, other) : (other, one)
        }

        func other(than peer: PeerID) -> PeerID? {
            peer == low ? high : peer == high ? low : nil
        }
    }

    /// Inbound streams that wait for `run` to start their handlers; more are refused.
    public static let queuedStreamsMax = 4_096

    let state = NIOLockedValueBox(State())
    private let work: AsyncStream<@Sendable () async -> Void>
    private let workInput: AsyncStream<@Sendable () async -> Void>.Continuation

    /// An empty network.
    public init() {
        (work, workInput) = AsyncStream.makeStream(bufferingPolicy: .bufferingOldest(Self.queuedStreamsMax))
    }

    /// Serves inbound streams of all hosts until the task is cancelled.
    public func run() async {
        await withDiscardingTaskGroup { group in
            for await job in work { group.addTask { await job() } }
            group.cancelAll()
        }
    }

    /// Adds a host for a peer ID, listening on an address of its own.
    public func addHost(_ peer: PeerID) -> InMemoryHost {
        state.withLockedValue { state in
            let number = state.hosts.count + 1
            let address = Multiaddr([
                .ip4([
                    10, UInt8(truncatingIfNeeded: number >> 16), UInt8(truncatingIfNeeded: number >> 8),
                    UInt8(truncatingIfNeeded: number),
                ]), .tcp(4001),
            ])
            let host = InMemoryHost(peer: peer, address: address, network: self)
            state.hosts[peer] = host
            return host
        }
    }

    /// Makes a host reachable or not: an unreachable one loses its connections, and can neither dial nor be dialed.
    public func setReachable(_ peer: PeerID, _ isReachable: Bool) {
        if isReachable {
            _ = state.withLockedValue { $0.unreachable.remove(peer) }
        } else {
            _ = state.withLockedValue { $0.unreachable.insert(peer) }
            for other in peers(connectedTo: peer) { disconnect(peer, other) }
        }
    }

    /// Cuts the connection between two hosts; both see it and their streams are reset.
    public func disconnect(_ one: PeerID, _ other: PeerID) {
        let hosts = state.withLockedValue { state -> (InMemoryHost, InMemoryHost)? in
            guard state.links.remove(Link(one, other)) != nil, let left = state.hosts[one],
                let right = state.hosts[other]
            else { return nil }
            return (left, right)
        }
        guard let (left, right) = hosts else { return }
        left.connectionLost(other)
        right.connectionLost(one)
    }

    func peers(connectedTo peer: PeerID) -> [PeerID] {
        state.withLockedValue { state in state.links.compactMap { $0.other(than: peer) }.sorted() }
    }

    func link(_ one: PeerID, _ other: PeerID) throws(OpenStreamError) {
        enum Outcome {
            case refused
            case linked(InMemoryHost, InMemoryHost)
            case alreadyThere
        }
        let outcome = state.withLockedValue { state -> Outcome in
            guard one != other, let left = state.hosts[one], let right = state.hosts[other],
                !state.unreachable.contains(one), !state.unreachable.contains(other)
            else { return .refused }
            return state.links.append(Link(one, other)).inserted ? .linked(left, right) : .alreadyThere
        }
        switch outcome {
        case .alreadyThere: return
        case .refused: throw .dialFailed(["\(other) is not reachable in this network"])
        case .linked(let left, let right):
            left.connected(to: right)
            right.connected(to: left)
        }
    }

    func host(_ peer: PeerID) -> InMemoryHost? {
        state.withLockedValue { $0.hosts[peer] }
    }

    func host(listeningOn address: Multiaddr) -> InMemoryHost? {
        state.withLockedValue { state in state.hosts.values.first { $0.address == address.withoutPeerID() } }
    }

    /// Runs a job in a child task of `run`; `false` when too many wait.
    func enqueue(_ job: @escaping @Sendable () async -> Void) -> Bool {
        if case .enqueued = workInput.yield(job) { return true }
        return false
    }
}
