import Determinism
package import JobMarket
import MeshTypes
package import Multiformats
import OrderedCollections

/// The keys of the DHT under which executors say what they offer (PROTOCOL.md, "DHT records"): one for each feature
/// that not every executor has, and one for the region.
package enum OfferKeys {
    /// The most keys of one executor; features beyond are found by gossip alone.
    package static let keysMax = 16

    /// Features that every executor of this version has, unless its owner says no; they have no keys.
    package static let common = [
        JobFiles.feature, NumberCall.feature, JobInvitation.feature, SessionTerms.feature,
        SessionTerms.transcriptFeature, SessionTerms.callsFeature, PublicJob.feature, HedgedJob.feature,
        AttestedRun.feature,
    ]

    /// The key of a feature.
    package static func feature(_ name: String) -> CID { key("feature", name) }

    /// The key of a region.
    package static func region(_ name: String) -> CID { key("region", name) }

    /// The keys of an executor.
    package static func of(_ executor: ExecutorConfiguration) -> [CID] {
        let regions = executor.region.map { [region($0)] } ?? []
        let engine = ExecutionIdentity.feature(of: executor.engine)
        let features = executor.features.filter { !isCommon($0) }
        // Every job asks for its engine.
        let ordered = features.filter { $0.isSameBytes(as: engine) } + features.filter { !$0.isSameBytes(as: engine) }
        return Array((regions + ordered.map(feature)).prefix(keysMax))
    }

    /// The keys under which an executor of a job may be found.
    static func of(_ policy: ExecutionPolicy) -> [CID] {
        (policy.regionFilter ?? []).map(region) + (policy.requiredFeatures ?? []).filter { !isCommon($0) }.map(feature)
    }

    private static func isCommon(_ feature: String) -> Bool { common.contains { $0.isSameBytes(as: feature) } }

    private static func key(_ kind: String, _ name: String) -> CID {
        CID.hashing(Array("icn-mesh/v1/Offer\0\(kind)\0\(name)".utf8), codec: .raw)
    }
}

/// Which keys this node looks up in the DHT, because it knows too few executors that could run a job of its own.
struct ExecutorSeeker: Sendable {
    /// The bounds of looking.
    struct Limits: Sendable {
        /// Keys looked up for one job.
        var keysPerJobMax = 4
        /// Keys looked up at once, for all jobs.
        var atOnceMax = 8
        /// Keys that are remembered, the latest.
        var keysMax = 256
        /// How long after one lookup of a key the next one comes, in milliseconds.
        var againMilliseconds: Int64 = 60_000
        /// The same where nobody could be asked.
        var unansweredMilliseconds: Int64 = 1_000
        /// How long after a lookup that led to somebody his offer and his bid are awaited, in milliseconds.
        var awaitedMilliseconds: Int64 = 3_000
    }

    let limits: Limits
    private var notBefore: OrderedDictionary<CID, MonotonicInstant> = [:]
    private var underWay: Set<CID> = []
    /// Those of which nobody could be asked the last time; nobody waits for them.
    private var retried: Set<CID> = []
    private var awaitedUntil = MonotonicInstant.zero

    init(limits: Limits = Limits()) {
        self.limits = limits
    }

    /// Whether executors may come that were looked up: jobs are not given up meanwhile.
    func expectsSomebody(now: MonotonicInstant) -> Bool {
        !underWay.isSubset(of: retried) || now < awaitedUntil
    }

    /// The keys to look up now for a job.
    mutating func toSeek(for policy: ExecutionPolicy, now: MonotonicInstant) -> [CID] {
        var keys: [CID] = []
        for key in OfferKeys.of(policy).prefix(limits.keysPerJobMax) where underWay.count < limits.atOnceMax {
            if let at = notBefore[key], now < at { continue }
            guard underWay.insert(key).inserted else { continue }
            notBefore.removeValue(forKey: key)
            notBefore[key] = now.advanced(milliseconds: limits.againMilliseconds)
            if notBefore.count > limits.keysMax { retried.remove(notBefore.removeFirst().key) }
            keys.append(key)
        }
        return keys
    }

    /// Notes that a lookup ended: whether anybody answered, and whether it led to a new connection.
    mutating func sought(_ key: CID, isAnswered: Bool, hasMet: Bool, now: MonotonicInstant) {
        underWay.remove(key)
        if isAnswered { retried.remove(key) } else if notBefore[key] != nil { retried.insert(key) }
        if hasMet { awaitedUntil = now.advanced(milliseconds: limits.awaitedMilliseconds) }
        if !isAnswered, notBefore[key] != nil {
            notBefore[key] = now.advanced(milliseconds: limits.unansweredMilliseconds)
        }
    }
}
