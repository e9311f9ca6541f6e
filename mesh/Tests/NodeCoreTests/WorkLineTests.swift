import Determinism
import Foundation
import JobMarket
import MeshTypes
import Multiformats
import PeerIdentity
import SignedObjects
import Testing

@testable import NodeCore

/// What the log says of each event, as a table; and how much of it strangers get.
@Suite("The log of a node's work")
struct WorkLineTests {
    private let originator: Identity
    private let executor: Identity
    private let at = UnixMilliseconds(1_800_000_000_000)
    private let module = CID.hashing([1], codec: .raw)
    private let manifest: SignedObject<JobManifest>
    private let bid: SignedObject<Bid>
    private let assignment: SignedObject<Assignment>
    private let receipt: SignedObject<ExecutionReceipt>
    private let settlement: SignedObject<Settlement>
    private let job: JobID

    init() throws {
        originator = try Identity(seed: Array(repeating: 1, count: 32))
        executor = try Identity(seed: Array(repeating: 2, count: 32))
        var params = MeshJobParams(wasmCID: module)
        params.maxFuel = 5_000_000
        params.maxAcceptableBidTokens = TokenAmount(25)
        manifest = try .sign(
            JobManifest(
                params: params, originatorDID: originator.did, originatorPeerID: originator.peerID,
                originatorAddresses: [], nonce: Array(repeating: 7, count: 16), submittedAt: at,
                biddingDeadline: at, expiresAt: at), with: originator)
        job = JobID(manifest.cid)
        let terms = BidTerms(
            price: TokenAmount(20), basePrice: TokenAmount(5), pricePerMillionFuel: TokenAmount(2), earliestStart: at,
            deadline: at)
        bid = try .sign(
            Bid(
                jobID: job, originatorPeerID: originator.peerID, bidderDID: executor.did,
                bidderPeerID: executor.peerID, terms: terms, issuedAt: at, expiresAt: at), with: executor)
        assignment = try .sign(
            Assignment(
                jobID: job, originatorDID: originator.did, bidCID: bid.cid, executorDID: executor.did, attempt: 2,
                leaseMilliseconds: 10_000, terms: terms, assignedAt: at, acceptBy: at), with: originator)
        receipt = try .sign(
            ExecutionReceipt(
                jobID: job, assignmentCID: assignment.cid, originatorDID: originator.did, executorDID: executor.did,
                attempt: 2, moduleCID: module, inputCIDs: [:], outcome: .exited(code: 3),
                resourceUsage: ResourceUsage(
                    fuel: 1_000_000, peakMemoryBytes: 1, hostCalls: [:], bytesRead: 0, bytesWritten: 0,
                    wallMilliseconds: 1), price: TokenAmount(7),
                engine: EngineDescription(name: "wasmtime", version: "1", configurationDigest: "ab"),
                determinism: .deterministic, executionStartedAt: at, executionEndedAt: at), with: executor)
        settlement = try .sign(
            Settlement(
                jobID: job, receiptCID: receipt.cid, originatorDID: originator.did, executorDID: executor.did,
                amountPaid: TokenAmount(7), amountRefunded: TokenAmount(13), verdict: .paid, settledAt: at),
            with: originator)
    }

    /// The line about what happened, as `event name=value|name=value` without the job.
    private func line(_ role: JobRole, _ kind: JobEventKind) -> String? {
        WorkLine.line(of: JobEvent(jobID: job, role: role, at: at, kind: kind)).map { line in
            #expect(line.fields.first == WorkLine.Field("job", job))
            let fields = line.fields.dropFirst().map { "\($0.name)=\($0.value)" }
            return "\(line.event.rawValue) " + fields.joined(separator: "|")
        }
    }

    @Test("An originator's line of each event")
    func originators() {
        let (bidder, other) = (executor.did.short, assignment.cid)
        let (paid, counted) = ("receipt=\(receipt.cid)", "fuel=1000000|price=7")
        let ended = "reason=the module ended with exit code 3"
        let refusal = BidRefusal.priceTooHigh(price: TokenAmount(20), max: TokenAmount(9))
        let table: [(JobEventKind, String?)] = [
            (
                .submitted(manifest: manifest, requester: originator.did, idempotencyKey: "", announceUntil: at),
                "job_submitted module=\(module)|max_fuel=5000000|max_price=25"
            ), (.announced(round: 1, windowUntil: at, biddingUntil: at), nil),
            (.bidReceived(bid: bid, refusal: nil), "bid_received bidder=\(bidder)|price=20"),
            (
                .bidReceived(bid: bid, refusal: refusal),
                "bid_refused bidder=\(bidder)|price=20|code=price_too_high|"
                    + "reason=the price of up to 20 tokens is above the budget of 9"
            ),
            (
                .fundsAwaited(needed: TokenAmount(20), available: TokenAmount(3), until: at),
                "funds_awaited needed=20|available=3"
            ),
            (
                .assignmentMade(assignment: assignment, confirmUntil: at),
                "job_assigned executor=\(bidder)|price=20|attempt=2|assignment=\(other)"
            ), (.assignmentConfirmed(assignment: other, fetchUntil: at), "job_confirmed assignment=\(other)"),
            (
                .attemptEnded(assignment: other, end: .unconfirmed),
                "attempt_ended assignment=\(other)|reason=\(AttemptEnd.unconfirmed)"
            ), (.statusReported(assignment: other, status: .running, progressPermille: 10, until: at), nil),
            (
                .receiptAccepted(assignment: other, receipt: receipt, outputsUntil: at),
                "receipt_accepted executor=\(bidder)|\(paid)|\(counted)|\(ended)"
            ),
            (
                .lateReceipt(receipt: receipt, settlement: settlement, notifyUntil: at),
                "receipt_late executor=\(bidder)|\(paid)|\(counted)|\(ended)"
            ),
            (
                .resultReached(result: .failed, outcome: .exited(code: 3)), "job_ended status=failed|\(ended)"
            ),
            (
                .resultReached(result: .completedSuccessfully, outcome: .exited(code: 0)),
                "job_ended status=succeeded|reason=the module ended with exit code 0"
            ),
            (
                .failed(.nobodyReachable),
                "job_ended status=failed|code=nobody_reachable|reason=\(JobFailure.nobodyReachable)"
            ), (.cancelled(reason: "enough"), "job_ended status=cancelled|reason=enough"),
            (
                .settled(settlement: settlement, notifyUntil: at),
                "settlement_made executor=\(bidder)|\(paid)|paid=7|refunded=13|verdict=paid"
            ), (.settlementDelivered(receipt: receipt.cid, acknowledged: true), nil),
            (.settlementDelivered(receipt: receipt.cid, acknowledged: false), "settlement_unanswered \(paid)"),
            (.closed, nil),
        ]
        for (kind, expected) in table { #expect(line(.originator, kind) == expected, "\(kind.name)") }
    }

    @Test("An executor's line of each event")
    func executors() {
        let party = "originator=\(originator.did.short)"
        let paid = "receipt=\(receipt.cid)"
        let refused = BidEnd.refused(code: .known(.otherBidTaken), reason: "rank 2 of 3")
        let table: [(JobEventKind, String?)] = [
            (.bidMade(manifest: manifest, bid: bid), "bid_made \(party)|price=20"),
            (.bidClosed(reason: refused), "bid_lost code=other_bid_taken|reason=rank 2 of 3"),
            (.bidClosed(reason: .lapsed), "bid_lost code=lapsed|reason=it was not taken up in time"),
            (.bidClosed(reason: .notDelivered(reason: "gone")), "bid_lost code=not_delivered|reason=gone"),
            (
                .bidClosed(reason: .declinedAssignment(code: .known(.atCapacity), reason: "full")),
                "assignment_declined code=at_capacity|reason=full"
            ),
            (
                .assignmentAccepted(manifest: manifest, bid: bid, assignment: assignment),
                "bid_won \(party)|price=20|attempt=2"
            ), (.executionStarted(giveUpAt: at), "run_fetching "),
            (.executionProgressed(status: .running), "run_started "),
            (.executionProgressed(status: .producingOutputs), nil),
            (.stopRequested(reason: "enough", byOriginator: true), "run_stopping by=originator|reason=enough"),
            (
                .receiptSigned(receipt: receipt, deliverUntil: at),
                "run_ended \(party)|\(paid)|fuel=1000000|price=7|reason=the module ended with exit code 3"
            ), (.receiptDelivered(.acknowledged, settleUntil: at), nil),
            (
                .receiptDelivered(.expired, settleUntil: at),
                "receipt_undelivered reason=the originator could not be reached in time"
            ),
            (
                .settlementReceived(settlement: settlement),
                "payment_received \(party)|\(paid)|paid=7|refunded=13|verdict=paid"
            ), (.settlementOverdue, "payment_overdue "), (.closed, nil),
        ]
        for (kind, expected) in table { #expect(line(.executor, kind) == expected, "\(kind.name)") }
    }

    @Test("A job on which the node does not bid says why; the market tells it only where somebody asks")
    func declines() throws {
        for tells in [false, true] {
            var configuration = MarketConfiguration()
            configuration.tellsDeclines = tells
            var terms = ExecutorConfiguration()
            terms.acceptsJobs = false
            configuration.executor = terms
            var core = NodeCore(
                identity: executor, market: JobMarket(identity: executor, configuration: configuration))
            var announced = manifest.body
            announced.expiresAt = at.advanced(milliseconds: 60_000)
            announced.biddingDeadline = announced.expiresAt
            let signed = try SignedObject.sign(announced, with: originator)
            let announcement = JobAnnouncementV1(
                jobID: JobID(signed.cid), manifest: signed.bytes, originatorPeerID: originator.peerID,
                providerAddresses: [], expiresAt: announced.expiresAt)
            let (_, effects) = core.judge(
                try MeshProtocolMessage.jobAnnouncement(announcement).encoded(), topic: MeshTopics.jobAnnouncements,
                author: originator.peerID, isAuthorConnected: true, at: NodeMoment(now: .zero, wallClock: at))
            let lines = effects.compactMap { effect -> WorkLine? in
                if case .declined(let declined) = effect { WorkLine.line(of: declined) } else { nil }
            }
            #expect(core.market.counters.declines == ["not_accepting": 1])
            guard tells else {
                #expect(lines.isEmpty)
                continue
            }
            let expected = [
                WorkLine.Field("job", JobID(signed.cid)), WorkLine.Field("code", "not_accepting"),
                WorkLine.Field("reason", "this node takes no jobs now"),
            ]
            #expect(lines.map(\.event) == [.bidWithheld])
            #expect(lines.first?.fields == expected)
        }
    }

    // MARK: The budget

    @Test("Strangers fill the log with so many lines of an event and no more; the rest is counted and told")
    func budget() {
        var limits = LogBudget.Limits()
        limits.linesAtOnceMax = 3
        limits.linesPerMinuteMax = 60
        var budget = LogBudget(limits: limits)
        func at(_ milliseconds: Int64) -> MonotonicInstant { .zero.advanced(milliseconds: milliseconds) }
        func lines(_ count: Int, _ event: WorkEvent, at milliseconds: Int64) -> Int {
            (0..<count).count { _ in budget.admits(event, now: at(milliseconds)) }
        }
        #expect(lines(5, .peerConnected, at: 0) == 3)
        budget.checkInvariants()
        #expect(lines(1, .bidMade, at: 0) == 1, "a flood of one event hides no other")
        #expect(lines(100, .jobSubmitted, at: 0) == 100, "the owner's jobs are not bounded")
        #expect(lines(1, .peerConnected, at: 999) == 0)
        #expect(lines(2, .peerConnected, at: 1_000) == 1, "one comes back in a second")
        #expect(budget.nextDeadline == at(10_000))
        let early = budget.wake(now: at(9_999))
        #expect(early == nil)
        let told = budget.wake(now: at(10_000))
        #expect(told == [WorkLine(.linesLeftOut, .init("of", "peer_connected"), .init("lines", "4"))])
        #expect(budget.nextDeadline == nil)
        let again = budget.takeLeftOut()
        #expect(again.isEmpty, "told once")
        #expect(lines(5, .peerConnected, at: 3_600_000) == 3, "a quiet hour earns no more than a full budget")
        let rest = budget.takeLeftOut()
        #expect(rest.map(\.fields.last?.value) == ["2"], "the end tells the rest")
        budget.checkInvariants()
    }

    @Test("As shipped, a flood of one event gets 64 lines at once and 240 a minute")
    func shipped() {
        var budget = LogBudget()
        let moments = (0...60_000).map { MonotonicInstant.zero.advanced(milliseconds: $0) }
        let admitted = moments.count { budget.admits(.peerMisbehaved, now: $0) }
        #expect(admitted == 64 + 240)
    }

    @Test("docs/log.md lists every event")
    func documented() throws {
        let page = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../../../docs/log.md")
        let rows = try String(contentsOf: page, encoding: .utf8).split(separator: "\n").filter { $0.hasPrefix("| `") }
        for event in WorkEvent.allCases {
            #expect(rows.contains { $0.contains("`\(event.rawValue)`") }, "\(event)")
            #expect(event.sentence.hasSuffix("."))
        }
    }

    @Test("Of a bootstrap address that does not answer less and less is told, and all again once it did")
    func entrances() {
        var limits = EntranceFailures.Limits()
        limits.addressesMax = 2
        var entrances = EntranceFailures(limits: limits)
        #expect((1...40).compactMap { _ in entrances.failed("a") } == [1, 2, 4, 8, 16, 32])
        #expect(entrances.failed("b") == 1)
        #expect(entrances.failed("c") == nil, "more than are counted")
        entrances.answered("a")
        #expect(entrances.failed("c") == 1)
        entrances.answered("b")
        #expect((1...3).map { _ in entrances.failed("a") } == [1, 2, nil])
        let line = WorkLine.bootstrapFailed("/ip4/10.0.0.1/tcp/1", times: 4, reason: "connection refused")
        #expect(
            line.fields.map { "\($0.name)=\($0.value)" } == [
                "address=/ip4/10.0.0.1/tcp/1", "times=4", "reason=connection refused",
            ])
        #expect(!line.event.isOfStrangers)
    }

    @Test("What an event says has plain words: no names of states, codes or verdicts")
    func explained() throws {
        let refused = BidEnd.refused(
            code: .known(.otherBidTaken), reason: "another bid was taken: rank 2 of 3",
            lostTo: BidWinner(did: originator.did, price: TokenAmount(7)))
        let rows: [(role: JobRole, kind: JobEventKind, text: String)] = [
            (
                .executor, .bidClosed(reason: refused),
                "The bid came to nothing: another bid was taken: rank 2 of 3; \(originator.did.short) has the job for "
                    + "at most 7 tokens."
            ),
            (
                .executor, .bidClosed(reason: .refused(code: .known(.priceTooHigh), reason: "")),
                "The bid came to nothing: refused: price too high."
            ),
            (
                .executor, .executionProgressed(status: .running),
                "Module and inputs are here, and the module runs."
            ),
            (
                .executor, .receiptDelivered(.refused(code: .unknown("later_code"), reason: ""), settleUntil: at),
                "The receipt's delivery ended: the originator does not take it: later code."
            ),
            (
                .originator,
                .attemptEnded(assignment: assignment.cid, end: .leaseExpired(lastStatus: .preparingExecution)),
                "The attempt ended: the executor was silent for longer than its lease; it was last fetching module and "
                    + "inputs, compiling."
            ),
            (
                .originator, .failed(.expired(during: .biddingOpen)),
                "The job failed: the job's time was over; it was still waiting for bids."
            ),
            (
                .originator, .settled(settlement: settlement, notifyUntil: at),
                "Settled: 7 tokens paid to \(executor.did.short), 13 of the tokens held went back."
            ),
        ]
        for row in rows {
            #expect(JobEvent(jobID: job, role: row.role, at: at, kind: row.kind).explanation == row.text)
        }
        for kind in TrapKind.allCases {
            let outcome = ExecutionOutcome.trapped(kind: kind, message: "at 7")
            #expect(!outcome.description.contains("_"), "\(outcome)")
        }
        for status in JobStatus.allCases {
            #expect(status.words.allSatisfy { !$0.isUppercase })
            let told: [(JobRole, JobEventKind)] = [
                (.executor, .executionProgressed(status: status)),
                (
                    .originator,
                    .statusReported(assignment: assignment.cid, status: status, progressPermille: nil, until: at)
                ),
            ]
            for (role, kind) in told {
                let text = JobEvent(jobID: job, role: role, at: at, kind: kind).explanation
                #expect(!text.contains("_") && text.dropFirst().allSatisfy { !$0.isUppercase }, "\(text)")
            }
        }
    }
}
