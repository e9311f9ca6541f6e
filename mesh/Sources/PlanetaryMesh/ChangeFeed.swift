import JobMarket
import MeshTypes
import Multiformats
import NodeAPI
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
        /// Looks at connected peers for one at executors' offers.
        var looksPerOffer = 4
    }

    private struct State {
        /// BOUNDED: by `Limits.followersMax`.
        var followers: [UInt64: AsyncStream<NodeChange>.Continuation] = [:]
        var nextID: UInt64 = 0
        var isClosed = false
        /// What was there at the last look; nil before the first.
        var peers: Set<String>?
        var offers: Set<String>?
        var looks = 0
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
            if state.followers.isEmpty { (state.peers, state.offers, state.looks) = (nil, nil, 0) }
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

    /// Whether the next look wants the offers too, which cost more.
    var wantsOffers: Bool { state.withLock { $0.looks % limits.looksPerOffer == 0 } }

    /// Tells what came and went among connected peers and known offers since the last look.
    func look(peers: Set<String>, offers: Set<String>?, at: UInt64) {
        let (before, offered) = state.withLock { state in
            let before = (state.peers, state.offers)
            state.looks += 1
            state.peers = peers
            if let offers { state.offers = offers }
            return before
        }
        tell(.peer, before, peers, came: "connected", went: "lost", at: at)
        if let offers { tell(.offer, offered, offers, came: "offered", went: "withdrawn", at: at) }
    }

    /// Ends the streams of all followers.
    func finish() {
        let followers = state.withLock { state in
            state.isClosed = true
            return Array(state.followers.values)
        }
        for follower in followers { follower.finish() }
    }

    private func tell(
        _ kind: NodeChange.Kind, _ before: Set<String>?, _ now: Set<String>, came: String, went: String, at: UInt64
    ) {
        guard let before, before != now else { return }
        for id in now.subtracting(before).sorted() { tell(NodeChange(kind, id, came, at: at)) }
        for id in before.subtracting(now).sorted() { tell(NodeChange(kind, id, went, at: at)) }
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
