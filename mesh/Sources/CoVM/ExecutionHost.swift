import Multiformats

/// What a running job reaches of its node: blocks in, blocks out, and two ways to tell how it goes.
///
/// All functions are called from the job's own thread, one at a time, and may block for as long as a disk does. They
/// must not wait for the network: a node fetches the inputs of a job before it runs it.
public protocol ExecutionHost: Sendable {
    /// The bytes of an input block; `nil` ends the run with `fetchFailed`.
    func readInput(_ cid: CID) -> [UInt8]?

    /// Stores a block and returns its CID, which must depend on nothing but the bytes; `nil` ends the run with
    /// `nodeFailed`.
    func storeBlock(_ bytes: [UInt8]) -> CID?

    /// A log line of the guest, as it comes. The text is bounded and may hold control characters.
    func log(_ level: ExecutionLogLevel, _ text: String)

    /// How much of its work the guest says it has done, in thousandths; only ever grows.
    func progress(permille: Int)
}

/// The level of a guest's log line.
public enum ExecutionLogLevel: Int32, Sendable, CaseIterable, CustomStringConvertible {
    /// For the author of the guest.
    case debug = 0
    /// For the user of the job.
    case info = 1
    /// Something that may need attention.
    case warning = 2
    /// Something that went wrong.
    case error = 3

    /// The level as it stands in the log block.
    public var description: String {
        switch self {
        case .debug: "debug"
        case .info: "info"
        case .warning: "warning"
        case .error: "error"
        }
    }
}
