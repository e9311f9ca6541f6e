import MeshTypes
import Multiformats
import SignedObjects

/// What a job that this node bid on or runs waits for, and what the node owes to others.
extension ExecutedJob {
    /// What its timers depend on.
    struct Marks: Hashable {
        let openBid: CID?
        let hasAssignment: Bool
        let deliverUntil: UnixMilliseconds?
        let settleUntil: UnixMilliseconds?
        let lodgeAt: UnixMilliseconds?
        let anchor: AnchorState
        let isClosed: Bool
    }

    var marks: Marks {
        let delivery = receiptDelivery
        return Marks(
            openBid: isOpenBid ? bidCID : nil, hasAssignment: !cameToNothing, deliverUntil: delivery?.deliverUntil,
            settleUntil: delivery?.settleUntil, lodgeAt: lodgeAt, anchor: delivery?.anchor ?? .none, isClosed: isClosed)
    }

    func armTimers(from old: Marks?, _ context: inout MarketContext) {
        let new = marks
        if isOpenBid, old?.openBid != bidCID {
            context.setTimer(.bidExpiry(id), at: bidLapsesAt)
        } else if !isOpenBid {
            context.timers.clear(.bidExpiry(id))
        }
        if occupiesPlace, let assignment {
            if !(old?.hasAssignment ?? false) {
                let quiet = StatusReports.quietMilliseconds(assignment, context.limits)
                let milliseconds = quiet > 0 ? quiet : assignment.leaseMilliseconds / 3
                context.setTimer(.heartbeat(id), inMilliseconds: max(1, milliseconds))
                context.setTimer(.linger(id), at: bidLapsesAt)
            }
        } else {
            context.timers.clear(.heartbeat(id))
        }
        if receiptDelivery != nil, old == nil {
            context.setTimer(.linger(id), at: bidLapsesAt)
        }
        if !occupiesPlace { context.timers.clear(.giveUp(id)) }
        Self.arm(.receiptDelivery(id), old?.deliverUntil, new.deliverUntil, &context)
        Self.arm(.settlement(id), old?.settleUntil, new.settleUntil, &context)
        if let date = new.lodgeAt, date != old?.lodgeAt {
            context.setTimer(.lodging(id), inMilliseconds: date.milliseconds(since: context.wallClock))
        } else if new.lodgeAt == nil {
            context.timers.clear(.lodging(id))
        }
        new.anchor.armTimer(.anchor(id, .executor), from: old?.anchor, &context)
        if isClosed { context.timers.clear(.linger(id)) }
    }

    private static func arm(
        _ timer: MarketTimer, _ old: UnixMilliseconds?, _ new: UnixMilliseconds?, _ context: inout MarketContext
    ) {
        guard old != new else { return }
        if let new { context.setTimer(timer, at: new) } else { context.timers.clear(timer) }
    }

    /// Whether it waits for anything.
    func hasTimer(_ context: MarketContext) -> Bool {
        let timers: [MarketTimer] = [
            .bidExpiry(id), .heartbeat(id), .giveUp(id), .receiptDelivery(id), .settlement(id), .lodging(id),
            .anchor(id, .executor), .linger(id),
        ]
        return timers.contains { context.timers.contains($0) }
    }

    // MARK: Actions

    func emitActions(of event: JobEvent, _ context: inout MarketContext) {
        switch event.kind {
        case .bidMade: oweBid(isFirst: true, &context)
        case .bidClosed, .assignmentAccepted:
            context.dropDelivery(.bid, job: id, subject: bidCID)
            context.dropDelivery(.bidCommitment, job: id, subject: bidCID)
        case .executionStarted: order(&context)
        case .stopRequested(let reason, _):
            if let assignmentCID, isStarted {
                context.emit(.cancelExecution(assignment: assignmentCID, reason: reason))
            }
        case .receiptSigned: deliverReceipt(&context)
        case .settlementReceived, .settlementOverdue:
            // After a restart it may be on its way again.
            if let receiptCID { context.dropDelivery(.receipt, job: id, subject: receiptCID) }
            publishReceipt(&context)
        case .closed: if receiptDelivery?.settlement == .awaited { publishReceipt(&context) }
        case .receiptDelivered:
            if let receiptCID { context.dropDelivery(.receipt, job: id, subject: receiptCID) }
        case .anchored: context.publishHeads(anchorOf: id)
        default: break
        }
    }

    /// Sends the bid, or says that there is one where bids are public.
    func oweBid(isFirst: Bool = false, _ context: inout MarketContext) {
        if manifest.policy.hasPublicBids { return oweCommitment(isFirst: isFirst, &context) }
        context.deliver(
            .jobBid(JobBidV1(bid: ProtocolBid(signedBid))), .bid, job: id, subject: bidCID,
            to: manifest.originatorPeerID, addresses: manifest.originatorAddresses, until: bidLapsesAt)
    }

    private func order(_ context: inout MarketContext) {
        guard let assignment, let assignmentCID else { return }
        context.emit(
            .fetchInputs(
                ExecutionOrder(
                    jobID: id, assignmentCID: assignmentCID, manifest: manifest, executorDID: context.did,
                    attempt: assignment.attempt)))
    }

    /// Tells the originator the state of the run, which renews the lease; once, because the next report follows anyway.
    func tell(_ update: JobStatusUpdateV1, _ context: inout MarketContext) {
        context.tell(
            .jobStatusUpdate(update), .status, job: id, subject: update.assignmentCID, to: manifest.originatorPeerID,
            addresses: manifest.originatorAddresses)
        guard manifest.policy.hasPublicStatus else { return }
        context.emit(.tellEverybody(id, topic: MeshTopics.status(of: id), .jobStatusUpdate(update)))
    }

    private func notice(
        of signed: SignedObject<ExecutionReceipt>, _ context: MarketContext
    ) -> ExecutionReceiptAvailableV1 {
        ExecutionReceiptAvailableV1(
            jobID: id, receiptCID: signed.cid, executorDID: signed.body.executorDID, status: signed.body.status,
            providerAddresses: context.addresses)
    }

    /// Tells everybody of the receipt, once its originator settled it or had the time to: before, whoever has the same
    /// work to do could copy its result.
    func publishReceipt(_ context: inout MarketContext) {
        guard let signed = receiptDelivery?.signed else { return }
        context.emit(.publishReceipt(receipt: signed.cid, block: signed.bytes, notice(of: signed, context)))
    }

    /// Gives the receipt to the originator, if it has not got it; or if the settlement is awaited, after a restart: the
    /// originator may still want the outputs, and may have dialed this node in vain so often that it leaves it alone.
    func deliverReceipt(_ context: inout MarketContext) {
        guard let delivery = receiptDelivery, let until = delivery.deliverUntil ?? delivery.settleUntil else { return }
        let signed = delivery.signed
        var notice = notice(of: signed, context)
        notice.receipt = signed.bytes
        context.deliver(
            .executionReceiptAvailable(notice), .receipt, job: id, subject: signed.cid, to: manifest.originatorPeerID,
            addresses: manifest.originatorAddresses, until: until)
    }
}
