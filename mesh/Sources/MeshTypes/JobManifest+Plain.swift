package import IPLD
import Multiformats
import SignedObjects

extension MeshJobParams: DAGCBORReadable {
    /// Reads the plain form only (`DAGCBORReadable`).
    package init(plain node: DAGCBORNode) throws(NotPlain) {
        var fields = try DAGCBORReader(node)
        let env = try fields.map("env") { $0.text }
        let args = try fields.texts("args")
        let entry = try fields.textIfPresent("entry")
        guard try fields.node("stages").elements?.isEmpty == true else { throw NotPlain() }
        let maxFuel = try fields.unsigned("max_fuel")
        let module = try fields.link("wasm_cid")
        let inputs = try fields.map("input_cids") { $0.link }
        let description = try fields.textIfPresent("description")
        let determinism: DeterminismProfile = try fields.name("determinism")
        let verification: VerificationPlan = try fields.part("verification")
        let workflow: WorkflowType = try fields.name("workflow_type")
        let isInteractive = try fields.bool("is_interactive")
        let timeout = try fields.unsigned("timeout_seconds")
        let policy = try fields.policyIfPresent("execution_policy")
        let maxMemory = try fields.unsigned("max_memory_bytes")
        let maxOutput = try fields.unsigned("max_output_bytes")
        let required = try fields.amounts("resources_required")
        let token = try fields.textIfPresent("scoped_resource_token")
        let budget = try fields.amountIfPresent("max_acceptable_bid_tokens")
        let schema = try fields.linkIfPresent("expected_output_schema_cid")
        try fields.end()
        self.init(
            wasmCID: module,
            limits: ExecutionLimits(
                timeoutSeconds: timeout, maxFuel: maxFuel, maxMemoryBytes: maxMemory, maxOutputBytes: maxOutput))
        (self.env, self.args, self.entry, inputCIDs) = (env, args, entry, inputs)
        (self.description, self.determinism, self.verification) = (description, determinism, verification)
        (self.isInteractive, workflowType, executionPolicy) = (isInteractive, workflow, policy)
        (resourcesRequired, scopedResourceToken) = (required, token)
        (expectedOutputSchemaCID, maxAcceptableBidTokens) = (schema, budget)
    }
}

extension DAGCBORReader {
    fileprivate mutating func policyIfPresent(_ key: String) throws(NotPlain) -> ExecutionPolicy? {
        guard let node = try nodeIfPresent(key) else { return nil }
        return try ExecutionPolicy(plain: node)
    }

    fileprivate mutating func executionIfPresent(_ key: String) throws(NotPlain) -> ExecutionIdentity? {
        guard let node = try nodeIfPresent(key) else { return nil }
        return try ExecutionIdentity(plain: node)
    }
}

extension VerificationPlan: DAGCBORReadable {
    /// Reads the plain form only (`DAGCBORReadable`).
    package init(plain node: DAGCBORNode) throws(NotPlain) {
        guard let (name, fields) = node.onlyEntry, name == "none", fields.isMap, fields.count == 0
        else { throw NotPlain() }
        self = .none
    }
}

extension JobManifest {
    /// The manifest of its plain form.
    package init(plain node: DAGCBORNode) throws(NotPlain) {
        var fields = try DAGCBORReader(node)
        let nonce = try fields.byteString("nonce")
        let params = try MeshJobParams(plain: try fields.node("params"))
        let execution = try fields.executionIfPresent("execution")
        let expiresAt = try fields.date("expires_at")
        let submittedAt = try fields.date("submitted_at")
        let originator = try fields.did("originator_did")
        let deadline = try fields.date("bidding_deadline")
        let peer = try fields.peerID("originator_peer_id")
        let addresses = try fields.addresses("originator_addresses")
        let commitment = try fields.byteStringIfPresent("verification_commitment")
        try fields.end()
        self.init(
            params: params, originatorDID: originator, originatorPeerID: peer, originatorAddresses: addresses,
            nonce: nonce, submittedAt: submittedAt, biddingDeadline: deadline, expiresAt: expiresAt)
        (verificationCommitment, self.execution) = (commitment, execution)
    }
}

extension ProtocolBid: DAGCBORReadable {
    /// Reads the plain form only (`DAGCBORReadable`).
    package init(plain node: DAGCBORNode) throws(NotPlain) {
        var fields = try DAGCBORReader(node)
        price = try fields.amount("price")
        jobID = try fields.job("job_id")
        region = try fields.textIfPresent("region")
        signedBid = try fields.byteString("signed_bid")
        executorDID = try fields.did("executor_did")
        jobOriginator = try fields.peerID("job_originator")
        executionNodeID = try fields.peerID("execution_node_id")
        try fields.end()
    }
}

extension JobBidV1: DAGCBORReadable {
    /// Reads the plain form only (`DAGCBORReadable`).
    package init(plain node: DAGCBORNode) throws(NotPlain) {
        var fields = try DAGCBORReader(node)
        bid = try ProtocolBid(plain: try fields.node("bid"))
        try fields.end()
    }
}

extension JobAnnouncementV1: DAGCBORReadable {
    /// Reads the plain form only (`DAGCBORReadable`).
    package init(plain node: DAGCBORNode) throws(NotPlain) {
        var fields = try DAGCBORReader(node)
        jobID = try fields.job("job_id")
        manifest = try fields.byteStringIfPresent("manifest")
        expiresAt = try fields.date("expires_at")
        traceparent = try fields.textIfPresent("traceparent")
        executionPolicy = try fields.policyIfPresent("execution_policy")
        originatorPeerID = try fields.peerID("originator_peer_id")
        providerAddresses = try fields.addresses("provider_addresses")
        try fields.end()
    }
}

extension JobBidRefusedV1: DAGCBORReadable {
    /// Reads the plain form only (`DAGCBORReadable`).
    package init(plain node: DAGCBORNode) throws(NotPlain) {
        var fields = try DAGCBORReader(node)
        code = RefusalCode(try fields.text("code"))
        jobID = try fields.job("job_id")
        reason = try fields.text("reason")
        bidCID = try fields.link("bid_cid")
        winnerDID = try fields.didIfPresent("winner_did")
        winnerPrice = try fields.amountIfPresent("winner_price")
        try fields.end()
    }
}

extension AssignJobV1: DAGCBORReadable {
    /// Reads the plain form only (`DAGCBORReadable`).
    package init(plain node: DAGCBORNode) throws(NotPlain) {
        var fields = try DAGCBORReader(node)
        bid = try fields.byteString("bid")
        hold = try fields.byteStringIfPresent("hold")
        manifest = try fields.byteString("manifest")
        assignment = try fields.byteString("assignment")
        traceparent = try fields.textIfPresent("traceparent")
        try fields.end()
    }
}

extension ExecutionReceiptAvailableV1: DAGCBORReadable {
    /// Reads the plain form only (`DAGCBORReadable`).
    package init(plain node: DAGCBORNode) throws(NotPlain) {
        var fields = try DAGCBORReader(node)
        jobID = try fields.job("job_id")
        status = try fields.name("status")
        receipt = try fields.byteStringIfPresent("receipt")
        receiptCID = try fields.link("receipt_cid")
        executorDID = try fields.did("executor_did")
        providerAddresses = try fields.addresses("provider_addresses")
        try fields.end()
    }
}
