import Determinism
import JobMarket
import MeshTypes
import Multiformats
import PeerIdentity
import SignedObjects

/// An executor's advertising: it tells the mesh what it offers, regularly and when somebody new listens, and withdraws
/// the offer once it takes no more jobs.
struct Advertising: Sendable {
    /// How long an offer is valid, in milliseconds.
    static let validMilliseconds: UInt64 = 120_000
    /// The most addresses of an offer.
    static let addressesMax = 16

    private var schedule: AdvertisementSchedule
    /// Whether this node has told others what it offers, and has not withdrawn it since.
    private(set) var isAdvertised = false

    init(limits: AdvertisementSchedule.Limits = AdvertisementSchedule.Limits()) {
        schedule = AdvertisementSchedule(limits: limits)
    }

    /// The signed offer that is due; `nil` if none is.
    mutating func due(
        _ executor: ExecutorConfiguration, loadPermille: UInt64, bytesMax: Int, listeners: [PeerID],
        addresses: [Multiaddr], as identity: Identity, at moment: NodeMoment
    ) -> SignedObject<NodeCapability>? {
        guard executor.takesJobs else {
            if isAdvertised { schedule.withdrawn() }
            return withdrawn(as: identity, at: moment)
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

    /// The withdrawal of an offer, if others know of one: a capability without engines and resources.
    mutating func withdrawn(as identity: Identity, at moment: NodeMoment) -> SignedObject<NodeCapability>? {
        guard isAdvertised else { return nil }
        isAdvertised = false
        var nothing = Self.capability(of: identity, at: moment)
        nothing.loadPermille = 1_000
        return try? SignedObject.sign(nothing, with: identity)
    }

    private static func capability(of identity: Identity, at moment: NodeMoment) -> NodeCapability {
        NodeCapability(
            nodeDID: identity.did, peerID: identity.peerID, issuedAt: moment.wallClock,
            validUntil: moment.wallClock.advanced(milliseconds: validMilliseconds))
    }
}
