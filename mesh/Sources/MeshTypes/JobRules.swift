package import Multiformats

/// What a job may ask for; the same rules apply when a user submits it and when an executor reads it.
///
/// A refusal is a value, `JobRefusal`, with a stable code and a sentence that names the limit.
package struct JobRules: Hashable, Sendable {
    /// Wall clock of one run, in seconds.
    package var timeoutSecondsMax: UInt64 = 3600
    /// Fuel of one run.
    package var fuelMax: UInt64 = 10_000_000_000_000
    /// Linear memory, in bytes.
    package var memoryBytesMax: UInt64 = 4 << 30
    /// All outputs together, in bytes.
    package var outputBytesMax: UInt64 = 1 << 30
    /// Arguments.
    package var argumentCountMax = 256
    /// Environment variables.
    package var environmentCountMax = 256
    /// Arguments and environment together, in bytes.
    package var argumentBytesMax = 32 << 10
    /// Inputs.
    package var inputCountMax = 64
    /// Required resources.
    package var resourceCountMax = 32
    /// Stages of a workflow.
    package var stageCountMax = 64
    /// Regions, features, allowed and denied DIDs of a policy, each.
    package var policyListMax = 64
    /// A name: of an entry, an input, a region, a feature, a stage; in bytes.
    package var nameBytesMax = 256
    /// The description for people, in bytes.
    package var descriptionBytesMax = 4096
    /// Addresses in a manifest.
    package var addressCountMax = 16
    /// The longest bid window of a policy, in milliseconds.
    package var bidWindowMillisecondsMax: UInt64 = 20_000
    /// The most attempts of a policy.
    package var attemptsMax: UInt64 = 16
    /// The acceptable bids that a policy may ask for before the window closes.
    package var sufficientBidsMax: UInt64 = 64
    /// The length of a manifest's nonce, in bytes.
    package static let nonceBytes = 16
    /// Mounts of the files of a job, besides the temporary folder.
    package var mountCountMax = 60
    /// A path of a mount, in bytes.
    package var pathBytesMax = 1_024
    /// Patterns of what to collect, each an output.
    package var collectCountMax = 64
    /// What a module may have written to its files at any time, in bytes: it is held in memory.
    package var fileBytesMax: UInt64 = 4 << 30
    /// What a module may have of files, folders and links of its own at any time.
    package var fileEntriesMax: UInt64 = 1 << 18
    /// Each weight of a selection.
    package var weightMax: UInt64 = 1_000_000
    /// Each amount of a required resource, in the unit of the resource.
    package var resourceAmountMax = UInt64(Int64.max)
    /// The latest date, in milliseconds since the Unix epoch: the last one of the year 9999.
    package var dateMillisecondsMax: UInt64 = 253_402_300_799_999
    /// From submission to expiry, in milliseconds.
    package var lifetimeMillisecondsMax: UInt64 = 7 * 86_400_000
    /// How far a manifest's submission may lie in the future, and its expiry in the past, in milliseconds: clocks
    /// differ.
    package var clockSkewMilliseconds: UInt64 = 300_000

    /// The rules of this version of the protocol.
    package init() {}
}

/// Why a job is refused before anybody runs it.
package enum JobRefusal: Error, Hashable, Sendable {
    /// A required limit is zero.
    case limitMissing(field: String)
    /// A limit is larger than the rules allow.
    case limitTooLarge(field: String, asked: UInt64, max: UInt64)
    /// A list or map has too many elements.
    case tooMany(field: String, count: Int, max: Int)
    /// A text is too long, counted in bytes.
    case tooLong(field: String, bytes: Int, bytesMax: Int)
    /// A text that must not be empty is empty.
    case empty(field: String)
    /// A text holds a control character, or a name a character not allowed in names.
    case badText(field: String)
    /// The job does not have the shape of its type: a workflow, or a single module with stages.
    case workflowShape(String)
    /// A form of job that this version does not run.
    case notOffered(String)
    /// A CID of a form that receipts do not accept: version 0, another codec, another hash.
    case cidNotAccepted(field: String, CID)
    /// The files of the job are not well formed; the reason follows the name of the part.
    case badFiles(field: String, String)
    /// The call with numbers is not well formed; the reason follows "the call".
    case badCall(String)
    /// The session of an interactive job is not well formed; the reason follows "the session".
    case badSession(String)
    /// How the job is paid by credit is not well formed; the reason follows "the payment".
    case badPayment(String)
    /// The job needs a feature that its policy does not ask for.
    case featureNotRequired(String)
    /// The originator's PeerID, DID or signature do not belong together.
    case identityMismatch
    /// The nonce is not sixteen bytes long.
    case nonceLength(Int)
    /// The commitment to the verification is not thirty-two bytes long.
    case commitmentLength(Int)
    /// The execution identity has no seed of thirty-two bytes.
    case seedLength(Int)
    /// The job cannot be checked in the way that is asked for.
    case notVerifiable(String)
    /// The dates contradict each other.
    case datesOutOfOrder
    /// The time from submission to expiry is longer than allowed.
    case lifetimeTooLong(milliseconds: UInt64, max: UInt64)
    /// The job's time is over.
    case expired
    /// The job's submission lies further in the future than clocks may differ.
    case submittedInTheFuture

    /// A stable name of the reason.
    package var code: String {
        switch self {
        case .limitMissing: "limit_missing"
        case .limitTooLarge: "limit_too_large"
        case .tooMany: "too_many"
        case .tooLong: "too_long"
        case .empty: "empty"
        case .badText: "bad_text"
        case .workflowShape: "workflow_shape"
        case .notOffered: "not_offered"
        case .cidNotAccepted: "cid_not_accepted"
        case .badFiles: "bad_files"
        case .badCall: "bad_call"
        case .badSession: "bad_session"
        case .badPayment: "bad_payment"
        case .featureNotRequired: "feature_not_required"
        case .identityMismatch: "identity_mismatch"
        case .nonceLength: "nonce_length"
        case .commitmentLength: "commitment_length"
        case .seedLength: "seed_length"
        case .notVerifiable: "not_verifiable"
        case .datesOutOfOrder: "dates_out_of_order"
        case .lifetimeTooLong: "lifetime_too_long"
        case .expired: "expired"
        case .submittedInTheFuture: "submitted_in_the_future"
        }
    }
}
