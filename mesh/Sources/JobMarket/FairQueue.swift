import DequeModule
import MeshTypes
import OrderedCollections

/// Jobs that wait, shared out by their owners: each owner has a turn, and of its jobs the first comes first.
struct FairQueue<Owner: Hashable & Sendable>: Sendable {
    private var lanes: OrderedDictionary<Owner, Deque<JobID>> = [:]

    /// The number of jobs that wait.
    private(set) var count = 0

    /// Whose jobs wait, in the order of their turns.
    var owners: OrderedSet<Owner> { lanes.keys }

    mutating func append(_ job: JobID, of owner: Owner) {
        lanes[owner, default: []].append(job)
        count += 1
    }

    /// Takes the first job of an owner out, whose next turn comes after everybody else's.
    mutating func take(of owner: Owner) -> JobID? {
        guard var lane = lanes.removeValue(forKey: owner), let job = lane.popFirst() else { return nil }
        if !lane.isEmpty { lanes[owner] = lane }
        count -= 1
        return job
    }

    /// Takes a job out that waits no longer; `false` when it did not wait.
    @discardableResult
    mutating func remove(_ job: JobID, of owner: Owner) -> Bool {
        guard let index = lanes[owner]?.firstIndex(of: job) else { return false }
        lanes[owner]?.remove(at: index)
        if lanes[owner]?.isEmpty ?? false { lanes[owner] = nil }
        count -= 1
        return true
    }
}
