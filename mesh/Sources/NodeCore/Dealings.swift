package import JobMarket
import MeshTypes
package import Multiformats
import PeerIdentity
import SignedObjects

/// With whom, and on which terms, the owner of a node wants to deal, as far as that changes while the node runs.
package struct Dealings: Sendable {
    /// Whom the owner banned.
    package private(set) var bans: BanList
    /// How many of those offered to run jobs when they were banned; `nil` if none did.
    package var bannedExecutors: UInt64? { bans.executors > 0 ? UInt64(bans.executors) : nil }
    /// Whom the configuration denies as originators, besides those that are banned.
    private var deniedOriginators: Set<DID>

    /// The dealings of a node at its start; has its market refuse who is banned.
    init(bans: BanList, of market: inout JobMarket) {
        self.bans = bans
        deniedOriginators = market.configuration.executor?.deniedOriginators ?? []
        deny(in: &market)
    }

    /// Takes a change in, and has the parts of a node follow it.
    mutating func take(
        _ change: OwnerChange, _ market: inout JobMarket, _ capabilities: inout CapabilityBook,
        _ conduct: inout PeerConduct, _ advertising: inout Advertising, at moment: NodeMoment
    ) -> (DroppedWork, MarketTransition?) {
        switch change {
        case .ban(let peer, let list):
            bans = list
            deny(in: &market)
            // What it sends is not read any more, by whomever it comes, so it makes no other offer here.
            if let did = Self.did(of: peer) { capabilities.remove(did) }
            let (stopped, reassigned, transition) = market.drop(peer, now: moment.now, wallClock: moment.wallClock)
            return (DroppedWork(stopped: stopped, reassigned: reassigned), transition)
        case .allow(let list):
            bans = list
            deny(in: &market)
        case .forget(let peer):
            if let did = Self.did(of: peer) { capabilities.remove(did) }
            conduct.forget(peer)
            market.forget(peer)
        case .terms(let terms):
            deniedOriginators = terms.deniedOriginators
            terms.apply(to: &market.configuration)
            deny(in: &market)
            advertising.changed()
            let transition = market.handle(.runsMayBegin, now: moment.now, wallClock: moment.wallClock)
            return (DroppedWork(), transition)
        }
        return (DroppedWork(), nil)
    }

    /// Has the market refuse the banned ones, on both sides of a job.
    private func deny(in market: inout JobMarket) {
        let banned = Set(bans.peers.compactMap(Self.did))
        market.configuration.originator.deniedExecutors = banned
        market.configuration.executor?.deniedOriginators = deniedOriginators.union(banned)
    }

    private static func did(of peer: PeerID) -> DID? { (try? PublicKey(peerID: peer))?.did }
}

/// What an owner changes while the node runs; what has to last is on the disk before.
package enum OwnerChange: Sendable {
    /// One more is banned, who is on this list: all work with that peer ends.
    case ban(PeerID, BanList)
    /// One fewer is banned, who is not on this list.
    case allow(BanList)
    /// What was measured and counted of a peer, and what it offers, goes; evidence of its work stays.
    case forget(PeerID)
    /// Other terms, for later bids, runs and jobs; what was promised stays.
    case terms(OwnerTerms)
}

/// What a ban ended at once.
package struct DroppedWork: Hashable, Sendable {
    /// Jobs of the peer that are stopped here.
    package var stopped = 0
    /// Jobs of this node at the peer that go to others.
    package var reassigned = 0
}

/// What the owner may change of a market's terms while the node runs.
package struct OwnerTerms: Sendable {
    /// The originators that it never works for.
    let deniedOriginators: Set<DID>
    private let source: MarketConfiguration

    /// The terms of a market's configuration.
    package init(_ configuration: MarketConfiguration) {
        source = configuration
        deniedOriginators = configuration.executor?.deniedOriginators ?? []
    }

    /// Changes those terms in a configuration, and nothing else. With fewer places than before, what runs beyond them
    /// runs to its end.
    func apply(to configuration: inout MarketConfiguration) {
        configuration.originator.bidWindowMilliseconds = source.originator.bidWindowMilliseconds
        configuration.originator.biddingMilliseconds = source.originator.biddingMilliseconds
        configuration.tellsDeclines = source.tellsDeclines
        guard var executor = configuration.executor, let terms = source.executor else { return }
        executor.basePrice = terms.basePrice
        executor.pricePerMillionFuel = terms.pricePerMillionFuel
        executor.concurrentRunsPeak = max(executor.concurrentRunsPeak, executor.concurrentRunsMax)
        executor.concurrentRunsMax = terms.concurrentRunsMax
        executor.queuedRunsMax = terms.queuedRunsMax
        executor.allowedOriginators = terms.allowedOriginators
        executor.minOriginatorReputation = terms.minOriginatorReputation
        configuration.executor = executor
    }
}
