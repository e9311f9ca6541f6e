import MeshTypes
import Multiformats
import PeerIdentity
import SignedObjects

/// Manifests announced by CID and being fetched, bounded per originator.
struct ManifestFetches: Sendable {
    private var originators: [JobID: PeerID] = [:]
    private var shares = ShareTable<PeerID>()

    /// Fetches the manifest of an announced job if its originator has room for one more.
    mutating func begin(_ announcement: JobAnnouncementV1, _ context: inout MarketContext) {
        let limits = context.limits
        let originator = announcement.originatorPeerID
        guard context.configuration.executor?.takesJobs ?? false, originator != context.peerID,
            originators[announcement.jobID] == nil, let did = try? PublicKey(peerID: originator).did,
            shares.hasRoom(
                of: originator, max: limits.manifestFetchesMax, each: limits.manifestFetchesPerOriginatorMax,
                strangers: context.strangersMax(of: limits.manifestFetchesMax, for: did))
        else { return }
        originators[announcement.jobID] = originator
        shares.add(to: originator, isStranger: !context.knows(did))
        context.emit(
            .fetchManifest(
                announcement.jobID, from: originator,
                addresses: Array(announcement.providerAddresses.prefix(context.configuration.rules.addressCountMax)),
                bytesMax: limits.manifestBytesMax))
    }

    /// Notes the end of a fetch; `false` if none was under way.
    mutating func end(_ job: JobID) -> Bool {
        guard let originator = originators.removeValue(forKey: job) else { return false }
        shares.remove(from: originator)
        return true
    }

    /// The manifest in a block, if it is this job's.
    ///
    /// - Parameter author: who announced it, if anybody did.
    static func verified(
        _ block: [UInt8], of job: JobID, author: PeerID?, _ limits: MarketLimits
    ) -> SignedObject<JobManifest>? {
        guard block.count <= limits.manifestBytesMax, job.cid.matches(block),
            let signed = try? SignedObject<JobManifest>(verifying: block), signed.cid == job.cid,
            signed.body.originatorDID.peerID == signed.body.originatorPeerID,
            author == nil || author == signed.body.originatorPeerID
        else { return nil }
        return signed
    }
}
