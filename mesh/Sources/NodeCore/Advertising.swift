import Determinism
import JobMarket
import MeshTypes
import Multiformats
import PeerIdentity
import SignedObjects

/// An executor's advertising: it tells the mesh what it offers, regularly and when somebody new listens. Once it takes
/// no more jobs it withdraws the offer, and while its owner lets it rest it tells that as regularly.
struct Advertising: Sendable {
    /// How long an offer is valid, in milliseconds.
    static let validMilliseconds: UInt64 = 120_000
    /// The most addresses of an offer.
    static let addressesMax = 16

    private var schedule: AdvertisementSchedule
    /// Whether this node has told others what it offers, and has not withdrawn it since.
    private(set) var isAdvertised = false
    /// Whether it told others last that it takes no jobs.
    private var isResting = false

    init(limits: AdvertisementSchedule.Limits = AdvertisementSchedule.Limits()) {
        schedule = AdvertisementSchedule(limits: limits)
    }

    /// The signed offer that is due; `nil` if none is.
    mutating func due(
        _ executor: ExecutorConfiguration, loadPermille: UInt64, bytesMax: Int, listeners: [PeerID],
        addresses: [Multiaddr], as identity: Identity, at moment: NodeMoment
    ) -> SignedObject<NodeCapability>? {
        guard executor.takesJobs else {
            if isAdvertised {
                schedule.withdrawn()
                isResting = executor.acceptsJobs
                return withdrawn(as: identity, at: moment)
            }
            // A node that stops says so once.
            guard executor.acceptsJobs, schedule.isDue(listeners: listeners, now: moment.now) else { return nil }
            isResting = true
            return Self.nothing(of: identity, at: moment)
        }
        if isResting {
            isResting = false
            schedule.withdrawn()
        }
        guard schedule.isDue(listeners: listeners, now: moment.now) else { return nil }
        var capability = Self.capability(of: identity, at: moment)
        capability.addresses = Array(addresses.prefix(Self.addressesMax))
        capability.describe(executor)
        capability.loadPermille = loadPermille
        guard var signed = try? SignedObject.sign(capability, with: identity) else { return nil }
        if signed.bytes.count > bytesMax {
            // Others refuse a longer list; bids tell the rest.
            capability.features = []
            capability.isAbridged = true
            capability.addresses = []
            guard let short = try? SignedObject.sign(capability, with: identity) else { return nil }
            signed = short
        }
        isAdvertised = true
        return signed
    }

    /// The offer changed: who heard the former one is told anew, as soon as another is due.
    mutating func changed() { schedule.withdrawn() }

    /// The withdrawal of an offer, if others know of one: a capability without engines and resources.
    mutating func withdrawn(as identity: Identity, at moment: NodeMoment) -> SignedObject<NodeCapability>? {
        guard isAdvertised else { return nil }
        isAdvertised = false
        return Self.nothing(of: identity, at: moment)
    }

    /// What an executor says that takes no jobs: a capability without engines and resources.
    private static func nothing(of identity: Identity, at moment: NodeMoment) -> SignedObject<NodeCapability>? {
        var nothing = capability(of: identity, at: moment)
        nothing.loadPermille = 1_000
        return try? SignedObject.sign(nothing, with: identity)
    }

    private static func capability(of identity: Identity, at moment: NodeMoment) -> NodeCapability {
        NodeCapability(
            nodeDID: identity.did, peerID: identity.peerID, issuedAt: moment.wallClock,
            validUntil: moment.wallClock.advanced(milliseconds: validMilliseconds))
    }
}
