import DequeModule

/// The RPCs that wait to be sent to one peer.
///
/// Two lanes, each with a byte limit. *Drop policy*: the queue drops a message that does not fit, the newest first,
/// because gossip repairs what is lost, and a slow peer gets no faster with older bytes. A control RPC that does not
/// fit overflows the queue, and the stream must be reset: without its subscriptions and GRAFTs the peer would believe
/// something untrue. Control goes before messages that came later, never before a frame already taken.
public struct OutgoingQueue<Frame: Sendable>: Sendable {
    /// What happened to a frame.
    public enum Admission: Hashable, Sendable {
        /// It will be sent.
        case queued
        /// It was dropped; gossip lets the peer fetch the message.
        case dropped
        /// The control lane is full; reset the stream.
        case overflow
    }

    private let bytesMax: Int
    private let controlBytesMax: Int
    private var messages: Deque<(frame: Frame, bytes: Int)> = []
    private var control: Deque<(frame: Frame, bytes: Int)> = []
    /// Bytes of waiting messages.
    public private(set) var messageBytes = 0
    /// Bytes of waiting control RPCs.
    public private(set) var controlBytes = 0
    /// Messages dropped so far.
    public private(set) var dropped: UInt64 = 0

    /// An empty queue with the limits of a router.
    public init(limits: GossipSubRouter.Limits) {
        bytesMax = limits.outgoingBytesMax
        controlBytesMax = limits.outgoingControlBytesMax
    }

    /// Whether nothing waits.
    public var isEmpty: Bool { messages.isEmpty && control.isEmpty }

    /// The number of waiting frames.
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

    /// Forgets all waiting frames, because their stream is gone.
    public mutating func removeAll() {
        control.removeAll()
        messages.removeAll()
        controlBytes = 0
        messageBytes = 0
    }

    /// Stops the process if a lane is over its limit or miscounted.
    public func checkInvariants() {
        precondition(messageBytes <= bytesMax, "\(messageBytes) message bytes wait of \(bytesMax)")
        precondition(controlBytes <= controlBytesMax, "\(controlBytes) control bytes wait of \(controlBytesMax)")
        precondition(messages.reduce(0) { $0 + $1.bytes } == messageBytes, "message bytes are miscounted")
        precondition(control.reduce(0) { $0 + $1.bytes } == controlBytes, "control bytes are miscounted")
    }
}
