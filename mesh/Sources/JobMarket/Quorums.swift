import MeshTypes

/// Which jobs of this node do one work: those that their users know, each with its replicas.
///
/// It follows from the journals of the jobs. A replica whose job is forgotten, or was closed before a start, is
/// missing; then the others decide without it.
struct Quorums: Sendable {
    private var groups: [JobID: [JobID]] = [:]
    private var parents: [JobID: JobID] = [:]

    /// Notes that a job is a replica of another.
    mutating func insert(_ replica: JobID, of parent: JobID) {
        guard parents.updateValue(parent, forKey: replica) == nil else { return }
        groups[parent, default: []].append(replica)
    }

    mutating func remove(_ job: JobID) {
        if let parent = parents.removeValue(forKey: job) {
            groups[parent]?.removeAll { $0 == job }
            if groups[parent]?.isEmpty ?? false { groups[parent] = nil }
        }
    }

    /// The job that the user knows, of which this is a replica, or is itself.
    func parent(of job: JobID) -> JobID { parents[job] ?? job }

    /// Whether it is another job's replica.
    func isReplica(_ job: JobID) -> Bool { parents[job] != nil }

    /// The replicas of a job.
    func replicas(of parent: JobID) -> [JobID] { groups[parent] ?? [] }

    /// All that do the work of a job: the one that the user knows, and its replicas.
    func members(with job: JobID) -> [JobID] {
        let parent = parent(of: job)
        return [parent] + replicas(of: parent)
    }
}
