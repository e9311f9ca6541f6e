package import Multiformats

/// What a running job can reach of its node: blocks in, blocks out, and two ways to report.
///
/// The job's own thread calls all functions, one at a time. They may block as long as a disk does, but must not wait
/// for the network: a node fetches a job's inputs before it runs it.
package protocol ExecutionHost: Sendable {
    /// The bytes of an input block; `nil` ends the run with `fetchFailed`.
    func readInput(_ cid: CID) -> [UInt8]?

    /// Stores a block and returns its CID, which must depend only on the bytes; `nil` ends the run with `nodeFailed`.
    func storeBlock(_ bytes: [UInt8]) -> CID?

    /// A log line of the guest, as it comes. The text is bounded and may contain control characters.
    func log(_ level: ExecutionLogLevel, _ text: String)

    /// How much of its work the guest says it has done, in thousandths; never shrinks.
    func progress(permille: Int)

    /// How much fuel the guest has used at least, at each yield; never shrinks.
    func burnt(fuel: UInt64)
}

/// The level of a guest's log line.
package enum ExecutionLogLevel: Int32, Sendable, CaseIterable, CustomStringConvertible {
    /// For the author of the guest.
    case debug = 0
    /// For the user of the job.
    case info = 1
    /// Something that may need attention.
    case warning = 2
    /// Something that went wrong.
    case error = 3

    /// The level as the log block names it.
    package var description: String {
        switch self {
        case .debug: "debug"
        case .info: "info"
        case .warning: "warning"
        case .error: "error"
        }
    }
}
