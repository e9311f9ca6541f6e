import MeshTypes

/// A job, as its owner asks for it; the node's defaults replace what is missing.
package struct JobSubmission: Hashable, Sendable, Codable {
    /// The module's CID; the file was added to the node before.
    package var moduleCID: String
    /// The function to call; nil means `_start`.
    package var entry: String?
    /// The numbers to call it with, as texts, if it is called for its results; nil if it is a program's entry.
    package var invoke: [String]?
    /// The arguments after the program's name.
    package var args: [String]
    /// The environment, in order.
    package var env: [NamedText]
    /// The inputs by name, in order; the one named `stdin` is standard input. The text is a CID.
    package var inputs: [NamedText]
    /// The files that the module sees; nil if it sees none.
    package var files: Files?
    /// The limits of the run.
    package var limits: Limits
    /// The most that the owner will pay, in the smallest unit of tokens.
    package var budget: UInt64?
    /// Who may run it, and how to choose among them.
    package var policy: Policy
    /// How long the job may wait for its user; nil if it is not interactive.
    package var session: Session?
    /// `deterministic`, or `attested` for a module that sees its executor's own clock and chance, so that nobody can
    /// repeat the run; nil means attested for an interactive job, else deterministic.
    package var determinism: String?
    /// How the result is checked before it counts: `none`, `spot:10%`, `replay`; nil means the node's default.
    package var verification: String?
    /// The owner's name for the job.
    package var label: String?
    /// The same key submits once.
    package var idempotencyKey: String?
    /// The span of the program that submits it, as W3C Trace Context writes it: its flag says whether the node records
    /// the job, whose trace links to it. Nil leaves that to the node; what is no context counts as nil.
    package var traceparent: String?

    /// The word for a job whose run nobody can repeat.
    package static let attested = DeterminismProfile.attested.rawValue

    /// The output that the results of a function become which is called with numbers: each on a line of its own.
    package static let resultName = NumberCall.resultName

    /// A submission of a module with the node's defaults.
    package init(
        moduleCID: String, entry: String? = nil, args: [String] = [], env: [NamedText] = [], inputs: [NamedText] = [],
        limits: Limits = Limits(), budget: UInt64? = nil, policy: Policy = Policy(), label: String? = nil,
        idempotencyKey: String? = nil
    ) {
        self.moduleCID = moduleCID
        self.entry = entry
        self.args = args
        self.env = env
        self.inputs = inputs
        self.limits = limits
        self.budget = budget
        self.policy = policy
        self.label = label
        self.idempotencyKey = idempotencyKey
    }

    /// Reads a submission; everything but the module may be missing.
    package init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        moduleCID = try container.decode(String.self, forKey: .moduleCID)
        entry = try container.decodeIfPresent(String.self, forKey: .entry)
        invoke = try container.decodeIfPresent([String].self, forKey: .invoke)
        args = try container.decodeIfPresent([String].self, forKey: .args) ?? []
        env = try container.decodeIfPresent([NamedText].self, forKey: .env) ?? []
        inputs = try container.decodeIfPresent([NamedText].self, forKey: .inputs) ?? []
        files = try container.decodeIfPresent(Files.self, forKey: .files)
        limits = try container.decodeIfPresent(Limits.self, forKey: .limits) ?? Limits()
        budget = try container.decodeIfPresent(UInt64.self, forKey: .budget)
        policy = try container.decodeIfPresent(Policy.self, forKey: .policy) ?? Policy()
        session = try container.decodeIfPresent(Session.self, forKey: .session)
        determinism = try container.decodeIfPresent(String.self, forKey: .determinism)
        verification = try container.decodeIfPresent(String.self, forKey: .verification)
        label = try container.decodeIfPresent(String.self, forKey: .label)
        idempotencyKey = try container.decodeIfPresent(String.self, forKey: .idempotencyKey)
        traceparent = try container.decodeIfPresent(String.self, forKey: .traceparent)
    }

    private enum CodingKeys: String, CodingKey {
        case entry, invoke, args, env, inputs, files, limits, budget, policy, session, determinism, verification, label
        case traceparent
        case moduleCID = "module_cid"
        case idempotencyKey = "idempotency_key"
    }

    /// How long an interactive job may wait for its user; nil means the node's default.
    package struct Session: Hashable, Sendable, Codable {
        /// Seconds at once.
        package var idleSeconds: UInt64?
        /// Seconds in all.
        package var waitingSeconds: UInt64?
        /// Who may have its transcript: `private`, the default, is the two sides, `shared` anybody; `none` is kept.
        package var transcript: String?

        /// Times, each the node's default unless given.
        package init(idleSeconds: UInt64? = nil, waitingSeconds: UInt64? = nil, transcript: String? = nil) {
            self.idleSeconds = idleSeconds
            self.waitingSeconds = waitingSeconds
            self.transcript = transcript
        }

        /// The words for ``transcript``.
        package static let transcripts = TranscriptAccess.allCases.map(\.rawValue) + [noTranscript]
        /// The word for a session of which no transcript is kept.
        package static let noTranscript = "none"

        /// What a node takes where nothing is given.
        package static let standard = Session(
            idleSeconds: SessionTerms().idleSeconds, waitingSeconds: SessionTerms().waitingSeconds)

        private enum CodingKeys: String, CodingKey {
            case idleSeconds = "idle_seconds"
            case waitingSeconds = "waiting_seconds"
            case transcript
        }
    }

    /// The limits of a run; nil means the node's default.
    package struct Limits: Hashable, Sendable, Codable {
        /// Seconds of wall clock.
        package var timeoutSeconds: UInt64?
        /// Units of fuel.
        package var maxFuel: UInt64?
        /// Bytes of linear memory.
        package var maxMemoryBytes: UInt64?
        /// Bytes of standard output, standard error, log and named outputs together.
        package var maxOutputBytes: UInt64?

        /// Limits, each the node's default unless given.
        package init(
            timeoutSeconds: UInt64? = nil, maxFuel: UInt64? = nil, maxMemoryBytes: UInt64? = nil,
            maxOutputBytes: UInt64? = nil
        ) {
            self.timeoutSeconds = timeoutSeconds
            self.maxFuel = maxFuel
            self.maxMemoryBytes = maxMemoryBytes
            self.maxOutputBytes = maxOutputBytes
        }

        /// What a node takes where nothing is given; of the output at most what it takes itself.
        package static let standard = Limits(
            timeoutSeconds: ExecutionLimits.standard.timeoutSeconds, maxFuel: ExecutionLimits.standard.maxFuel,
            maxMemoryBytes: ExecutionLimits.standard.maxMemoryBytes,
            maxOutputBytes: ExecutionLimits.standard.maxOutputBytes)

        private enum CodingKeys: String, CodingKey {
            case timeoutSeconds = "timeout_seconds"
            case maxFuel = "max_fuel"
            case maxMemoryBytes = "max_memory_bytes"
            case maxOutputBytes = "max_output_bytes"
        }
    }

    /// The owner's part of the execution policy; nil means the node's default.
    package struct Policy: Hashable, Sendable, Codable {
        /// The least reputation of an executor.
        package var minReputation: UInt64?
        /// Allowed regions; nil allows all.
        package var regions: [String]?
        /// Allowed DIDs; nil allows all.
        package var allowedDIDs: [String]?
        /// Denied DIDs.
        package var deniedDIDs: [String]?
        /// How long to wait for bids, in milliseconds.
        package var bidWindowMilliseconds: UInt64?
        /// How many acceptable bids end the wait early.
        package var sufficientBids: UInt64?
        /// Features that an executor must state.
        package var requiredFeatures: [String]?
        /// What an executor must have, by the name of the resource, in order of what was given.
        package var resources: [Amount]?
        /// When an executor must promise the result, in milliseconds since the Unix epoch.
        package var deadline: UInt64?
        /// How the acceptable bids are compared; what it does not name counts nothing.
        package var weights: Weights?
        /// How many executors are tried in turn.
        package var maxAttempts: UInt64?
        /// Whether bids are committed to first, and shown to everybody after the window.
        package var publicBids: Bool?
        /// Whether the executor tells the state of the run to everybody.
        package var publicStatus: Bool?
        /// Whether another executor is asked for a second copy where the run is slow.
        package var hedge: Bool?
        /// The issuers by whose credit the job is paid, by DID, all of one unit, in which its budget counts then; nil
        /// where it costs tokens.
        package var payBy: [String]?
        /// The token by which its issuer pays the job at the cost of somebody else's line, by CID; `payBy` may be nil
        /// then.
        package var token: String?

        /// A policy, each part the node's default unless given.
        package init(
            minReputation: UInt64? = nil, regions: [String]? = nil, allowedDIDs: [String]? = nil,
            deniedDIDs: [String]? = nil, bidWindowMilliseconds: UInt64? = nil, sufficientBids: UInt64? = nil
        ) {
            self.minReputation = minReputation
            self.regions = regions
            self.allowedDIDs = allowedDIDs
            self.deniedDIDs = deniedDIDs
            self.bidWindowMilliseconds = bidWindowMilliseconds
            self.sufficientBids = sufficientBids
        }

        private enum CodingKeys: String, CodingKey {
            case regions
            case minReputation = "min_reputation"
            case allowedDIDs = "allowed_dids"
            case deniedDIDs = "denied_dids"
            case bidWindowMilliseconds = "bid_window_ms"
            case sufficientBids = "sufficient_bids"
            case requiredFeatures = "required_features"
            case resources, deadline, weights, hedge, token
            case maxAttempts = "max_attempts"
            case publicBids = "public_bids"
            case publicStatus = "public_status"
            case payBy = "pay_by"
        }

        /// A resource, and how much of it.
        package struct Amount: Hashable, Sendable, Codable {
            /// The name: `cpu_millicores`, `memory_mib`, `storage_mib`, or any other that executors advertise.
            package var name: String
            /// The amount, in the unit of the resource.
            package var amount: UInt64

            package init(name: String, amount: UInt64) {
                self.name = name
                self.amount = amount
            }
        }

        /// How much each part of a bid's score counts; only the ratios matter.
        package struct Weights: Hashable, Sendable, Codable {
            /// A low price.
            package var price: UInt64?
            /// A high reputation.
            package var reputation: UInt64?
            /// A region early in the list.
            package var region: UInt64?
            /// A short round trip.
            package var latency: UInt64?
            /// An idle executor.
            package var load: UInt64?

            package init(
                price: UInt64? = nil, reputation: UInt64? = nil, region: UInt64? = nil, latency: UInt64? = nil,
                load: UInt64? = nil
            ) {
                self.price = price
                self.reputation = reputation
                self.region = region
                self.latency = latency
                self.load = load
            }
        }
    }
}

/// A name and a text, in lists whose order matters.
package struct NamedText: Hashable, Sendable, Codable {
    /// The name.
    package var name: String
    /// The text: a value, or a CID.
    package var text: String

    /// A pair.
    package init(name: String, text: String) {
        self.name = name
        self.text = text
    }
}

/// The answer to a submission.
package struct JobAccepted: Hashable, Sendable, Codable {
    /// The job's ID: the CID of its signed manifest.
    package var jobID: String
    /// Whether the idempotency key was known, so that this is the first job of that key.
    package var isDuplicate: Bool

    /// An answer.
    package init(jobID: String, isDuplicate: Bool = false) {
        self.jobID = jobID
        self.isDuplicate = isDuplicate
    }

    private enum CodingKeys: String, CodingKey {
        case jobID = "job_id"
        case isDuplicate = "duplicate"
    }
}
