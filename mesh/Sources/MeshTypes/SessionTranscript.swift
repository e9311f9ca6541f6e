import IPLD
package import Multiformats
package import SignedObjects

/// What the originator of an interactive job says of its input: the bytes from one position to another
/// (PROTOCOL.md, "Transcripts").
///
/// It goes with each message of input, so an executor has the originator's word for all that its module reads, and can
/// make up none of it.
package struct InputStatement: Hashable, Sendable, SignedBody {
    /// The job.
    package var jobID: JobID
    /// The attempt.
    package var assignmentCID: CID
    /// Whose input it is.
    package var originatorDID: DID
    /// The position where this node of the originator began to send in this attempt.
    package var start: UInt64
    /// The position behind the last byte.
    package var end: UInt64
    /// The `raw` CID of the bytes between the two.
    package var dataCID: CID
    /// Whether nothing follows.
    package var isLast: Bool

    package init(
        jobID: JobID, assignmentCID: CID, originatorDID: DID, start: UInt64, end: UInt64, dataCID: CID, isLast: Bool
    ) {
        self.jobID = jobID
        self.assignmentCID = assignmentCID
        self.originatorDID = originatorDID
        self.start = start
        self.end = end
        self.dataCID = dataCID
        self.isLast = isLast
    }

    /// The type name that is signed.
    package static let typeName = "InputStatement"
    /// The originator signs.
    package var signerDID: DID { originatorDID }

    enum CodingKeys: String, CodingKey {
        case jobID = "job_id"
        case assignmentCID = "assignment_cid"
        case originatorDID = "originator_did"
        case start
        case end
        case dataCID = "data_cid"
        case isLast = "is_last"
    }
}

/// What came of one call of a run's session, where that does not follow from the run: a read that got something or
/// waited, a write that waited.
package struct SessionEvent: Hashable, Sendable, Codable {
    /// How a call ended that neither got input nor had room.
    package enum End: String, Hashable, Sendable, Codable {
        /// There is no more input.
        case over
        /// The module's own time for it had passed.
        case elapsed
        /// The job has waited as long as it may.
        case idle
        /// The run was stopped.
        case cancelled
    }

    /// Which call of the session it is, from 0: each read of input that the module has not been given yet, and each
    /// write of at most 64 KiB.
    package var call: UInt64
    /// The input that was read.
    package var data: [UInt8]?
    /// How it ended, if not so.
    package var end: End?
    /// By how much the module's clock moves, in nanoseconds; absent where it did not wait.
    package var waited: UInt64?

    /// What came of a call.
    package init(call: UInt64, data: [UInt8]? = nil, end: End? = nil, waited: UInt64? = nil) {
        self.call = call
        self.data = data
        self.end = end
        self.waited = waited
    }

    /// What it counts to the bound of a transcript, in bytes: no less than its encoding has.
    package var weight: Int { 64 + (data?.count ?? 0) }

    /// Whether it has one form only.
    fileprivate var isPlain: Bool {
        data?.isEmpty != true && waited != 0 && (data == nil || end == nil)
            && (data != nil || end != nil || waited != nil)
    }
}

/// What the user of an interactive job did, as its module saw it: with this its run can be repeated (PROTOCOL.md,
/// "Transcripts").
///
/// The originator signed the input in it, the executor all of it with its receipt. When something came, and how long
/// the module waited, is the executor's word.
package struct SessionTranscript: Hashable, Sendable, Codable {
    /// The job.
    package var jobID: JobID
    /// The attempt.
    package var assignmentCID: CID
    /// Whose input is in it.
    package var originatorDID: DID
    /// Whether anybody may have it.
    package var isShared: Bool
    /// What came of the calls of the session, in their order.
    package var events: [SessionEvent]
    /// Input that came and was not read.
    package var unread: [UInt8]
    /// Signed `InputStatement`s, which together are about all input: the last of each node of the originator.
    package var statements: [[UInt8]]

    package init(
        jobID: JobID, assignmentCID: CID, originatorDID: DID, isShared: Bool, events: [SessionEvent],
        unread: [UInt8], statements: [[UInt8]]
    ) {
        self.jobID = jobID
        self.assignmentCID = assignmentCID
        self.originatorDID = originatorDID
        self.isShared = isShared
        self.events = events
        self.unread = unread
        self.statements = statements
    }

    /// The transcript as a block; nil if it is longer than one may be, or has another form.
    package var block: (cid: CID, bytes: [UInt8])? {
        guard let bytes = try? DAGCBOREncoder().encode(self), Self(block: bytes) != nil else { return nil }
        return (CID.hashing(bytes, codec: .dagCBOR), bytes)
    }

    /// Reads a block; nil if it is none that an executor can have written: calls in order, within the bounds, each in
    /// its one form.
    package init?(block: [UInt8]) {
        guard block.count <= SessionTerms.Limits.transcriptBytesMax else { return nil }
        let bounds = DAGCBOR.Limits(
            depthMax: 8, bytesMax: SessionTerms.Limits.transcriptBytesMax, integerMax: UInt64(Int64.max))
        guard let found = try? DAGCBORDecoder(limits: bounds).decode(Self.self, from: block),
            found.statements.count <= SessionTerms.Limits.statementsMax, found.events.allSatisfy(\.isPlain),
            zip(found.events, found.events.dropFirst()).allSatisfy({ $0.call < $1.call }),
            found.waitedNanoseconds <= SessionTerms.Limits.waitedNanosecondsMax,
            (try? DAGCBOREncoder().encode(found)) == block
        else { return nil }
        self = found
    }

    /// All input, what was read first.
    package var input: [UInt8] { events.flatMap { $0.data ?? [] } + unread }

    /// How long the module waited in all, in nanoseconds.
    package var waitedNanoseconds: UInt64 {
        events.reduce(0) { sum, event in
            let (more, overflow) = sum.addingReportingOverflow(event.waited ?? 0)
            return overflow ? .max : more
        }
    }

    /// Why it does not belong to a receipt, or is not what the originator says that it sent; nil if it is all right.
    /// The reason follows "the transcript".
    package func fault(of receipt: ExecutionReceipt, under terms: SessionTerms) -> String? {
        if jobID != receipt.jobID || assignmentCID != receipt.assignmentCID
            || originatorDID != receipt.originatorDID
        {
            return "is of another job or attempt than the receipt"
        }
        guard isShared == (terms.transcript == .shared) else { return "names other readers than the job does" }
        return inputFault
    }

    /// Why the originator's statements do not cover the input.
    private var inputFault: String? {
        let input = input
        var position: UInt64 = 0
        var isOver = false
        for block in statements {
            guard let signed = try? SignedObject<InputStatement>(verifying: block), signed.did == originatorDID,
                signed.body.jobID == jobID, signed.body.assignmentCID == assignmentCID
            else { return "has a statement that the originator did not sign about this attempt" }
            let body = signed.body
            guard body.start == position, body.end >= body.start, body.end <= UInt64(input.count), !isOver else {
                return "has other input than the \(GroupedNumber.of(body.end)) bytes that the originator signed"
            }
            guard CID.hashing(input[Int(body.start)..<Int(body.end)], codec: .raw) == body.dataCID else {
                return "has other input than the originator signed"
            }
            (position, isOver) = (body.end, body.isLast)
        }
        guard position == UInt64(input.count) else {
            let more = GroupedNumber.of(UInt64(input.count) - position)
            return "has \(more) bytes of input more than the originator signed"
        }
        if !isOver, events.contains(where: { $0.end == .over }) {
            return "says that the input was over, and the originator did not"
        }
        return nil
    }

    /// Who alone may have a block, if it is a transcript that is not shared; a block is looked at no further than
    /// needed.
    package static func reader(ofBlock block: [UInt8]) -> DID? {
        guard block.starts(with: Self.head), let transcript = Self(block: block), !transcript.isShared else {
            return nil
        }
        return transcript.originatorDID
    }

    /// With what each begins: a map of seven entries, the first of them the events.
    private static let head: [UInt8] = [0xa7, 0x66] + Array("events".utf8)

    enum CodingKeys: String, CodingKey {
        case jobID = "job_id"
        case assignmentCID = "assignment_cid"
        case originatorDID = "originator_did"
        case isShared = "is_shared"
        case events
        case unread
        case statements
    }
}
