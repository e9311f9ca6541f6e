import DequeModule
import Determinism
import NIOCore

/// One stream of a session: its windows, its unsent bytes, and which frames it still owes.
struct YamuxStreamState: Sendable {
    enum SendingSide: Sendable {
        case open
        /// FIN follows the queued bytes.
        case closing
        case closed
    }

    let id: YamuxStreamID
    let isOutbound: Bool
    /// Whether the peer answered our SYN; our first frame acknowledges streams that the peer opened.
    var isAcknowledged: Bool

    var sendWindow = YamuxSession.initialWindowBytes
    var sendQueue = Deque<ByteBuffer>()
    var sendQueueBytes = 0
    var sendingSide = SendingSide.open

    /// The peer's remaining credit.
    var receiveWindow = YamuxSession.initialWindowBytes
    /// The size to which the window is refilled.
    var receiveWindowTarget = YamuxSession.initialWindowBytes
    /// Bytes that the reader got and has not consumed.
    var unconsumedBytes = 0
    var remoteClosed = false
    var windowOpenedAt: MonotonicInstant

    /// Flags that the next frame of this stream carries: SYN or ACK.
    var owedFlags: YamuxFlags
    /// Credit that the next window update of this stream carries.
    var owedCredit = 0
    /// Whether the stream is in the session's ready queue.
    var isReady = false

    init(id: YamuxStreamID, isOutbound: Bool, now: MonotonicInstant) {
        self.id = id
        self.isOutbound = isOutbound
        isAcknowledged = !isOutbound
        owedFlags = isOutbound ? .syn : .ack
        windowOpenedAt = now
    }

    /// Whether anything can be sent now.
    var hasOutput: Bool {
        if !owedFlags.isEmpty || owedCredit > 0 { return true }
        if sendQueueBytes > 0 { return sendWindow > 0 }
        return sendingSide == .closing
    }

    /// Whether the session may forget the stream.
    var isFinished: Bool {
        sendingSide == .closed && remoteClosed && unconsumedBytes == 0
    }

    /// Moves up to `count` queued bytes to `output`.
    mutating func moveQueuedBytes(_ count: Int, into output: inout ByteBuffer) {
        var left = count
        while left > 0, !sendQueue.isEmpty {
            if sendQueue[0].readableBytes <= left {
                var chunk = sendQueue.removeFirst()
                left -= chunk.readableBytes
                output.writeBuffer(&chunk)
            } else if var part = sendQueue[0].readSlice(length: left) {
                left = 0
                output.writeBuffer(&part)
            }
        }
        sendQueueBytes -= count
        sendWindow -= count
    }
}

/// The stream IDs that the peer used lately: exact for the newest 1,024, because concurrent openers may overtake one
/// another; before them only a lower bound.
///
/// A word of 64 ordinals is stamped with the ordinals that it stands for, and is cleared when it is first used for
/// others: a peer that jumps ahead costs no more than one that counts.
struct YamuxSeenStreams: Sendable {
    static let span: UInt32 = 1_024
    /// A span that begins within a word touches one word more.
    private static let wordCount = Int(YamuxSeenStreams.span / 64) + 1

    private var words = [UInt64](repeating: 0, count: YamuxSeenStreams.wordCount)
    /// For each word the ordinals that it stands for, divided by 64.
    private var stamps = [UInt32](repeating: 0, count: YamuxSeenStreams.wordCount)
    /// One more than the highest ordinal seen.
    private var end: UInt32 = 0

    /// Whether the stream with this ordinal was ever opened; ordinals that left the window count as opened.
    func contains(_ ordinal: UInt32) -> Bool {
        if ordinal >= end { return false }
        if end - ordinal > Self.span { return true }
        let (stamp, place) = Self.split(ordinal)
        return stamps[place] == stamp && words[place] & (1 << UInt64(ordinal % 64)) != 0
    }

    mutating func insert(_ ordinal: UInt32) {
        end = max(end, ordinal + 1)
        let (stamp, place) = Self.split(ordinal)
        if stamps[place] != stamp {
            stamps[place] = stamp
            words[place] = 0
        }
        words[place] |= 1 << UInt64(ordinal % 64)
    }

    private static func split(_ ordinal: UInt32) -> (stamp: UInt32, place: Int) {
        (ordinal / 64, Int(ordinal / 64) % wordCount)
    }
}
