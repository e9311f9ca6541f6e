import Determinism

/// What one direction of a link does to messages.
public struct LinkProfile: Hashable, Sendable {
    /// The shortest and the longest time of a message, in microseconds; each takes a random time between.
    public var latencyMicroseconds: ClosedRange<Int64>
    /// Lost messages, of a thousand.
    public var lossPermille: Int
    /// Datagrams that arrive twice, of a thousand.
    public var duplicationPermille: Int
    /// Messages held back and so overtaken by later ones, of a thousand; on a stream, later messages of the same stream
    /// wait for them.
    public var reorderPermille: Int
    /// The longest time a message is held back, in microseconds.
    public var reorderMicrosecondsMax: Int64
    /// The time after a loss on a stream until its sender hears of it, in microseconds.
    public var failureNoticeMicroseconds: Int64
    /// Losses on streams of which the sender never hears, of a thousand, so that only its own deadline helps.
    public var silentFailurePermille: Int
    /// How long a dial waits for an answer if nobody says that there is none, in microseconds.
    public var dialTimeoutMicroseconds: Int64 = 5_000_000

    /// A link; by default 5 to 25 ms that loses nothing.
    public init(
        latencyMicroseconds: ClosedRange<Int64> = 5_000...25_000, lossPermille: Int = 0, duplicationPermille: Int = 0,
        reorderPermille: Int = 0, reorderMicrosecondsMax: Int64 = 50_000, failureNoticeMicroseconds: Int64 = 50_000,
        silentFailurePermille: Int = 0
    ) {
        self.latencyMicroseconds = latencyMicroseconds
        self.lossPermille = lossPermille
        self.duplicationPermille = duplicationPermille
        self.reorderPermille = reorderPermille
        self.reorderMicrosecondsMax = reorderMicrosecondsMax
        self.failureNoticeMicroseconds = failureNoticeMicroseconds
        self.silentFailurePermille = silentFailurePermille
    }
}

/// How a virtual network behaves; everything random in it follows from `seed`.
public struct VirtualNetworkConfiguration: Sendable {
    /// The seed of every random choice of the network and its nodes.
    public var seed: UInt64
    /// The profile of links without their own.
    public var link: LinkProfile
    /// The virtual wall clock at the start, in milliseconds since 1970.
    public var wallClockStartMilliseconds: UInt64
    /// Events that may wait; one more stops the process, because a simulation that grows for ever is a bug.
    public var eventsWaitingMax: Int
    /// Whether `checkInvariants` of a node runs after each of its inputs.
    public var checksInvariants: Bool

    /// A network of good links.
    public init(
        seed: UInt64, link: LinkProfile = .init(), wallClockStartMilliseconds: UInt64 = 1_767_225_600_000,
        eventsWaitingMax: Int = 500_000, checksInvariants: Bool = true
    ) {
        self.seed = seed
        self.link = link
        self.wallClockStartMilliseconds = wallClockStartMilliseconds
        self.eventsWaitingMax = eventsWaitingMax
        self.checksInvariants = checksInvariants
    }
}

/// What a virtual network did so far.
public struct VirtualNetworkStatistics: Hashable, Sendable {
    /// Events handled, of every kind.
    public var events: UInt64 = 0
    /// Messages that nodes sent.
    public var sent: UInt64 = 0
    /// Messages that arrived.
    public var delivered: UInt64 = 0
    /// Messages lost on links, by partitions, and at crashed nodes.
    public var lost: UInt64 = 0
    /// Datagrams that arrived twice.
    public var duplicated: UInt64 = 0
    /// Messages held back.
    public var heldBack: UInt64 = 0
    /// Failure notices delivered.
    public var failuresTold: UInt64 = 0
    /// Messages among those sent that belong to a connection itself, and so are lost only with it.
    public var controls: UInt64 = 0
    /// Established connections.
    public var connectionsOpened: UInt64 = 0
    /// Failed dials.
    public var dialsFailed: UInt64 = 0
    /// Messages sent over connections that did not carry them.
    public var lostInConnections: UInt64 = 0
    /// Deadlines that nodes were woken for.
    public var deadlines: UInt64 = 0
    /// The most events that were waiting at once.
    public var eventsWaitingHighest = 0

    /// All zero.
    public init() {}
}
