public import Determinism

/// A node of a virtual network: its number, from 0 in the order of joining.
public struct SimulatedNodeID: Hashable, Comparable, Sendable, CustomStringConvertible {
    /// The place in the network.
    public let index: Int

    /// The node at a place.
    public init(_ index: Int) {
        self.index = index
    }

    /// `n` and the number.
    public var description: String { "n\(index)" }

    public static func < (left: SimulatedNodeID, right: SimulatedNodeID) -> Bool { left.index < right.index }
}

/// What a link does to a message.
public enum SimulatedChannel: Hashable, Sendable {
    /// May be lost silently, doubled and reordered.
    case datagram
    /// Never doubled, and in order among the messages of the same number between the same two nodes; different streams
    /// overtake each other. `sendFailed` tells the sender of a lost message, unless the link fails silently.
    case stream(UInt64)
    /// What a connection itself says: lost only with the connection, and in order.
    case control
}

/// Bytes on their way from one node to another.
public struct SimulatedMessage: Hashable, Sendable {
    /// The protocol that the bytes belong to, so that a node with several cores can tell them apart.
    public var protocolID: String
    /// How they travel.
    public var channel: SimulatedChannel
    /// The bytes.
    public var bytes: [UInt8]
    /// The connection over which they travel; `nil` if they need none.
    public var connection: VirtualConnectionID?

    public init(
        protocolID: String, channel: SimulatedChannel, bytes: [UInt8], connection: VirtualConnectionID? = nil
    ) {
        self.protocolID = protocolID
        self.channel = channel
        self.bytes = bytes
        self.connection = connection
    }
}

/// What a node can do while it handles an input: look at the clocks, draw random numbers, dial, send, close, and note a
/// fact.
public struct SimulatedContext: Sendable {
    enum Act: Sendable {
        case send(SimulatedMessage, to: SimulatedNodeID)
        case dial(VirtualConnectionID, place: Int)
        case sendOver(SimulatedMessage, VirtualConnectionID)
        case close(VirtualConnectionID)
    }

    /// The node itself.
    public let node: SimulatedNodeID
    /// Where it is: the number that others dial.
    public let place: Int
    /// Virtual time since the start of the simulation.
    public let now: MonotonicInstant
    /// Virtual wall clock, in milliseconds since 1970.
    public let wallClockMilliseconds: UInt64
    /// Random numbers of this node alone; they depend on the network's seed and the node's number.
    public var generator: SeededGenerator
    private let places: [Int]
    private(set) var acts: [Act] = []
    private(set) var notes: [String] = []
    private(set) var dialCount: UInt64

    init(
        node: SimulatedNodeID, places: [Int], now: MonotonicInstant, wallClockMilliseconds: UInt64,
        generator: SeededGenerator, dialCount: UInt64
    ) {
        self.node = node
        self.places = places
        place = places[node.index]
        self.now = now
        self.wallClockMilliseconds = wallClockMilliseconds
        self.generator = generator
        self.dialCount = dialCount
    }

    /// Sends a message to a node that need not be reachable.
    public mutating func send(_ message: SimulatedMessage, to node: SimulatedNodeID) {
        acts.append(.send(message, to: node))
    }

    /// Where a node was last started, as a directory shared by the nodes would say.
    public func place(of node: SimulatedNodeID) -> Int { places[node.index] }

    /// Dials whoever is at a place; `connectionChanged` reports the result.
    public mutating func dial(_ place: Int) -> VirtualConnectionID {
        let id = VirtualConnectionID(dialer: node, number: dialCount)
        dialCount += 1
        acts.append(.dial(id, place: place))
        return id
    }

    /// Sends bytes of a protocol over a connection, if it still carries.
    public mutating func send(
        _ bytes: [UInt8], over connection: VirtualConnectionID, protocolID: String, channel: SimulatedChannel
    ) {
        let message = SimulatedMessage(protocolID: protocolID, channel: channel, bytes: bytes, connection: connection)
        acts.append(.sendOver(message, connection))
    }

    /// Closes this node's end of a connection; the other end hears of it if the connection still carries.
    public mutating func close(_ connection: VirtualConnectionID) { acts.append(.close(connection)) }

    /// Sends bytes of a protocol to a node.
    public mutating func send(
        _ bytes: [UInt8], to node: SimulatedNodeID, protocolID: String, channel: SimulatedChannel
    ) {
        send(SimulatedMessage(protocolID: protocolID, channel: channel, bytes: bytes), to: node)
    }

    /// Notes a fact, which becomes part of the trace's hash and of `VirtualNetwork.notes`.
    public mutating func note(_ fact: String) {
        notes.append(fact)
    }
}

/// A value with cores inside that a virtual network can run.
///
/// The rules for cores apply: no clock, no system randomness, no order taken from a `Dictionary` or `Set`. After every
/// input the network asks for `nextDeadline` and, if so configured, calls `checkInvariants`.
public protocol SimulatedNode: Sendable {
    /// What a scenario can tell a node to do.
    associatedtype Command: Sendable

    /// The node joins the network, or comes back after a crash.
    mutating func started(_ context: inout SimulatedContext)
    /// A message arrived.
    mutating func received(_ message: SimulatedMessage, from sender: SimulatedNodeID, _ context: inout SimulatedContext)
    /// A message on a stream did not arrive.
    mutating func sendFailed(_ message: SimulatedMessage, to node: SimulatedNodeID, _ context: inout SimulatedContext)
    /// A connection of this node changed.
    mutating func connectionChanged(_ news: VirtualConnectionNews, _ context: inout SimulatedContext)
    /// A command of the scenario.
    mutating func commanded(_ command: Command, _ context: inout SimulatedContext)
    /// The time of `nextDeadline` has come.
    mutating func deadlineReached(_ context: inout SimulatedContext)
    /// When the node wants to be woken; `nil` for never.
    var nextDeadline: MonotonicInstant? { get }
    /// Stops the process when the node contradicts itself.
    func checkInvariants()
}

extension SimulatedNode {
    /// Nodes that dial nobody hear of no connections.
    public mutating func connectionChanged(_ news: VirtualConnectionNews, _ context: inout SimulatedContext) {}
}
