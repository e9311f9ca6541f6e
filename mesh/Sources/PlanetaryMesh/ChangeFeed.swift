import Credit
import JobMarket
import MeshTypes
import Multiformats
import NodeAPI
import SignedObjects
import Synchronization

/// Tells its followers what changes at this node.
///
/// Nobody waits for a follower: one that lets `Limits.waitingMax` changes wait is cut off. While nobody follows,
/// nothing is looked at.
final class ChangeFeed: Sendable {
    /// Every bound of a feed.
    struct Limits: Hashable, Sendable {
        /// Followers at once; the next is refused.
        var followersMax = 4
        /// Changes that wait for a follower; with one more it is cut off.
        var waitingMax = 1_024
    }

    /// How often a node looks who came and went while somebody follows, in milliseconds.
    static let lookMilliseconds: Int64 = 50

    private struct State {
        /// BOUNDED: by `Limits.followersMax`.
        var followers: [UInt64: AsyncStream<NodeChange>.Continuation] = [:]
        var nextID: UInt64 = 0
        var isClosed = false
        /// What was there at the last look; nil before the first.
        var peers: Set<PeerID>?
        var offers: Set<DID>?
    }

    private let limits: Limits
    private let state = Mutex(State())

    init(limits: Limits = Limits()) { self.limits = limits }

    /// Whether anybody follows.
    var isFollowed: Bool { state.withLock { !$0.followers.isEmpty } }

    /// A new follower.
    func follow() throws(NodeServiceError) -> AsyncStream<NodeChange> {
        let (stream, continuation) = AsyncStream.makeStream(
            of: NodeChange.self, bufferingPolicy: .bufferingOldest(limits.waitingMax))
        let id: UInt64? = state.withLock { state in
            guard state.followers.count < limits.followersMax, !state.isClosed else { return nil }
            if state.followers.isEmpty { (state.peers, state.offers) = (nil, nil) }
            state.nextID += 1
            state.followers[state.nextID] = continuation
            return state.nextID
        }
        guard let id else {
            throw NodeServiceError(.overloaded, "\(limits.followersMax) programs follow this node's changes already.")
        }
        continuation.onTermination = { [weak self] _ in self?.leave(id) }
        return stream
    }

    /// Tells of events of jobs, and of the money that they moved.
    func tell(_ events: [JobEvent]) {
        guard isFollowed else { return }
        for event in events {
            let (id, at) = (event.jobID.cid.text, event.at.value)
            tell(NodeChange(.job, id, event.kindName, at: at))
            if !event.ledger.isEmpty { tell(NodeChange(.money, id, event.kindName, at: at)) }
        }
    }

    /// Tells what came of something that an issuer was to book about a hold.
    func tell(_ booking: HoldBooking) {
        guard isFollowed else { return }
        let (id, at) = (booking.jobID.cid.text, NodeClock.wallClock.value)
        tell(NodeChange(.money, id, "hold_\(booking.state.name)", at: at))
    }

    /// Tells what came and went among connected peers and known executors' offers since the last look.
    func look(peers: Set<PeerID>, offers: Set<DID>, at: UInt64) {
        let before = state.withLock { state in
            let before = (peers: state.peers, offers: state.offers)
            (state.peers, state.offers) = (peers, offers)
            return before
        }
        tell(.peer, before.peers, peers, named: \.text, came: "connected", went: "lost", at: at)
        tell(.offer, before.offers, offers, named: \.text, came: "offered", went: "withdrawn", at: at)
    }

    /// Ends the streams of all followers.
    func finish() {
        let followers = state.withLock { state in
            state.isClosed = true
            return Array(state.followers.values)
        }
        for follower in followers { follower.finish() }
    }

    private func tell<Name: Hashable>(
        _ kind: NodeChange.Kind, _ before: Set<Name>?, _ now: Set<Name>, named text: (Name) -> String, came: String,
        went: String, at: UInt64
    ) {
        guard let before, before != now else { return }
        for id in now.subtracting(before).map(text).sorted() { tell(NodeChange(kind, id, came, at: at)) }
        for id in before.subtracting(now).map(text).sorted() { tell(NodeChange(kind, id, went, at: at)) }
    }

    private func tell(_ change: NodeChange) {
        let followers = state.withLock { Array($0.followers.values) }
        for follower in followers {
            // What it would miss it cannot know of, so it begins again.
            if case .dropped = follower.yield(change) { follower.finish() }
        }
    }

    private func leave(_ id: UInt64) { state.withLock { $0.followers[id] = nil } }
}
