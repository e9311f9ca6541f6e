import Multiformats
import SignedObjects

extension JobRefusal: CustomStringConvertible {
    /// One sentence, without a full stop, that names the part of the job, the option that sets it, and the limit.
    package var description: String {
        switch self {
        case .limitMissing(let field): "\(Self.words(field)) must be given and more than zero"
        case .limitTooLarge(let field, let asked, let max):
            "\(Self.words(field)) is \(Self.amount(asked, of: field)), the most allowed is "
                + Self.amount(max, of: field)
        case .tooMany(let field, let count, let max):
            "\(Self.words(field)) has \(count) elements, the most allowed is \(max)"
        case .tooLong(let field, let bytes, let max):
            "\(Self.words(field)) has \(Self.grouped(bytes)) bytes, the most allowed is \(Self.grouped(max))"
        case .empty(let field): "\(Self.words(field)) must not be empty"
        case .badText(let field): "\(Self.words(field)) holds a character that is not allowed there"
        case .workflowShape(let reason): "the workflow is not well formed: \(reason)"
        case .notOffered(let what): "\(what) is not offered by this version"
        case .cidNotAccepted(let field, let cid):
            "\(Self.words(field)) names \(cid.text.cut(bytesMax: 80)), and only CIDs of version 1 with SHA-256 and "
                + "raw, dag-pb or dag-cbor are taken"
        case .badFiles(let field, let reason): "\(Self.words(field)) \(reason)".cut(bytesMax: 600)
        case .badCall(let reason): "the call (--invoke) \(reason)"
        case .badSession(let reason): "the session (--interactive) \(reason)"
        case .badPayment(let reason): "the payment (--pay-by) \(reason)"
        case .featureNotRequired(let feature):
            "the job needs executors with the feature \(feature), and its policy does not ask for it"
        case .identityMismatch: "the originator's DID and PeerID do not come from one key"
        case .nonceLength(let count): "the nonce has \(count) bytes instead of \(JobRules.nonceBytes)"
        case .commitmentLength(let count):
            "the commitment to the verification has \(count) bytes instead of \(VerificationOpening.commitmentBytes)"
        case .seedLength(let count):
            "the seed of the execution identity has \(count) bytes instead of \(ExecutionIdentity.seedBytes)"
        case .notVerifiable(let reason): "the result cannot be checked: \(reason)"
        case .datesOutOfOrder: "submission, bidding deadline and expiry are not in this order"
        case .lifetimeTooLong(let milliseconds, let max):
            "the job would live \(milliseconds) ms, at most \(max) ms are allowed"
        case .expired: "the job has expired"
        case .submittedInTheFuture: "the job was submitted in the future"
        }
    }

    /// A field of a job as its owner knows it, with the option of `mesh run`; others by their names in the protocol,
    /// as words.
    private static func words(_ field: String) -> String {
        switch field {
        case "timeout_seconds": "the time limit (--timeout)"
        case "max_fuel": "the fuel limit (--max-fuel)"
        case "max_memory_bytes": "the memory limit (--max-memory)"
        case "max_output_bytes": "the output limit (--max-output)"
        case "session": "the session (--interactive)"
        case "session.idle_seconds": "the time without input (--idle)"
        case "session.waiting_seconds": "the time for all waiting (--waiting)"
        case "entry": "the function to call (--entry)"
        case "args": "the list of arguments (--arg)"
        case "invoke": "the list of numbers (--invoke)"
        case "env": "the environment (--env)"
        case "args and env": "the list of arguments with the environment (--arg and --env)"
        case "input_cids": "the list of inputs (--input)"
        case "mounts": "what is mounted (--dir and --file)"
        case "working_folder": "the working folder (--workdir)"
        case "collect": "what is collected (--collect)"
        case "files_max_bytes": "the limit of what is written to files (--max-files)"
        case "files_max_entries": "the limit of entries (--max-entries)"
        case "mount_max_bytes": "what may be written to one mount"
        case "mount_max_entries": "the number of entries of one mount"
        case "wasm_cid": "the module"
        case "description": "the label (--label)"
        case "max_acceptable_bid_tokens": "the most to pay (--budget)"
        case "pay_by": "the list of issuers (--pay-by)"
        case "min_reputation": "the least reputation (--min-reputation)"
        case "region_filter": "the region (--region)"
        case "bid_window_ms": "the wait for bids (--bid-window)"
        case "sufficient_bids": "the number of bids that end the wait (--sufficient-bids)"
        default: "the job's " + String(field.map { $0 == "_" ? " " : $0 })
        }
    }

    /// An amount in the unit of its field.
    private static func amount(_ amount: UInt64, of field: String) -> String {
        switch field {
        case "timeout_seconds": "\(GroupedNumber.of(amount)) s"
        case "bid_window_ms":
            amount.isMultiple(of: 1_000) ? "\(GroupedNumber.of(amount / 1_000)) s" : "\(GroupedNumber.of(amount)) ms"
        case "max_memory_bytes", "max_output_bytes", "files_max_bytes", "mount_max_bytes": GroupedNumber.bytes(amount)
        default: GroupedNumber.of(amount)
        }
    }

    private static func grouped(_ count: Int) -> String { GroupedNumber.of(UInt64(clamping: count)) }
}
