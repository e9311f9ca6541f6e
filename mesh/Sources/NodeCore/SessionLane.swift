import MeshTypes

/// What a peer sends in a session that it must not.
package enum SessionFault: Error, Hashable, Sendable {
    /// Bytes are missing before these.
    case gap
    /// More than was accepted.
    case beyondCredit
    /// Bytes behind the end.
    case afterTheEnd
    /// It says that it has what was not sent.
    case notSent
    /// A message of another session, of the other direction, or none.
    case notOfTheSession
    /// Input without the originator's word for it, where a transcript is kept.
    case unsigned
}

extension SessionFault: CustomStringConvertible {
    /// A few words, for the notes about a peer.
    package var description: String {
        switch self {
        case .gap: "a session with a gap"
        case .beyondCredit: "more of a session than was accepted"
        case .afterTheEnd: "more of a session behind its end"
        case .notSent: "a session's bytes acknowledged that were not sent"
        case .notOfTheSession: "a message that is not of its session"
        case .unsigned: "input of a session without a statement that holds"
        }
    }
}

/// Bytes of one direction of a session, from one position to another, some of them standard error's.
struct SessionBytes: Sendable {
    private(set) var start: UInt64
    private var bytes: [UInt8] = []
    /// Where it turns from one stream to the other; `SendingLane.turnsMax` at most.
    private var turns: [(position: UInt64, isError: Bool)] = []

    init(from start: UInt64) { self.start = start }

    var end: UInt64 { start + UInt64(bytes.count) }
    var count: Int { bytes.count }
    /// How often it turns, the beginning included.
    var turnCount: Int { turns.count }

    mutating func append(_ new: some Collection<UInt8>, isError: Bool) {
        guard !new.isEmpty else { return }
        if turns.last?.isError != isError { turns.append((end, isError)) }
        bytes += new
    }

    /// Forgets what is before a position.
    mutating func drop(to position: UInt64) {
        let count = Int(min(max(position, start), end) - start)
        guard count > 0 else { return }
        bytes.removeFirst(count)
        start += UInt64(count)
        let kept = turn(at: start)
        turns.removeFirst(kept)
    }

    /// The bytes from a position that are here, of one stream, so many at most; nil if there are none.
    func piece(from position: UInt64, bytesMax: Int) -> (bytes: ArraySlice<UInt8>, isError: Bool)? {
        guard position >= start, position < end, bytesMax > 0 else { return nil }
        let index = turn(at: position)
        let until = index + 1 < turns.count ? turns[index + 1].position : end
        let from = Int(position - start)
        let count = min(bytesMax, Int(until - position))
        return (bytes[from..<from + count], turns[index].isError)
    }

    /// The bytes between two positions that are here, of both streams.
    func bytes(from start: UInt64, to end: UInt64) -> [UInt8] {
        let (from, to) = (max(start, self.start), min(end, self.end))
        return from < to ? Array(bytes[Int(from - self.start)..<Int(to - self.start)]) : []
    }

    /// The last turn that is not after a position.
    private func turn(at position: UInt64) -> Int {
        var (low, high) = (0, turns.count)
        while high - low > 1 {
            let middle = (low + high) / 2
            if turns[middle].position <= position { low = middle } else { high = middle }
        }
        return low
    }
}

/// The direction of a session in which this side sends: keeps what it sent until the other side needs it no more.
package struct SendingLane: Sendable {
    /// Turns between standard output and standard error that are kept at most; beyond, there is no room.
    package static let turnsMax = 4_096

    private var kept: SessionBytes
    /// Up to which position the other side accepts bytes.
    package private(set) var limit: UInt64
    /// Whether the bytes have an end.
    package private(set) var isOver = false
    /// Whether a run writes again what the other side may have, so that this may say so before it is written.
    private let beginsAgain: Bool
    /// How many of the next bytes the other side has.
    private var behind: UInt64 = 0

    /// A lane whose next byte has this position.
    ///
    /// - Parameters:
    ///   - position: of the next byte.
    ///   - beginsAgain: whether the other side may have more than that already.
    package init(from position: UInt64 = 0, beginsAgain: Bool = false) {
        kept = SessionBytes(from: position)
        limit = position
        self.beginsAgain = beginsAgain
    }

    /// The position of the next byte.
    package var end: UInt64 { kept.end }
    /// The position of the first byte that is kept.
    package var start: UInt64 { kept.start }
    /// How many bytes there is room for.
    package var room: Int {
        isOver || kept.turnCount >= Self.turnsMax ? 0 : SessionTerms.Limits.windowBytes - kept.count
    }

    /// Takes bytes, as many as there is room for, and says how many.
    package mutating func write(_ bytes: ArraySlice<UInt8>, isError: Bool = false) -> Int {
        let had = Int(min(behind, UInt64(bytes.count)))
        behind -= UInt64(had)
        let taken = bytes.dropFirst(had).prefix(room)
        kept.append(taken, isError: isError)
        return had + taken.count
    }

    /// There will be no more bytes.
    package mutating func close() { isOver = true }

    /// The other side needs nothing before a position, and accepts so many bytes behind it.
    package mutating func acknowledged(_ position: UInt64, credit: UInt64) throws(SessionFault) {
        if beginsAgain, position > end, position <= UInt64(Int64.max) / 2 {
            behind += position - end
            kept = SessionBytes(from: position)
        }
        guard position <= end else { throw .notSent }
        kept.drop(to: position)
        let (accepted, overflow) = position.addingReportingOverflow(credit)
        limit = max(limit, overflow ? .max : accepted)
    }

    /// The bytes between two positions that are kept.
    package func bytes(from start: UInt64, to end: UInt64) -> [UInt8] { kept.bytes(from: start, to: end) }

    /// What may be sent from a position on, of one stream; nil if nothing.
    package func piece(from position: UInt64) -> (bytes: [UInt8], isError: Bool)? {
        let accepted = limit > position ? limit - position : 0
        let most = Int(min(accepted, UInt64(SessionTerms.Limits.messageBytesMax)))
        return kept.piece(from: position, bytesMax: most).map { (Array($0.bytes), $0.isError) }
    }
}

/// The direction of a session in which this side receives: keeps what came until it is taken.
package struct ReceivingLane: Sendable {
    /// What is said for a credit once the last has come: whoever comes again knows that nothing can follow.
    package static let creditAtEnd = UInt64(Int64.max)

    private var kept: SessionBytes
    private var isFresh: Bool
    /// Whether all has come.
    package private(set) var isOver = false

    /// A lane that begins with whatever comes first, or at the beginning.
    package init(joins: Bool) {
        kept = SessionBytes(from: 0)
        isFresh = joins
    }

    /// A lane that goes on: with bytes from a position on that came and were not taken.
    package init(from position: UInt64, bytes: ArraySlice<UInt8>, isOver: Bool) {
        kept = SessionBytes(from: position)
        kept.append(bytes, isError: false)
        isFresh = false
        self.isOver = isOver
    }

    /// Up to which position bytes have come.
    package var end: UInt64 { kept.end }
    /// Up to which position they were taken.
    package var start: UInt64 { kept.start }
    /// Up to which position the other side may send.
    package var limit: UInt64 { kept.start + UInt64(SessionTerms.Limits.windowBytes) }
    /// Whether there is nothing to take and nothing will come.
    package var isExhausted: Bool { isOver && kept.count == 0 }

    /// Takes what came; what came before is dropped.
    package mutating func receive(
        _ bytes: [UInt8], at position: UInt64, isError: Bool, isLast: Bool
    ) throws(SessionFault) {
        if isFresh, position <= UInt64(Int64.max) / 2 { kept = SessionBytes(from: position) }
        isFresh = false
        guard position <= end else { throw .gap }
        let known = Int(min(end - position, UInt64(bytes.count)))
        let new = bytes[known...]
        guard !isOver || new.isEmpty else { throw .afterTheEnd }
        guard end + UInt64(new.count) <= limit else { throw .beyondCredit }
        kept.append(new, isError: isError)
        // A sender that keeps the bound has no more turns under way.
        guard kept.turnCount <= SendingLane.turnsMax + 1 else { throw .beyondCredit }
        if isLast, position + UInt64(bytes.count) == end { isOver = true }
    }

    /// The bytes that came and were not taken.
    package var untaken: [UInt8] { kept.bytes(from: kept.start, to: kept.end) }

    /// The bytes from a position that are here, of one stream, so many at most.
    package func piece(from position: UInt64, bytesMax: Int) -> (bytes: [UInt8], isError: Bool)? {
        kept.piece(from: position, bytesMax: bytesMax).map { (Array($0.bytes), $0.isError) }
    }

    /// What is before a position was taken.
    package mutating func took(to position: UInt64) { kept.drop(to: position) }
}
