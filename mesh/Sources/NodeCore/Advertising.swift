import Determinism
import JobMarket
import MeshTypes
import Multiformats
import PeerIdentity
import SignedObjects

/// What an executor tells the mesh that it offers: when somebody listens who has not heard it, and regularly; and that
/// it offers nothing any more, once it takes no more jobs.
struct Advertising: Sendable {
    /// How long an offer is good for, in milliseconds.
    static let validMilliseconds: UInt64 = 120_000

    private var schedule: AdvertisementSchedule
    /// Whether others were told what this node offers, and not yet that it does not any more.
    private(set) var isAdvertised = false

    init(limits: AdvertisementSchedule.Limits = AdvertisementSchedule.Limits()) {
        schedule = AdvertisementSchedule(limits: limits)
    }

    /// The offer that is due, signed; `nil` where none is.
    mutating func due(
        _ executor: ExecutorConfiguration, loadPermille: UInt64, bytesMax: Int, listeners: [PeerID],
        addresses: [Multiaddr], as identity: Identity, at moment: NodeMoment
    ) -> SignedObject<NodeCapability>? {
        guard executor.acceptsJobs else {
            if isAdvertised { schedule.withdrawn() }
            return withdrawn(as: identity, at: moment)
        }
        guard schedule.isDue(listeners: listeners, now: moment.now) else { return nil }
        var capability = Self.capability(of: identity, at: moment)
        capability.addresses = addresses
        capability.resources = executor.resources
        capability.engines = [executor.engine]
        capability.features = executor.features
        capability.region = executor.region
        capability.loadPermille = loadPermille
        capability.basePrice = executor.basePrice
        capability.pricePerMillionFuel = executor.pricePerMillionFuel
        guard var signed = try? SignedObject.sign(capability, with: identity) else { return nil }
        if signed.bytes.count > bytesMax {
            // Others refuse what is longer; bids tell the rest.
            capability.features = []
            capability.addresses = []
            guard let short = try? SignedObject.sign(capability, with: identity) else { return nil }
            signed = short
        }
        isAdvertised = true
        return signed
    }

    /// That nothing is offered any more, where others were told of an offer: a capability without engines and
    /// resources.
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
