import Credit
import MeshTypes
import Multiformats
import SignedObjects

extension JobEvent {
    /// The event in words: one sentence, who did what and why. Text from others is made safe for a terminal.
    package var explanation: String {
        switch role {
        case .originator: originatorExplanation
        case .executor: executorExplanation
        }
    }

    private var originatorExplanation: String {
        switch kind {
        case .submitted(let manifest, let requester, _, _):
            submission(manifest.body, requester)
        case .verificationChosen, .verificationBegan, .verificationEnded, .paymentRefused, .replicasMade, .replicaOf,
            .replicaJudged, .checkerMissing, .trialBegan, .trialEnded:
            verificationExplanation
        case .announced(let round, let window, let bidding):
            (round == 1 ? "Announced to the mesh" : "Announced again, round \(round)")
                + ": bids are collected for \(window.milliseconds(since: at)) ms"
                + " and, if none is acceptable, for up to \(bidding.milliseconds(since: at)) ms."
        case .bidReceived(let bid, let refusal): bidLine(bid.body, refusal)
        case .bidDisplaced(let bid): "The bid \(ShortName.of(bid.text)) made way for a better one."
        case .bidCommitted(let commitment):
            "\(commitment.body.bidderDID.short) has a bid, \(ShortName.of(commitment.body.bidCID.text)), that it shows "
                + "when nobody can bid any more."
        case .bidsSealed(let cause, let until):
            "No more bids are taken, \(Self.words(cause)): each is to be shown within "
                + "\(until.milliseconds(since: at)) ms."
        case .executorsJudged(let outlook): outlook.account
        case .biddingClosed(let cause, let ranking): closing(cause, ranking)
        case .fundsAwaited(let needed, let available, _):
            "\(needed) tokens must be held, \(available) are there; what other jobs hold may come back."
        case .holdAwaited, .holdDelayed, .holdFailed, .holdGiven: creditExplanation
        case .assignmentMade(let assignment, _): assignmentLine(assignment.body)
        case .assignmentConfirmed: "The executor took the assignment."
        case .acceptanceSigned: "The executor signed that it took the assignment."
        case .attemptResumed: "The other executor gave no result; the slow run is waited for again."
        case .attemptEnded(_, let end) where end.isHedge: "A second copy is made: \(end)."
        case .attemptEnded(_, let end): "The attempt ended: \(end)."
        case .statusReported(_, let status, let progress, _): Self.reported(status, progress)
        case .receiptAccepted(_, let receipt, _): receiptLine(receipt, "A valid receipt came")
        case .receiptChosen(let receipt): "The receipt \(receipt.text) has all its outputs here and counts."
        case .lateReceipt(let receipt, _, _):
            receiptLine(receipt, "A receipt, or its outputs, came after the job had its result and is not paid")
        case .cancellationRequested(let reason, _): "Cancellation was asked for: \(PlainText.sanitized(reason))."
        case .resultReached(let result, let outcome): "The job \(result.verb): \(outcome)."
        case .settled(let settlement, _): settlementLine(settlement.body)
        case .failed(let failure): "The job failed: \(failure)."
        case .cancelled(let reason): "The job was cancelled: \(PlainText.sanitized(reason))."
        case .settlementDelivered(_, let acknowledged):
            acknowledged
                ? "The executor has the settlement." : "The executor was told of the settlement and did not answer."
        default: sharedExplanation
        }
    }

    private var verificationExplanation: String {
        switch kind {
        case .verificationChosen(let opening):
            "The result will be checked (\(opening.level)); no manifest tells before it is settled."
        case .verificationBegan(_, .replay, let until):
            "The result is checked before it counts: this node runs the job again, for up to "
                + "\(GroupedNumber.of(until.milliseconds(since: at) / 1_000)) s with the wait for its turn and a place."
        case .verificationBegan(_, .agreement, let until):
            "The result is here. It is compared with those of the other executors when all are, at the latest in "
                + "\(GroupedNumber.of(until.milliseconds(since: at) / 1_000)) s."
        case .verificationBegan(_, .refusal, _):
            "The executor says that the module cannot run; this node looks whether it refuses it, too."
        case .verificationEnded(_, .confirmed, _): "The check bears out what the receipt says."
        case .verificationEnded(_, .agreed, _): "Enough executors gave the same."
        case .verificationEnded(_, .fuelUnknown, let fuel):
            "The run gave the same here. Its fuel cannot be compared, because the executor's engine is another; paid "
                + "is at most the \(GroupedNumber.of(fuel ?? 0)) that it used here."
        case .verificationEnded(_, .unverified, _):
            "The check could not be made; the receipt counts unchecked, since nothing is due for a refused module."
        case .verificationEnded: "The owner ended the check; the receipt counts unchecked."
        case .paymentRefused(let settlement, _): settlementLine(settlement.body)
        case .replicasMade(let jobs):
            "The same work goes to \(jobs.count) more executor\(jobs.count == 1 ? "" : "s"), as the "
                + "job\(jobs.count == 1 ? "" : "s") \(jobs.map(\.short).joined(separator: ", "))."
        case .checkerMissing(let reason):
            "No other executor checks the result, so this node does: \(PlainText.sanitized(reason))."
        case .trialBegan(_, let until):
            "So many executors say that they failed the job that this node runs it itself before it ends, for up to "
                + "\(GroupedNumber.of(until.milliseconds(since: at) / 1_000)) s with the wait for its turn."
        case .trialEnded(true, let reason):
            "The job can be run, so other executors are asked: \(PlainText.sanitized(reason))."
        case .trialEnded(false, let reason):
            "This node could not run the job, so the failures of the executors decide: \(PlainText.sanitized(reason))."
        case .replicaOf(let job): "It is a replica of the job \(job.short), for another executor."
        case .replicaJudged(let job, let executor, let finding, let proof):
            "\(executor.short), which did the same work as \(job.short): \(Self.words(finding, proof))."
        default: "\(kindName)."
        }
    }

    private var creditExplanation: String {
        switch kind {
        case .holdAwaited(let wish, let until):
            "The issuer \(wish.issuerDID.short) is asked to hold \(wish.amount.counted(in: wish.unit)) for attempt "
                + "\(wish.attempt) with \(wish.executorDID.short)"
                + (wish.acrossDID.map { ", a member of \($0.short)" } ?? "") + ", whose bid stands for "
                + "\(GroupedNumber.of(until.milliseconds(since: at) / 1_000)) s more."
        case .holdDelayed(let reason):
            "The job waits for its issuer, which is asked again: \(PlainText.sanitized(reason, bytesMax: 512))"
        case .holdFailed(let executor, let reason, let end):
            (end.isRefusal ? "The issuer refuses the hold" : "There is no hold") + " for \(executor.short): "
                + PlainText.sanitized(reason, bytesMax: 512)
        case .holdGiven(let certificate, let below?):
            "The issuer \(certificate.body.issuerDID.short) holds "
                + "\(certificate.body.amount.counted(in: certificate.body.unit)) for the attempt, by entry "
                + "\(certificate.body.entry) of its book, and had the issuer \(below.body.issuerDID.short) hold it for "
                + "the executor, by entry \(below.body.entry)."
        case .holdGiven(let certificate, nil), .holdTaken(let certificate):
            "The issuer \(certificate.body.issuerDID.short) holds "
                + "\(certificate.body.amount.counted(in: certificate.body.unit)) for the attempt, by entry "
                + "\(certificate.body.entry) of its book."
        case .deliveryProved(let statement):
            statement.body.bidCID == nil
                ? "The originator says that it has the receipt and its outputs; if it does not pay, they are claimed."
                : "The arbiter \(statement.did.short) keeps the result; if the originator does not pay, it is claimed."
        default: "\(kindName)."
        }
    }

    private static func words(_ finding: VerificationFinding, _ proof: CID?) -> String {
        switch finding {
        case .agreed: "the result agrees with enough others"
        case .confirmed, .fuelUnknown: "a run here bears its result out"
        case .refuted: "a run here refutes its result" + (proof.map { ", and the proof is \($0)" } ?? "")
        case .unverified: "nothing bears its result out, so it is not paid"
        case .waived, .unchecked: "its result is paid unchecked"
        }
    }

    private var executorExplanation: String {
        switch kind {
        case .bidMade(_, let bid): bidLine(bid.body, nil, own: true)
        case .bidClosed(let end): "The bid came to nothing: \(end)."
        case .assignmentAccepted: "The originator took up the bid; the run waits for a place."
        case .executionStarted: Self.reached(.preparingExecution)
        case .executionProgressed(let status): Self.reached(status)
        case .stopRequested(let reason, let byOriginator):
            (byOriginator ? "The originator" : "This node's owner")
                + " asked the run to stop: \(PlainText.sanitized(reason))."
        case .receiptSigned(let receipt, _): receiptLine(receipt, "The receipt is signed")
        case .receiptDelivered(let end, _): "The receipt's delivery ended: \(end)."
        case .settlementReceived(let settlement): settlementLine(settlement.body)
        case .holdTaken, .deliveryProved: creditExplanation
        case .settlementOverdue: "The originator did not settle the receipt in time."
        default: sharedExplanation
        }
    }

    private var sharedExplanation: String {
        switch kind {
        case .anchored(let entry, _):
            "Entered in this node's log of receipts, as \(ShortName.of(entry.cid.text))."
        case .anchorPublished(let inTime):
            inTime ? "The log's newest entries were published." : "The log could not be published in time."
        case .closed: "Nothing is left to do."
        default: "\(kindName)."
        }
    }

    /// What the executor reports; one of an earlier release says that it runs the module before it compiles it.
    private static func reported(_ status: JobStatus, _ progress: UInt64?) -> String {
        if let progress { return "The executor reports that the module is \(progress / 10) % done." }
        return switch status {
        case .assigned: "The executor has the job and waits for a place."
        case .preparingExecution: "The executor fetches module and inputs, and compiles the module if it has to."
        case .running: "The executor has module and inputs, and starts the module."
        case .awaitingInputs: "The module waits for input."
        case .producingOutputs: "The module has ended, and the executor stores what it wrote."
        default: "The executor reports a new state: \(status.words)."
        }
    }

    /// How far this node's run is.
    private static func reached(_ status: JobStatus) -> String {
        switch status {
        case .preparingExecution: "Module and inputs are fetched, and the module is compiled if it has to be."
        case .running: "Module and inputs are here, and the module runs."
        case .awaitingInputs: "The module waits for input."
        case .producingOutputs: "The module has ended, and what it wrote is being stored."
        default: "The run has a new state: \(status.words)."
        }
    }

    private func submission(_ manifest: JobManifest, _ requester: DID) -> String {
        let ceiling =
            manifest.params.priceCeiling.map {
                ", at most \($0.counted(in: manifest.policy.payBy?.unit))"
            } ?? ""
        let words = manifest.params.description.map { " \"\(PlainText.sanitized($0, bytesMax: 80))\"" } ?? ""
        return "Submitted by \(requester.short)\(words): module \(ShortName.of(manifest.params.wasmCID.text)), "
            + "\(GroupedNumber.of(manifest.params.maxFuel)) fuel, \(manifest.params.timeoutSeconds) s\(ceiling)."
            + (manifest.params.files.map { " \(Self.words($0))" } ?? "")
    }

    /// What a job sees and keeps of files, in two sentences at most.
    private static func words(_ files: JobFiles) -> String {
        let paths = files.mounts.map(\.path) + (files.hasTemporaryFolder ? [JobFiles.temporaryFolderPath] : [])
        let sees = paths.isEmpty ? "" : "It has files at \(some(paths))."
        let kept = files.collect.map { "\($0.value) as \($0.key)" }
        return [sees, kept.isEmpty ? "" : "Kept are \(some(kept))."].filter { !$0.isEmpty }.joined(separator: " ")
    }

    /// The first few of a list, and how many more there are.
    private static func some(_ texts: [String]) -> String {
        let first = texts.prefix(4).map { PlainText.sanitized($0, bytesMax: 80) }.joined(separator: ", ")
        return texts.count > 4 ? "\(first) and \(texts.count - 4) more" : first
    }

    private func bidLine(_ bid: Bid, _ refusal: BidRefusal?, own: Bool = false) -> String {
        let region = bid.region.map { ", region \(PlainText.sanitized($0, bytesMax: 40))" } ?? ""
        func short(_ amount: TokenAmount) -> String {
            bid.terms.payment.map { DecimalText.of(amount.units, places: $0.unit.decimals) } ?? "\(amount)"
        }
        let offer =
            "at most \(bid.terms.price.counted(in: bid.terms.payment?.unit)) (\(short(bid.terms.basePrice)) + "
            + "\(short(bid.terms.pricePerMillionFuel)) per million fuel)\(region), load \(bid.loadPermille / 10) %"
            + (bid.queueMilliseconds > 0 ? ", its turn within \(bid.queueMilliseconds / 1_000) s" : "")
        if own { return "Bid \(offer)." }
        if bid.isOriginators {
            return "Nobody else made an acceptable bid, so this node bids on its own job, \(offer): "
                + (refusal.map { "refused, \($0)." } ?? "acceptable.")
        }
        return "\(bid.bidderDID.short) bids \(offer): " + (refusal.map { "refused, \($0)." } ?? "acceptable.")
    }

    private static func words(_ cause: BiddingClosure) -> String {
        switch cause {
        case .sufficientBids: "enough acceptable bids are in"
        case .everybodySpoke: "everybody who is known and able has answered"
        case .nothingToGain: "those who have not answered are not worth waiting for any longer"
        case .attemptsFailed: "another executor that had the job says that it failed"
        case .windowElapsed: "the window is over"
        case .firstAcceptableBid: "the first acceptable bid came after the window"
        }
    }

    private func closing(_ cause: BiddingClosure, _ ranking: [RankedBid]) -> String {
        let lines = ranking.prefix(8).enumerated().map { index, bid in
            "\(index + 1). \(bid.bidder.short) score \(bid.score) (price \(part(bid, 0)), reputation \(part(bid, 1)), "
                + "region \(part(bid, 2)), latency \(part(bid, 3)), load \(part(bid, 4)))"
                + (bid.unprovenHeld.map {
                    ", behind: executors without a verified receipt here have \($0) jobs under way or lied lately"
                } ?? "")
        }
        return "Bidding closed, \(Self.words(cause)): " + lines.joined(separator: "; ")
            + (ranking.count > 8 ? "; and \(ranking.count - 8) more." : ".")
    }

    private func part(_ bid: RankedBid, _ index: Int) -> UInt64 {
        index < bid.parts.count ? bid.parts[index] : 0
    }

    private func assignmentLine(_ assignment: Assignment) -> String {
        let executor =
            assignment.executorDID == assignment.originatorDID ? "this node itself" : assignment.executorDID.short
        return "Attempt \(assignment.attempt) goes to \(executor) for at most "
            + (assignment.terms.payment.map { assignment.terms.price.counted(in: $0.unit) }
                ?? "\(assignment.terms.price) tokens")
            + ", which are held; its lease is \(assignment.leaseMilliseconds) ms."
    }

    private func receiptLine(_ signed: SignedObject<ExecutionReceipt>, _ what: String) -> String {
        let receipt = signed.body
        let fuel = GroupedNumber.of(receipt.resourceUsage.fuel)
        let outputs = receipt.outputBlocks.count { $0 != receipt.readCID }
        return "\(what): \(signed.cid.text) by \(receipt.executorDID.short): "
            + "\(PlainText.sanitized(receipt.outcome.description)), \(fuel) fuel, "
            + "\(outputs == 1 ? "1 output" : "\(outputs) outputs"), price \(receipt.price)."
    }

    private func settlementLine(_ settlement: Settlement) -> String {
        let (paid, executor) = (settlement.amountPaid, settlement.executorDID.short)
        if let unit = settlement.unit, [.paid, .paidCancelled].contains(settlement.verdict) {
            return "Settled: \(paid.counted(in: unit)) are due to \(executor). The issuer books that if it is what the "
                + "receipt asks for: mesh describe says what became of the hold."
        }
        let rest = "\(settlement.amountRefunded) of the tokens held went back"
        return switch settlement.verdict {
        case .paid: "Settled: \(paid) tokens paid to \(executor), \(rest)."
        case .paidCancelled:
            "Settled: \(paid) tokens paid to \(executor) for its work until the job was cancelled, \(rest)."
        case .nodeFailure: "Settled: nothing is paid to \(executor), whose node failed."
        case .refuted:
            "Settled: nothing is paid to \(executor), whose receipt a second run refutes"
                + (settlement.proofCID.map { "; the proof is \($0.text)." } ?? ".")
        case .unverified: "Settled: nothing is paid to \(executor), whose receipt was checked and not borne out."
        case .late: "Settled: nothing is paid to \(executor), whose receipt came after the job had its result."
        }
    }
}

extension StandardJobStatus {
    /// The status as the verb of a sentence about the job.
    fileprivate var verb: String {
        switch self {
        case .pending, .running: "is \(words)"
        case .completedSuccessfully, .failed: words
        case .cancelled: "was \(words)"
        }
    }
}

extension Bid {
    /// Whether the originator bids on its own job.
    var isOriginators: Bool { bidderPeerID == originatorPeerID }
}

extension BidEnd: CustomStringConvertible {
    /// One sentence without a full stop.
    package var description: String {
        switch self {
        case .refused(let code, let reason, let winner):
            (isLost ? "" : "refused: ") + (reason.isEmpty ? code.words : reason)
                + (winner.map { "; \($0.did.short) has the job for at most \($0.price.counted())" } ?? "")
        case .lapsed: "it was not taken up in time"
        case .notDelivered(let reason): reason
        case .declinedAssignment(let code, let reason):
            "its assignment was declined: \(reason.isEmpty ? code.words : reason)"
        }
    }

    /// Whether another bid was taken, so that nothing speaks against this one.
    private var isLost: Bool {
        switch self {
        case .refused(.known(.otherBidTaken), _, _), .refused(.known(.biddingClosed), _, _): true
        default: false
        }
    }
}

extension DeliveryEnd: CustomStringConvertible {
    /// One sentence without a full stop.
    package var description: String {
        switch self {
        case .acknowledged: "the originator has it"
        case .refused(let code, let reason):
            "the originator does not take it: \(reason.isEmpty ? code.words : reason)"
        case .expired: "the originator could not be reached in time"
        }
    }
}
