import DequeModule

/// The RPCs that wait to be sent to one peer.
///
/// Two lanes with a byte limit each. *Drop policy*: a message that does not fit is dropped, the newest first, because
/// gossip repairs what is lost and a peer that is slow now will not be faster for older bytes; a control RPC that does
/// not fit overflows the queue, because without its subscriptions and GRAFTs the peer would be told something untrue,
/// and the stream has to be reset. Control goes before messages that came later, never before a frame already taken.
public struct OutgoingQueue<Frame: Sendable>: Sendable {
    /// What became of a frame.
    public enum Admission: Hashable, Sendable {
        /// It will be sent.
        case queued
        /// It was dropped; the peer may fetch the message by gossip.
        case dropped
        /// The control lane is full: reset the stream.
        case overflow
    }

    private let bytesMax: Int
    private let controlBytesMax: Int
    private var messages: Deque<(frame: Frame, bytes: Int)> = []
    private var control: Deque<(frame: Frame, bytes: Int)> = []
    /// Bytes of messages that wait.
    public private(set) var messageBytes = 0
    /// Bytes of control RPCs that wait.
    public private(set) var controlBytes = 0
    /// Messages dropped so far.
    public private(set) var dropped: UInt64 = 0

    /// An empty queue with the limits of a router.
    public init(limits: GossipSubLimits) {
        bytesMax = limits.outgoingBytesMax
        controlBytesMax = limits.outgoingControlBytesMax
    }

    /// Whether nothing waits.
    public var isEmpty: Bool { messages.isEmpty && control.isEmpty }

    /// How many frames wait.
    public var count: Int { messages.count + control.count }

    /// Adds a frame of `bytes` bytes behind those of its lane.
    public mutating func append(_ frame: Frame, bytes: Int, isControl: Bool) -> Admission {
        if isControl {
            guard bytes <= controlBytesMax - controlBytes else { return .overflow }
            control.append((frame, bytes))
            controlBytes += bytes
            return .queued
        }
        guard bytes <= bytesMax - messageBytes else {
            dropped += 1
            return .dropped
        }
        messages.append((frame, bytes))
        messageBytes += bytes
        return .queued
    }

    /// Takes the next frame.
    public mutating func popFirst() -> Frame? {
        if let first = control.popFirst() {
            controlBytes -= first.bytes
            return first.frame
        }
        guard let first = messages.popFirst() else { return nil }
        messageBytes -= first.bytes
        return first.frame
    }

    /// Forgets everything that waits, because the stream it was for is gone.
    public mutating func removeAll() {
        control.removeAll()
        messages.removeAll()
        controlBytes = 0
        messageBytes = 0
    }

    /// Stops the process when a lane is over its limit or miscounted.
    public func checkInvariants() {
        precondition(messageBytes <= bytesMax, "\(messageBytes) message bytes wait of \(bytesMax)")
        precondition(controlBytes <= controlBytesMax, "\(controlBytes) control bytes wait of \(controlBytesMax)")
        precondition(messages.reduce(0) { $0 + $1.bytes } == messageBytes, "message bytes are miscounted")
        precondition(control.reduce(0) { $0 + $1.bytes } == controlBytes, "control bytes are miscounted")
    }
}
