import Credit
import Foundation
import LibP2P
import Logging
import MeshStore
import MeshTypes
import Multiformats
import NodeAPI
import NodeSetup
import P2PTesting
import PeerIdentity
import SignedObjects
import Synchronization
import Testing

@testable import NodeCore
@testable import PlanetaryMesh

/// An issuer with witnesses, which is away while its members need it: real nodes, over sockets.
@Suite("Witnesses of charters", .serialized) struct CharterWitnessTests {
    /// An issuer, an executor, and witnesses, each a node; originator and arbiter sign and need none.
    private struct Cooperative {
        let folder = URL(fileURLWithPath: "/tmp/mn-\(UUID().uuidString.prefix(8))")
        let witnesses = (0..<3).map { _ in Identity.generate() }
        let hold = WitnessedHold(issuer: .generate())
        var issuer: Identity { hold.issuer }

        func open(_ name: String, _ identity: Identity) async throws -> MeshNode {
            try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
            var configuration = try NodeMesh.loopback()
            configuration.executor.isEnabled = false
            if witnesses.contains(where: { $0.did == identity.did }) {
                configuration.witness.issuers = [issuer.did.text]
            }
            return try await NodeMesh.open(
                folder.appendingPathComponent(name).path, configuration, identity: identity)
        }

        func openWitnesses() async throws -> [MeshNode] {
            try await [open("witness-0", witnesses[0])] + openOthers()
        }

        /// All witnesses but the first.
        func openOthers() async throws -> [MeshNode] {
            var nodes: [MeshNode] = []
            for (number, witness) in witnesses.enumerated().dropFirst() {
                nodes.append(try await open("witness-\(number)", witness))
            }
            return nodes
        }

        /// Founds the book of a node that is connected with its witnesses, and opens its lines once they keep it.
        func found(_ node: MeshNode, with named: [DID]? = nil) async throws {
            var book = CreditBook(arbiters: [hold.arbiter.did])
            book.witnesses = named ?? witnesses.map(\.did)
            try await book.found(node, [])
            let desk = await node.parts.member.own
            try await eventually("the book is open") { await desk.obstacle == nil }
            for member in [hold.executor, hold.originator] {
                try await book.open(CreditBook.Line(did: member.did, most: 10_000), at: node)
            }
        }

        /// Has a price held whose claim has to come soon; returns the certificate.
        func grant(
            at node: MeshNode, claimBy: UnixMilliseconds
        ) async throws -> (order: CID, certificate: SignedObject<HoldCertificate>) {
            let desk = await node.parts.member.own
            let charter = try #require(await desk.issuer?.book.charterCID)
            let order = try SignedObject.sign(
                PaymentOrder(
                    issuerDID: issuer.did, charterCID: charter, debtorDID: hold.originator.did,
                    creditorDID: hold.executor.did, amount: TokenAmount(100), unit: CreditCooperative.unit,
                    hold: hold.terms(1, claimBy: claimBy), nonce: [UInt8](repeating: 7, count: 16),
                    validUntil: NodeClock.wallClock.advanced(milliseconds: 60_000)), with: hold.originator)
            let answer = await desk.answer(
                .submit(event: .holdGranted(order: order.bytes)), for: hold.originator.did)
            guard case .taken(_, let block?, _) = answer else {
                throw NodeServiceError(.internalError, "\(answer)")
            }
            return (order.bodyCID, try SignedObject<HoldCertificate>(reading: block))
        }

        func connect(_ node: MeshNode, to others: [MeshNode]) async throws {
            for other in others {
                try await node.swarm.connect(
                    to: other.identity.peerID, addresses: await other.swarm.listenAddresses())
            }
        }
    }

    private func with(_ body: (Cooperative) async throws -> Void) async throws {
        let home = Cooperative()
        defer { try? FileManager.default.removeItem(at: home.folder) }
        try await body(home)
    }

    private func booking(_ executor: MeshNode, _ job: CID) async throws -> HoldBooking? {
        try await HoldBookingRow.of(job, in: executor.store).first?.booking
    }

    @Test("An issuer is founded with witnesses, which its view names, and with no more than there may be")
    func founding() async throws {
        try await with { (home: Cooperative) async throws -> Void in
            let node = try await home.open("issuer", home.issuer)
            try await NodeMesh.running([node]) {
                func founding(_ witnesses: [DID]) -> IssuerFounding {
                    IssuerFounding(
                        unit: "hours", decimals: 2, officers: (0..<2).map { _ in Identity.generate().did.text },
                        approvals: 2, arbiters: [home.hold.arbiter.did.text], witnesses: witnesses.map(\.text))
                }
                for wrong in [
                    (0...IssuerCharter.Limits.namedMax).map { _ in Identity.generate().did }, [home.issuer.did],
                    [home.witnesses[0].did, home.witnesses[0].did],
                ] {
                    let error = await #expect(throws: NodeServiceError.self) {
                        _ = try await node.found(founding(wrong))
                    }
                    #expect(error?.code == .invalidRequest && error?.message.contains("witnesses") == true)
                }
                let view = try await node.found(founding(home.witnesses.map(\.did)))
                #expect(view.witnesses == home.witnesses.map(\.did).sorted().map(\.text))
                #expect(view.caughtUpUntil == view.openedAt && view.witnessWarning == nil)
            }
        }
    }

    @Test("A claim that was lodged while its issuer was away is honoured, and no expiry overtakes it")
    func away() async throws {
        try await with { (home: Cooperative) async throws -> Void in
            let witnesses = try await home.openWitnesses()
            let executor = try await home.open("executor", home.hold.executor)
            try await NodeMesh.running(witnesses + [executor]) {
                try await home.connect(executor, to: witnesses)
                let issuer = try await home.open("issuer", home.issuer)
                var granted: (order: CID, certificate: SignedObject<HoldCertificate>)?
                var claimBy = UnixMilliseconds.epoch
                try await NodeMesh.running([issuer]) {
                    try await home.connect(issuer, to: witnesses + [executor])
                    try await home.found(issuer)
                    _ = try await executor.parts.member.issuer(home.issuer.did.text)
                    claimBy = NodeClock.wallClock.advanced(milliseconds: 12_000)
                    granted = try await home.grant(at: issuer, claimBy: claimBy)
                }
                let (order, certificate) = try #require(granted)
                let claim = try home.hold.claim(certificate.body.terms)
                try await lodgeWithAll(claim, certificate, at: executor, home)
                try await eventually("the time for claims is over") { NodeClock.wallClock > claimBy }
                let again = try await home.open("issuer", home.issuer)
                try await NodeMesh.running([again]) {
                    try await home.connect(again, to: witnesses + [executor])
                    try await honoured(claim, order, by: again, for: executor, after: claimBy)
                }
            }
        }
    }

    /// Has an executor lodge a claim, as its issuer is away, until all witnesses have dated it.
    private func lodgeWithAll(
        _ claim: SignedObject<HoldClaim>, _ certificate: SignedObject<HoldCertificate>, at executor: MeshNode,
        _ home: Cooperative
    ) async throws {
        let due = HoldBooking(
            .claimLodged(hold: certificate.body.holdCID, claim: claim.bytes, lodging: nil), of: certificate.body,
            signed: certificate.bytes, paying: TokenAmount(100), notBefore: .epoch)
        try await executor.store.commit([.issuer(.booking(try HoldBookingRow(due)))])
        let job = certificate.body.terms.jobID.cid
        try await eventually("each witness has said when it came") {
            try await booking(executor, job)?.lodgings?.count == home.witnesses.count
        }
        let kept = try #require(try await booking(executor, job))
        #expect(kept.state == .due)
        guard case .claimLodged(_, claim.bytes, .some)? = kept.next(now: NodeClock.wallClock) else {
            Issue.record("the word does not go along")
            return
        }
    }

    /// What an issuer that is back does with a claim that was lodged meanwhile.
    private func honoured(
        _ claim: SignedObject<HoldClaim>, _ hold: CID, by issuer: MeshNode, for executor: MeshNode,
        after claimBy: UnixMilliseconds
    ) async throws {
        let desk = await issuer.parts.member.own
        // It looks by itself, as a date is over.
        try await eventually("the book has caught up beyond the date") {
            await desk.read { $0.caughtUpUntil > claimBy } == true
        }
        #expect(await desk.read { $0.holds[hold]?.claim?.cid } == claim.bodyCID)
        #expect(try await issuer.creditStory() == ["hold_granted", "claim_lodged"])
        try await eventually("the executor has its proof") {
            let state = try await booking(executor, claim.body.jobOfReceipt)?.state
            if case .claimed? = state { return true }
            return false
        }
        // Its window is over once the book has caught up with that, too.
        try await eventually("the claim is paid") {
            if case .success? = await desk.take(.claimPaid(hold: hold)) { return true }
            await issuer.parts.issuerWitnesses.catchUp()
            return false
        }
        #expect(try await issuer.creditStory() == ["hold_granted", "claim_lodged", "claim_paid"])
        #expect(await issuer.creditBalance(of: executor.identity.did) == 100)
        #expect(try await issuer.status().issuerWarning == nil)
    }

    @Test("With too few witnesses time stands still, and the owner is told why; with enough it goes on, whoever lies")
    func tooFew() async throws {
        try await with { (home: Cooperative) async throws -> Void in
            let issuer = try await home.open("issuer", home.issuer)
            let liar = try await home.open("liar", .generate())
            let first = try await home.open("witness-0", home.witnesses[0])
            try await NodeMesh.running([issuer, liar, first]) {
                let desk = await issuer.parts.member.own
                try await home.connect(issuer, to: [liar, first])
                let others = try await home.openOthers()
                try await NodeMesh.running(others) {
                    try await home.connect(issuer, to: others)
                    try await home.found(issuer, with: home.witnesses.map(\.did) + [liar.identity.did])
                }
                let opened = try #require(await desk.read { $0.caughtUpUntil })
                try await lie(liar, home)
                await issuer.parts.issuerWitnesses.catchUp()
                #expect(await desk.read { $0.caughtUpUntil } == opened)
                let warning = try #require(try await issuer.status().issuerWarning)
                #expect(warning.contains("its 4 witnesses, of whom 2 report"), "\(warning)")
                #expect(warning.contains("It holds nothing more in") && warning.contains("until 3 report"))
                #expect(warning.contains("\(home.witnesses[1].did): It does not answer."), "\(warning)")
                #expect(try await issuer.ownIssuer().witnessWarning?.contains("until 3 report") == true)
                let again = try await home.openOthers()
                try await NodeMesh.running(again) {
                    try await home.connect(issuer, to: again)
                    await issuer.parts.issuerWitnesses.catchUp()
                    let until = try #require(await desk.read { $0.caughtUpUntil })
                    #expect(until > opened && until <= NodeClock.wallClock, "the honest three are enough")
                    #expect(try await issuer.status().issuerWarning == nil)
                    #expect(try await issuer.ownIssuer().caughtUpUntil == until.value)
                    #expect(issuer.parts.tallies.all["issuer_catch_ups"] == 1)
                    #expect(issuer.parts.tallies.all["issuer_catch_ups_failed"] == 1)
                    #expect(again[0].parts.tallies.all["witness_reports"] == 1)
                }
            }
        }
    }

    /// Has a node report until far in the future, and name an object that nobody has.
    private func lie(_ liar: MeshNode, _ home: Cooperative) async throws {
        let (identity, issuer) = (liar.identity, home.issuer.did)
        await WitnessExchange(host: liar.swarm).serve { _ in
            true
        } blame: { _, _ in
        } answer: { _, question in
            guard case .report(let from) = question else { return .refused(reason: .full, text: "") }
            let bogus = WitnessReport.Lodged(objectCID: CID.hashing([1], codec: .dagCBOR), lodgedAt: from)
            let report = WitnessReport(
                witnessDID: identity.did, issuerDID: issuer, from: from,
                until: UnixMilliseconds(from.value * 2), lodged: [bogus])
            guard let signed = try? SignedObject.sign(report, with: identity) else {
                return .refused(reason: .full, text: "")
            }
            return .report(report: signed.bytes, objects: [])
        }
    }

    @Test("A book that is closed asks nobody, nor does a node without one")
    func closed() async throws {
        let stand = try CreditStand()
        var founding = stand.founding
        founding.witnesses = [Identity.generate().did.text]
        _ = try await stand.desk.found(founding)
        #expect(try await asked(by: stand.desk, stand).isEmpty, "no witness keeps it yet")
        let term = BookTerm(number: 1, life: [UInt8](repeating: 1, count: BookTerm.lifeBytes))
        try await stand.desk.begin(term, shown: nil)
        await stand.desk.open()
        #expect(try await asked(by: stand.desk, stand) == ["issuer_catch_ups_failed"])
        try stand.store.close()
        let other = IssuerDesk(identity: stand.issuer, store: stand.store)
        #expect(try await asked(by: other, stand).isEmpty)
        try StoreCopy.accept(stand.path, owner: stand.issuer.did.text, madeAt: 1)
        let store = try MeshStore(path: stand.path, owner: stand.issuer.did.text)
        let restored = IssuerDesk(identity: stand.issuer, store: store)
        try await restored.load()
        #expect(await restored.obstacle != nil)
        #expect(try await asked(by: restored, stand).isEmpty)
        try store.close()
    }

    /// What is counted as a desk's witnesses are asked, of whom none is there.
    private func asked(by desk: IssuerDesk, _ stand: CreditStand) async throws -> [String] {
        let counted = Mutex<[String]>([])
        let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
        let swarm = Swarm(configuration: SwarmConfiguration(), identity: stand.issuer, logger: logger)
        let witnesses = IssuerWitnesses(
            own: desk, host: swarm, reach: { _ in }, logger: logger,
            onCount: { name in counted.withLock { $0.append(name) } })
        await witnesses.catchUp()
        let names = counted.withLock(\.self)
        #expect((await witnesses.warning() != nil) == !names.isEmpty)
        return names
    }
}

extension HoldClaim {
    /// The job that it is for.
    fileprivate var jobOfReceipt: CID {
        get throws { try SignedObject<ExecutionReceipt>(verifying: receipt).body.jobID.cid }
    }
}
