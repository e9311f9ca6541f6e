package import GuestFiles
package import Multiformats

/// What a running job can reach of its node: blocks in, blocks out, files in, and ways to report.
///
/// The job's own thread calls all functions, one at a time. They may block as long as a disk does, but must not wait
/// for the network: a node fetches a job's inputs before it runs it, and what its mounts hold while it runs, where
/// `fetch` says so.
package protocol ExecutionHost: Sendable {
    /// The bytes of an input block; `nil` ends the run with `fetchFailed`.
    func readInput(_ cid: CID) -> [UInt8]?

    /// Stores a block and returns its CID, which must depend only on the bytes; `nil` ends the run with `nodeFailed`.
    func storeBlock(_ bytes: [UInt8]) -> CID?

    /// Stores a block of a file or folder that was collected, under its CID; `false` ends the run with `nodeFailed`.
    func storeBlock(_ cid: CID, _ bytes: [UInt8]) -> Bool

    /// What is here of the job's mounts.
    var content: any MountSource { get }

    /// Begins to fetch content of mounts and returns at once. `finished` is called from any thread, at most once is
    /// heard, and need not be called once the run is cancelled.
    func fetch(_ wants: [ContentWant], _ finished: @escaping @Sendable (ContentFetch) -> Void)

    /// The run waits longer than a moment for its mounts and has given its place away (`true`), or has it again.
    func waits(_ isWaiting: Bool)

    /// What the run talks to its user by; nil if it does not.
    var session: (any GuestSession)? { get }

    /// What a guest without a session writes, some milliseconds of it at once and of a short run nothing; must not
    /// wait. What it wrote in all is among the blocks.
    func wrote(_ parts: [OutputPart])

    /// A log line of the guest, as it comes. The text is bounded and may contain control characters.
    func log(_ level: ExecutionLogLevel, _ text: String)

    /// How much of its work the guest says it has done, in thousandths; never shrinks.
    func progress(permille: Int)

    /// How much fuel the guest has used at least, at each yield; never shrinks.
    func burnt(fuel: UInt64)
}

// For a host whose jobs have no files.
extension ExecutionHost {
    package var content: any MountSource { NoMounts() }

    package func fetch(_ wants: [ContentWant], _ finished: @escaping @Sendable (ContentFetch) -> Void) {
        finished(.failed(reason: "this node fetches no files"))
    }

    package func waits(_ isWaiting: Bool) {}

    package var session: (any GuestSession)? { nil }

    package func wrote(_ parts: [OutputPart]) {}

    package func storeBlock(_ cid: CID, _ bytes: [UInt8]) -> Bool { false }
}

/// How fetching content of mounts ended.
package enum ContentFetch: Hashable, Sendable {
    /// It is here: to be asked for again.
    case here
    /// It cannot be had.
    case failed(reason: String)
}

private struct NoMounts: MountSource {
    func node(_ cid: CID) -> SourceAnswer<MountedNode> { .notHere }
    func listing(_ cid: CID) -> SourceAnswer<[MountedEntry]> { .notHere }
    func bytes(_ cid: CID, _ range: Range<UInt64>) -> SourceAnswer<[UInt8]> { .notHere }
    func block(_ cid: CID) -> SourceAnswer<[UInt8]> { .notHere }
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
