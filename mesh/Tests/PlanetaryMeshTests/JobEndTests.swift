import JobMarket
import LibP2P
import MeshStore
import MeshTypes
import Multiformats
import NodeAPI
import PeerIdentity
import SignedObjects
import Testing

@testable import PlanetaryMesh

/// What became of a run, as its executor's owner is told.
@Suite struct JobEndTests {
    private let at = UnixMilliseconds(1_800_000_000_000)

    /// A run that was stopped after it had used fuel, and whose receipt its originator has.
    private func stopped(byOriginator: Bool) throws -> ExecutedJob {
        let originator = try Identity(seed: Array(repeating: 1, count: 32))
        let executor = try Identity(seed: Array(repeating: 2, count: 32))
        let module = CID.hashing([1], codec: .raw)
        let manifest = try SignedObject.sign(
            JobManifest(
                params: MeshJobParams(wasmCID: module), originatorDID: originator.did,
                originatorPeerID: originator.peerID, originatorAddresses: [],
                nonce: Array(repeating: 7, count: 16), submittedAt: at, biddingDeadline: at, expiresAt: at),
            with: originator)
        let job = JobID(manifest.cid)
        let terms = BidTerms(
            price: TokenAmount(20), basePrice: TokenAmount(5), pricePerMillionFuel: TokenAmount(2), earliestStart: at,
            deadline: at)
        let bid = try SignedObject.sign(
            Bid(
                jobID: job, originatorPeerID: originator.peerID, bidderDID: executor.did,
                bidderPeerID: executor.peerID, terms: terms, issuedAt: at, expiresAt: at), with: executor)
        let assignment = try SignedObject.sign(
            Assignment(
                jobID: job, originatorDID: originator.did, bidCID: bid.cid, executorDID: executor.did, attempt: 1,
                leaseMilliseconds: 10_000, terms: terms, assignedAt: at, acceptBy: at), with: originator)
        let receipt = try SignedObject.sign(
            ExecutionReceipt(
                jobID: job, assignmentCID: assignment.cid, originatorDID: originator.did, executorDID: executor.did,
                attempt: 1, moduleCID: module, inputCIDs: [:], outcome: .cancelled, resourceUsage: .none,
                price: TokenAmount(7),
                engine: EngineDescription(name: "wasmtime", version: "1", configurationDigest: "ab"),
                determinism: .deterministic, executionStartedAt: at, executionEndedAt: at), with: executor)
        var history = JobHistory()
        let kinds: [JobEventKind] = [
            .bidMade(manifest: manifest, bid: bid),
            .assignmentAccepted(manifest: manifest, bid: bid, assignment: assignment),
            .executionStarted(giveUpAt: at), .stopRequested(reason: "somebody stopped it", byOriginator: byOriginator),
            .receiptSigned(receipt: receipt, deliverUntil: at), .receiptDelivered(.acknowledged, settleUntil: at),
        ]
        for kind in kinds { history.read(JobEvent(jobID: job, role: .executor, at: at, kind: kind)) }
        return try #require(history.executed)
    }

    @Test func aRunThatItsOwnerStoppedWaitsForNoPayment() throws {
        let own = JobStory.view(of: try stopped(byOriginator: false))
        #expect(own.outcome == .cancelled && own.payment == JobPayment.none && own.isTerminal)
        #expect(own.reason == "somebody stopped it")
        #expect(!JobStory.row(of: try stopped(byOriginator: false), at: at).isUnsettled)
        let asked = JobStory.view(of: try stopped(byOriginator: true))
        #expect(asked.outcome == .cancelled && asked.payment == .due, "the originator pays for what it cancelled")
        #expect(JobStory.row(of: try stopped(byOriginator: true), at: at).isUnsettled)
    }

    @Test func everyCounterHasANameInOneStyle() {
        let names = SwarmCounter.allCases.map(NodeReport.name(of:))
        #expect(Set(names).count == names.count)
        for name in names { #expect(name.allSatisfy { $0.isLowercase || $0.isNumber || $0 == "_" }, "\(name)") }
        #expect(NodeReport.name(of: .connectionsOpened) == "swarm_connections_opened")
        #expect(NodeReport.name(of: .refusedPerIP) == "swarm_refused_per_ip")
    }
}
