import Determinism
public import LibP2P
public import Logging
public import Multiformats
public import Peers

/// Keeps a node connected: the shell around the core `PeersCore`, on any host.
///
/// It follows the host's events, dials whom the core names, and reports the result. `run` owns every task.
public actor PeerService: Service {
    /// The shell's bounds; the core's are `PeersCore.Limits`.
    public struct Limits: Sendable {
        /// The shortest time between two checks of the core's deadline: how late a deadline may be met.
        public var tickMilliseconds: Int64 = 500
        /// How often the core's peers are compared with the host's, since events may be lost.
        public var comparisonMilliseconds: Int64 = 10_000
        /// How long one dial may take before it counts as failed.
        public var dialMilliseconds: Int64 = 20_000

        /// The defaults.
        public init() {}
    }

    let host: any StreamHost
    private let limits: Limits
    private let logger: Logger
    var core: PeersCore
    private var generator = SystemRandomNumberGenerator()
    private var known: Set<PeerID> = []
    private var comparesAt = MonotonicInstant.zero
    let jobs: JobQueue<PeersCore.Contact>
    var alarm: DeadlineAlarm
    private var tell: @Sendable (Multiaddr, _ failure: String?) -> Void = { _, _ in }

    /// A service that does nothing until `run`.
    public init(
        host: any StreamHost, peers: PeersCore.Limits = PeersCore.Limits(), limits: Limits = Limits(), logger: Logger
    ) {
        self.host = host
        self.limits = limits
        self.logger = logger
        core = PeersCore(limits: peers)
        // The core has at most `dialsAtOnceMax` under way.
        jobs = JobQueue(waitingMax: peers.dialsAtOnceMax)
        alarm = DeadlineAlarm(resolutionMilliseconds: limits.tickMilliseconds)
    }

    /// Works until the task is cancelled.
    public func run() async {
        await drive(following: await host.peerEvents())
    }

    /// Names addresses to stay connected to, and peers met before, the latest first.
    public func begin(bootstrap: [Multiaddr], remembered: [PeerID]) {
        let now = SwarmClock.now
        for address in bootstrap where address.peerID != host.localPeer { core.bootstrap(address, now: now) }
        for peer in remembered.reversed() where peer != host.localPeer { core.met(peer, now: now) }
        rearm()
    }

    /// Has every dial of a named address told: why it failed, as a clause, or nil if it was answered.
    package func tellDials(_ tell: @escaping @Sendable (Multiaddr, _ failure: String?) -> Void) { self.tell = tell }

    /// Leaves a peer alone for a while.
    public func avoid(_ peer: PeerID, milliseconds: Int64) {
        core.avoid(peer, until: SwarmClock.now.advanced(milliseconds: milliseconds))
        rearm()
    }

    /// Forgets that a peer was met; addresses named at the beginning stay.
    public func forget(_ peer: PeerID) {
        core.forget(peer)
        rearm()
    }

    func begin(connected peers: [PeerID]) {
        comparesAt = SwarmClock.now.advanced(milliseconds: limits.comparisonMilliseconds)
        for peer in peers { connected(peer) }
    }

    func peerEvent(_ event: PeerEvent) {
        switch event {
        case .connected(let peer): connected(peer)
        case .disconnected(let peer): disconnected(peer)
        case .identified(let peer, _, let addresses):
            if !addresses.isEmpty { core.met(peer, now: SwarmClock.now) }
        }
        rearm()
    }

    private func connected(_ peer: PeerID) {
        known.insert(peer)
        core.connected(peer, now: SwarmClock.now)
    }

    private func disconnected(_ peer: PeerID) {
        known.remove(peer)
        core.disconnected(peer, now: SwarmClock.now, using: &generator)
    }

    func carryOutDue(_ actions: [PeersCore.Action]) {
        for case .dial(let contact) in actions { _ = jobs.start(contact) }
    }

    var ownDeadline: MonotonicInstant? { comparesAt }

    func ownDeadlineReached(now: MonotonicInstant) async {
        comparesAt = now.advanced(milliseconds: limits.comparisonMilliseconds)
        let connectedNow = Set(await host.connectedPeers())
        for peer in connectedNow.subtracting(known) { connected(peer) }
        for peer in known.subtracting(connectedNow) { disconnected(peer) }
    }

    func perform(_ contact: PeersCore.Contact) async {
        let peer: PeerID?
        var failure: String?
        do {
            peer = try await answering(contact)
        } catch {
            (peer, failure) = (nil, SystemWords.of(error))
        }
        if case .address(let address) = contact, peer != nil || !Task.isCancelled { tell(address, failure) }
        logger.debug("peer dialed", metadata: ["contact": "\(contact)", "answered": "\(peer != nil)"])
        core.dialed(contact, answeredBy: peer, now: SwarmClock.now, using: &generator)
        rearm()
    }

    private nonisolated func answering(_ contact: PeersCore.Contact) async throws -> PeerID? {
        let address: Multiaddr
        switch contact {
        case .address(let named): address = named
        case .peer(let peer):
            guard let first = await host.addresses(of: peer).first else { return nil }
            address = first.withPeerID(peer)
        }
        return try await withDeadline(milliseconds: limits.dialMilliseconds) { [host] in
            try await host.dial(address)
        }
    }
}
