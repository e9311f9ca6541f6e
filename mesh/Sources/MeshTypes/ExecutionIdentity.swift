package import IPLD
package import Multiformats
package import SignedObjects

/// What decides a run besides the job's parameters: seed and clock of its guest, and the engine that has to run it
/// (PROTOCOL.md, "Execution identity").
///
/// It stands in the signed manifest. Manifests of one work may have equal identities although they are different jobs;
/// then their runs give the same to the byte. It follows neither from the nonce nor from anything else in the manifest,
/// so that one manifest does not tell whether its job has a twin; who sees all that are announced can tell.
package struct ExecutionIdentity: Hashable, Sendable, Codable {
    /// Random bytes; the first eight seed the guest's random numbers, as a big-endian number.
    package var seed: [UInt8]
    /// Where the guest's clock starts.
    package var clockStart: UnixMilliseconds
    /// The engine whose results count; without instruction set and processor, which change neither results nor fuel.
    package var engine: EngineDescription

    /// The identity of a run on engines of the class of `engine`.
    package init(seed: [UInt8], clockStart: UnixMilliseconds, engine: EngineDescription) {
        self.seed = seed
        self.clockStart = clockStart
        self.engine = EngineDescription(
            name: engine.name, version: engine.version, configurationDigest: engine.configurationDigest)
    }

    /// The length of the seed, in bytes.
    package static let seedBytes = 32
    /// Clocks start at whole minutes, so that the moment of its submission does not tell which job had its identity
    /// first; in milliseconds.
    package static let clockStepMilliseconds: UInt64 = 60_000
    /// Where the clock starts in runs whose results may serve again: 2000-01-01T00:00:00Z.
    package static let repeatableStart = UnixMilliseconds(946_684_800_000)
    /// How much of an engine's digest its feature names, in characters.
    private static let digestCharacters = 16

    /// What an executor must state that runs such jobs on this engine: one of an earlier version, which would run it
    /// with another seed, and one with another engine do not.
    package var feature: String { Self.feature(of: engine) }

    /// What an executor with this engine states.
    package static func feature(of engine: EngineDescription) -> String {
        "execution-v1/\(engine.name)-\(engine.version)/\(engine.configurationDigest.prefix(digestCharacters))"
    }

    /// The first eight bytes of the seed.
    package var seedNumber: UInt64 { seed.prefix(8).reduce(0) { $0 << 8 | UInt64($1) } }

    /// Whether an engine is of the class that has to run it.
    package func admits(_ other: EngineDescription) -> Bool { engine.hasSameProfile(as: other) }

    /// The identity of a run whose result may serve again: its seed follows from the work alone, so that equal jobs of
    /// an originator have equal ones, and other work has another (PROTOCOL.md, "Execution identity").
    ///
    /// - Returns: `nil` if the parameters cannot be written.
    package static func repeatable(
        _ params: MeshJobParams, of originator: DID, on engine: EngineDescription
    ) -> ExecutionIdentity? {
        var identity = ExecutionIdentity(seed: [], clockStart: repeatableStart, engine: engine)
        guard let work = ExecutedWork(params, identity, originator).cid else { return nil }
        identity.seed = work.multihash.digest
        return identity
    }

    enum CodingKeys: String, CodingKey {
        case seed
        case clockStart = "clock_start"
        case engine
    }
}

extension ExecutionIdentity: DAGCBORReadable {
    /// Reads the plain form only (`DAGCBORReadable`).
    package init(plain node: DAGCBORNode) throws(NotPlain) {
        var fields = try DAGCBORReader(node)
        seed = try fields.byteString("seed")
        engine = try EngineDescription(plain: try fields.node("engine"))
        clockStart = try fields.date("clock_start")
        try fields.end()
    }
}

/// Everything that decides what a run gives; its CID names the work, whichever job asks for it and whoever runs it.
private struct ExecutedWork: Encodable {
    let params: MeshJobParams
    let execution: ExecutionIdentity
    let originatorDID: DID

    /// The work of a job, without what no run depends on: who may run it, for how much, and what people are told.
    init(_ given: MeshJobParams, _ execution: ExecutionIdentity, _ originator: DID) {
        var params = given
        params.executionPolicy = nil
        params.maxAcceptableBidTokens = nil
        params.scopedResourceToken = nil
        params.resourcesRequired = [:]
        params.description = nil
        params.expectedOutputSchemaCID = nil
        self.params = params
        self.execution = execution
        originatorDID = originator
    }

    var cid: CID? { (try? DAGCBOREncoder().encode(self)).map { CID.hashing($0, codec: .dagCBOR) } }

    enum CodingKeys: String, CodingKey {
        case params
        case execution
        case originatorDID = "originator_did"
    }
}

extension JobManifest {
    /// The name of the work: the CID of the parameters that a run depends on, of the execution identity and of the
    /// originator, whom the guest may see; `nil` in manifests of earlier versions, which have no identity.
    package var executionCID: CID? {
        execution.flatMap { ExecutedWork(params, $0, originatorDID).cid }
    }

    /// Whether its result may serve again: another job of the same work has the same identity.
    package var isRepeatable: Bool {
        guard let execution else { return false }
        return execution == .repeatable(params, of: originatorDID, on: execution.engine)
    }

    /// What a guest sees as the name of its job: all that run the same work see the same.
    package func visibleJobID(of job: JobID) -> String { (executionCID ?? job.cid).text }

    /// What a guest sees as its executor: nothing, or replicas of one work would differ.
    package func visibleExecutor(_ executor: DID) -> String { execution == nil ? executor.text : "" }

    /// What the guest's random numbers are seeded with.
    package var guestSeed: UInt64 {
        execution?.seedNumber ?? nonce.prefix(8).reduce(0) { $0 << 8 | UInt64($1) }
    }

    /// Where the guest's clock starts.
    package var guestClockStart: UnixMilliseconds { execution?.clockStart ?? submittedAt }
}
