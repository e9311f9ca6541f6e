import Credit
import Economics
import MeshTypes
import Multiformats
import Reputation
import SignedObjects

/// On which jobs an executor bids, and how much, as far as its configuration and the manifest decide.
struct BidPolicy: Sendable {
    let configuration: ExecutorConfiguration

    /// Why the node does not bid on a job, whatever its current state and whoever the originator is.
    func decline(_ manifest: JobManifest, _ context: MarketContext) -> BidDecline? {
        if !configuration.acceptsJobs { return .notAccepting }
        if let rest = configuration.rest { return rest }
        switch context.configuration.storage {
        case .open: break
        case .full: return .storageFull
        case .diskFull: return .diskFull
        case .locked: return .storageLocked
        }
        if manifest.originatorDID == context.did, !configuration.bidsOnOwnJobs || manifest.policy.payBy != nil {
            return .ownJob
        }
        if let refusal = context.configuration.rules.refusal(of: manifest, wallClock: context.wallClock) {
            return refusal == .expired ? .expired : .jobRefused(refusal)
        }
        if let payBy = manifest.policy.payBy, configuration.issuer(for: payBy) == nil { return .noIssuer }
        return limitBeyond(manifest.params, isByCredit: manifest.policy.payBy != nil)
    }

    private func limitBeyond(_ asked: MeshJobParams, isByCredit: Bool) -> BidDecline? {
        var offered = configuration.limitsMax
        // What cannot be left with an arbiter, its originator could take and not pay.
        if isByCredit { offered.maxOutputBytes = min(offered.maxOutputBytes, SealedPart.Limits.outputBytesMax) }
        let rows: [(String, UInt64, UInt64)] = [
            ("timeout_seconds", asked.timeoutSeconds, offered.timeoutSeconds),
            ("max_fuel", asked.maxFuel, offered.maxFuel),
            ("max_memory_bytes", asked.maxMemoryBytes, offered.maxMemoryBytes),
            ("max_output_bytes", asked.maxOutputBytes, offered.maxOutputBytes),
            ("files.max_bytes", asked.files?.maxBytes ?? 0, configuration.filesBytesMax),
        ]
        for (field, asked, offered) in rows where asked > offered {
            return .limitTooLarge(field: field, asked: asked, max: offered)
        }
        return nil
    }

    /// Whether the owner denies the originator, or allows only others, or it left receipts of this node unpaid and has
    /// too low a reputation here. It is asked after everything else: a denied
    /// originator must get the answers that others get, or it could tell that it is denied.
    func denies(_ manifest: JobManifest, _ context: MarketContext) -> Bool {
        let originator = manifest.originatorDID
        if originator == context.did { return false }
        let (denied, allowed) = (configuration.deniedOriginators, configuration.allowedOriginators)
        if denied.contains(originator) || !(allowed.isEmpty || allowed.contains(originator)) { return true }
        return configuration.refuses(payer: context.payers.account(of: originator, at: context.wallClock))
    }

    /// The terms offered for a job, with the promise of how fast fuel burns here, and of when the job is done at the
    /// latest: behind those that this node has accepted.
    func bid(
        on signed: SignedObject<JobManifest>, _ runs: ExecutorRuns, fuelPerSecond: UInt64, _ context: MarketContext
    ) -> Bid {
        let params = signed.body.params
        let issuer = signed.body.policy.payBy.flatMap(configuration.issuer(for:))
        let base = issuer?.basePrice ?? configuration.basePrice
        let perMillion = issuer?.pricePerMillionFuel ?? configuration.pricePerMillionFuel
        let worst = BidTerms.uncapped(basePrice: base, pricePerMillionFuel: perMillion, fuel: params.maxFuel)
        let price = issuer == nil ? max(base, min(worst, configuration.priceMax ?? .max)) : worst
        let queue = runs.places.queueMilliseconds(configuration)
        let promised = queue + configuration.preparationMilliseconds + params.timeoutSeconds * 1000
        var guarantees = params.resourcesRequired
        guarantees[.fuelPerSecond] = fuelPerSecond
        var terms = BidTerms(
            price: price, basePrice: base, pricePerMillionFuel: perMillion,
            earliestStart: context.calendarDate(inMilliseconds: queue),
            deadline: context.calendarDate(inMilliseconds: promised),
            resourceGuarantees: guarantees)
        terms.payment = issuer?.payment
        return Bid(
            jobID: JobID(signed.cid), originatorPeerID: signed.body.originatorPeerID, bidderDID: context.did,
            bidderPeerID: context.peerID, terms: terms, region: configuration.region, features: configuration.features,
            resources: configuration.resources, loadPermille: runs.loadPermille(configuration),
            nodeMetadataCID: configuration.capabilityCID, issuedAt: context.wallClock,
            expiresAt: context.calendarDate(inMilliseconds: configuration.bidValidityMilliseconds))
    }

    /// Why a job's policy excludes this node, as far as the node can tell. A price above the ceiling does not keep it
    /// silent: refused bids tell the originator what its job would cost. It cannot know its own reputation.
    func notWanted(_ bid: Bid, _ manifest: JobManifest, _ context: MarketContext) -> BidRefusal? {
        let selection = Selection(manifest: manifest, reputation: context.reputation, wallClock: context.wallClock)
        switch selection.refusal(of: bid) {
        case .priceTooHigh, .reputationTooLow, .deadlineTooLate, nil: return nil
        case let refusal?: return refusal
        }
    }
}
