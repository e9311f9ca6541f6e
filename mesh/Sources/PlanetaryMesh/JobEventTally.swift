import JobMarket
import NodeAPI

/// How often each kind of event went into the journals of jobs since the node's start, on either side.
struct JobEventTally {
    private struct Key: Hashable {
        let role: JobRole
        let event: String
    }

    /// BOUNDED: by the kinds of events, whose names are the program's own.
    private var tally: [Key: UInt64] = [:]

    /// Counts events.
    mutating func count(_ events: [JobEvent]) {
        for event in events { tally[Key(role: event.role, event: event.kindName), default: 0] += 1 }
    }

    /// All counts that are not zero, by their names.
    var counts: [NodeStatus.EventCount] {
        tally.map { NodeStatus.EventCount(side: $0.key.role.rawValue, event: $0.key.event, count: $0.value) }
            .sorted { ($0.side, $0.event) < ($1.side, $1.event) }
    }
}
