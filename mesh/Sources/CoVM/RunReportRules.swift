import MeshTypes

/// What the process of a run may tell of its end: no more than a run in the node itself could have. A report beyond it
/// would go into a receipt that others refuse, or into sums that do not hold it.
extension RunReport {
    /// Bytes of the words of an outcome; the engine's are cut far shorter.
    static let reasonBytesMax = 16 << 10
    /// Host functions that were called, by name.
    static let hostCallsMax = 128
    /// Bytes of the name of a host function.
    static let hostCallNameBytesMax = 64

    /// Whether a run of this job can have ended so, in this time.
    func isPossible(_ job: ExecutionJob, within milliseconds: UInt64) -> Bool {
        isOutcomePossible && isUsagePossible(job, within: milliseconds) && areOutputsPossible(job)
    }

    private var isOutcomePossible: Bool {
        switch outcome {
        case .exited, .limitExceeded, .cancelled: true
        case .trapped(_, let words), .moduleRefused(let words), .filesRefused(let words), .fetchFailed(let words),
            .nodeFailed(let words):
            words.utf8.count <= Self.reasonBytesMax
        }
    }

    private func isUsagePossible(_ job: ExecutionJob, within milliseconds: UInt64) -> Bool {
        usage.fuel <= job.engineFuelMax && usage.peakMemoryBytes <= job.limits.maxMemoryBytes
            && usage.bytesWritten <= job.limits.maxOutputBytes && usage.wallMilliseconds <= milliseconds
            && usage.hostCalls.count <= Self.hostCallsMax
            && !usage.hostCalls.contains { $0.key.utf8.count > Self.hostCallNameBytesMax }
    }

    private func areOutputsPossible(_ job: ExecutionJob) -> Bool {
        guard outputs.count <= MeshHostABI.outputsMax, anchored.count <= MeshHostABI.anchorsMax,
            Set(outputs.map(\.name)).count == outputs.count
        else { return false }
        return outputs.allSatisfy { MeshHostABI.isOutputName($0.name) || job.collects($0.name) }
    }
}

extension ExecutionJob {
    /// Whether files are collected under this name, which its originator chose.
    fileprivate func collects(_ name: String) -> Bool { collect.contains { $0.name == name } }
}
