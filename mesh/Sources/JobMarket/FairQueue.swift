import DequeModule
import MeshTypes
import OrderedCollections

/// Waiting jobs, fair between owners: owners take turns, and each owner's jobs come first in, first out.
struct FairQueue<Owner: Hashable & Sendable>: Sendable {
    private var lanes: OrderedDictionary<Owner, Deque<JobID>> = [:]

    /// The number of jobs that wait.
    private(set) var count = 0

    /// The owners of waiting jobs, in the order of their turns.
    var owners: OrderedSet<Owner> { lanes.keys }

    mutating func append(_ job: JobID, of owner: Owner) {
        lanes[owner, default: []].append(job)
        count += 1
    }

    /// Removes an owner's first job; the owner's next turn comes after everybody else's.
    mutating func take(of owner: Owner) -> JobID? {
        guard var lane = lanes.removeValue(forKey: owner), let job = lane.popFirst() else { return nil }
        if !lane.isEmpty { lanes[owner] = lane }
        count -= 1
        return job
    }

    /// Removes a job that no longer waits; `false` if it did not wait.
    @discardableResult
    mutating func remove(_ job: JobID, of owner: Owner) -> Bool {
        guard let index = lanes[owner]?.firstIndex(of: job) else { return false }
        lanes[owner]?.remove(at: index)
        if lanes[owner]?.isEmpty ?? false { lanes[owner] = nil }
        count -= 1
        return true
    }
}
