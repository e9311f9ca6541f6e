package import GuestFiles
package import MeshTypes
package import Multiformats

/// How a run ended and what it left behind, for an ExecutionReceipt.
package struct ExecutionResult: Sendable {
    /// Exactly how the run ended.
    package var outcome: ExecutionOutcome

    /// Named outputs in the order in which the guest made them, then what was collected of its files.
    package var outputs: [(name: String, cid: CID)] = []

    /// What the guest read of the job's mounts.
    package var read = ReadRecord()

    /// The block of standard output; `nil` when nothing was written.
    package var standardOutputCID: CID?

    /// The block of standard error; `nil` when nothing was written.
    package var standardErrorCID: CID?

    /// The block of log lines, `level: text` each; `nil` when nothing was logged.
    package var logCID: CID?

    /// Blocks the guest asked to anchor, in order.
    package var anchoredCIDs: [CID] = []

    /// What the run consumed.
    package var usage = ResourceUsage.none

    /// The engine that ran it.
    package var engine: EngineDescription

    /// Whether the module came from a cache or was compiled for this run.
    package var moduleSource: ModuleSource

    /// This node's limit that stopped the compilation; the outcome is then `nodeFailed`.
    package var compileLimit: CompileLimit?

    /// This node's limit that the module's form exceeds; the outcome is then `nodeFailed`.
    package var formLimit: ModuleRefusal?

    /// What came of the calls of the run's session; nil if it had none.
    package var session: SessionRecord?

    /// How often the run was stopped to be looked at; unlike `usage` it differs from run to run.
    package var interruptions = Interruptions()

    /// A result of a run that never started.
    init(outcome: ExecutionOutcome, engine: EngineDescription, moduleSource: ModuleSource = .none) {
        self.outcome = outcome
        self.engine = engine
        self.moduleSource = moduleSource
    }

    /// Where the machine code of a run came from.
    package enum ModuleSource: String, Sendable {
        /// The run was refused before it had any.
        case none
        /// Compiled for this run.
        case compiled
        /// Loaded from the cache on disk.
        case disk
        /// Already loaded.
        case memory
    }

    /// How often a run was stopped to look at its deadline and cancellation.
    package struct Interruptions: Sendable, Hashable {
        /// All of them.
        package var count: UInt64 = 0

        /// Those between a cancellation and the end of the run: at most one, unless something is wrong.
        package var afterCancel: UInt64 = 0
    }
}
