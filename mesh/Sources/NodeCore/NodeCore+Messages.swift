import Determinism
package import JobMarket
import MeshTypes
package import Multiformats
import PeerIdentity
import SignedObjects

/// What messages are worth, and who is to blame for bad ones.
extension NodeCore {
    /// Blames the sender of a refused message, where it is at fault.
    mutating func judge(_ reply: MeshProtocolReply, of peer: PeerID, _ moment: NodeMoment) {
        guard case .refused(let refusal) = reply else { return }
        let isFault =
            switch refusal.blame {
            case .none: false
            case .unknownSubject: conduct.asked(peer, now: moment.now)
            case .sender: true
            }
        if isFault { note(peer, "\(refusal.code): \(refusal.text)", isMet: true, moment) }
    }

    // MARK: Gossip

    /// Judges a gossip message before it is forwarded, and takes in a good one.
    ///
    /// - Parameter isAuthorConnected: whether its author is connected; its forwarders are not to blame.
    package mutating func judge(
        _ data: [UInt8], topic: String, author: PeerID, isAuthorConnected: Bool, at moment: NodeMoment
    ) -> (verdict: GossipJudgement, effects: [NodeEffect]) {
        guard author != identity.peerID else { return (.accept, []) }
        guard !isShunned(author, at: moment) else { return (.ignore(reason: "of a shunned peer"), []) }
        market.configuration.storage = moment.storage
        let (verdict, fault) = verdict(on: data, topic: topic, author: author, moment)
        if let fault { note(author, fault, isMet: isAuthorConnected, moment) }
        return (verdict, finish(moment))
    }

    /// The verdict on a message, and what its author did wrong.
    private mutating func verdict(
        on data: [UInt8], topic: String, author: PeerID, _ moment: NodeMoment
    ) -> (GossipJudgement, fault: String?) {
        let message: MeshProtocolMessage
        do {
            message = try MeshProtocolMessage.decode(data, bytesMax: MeshProtocolMessage.Limits().gossipBytesMax)
        } catch MeshMessageError.unknownVariant(let name) {
            tally("messages_unknown")
            return (.ignore(reason: "this version does not know \(name)"), nil)
        } catch MeshMessageError.numberTooLarge(let max) {
            // Its author signed it; a forwarder of an earlier version accepts such numbers.
            return (.ignore(reason: "a number too large"), "a gossip message with a number above \(max)")
        } catch {
            return (.reject(reason: "\(error)"), "a gossip message that does not read: \(error)")
        }
        if topic.hasPrefix(MeshTopics.jobPrefix) { return verdict(on: message, data.count, topic, author, moment) }
        guard message.belongs(to: topic, anchorScope: market.configuration.anchorScope) else {
            let reason = "\(message.variant.rawValue) is not for this topic"
            return (.reject(reason: reason), "gossip: \(reason)")
        }
        let (verdict, transition) = market.judge(
            message, author: author, now: moment.now, wallClock: moment.wallClock)
        absorb(transition, moment)
        switch verdict {
        case .accept:
            if case .capabilityAdvertisement(let advertisement) = message { remember(advertisement, moment) }
            if case .reputationRecordAvailable(let notice) = message, let record = market.unchecked(notice) {
                effects.append(.errand(.checkRecord(record)))
            }
            return (.accept, nil)
        case .ignore(let reason): return (.ignore(reason: reason), nil)
        case .reject(let reason): return (.reject(reason: reason), "gossip: \(reason)")
        }
    }

    private mutating func remember(_ advertisement: CapabilityAdvertisementV1, _ moment: NodeMoment) {
        guard let signed = try? SignedObject<NodeCapability>(verifiedBefore: advertisement.capability) else { return }
        capabilities.heard(
            signed.body, cid: signed.cid, byteCount: advertisement.capability.count, now: moment.now)
    }

    /// The verdict on a message on the topic of one job. What concerns this node's own job or bid counts as if its
    /// author had sent it directly, who perhaps cannot.
    private mutating func verdict(
        on message: MeshProtocolMessage, _ byteCount: Int, _ topic: String, _ author: PeerID, _ moment: NodeMoment
    ) -> (GossipJudgement, fault: String?) {
        let judgement = jobTopics.judgement(
            of: message, byteCount: byteCount, topic: topic, author: author, now: moment.now)
        if case .reject(let reason) = judgement { return (judgement, "gossip: \(reason)") }
        guard judgement == .accept else { return (judgement, nil) }
        tally("heard_of_jobs")
        let isSealing = if case .jobBidsSealed = message { true } else { false }
        guard isSealing || message.reportedJob.flatMap(market.originatedJob) != nil else { return (.accept, nil) }
        let (reply, transition) = market.receive(
            message, from: author, of: bidder(of: message, moment), now: moment.now,
            wallClock: moment.wallClock)
        absorb(transition, moment)
        bidTaken(on: message, moment)
        guard !isSealing, case .refused(let refusal) = reply else { return (.accept, nil) }
        return refusal.blame == .sender
            ? (.reject(reason: refusal.text), "gossip: \(refusal.text)") : (.ignore(reason: refusal.text), nil)
    }

    /// What the bidder of a message offers, and what it has too little of for the job's module or inputs.
    func bidder(of message: MeshProtocolMessage, _ moment: NodeMoment) -> KnownBidder {
        guard case .jobBid(let bid) = message else { return KnownBidder() }
        var known = capabilities.bidder(bid.bid.executorDID, now: moment.now)
        known.shortage = known.offer.flatMap { outlooks.shortage(of: $0.capability, for: bid.bid.jobID) }
        return known
    }

    // MARK: Conduct

    /// Whether to drop a peer's messages unread because it sent too many bad ones, or because the owner banned it;
    /// counts each one dropped.
    package mutating func isShunned(_ peer: PeerID, at moment: NodeMoment) -> Bool {
        guard dealings.bans[peer] != nil || conduct.isShunned(peer, now: moment.now) else { return false }
        tally("messages_unread")
        return true
    }

    /// Notes that a peer misbehaved, and disconnects one that does so again and again.
    mutating func note(_ peer: PeerID, _ fault: String, isMet: Bool, _ moment: NodeMoment) {
        // It may quote the peer.
        let what = PlainText.sanitized(fault, bytesMax: limits.noteBytesMax)
        tally("misbehaviours")
        effects.append(.misbehaved(peer, what))
        if notes.add(what, about: peer, isMet: isMet, at: moment.wallClock.value) {
            notesAt = notesAt ?? moment.now.advanced(milliseconds: notes.limits.pauseMilliseconds)
        } else {
            tally("misbehaviours_not_written")
        }
        guard conduct.faulted(peer, now: moment.now) else { return }
        tally("peers_shunned")
        effects.append(.errand(.shun(peer, milliseconds: conduct.limits.shunMilliseconds, last: what)))
    }

    /// Hands the notes about peers to the disk as one commit that nobody waits for; never two at once, and none while
    /// the disk waits for a lock or for room.
    mutating func writeFaults(_ moment: NodeMoment) {
        guard let at = notesAt, at <= moment.now else { return }
        let isStuck =
            switch moment.storage {
            case .locked, .diskFull: true
            case .open, .full: false
            }
        guard !isStuck, !areFaultsUnderWay else {
            notesAt = moment.now.advanced(milliseconds: notes.limits.pauseMilliseconds)
            return
        }
        notesAt = nil
        areFaultsUnderWay = true
        effects.append(.writeFaults(notes.takeAll()))
    }
}
