import Determinism
import LibP2P
import Logging
import Multiformats
import NIOCore
import Peers

/// Keeps a node connected: the shell around the core `PeersCore`, on any host.
///
/// It follows the host's events, dials whom the core names, and tells it what came of it. `run` owns every task.
public actor PeerService {
    /// The bounds of the shell; those of the core are `PeersCore.Limits`.
    public struct Limits: Sendable {
        /// How often the core is asked for its deadline.
        public var tickMilliseconds: Int64 = 500
        /// How often the core's peers are held against the host's, since events may be lost.
        public var comparisonMilliseconds: Int64 = 10_000
        /// How long one dial may take before it counts as failed.
        public var dialMilliseconds: Int64 = 20_000

        /// The defaults.
        public init() {}
    }

    private let host: any StreamHost
    private let limits: Limits
    private let logger: Logger
    private var core: PeersCore
    private var generator = SystemRandomNumberGenerator()
    private var known: Set<PeerID> = []
    private let dials: AsyncStream<PeersCore.Contact>
    private let dialsInput: AsyncStream<PeersCore.Contact>.Continuation

    /// A service that does nothing until `run`.
    public init(
        host: any StreamHost, peers: PeersCore.Limits = PeersCore.Limits(), limits: Limits = Limits(), logger: Logger
    ) {
        self.host = host
        self.limits = limits
        self.logger = logger
        core = PeersCore(limits: peers)
        // The core has at most `dialsAtOnceMax` under way.
        (dials, dialsInput) = AsyncStream.makeStream(bufferingPolicy: .bufferingOldest(peers.dialsAtOnceMax))
    }

    private static var now: MonotonicInstant {
        MonotonicInstant(nanoseconds: Int64(clamping: NIODeadline.now().uptimeNanoseconds))
    }

    /// Works until the task is cancelled.
    public func run() async {
        let events = await host.peerEvents()
        await compare()
        await withDiscardingTaskGroup { group in
            group.addTask { for await event in events { await self.peerEvent(event) } }
            group.addTask { await self.keepTime() }
            for await contact in dials { group.addTask { await self.dial(contact) } }
            group.cancelAll()
        }
    }

    /// Names addresses to be connected to for good, and peers met before, those met last first.
    public func begin(bootstrap: [Multiaddr], remembered: [PeerID]) {
        for address in bootstrap where address.peerID != host.localPeer { core.bootstrap(address, now: Self.now) }
        for peer in remembered.reversed() where peer != host.localPeer { core.met(peer, now: Self.now) }
        act()
    }

    /// Leaves a peer alone for a while.
    public func avoid(_ peer: PeerID, milliseconds: Int64) {
        core.avoid(peer, until: Self.now.advanced(milliseconds: milliseconds))
    }

    private func peerEvent(_ event: PeerEvent) {
        switch event {
        case .connected(let peer): connected(peer)
        case .disconnected(let peer): disconnected(peer)
        case .identified(let peer, _, let addresses):
            if !addresses.isEmpty { core.met(peer, now: Self.now) }
        }
    }

    private func connected(_ peer: PeerID) {
        known.insert(peer)
        core.connected(peer, now: Self.now)
    }

    private func disconnected(_ peer: PeerID) {
        known.remove(peer)
        core.disconnected(peer, now: Self.now, using: &generator)
    }

    private func keepTime() async {
        var comparesAt = Self.now
        while !Task.isCancelled {
            act()
            try? await Task.sleep(for: .milliseconds(limits.tickMilliseconds))
            guard comparesAt <= Self.now else { continue }
            comparesAt = Self.now.advanced(milliseconds: limits.comparisonMilliseconds)
            await compare()
        }
    }

    private func compare() async {
        let connectedNow = Set(await host.connectedPeers())
        for peer in connectedNow.subtracting(known) { connected(peer) }
        for peer in known.subtracting(connectedNow) { disconnected(peer) }
    }

    private func act() {
        guard let deadline = core.nextDeadline, deadline <= Self.now else { return }
        for case .dial(let contact) in core.deadlineReached(now: Self.now) { dialsInput.yield(contact) }
    }

    private func dial(_ contact: PeersCore.Contact) async {
        let peer = await answering(contact)
        logger.debug("peer dialed", metadata: ["contact": "\(contact)", "answered": "\(peer != nil)"])
        core.dialed(contact, answeredBy: peer, now: Self.now, using: &generator)
    }

    private nonisolated func answering(_ contact: PeersCore.Contact) async -> PeerID? {
        let address: Multiaddr
        switch contact {
        case .address(let named): address = named
        case .peer(let peer):
            guard let first = await host.addresses(of: peer).first else { return nil }
            address = first.withPeerID(peer)
        }
        return try? await withDeadline(milliseconds: limits.dialMilliseconds) { [host] in
            try await host.dial(address)
        }
    }
}
