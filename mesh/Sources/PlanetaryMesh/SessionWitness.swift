import Crypto
import MeshTypes
import Multiformats
import NodeCore
import PeerIdentity
import SignedObjects

/// The originator's word for the input of a session, at either end of it (PROTOCOL.md, "Transcripts").
struct SessionWitness: Sendable {
    /// Which end it is.
    enum Side: Sendable {
        /// Signs what the user types.
        case signs(Identity)
        /// Takes what is signed.
        case checks
    }

    let jobID: JobID
    let assignment: CID
    let originator: DID
    let side: Side

    /// The input from where a node of the originator began, up to a position.
    struct Input: Sendable {
        private(set) var start: UInt64
        private(set) var end: UInt64
        private var hash = SHA256()

        init(from start: UInt64) { (self.start, end) = (start, start) }

        mutating func append(_ bytes: some Collection<UInt8>) {
            hash.update(data: Array(bytes))
            end += UInt64(bytes.count)
        }

        /// The `raw` CID of all of it.
        var cid: CID? {
            let digest = Array(hash.finalize())
            return try? CID(bytes: [0x01, 0x55, 0x12, UInt8(digest.count)] + digest)
        }
    }

    /// Says what was sent up to the end of an input; nil where this end does not sign.
    func statement(of input: Input, isLast: Bool) -> [UInt8]? {
        guard case .signs(let identity) = side, let cid = input.cid else { return nil }
        let body = InputStatement(
            jobID: jobID, assignmentCID: assignment, originatorDID: originator, start: input.start, end: input.end,
            dataCID: cid, isLast: isLast)
        return (try? SignedObject.sign(body, with: identity))?.bytes
    }

    /// What an executor has the originator's word for.
    struct Evidence: Sendable {
        private var input = Input(from: 0)
        private var last: [UInt8]?
        private var earlier: [[UInt8]] = []
        /// Whether there were more nodes of the originator than a transcript may name.
        private(set) var isFull = false

        /// All statements that are needed, in order.
        var statements: [[UInt8]] { earlier + [last].compactMap(\.self) }

        /// Whether it is known that nothing follows.
        private(set) var isOver = false

        /// The evidence with bytes that come next, if a statement holds for them.
        func adding(
            _ bytes: ArraySlice<UInt8>, isLast: Bool, _ statement: [UInt8]?, _ witness: SessionWitness
        ) throws(SessionFault) -> Self {
            guard let statement, let signed = try? SignedObject<InputStatement>(verifying: statement),
                signed.did == witness.originator, signed.body.jobID == witness.jobID,
                signed.body.assignmentCID == witness.assignment, signed.body.isLast == isLast
            else { throw .unsigned }
            var next = self
            if signed.body.start != input.start {
                guard signed.body.start == input.end else { throw .unsigned }
                next.earlier += [last].compactMap(\.self)
                next.input = Input(from: input.end)
            }
            next.input.append(bytes)
            guard signed.body.end == next.input.end, signed.body.dataCID == next.input.cid else { throw .unsigned }
            (next.last, next.isOver) = (statement, isLast)
            if next.statements.count > SessionTerms.Limits.statementsMax { (next.isFull, next.earlier) = (true, []) }
            return next
        }
    }
}
