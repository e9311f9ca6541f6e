package import IPLD
import Multiformats
import SignedObjects

/// Fields of this module's types, read by hand.
extension DAGCBORReader {
    mutating func did(_ key: String) throws(NotPlain) -> DID {
        guard let did = try? DID(parsing: try text(key)) else { throw NotPlain() }
        return did
    }

    mutating func didIfPresent(_ key: String) throws(NotPlain) -> DID? {
        guard let text = try textIfPresent(key) else { return nil }
        guard let did = try? DID(parsing: text) else { throw NotPlain() }
        return did
    }

    mutating func peerID(_ key: String) throws(NotPlain) -> PeerID {
        guard let peer = try? PeerID(parsing: try text(key)) else { throw NotPlain() }
        return peer
    }

    mutating func job(_ key: String) throws(NotPlain) -> JobID { JobID(try link(key)) }

    mutating func date(_ key: String) throws(NotPlain) -> UnixMilliseconds { UnixMilliseconds(try unsigned(key)) }

    mutating func amount(_ key: String) throws(NotPlain) -> TokenAmount { TokenAmount(try unsigned(key)) }

    mutating func amountIfPresent(_ key: String) throws(NotPlain) -> TokenAmount? {
        try unsignedIfPresent(key).map(TokenAmount.init)
    }

    mutating func name<Name: RawRepresentable<String>>(_ key: String) throws(NotPlain) -> Name {
        try Self.require(Name(rawValue: try text(key)))
    }

    mutating func addresses(_ key: String) throws(NotPlain) -> [Multiaddr] {
        let texts = try texts(key)
        let addresses = texts.compactMap { try? Multiaddr(parsing: $0) }
        guard addresses.count == texts.count else { throw NotPlain() }
        return addresses
    }

    mutating func map<Value>(
        _ key: String, _ read: (DAGCBORNode) -> Value?
    ) throws(NotPlain) -> CanonicalMap<Value> {
        let node = try node(key)
        guard node.isMap else { throw NotPlain() }
        return try Self.require(CanonicalMap(reading: node.entries, read))
    }

    mutating func amounts(_ key: String) throws(NotPlain) -> ResourceAmounts { try map(key) { $0.unsigned } }

    /// A part that is plain itself, or that its decoder reads.
    mutating func part<Value: DAGCBORReadable>(_ key: String) throws(NotPlain) -> Value {
        guard let value = try? node(key).decode(Value.self) else { throw NotPlain() }
        return value
    }

    /// A part that its decoder reads, if it is there.
    mutating func partIfPresent<Value: Decodable>(_ key: String) throws(NotPlain) -> Value? {
        guard let node = try nodeIfPresent(key) else { return nil }
        guard let value = try? node.decode(Value.self) else { throw NotPlain() }
        return value
    }
}

extension BidTerms: DAGCBORReadable {
    /// Reads the plain form only (`DAGCBORReadable`).
    package init(plain node: DAGCBORNode) throws(NotPlain) {
        var fields = try DAGCBORReader(node)
        let price = try fields.amount("price")
        let deadline = try fields.date("deadline")
        let basePrice = try fields.amount("base_price")
        let earliestStart = try fields.date("earliest_start")
        let guarantees = try fields.amounts("resource_guarantees")
        let perMillion = try fields.amount("price_per_million_fuel")
        try fields.end()
        self.init(
            price: price, basePrice: basePrice, pricePerMillionFuel: perMillion, earliestStart: earliestStart,
            deadline: deadline, resourceGuarantees: guarantees)
    }
}

extension Bid {
    /// The bid of its plain form.
    package init(plain node: DAGCBORNode) throws(NotPlain) {
        var fields = try DAGCBORReader(node)
        let terms = try BidTerms(plain: try fields.node("terms"))
        let job = try fields.job("job_id")
        let region = try fields.textIfPresent("region")
        let features = try fields.texts("features")
        let issuedAt = try fields.date("issued_at")
        let resources = try fields.amounts("resources")
        let bidder = try fields.did("bidder_did")
        let collateral = try fields.amountIfPresent("collateral")
        let expiresAt = try fields.date("expires_at")
        let load = try fields.unsigned("load_permille")
        let bidderPeer = try fields.peerID("bidder_peer_id")
        let metadata = try fields.linkIfPresent("node_metadata_cid")
        let originator = try fields.peerID("originator_peer_id")
        try fields.end()
        self.init(
            jobID: job, originatorPeerID: originator, bidderDID: bidder, bidderPeerID: bidderPeer, terms: terms,
            collateral: collateral, region: region, features: features, resources: resources, loadPermille: load,
            nodeMetadataCID: metadata, issuedAt: issuedAt, expiresAt: expiresAt)
    }
}

extension ResourceUsage: DAGCBORReadable {
    /// Reads the plain form only (`DAGCBORReadable`).
    package init(plain node: DAGCBORNode) throws(NotPlain) {
        var fields = try DAGCBORReader(node)
        let fuel = try fields.unsigned("fuel")
        let wall = try fields.unsigned("wall_ms")
        let read = try fields.unsigned("bytes_read")
        let calls = try fields.map("host_calls") { $0.unsigned }
        let written = try fields.unsigned("bytes_written")
        let peak = try fields.unsigned("peak_memory_bytes")
        try fields.end()
        self.init(
            fuel: fuel, peakMemoryBytes: peak, hostCalls: calls, bytesRead: read, bytesWritten: written,
            wallMilliseconds: wall)
    }
}

extension EngineDescription: DAGCBORReadable {
    /// Reads the plain form only (`DAGCBORReadable`).
    package init(plain node: DAGCBORNode) throws(NotPlain) {
        var fields = try DAGCBORReader(node)
        let name = try fields.text("name")
        let version = try fields.text("version")
        let instructions = try fields.textIfPresent("instruction_set")
        let baseline = try fields.textIfPresent("processor_baseline")
        let digest = try fields.text("configuration_digest")
        try fields.end()
        self.init(
            name: name, version: version, configurationDigest: digest, instructionSet: instructions,
            processorBaseline: baseline)
    }
}

extension ExecutionReceipt {
    /// The receipt of its plain form.
    package init(plain node: DAGCBORNode) throws(NotPlain) {
        var fields = try DAGCBORReader(node)
        let price = try fields.amount("price")
        let engine = try EngineDescription(plain: try fields.node("engine"))
        let job = try fields.job("job_id")
        let status: StandardJobStatus = try fields.name("status")
        let attempt = try fields.unsigned("attempt")
        let log = try fields.linkIfPresent("log_cid")
        let outcome: ExecutionOutcome = try fields.part("outcome")
        let outputs = try fields.map("outputs") { $0.link }
        let read = try fields.linkIfPresent("read_cid")
        let inputs = try fields.map("input_cids") { $0.link }
        let module = try fields.link("module_cid")
        let stderr = try fields.linkIfPresent("stderr_cid")
        let stdout = try fields.linkIfPresent("stdout_cid")
        let determinism: DeterminismProfile = try fields.name("determinism")
        let executor = try fields.did("executor_did")
        let anchored = try fields.links("anchored_cids")
        let assignment = try fields.link("assignment_cid")
        let originator = try fields.did("originator_did")
        let usage = try ResourceUsage(plain: try fields.node("resource_usage"))
        let stages = try fields.links("stage_receipts")
        let transcript = try fields.linkIfPresent("transcript_cid")
        let endedAt = try fields.date("execution_ended_at")
        let startedAt = try fields.date("execution_started_at")
        let previous = try fields.linkIfPresent("previous_receipt_cid")
        try fields.end()
        self.init(
            jobID: job, assignmentCID: assignment, originatorDID: originator, executorDID: executor, attempt: attempt,
            moduleCID: module, inputCIDs: inputs, outcome: outcome, resourceUsage: usage, price: price, engine: engine,
            determinism: determinism, executionStartedAt: startedAt, executionEndedAt: endedAt)
        self.status = status
        self.outputs = outputs
        (stdoutCID, stderrCID, logCID, readCID) = (stdout, stderr, log, read)
        transcriptCID = transcript
        (anchoredCIDs, stageReceipts, previousReceiptCID) = (anchored, stages, previous)
    }
}
