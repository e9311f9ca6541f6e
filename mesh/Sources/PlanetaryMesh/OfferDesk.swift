import JobMarket
import MeshStore
import MeshTypes
import Multiformats
import NodeAPI
import SignedObjects

/// What runs of a module used before, as far as this node keeps their jobs.
struct PastRuns: Sendable {
    /// The bounds of looking back.
    struct Limits: Sendable {
        /// The latest jobs that succeeded, of any module, which are looked at.
        var jobsMax = 256
    }

    let store: MeshStore
    var limits = Limits()

    /// The fuel of each such run, ascending.
    func fuel(of module: CID) async throws(NodeServiceError) -> [UInt64] {
        var filter = JobFilter()
        filter.outcomes = [JobOutcome.succeeded.rawValue]
        let (store, jobsMax) = (store, limits.jobsMax)
        let page = try await stored { [filter] () throws(MeshStoreError) in
            try await store.jobs(filter, limit: jobsMax)
        }
        var fuel: [UInt64] = []
        for row in page?.rows ?? [] {
            guard let used = row.fuel,
                let block = try await stored({ () throws(MeshStoreError) in try await store.block(row.jobID) }),
                let manifest = try? SignedObject<JobManifest>(verifiedBefore: block),
                manifest.body.params.wasmCID == module
            else { continue }
            fuel.append(used)
        }
        return fuel.sorted()
    }
}

extension OffersView.Job {
    /// A job that was described, and what runs of its module used.
    init(_ params: MeshJobParams, past: [UInt64], balance: TokenAmount) {
        self.init(
            moduleCID: params.wasmCID.text, maxFuel: params.maxFuel, budget: params.priceCeiling?.units,
            usualFuel: past.isEmpty ? nil : past[past.count / 2], pastRuns: past.count, balance: balance.units)
    }
}

extension OfferView {
    /// An executor, as the market sees it, for a job whose module usually uses so much fuel.
    init(_ prospect: OfferProspect, usualFuel: UInt64?) {
        let offer = prospect.offer
        self.init(
            did: offer.nodeDID.text, isHere: prospect.isHere, obstacles: prospect.obstacles.map(\.offerText),
            basePrice: offer.basePrice.units, pricePerMillionFuel: offer.pricePerMillionFuel.units)
        priceMax = prospect.priceMax?.units
        usualPrice = usualFuel.flatMap { fuel in
            prospect.priceMax.map { min($0, offer.price(ofFuel: fuel)).units }
        }
        loadPermille = min(offer.loadPermille, 1_000)
        reputation = prospect.reputation
        roundTripMilliseconds = prospect.latency
        region = offer.region
        features = offer.features
        resources = offer.resources.map { JobSubmission.Policy.Amount(name: $0.key, amount: $0.value) }
        limits = (offer.limits ?? [:]).map { JobSubmission.Policy.Amount(name: $0.key, amount: $0.value) }
    }
}
