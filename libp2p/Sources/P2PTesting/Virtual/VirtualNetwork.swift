public import Determinism
import HeapModule

/// A network of nodes in one value: virtual clock, virtual links, one seed.
///
/// Events are handled in the order of (time, sequence number), so the same seed, nodes and commands give the same run
/// to the byte; `trace.hexadecimal` says so. Links lose, double, delay and reorder messages by their `LinkProfile`;
/// nodes can be partitioned, paused, crashed and restarted. Time jumps from event to event: an hour costs what its
/// events cost.
public struct VirtualNetwork<Node: SimulatedNode>: Sendable {
    private enum Happening: Sendable {
        case start
        case message(SimulatedMessage, from: SimulatedNodeID)
        case failure(SimulatedMessage, to: SimulatedNodeID)
        case command(Node.Command)
        case wake(generation: UInt64)
    }

    private struct Event: Comparable, Sendable {
        let at: MonotonicInstant
        let sequence: UInt64
        let node: SimulatedNodeID
        /// Events for an earlier life of a node that crashed do not reach the later one.
        let life: UInt64
        let happening: Happening

        static func == (left: Event, right: Event) -> Bool { left.sequence == right.sequence }
        static func < (left: Event, right: Event) -> Bool {
            (left.at, left.sequence) < (right.at, right.sequence)
        }
    }

    private enum Condition: Sendable { case running, paused, crashed }

    private struct Slot: Sendable {
        var node: Node
        var generator: SeededGenerator
        var condition = Condition.running
        var life: UInt64 = 0
        var group = 0
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

    private var slots: [Slot] = []
    private var events = Heap<Event>()
    private var sequence: UInt64 = 0
    private var generator: SeededGenerator
    private var profiles: [Direction: LinkProfile] = [:]
    private var lastArrivals: [StreamKey: MonotonicInstant] = [:]

    /// An empty network at time zero.
    public init(_ configuration: VirtualNetworkConfiguration) {
        self.configuration = configuration
        generator = SeededGenerator(seed: configuration.seed)
    }

    // MARK: Nodes

    /// Adds a node; it is started as the next event of this instant.
    @discardableResult
    public mutating func add(_ node: Node) -> SimulatedNodeID {
        let id = SimulatedNodeID(slots.count)
        slots.append(Slot(node: node, generator: SeededGenerator(seed: generator.next())))
        schedule(.start, for: id, at: now)
        return id
    }

    /// All nodes, in the order of joining.
    public var nodeIDs: [SimulatedNodeID] { slots.indices.map { SimulatedNodeID($0) } }

    /// How many nodes there are.
    public var count: Int { slots.count }

    /// A node as it is now, also while it is paused or crashed.
    public subscript(id: SimulatedNodeID) -> Node { slots[id.index].node }

    /// Tells a node to do something, now or later. A crashed node does not hear it.
    public mutating func command(_ command: Node.Command, to node: SimulatedNodeID, at time: MonotonicInstant? = nil) {
        schedule(.command(command), for: node, at: max(now, time ?? now))
    }

    // MARK: Faults

    /// Sets what the link from one node to another does; the other direction keeps its profile.
    public mutating func setLink(from: SimulatedNodeID, to: SimulatedNodeID, _ profile: LinkProfile) {
        profiles[Direction(from: from, to: to)] = profile
    }

    /// Splits the network: only nodes of the same group reach each other; nodes in no group form one of their own.
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

    /// Lets a paused node go on; what waited arrives now, in order.
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

    /// Kills a node: nothing reaches it and it does nothing; what is on its way to it is lost.
    public mutating func crash(_ node: SimulatedNodeID) {
        slots[node.index].condition = .crashed
        slots[node.index].life += 1
        slots[node.index].held = []
        recordChange("crash", node)
    }

    /// Starts a crashed node again, with the value that `recover` makes of what it was when it crashed: all of it, or
    /// only what it had made durable.
    public mutating func restart(_ node: SimulatedNodeID, recover: (Node) -> Node) {
        slots[node.index].node = recover(slots[node.index].node)
        slots[node.index].condition = .running
        slots[node.index].life += 1
        slots[node.index].wakeAt = nil
        recordChange("restart", node)
        schedule(.start, for: node, at: now)
    }

    /// Whether a node is neither paused nor crashed.
    public func isRunning(_ node: SimulatedNodeID) -> Bool { slots[node.index].condition == .running }

    private mutating func recordChange(_ text: String, _ node: SimulatedNodeID) {
        trace.record(.init(at: now, kind: .changed, node: node, other: nil, text: text, byteCount: 0))
    }

    // MARK: Time

    /// The time of the next event; `nil` when nothing will ever happen again.
    public var nextEventAt: MonotonicInstant? { events.min?.at }

    /// Handles the next event; `false` when there is none.
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

    /// Handles events until `isDone`, which is asked after each, or until `end`: whether it was done.
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

    private mutating func handle(_ event: Event) {
        let node = event.node
        let slot = slots[node.index]
        if case .wake(let generation) = event.happening {
            guard slot.condition == .running, slot.life == event.life, slot.wakeGeneration == generation else { return }
        }
        guard slot.condition != .crashed, slot.life == event.life else {
            if case .message(let message, let sender) = event.happening { lose(message, from: sender, to: node) }
            return
        }
        if slot.condition == .paused {
            slots[node.index].held.append(event.happening)
            return
        }
        statistics.events += 1
        var context = SimulatedContext(
            node: node, now: now,
            wallClockMilliseconds: configuration.wallClockStartMilliseconds
                &+ UInt64(max(0, now.nanoseconds / 1_000_000)),
            generator: slot.generator)
        record(event.happening, of: node)
        switch event.happening {
        case .start: slots[node.index].node.started(&context)
        case .message(let message, let sender): slots[node.index].node.received(message, from: sender, &context)
        case .failure(let message, let recipient):
            slots[node.index].node.sendFailed(message, to: recipient, &context)
        case .command(let command): slots[node.index].node.commanded(command, &context)
        case .wake:
            countWake(of: node)
            slots[node.index].node.deadlineReached(&context)
        }
        slots[node.index].generator = context.generator
        for fact in context.notes {
            trace.record(.init(at: now, kind: .note, node: node, other: nil, text: fact, byteCount: 0))
            notes.append((now, node, fact))
        }
        for (recipient, message) in context.sends { dispatch(message, from: node, to: recipient) }
        scheduleWake(of: node)
        if configuration.checksInvariants { slots[node.index].node.checkInvariants() }
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
        }
    }

    // MARK: Deadlines

    private mutating func scheduleWake(of node: SimulatedNodeID) {
        let wanted = slots[node.index].node.nextDeadline.map { max($0, now) }
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

    private mutating func dispatch(_ message: SimulatedMessage, from: SimulatedNodeID, to: SimulatedNodeID) {
        statistics.sent += 1
        let direction = Direction(from: from, to: to)
        let profile = profiles[direction] ?? configuration.link
        let isReachable =
            slots.indices.contains(to.index) && slots[to.index].condition != .crashed
            && slots[to.index].group == slots[from.index].group
        // Always the same draws, so that a change of one rate shifts no other choice.
        let isLost = draw(profile.lossPermille)
        let isHeldBack = draw(profile.reorderPermille)
        let isDoubled = draw(profile.duplicationPermille)
        let latency = microseconds(in: profile.latencyMicroseconds)
        let delay = microseconds(in: 0...max(0, profile.reorderMicrosecondsMax))
        guard isReachable, !isLost else { return lose(message, from: from, to: to) }
        if isHeldBack { statistics.heldBack += 1 }
        var arrival = later(latency + (isHeldBack ? delay : 0))
        switch message.channel {
        case .datagram:
            schedule(.message(message, from: from), for: to, at: arrival)
            if isDoubled {
                statistics.duplicated += 1
                schedule(.message(message, from: from), for: to, at: later(latency + delay))
            }
        case .stream(let number):
            let key = StreamKey(direction: direction, protocolID: message.protocolID, stream: number)
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
