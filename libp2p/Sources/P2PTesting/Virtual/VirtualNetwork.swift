public import Determinism
import HeapModule

/// A network of nodes in one value: virtual clock, virtual links, one seed.
///
/// It handles events in the order of (time, sequence number), so the same seed, nodes and commands give the same run to
/// the byte, as `trace.hexadecimal` shows. Links lose, double, delay and reorder messages by their `LinkProfile`; nodes
/// can be partitioned, paused, crashed and restarted, even at another place. Nodes that dial each other have
/// connections, which can die for one of their ends alone (`VirtualConnections`). Time jumps from event to event: an
/// hour costs what its events cost.
public struct VirtualNetwork<Node: SimulatedNode>: Sendable {
    private enum Happening: Sendable {
        case start
        case message(SimulatedMessage, from: SimulatedNodeID)
        case failure(SimulatedMessage, to: SimulatedNodeID)
        case command(Node.Command)
        case wake(generation: UInt64)
        case arrival(VirtualConnectionID, life: UInt64)
        case news(VirtualConnectionNews)
    }

    private struct Event: Comparable, Sendable {
        let at: MonotonicInstant
        let sequence: UInt64
        let node: SimulatedNodeID
        /// Events for a crashed node's earlier life do not reach its later one.
        let life: UInt64
        let happening: Happening

        static func == (left: Event, right: Event) -> Bool { left.sequence == right.sequence }
        static func < (left: Event, right: Event) -> Bool {
            (left.at, left.sequence) < (right.at, right.sequence)
        }
    }

    private enum Condition: Sendable { case running, paused, crashed }

    /// What the network knows of a node, apart from the node: unoptimised code copies all of a value to read a part.
    private struct Slot: Sendable {
        var generator: SeededGenerator
        var condition = Condition.running
        var life: UInt64 = 0
        var group = 0
        /// Whether nobody hears that the node is gone, as when its machine lost its network too.
        var isUnplugged = false
        /// Whether others can dial it.
        var isDialable = true
        var dialCount: UInt64 = 0
        var wakeAt: MonotonicInstant?
        var wakeGeneration: UInt64 = 0
        var wakesAtSameInstant = 0
        var lastWake = MonotonicInstant.zero
        var held: [Happening] = []
    }

    private struct Direction: Hashable, Sendable {
        let from: SimulatedNodeID
        let to: SimulatedNodeID
    }

    private struct StreamKey: Hashable, Sendable {
        let direction: Direction
        let protocolID: String
        let stream: UInt64
        let connection: VirtualConnectionID?
    }

    /// How the network behaves.
    public let configuration: VirtualNetworkConfiguration
    /// The virtual time.
    public private(set) var now = MonotonicInstant.zero
    /// What it did.
    public private(set) var statistics = VirtualNetworkStatistics()
    /// What happened.
    public private(set) var trace = SimulationTrace()
    /// The facts that nodes noted, in order.
    public private(set) var notes: [(at: MonotonicInstant, node: SimulatedNodeID, fact: String)] = []

    private var nodes: [Node] = []
    private var slots: [Slot] = []
    /// Where each node is.
    private var places: [Int] = []
    private var events = Heap<Event>()
    private var sequence: UInt64 = 0
    private var generator: SeededGenerator
    private var profiles: [Direction: LinkProfile] = [:]
    private var lastArrivals: [StreamKey: MonotonicInstant] = [:]
    private var connections = VirtualConnections()

    /// An empty network at time zero.
    public init(_ configuration: VirtualNetworkConfiguration) {
        self.configuration = configuration
        generator = SeededGenerator(seed: configuration.seed)
    }

    // MARK: Nodes

    /// Adds a node; its start is the next event of this instant.
    @discardableResult
    public mutating func add(_ node: Node) -> SimulatedNodeID {
        let id = SimulatedNodeID(slots.count)
        nodes.append(node)
        slots.append(Slot(generator: SeededGenerator(seed: generator.next())))
        places.append(id.index)
        schedule(.start, for: id, at: now)
        return id
    }

    /// All nodes, in the order of joining.
    public var nodeIDs: [SimulatedNodeID] { slots.indices.map { SimulatedNodeID($0) } }

    /// How many nodes there are.
    public var count: Int { slots.count }

    /// A node as it is now, even while paused or crashed.
    public subscript(id: SimulatedNodeID) -> Node {
        // Lent, not copied: unoptimised code would copy all of a node for whoever asks it one thing.
        _read { yield nodes[id.index] }
    }

    /// Tells a node to do something, now or later. A crashed node does not hear it.
    public mutating func command(_ command: Node.Command, to node: SimulatedNodeID, at time: MonotonicInstant? = nil) {
        schedule(.command(command), for: node, at: max(now, time ?? now))
    }

    // MARK: Faults

    /// Sets what the link from one node to another does; the other direction keeps its profile.
    public mutating func setLink(from: SimulatedNodeID, to: SimulatedNodeID, _ profile: LinkProfile) {
        profiles[Direction(from: from, to: to)] = profile
    }

    /// Splits the network: only nodes of the same group reach each other; nodes in no group form their own.
    public mutating func partition(_ groups: [[SimulatedNodeID]]) {
        for index in slots.indices { slots[index].group = 0 }
        for (number, members) in groups.enumerated() {
            for member in members { slots[member.index].group = number + 1 }
        }
        recordChange("partition", SimulatedNodeID(0))
    }

    /// Ends a partition.
    public mutating func heal() {
        for index in slots.indices { slots[index].group = 0 }
        recordChange("heal", SimulatedNodeID(0))
    }

    /// Stops a node's clock and ears: what arrives waits until `resume`.
    public mutating func pause(_ node: SimulatedNodeID) {
        guard slots[node.index].condition == .running else { return }
        slots[node.index].condition = .paused
        recordChange("pause", node)
    }

    /// Lets a paused node continue; what waited arrives now, in order.
    public mutating func resume(_ node: SimulatedNodeID) {
        guard slots[node.index].condition == .paused else { return }
        slots[node.index].condition = .running
        recordChange("resume", node)
        let held = slots[node.index].held
        slots[node.index].held = []
        for happening in held { schedule(happening, for: node, at: now) }
        slots[node.index].wakeAt = nil
        scheduleWake(of: node)
    }

    /// Kills a node: nothing reaches it and it does nothing; what is on its way to it is lost. Its machine closes its
    /// connections, unless it lost its power or its network too: then nobody hears of it.
    public mutating func crash(_ node: SimulatedNodeID, isUnplugged: Bool = false) {
        slots[node.index].condition = .crashed
        slots[node.index].isUnplugged = isUnplugged
        slots[node.index].held = []
        recordChange(isUnplugged ? "unplug" : "crash", node)
        for id in connections.open(at: node) {
            if isUnplugged { connections.breaks(id, from: node, at: now) }
            close(id, at: node)
        }
        slots[node.index].life += 1
    }

    /// Restarts a crashed node, with the value that `recover` makes of the node as it crashed: all of it, or only what
    /// it had made durable. It comes back where it was, or at a free place.
    public mutating func restart(_ node: SimulatedNodeID, at place: Int? = nil, recover: (Node) -> Node) {
        if let place {
            precondition(!places.contains(place), "somebody is at place \(place)")
            places[node.index] = place
        }
        slots[node.index].isUnplugged = false
        nodes[node.index] = recover(nodes[node.index])
        slots[node.index].condition = .running
        slots[node.index].life += 1
        slots[node.index].wakeAt = nil
        recordChange("restart", node)
        schedule(.start, for: node, at: now)
    }

    /// Lets others dial a node, or not, as behind a router that lets only connections out.
    public mutating func setDialable(_ node: SimulatedNodeID, _ isDialable: Bool) {
        slots[node.index].isDialable = isDialable
        recordChange(isDialable ? "can be dialed" : "cannot be dialed", node)
    }

    /// Stops a connection from carrying anything, in either direction, and tells at most one of its ends.
    public mutating func cut(_ connection: VirtualConnectionID, telling told: SimulatedNodeID? = nil) {
        guard let ends = connections[connection] else { return }
        connections.breaks(connection, from: ends.dialer.node, at: now)
        connections.breaks(connection, from: ends.listener.node, at: now)
        recordChange("cut \(connection)", told ?? ends.dialer.node)
        if let told { tell(.closed(connection), to: told, at: now) }
    }

    /// The connections that a node believes to have, in order.
    public func connections(of node: SimulatedNodeID) -> [VirtualConnectionState] {
        connections.open(at: node).compactMap { id in
            guard let ends = connections[id] else { return nil }
            let (own, other) = ends.seen(from: node)
            let isSound =
                own.carries && other.carries && other.isOpen && slots[other.node.index].life == other.life
                && slots[other.node.index].condition != .crashed
                && slots[other.node.index].group == slots[node.index].group
            return VirtualConnectionState(id: id, to: other.node, isSound: isSound, brokenAt: ends.brokenAt)
        }
    }

    /// Where a node is.
    public func place(of node: SimulatedNodeID) -> Int { places[node.index] }

    /// Whether a node is neither paused nor crashed.
    public func isRunning(_ node: SimulatedNodeID) -> Bool { slots[node.index].condition == .running }

    private mutating func recordChange(_ text: String, _ node: SimulatedNodeID) {
        trace.record(.init(at: now, kind: .changed, node: node, other: nil, text: text, byteCount: 0))
    }

    // MARK: Time

    /// The time of the next event; `nil` if nothing will ever happen again.
    public var nextEventAt: MonotonicInstant? { events.min?.at }

    /// Handles the next event; `false` if there is none.
    @discardableResult
    public mutating func step() -> Bool {
        guard let event = events.popMin() else { return false }
        now = max(now, event.at)
        handle(event)
        return true
    }

    /// Handles all events up to and including `end`, and sets the clock to it.
    public mutating func run(until end: MonotonicInstant) {
        while let next = nextEventAt, next <= end { step() }
        now = max(now, end)
    }

    /// Lets virtual time pass.
    public mutating func run(milliseconds: Int64) {
        run(until: now.advanced(milliseconds: milliseconds))
    }

    /// Handles events until `isDone`, checked after each, or until `end`; returns whether it was done.
    public mutating func run(until end: MonotonicInstant, _ isDone: (borrowing VirtualNetwork) -> Bool) -> Bool {
        if isDone(self) { return true }
        while let next = nextEventAt, next <= end {
            step()
            if isDone(self) { return true }
        }
        now = max(now, end)
        return false
    }

    // MARK: Events

    private mutating func schedule(_ happening: Happening, for node: SimulatedNodeID, at time: MonotonicInstant) {
        precondition(
            events.count < configuration.eventsWaitingMax,
            "more than \(configuration.eventsWaitingMax) events wait, seed \(configuration.seed)")
        sequence += 1
        let life = slots[node.index].life
        events.insert(Event(at: time, sequence: sequence, node: node, life: life, happening: happening))
        statistics.eventsWaitingHighest = max(statistics.eventsWaitingHighest, events.count)
    }

    // Never copy a node here: a copy would make every change of it copy its tables.
    private mutating func handle(_ event: Event) {
        let node = event.node
        let (condition, isSameLife) = (slots[node.index].condition, slots[node.index].life == event.life)
        if case .wake(let generation) = event.happening {
            guard condition == .running, isSameLife, slots[node.index].wakeGeneration == generation else { return }
        }
        guard condition != .crashed, isSameLife else { return missed(event) }
        if condition == .paused {
            slots[node.index].held.append(event.happening)
            return
        }
        if !stillConcerns(event) { return }
        statistics.events += 1
        var context = SimulatedContext(
            node: node, places: places, now: now,
            wallClockMilliseconds: configuration.wallClockStartMilliseconds
                &+ UInt64(max(0, now.nanoseconds / 1_000_000)),
            generator: slots[node.index].generator, dialCount: slots[node.index].dialCount)
        record(event.happening, of: node)
        give(event.happening, to: node, &context)
        slots[node.index].generator = context.generator
        slots[node.index].dialCount = context.dialCount
        for fact in context.notes {
            trace.record(.init(at: now, kind: .note, node: node, other: nil, text: fact, byteCount: 0))
            notes.append((now, node, fact))
        }
        for act in context.acts { carryOut(act, of: node) }
        scheduleWake(of: node)
        if configuration.checksInvariants { nodes[node.index].checkInvariants() }
    }

    private mutating func give(_ happening: Happening, to node: SimulatedNodeID, _ context: inout SimulatedContext) {
        switch happening {
        case .start: nodes[node.index].started(&context)
        case .message(let message, let sender): nodes[node.index].received(message, from: sender, &context)
        case .failure(let message, let recipient):
            nodes[node.index].sendFailed(message, to: recipient, &context)
        case .command(let command): nodes[node.index].commanded(command, &context)
        case .wake:
            countWake(of: node)
            nodes[node.index].deadlineReached(&context)
        case .arrival(let id, let life):
            let news = accept(id, life: life, at: node)
            nodes[node.index].connectionChanged(news, &context)
        case .news(let news): nodes[node.index].connectionChanged(news, &context)
        }
    }

    private mutating func carryOut(_ act: SimulatedContext.Act, of node: SimulatedNodeID) {
        switch act {
        case .send(let message, let recipient): dispatch(message, from: node, to: recipient)
        case .dial(let id, let place): dial(id, place, from: node)
        case .sendOver(let message, let id): send(message, over: id, from: node)
        case .close(let id): close(id, at: node)
        }
    }

    /// Handles an event whose node is gone.
    private mutating func missed(_ event: Event) {
        switch event.happening {
        case .message(let message, let sender): lose(message, from: sender, to: event.node)
        case .arrival(let id, let life):
            guard slots[id.dialer.index].life == life else { return }
            statistics.dialsFailed += 1
            tell(.dialFailed(id), to: id.dialer, at: later(configuration.link.dialTimeoutMicroseconds))
        default: break
        }
    }

    /// Whether an event of a connection still concerns its node; nothing over one that the node has closed does.
    private mutating func stillConcerns(_ event: Event) -> Bool {
        switch event.happening {
        case .message(let message, _):
            guard let id = message.connection else { return true }
            return connections[id]?.seen(from: event.node).own.isOpen ?? false
        case .failure(let message, _):
            guard let id = message.connection else { return true }
            return connections[id]?.seen(from: event.node).own.isOpen ?? false
        case .news(.closed(let id)): return connections.close(id, at: event.node)
        case .news(.opened(let id, _, _)): return connections[id]?.seen(from: event.node).own.isOpen ?? false
        default: return true
        }
    }

    private mutating func record(_ happening: Happening, of node: SimulatedNodeID) {
        switch happening {
        case .start:
            trace.record(.init(at: now, kind: .started, node: node, other: nil, text: "", byteCount: 0))
        case .message(let message, let sender):
            statistics.delivered += 1
            let count = message.bytes.count
            trace.record(
                .init(
                    at: now, kind: .delivered, node: node, other: sender, text: message.protocolID, byteCount: count),
                bytes: message.bytes)
        case .failure(let message, let recipient):
            statistics.failuresTold += 1
            let count = message.bytes.count
            trace.record(
                .init(
                    at: now, kind: .sendFailed, node: node, other: recipient, text: message.protocolID,
                    byteCount: count))
        case .command:
            trace.record(.init(at: now, kind: .commanded, node: node, other: nil, text: "", byteCount: 0))
        case .wake:
            statistics.deadlines += 1
            trace.record(.init(at: now, kind: .deadline, node: node, other: nil, text: "", byteCount: 0))
        case .arrival(let id, _):
            trace.record(
                .init(at: now, kind: .connection, node: node, other: id.dialer, text: "accepted \(id)", byteCount: 0))
        case .news(let news):
            trace.record(.init(at: now, kind: .connection, node: node, other: nil, text: "\(news)", byteCount: 0))
        }
    }

    // MARK: Connections

    private mutating func dial(_ id: VirtualConnectionID, _ place: Int, from node: SimulatedNodeID) {
        let profile = configuration.link
        let latency = microseconds(in: profile.latencyMicroseconds)
        let isSilent = draw(profile.silentFailurePermille)
        let target = places.firstIndex(of: place)
        let isReachable =
            target.map { slots[$0].group == slots[node.index].group && !slots[$0].isUnplugged && slots[$0].isDialable }
            ?? false
        guard let target, isReachable, slots[target].condition != .crashed else {
            statistics.dialsFailed += 1
            // A machine that is up says that nobody listens; one that is down says nothing.
            let isTold = isReachable && !isSilent
            let wait = isTold ? profile.failureNoticeMicroseconds : profile.dialTimeoutMicroseconds
            return tell(.dialFailed(id), to: node, at: later(wait))
        }
        schedule(.arrival(id, life: slots[node.index].life), for: SimulatedNodeID(target), at: later(latency))
    }

    /// The listener accepts a connection, and its dialer hears of it a moment later.
    private mutating func accept(
        _ id: VirtualConnectionID, life: UInt64, at node: SimulatedNodeID
    ) -> VirtualConnectionNews {
        let opensAt = later(microseconds(in: configuration.link.latencyMicroseconds))
        let dialer = id.dialer.index
        var ends = VirtualConnections.Ends(
            dialer: .init(node: id.dialer, life: life, place: places[dialer], opensAt: opensAt),
            listener: .init(
                node: node, life: slots[node.index].life, place: places[node.index], opensAt: now))
        // The dialer may be gone or out of reach by now: then only one end believes in the connection.
        if slots[dialer].life != life || slots[dialer].group != slots[node.index].group {
            ends.dialer.isOpen = false
            if slots[dialer].life == life {
                tell(.dialFailed(id), to: id.dialer, at: later(configuration.link.dialTimeoutMicroseconds))
            }
        } else {
            tell(.opened(id, to: node, isOutbound: true), to: id.dialer, at: opensAt)
        }
        statistics.connectionsOpened += 1
        connections.add(id, ends)
        return .opened(id, to: id.dialer, isOutbound: false)
    }

    private mutating func send(_ message: SimulatedMessage, over id: VirtualConnectionID, from node: SimulatedNodeID) {
        guard let (own, other) = connections[id]?.seen(from: node), own.isOpen else {
            statistics.sent += 1
            statistics.lost += 1
            return
        }
        let far = other.node.index
        let isReachable =
            own.carries && slots[far].group == slots[node.index].group && !slots[far].isUnplugged
        guard isReachable, slots[far].life == other.life, other.isOpen else {
            statistics.sent += 1
            statistics.lost += 1
            statistics.lostInConnections += 1
            // The machine at the other end, if still up, says that it knows no such connection.
            if isReachable, places[far] == other.place {
                tell(.closed(id), to: node, at: later(configuration.link.failureNoticeMicroseconds))
            } else {
                connections.breaks(id, from: node, at: now)
            }
            return
        }
        dispatch(message, from: node, to: other.node, notBefore: other.opensAt)
    }

    private mutating func close(_ id: VirtualConnectionID, at node: SimulatedNodeID) {
        guard let (own, other) = connections[id]?.seen(from: node), connections.close(id, at: node) else { return }
        guard own.carries, other.isOpen, slots[other.node.index].life == other.life,
            slots[other.node.index].group == slots[node.index].group
        else { return }
        let arrival = later(microseconds(in: configuration.link.latencyMicroseconds))
        tell(.closed(id), to: other.node, at: max(arrival, other.opensAt))
    }

    private mutating func tell(_ news: VirtualConnectionNews, to node: SimulatedNodeID, at time: MonotonicInstant) {
        guard slots[node.index].condition != .crashed else { return }
        schedule(.news(news), for: node, at: time)
    }

    // MARK: Deadlines

    private mutating func scheduleWake(of node: SimulatedNodeID) {
        let wanted = nodes[node.index].nextDeadline.map { max($0, now) }
        guard wanted != slots[node.index].wakeAt else { return }
        slots[node.index].wakeAt = wanted
        slots[node.index].wakeGeneration += 1
        guard let wanted, wanted != .distantFuture else { return }
        schedule(.wake(generation: slots[node.index].wakeGeneration), for: node, at: wanted)
    }

    /// A node whose deadline stays in the past after `deadlineReached` would stop time for everybody.
    private mutating func countWake(of node: SimulatedNodeID) {
        slots[node.index].wakeAt = nil
        let isSame = slots[node.index].lastWake == now
        slots[node.index].wakesAtSameInstant = isSame ? slots[node.index].wakesAtSameInstant + 1 : 0
        slots[node.index].lastWake = now
        precondition(
            slots[node.index].wakesAtSameInstant < 1_000,
            "\(node) wants to be woken for ever at \(now.nanoseconds) ns, seed \(configuration.seed)")
    }

    // MARK: Links

    private mutating func dispatch(
        _ message: SimulatedMessage, from: SimulatedNodeID, to: SimulatedNodeID, notBefore: MonotonicInstant = .zero
    ) {
        statistics.sent += 1
        if message.channel == .control { statistics.controls += 1 }
        let direction = Direction(from: from, to: to)
        let profile = profiles[direction] ?? configuration.link
        let isReachable =
            slots.indices.contains(to.index) && slots[to.index].condition != .crashed
            && slots[to.index].group == slots[from.index].group
        // Always the same draws, so that changing one rate shifts no other choice.
        let isLost = draw(profile.lossPermille)
        let isHeldBack = draw(profile.reorderPermille)
        let isDoubled = draw(profile.duplicationPermille)
        let latency = microseconds(in: profile.latencyMicroseconds)
        let delay = microseconds(in: 0...max(0, profile.reorderMicrosecondsMax))
        guard isReachable, !isLost || message.channel == .control else { return lose(message, from: from, to: to) }
        if isHeldBack { statistics.heldBack += 1 }
        var arrival = max(notBefore, later(latency + (isHeldBack ? delay : 0)))
        switch message.channel {
        case .datagram:
            schedule(.message(message, from: from), for: to, at: arrival)
            if isDoubled {
                statistics.duplicated += 1
                schedule(.message(message, from: from), for: to, at: later(latency + delay))
            }
        case .control, .stream:
            let number = if case .stream(let number) = message.channel { number } else { UInt64.max }
            let key = StreamKey(
                direction: direction, protocolID: message.protocolID, stream: number, connection: message.connection)
            arrival = max(arrival, lastArrivals[key] ?? .zero)
            if lastArrivals.count > 16_384 { lastArrivals = lastArrivals.filter { $0.value > now } }
            lastArrivals[key] = arrival
            schedule(.message(message, from: from), for: to, at: arrival)
        }
    }

    private mutating func lose(_ message: SimulatedMessage, from: SimulatedNodeID, to: SimulatedNodeID) {
        statistics.lost += 1
        guard case .stream = message.channel, slots[from.index].condition != .crashed else { return }
        let profile = profiles[Direction(from: from, to: to)] ?? configuration.link
        if draw(profile.silentFailurePermille) { return }
        schedule(.failure(message, to: to), for: from, at: later(profile.failureNoticeMicroseconds))
    }

    private mutating func draw(_ permille: Int) -> Bool {
        Int(generator.next() % 1_000) < permille
    }

    private mutating func microseconds(in range: ClosedRange<Int64>) -> Int64 {
        let width = UInt64(range.upperBound &- range.lowerBound) &+ 1
        return range.lowerBound + Int64(generator.next() % max(1, width))
    }

    private func later(_ microseconds: Int64) -> MonotonicInstant {
        MonotonicInstant(nanoseconds: now.nanoseconds + max(0, microseconds) * 1_000)
    }
}
