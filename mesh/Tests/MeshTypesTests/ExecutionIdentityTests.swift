import IPLD
import MeshTypes
import Multiformats
import SignedObjects
import Testing

/// What decides a run besides its parameters.
@Suite("Execution identity")
struct ExecutionIdentityTests {
    private let engine = EngineDescription(
        name: "wasmtime", version: "37", configurationDigest: String(repeating: "ab", count: 32),
        instructionSet: "x86_64", processorBaseline: "x86-64-v3")

    private func identity(seed: [UInt8]? = nil, start: UnixMilliseconds = Samples.date) -> ExecutionIdentity {
        ExecutionIdentity(seed: seed ?? Array(0..<32), clockStart: start, engine: engine)
    }

    private func manifest(_ change: (inout JobManifest) -> Void = { _ in }) -> JobManifest {
        var manifest = Samples.manifest
        manifest.params.executionPolicy?.require(identity().feature)
        manifest.execution = identity()
        change(&manifest)
        return manifest
    }

    @Test("It gives seed, clock and the names that the guest sees; without it nonce, date and names do")
    func guest() throws {
        let job = JobID(Samples.input)
        #expect(manifest().guestSeed == 0x0001_0203_0405_0607)
        #expect(manifest().guestClockStart == Samples.date)
        #expect(manifest().visibleJobID(of: job) == manifest().executionCID?.text)
        #expect(manifest().visibleExecutor(Samples.executor.did).isEmpty)
        let older = Samples.manifest
        #expect(older.executionCID == nil)
        #expect(older.guestSeed == 0x0707_0707_0707_0707)
        #expect(older.guestClockStart == older.submittedAt)
        #expect(older.visibleJobID(of: job) == job.cid.text)
        #expect(older.visibleExecutor(Samples.executor.did) == Samples.executor.did.text)
    }

    @Test("Manifests of one work have one name, whatever no run depends on; anything else gives another")
    func names() {
        let name = manifest().executionCID
        let alike: [(inout JobManifest) -> Void] = [
            { $0.nonce[0] = 9 }, { $0.submittedAt = UnixMilliseconds(5) }, { $0.params.description = "other" },
            { $0.params.executionPolicy = nil }, { $0.params.maxAcceptableBidTokens = nil },
            { $0.params.resourcesRequired = [:] }, { $0.params.scopedResourceToken = "token" },
            { $0.verificationCommitment = Array(repeating: 1, count: 32) },
        ]
        for change in alike { #expect(manifest(change).executionCID == name) }
        let others: [(inout JobManifest) -> Void] = [
            { $0.params.wasmCID = Samples.input }, { $0.params.entry = "other" }, { $0.params.args = [] },
            { $0.params.env = [:] }, { $0.params.inputCIDs = [:] }, { $0.params.timeoutSeconds += 1 },
            { $0.params.maxFuel += 1 }, { $0.params.maxMemoryBytes += 1 }, { $0.params.maxOutputBytes += 1 },
            { $0.params.determinism = .attested }, { $0.params.files = JobFiles() },
            { $0.originatorDID = Samples.executor.did }, { $0.execution?.seed[31] = 0 },
            { $0.execution?.clockStart = UnixMilliseconds(0) }, { $0.execution?.engine.version = "38" },
        ]
        for change in others { #expect(manifest(change).executionCID != name) }
    }

    @Test("Where results may serve again, seed and clock follow from the work, and tell whose and which it is")
    func repeatable() throws {
        func identity(_ change: (inout JobManifest) -> Void = { _ in }) throws -> ExecutionIdentity {
            var manifest = Samples.manifest
            change(&manifest)
            return try #require(.repeatable(manifest.params, of: manifest.originatorDID, on: engine))
        }
        let first = try identity()
        #expect(first.seed.count == ExecutionIdentity.seedBytes)
        #expect(first.clockStart == ExecutionIdentity.repeatableStart)
        #expect(try identity { $0.params.executionPolicy = nil } == first)
        #expect(try identity { $0.params.maxAcceptableBidTokens = nil } == first)
        #expect(try identity { $0.params.args = [] }.seed != first.seed)
        #expect(try identity { $0.params.maxFuel += 1 }.seed != first.seed)
        #expect(try identity { $0.originatorDID = Samples.executor.did }.seed != first.seed)
        var other = Samples.manifest
        #expect(!other.isRepeatable)
        other.execution = first
        #expect(other.isRepeatable)
        other.params.args = []
        #expect(!other.isRepeatable)
    }

    @Test("The rules want a whole seed, a date, and executors that state the engine")
    func rules() {
        func refusal(_ manifest: JobManifest) -> JobRefusal? {
            JobRules().refusal(of: manifest, wallClock: Samples.date)
        }
        #expect(refusal(manifest()) == nil)
        #expect(refusal(manifest { $0.execution?.seed = [1] }) == .seedLength(1))
        let feature = "execution-v1/wasmtime-37/abababababababab"
        #expect(refusal(manifest { $0.params.executionPolicy?.requiredFeatures = nil }) == .featureNotRequired(feature))
        #expect(refusal(manifest { $0.execution?.engine.version = "38" })?.code == "feature_not_required")
        #expect(
            refusal(manifest { $0.execution?.clockStart = UnixMilliseconds(1 << 62) })?.code == "limit_too_large")
    }

    @Test("An engine is admitted by its class, whatever processor it compiles for")
    func engines() {
        let identity = identity()
        #expect(identity.engine.processorBaseline == nil && identity.engine.instructionSet == nil)
        #expect(identity.admits(engine))
        var other = engine
        other.configurationDigest = String(repeating: "ac", count: 32)
        #expect(!identity.admits(other))
        #expect(ExecutionIdentity.feature(of: other) != identity.feature)
    }

    @Test("It reads in both ways")
    func reading() throws {
        var manifest = manifest()
        manifest.params = MeshJobParams(wasmCID: Samples.module)
        let bytes = try DAGCBOREncoder().encode(manifest)
        #expect(try DAGCBORDecoder().decode(JobManifest.self, from: bytes) == manifest)
        #expect(try JobManifest(plain: DAGCBORDocument(validating: bytes).root) == manifest)
    }
}
