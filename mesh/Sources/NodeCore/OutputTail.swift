import DequeModule
package import MeshTypes
package import Multiformats

/// The last that a run wrote, in the order in which it came; each of its two streams is numbered for itself.
///
/// Nobody waits for whoever reads it: what does not fit is dropped from its front, and shows as a jump of the numbers.
package struct OutputTail: Sendable {
    /// The bounds of a tail.
    package enum Limits {
        /// Bytes that are kept.
        package static let bytesMax = SessionTerms.Limits.windowBytes
        /// Pieces that are kept, at the most as many as the streams take turns.
        package static let piecesMax = 4_096
    }

    /// Bytes of one stream that follow each other.
    package struct Piece: Hashable, Sendable {
        /// Whether of standard error.
        package var isError: Bool
        /// The position of the first byte in its stream.
        package var position: UInt64
        /// The bytes, `SessionTerms.Limits.messageBytesMax` at most.
        package var bytes: [UInt8]

        /// The position behind them.
        package var end: UInt64 { position + UInt64(bytes.count) }
    }

    private var pieces: Deque<Piece> = []
    private var keptBytes = 0
    private var ends: (output: UInt64, error: UInt64) = (0, 0)
    /// How many bytes came before those that are kept, of both streams together.
    package private(set) var start: UInt64 = 0
    /// Whether nothing follows.
    package private(set) var isOver = false

    /// A tail of a run that has written nothing.
    package init() {}

    /// How many bytes came, of both streams together.
    package var end: UInt64 { start + UInt64(keptBytes) }

    /// Where a stream goes on.
    package func end(isError: Bool) -> UInt64 { isError ? ends.error : ends.output }

    /// Adds what was written next to a stream.
    package mutating func append(_ bytes: some Collection<UInt8>, isError: Bool) {
        append(bytes, isError: isError, at: end(isError: isError))
    }

    /// Adds bytes from a position of a stream on, as far as they are new.
    package mutating func append(_ bytes: some Collection<UInt8>, isError: Bool, at position: UInt64) {
        let behind = end(isError: isError)
        let known = Int(clamping: behind - min(behind, position))
        var rest = bytes.dropFirst(known)
        var next = max(position, behind)
        while !rest.isEmpty {
            let last = pieces.last.flatMap { $0.isError == isError && $0.end == next ? $0.bytes.count : nil }
            let most = SessionTerms.Limits.messageBytesMax
            let part = rest.prefix(last.map { $0 < most ? most - $0 : most } ?? most)
            if let last, last < most {
                pieces[pieces.count - 1].bytes += part
            } else {
                pieces.append(Piece(isError: isError, position: next, bytes: Array(part)))
            }
            keptBytes += part.count
            next += UInt64(part.count)
            rest = rest.dropFirst(part.count)
        }
        if isError { ends.error = max(ends.error, next) } else { ends.output = max(ends.output, next) }
        trim()
    }

    private mutating func trim() {
        var count = 0
        while keptBytes > Limits.bytesMax || pieces.count - count > Limits.piecesMax {
            let dropped = pieces[count].bytes.count
            count += 1
            keptBytes -= dropped
            start += UInt64(dropped)
        }
        pieces.removeFirst(count)
    }

    /// There will be no more.
    package mutating func close() { isOver = true }

    /// What is here from a place on, which counts the bytes of both streams: whole pieces but for the first and the
    /// last, so many bytes at most; and the place where they begin, which is later than asked where that was dropped.
    package func pieces(from place: UInt64, bytesMax: Int) -> (start: UInt64, pieces: [Piece]) {
        let begin = min(max(place, start), end)
        var (found, at, left): ([Piece], UInt64, Int) = ([], start, bytesMax)
        for piece in pieces {
            defer { at += UInt64(piece.bytes.count) }
            let skipped = Int(clamping: begin - min(begin, at))
            guard skipped < piece.bytes.count else { continue }
            guard left > 0 else { break }
            let bytes = piece.bytes.dropFirst(skipped).prefix(left)
            left -= bytes.count
            found.append(
                Piece(isError: piece.isError, position: piece.position + UInt64(skipped), bytes: Array(bytes)))
        }
        return (begin, found)
    }
}

/// What comes of a run's output over one stream: holds the executor to what it may send, and says what more it may.
package struct OutputArrivals: Sendable {
    /// The job.
    let jobID: JobID
    /// The attempt.
    let assignment: CID
    /// The most that the job may write, in bytes.
    let outputBytesMax: UInt64
    private var ends: (output: UInt64, error: UInt64) = (0, 0)
    private var taken: UInt64 = 0
    private var granted: UInt64 = 0
    /// Whether the run has ended, and nothing follows.
    package private(set) var isOver = false

    /// Of a run that may write so many bytes.
    package init(jobID: JobID, assignment: CID, outputBytesMax: UInt64) {
        self.jobID = jobID
        self.assignment = assignment
        self.outputBytesMax = outputBytesMax
    }

    /// Takes a message. Positions of a stream may jump ahead, because nobody waits, but never go back.
    package mutating func take(_ data: JobInteractiveDataV1) throws(SessionFault) {
        let count = UInt64(data.data.count)
        guard data.jobID == jobID, data.assignmentCID == assignment,
            count <= UInt64(SessionTerms.Limits.messageBytesMax), data.statement == nil, count > 0 || data.isLast
        else { throw .notOfTheSession }
        guard !isOver else { throw .afterTheEnd }
        guard data.sequence >= (data.isError ? ends.error : ends.output) else { throw .gap }
        let (end, overflow) = data.sequence.addingReportingOverflow(count)
        guard !overflow, end <= outputBytesMax, taken + count <= granted else { throw .beyondCredit }
        taken += count
        if data.isError { ends.error = end } else { ends.output = end }
        isOver = data.isLast
    }

    /// What to say to the executor, once that is worth a message: it may send a window from here on.
    package mutating func grant() -> JobInteractiveDataV1? {
        let window = UInt64(SessionTerms.Limits.windowBytes)
        guard !isOver, taken + window - granted >= (granted == 0 ? 1 : window / 4) else { return nil }
        granted = taken + window
        return JobInteractiveDataV1(
            jobID: jobID, assignmentCID: assignment, sequence: 0, data: [], acknowledged: taken, credit: window,
            isLast: false)
    }
}

/// What an executor may send of a run's output over one stream.
package struct OutputCredit: Sendable {
    /// The job.
    let jobID: JobID
    /// The attempt.
    let assignment: CID
    private var sent: UInt64 = 0
    private var limit: UInt64 = 0
    private var place: UInt64 = 0
    private var isOver = false

    /// Of a stream on which nothing was said.
    package init(jobID: JobID, assignment: CID) {
        self.jobID = jobID
        self.assignment = assignment
    }

    /// Takes what the originator says.
    package mutating func take(_ data: JobInteractiveDataV1) throws(SessionFault) {
        guard data.jobID == jobID, data.assignmentCID == assignment, data.data.isEmpty, data.statement == nil,
            !data.isError, data.credit <= UInt64(SessionTerms.Limits.windowBytes)
        else { throw .notOfTheSession }
        guard data.acknowledged <= sent else { throw .notSent }
        // A message that allows nothing more has no purpose, and each one wakes the sender.
        guard data.acknowledged + data.credit > limit else { throw .notOfTheSession }
        limit = data.acknowledged + data.credit
    }

    /// The messages that may be sent now of what a run has written; the last one once it has ended.
    package mutating func messages(of tail: OutputTail) -> [JobInteractiveDataV1] {
        guard !isOver else { return [] }
        let (start, pieces) = tail.pieces(from: place, bytesMax: Int(clamping: limit - min(limit, sent)))
        place = start
        var messages = pieces.map { message($0.position, $0.bytes, isError: $0.isError) }
        let count = pieces.reduce(0) { $0 + UInt64($1.bytes.count) }
        (place, sent) = (place + count, sent + count)
        guard tail.isOver, place == tail.end else { return messages }
        isOver = true
        messages.append(message(tail.end(isError: false), [], isError: false, isLast: true))
        return messages
    }

    private func message(
        _ position: UInt64, _ bytes: [UInt8], isError: Bool, isLast: Bool = false
    ) -> JobInteractiveDataV1 {
        JobInteractiveDataV1(
            jobID: jobID, assignmentCID: assignment, sequence: position, data: bytes, acknowledged: 0, credit: 0,
            isLast: isLast, isError: isError)
    }
}
