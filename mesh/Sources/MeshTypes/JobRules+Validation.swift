import Multiformats
import SignedObjects

extension JobRules {
    /// Checks a job's parameters against the rules; `nil` means no objection.
    package func refusal(of params: MeshJobParams) -> JobRefusal? {
        do throws(JobRefusal) {
            try validateLimits(params)
            try validateAmounts(params)
            try validateLinks(params)
            try validateTexts(params)
            try validateUnread(params)
            try validateWorkflow(params)
            if let policy = params.executionPolicy { try validatePolicy(policy) }
            try validatePayment(params)
            try validateFiles(params)
            if let numbers = params.invoke { try validateCall(numbers, params) }
            return nil
        } catch {
            return error
        }
    }

    /// Why a result of this job cannot be checked at a level; `nil` if it can.
    package func refusal(of level: VerificationLevel, for params: MeshJobParams) -> JobRefusal? {
        guard level.isWellFormed else {
            return .notVerifiable(
                "the share of spot checks must be 0.1 % to 100 %, a quorum more than half of at most "
                    + "\(VerificationLevel.executorsMax)")
        }
        if level.mayReplay, params.determinism != .deterministic {
            return .notVerifiable(
                "nobody can repeat the run of a job that is \(params.determinism.rawValue) and not deterministic")
        }
        return nil
    }

    /// Checks a manifest against the rules: its parameters, its identity and its dates.
    ///
    /// The dates may be off this node's clock by `clockSkewMilliseconds`, because clocks differ: what has just expired
    /// here may not have expired there, and what was just submitted there may lie ahead here.
    package func refusal(of manifest: JobManifest, wallClock: UnixMilliseconds) -> JobRefusal? {
        guard manifest.originatorDID.peerID == manifest.originatorPeerID else { return .identityMismatch }
        guard manifest.nonce.count == Self.nonceBytes else { return .nonceLength(manifest.nonce.count) }
        if let commitment = manifest.verificationCommitment, commitment.count != VerificationOpening.commitmentBytes {
            return .commitmentLength(commitment.count)
        }
        if manifest.originatorAddresses.count > addressCountMax {
            return .tooMany(
                field: "originator_addresses", count: manifest.originatorAddresses.count, max: addressCountMax)
        }
        guard manifest.submittedAt <= manifest.biddingDeadline, manifest.biddingDeadline <= manifest.expiresAt else {
            return .datesOutOfOrder
        }
        let lifetime = manifest.expiresAt.milliseconds(since: manifest.submittedAt)
        if lifetime > lifetimeMillisecondsMax {
            return .lifetimeTooLong(milliseconds: lifetime, max: lifetimeMillisecondsMax)
        }
        if manifest.submittedAt > wallClock.advanced(milliseconds: clockSkewMilliseconds) {
            return .submittedInTheFuture
        }
        if manifest.expiresAt.advanced(milliseconds: clockSkewMilliseconds) <= wallClock { return .expired }
        return refusal(of: manifest.params) ?? manifest.execution.flatMap { refusal(of: $0, manifest.policy) }
    }

    /// Whoever does not state the feature of its engine would run it with another seed, or with another engine.
    private func refusal(of execution: ExecutionIdentity, _ policy: ExecutionPolicy) -> JobRefusal? {
        guard execution.seed.count == ExecutionIdentity.seedBytes else { return .seedLength(execution.seed.count) }
        guard policy.requires(execution.feature) else { return .featureNotRequired(execution.feature) }
        do throws(JobRefusal) {
            try most("clock_start", execution.clockStart.value, dateMillisecondsMax)
            return nil
        } catch {
            return error
        }
    }

    private func validateLimits(_ params: MeshJobParams) throws(JobRefusal) {
        try bound("timeout_seconds", params.timeoutSeconds, timeoutSecondsMax)
        try bound("max_fuel", params.maxFuel, fuelMax)
        try bound("max_memory_bytes", params.maxMemoryBytes, memoryBytesMax)
        try bound("max_output_bytes", params.maxOutputBytes, outputBytesMax)
    }

    /// Amounts that nothing else bounds, checked against what a store and the arithmetic can hold.
    private func validateAmounts(_ params: MeshJobParams) throws(JobRefusal) {
        try most("max_acceptable_bid_tokens", params.maxAcceptableBidTokens?.units ?? 0, TokenAmount.max.units)
        for entry in params.resourcesRequired { try most("resources_required", entry.value, resourceAmountMax) }
        guard let policy = params.executionPolicy else { return }
        try most("max_price", policy.maxPrice?.units ?? 0, TokenAmount.max.units)
        try most("deadline", policy.deadline?.value ?? 0, dateMillisecondsMax)
    }

    /// Module and inputs must have CIDs that receipts accept, or the honest receipt of the job would be refused.
    private func validateLinks(_ params: MeshJobParams) throws(JobRefusal) {
        if !params.wasmCID.namesMeshContent { throw .cidNotAccepted(field: "wasm_cid", params.wasmCID) }
        for input in params.inputCIDs where !input.value.namesMeshContent {
            throw .cidNotAccepted(field: "input_cids", input.value)
        }
    }

    /// What no executor here would keep must not look like a promise.
    private func validateUnread(_ params: MeshJobParams) throws(JobRefusal) {
        if params.expectedOutputSchemaCID != nil {
            throw .notOffered("a schema of the output (expected_output_schema_cid)")
        }
        // A job that issuers pay may name the token by which they do.
        if let token = params.scopedResourceToken,
            params.executionPolicy?.payBy == nil || (try? CID(parsing: token))?.text != token
        {
            throw .notOffered("a token of resources (scoped_resource_token) without pay_by, or not named by its CID")
        }
    }

    private func validateTexts(_ params: MeshJobParams) throws(JobRefusal) {
        if let entry = params.entry { try name("entry", entry) }
        try count("args", params.args.count, argumentCountMax)
        try count("env", params.env.count, environmentCountMax)
        try count("input_cids", params.inputCIDs.count, inputCountMax)
        try count("resources_required", params.resourcesRequired.count, resourceCountMax)
        for key in params.inputCIDs.keys { try name("input_cids", key) }
        for key in params.resourcesRequired.keys { try name("resources_required", key) }
        var bytes = 0
        for argument in params.args {
            if argument.utf8.contains(0) { throw .badText(field: "args") }
            bytes += argument.utf8.count + 1
        }
        for entry in params.env {
            if entry.key.isEmpty { throw .empty(field: "env") }
            if entry.key.utf8.contains(0) || entry.key.utf8.contains(UInt8(ascii: "=")) || entry.value.utf8.contains(0)
            {
                throw .badText(field: "env")
            }
            bytes += entry.key.utf8.count + entry.value.utf8.count + 2
        }
        if bytes > argumentBytesMax { throw .tooLong(field: "args and env", bytes: bytes, bytesMax: argumentBytesMax) }
        if let text = params.description { try length("description", text, descriptionBytesMax) }
    }

    private func validateCall(_ numbers: [WasmNumber], _ params: MeshJobParams) throws(JobRefusal) {
        if params.entry == nil { throw .badCall("names no function") }
        if !params.args.isEmpty { throw .badCall("has numbers, and the job has arguments besides") }
        try count("invoke", numbers.count, NumberCall.Limits.parametersMax)
        if let index = numbers.firstIndex(where: { !$0.isWellFormed }) {
            throw .badCall("has a number \(index + 1) that is no \(numbers[index].type.rawValue)")
        }
        if params.files?.collect[NumberCall.resultName] != nil {
            throw .badFiles(
                field: "collect", "cannot be called \(NumberCall.resultName): what the function returns has that name")
        }
        guard params.executionPolicy?.requires(NumberCall.feature) == true else {
            throw .featureNotRequired(NumberCall.feature)
        }
    }

    private func validateWorkflow(_ params: MeshJobParams) throws(JobRefusal) {
        try count("stages", params.stages.count, stageCountMax)
        switch params.workflowType {
        case .singleWasmModule:
            if !params.stages.isEmpty { throw .workflowShape("a SingleWasmModule has no stages") }
        case .sequentialPipeline, .dagWorkflow:
            throw .notOffered(params.workflowType.rawValue)
        }
        try validateSession(params)
        if case .quorum = params.verification { throw .notOffered("verification by quorum") }
        // Named in the clear, it would tell executors when to be honest.
        if case .spotCheck = params.verification { throw .notOffered("verification that executors can read") }
    }

    /// A session is what makes a job interactive. Nobody can run it again, so it is attested.
    private func validateSession(_ params: MeshJobParams) throws(JobRefusal) {
        guard let session = params.session else {
            if params.isInteractive { throw .empty(field: "session") }
            if params.determinism == .attested, params.executionPolicy?.requires(AttestedRun.feature) != true {
                throw .featureNotRequired(AttestedRun.feature)
            }
            return
        }
        guard params.isInteractive else { throw .badSession("belongs to a job that is not interactive") }
        try bound("session.idle_seconds", session.idleSeconds, SessionTerms.Limits.idleSecondsMax)
        try bound("session.waiting_seconds", session.waitingSeconds, SessionTerms.Limits.waitingSecondsMax)
        if params.inputCIDs["stdin"] != nil {
            throw .badSession("gives standard input, and the job has an input stdin besides")
        }
        if params.invoke != nil { throw .badSession("needs a program, and the job calls a function with numbers") }
        guard params.determinism == .attested else {
            throw .badSession("is nothing that a second run could repeat: the job must be attested")
        }
        guard params.executionPolicy?.requires(SessionTerms.feature) == true else {
            throw .featureNotRequired(SessionTerms.feature)
        }
        // An executor of an earlier version would not read the field, and keep none.
        if session.transcript != nil, params.executionPolicy?.requires(SessionTerms.transcriptFeature) != true {
            throw .featureNotRequired(SessionTerms.transcriptFeature)
        }
    }

    private func validatePolicy(_ policy: ExecutionPolicy) throws(JobRefusal) {
        try names("region_filter", policy.regionFilter)
        try names("required_features", policy.requiredFeatures)
        if let allowed = policy.allowedDIDs {
            try count("allowed_dids", allowed.count, policyListMax)
            if allowed.isEmpty { throw .empty(field: "allowed_dids") }
        }
        try count("denied_dids", policy.deniedDIDs?.count ?? 0, policyListMax)
        try most("min_reputation", policy.minReputation ?? 0, 1000)
        try most("bid_window_ms", policy.bidWindowMilliseconds ?? 0, bidWindowMillisecondsMax)
        if let attempts = policy.maxAttempts { try bound("max_attempts", attempts, attemptsMax) }
        if let bids = policy.sufficientBids { try bound("sufficient_bids", bids, sufficientBidsMax) }
        if policy.hasPublicBids || policy.hasPublicStatus, !policy.requires(PublicJob.feature) {
            throw .featureNotRequired(PublicJob.feature)
        }
        if policy.allowsHedge, !policy.requires(HedgedJob.feature) { throw .featureNotRequired(HedgedJob.feature) }
        if let weights = policy.weights {
            let all = [weights.price, weights.reputation, weights.region, weights.latency, weights.load]
            for weight in all { try most("weights", weight, weightMax) }
            if all.allSatisfy({ $0 == 0 }) { throw .limitMissing(field: "weights") }
        }
    }

    private func bound(_ field: String, _ value: UInt64, _ max: UInt64) throws(JobRefusal) {
        if value == 0 { throw .limitMissing(field: field) }
        try most(field, value, max)
    }

    private func most(_ field: String, _ value: UInt64, _ max: UInt64) throws(JobRefusal) {
        if value > max { throw .limitTooLarge(field: field, asked: value, max: max) }
    }

    private func count(_ field: String, _ count: Int, _ max: Int) throws(JobRefusal) {
        if count > max { throw .tooMany(field: field, count: count, max: max) }
    }

    private func length(_ field: String, _ text: String, _ max: Int) throws(JobRefusal) {
        if text.utf8.count > max { throw .tooLong(field: field, bytes: text.utf8.count, bytesMax: max) }
    }

    private func names(_ field: String, _ list: [String]?) throws(JobRefusal) {
        guard let list else { return }
        try count(field, list.count, policyListMax)
        if list.isEmpty { throw .empty(field: field) }
        for text in list { try name(field, text) }
    }

    /// A job that is paid by credit names few issuers and one unit. It has one attempt at a time, each with a hold that
    /// lasts for a day at most.
    private func validatePayment(_ params: MeshJobParams) throws(JobRefusal) {
        guard let policy = params.executionPolicy, let payBy = policy.payBy else { return }
        if payBy.issuers.isEmpty { throw .empty(field: "pay_by") }
        guard payBy.issuers.count <= CreditJob.Limits.issuersMax else {
            throw .tooMany(field: "pay_by", count: payBy.issuers.count, max: CreditJob.Limits.issuersMax)
        }
        guard Set(payBy.issuers).count == payBy.issuers.count else { throw .badPayment("names an issuer twice") }
        guard payBy.unit.isPossible else { throw .badPayment("has an impossible unit") }
        if let across = payBy.across { try validate(across, of: payBy) }
        if params.priceCeiling == nil { throw .badPayment("has no budget (--budget)") }
        if params.session != nil { throw .notOffered("an interactive job that is paid by credit") }
        if policy.allowsHedge { throw .notOffered("a second copy (--hedge) of a job that is paid by credit") }
        guard policy.requires(CreditJob.feature) else { throw .featureNotRequired(CreditJob.feature) }
    }

    /// Each issuer of others is named once, and paid by one of the job's.
    private func validate(_ across: [PayBy.Neighbour], of payBy: PayBy) throws(JobRefusal) {
        if across.isEmpty { throw .empty(field: "across") }
        guard across.count <= CreditJob.Limits.acrossMax else {
            throw .tooMany(field: "across", count: across.count, max: CreditJob.Limits.acrossMax)
        }
        let named = across.map(\.issuerDID)
        guard Set(named + payBy.issuers).count == named.count + payBy.issuers.count else {
            throw .badPayment("names an issuer twice")
        }
        guard across.allSatisfy({ payBy.issuers.contains($0.byDID) }) else {
            throw .badPayment("is to be paid across by an issuer that it does not name")
        }
    }

    private func name(_ field: String, _ text: String) throws(JobRefusal) {
        if text.isEmpty { throw .empty(field: field) }
        try length(field, text, nameBytesMax)
        if !PlainText.isPlain(text) { throw .badText(field: field) }
    }
}

/// Text from other nodes, made safe for a line that people read.
package enum PlainText {
    /// Whether the text holds no control, format or line-separating character.
    package static func isPlain(_ text: String) -> Bool {
        text.unicodeScalars.allSatisfy(isPlain)
    }

    /// The text cut to `bytesMax` bytes, with everything that could move a cursor or reorder a line replaced by `?`;
    /// the cost grows with the bound, not with the text.
    package static func sanitized(_ text: String, bytesMax: Int = 200) -> String {
        var result = String.UnicodeScalarView()
        for scalar in text.cut(bytesMax: bytesMax).unicodeScalars { result.append(isPlain(scalar) ? scalar : "?") }
        return String(result)
    }

    private static func isPlain(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.properties.generalCategory {
        case .control, .format, .lineSeparator, .paragraphSeparator, .surrogate, .privateUse, .unassigned: false
        default: true
        }
    }
}
