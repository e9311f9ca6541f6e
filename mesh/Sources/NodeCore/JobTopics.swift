import Determinism
import JobMarket
import MeshTypes
import Multiformats
import OrderedCollections
import SignedObjects

/// The topics of single jobs that this node follows, and what it checks before it forwards a message on one
/// (PROTOCOL.md, "Public bids").
///
/// An originator follows those of its open jobs, a bidder that of the bids on a job as long as its own bid is open.
/// What one author may say of a job is bounded, and so is what all may say; nobody but the job's originator says which
/// bids count, and nobody shows a bid that was not committed to.
struct JobTopics: Sendable {
    /// The bounds of what is followed.
    struct Limits: Sendable {
        /// Topics that are followed at once; one more is not, and direct messages do without.
        var topicsMax = 128
        /// How many of them may be of others' jobs, of those that this node bids on.
        var biddenTopicsMax = 64
        /// Authors that are heard on one topic of bids.
        var authorsMax = 128
        /// Messages of one author on one topic of bids.
        var messagesPerAuthorMax = 8
        /// Bytes of all messages on one topic of bids.
        var bytesMax = 1 << 20
        /// Messages of one author on one topic of status per second; of as many authors as of bids.
        var statusPerSecondMax = 16
        /// Messages of a job's originator on its topic of bids.
        var originatorMessagesMax = 64
        /// How long after a round was sealed no commitments are forwarded, in milliseconds: a later round takes them.
        var sealedMilliseconds: Int64 = 2_000
    }

    /// What is followed.
    fileprivate enum Subject { case bids, status }

    fileprivate struct Topic: Sendable {
        let job: JobID
        let subject: Subject
        let originator: PeerID
        var roles: Set<JobRole>
        var counts: [PeerID: Int] = [:]
        var bytes = 0
        var commitments: [PeerID: Set<CID>] = [:]
        /// The bids that count, once the originator said it.
        var sealed: Set<CID>?
        var sealedAt = MonotonicInstant.zero
        var second = MonotonicInstant.zero
        var countsInSecond: [PeerID: Int] = [:]
    }

    let limits: Limits
    private var topics: OrderedDictionary<String, Topic> = [:]

    init(limits: Limits = Limits()) {
        self.limits = limits
    }

    /// How many are followed.
    var count: Int { topics.count }

    // MARK: Following

    /// Follows what happens to a job; says which topics to join and to leave.
    mutating func follow(_ event: JobEvent) -> [NodeEffect] {
        switch (event.kind, event.role) {
        case (.submitted(let manifest, _, _, _), _): follow(event.jobID, manifest.body, as: .originator)
        case (.bidMade(let manifest, _), _): follow(event.jobID, manifest.body, as: .executor)
        case (.failed, .originator), (.cancelled, .originator), (.resultReached, _):
            leave(event.jobID, as: .originator)
        case (.bidClosed, _), (.assignmentAccepted, _): leave(event.jobID, as: .executor)
        default: []
        }
    }

    /// Follows the topics of a job that is open, as many as there is room for.
    mutating func follow(_ job: JobID, _ manifest: JobManifest, as role: JobRole) -> [NodeEffect] {
        var wanted: [(String, Subject)] = []
        if manifest.policy.hasPublicBids { wanted.append((MeshTopics.bids(on: job), .bids)) }
        if manifest.policy.hasPublicStatus, role == .originator {
            wanted.append((MeshTopics.status(of: job), .status))
        }
        var effects: [NodeEffect] = []
        for (name, subject) in wanted {
            if topics[name] != nil {
                topics[name]?.roles.insert(role)
            } else if topics.count < limits.topicsMax, role == .originator || biddenCount < limits.biddenTopicsMax {
                topics[name] = Topic(
                    job: job, subject: subject, originator: manifest.originatorPeerID, roles: [role])
                effects.append(.joinTopic(name))
            }
        }
        return effects
    }

    private var biddenCount: Int { topics.values.count { $0.roles == [.executor] } }

    private mutating func leave(_ job: JobID, as role: JobRole) -> [NodeEffect] {
        guard !topics.isEmpty else { return [] }
        var effects: [NodeEffect] = []
        for name in [MeshTopics.bids(on: job), MeshTopics.status(of: job)] {
            guard topics[name]?.roles.remove(role) != nil, topics[name]?.roles.isEmpty ?? false else { continue }
            topics[name] = nil
            effects.append(.leaveTopic(name))
        }
        return effects
    }

    // MARK: Judging

    /// Judges a message on the topic of a job, as anybody can who knows the job.
    mutating func judgement(
        of message: MeshProtocolMessage, byteCount: Int, topic name: String, author: PeerID, now: MonotonicInstant
    ) -> GossipJudgement {
        guard var topic = topics[name] else { return .ignore(reason: "not followed here") }
        if topic.subject == .status {
            let judgement = topic.statusJudgement(of: message, author: author, now: now, limits)
            topics[name] = topic
            return judgement
        }
        let isOpen = topic.sealed == nil || now.milliseconds(since: topic.sealedAt) >= limits.sealedMilliseconds
        let verdict = topic.bidsJudgement(of: message, author: author, isOpen: isOpen)
        guard verdict == .accept else { return verdict }
        guard topic.hasRoom(for: author, byteCount, limits) else {
            return .ignore(reason: "more than may be said about a job")
        }
        topic.heard(message, author: author, now: now)
        topics[name] = topic
        return .accept
    }
}

extension JobTopics.Topic {
    /// Counts a message of an author, if there is room for it. Others cannot use up what its originator may say.
    fileprivate mutating func hasRoom(for author: PeerID, _ byteCount: Int, _ limits: JobTopics.Limits) -> Bool {
        let said = counts[author] ?? 0
        if author == originator {
            guard said < limits.originatorMessagesMax else { return false }
        } else {
            guard said < limits.messagesPerAuthorMax, said > 0 || counts.count < limits.authorsMax,
                bytes + byteCount <= limits.bytesMax
            else { return false }
            bytes += byteCount
        }
        counts[author] = said + 1
        return true
    }

    fileprivate func bidsJudgement(
        of message: MeshProtocolMessage, author: PeerID, isOpen: Bool
    ) -> GossipJudgement {
        switch message {
        case .jobBidCommitment(let notice): judgement(of: notice, author: author, isOpen: isOpen)
        case .jobBidsSealed(let sealed): judgement(of: sealed, author: author)
        case .jobBid(let bid): judgement(of: bid.bid, author: author)
        default: .reject(reason: "\(message.variant.rawValue) is not for this topic")
        }
    }

    private func judgement(of notice: JobBidCommitmentV1, author: PeerID, isOpen: Bool) -> GossipJudgement {
        guard notice.jobID == job, notice.commitment.count <= PublicJob.Limits().commitmentBytesMax,
            let signed = try? SignedObject<BidCommitment>(verifying: notice.commitment), signed.body.jobID == job,
            signed.body.originatorPeerID == originator, signed.body.bidCID.namesObject
        else { return .reject(reason: "no commitment to a bid on this job") }
        guard signed.body.bidderDID.peerID == author else { return .reject(reason: "the commitment is another's") }
        if !isOpen { return .ignore(reason: "no more bids are taken") }
        if commitments[author]?.contains(signed.body.bidCID) ?? false { return .ignore(reason: "said before") }
        return .accept
    }

    private func judgement(of notice: JobBidsSealedV1, author: PeerID) -> GossipJudgement {
        guard author == originator, notice.jobID == job else { return .reject(reason: "the job is another's") }
        guard (1...PublicJob.Limits().commitmentsMax).contains(notice.bids.count),
            notice.bids.allSatisfy(\.namesObject), zip(notice.bids, notice.bids.dropFirst()).allSatisfy({ $0 < $1 })
        else { return .reject(reason: "no bids, too many, or out of order") }
        return .accept
    }

    private func judgement(of bid: ProtocolBid, author: PeerID) -> GossipJudgement {
        guard bid.jobID == job, bid.jobOriginator == originator, bid.executionNodeID == author,
            bid.signedBid.count <= MarketLimits().evidenceBytesMax, let signed = try? bid.verified()
        else { return .reject(reason: "no bid of its author on this job") }
        let isKnown = commitments[author]?.contains(signed.cid) ?? false || sealed?.contains(signed.cid) ?? false
        return isKnown ? .accept : .ignore(reason: "the bid was not committed to, as far as is known here")
    }

    /// Takes in what was accepted.
    fileprivate mutating func heard(_ message: MeshProtocolMessage, author: PeerID, now: MonotonicInstant) {
        switch message {
        case .jobBidCommitment(let notice):
            guard let signed = try? SignedObject<BidCommitment>(verifiedBefore: notice.commitment) else { return }
            commitments[author, default: []].insert(signed.body.bidCID)
        case .jobBidsSealed(let notice): (sealed, sealedAt) = (Set(notice.bids), now)
        default: break
        }
    }

    /// Nobody but the originator follows it, whose market knows the run; so only the rate is bounded here.
    fileprivate mutating func statusJudgement(
        of message: MeshProtocolMessage, author: PeerID, now: MonotonicInstant, _ limits: JobTopics.Limits
    ) -> GossipJudgement {
        guard case .jobStatusUpdate(let update) = message else {
            return .reject(reason: "\(message.variant.rawValue) is not for this topic")
        }
        guard update.jobID == job, update.executorDID.peerID == author else {
            return .reject(reason: "the state of another job, or by another than its executor")
        }
        if now.milliseconds(since: second) >= 1_000 { (second, countsInSecond) = (now, [:]) }
        let said = countsInSecond[author] ?? 0
        guard said < limits.statusPerSecondMax, said > 0 || countsInSecond.count < limits.authorsMax else {
            return .ignore(reason: "more than is followed")
        }
        countsInSecond[author] = said + 1
        return .accept
    }
}

extension MeshProtocolMessage {
    /// The job of a bid, or of a commitment to one.
    var biddenJob: JobID? {
        switch self {
        case .jobBid(let bid): bid.bid.jobID
        case .jobBidCommitment(let commitment): commitment.jobID
        default: nil
        }
    }

    /// The job whose originator a message on a topic of that job concerns.
    var reportedJob: JobID? { if case .jobStatusUpdate(let update) = self { update.jobID } else { biddenJob } }

    /// Whether it belongs to a topic of everybody's.
    func belongs(to topic: String, anchorScope: String) -> Bool {
        switch self {
        case .jobAnnouncement: topic == MeshTopics.jobAnnouncements
        case .executionReceiptAvailable: topic == MeshTopics.receipts
        case .capabilityAdvertisement: topic == MeshTopics.capabilities
        case .anchorHeads: topic == MeshTopics.anchorHeads(scope: anchorScope)
        case .reputationRecordAvailable: topic == MeshTopics.reputation
        default: false
        }
    }
}
