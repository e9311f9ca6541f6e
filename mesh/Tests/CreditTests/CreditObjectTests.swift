import Credit
import Determinism
import IPLD
import MeshTypes
import Multiformats
import P2PTesting
import PeerIdentity
import SignedObjects
import Testing

@Suite("The signed objects of issuers")
struct CreditObjectTests {
    /// One signed object of each type, by its name.
    struct Sample: Sendable {
        let name: String
        let bytes: [UInt8]
        let bytesMax: Int
        let read: @Sendable ([UInt8]) throws(CreditObjectError) -> [UInt8]
        /// The same body with one more field, signed.
        let extended: [UInt8]

        init<Body: CreditObject>(_ body: Body, by signer: Identity) throws {
            name = Body.typeName
            bytes = try SignedObject.sign(body, with: signer).bytes
            bytesMax = Body.bytesMax
            read = { bytes throws(CreditObjectError) in try SignedObject<Body>(reading: bytes).bytes }
            guard case .map(let map) = try DAGCBOR.decode(try DAGCBOREncoder().encode(body)) else {
                throw DAGCBORError.truncated(offset: 0)
            }
            let value = IPLDValue.map(try IPLDMap(map.entries + [IPLDMap.Entry(key: "zz", value: .bool(true))]))
            let cid = CID.hashing(try DAGCBOR.encode(value), codec: .dagCBOR)
            let signature = try signer.sign(SignedObjectFormat.message(Body.typeName, cid))
            let envelope = IPLDValue.map(
                try IPLDMap([
                    .init(key: "did", value: .string(signer.did.text)), .init(key: "sig", value: .bytes(signature)),
                    .init(key: "body", value: value),
                ]))
            extended = try DAGCBOR.encode(envelope)
        }
    }

    static func samples() throws -> [Sample] {
        var world = try CreditWorld(witnesses: true)
        var job = try HeldJob(
            1, from: world.members[0], to: world.members[1], arbiter: world.arbiter.did, now: world.now)
        job.terms.disputeBudget = TokenAmount(5)
        let other = CreditUnit(name: "EUR", decimals: 2)
        let order = try world.payment(
            from: world.members[0], to: world.members[1].did, 1_000,
            rate: CreditRate(unit: other, debit: 3, credit: 10), hold: job.terms)
        let local = try world.order(job)
        let entry = try world.enter(.holdGranted(order: local.bytes))
        let certificate = try #require(try world.core.certificate(of: entry))
        let receipt = try job.receipt()
        let claim = try job.claim(receipt, kept: world.arbiter, at: world.now)
        let (cid, now) = (claim.bodyCID, world.now)
        let (executor, witness) = (world.members[1], world.witnesses[0])
        return [
            try Sample(world.book.charter, by: world.issuer), try Sample(order.body, by: world.members[0]),
            try Sample(certificate, by: world.issuer), try Sample(claim.body, by: executor),
            try Sample(
                DeliveryStatement(keeperDID: witness.did, receiptCID: receipt.cid, deliveredAt: now), by: witness),
            try Sample(HoldRelease(executorDID: executor.did, holdCID: cid, releasedAt: now), by: executor),
            try Sample(
                HoldDispute(
                    disputerDID: world.members[0].did, claimCID: cid, reason: "wrong", evidence: [cid],
                    disputedAt: now),
                by: world.members[0]),
            try Sample(
                HoldDecision(
                    arbiterDID: world.arbiter.did, claimCID: cid, payable: TokenAmount(7), evidence: [cid],
                    decidedAt: now), by: world.arbiter),
            try Sample(
                Approval(approverDID: world.officers[0].did, orderCID: cid, approvedAt: now, validUntil: now),
                by: world.officers[0]),
            try Sample(
                LodgingStatement(witnessDID: witness.did, issuerDID: world.issuer.did, objectCID: cid, lodgedAt: now),
                by: witness),
            try Sample(
                WitnessReport(
                    witnessDID: witness.did, issuerDID: world.issuer.did, from: now, until: now,
                    lodged: [.init(objectCID: cid, lodgedAt: now)]), by: witness),
            try Sample(
                try world.token(from: world.members[0], to: executor.did) {
                    $0.parentCID = cid
                    $0.scope = TokenScope(
                        executors: [executor.did], cooperatives: [world.issuer.did], jobs: [cid], modules: [cid],
                        regions: ["eu"], features: ["simd"], resources: ["gpu"])
                }.body, by: world.members[0]),
            try Sample(
                TokenRevocation(
                    issuerDID: world.issuer.did, revokerDID: executor.did, tokenCID: cid, revokedAt: now),
                by: executor),
        ]
    }

    /// The CIDs of the samples' blocks: another encoding of any field changes one.
    private static let pinned = [
        "IssuerCharter": "bafyreicdx3dsccbbbvwmh7recenhcgfbnp5yh23uv6o5x2vwuojxsjpkse",
        "PaymentOrder": "bafyreigcerjo6ig2butdckkmzzwmdwgzedf3h3noosnbvbpnucjxu6snfy",
        "HoldCertificate": "bafyreid7tr7ytusd3r7kfelsrjyeqbufcdsjyls5ksdy6jl6dl4pmdjhu4",
        "HoldClaim": "bafyreibulcstfez4bn6bf3dqiuxttdmqijn2rhalgxbniqeyozqtjbleey",
        "DeliveryStatement": "bafyreienrdls3ieunmcrnbzy7hiwehp66oblzmigfcdbaxntfxr3rlvxwu",
        "HoldRelease": "bafyreibebd2d6foyclu7mgzxkuk3xvyqibep2qxofjewmx7b4zvxhrocqy",
        "HoldDispute": "bafyreics4zriu54ivc7lj5kin4moycwil7wxzwsxicraxatdksbx22btry",
        "HoldDecision": "bafyreicc36m43futg774rqwjrmv2clwproja546bowooynmsriwensictq",
        "Approval": "bafyreigij4zzwxotxc5jhqht7rxibv2kiebal5u3myraffditube4zq3de",
        "LodgingStatement": "bafyreifdqwjizghw3633hu2zv2iuy2duw4dhbia35ft3ki4vhvyay3qidi",
        "ScopedResourceToken": "bafyreiesd7wxynatuh3jafqyadmtpuqun3hjtq4wzrj3x6d7rbpuqqi4jq",
        "TokenRevocation": "bafyreic7vifdt527azguhjai56rhi3vf2p6bli3le3s6trnomtmq2cjvwm",
        "WitnessReport": "bafyreidodpwaffxzbs2aic5hffz3qwhntxofh5h2hzmyeg6clm4u2hy2vm",
    ]

    @Test("Their bytes are as they were")
    func vectors() throws {
        for sample in try Self.samples() {
            let cid = CID.hashing(sample.bytes, codec: .dagCBOR).text
            #expect(Self.pinned[sample.name] == cid, "\(sample.name) of \(sample.bytes.count) bytes")
        }
    }

    @Test("Each reads as what it is, within its length, without fields that are not known, and as nothing else")
    func strict() throws {
        let samples = try Self.samples()
        for sample in samples {
            #expect(try sample.read(sample.bytes) == sample.bytes)
            #expect(throws: CreditObjectError.unknownFields, "\(sample.name)") { try sample.read(sample.extended) }
            let long = [UInt8](repeating: 0, count: sample.bytesMax + 1)
            #expect(throws: CreditObjectError.tooLarge(bytesMax: sample.bytesMax)) { try sample.read(long) }
            for other in samples where other.name != sample.name {
                #expect(throws: CreditObjectError.self) { try other.read(sample.bytes) }
            }
        }
        #expect(Set(samples.map(\.name)).count == 13)
    }

    @Test("Changed bytes are refused by their one error, or read as something that is the same", arguments: 1...4)
    func mutated(seed: Int) throws {
        var dice = SeededGenerator(seed: UInt64(seed))
        for sample in try Self.samples() {
            for round in 0..<100 {
                let bytes = dice.mutated(sample.bytes)
                do throws(CreditObjectError) {
                    #expect(try sample.read(bytes) == bytes, "seed \(seed), round \(round), \(sample.name)")
                } catch {
                    #expect(!error.description.isEmpty)
                }
            }
        }
    }

    @Test("Every bound is checked")
    func bounds() throws {
        let world = try CreditWorld()
        func field(_ change: (inout IssuerCharter) -> Void) -> String? {
            var charter = world.book.charter
            change(&charter)
            return charter.fieldOutOfBounds
        }
        #expect(field { $0.unit = CreditUnit(name: "a b", decimals: 0) } == "unit")
        #expect(field { $0.unit = CreditUnit(name: String(repeating: "a", count: 17), decimals: 0) } == "unit")
        #expect(field { $0.unit = CreditUnit(name: "a", decimals: 10) } == "unit")
        #expect(field { $0.officers.swapAt(0, 1) } == "officers")
        #expect(field { $0.officers[2] = $0.officers[1] } == "officers")
        #expect(field { $0.approvals = 1 } == "approvals")
        #expect(field { $0.approvals = 4 } == "approvals")
        #expect(field { $0.witnesses = [world.issuer.did] } == "witnesses")
        #expect(field { $0.witnesses = (30...46).map { CreditWorld.identity($0).did }.sorted() } == "witnesses")
        #expect(field { $0.arbiters = (30...46).map { CreditWorld.identity($0).did }.sorted() } == "arbiters")
        #expect(field { $0.arbiters = [$0.officers[1], $0.officers[0]] } == "arbiters")
        #expect(field { $0.logWithinMilliseconds = 3_600_001 } == "log_within_ms")
        #expect(field { $0.logWithinMilliseconds = 59_999 } == "log_within_ms")
        #expect(field { $0.marginMilliseconds = 999 } == "margin_ms")
        #expect(field { $0.marginMilliseconds = 3_600_001 } == "margin_ms")
        #expect(field { $0.disputeBudgetMax = TokenAmount((1 << 53) + 1) } == "dispute_budget_max")
        #expect(
            field { ($0.disputeBudgetMin, $0.disputeBudgetMax) = (TokenAmount(2), TokenAmount(1)) }
                == "dispute_budget_min")
        #expect(field { $0.holdFee = TokenAmount((1 << 53) + 1) } == "hold_fee")
        var other = try CreditWorld()
        let order = try other.payment(from: other.members[0], to: other.members[1].did, 5).body
        func wrong(_ change: (inout PaymentOrder) -> Void) -> String? {
            var order = order
            change(&order)
            return order.fieldOutOfBounds
        }
        #expect(wrong { $0.debtorDID = $0.issuerDID } == "debtor_did")
        #expect(wrong { $0.creditorDID = $0.debtorDID } == "creditor_did")
        #expect(wrong { $0.creditorDID = $0.issuerDID } == "creditor_did")
        #expect(wrong { $0.amount = .zero } == "amount")
        #expect(wrong { $0.amount = TokenAmount((1 << 53) + 1) } == "amount")
        #expect(wrong { $0.nonce.removeLast() } == "nonce")
        #expect(wrong { $0.rate = CreditRate(unit: $0.unit, debit: 1, credit: 1) } == "rate")
        let unit = CreditUnit(name: "EUR", decimals: 2)
        #expect(wrong { $0.rate = CreditRate(unit: unit, debit: (1 << 32) + 1, credit: 1) } == "rate")
        #expect(wrong { $0.rate = CreditRate(unit: unit, debit: 0, credit: 1) } == "rate")
        #expect(
            wrong { ($0.amount, $0.rate) = (TokenAmount(1 << 53), CreditRate(unit: unit, debit: 2, credit: 1)) }
                == "rate")
        let dispute = HoldDispute(
            disputerDID: world.issuer.did, claimCID: CID.hashing([1], codec: .raw),
            reason: String(repeating: "a", count: 1_025), disputedAt: world.now)
        #expect(dispute.fieldOutOfBounds == "reason")
        var decision = HoldDecision(
            arbiterDID: world.issuer.did, claimCID: dispute.claimCID, payable: .zero, decidedAt: world.now)
        decision.evidence = (0...16).map { CID.hashing([$0], codec: .raw) }
        #expect(decision.fieldOutOfBounds == "evidence")
    }

    @Test("Across two issuers the arbiter is none of them, and the dates nest")
    func across() throws {
        var world = try CreditWorld()
        var job = try HeldJob(
            1, from: world.members[0], to: world.members[1], arbiter: world.arbiter.did, now: world.now)
        job.terms.arbiterDID = world.issuer.did
        #expect(try world.order(job).body.fieldOutOfBounds == nil)
        let far = try world.payment(
            from: job.originator, to: world.members[4].did, 10, hold: job.terms)
        #expect(far.body.fieldOutOfBounds == "arbiter_did")
        let inner = job.terms.downstream(marginMilliseconds: 30_000, disputeBudget: TokenAmount(3))
        #expect(inner.claimBy.advanced(milliseconds: 30_000) == job.terms.claimBy)
        #expect(inner.windowMilliseconds == 40_000 && inner.extensionMilliseconds == 50_000)
        #expect(inner.deliverBy.advanced(milliseconds: 60_000) == inner.claimBy && inner.fieldOutOfBounds == nil)
        let none = job.terms.downstream(marginMilliseconds: .max, disputeBudget: .zero)
        #expect(none.claimBy == .epoch && none.windowMilliseconds == .max && none.extensionMilliseconds == .max)
        #expect(none.fieldOutOfBounds != nil)
        // The budget is worth the same in the other unit, and no more than what is held.
        let other = CreditUnit(name: "EUR", decimals: 2)
        job.terms.disputeBudget = TokenAmount(30)
        let rate = CreditRate(unit: other, debit: 3, credit: 10)
        let order = try world.payment(from: job.originator, to: job.executor.did, 1_000, rate: rate, hold: job.terms)
        #expect(order.body.downstreamTerms(marginMilliseconds: 1_000)?.disputeBudget == TokenAmount(100))
        let small = try world.payment(from: job.originator, to: job.executor.did, 40, rate: rate, hold: job.terms)
        #expect(small.body.downstreamTerms(marginMilliseconds: 1_000)?.disputeBudget == TokenAmount(40))
        #expect(
            try world.payment(from: job.originator, to: job.executor.did, 1).body
                .downstreamTerms(marginMilliseconds: 1_000) == nil)
    }
}
