public import Determinism

/// A connection of a virtual network: who dialed it, and which of that node's dials it is.
public struct VirtualConnectionID: Hashable, Comparable, Sendable, CustomStringConvertible {
    /// The node that dialed.
    public let dialer: SimulatedNodeID
    /// The number of the dial, from 0 in the order of the node's dials, over all of its lives.
    public let number: UInt64

    /// The node and the number.
    public var description: String { "\(dialer)#\(number)" }

    public static func < (left: VirtualConnectionID, right: VirtualConnectionID) -> Bool {
        (left.dialer, left.number) < (right.dialer, right.number)
    }
}

/// What a node hears of its connections.
public enum VirtualConnectionNews: Hashable, Sendable {
    /// The connection is established, and the other end's identity proved.
    case opened(VirtualConnectionID, to: SimulatedNodeID, isOutbound: Bool)
    /// A dial of this node failed.
    case dialFailed(VirtualConnectionID)
    /// The other end closed the connection, or no longer knows it.
    case closed(VirtualConnectionID)
}

/// A connection that a node believes to have, as the network knows it.
public struct VirtualConnectionState: Hashable, Sendable {
    /// Which.
    public let id: VirtualConnectionID
    /// The node at the other end.
    public let to: SimulatedNodeID
    /// Whether the other end believes in it too, and both reach each other.
    public let isSound: Bool
    /// Since when something sent on it was lost, or would have been.
    public let brokenAt: MonotonicInstant?
}

/// The connections of a virtual network as the network knows them, which is more than either end does.
///
/// A connection keeps the order within a stream, and has two directions. One that failed to carry something carries
/// nothing any more, and tells neither end: each finds out by its own keep-alive, or never.
struct VirtualConnections: Sendable {
    /// One of the two ends.
    struct End: Sendable {
        let node: SimulatedNodeID
        let life: UInt64
        let place: Int
        /// Whether the node heard of the connection, and not of its end.
        var isOpen = true
        /// Whether what it sends arrives.
        var carries = true
        /// Nothing arrives at an end before it hears that the connection is established.
        var opensAt: MonotonicInstant
    }

    /// Both ends.
    struct Ends: Sendable {
        var dialer: End
        var listener: End
        /// Since when one of its directions carries nothing.
        var brokenAt: MonotonicInstant?

        /// The end of a node, first, and the other.
        func seen(from node: SimulatedNodeID) -> (own: End, other: End) {
            dialer.node == node ? (dialer, listener) : (listener, dialer)
        }

        mutating func change(_ node: SimulatedNodeID, _ change: (inout End) -> Void) {
            if dialer.node == node { change(&dialer) } else { change(&listener) }
        }
    }

    private var table: [VirtualConnectionID: Ends] = [:]
    private var byNode: [SimulatedNodeID: Set<VirtualConnectionID>] = [:]

    subscript(id: VirtualConnectionID) -> Ends? { table[id] }

    /// The connections that a node believes to have, in order.
    func open(at node: SimulatedNodeID) -> [VirtualConnectionID] {
        (byNode[node] ?? []).filter { table[$0]?.seen(from: node).own.isOpen ?? false }.sorted()
    }

    mutating func add(_ id: VirtualConnectionID, _ ends: Ends) {
        table[id] = ends
        byNode[ends.dialer.node, default: []].insert(id)
        byNode[ends.listener.node, default: []].insert(id)
    }

    /// What a node sends from now on is lost.
    mutating func breaks(_ id: VirtualConnectionID, from node: SimulatedNodeID, at now: MonotonicInstant) {
        if table[id]?.brokenAt == nil { table[id]?.brokenAt = now }
        table[id]?.change(node) { $0.carries = false }
    }

    /// Closes an end; forgets the connection once both are closed. `false` if it was closed before.
    mutating func close(_ id: VirtualConnectionID, at node: SimulatedNodeID) -> Bool {
        guard let ends = table[id], ends.seen(from: node).own.isOpen else { return false }
        table[id]?.change(node) { $0.isOpen = false }
        if !ends.seen(from: node).other.isOpen {
            table[id] = nil
            byNode[ends.dialer.node]?.remove(id)
            byNode[ends.listener.node]?.remove(id)
        }
        return true
    }
}
