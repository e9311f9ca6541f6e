import MeshTypes
import Multiformats
import PeerIdentity
import SignedObjects
import Testing

@Suite("Rules of jobs")
struct JobRulesTests {
    private let rules = JobRules()

    private func refusal(_ change: (inout MeshJobParams) -> Void) -> JobRefusal? {
        var params = Samples.params
        change(&params)
        return rules.refusal(of: params)
    }

    private func refusalOfPolicy(_ change: (inout ExecutionPolicy) -> Void) -> JobRefusal? {
        refusal { params in
            var policy = ExecutionPolicy()
            change(&policy)
            params.executionPolicy = policy
        }
    }

    @Test func aSoundJobIsNotRefused() {
        #expect(rules.refusal(of: Samples.params) == nil)
        #expect(rules.refusal(of: Samples.manifest, wallClock: Samples.date) == nil)
    }

    @Test func limitsMustBeGivenAndBounded() {
        #expect(refusal { $0.maxFuel = 0 } == .limitMissing(field: "max_fuel"))
        #expect(refusal { $0.timeoutSeconds = 0 } == .limitMissing(field: "timeout_seconds"))
        #expect(refusal { $0.maxMemoryBytes = 0 } == .limitMissing(field: "max_memory_bytes"))
        #expect(refusal { $0.maxOutputBytes = 0 } == .limitMissing(field: "max_output_bytes"))
        #expect(
            refusal { $0.timeoutSeconds = 3601 } == .limitTooLarge(field: "timeout_seconds", asked: 3601, max: 3600))
        #expect(refusal { $0.maxFuel = .max } == .limitTooLarge(field: "max_fuel", asked: .max, max: rules.fuelMax))
        #expect(
            refusal { $0.maxMemoryBytes = .max }
                == .limitTooLarge(field: "max_memory_bytes", asked: .max, max: rules.memoryBytesMax))
        #expect(
            refusal { $0.maxOutputBytes = .max }
                == .limitTooLarge(field: "max_output_bytes", asked: .max, max: rules.outputBytesMax))
    }

    @Test func listsAndTextsAreBounded() {
        let module = Samples.module
        #expect(refusal { $0.args = Array(repeating: "", count: 257) } == .tooMany(field: "args", count: 257, max: 256))
        #expect(
            refusal { $0.env = CanonicalMap((0..<257).map { ("v\($0)", "") }) }
                == .tooMany(field: "env", count: 257, max: 256))
        #expect(
            refusal { $0.inputCIDs = CanonicalMap((0..<65).map { ("i\($0)", module) }) }
                == .tooMany(field: "input_cids", count: 65, max: 64))
        #expect(
            refusal { $0.resourcesRequired = CanonicalMap((0..<33).map { ("r\($0)", 1) }) }
                == .tooMany(field: "resources_required", count: 33, max: 32))
        #expect(
            refusal { $0.args = [String(repeating: "x", count: 40_000)] }
                == .tooLong(field: "args and env", bytes: 40_012, bytesMax: 32_768))
        #expect(refusal { $0.args = ["a\0b"] } == .badText(field: "args"))
        #expect(refusal { $0.env = ["A=B": "c"] } == .badText(field: "env"))
        #expect(refusal { $0.env = ["": "c"] } == .empty(field: "env"))
        #expect(refusal { $0.entry = "" } == .empty(field: "entry"))
        #expect(refusal { $0.entry = "a\u{1b}[2J" } == .badText(field: "entry"))
        #expect(
            refusal { $0.entry = String(repeating: "e", count: 257) }
                == .tooLong(field: "entry", bytes: 257, bytesMax: 256))
        #expect(
            refusal { $0.description = String(repeating: "d", count: 4097) }
                == .tooLong(field: "description", bytes: 4097, bytesMax: 4096))
    }

    @Test func whatNobodyReadsIsNoPromise() {
        let schema = refusal { $0.expectedOutputSchemaCID = .hashing(Array("schema".utf8), codec: .raw) }
        #expect(schema == .notOffered("a schema of the output (expected_output_schema_cid)"))
        #expect(
            refusal { $0.scopedResourceToken = "token" }
                == .notOffered("a token of resources (scoped_resource_token) without pay_by, or not named by its CID"))
    }

    @Test func refusalsNameTheOptionAndTheUnit() {
        let memory = refusal { $0.maxMemoryBytes = 100 << 30 }
        #expect(memory?.description == "the memory limit (--max-memory) is 100 GiB, the most allowed is 4 GiB")
        #expect(
            refusal { $0.maxMemoryBytes = (4 << 30) + 1 }?.description
                == "the memory limit (--max-memory) is 4,294,967,297 bytes, the most allowed is 4 GiB")
        #expect(
            refusal { $0.maxFuel = 0 }?.description == "the fuel limit (--max-fuel) must be given and more than zero")
        #expect(
            refusal { $0.timeoutSeconds = 5400 }?.description
                == "the time limit (--timeout) is 5,400 s, the most allowed is 3,600 s")
        #expect(
            refusal { $0.description = String(repeating: "d", count: 5000) }?.description
                == "the label (--label) has 5,000 bytes, the most allowed is 4,096")
        #expect(
            refusal { $0.args = [String(repeating: "x", count: 40_000)] }?.description.hasPrefix(
                "the list of arguments with the environment (--arg and --env) has ") == true)
        #expect(refusal { $0.entry = "" }?.description == "the function to call (--entry) must not be empty")
        #expect(
            refusalOfPolicy { $0.minReputation = 2_000_000 }?.description
                == "the least reputation (--min-reputation) is 2,000,000, the most allowed is 1,000")
        #expect(refusalOfPolicy { $0.regionFilter = [] }?.description == "the region (--region) must not be empty")
        #expect(
            refusalOfPolicy { $0.bidWindowMilliseconds = 3_000_000 }?.description.hasPrefix(
                "the wait for bids (--bid-window) is 3,000 s, the most allowed is ") == true)
        #expect(
            refusalOfPolicy { $0.maxAttempts = 17 }?.description
                == "the job's max attempts is 17, the most allowed is 16")
    }

    @Test func shapesThatAreNotOfferedAreNamed() {
        #expect(refusal { $0.workflowType = .dagWorkflow } == .notOffered("DagWorkflow"))
        #expect(refusal { $0.verification = .quorum(agreeing: 2, of: 3) } == .notOffered("verification by quorum"))
        #expect(refusal { $0.verification = .spotCheck(permille: 100) }?.code == "not_offered")
        let stage = WorkflowStage(id: "a", wasmCID: Samples.module)
        #expect(refusal { $0.stages = [stage] }?.code == "workflow_shape")
        #expect(refusal { $0.stages = Array(repeating: stage, count: 65) }?.code == "too_many")
    }

    @Test func sessionsAreBoundedAndFitTheirJobs() {
        func refusal(_ change: (inout MeshJobParams) -> Void) -> JobRefusal? {
            self.refusal { params in
                (params.isInteractive, params.determinism, params.session) = (true, .attested, SessionTerms())
                params.executionPolicy = ExecutionPolicy()
                params.executionPolicy?.require(SessionTerms.feature)
                params.inputCIDs = [:]
                change(&params)
            }
        }
        #expect(refusal { _ in } == nil)
        #expect(refusal { $0.session = nil } == .empty(field: "session"))
        #expect(refusal { $0.isInteractive = false }?.code == "bad_session")
        #expect(refusal { $0.determinism = .deterministic }?.code == "bad_session")
        #expect(refusal { $0.inputCIDs["stdin"] = Samples.module }?.code == "bad_session")
        #expect(refusal { $0.invoke = [] }?.code == "bad_session")
        #expect(refusal { $0.executionPolicy = nil } == .featureNotRequired("interactive-v1"))
        #expect(refusal { $0.session?.idleSeconds = 0 } == .limitMissing(field: "session.idle_seconds"))
        #expect(refusal { $0.session?.idleSeconds = 3_600 } == nil)
        #expect(refusal { $0.session?.idleSeconds = 3_601 }?.code == "limit_too_large")
        #expect(refusal { $0.session?.waitingSeconds = 86_400 } == nil)
        #expect(refusal { $0.session?.waitingSeconds = 86_401 }?.code == "limit_too_large")
    }

    @Test func policiesAreBounded() {
        #expect(refusalOfPolicy { $0.regionFilter = [] } == .empty(field: "region_filter"))
        #expect(refusalOfPolicy { $0.regionFilter = Array(repeating: "r", count: 65) }?.code == "too_many")
        #expect(refusalOfPolicy { $0.requiredFeatures = [""] } == .empty(field: "required_features"))
        #expect(refusalOfPolicy { $0.allowedDIDs = [] } == .empty(field: "allowed_dids"))
        #expect(refusalOfPolicy { $0.minReputation = 1001 }?.code == "limit_too_large")
        #expect(refusalOfPolicy { $0.bidWindowMilliseconds = 600_001 }?.code == "limit_too_large")
        #expect(refusalOfPolicy { $0.maxAttempts = 0 } == .limitMissing(field: "max_attempts"))
        #expect(refusalOfPolicy { $0.maxAttempts = 17 }?.code == "limit_too_large")
        #expect(refusalOfPolicy { $0.sufficientBids = 0 } == .limitMissing(field: "sufficient_bids"))
        for ask in [{ $0.publicBids = true }, { $0.publicStatus = true }] as [(inout ExecutionPolicy) -> Void] {
            #expect(refusalOfPolicy(ask) == .featureNotRequired(PublicJob.feature))
            #expect(
                refusalOfPolicy {
                    ask(&$0)
                    $0.require(PublicJob.feature)
                } == nil)
        }
        #expect(refusalOfPolicy { $0.hedge = true } == .featureNotRequired(HedgedJob.feature))
        #expect(
            refusalOfPolicy {
                $0.hedge = true
                $0.require(HedgedJob.feature)
            } == nil)
        #expect(
            refusalOfPolicy { $0.weights = SelectionWeights(price: 0, reputation: 0, region: 0, latency: 0, load: 0) }
                == .limitMissing(field: "weights"))
    }

    @Test func manifestsMustBeTheirOriginatorsAndInTime() {
        var manifest = Samples.manifest
        manifest.originatorPeerID = Samples.executor.peerID
        #expect(rules.refusal(of: manifest, wallClock: Samples.date) == .identityMismatch)
        manifest = Samples.manifest
        manifest.nonce = [1]
        #expect(rules.refusal(of: manifest, wallClock: Samples.date) == .nonceLength(1))
        manifest = Samples.manifest
        let skew = rules.clockSkewMilliseconds
        let last = manifest.expiresAt.advanced(milliseconds: skew - 1)
        #expect(rules.refusal(of: manifest, wallClock: last) == nil, "it may not have expired there")
        #expect(rules.refusal(of: manifest, wallClock: last.advanced(milliseconds: 1)) == .expired)
        let first = UnixMilliseconds(manifest.submittedAt.value - skew)
        #expect(rules.refusal(of: manifest, wallClock: first) == nil)
        #expect(rules.refusal(of: manifest, wallClock: UnixMilliseconds(first.value - 1)) == .submittedInTheFuture)
        #expect(rules.refusal(of: manifest, wallClock: UnixMilliseconds(1000)) == .submittedInTheFuture)
        manifest.biddingDeadline = manifest.expiresAt.advanced(milliseconds: 1)
        #expect(rules.refusal(of: manifest, wallClock: Samples.date) == .datesOutOfOrder)
        manifest = Samples.manifest
        manifest.expiresAt = manifest.submittedAt.advanced(milliseconds: 8 * 86_400_000)
        #expect(rules.refusal(of: manifest, wallClock: Samples.date)?.code == "lifetime_too_long")
        manifest = Samples.manifest
        manifest.originatorAddresses = Array(repeating: Samples.address, count: 17)
        #expect(rules.refusal(of: manifest, wallClock: Samples.date)?.code == "too_many")
    }

    @Test func amountsAndDatesAreBoundedByWhatAStoreHolds() {
        let max = TokenAmount.max.units
        #expect(max == UInt64(Int64.max))
        #expect(
            refusal { $0.maxAcceptableBidTokens = TokenAmount(max + 1) }
                == .limitTooLarge(field: "max_acceptable_bid_tokens", asked: max + 1, max: max))
        #expect(refusal { $0.maxAcceptableBidTokens = .max } == nil)
        #expect(
            refusal { $0.resourcesRequired = ["gpu": .max] }
                == .limitTooLarge(field: "resources_required", asked: .max, max: max))
        #expect(
            refusalOfPolicy { $0.maxPrice = TokenAmount(.max) }
                == .limitTooLarge(field: "max_price", asked: .max, max: max))
        #expect(
            refusalOfPolicy { $0.deadline = UnixMilliseconds(1 << 53) }
                == .limitTooLarge(field: "deadline", asked: 1 << 53, max: rules.dateMillisecondsMax))
    }

    @Test func contentIsNamedAsReceiptsNameIt() throws {
        let bytes = Array("module".utf8)
        let version0 = try CID(bytes: Array(CID.hashing(bytes, codec: .dagPB).bytes.dropFirst(2)))
        let identity = CID(codec: .raw, multihash: try Multihash(bytes: [0, 1, 7]))
        for cid in [version0, CID.hashing(bytes, codec: .dagJSON), CID.hashing(bytes, codec: .libp2pKey), identity] {
            #expect(refusal { $0.wasmCID = cid } == .cidNotAccepted(field: "wasm_cid", cid))
            #expect(refusal { $0.inputCIDs["data"] = cid } == .cidNotAccepted(field: "input_cids", cid))
        }
        #expect(version0.version1 == CID.hashing(bytes, codec: .dagPB))
        #expect(refusal { $0.wasmCID = version0.version1 } == nil)
    }

    @Test func amountsAndDatesNeverTrap() {
        #expect(TokenAmount.max.adding(TokenAmount(1)) == nil)
        #expect(TokenAmount(1).subtracting(TokenAmount(2)) == nil)
        #expect(TokenAmount.max.addingSaturated(.max) == .max)
        #expect(UnixMilliseconds(.max).advanced(milliseconds: 1) == UnixMilliseconds(.max))
        #expect(UnixMilliseconds(1).milliseconds(since: UnixMilliseconds(2)) == 0)
    }

    @Test func canonicalMapsAreInTheOrderOfTheirEncoding() {
        let map: CanonicalMap<UInt64> = ["bb": 1, "a": 2, "ab": 3, "a": 4]
        #expect(map.keys == ["a", "ab", "bb"])
        #expect(map["a"] == 4)
        #expect(CanonicalMap([("ab", UInt64(3)), ("a", 4), ("bb", 1)]) == map)
        var other = map
        other["ab"] = nil
        #expect(other.keys == ["a", "bb"])
    }

    @Test func textOfOthersIsMadeFitForATerminal() {
        #expect(PlainText.sanitized("a\u{1b}[31mb\nc\u{202e}d") == "a?[31mb?c?d")
        #expect(PlainText.sanitized(String(repeating: "x", count: 500)).count == 200)
        let letter = "e" + String(repeating: "\u{301}", count: 1 << 20)
        #expect(letter.count == 1, "what a reader sees as one letter")
        #expect(PlainText.sanitized(letter).utf8.count <= 200)
        #expect(PlainText.isPlain("größe 20 €"))
    }

    @Test("Issuers of others are few, each named once, and paid by one of the job's")
    func issuersAcross() throws {
        let issuers = (0..<20).map { _ in Identity.generate().did }
        func refusal(_ across: [PayBy.Neighbour]?) -> JobRefusal? {
            self.refusal { params in
                var policy = ExecutionPolicy()
                policy.payBy = PayBy(
                    issuers: [issuers[0]], unit: CreditUnit(name: "hours", decimals: 2), across: across)
                policy.require(CreditJob.feature)
                params.executionPolicy = policy
                params.maxAcceptableBidTokens = TokenAmount(5)
            }
        }
        let all = issuers.dropFirst().map { PayBy.Neighbour(issuerDID: $0, byDID: issuers[0]) }
        #expect(refusal(nil) == nil && refusal(Array(all.prefix(16))) == nil)
        #expect(refusal([]) == .empty(field: "across"))
        #expect(refusal(Array(all.prefix(17))) == .tooMany(field: "across", count: 17, max: 16))
        let twice = JobRefusal.badPayment("names an issuer twice")
        #expect(refusal([all[0], all[0]]) == twice)
        #expect(refusal([PayBy.Neighbour(issuerDID: issuers[0], byDID: issuers[0])]) == twice)
        #expect(
            refusal([PayBy.Neighbour(issuerDID: issuers[1], byDID: issuers[2])])
                == .badPayment("is to be paid across by an issuer that it does not name"))
        let payBy = PayBy(issuers: [issuers[0]], unit: CreditUnit(name: "hours", decimals: 2), across: [all[0]])
        #expect(payBy.payer(to: issuers[0]) == issuers[0] && payBy.payer(to: issuers[1]) == issuers[0])
        #expect(payBy.payer(to: issuers[2]) == nil)
        #expect(payBy.admits(BidPayment(issuerDID: issuers[1], unit: payBy.unit)))
        #expect(!payBy.admits(BidPayment(issuerDID: issuers[1], unit: CreditUnit(name: "hours", decimals: 3))))
    }
}
