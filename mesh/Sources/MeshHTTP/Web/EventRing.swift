import NodeAPI
import Synchronization

/// The newest changes of a node with numbers, so that a reader that was away goes on where it stopped: a value.
struct EventRing: Sendable {
    /// The ID of a change: a number after the name of this ring, which no other start of a node has.
    struct ID: Hashable, Sendable {
        let ring: String
        let number: UInt64

        var text: String { "\(ring)-\(number)" }

        /// The ID in a text; nil if it is none.
        init?(_ text: String) {
            let parts = text.split(separator: "-", omittingEmptySubsequences: false)
            guard parts.count == 2, let number = UInt64(parts[1]) else { return nil }
            self.init(ring: String(parts[0]), number: number)
        }

        init(ring: String, number: UInt64) {
            self.ring = ring
            self.number = number
        }
    }

    private let name: String
    private let countMax: Int
    /// BOUNDED: by `countMax`.
    private var changes: [NodeChange] = []
    /// The number of the newest change.
    private var last: UInt64 = 0

    init(name: String, countMax: Int) {
        self.name = name
        self.countMax = countMax
    }

    /// The ID of the newest change.
    var newest: ID { ID(ring: name, number: last) }

    mutating func add(_ change: NodeChange) {
        if changes.count >= countMax { changes.removeFirst(max(1, countMax / 4)) }
        changes.append(change)
        last += 1
    }

    /// Forgets everything, since something was missed: every reader has to look at all again.
    mutating func forget() {
        changes = []
        last += 1
    }

    /// What came behind an ID; nil if the ring has not all of it.
    func changes(after id: ID) -> [(id: ID, change: NodeChange)]? {
        guard id.ring == name, id.number <= last, last - id.number <= UInt64(changes.count) else { return nil }
        let missed = changes.suffix(Int(last - id.number))
        return zip((id.number + 1)..., missed).map { (ID(ring: name, number: $0), $1) }
    }
}

/// Follows a node's changes, and gives them to those who read them over HTTP.
final class EventDesk: Sendable {
    private struct State {
        var ring: EventRing
        /// BOUNDED: by `eventReadersMax`.
        var bells: [UInt64: AsyncStream<Void>.Continuation] = [:]
        var nextID: UInt64 = 0
        var isClosed = false
    }

    private let limits: MeshHTTPLimits
    private let state: Mutex<State>

    init(limits: MeshHTTPLimits) {
        self.limits = limits
        let name = String(APISecret.random().text.prefix(16))
        state = Mutex(State(ring: EventRing(name: name, countMax: limits.eventsKeptMax)))
    }

    /// The ID of the newest change.
    var newest: EventRing.ID { state.withLock { $0.ring.newest } }

    /// What came behind an ID; nil if not all of it is kept.
    func changes(after id: EventRing.ID) -> [(id: EventRing.ID, change: NodeChange)]? {
        state.withLock { $0.ring.changes(after: id) }
    }

    /// Rings when something came, and now and then; ends with the desk.
    func bell() throws(NodeServiceError) -> AsyncStream<Void> {
        // What rang is all that a reader has to know.
        let (bell, ring) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
        let id: UInt64? = state.withLock { state in
            guard state.bells.count < limits.eventReadersMax, !state.isClosed else { return nil }
            state.nextID += 1
            state.bells[state.nextID] = ring
            return state.nextID
        }
        guard let id else {
            throw NodeServiceError(
                .overloaded, "\(limits.eventReadersMax) readers follow this node's events already.",
                hint: "Close one of them.")
        }
        ring.onTermination = { [weak self] _ in _ = self?.state.withLock { $0.bells.removeValue(forKey: id) } }
        ring.yield()
        return bell
    }

    /// Follows a node's changes until the task is cancelled or the node ends.
    func follow(_ source: any ChangeSource) async {
        await withTaskGroup(of: Void.self) { group in
            group.addTask { [self] in while await followOnce(source), !Task.isCancelled {} }
            group.addTask { [self] in
                while (try? await Task.sleep(for: .seconds(limits.eventBeatSeconds))) != nil { ring() }
            }
            await group.next()
            group.cancelAll()
        }
        close()
    }

    /// Follows until the stream ends: this desk was too slow, or the node ends. False where there is none.
    private func followOnce(_ source: any ChangeSource) async -> Bool {
        guard let changes = try? await source.changes() else { return false }
        for await change in changes {
            state.withLock { $0.ring.add(change) }
            ring()
        }
        state.withLock { $0.ring.forget() }
        ring()
        return true
    }

    /// Ends all readers.
    func close() {
        let bells = state.withLock { state in
            state.isClosed = true
            return Array(state.bells.values)
        }
        for bell in bells { bell.finish() }
    }

    private func ring() {
        let bells = state.withLock { Array($0.bells.values) }
        for bell in bells { bell.yield() }
    }
}
