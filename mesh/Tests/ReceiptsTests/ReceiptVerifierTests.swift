import IPLD
import MeshTypes
import Multiformats
import PeerIdentity
import Receipts
import SignedObjects
import Testing

@Suite struct ReceiptVerifierTests {
    @Test func anHonestChainPassesEveryCheck() throws {
        var chain = try ReceiptChain()
        let cid = try chain.sign()
        let report = chain.verify(cid)
        #expect(report.isVerified)
        #expect(report.lines.map(\.code) == ReceiptCheckName.allCases.map(\.rawValue))
        let times = report.lines.first { $0.code == ReceiptCheckName.times.rawValue }
        #expect(times?.detail.hasSuffix("; from start to end it took 10 ms, the module itself 7 ms") == true)
        #expect(report.lines.allSatisfy { $0.result == .passed && !$0.detail.isEmpty }, "\(report.failures)")
    }

    @Test func onlyAnInteractiveJobWaitsTooLongAndNotTooSoon() throws {
        var chain = try ReceiptChain()
        chain.receipt.outcome = .limitExceeded(.idle)
        chain.receipt.status = chain.receipt.outcome.standardStatus
        func fault() -> ReceiptFault? {
            ReceiptRules().fault(of: chain.receipt, assignment: chain.assignment, manifest: chain.manifest)
        }
        #expect(fault() == .idleTooSoon)
        chain.manifest.params.session = SessionTerms(idleSeconds: 2, waitingSeconds: 1)
        #expect(fault() == .idleTooSoon)
        chain.receipt.executionEndedAt = UnixMilliseconds(chain.receipt.executionStartedAt.value + 1_000)
        #expect(fault() != .idleTooSoon)
    }

    struct Case: Sendable, CustomTestStringConvertible {
        let name: String
        let failing: [ReceiptCheckName]
        let change: @Sendable (inout ReceiptChain.Changes) -> Void
        var testDescription: String { name }

        init(
            _ name: String, _ failing: ReceiptCheckName...,
            change: @escaping @Sendable (inout ReceiptChain.Changes) -> Void
        ) {
            self.name = name
            self.failing = failing
            self.change = change
        }
    }

    static let other = CID.hashing([0xFF], codec: .raw)
    static let stranger = ReceiptChain.stranger
    static let executor = ReceiptChain.executorDID

    /// A policy with a demand.
    static func policy(_ change: (inout ExecutionPolicy) -> Void) -> ExecutionPolicy {
        var policy = ExecutionPolicy()
        change(&policy)
        return policy
    }

    static let cases: [Case] = [
        Case("executor of the assignment is another", .assignmentLinks) {
            $0.assignment = { $0.executorDID = stranger.did }
        },
        Case("job of the assignment is another", .assignmentLinks) { $0.assignment = { $0.jobID = JobID(other) } },
        Case("assignment by another originator", .assignmentSignature) {
            $0.assignment = { $0.originatorDID = stranger.did }
        },
        Case("attempt differs", .attempt) { $0.receipt = { $0.attempt = 2 } },
        Case("bid by somebody else", .bidSignature) { $0.bid = { $0.bidderDID = stranger.did } },
        Case("bid for another job", .bidLinks) { $0.bid = { $0.jobID = JobID(other) } },
        Case("bid to another originator", .bidLinks) { $0.bid = { $0.originatorPeerID = stranger.peerID } },
        Case("bidder's PeerID of another key", .identities) { $0.bid = { $0.bidderPeerID = stranger.peerID } },
        Case("originator's PeerID of another key", .bidLinks, .identities) {
            $0.manifest = { $0.originatorPeerID = stranger.peerID }
        },
        Case("manifest by another originator", .manifestSignature) {
            $0.manifest = { $0.originatorDID = stranger.did }
        },
        Case("terms changed in the assignment", .terms) { $0.assignment = { $0.terms.deadline = .epoch } },
        Case("date of acceptance changed", .terms) {
            $0.assignment = { $0.acceptBy = $0.acceptBy.advanced(milliseconds: 1) }
        },
        Case("agreed price above the budget", .budget) {
            $0.manifest = { $0.params.maxAcceptableBidTokens = TokenAmount(499) }
        },
        Case("an issuer that the job does not pay by", .payment) {
            let payment = BidPayment(issuerDID: stranger.did, unit: CreditUnit(name: "hour", decimals: 2))
            $0.bid = { $0.terms.payment = payment }
            $0.assignment = { $0.terms.payment = payment }
        },
        Case("tokens where the job pays by issuers", .payment) {
            $0.manifest = {
                let payBy = PayBy(issuers: [stranger.did], unit: CreditUnit(name: "hour", decimals: 2))
                $0.params.executionPolicy = policy { $0.payBy = payBy }
            }
        },
        Case("an executor that the job denies", .executors) {
            $0.manifest = { $0.params.executionPolicy = policy { $0.deniedDIDs = [stranger.did, executor] } }
        },
        Case("an executor that the job does not admit", .executors) {
            $0.manifest = { $0.params.executionPolicy = policy { $0.allowedDIDs = [stranger.did] } }
        },
        Case("a bid of another region", .region) {
            $0.manifest = { $0.params.executionPolicy = policy { $0.regionFilter = ["eu", "us"] } }
            $0.bid = { $0.region = "EU" }
        },
        Case("a bid of no region", .region) {
            $0.manifest = { $0.params.executionPolicy = policy { $0.regionFilter = ["eu"] } }
        },
        Case("a bid without a required feature", .features) {
            $0.manifest = { $0.params.executionPolicy = policy { $0.requiredFeatures = ["a", "b"] } }
            $0.bid = { $0.features = ["a"] }
        },
        Case("a bidder that has too little", .resources) {
            $0.manifest = { $0.params.resourcesRequired = ["memory_mib": 64] }
            $0.bid = { ($0.resources, $0.terms.resourceGuarantees) = (["memory_mib": 63], ["memory_mib": 64]) }
            $0.assignment = { $0.terms.resourceGuarantees = ["memory_mib": 64] }
        },
        Case("a bidder that guarantees too little", .resources) {
            $0.manifest = { $0.params.resourcesRequired = ["gpu": 1] }
            $0.bid = { $0.resources = ["gpu": 4] }
        },
        Case("a result promised after the job's date", .deadline) {
            // The bid promises it 49,990 ms after it was made.
            $0.manifest = { manifest in
                let date = manifest.submittedAt.advanced(milliseconds: 49_989)
                manifest.params.executionPolicy = policy { $0.deadline = date }
            }
        },
        Case("a module that ran far beyond its timeout", .timeout) {
            $0.manifest = { $0.params.timeoutSeconds = 5 }
            $0.receipt = { $0.resourceUsage.wallMilliseconds = 15_001 }
        },
        Case("another module", .work) { $0.receipt = { $0.moduleCID = other } },
        Case("other inputs", .work) { $0.receipt = { $0.inputCIDs = [:] } },
        Case("another determinism", .work) { $0.receipt = { $0.determinism = .attested } },
        Case("another engine than the manifest fixes", .work, .features) {
            $0.manifest = { manifest in
                let engine = EngineDescription(name: "wasmtime", version: "2", configurationDigest: "abc")
                manifest.execution = ExecutionIdentity(
                    seed: Array(repeating: 1, count: 32), clockStart: manifest.submittedAt, engine: engine)
                manifest.params.executionPolicy = ExecutionPolicy()
                manifest.params.executionPolicy?.require(ExecutionIdentity.feature(of: engine))
            }
        },
        Case("fuel over the limit", .fuelLimit) { $0.manifest = { $0.params.maxFuel = 2_500_000 } },
        Case("memory over the limit", .memoryLimit) { $0.manifest = { $0.params.maxMemoryBytes = 65_535 } },
        Case("outputs over the limit", .outputLimit) { $0.manifest = { $0.params.maxOutputBytes = 11 } },
        Case("bytes written over the limit", .outputLimit) { $0.receipt = { $0.resourceUsage.bytesWritten = 1 << 40 } },
        Case("status against the outcome", .status) { $0.receipt = { $0.status = .failed } },
        Case("a status that is no end", .status) { $0.receipt = { $0.status = .running } },
        Case("one token too many", .price) { $0.receipt = { $0.price = TokenAmount(19) } },
        Case("one token too few", .price) { $0.receipt = { $0.price = TokenAmount(17) } },
        Case("a price for the node's own failure", .price, .status) {
            $0.receipt = { $0.outcome = .nodeFailed(reason: "power") }
        },
        Case("more fuel than the price", .price) { $0.receipt = { $0.resourceUsage.fuel += 1_000_000 } },
        Case("a cancelled run that burnt more fuel than was promised for its time", .price, .status) {
            // 10 ms and a begun one of 200,000,000 a second are 2,200,000.
            $0.bid = { $0.terms.resourceGuarantees = ["fuel_per_second": 200_000_000] }
            $0.assignment = { $0.terms.resourceGuarantees = ["fuel_per_second": 200_000_000] }
            $0.receipt = { $0.outcome = .cancelled }
        },
        Case("ended before it began", .times) { $0.receipt = { $0.executionEndedAt = UnixMilliseconds(1) } },
        Case("begun long before it was assigned", .times) {
            $0.receipt = { $0.executionStartedAt = UnixMilliseconds($0.executionStartedAt.value - 300_011) }
        },
        Case("assigned before it was submitted", .times) { $0.assignment = { $0.assignedAt = .epoch } },
        Case("assigned long after the bid had expired", .times) {
            $0.assignment = { $0.assignedAt = $0.acceptBy.advanced(milliseconds: 300_001) }
            $0.receipt = {
                $0.executionStartedAt = UnixMilliseconds(ReceiptChain.start + 400_000)
                $0.executionEndedAt = $0.executionStartedAt
            }
        },
        Case("a bid that expired before it was made", .times, .terms) { $0.bid = { $0.expiresAt = .epoch } },
        Case("a stage receipt", .contentIdentifiers) { $0.receipt = { $0.stageReceipts = [other] } },
        Case("too many anchored CIDs", .contentIdentifiers) {
            $0.receipt = { $0.anchoredCIDs = [CID](repeating: other, count: 1025) }
        },
        Case("more host functions than there are", .contentIdentifiers) {
            $0.receipt = { $0.resourceUsage.hostCalls = CanonicalMap((0...128).map { ("function \($0)", 1) }) }
        },
        Case("a host function of 65 bytes", .contentIdentifiers) {
            $0.receipt = { $0.resourceUsage.hostCalls = [String(repeating: "f", count: 65): 1] }
        },
        Case("an output with a name of 257 bytes", .contentIdentifiers) {
            let name = String(repeating: "o", count: 257)
            $0.receipt = { $0.outputs = [name: CID.hashing(Array("output".utf8), codec: .raw)] }
        },
        Case("an output without a name", .contentIdentifiers) {
            $0.receipt = { $0.outputs = ["": CID.hashing(Array("output".utf8), codec: .raw)] }
        },
        Case("an output that clears the screen", .contentIdentifiers) {
            $0.receipt = { $0.outputs = ["\u{1B}[2J": CID.hashing(Array("output".utf8), codec: .raw)] }
        },
        Case("an anchored dag-json block", .contentIdentifiers) {
            $0.receipt = { $0.anchoredCIDs = [CID.hashing([], codec: .dagJSON)] }
        },
        Case("the receipt before it as a file", .contentIdentifiers) {
            $0.receipt = { $0.previousReceiptCID = CID.hashing([], codec: .dagPB) }
        },
        Case("the receipt before it by identity hash", .contentIdentifiers) {
            $0.receipt = { $0.previousReceiptCID = CID(codec: .dagCBOR, multihash: .identity(of: [0xA0])) }
        },
    ]

    @Test(arguments: cases) func eachLieFailsItsCheck(_ lie: Case) throws {
        var chain = try ReceiptChain()
        var changes = ReceiptChain.Changes()
        lie.change(&changes)
        let cid = try chain.sign(changes)
        let report = chain.verify(cid)
        #expect(report.result == .failed)
        #expect(Set(report.codes(.failed)) == Set(lie.failing.map(\.rawValue)), "\(report.failures)")
        #expect(!report.isVerified)
    }

    /// A chain that keeps every demand of its policy to the last unit, and asks for a reputation that nobody can see.
    @Test func aPolicyThatIsKept() throws {
        var chain = try ReceiptChain()
        let cid = try chain.sign(
            ReceiptChain.Changes(
                manifest: { manifest in
                    let date = manifest.submittedAt.advanced(milliseconds: 49_990)
                    manifest.params.timeoutSeconds = 5
                    manifest.params.resourcesRequired = ["memory_mib": 64]
                    manifest.params.executionPolicy = Self.policy {
                        $0.allowedDIDs = [Self.stranger.did, Self.executor]
                        $0.deniedDIDs = [Self.stranger.did]
                        $0.regionFilter = ["us", "eu"]
                        $0.requiredFeatures = ["a", "b", "c", "d"]
                        $0.deadline = date
                        $0.minReputation = 500
                    }
                },
                bid: {
                    ($0.region, $0.features, $0.resources) = ("eu", ["a", "b", "c", "d"], ["memory_mib": 64])
                    $0.terms.resourceGuarantees = ["memory_mib": 64]
                },
                assignment: { $0.terms.resourceGuarantees = ["memory_mib": 64] },
                receipt: { $0.resourceUsage.wallMilliseconds = 15_000 }))
        let report = chain.verify(cid)
        #expect(report.isVerified, "\(report.failures)")
        #expect(report.codes(.notCheckable) == ["reputation"])
        let details = Dictionary(uniqueKeysWithValues: report.lines.map { ($0.code, $0.detail) })
        #expect(details["executors"] == "one of the 2 that the job admits")
        #expect(details["region"] == "the bid is of eu, one of us, eu")
        #expect(details["features"] == "the bid has a, b, c and 1 more")
        #expect(details["resources"] == "the bid has and guarantees all 1")
        #expect(details["deadline"] == "within 49,990 ms of the bid, of 49,990 ms")
        #expect(details["timeout"] == "the module ran 15,000 ms, the job allows 5 s")
        #expect(details["reputation"]?.hasPrefix("not shown: at least 500 ") == true)
        chain.blocks[chain.assignment.bidCID] = nil
        let without = chain.verify(cid)
        for code in ["region", "features", "resources", "deadline"] {
            let line = without.lines.first { $0.code == code }
            #expect(line?.result == .notCheckable && line?.detail.hasPrefix("not shown: ") == true)
        }
        #expect(without.result == .notCheckable && without.failures.isEmpty)
    }

    /// A node that failed the job asks for nothing, however long it tried.
    @Test func aNodeThatFailedMayHaveTriedForLong() throws {
        var chain = try ReceiptChain()
        let cid = try chain.sign(
            ReceiptChain.Changes(receipt: { receipt in
                receipt.outcome = .nodeFailed(reason: "power")
                (receipt.status, receipt.price) = (receipt.outcome.standardStatus, .zero)
                receipt.resourceUsage.wallMilliseconds = 1 << 40
            }))
        #expect(chain.verify(cid).isVerified, "\(chain.verify(cid).failures)")
    }

    /// Every bound of a receipt may be reached.
    @Test func aChainAtAllItsBoundsPasses() throws {
        var chain = try ReceiptChain()
        let cid = try chain.sign(
            ReceiptChain.Changes(
                manifest: { manifest in
                    manifest.params.maxFuel = 2_500_001
                    manifest.params.maxMemoryBytes = 65_536
                    manifest.params.maxOutputBytes = 12
                    manifest.params.maxAcceptableBidTokens = TokenAmount(500)
                },
                receipt: { receipt in
                    receipt.executionEndedAt = receipt.executionStartedAt
                    receipt.resourceUsage.hostCalls = [String(repeating: "f", count: 64): 1]
                    let names = CanonicalMap(
                        receipt.outputs.map { (String(repeating: "o", count: 256), $0.value) })
                    receipt.outputs = names
                }))
        let report = chain.verify(cid)
        #expect(report.isVerified, "\(report.failures)")
        let fault = ReceiptRules().fault(of: chain.receipt, assignment: chain.assignment, manifest: chain.manifest)
        #expect(fault == nil)
    }

    /// A run that was cut short may claim what the bid promised for its time, to the unit.
    @Test(arguments: [(2_500_001, true), (2_500_000, false)] as [(UInt64, Bool)])
    func aClaimAtItsBound(fuelPerTenMilliseconds: UInt64, passes: Bool) throws {
        var chain = try ReceiptChain()
        let rate = (fuelPerTenMilliseconds * 1_000 + 10) / 11
        let cid = try chain.sign(
            ReceiptChain.Changes(
                bid: { $0.terms.resourceGuarantees = ["fuel_per_second": rate] },
                assignment: { $0.terms.resourceGuarantees = ["fuel_per_second": rate] },
                receipt: { receipt in
                    receipt.outcome = .limitExceeded(.wallClock)
                    receipt.status = .failed
                    if !passes { receipt.resourceUsage.fuel = FuelPace.fuel(perSecond: rate, milliseconds: 10) + 1 }
                }))
        let report = chain.verify(cid)
        #expect(report.isVerified == passes, "\(report.failures)")
        let fault = ReceiptRules().fault(of: chain.receipt, assignment: chain.assignment, manifest: chain.manifest)
        #expect((fault == nil) == passes)
    }

    /// A run that ended by itself may claim what every replay gives, whatever the bid promised, however short it was.
    @Test func theMostThatARunMayClaim() throws {
        var chain = try ReceiptChain()
        let cid = try chain.sign(
            ReceiptChain.Changes(
                manifest: { $0.params.maxFuel = 1_000_000_000 },
                bid: { $0.terms.resourceGuarantees = ["fuel_per_second": 1] },
                assignment: { $0.terms.resourceGuarantees = ["fuel_per_second": 1] },
                receipt: { ($0.resourceUsage.fuel, $0.price) = (440_000_001, TokenAmount(500)) }))
        #expect(chain.verify(cid).isVerified, "\(chain.verify(cid).failures)")
        let fault = ReceiptRules().fault(of: chain.receipt, assignment: chain.assignment, manifest: chain.manifest)
        #expect(fault == nil)
    }

    /// The blocks count, and not only what the receipt says of them.
    @Test func outputsThatHaveMoreBytesThanTheReceiptSays() throws {
        var chain = try ReceiptChain()
        let cid = try chain.sign(
            ReceiptChain.Changes(
                manifest: { $0.params.maxOutputBytes = 11 }, receipt: { $0.resourceUsage.bytesWritten = 1 }))
        #expect(chain.verify(cid).codes(.failed) == ["output_limit"])
    }

    /// What an originator refuses to pay and what a verifier calls invalid is the same, as far as both can see it.
    @Test(arguments: cases) func theRulesOfAnOriginatorAreThoseOfTheVerifier(_ lie: Case) throws {
        let shared: Set<ReceiptCheckName> = [
            .assignmentSignature, .assignmentLinks, .attempt, .work, .fuelLimit, .memoryLimit, .outputLimit, .status,
            .price, .contentIdentifiers, .timeout,
        ]
        var chain = try ReceiptChain()
        #expect(
            ReceiptRules().fault(of: chain.receipt, assignment: chain.assignment, manifest: chain.manifest) == nil)
        var changes = ReceiptChain.Changes()
        lie.change(&changes)
        _ = try chain.sign(changes)
        let fault = ReceiptRules().fault(of: chain.receipt, assignment: chain.assignment, manifest: chain.manifest)
        if fault != .endsBeforeItBegins { #expect((fault != nil) == !shared.isDisjoint(with: lie.failing), "\(lie)") }
    }

    /// The table above and the tests below reach every check.
    @Test func everyCheckCanFail() {
        // Of a reputation nothing is shown.
        let elsewhere: Set<ReceiptCheckName> = [
            .receiptBlock, .receiptSignature, .outputs, .predecessor, .reputation,
        ]
        #expect(Set(Self.cases.flatMap(\.failing)).union(elsewhere) == Set(ReceiptCheckName.allCases))
    }

    @Test func noByteOfAReceiptCanBeChanged() throws {
        var chain = try ReceiptChain()
        let cid = try chain.sign()
        let block = try #require(chain.blocks[cid])
        for index in block.indices {
            for flip: UInt8 in [0x01, 0x20, 0x80, 0xFF] {
                var changed = block
                changed[index] ^= flip
                let report = ReceiptVerifier().verify(cid, block: changed, evidence: chain.evidence)
                #expect(report.codes(.failed) == ["receipt_block"])
                // Under the CID that it does hash to, it is not signed, or not a receipt.
                let renamed = CID.hashing(changed, codec: .dagCBOR)
                let honest = ReceiptVerifier().verify(renamed, block: changed, evidence: chain.evidence)
                #expect(honest.codes(.failed) == ["receipt_signature"], "byte \(index)")
                #expect(honest.codes(.passed) == ["receipt_block"])
            }
        }
    }

    @Test func aReceiptBySomebodyElse() throws {
        var chain = try ReceiptChain()
        let forger = Self.stranger
        let cid = try chain.sign(ReceiptChain.Changes(receipt: { $0.executorDID = forger.did }))
        let report = chain.verify(cid)
        #expect(Set(report.codes(.failed)) == ["assignment_links", "bid_signature"])
    }

    @Test func objectsOfAnotherTypeInTheChain() throws {
        var chain = try ReceiptChain()
        let cid = try chain.sign()
        // The assignment's place holds the bid: signed, but not as an assignment.
        let honest = chain.receipt
        chain.receipt.assignmentCID = chain.assignment.bidCID
        let signed = try SignedObject.sign(chain.receipt, with: chain.executor)
        chain.blocks[signed.cid] = signed.bytes
        #expect(chain.verify(signed.cid).codes(.failed) == ["assignment_signature"])
        chain.receipt = honest
        #expect(chain.verify(cid).isVerified)
    }

    @Test(arguments: [0, 1, 2, 3, 4, 5]) func missingBlocks(_ which: Int) throws {
        var chain = try ReceiptChain()
        let cid = try chain.sign()
        let links = [
            chain.receipt.assignmentCID, chain.assignment.bidCID, chain.receipt.jobID.cid,
            try #require(chain.receipt.outputs["result"]), try #require(chain.receipt.stdoutCID), cid,
        ]
        let codes = [
            "assignment_signature", "bid_signature", "manifest_signature", "outputs", "outputs", "receipt_block",
        ]
        chain.blocks[links[which]] = nil
        let report = chain.verify(cid)
        #expect(report.result == .notCheckable)
        #expect(report.failures.isEmpty)
        #expect(report.codes(.notCheckable).contains(codes[which]))
        let line = report.lines.first { $0.code == codes[which] }
        #expect(line?.detail.contains("nobody has it") == true)
        // A block that is there but wrong is worse than one that is missing.
        chain.blocks[links[which]] = [1, 2, 3]
        #expect(chain.verify(cid).codes(.failed) == [codes[which]])
    }

    /// A chain whose receipt follows one of the same executor, or of another.
    private static func following(by other: Identity? = nil) throws -> (ReceiptChain, previous: CID, cid: CID) {
        var chain = try ReceiptChain()
        _ = try chain.sign()
        var before = chain.receipt
        before.attempt = 7
        if let other { before.executorDID = other.did }
        let signed = try SignedObject.sign(before, with: other ?? chain.executor)
        chain.blocks[signed.cid] = signed.bytes
        let cid = try chain.sign(ReceiptChain.Changes(receipt: { $0.previousReceiptCID = signed.cid }))
        return (chain, signed.cid, cid)
    }

    private static func predecessor(_ report: VerificationReport) -> VerificationReport.Line? {
        report.lines.first { $0.code == "predecessor" }
    }

    @Test func aReceiptFollowsOneOfItsExecutor() throws {
        let (chain, previous, cid) = try Self.following()
        let report = chain.verify(cid)
        #expect(report.isVerified)
        #expect(Self.predecessor(report)?.result == .passed)
        #expect(Self.predecessor(report)?.detail == "after \(previous)")
    }

    @Test func aReceiptAfterAnothersFails() throws {
        let (chain, _, cid) = try Self.following(by: ReceiptChain.stranger)
        let report = chain.verify(cid)
        #expect(report.codes(.failed) == ["predecessor"])
        #expect(Self.predecessor(report)?.detail.contains("instead of \(chain.executor.did)") == true)
    }

    @Test func aReceiptAfterSomethingElseFails() throws {
        var chain = try ReceiptChain()
        _ = try chain.sign()
        let manifest = chain.receipt.jobID.cid
        let cid = try chain.sign(ReceiptChain.Changes(receipt: { $0.previousReceiptCID = manifest }))
        #expect(chain.verify(cid).codes(.failed) == ["predecessor"])
        let (other, previous, second) = try Self.following()
        let report = ReceiptVerifier().verify(second) { $0 == previous ? .bytes([1, 2, 3]) : other.evidence($0) }
        #expect(report.codes(.failed) == ["predecessor"])
    }

    @Test func aPredecessorThatIsGoneIsUnknownAndTheReceiptHoldsAllTheSame() throws {
        var (chain, previous, cid) = try Self.following()
        chain.blocks[previous] = nil
        let report = chain.verify(cid)
        #expect(report.codes(.notCheckable) == ["predecessor"])
        #expect(
            Self.predecessor(report)?.detail
                == "unknown: the receipt before it, \(previous), is gone: nobody has it")
        #expect(report.isVerified)
        // That is so for this check alone.
        chain.blocks[chain.assignment.bidCID] = nil
        #expect(chain.verify(cid).result == .notCheckable)
    }

    @Test func twoSuccessorsOfOneFail() throws {
        let (chain, previous, cid) = try Self.following()
        let sibling = CID.hashing([1], codec: .dagCBOR)
        let report = ReceiptVerifier().verify(cid, siblings: [cid, sibling], evidence: chain.evidence)
        #expect(report.codes(.failed) == ["predecessor"])
        #expect(Self.predecessor(report)?.detail == "the executor signed \(sibling) after \(previous) too")
        #expect(ReceiptVerifier().verify(cid, siblings: [cid], evidence: chain.evidence).isVerified)
        var first = try ReceiptChain()
        let alone = try first.sign()
        let twoFirst = ReceiptVerifier().verify(alone, siblings: [sibling], evidence: first.evidence)
        #expect(Self.predecessor(twoFirst)?.detail == "the executor signed \(sibling) as the first of its executor too")
    }

    @Test func receiptsUnderOtherFormsOfCID() throws {
        var chain = try ReceiptChain()
        let cid = try chain.sign()
        let block = try #require(chain.blocks[cid])
        let version0 = try CID(bytes: cid.multihash.bytes)
        for other in [CID.hashing(block, codec: .raw), CID.hashing(block, codec: .dagPB), version0] {
            let report = ReceiptVerifier().verify(other, block: block, evidence: chain.evidence)
            #expect(report.codes(.failed) == ["receipt_block"])
        }
    }

    @Test func textFromOthersCannotMoveACursor() throws {
        var chain = try ReceiptChain()
        let cid = try chain.sign(
            ReceiptChain.Changes(receipt: {
                $0.outcome = .trapped(kind: .other, message: "\u{1B}[2J\u{202E}")
                $0.status = .failed
            }))
        let report = chain.verify(cid)
        #expect(report.isVerified)
        #expect(report.lines.allSatisfy { PlainText.isPlain($0.detail) })
    }
}
