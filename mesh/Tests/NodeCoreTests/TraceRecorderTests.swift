import Determinism
import JobMarket
import MeshTypes
import Multiformats
import PeerIdentity
import SignedObjects
import Testing

@testable import NodeCore

/// The spans of jobs, as values.
@Suite("The recorder of traces")
struct TraceRecorderTests {
    private let originator: Identity
    private let executor: Identity
    private let start = UnixMilliseconds(1_800_000_000_000)

    init() throws {
        originator = try Identity(seed: Array(repeating: 1, count: 32))
        executor = try Identity(seed: Array(repeating: 2, count: 32))
    }

    /// What is signed about one job.
    private struct Papers {
        let manifest: SignedObject<JobManifest>
        let bid: SignedObject<Bid>
        let assignment: SignedObject<Assignment>
        let receipt: SignedObject<ExecutionReceipt>
        let settlement: SignedObject<Settlement>
        let job: JobID
    }

    private func papers(
        _ number: UInt8 = 7, of originator: Identity, outcome: ExecutionOutcome = .exited(code: 0)
    ) throws -> Papers {
        let module = CID.hashing([1], codec: .raw)
        let manifest = try SignedObject.sign(
            JobManifest(
                params: MeshJobParams(wasmCID: module), originatorDID: originator.did,
                originatorPeerID: originator.peerID, originatorAddresses: [],
                nonce: Array(repeating: number, count: 16), submittedAt: start, biddingDeadline: start,
                expiresAt: start), with: originator)
        let job = JobID(manifest.cid)
        let terms = BidTerms(
            price: TokenAmount(20), basePrice: TokenAmount(5), pricePerMillionFuel: TokenAmount(2),
            earliestStart: start, deadline: start)
        let bid = try SignedObject.sign(
            Bid(
                jobID: job, originatorPeerID: originator.peerID, bidderDID: executor.did,
                bidderPeerID: executor.peerID, terms: terms, issuedAt: start, expiresAt: start), with: executor)
        let assignment = try SignedObject.sign(
            Assignment(
                jobID: job, originatorDID: originator.did, bidCID: bid.cid, executorDID: executor.did, attempt: 1,
                leaseMilliseconds: 10_000, terms: terms, assignedAt: start, acceptBy: start), with: originator)
        let receipt = try SignedObject.sign(
            ExecutionReceipt(
                jobID: job, assignmentCID: assignment.cid, originatorDID: originator.did, executorDID: executor.did,
                attempt: 1, moduleCID: module, inputCIDs: [:], outcome: outcome,
                resourceUsage: ResourceUsage(
                    fuel: 1_000_000, peakMemoryBytes: 1, hostCalls: [:], bytesRead: 0, bytesWritten: 0,
                    wallMilliseconds: 1), price: TokenAmount(7),
                engine: EngineDescription(name: "wasmtime", version: "1", configurationDigest: "ab"),
                determinism: .deterministic, executionStartedAt: start, executionEndedAt: start), with: executor)
        let settlement = try SignedObject.sign(
            Settlement(
                jobID: job, receiptCID: receipt.cid, originatorDID: originator.did, executorDID: executor.did,
                amountPaid: TokenAmount(7), amountRefunded: TokenAmount(13), verdict: .paid, settledAt: start),
            with: originator)
        return Papers(
            manifest: manifest, bid: bid, assignment: assignment, receipt: receipt, settlement: settlement, job: job)
    }

    private func recorder(
        _ node: Identity, ratio: UInt64 = 1_000, others: Int = 60, _ limits: TraceRecorder.Limits = .init()
    ) -> TraceRecorder {
        TraceRecorder(
            node: node.did, terms: .init(ratioPermille: ratio, othersPerMinuteMax: others), limits: limits)
    }

    private func at(_ milliseconds: UInt64) -> UnixMilliseconds { start.advanced(milliseconds: milliseconds) }

    private func events(_ papers: Papers, _ role: JobRole, _ kinds: [(UInt64, JobEventKind)]) -> [JobEvent] {
        kinds.map { JobEvent(jobID: papers.job, role: role, at: at($0.0), kind: $0.1) }
    }

    private func submitted(_ papers: Papers) -> JobEventKind {
        .submitted(
            manifest: papers.manifest, requester: originator.did, idempotencyKey: "", announceUntil: start)
    }

    /// The journal of a job that goes well, at its originator.
    private func life(_ papers: Papers) -> [JobEvent] {
        events(
            papers, .originator,
            [
                (0, submitted(papers)), (5, .announced(round: 1, windowUntil: start, biddingUntil: start)),
                (20, .bidReceived(bid: papers.bid, refusal: nil)),
                (30, .biddingClosed(cause: .sufficientBids, ranking: [])),
                (31, .assignmentMade(assignment: papers.assignment, confirmUntil: start)),
                (40, .assignmentConfirmed(assignment: papers.assignment.cid, fetchUntil: start)),
                (
                    60,
                    .statusReported(
                        assignment: papers.assignment.cid, status: .running, progressPermille: nil, until: start)
                ),
                (90, .receiptAccepted(assignment: papers.assignment.cid, receipt: papers.receipt, outputsUntil: start)),
                (95, .resultReached(result: .completedSuccessfully, outcome: .exited(code: 0))),
                (96, .settled(settlement: papers.settlement, notifyUntil: start)),
                (99, .settlementDelivered(receipt: papers.receipt.cid, acknowledged: true)), (120, .closed),
            ])
    }

    /// The same job's journal at its executor.
    private func work(_ papers: Papers) -> [JobEvent] {
        events(
            papers, .executor,
            [
                (12, .bidMade(manifest: papers.manifest, bid: papers.bid)),
                (
                    35,
                    .assignmentAccepted(manifest: papers.manifest, bid: papers.bid, assignment: papers.assignment)
                ), (36, .executionStarted(giveUpAt: start)), (50, .executionProgressed(status: .running)),
                (80, .receiptSigned(receipt: papers.receipt, deliverUntil: start)),
                (92, .receiptDelivered(.acknowledged, settleUntil: start)),
                (98, .settlementReceived(settlement: papers.settlement)), (130, .closed),
            ])
    }

    /// `name start-end < parent`, by what the spans say.
    private func lines(_ spans: [TraceSpan]) -> [String] {
        let names = Dictionary(spans.map { ($0.context.spanID, $0.name) }) { first, _ in first }
        return spans.map { span in
            let above = span.parentID.map { names[$0] ?? "another node's" } ?? "nothing"
            let (from, to) = (span.start.value - start.value, span.end.value - start.value)
            return "\(span.name) \(from)-\(to) < \(above)"
        }
    }

    @Test("An originator's spans are what its journal says, each under the one that it belongs to")
    func originated() throws {
        let papers = try papers(of: originator)
        var recorder = recorder(originator)
        let spans = recorder.take(life(papers), now: .zero)
        #expect(
            lines(spans) == [
                "bidding 0-30 < job", "assignment 31-40 < attempt", "inputs 40-60 < attempt", "run 60-90 < attempt",
                "delivery 90-95 < attempt", "attempt 31-95 < job", "settlement 96-99 < job", "job 0-120 < nothing",
            ])
        #expect(Set(spans.map(\.context.spanID)).count == spans.count)
        #expect(spans.allSatisfy { $0.context.traceID == TraceContext.trace(of: papers.job) && $0.context.isSampled })
        #expect(spans.allSatisfy { $0.failure == nil && $0.attributes.first?.key == "mesh.job.id" })
        #expect(spans[0].events.map(\.name) == ["announced", "bid"] && spans[0].kind == .producer)
        #expect(recorder.count == 0 && recorder.takeOmissions().isEmpty)
        #expect(recorder.traceID(of: papers.job) == TraceContext.text(of: TraceContext.trace(of: papers.job)))
    }

    @Test("An executor's spans are under those that the announcement and the assignment name")
    func executed() throws {
        let papers = try papers(of: originator)
        var (asking, working) = (recorder(originator), recorder(executor))
        let journal = life(papers)
        _ = asking.take(Array(journal[..<2]), now: .zero)
        let announced = try #require(asking.announced(papers.job))
        _ = asking.take(Array(journal[2..<5]), now: .zero)
        let assigned = try #require(asking.assigned(papers.job, papers.assignment.cid))
        let others = asking.take(Array(journal[5...]), now: .zero)
        working.heard(announced, of: papers.job, from: originator.peerID, at: at(10))
        let record = work(papers)
        var spans = working.take(Array(record[..<1]), now: .zero)
        working.heard(assigned, of: papers.job, from: originator.peerID, at: at(33))
        spans += working.take(Array(record[1...]), now: .zero)
        #expect(
            lines(spans) == [
                "bid 10-35 < another node's", "queue 35-36 < execution", "fetch 36-50 < execution",
                "run 50-80 < execution", "receipt 80-98 < execution", "execution 33-98 < another node's",
            ])
        let names = Dictionary(uniqueKeysWithValues: others.map { ($0.context.spanID, $0.name) })
        let attempt = try #require(spans.first { $0.name == "execution" }?.parentID)
        #expect(names[attempt] == "attempt")
        #expect(spans[0].parentID == TraceContext(parsing: announced)?.spanID)
        #expect(spans.allSatisfy { $0.context.traceID == others.first?.context.traceID })
        #expect(Set((spans + others).map(\.context.spanID)).count == spans.count + others.count)
        #expect(working.count == 0)
    }

    @Test("A node that runs its own job has both sides in one trace, with spans of their own")
    func own() throws {
        let papers = try papers(of: executor)
        var recorder = recorder(executor)
        let journal = life(papers)
        var spans = recorder.take(Array(journal[..<5]), now: .zero)
        spans += recorder.take(work(papers), now: .zero)
        spans += recorder.take(Array(journal[5...]), now: .zero)
        let execution = try #require(spans.first { $0.name == "execution" })
        #expect(spans.first { $0.name == "attempt" }?.context.spanID == execution.parentID)
        #expect(!spans.contains { $0.name == "bid" }, "nobody was asked for that bid")
        #expect(Set(spans.map(\.context.spanID)).count == spans.count)
    }

    @Test("What fails is told as a word of the program's own, and a round that comes again is a span of its own")
    func failures() throws {
        let papers = try papers(of: originator, outcome: .trapped(kind: .unreachable, message: "secret"))
        var recorder = recorder(originator)
        let attempt = papers.assignment.cid
        let spans = recorder.take(
            events(
                papers, .originator,
                [
                    (0, submitted(papers)), (1, .biddingClosed(cause: .windowElapsed, ranking: [])),
                    (2, .assignmentMade(assignment: papers.assignment, confirmUntil: start)),
                    (3, .attemptEnded(assignment: attempt, end: .declined(code: .init("x"), reason: "secret"))),
                    (4, .announced(round: 2, windowUntil: start, biddingUntil: start)),
                    (9, .failed(.announcementTimedOut(lastError: "secret"))), (10, .closed),
                ]), now: .zero)
        #expect(
            lines(spans) == [
                "bidding 0-1 < job", "assignment 2-3 < attempt", "attempt 2-3 < job", "bidding 4-9 < job",
                "job 0-10 < nothing",
            ])
        let last = "announcement_timed_out"
        #expect(spans.map(\.failure) == [nil, "declined", "declined", last, last])
        #expect(spans[0].context.spanID != spans[3].context.spanID)
        var working = self.recorder(executor)
        let context = JobRecording.context(of: "x", papers.job, by: originator.did)
        working.heard(context.text, of: papers.job, from: originator.peerID, at: start)
        let ran = working.take(work(papers), now: .zero)
        #expect(ran.first { $0.name == "execution" }?.failure == "trapped")
        for value in (spans + ran).flatMap(\.attributes).map(\.value) {
            guard case .text(let text) = value else { continue }
            #expect(!text.contains("secret"))
        }
    }

    @Test("Of the node's own jobs a share is recorded, by the trace; a client's flag decides before that")
    func ratio() throws {
        var some = recorder(originator, ratio: 500)
        var (recorded, none) = (0, recorder(originator, ratio: 0))
        for number in 0..<64 {
            let papers = try papers(UInt8(number), of: originator)
            let event = events(papers, .originator, [(0, submitted(papers))])
            _ = some.take(event, now: .zero)
            if some.announced(papers.job) != nil { recorded += 1 }
            _ = none.take(event, now: .zero)
            #expect(none.announced(papers.job) == nil && none.traceID(of: papers.job) == nil)
        }
        #expect((16...48).contains(recorded))

        let papers = try papers(of: originator)
        let client = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0"
        none.asked(client + "1", of: papers.job)
        let spans = none.take(life(papers), now: .zero)
        let root = try #require(spans.last)
        #expect(root.links.map(\.text) == [client + "1"])
        #expect(root.parentID == nil && root.context.traceID == TraceContext.trace(of: papers.job))
        var all = recorder(originator)
        all.asked(client + "0", of: papers.job)
        #expect(all.take(life(papers), now: .zero).isEmpty)
        all.asked("no context", of: papers.job)
        #expect(all.take(life(papers), now: .zero).count == 8)
        #expect(all.takeOmissions() == [.contextIgnored: 1])
    }

    @Test("A replica's trace is its own, and linked to the first job's only here")
    func replicas() throws {
        let (first, second) = (try papers(1, of: originator), try papers(2, of: originator))
        var recorder = recorder(originator)
        _ = recorder.take(events(first, .originator, [(0, submitted(first))]), now: .zero)
        let spans = recorder.take(
            events(second, .originator, [(0, submitted(second)), (1, .replicaOf(first.job)), (2, .closed)]), now: .zero)
        let root = try #require(spans.last)
        #expect(root.links.map(\.traceID) == [TraceContext.trace(of: first.job)])
        #expect(root.context.traceID != TraceContext.trace(of: first.job))
    }

    @Test("A context of another job's trace, of none, or that is not sampled, has no effect")
    func strangers() throws {
        let (papers, other) = (try papers(1, of: originator), try papers(2, of: originator))
        let good = JobRecording.context(of: "x", papers.job, by: originator.did)
        let foreign = JobRecording.context(of: "x", other.job, by: originator.did)
        let unsampled = TraceContext(traceID: good.traceID, spanID: good.spanID, isSampled: false)
        for (text, omissions) in [(foreign.text, 1), ("nothing", 1), (unsampled.text, 0)] {
            var recorder = recorder(executor)
            recorder.heard(text, of: papers.job, from: originator.peerID, at: start)
            #expect(recorder.take(work(papers), now: .zero).isEmpty)
            #expect(recorder.takeOmissions()[.contextIgnored, default: 0] == omissions)
        }
        // Somebody else speaks of the job: that neither has it recorded nor gets in the way of its originator's word.
        let liar = try Identity(seed: Array(repeating: 3, count: 32))
        let lie = JobRecording.context(of: "x", papers.job, by: liar.did)
        var lied = self.recorder(executor)
        lied.heard(lie.text, of: papers.job, from: liar.peerID, at: start)
        #expect(lied.take(work(papers), now: .zero).isEmpty)
        lied.heard(good.text, of: papers.job, from: originator.peerID, at: start)
        lied.heard(lie.text, of: papers.job, from: liar.peerID, at: start)
        let told = lied.take(work(papers), now: .zero)
        #expect(told.first { $0.name == "bid" }?.parentID == good.spanID)

        var recorder = recorder(executor, others: 0)
        recorder.heard(good.text, of: papers.job, from: originator.peerID, at: start)
        #expect(recorder.take(work(papers), now: .zero).isEmpty, "the owner records no jobs of others")
    }

    @Test("Of the jobs of others othersPerMinuteMax are recorded a minute, a quarter of them of one originator")
    func rate() throws {
        var recorder = recorder(executor, others: 8)
        var recorded: [DID: Int] = [:]
        func offer(_ numbers: Range<UInt8>, of identity: Identity, now: MonotonicInstant) throws {
            for number in numbers {
                let papers = try papers(number, of: identity)
                let context = JobRecording.context(of: "x", papers.job, by: identity.did)
                recorder.heard(context.text, of: papers.job, from: identity.peerID, at: start)
                if !recorder.take(work(papers), now: now).isEmpty { recorded[identity.did, default: 0] += 1 }
            }
        }
        try offer(0..<10, of: originator, now: .zero)
        #expect(recorded[originator.did] == 2)
        for seed in UInt8(10)..<20 {
            let other = try Identity(seed: Array(repeating: seed, count: 32))
            try offer(0..<1, of: other, now: MonotonicInstant.zero.advanced(milliseconds: 59_999))
        }
        #expect(recorded.values.reduce(0, +) == 8)
        #expect(recorder.takeOmissions() == [.jobNotRecorded: 12])
        try offer(10..<20, of: originator, now: MonotonicInstant.zero.advanced(milliseconds: 60_000))
        #expect(recorded[originator.did] == 4)
    }

    @Test("heardMax contexts wait for their jobs, heardPerPeerMax of one peer, and jobsMax jobs are recorded at once")
    func tables() throws {
        var limits = TraceRecorder.Limits()
        (limits.heardMax, limits.heardPerPeerMax, limits.jobsMax) = (4, 3, 4)
        var working = recorder(executor, others: 6_000, limits)
        let mine = try (0..<5).map { try papers($0, of: originator) }
        for papers in mine {
            let context = JobRecording.context(of: "x", papers.job, by: originator.did)
            working.heard(context.text, of: papers.job, from: originator.peerID, at: start)
        }
        #expect(working.takeOmissions() == [.contextIgnored: 2], "a peer has no more, and its eldest went")
        for seed in UInt8(30)..<32 {
            let other = try Identity(seed: Array(repeating: seed, count: 32))
            let papers = try papers(0, of: other)
            let context = JobRecording.context(of: "x", papers.job, by: other.did)
            working.heard(context.text, of: papers.job, from: other.peerID, at: start)
        }
        #expect(working.takeOmissions() == [.contextIgnored: 1], "the eldest went")
        let recorded = mine.map { working.take(work($0), now: .zero).isEmpty }
        #expect(recorded == [true, true, true, false, false], "others' jobs have half of the room")

        var asking = recorder(originator, limits)
        for papers in mine { _ = asking.take(events(papers, .originator, [(0, submitted(papers))]), now: .zero) }
        #expect(asking.count == 4 && asking.takeOmissions() == [.jobNotRecorded: 1])
    }

    @Test("A job has spansPerJobMax spans, each with eventsPerSpanMax events, and rememberedMax jobs are remembered")
    func sizes() throws {
        var limits = TraceRecorder.Limits()
        (limits.spansPerJobMax, limits.eventsPerSpanMax, limits.rememberedMax) = (4, 2, 1)
        let (papers, next) = (try papers(1, of: originator), try papers(2, of: originator))
        var recorder = recorder(originator, limits)
        var journal = life(papers)
        journal.insert(contentsOf: Array(repeating: journal[2], count: 10), at: 2)
        let spans = recorder.take(journal, now: .zero)
        #expect(spans.map(\.name) == ["bidding", "assignment", "attempt", "job"])
        #expect(spans[0].events.map(\.name) == ["announced", "bid"])
        #expect(recorder.takeOmissions() == [.spanDropped: 4])
        _ = recorder.take(life(next), now: .zero)
        #expect(recorder.traceID(of: papers.job) == nil && recorder.traceID(of: next.job) != nil)
    }
}
