import MeshTypes

/// Who wants to know at once that something happened to a job of this node, and looks for themselves what it is.
///
/// Everybody who listens leaves again, so there are as many as those who wait.
struct JobBells {
    private var listeners: [JobID: [UInt64: AsyncStream<Void>.Continuation]] = [:]
    private var nextNumber: UInt64 = 0

    /// How many listen.
    var count: Int { listeners.values.reduce(0) { $0 + $1.count } }

    /// Rings once at once, and then after everything that happens to the job; rings that nobody heard yet are one.
    mutating func listen(to job: JobID) -> (number: UInt64, rings: AsyncStream<Void>) {
        let (rings, ring) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
        ring.yield()
        nextNumber += 1
        listeners[job, default: [:]][nextNumber] = ring
        return (nextNumber, rings)
    }

    /// Something happened to a job.
    func ring(_ job: JobID) {
        for ring in (listeners[job] ?? [:]).values { ring.yield() }
    }

    /// Somebody listens no longer.
    mutating func leave(_ number: UInt64, of job: JobID) {
        listeners[job]?.removeValue(forKey: number)?.finish()
        if listeners[job]?.isEmpty == true { listeners[job] = nil }
    }
}
