package import IPLD

/// How a run of a module ended: the exit code, the trap, or the one limit that stopped it.
///
/// The receipt carries it (PROTOCOL.md, "ExecutionReceipt"), so an auditor can tell a user's error from a limit, and
/// both from a failure of the node. On the wire it is a keyed map with one entry: `{"exited": {"code": 0}}`,
/// `{"limit_exceeded": {"limit": "fuel"}}`, `{"cancelled": {}}`.
package enum ExecutionOutcome: Hashable, Sendable, Codable {
    /// The entry function returned, or the module called `proc_exit`; zero means success.
    case exited(code: Int32)
    /// The module trapped by itself: the user's error, never retried.
    case trapped(kind: TrapKind, message: String)
    /// A limit of its job stopped the module: the user's error, never retried.
    case limitExceeded(ExecutionLimit)
    /// The originator or the node's owner asked the run to stop.
    case cancelled
    /// The module was refused before it ran: not a module, unknown imports, no entry point, compile limits.
    case moduleRefused(reason: String)
    /// What the job mounts is no files that can be mounted, or what it collects cannot be written: found before the run
    /// or when the module came to it. The user's error, never retried. Only a job with files can end so.
    case filesRefused(reason: String)
    /// A block that the job names was not available in time: the node's error, retried elsewhere.
    case fetchFailed(reason: String)
    /// The executor itself failed, for example by a restart in mid-run: the node's error, retried elsewhere.
    case nodeFailed(reason: String)

    enum CodingKeys: String, CodingKey {
        case exited
        case trapped
        case limitExceeded = "limit_exceeded"
        case cancelled
        case moduleRefused = "module_refused"
        case filesRefused = "files_refused"
        case fetchFailed = "fetch_failed"
        case nodeFailed = "node_failed"
    }

    enum LimitExceededCodingKeys: String, CodingKey {
        case _0 = "limit"
    }
}

extension ExecutionOutcome: DAGCBORReadable {
    /// Reads the plain form only (`DAGCBORReadable`).
    package init(plain node: DAGCBORNode) throws(NotPlain) {
        var fields = try DAGCBORReader(node)
        var exited = try DAGCBORReader(try fields.node("exited"))
        guard let code = Int32(exactly: try exited.unsigned("code")) else { throw NotPlain() }
        try exited.end()
        try fields.end()
        self = .exited(code: code)
    }
}

/// The kinds of trap that a module can raise by itself, named as in the WebAssembly specification.
package enum TrapKind: String, Hashable, Sendable, Codable, CaseIterable {
    /// The `unreachable` instruction was executed.
    case unreachable
    /// A load, store or bulk operation outside the linear memory.
    case memoryOutOfBounds = "memory_out_of_bounds"
    /// A table access outside the table.
    case tableOutOfBounds = "table_out_of_bounds"
    /// An indirect call through a null or of another signature.
    case badIndirectCall = "bad_indirect_call"
    /// Integer division by zero, overflow, or a conversion that has no result.
    case arithmetic
    /// The module violated the contract of a host function (MeshHostABI).
    case hostCall = "host_call"
    /// Any other trap of the engine.
    case other
}

/// The limits of a job, each with an outcome of its own.
package enum ExecutionLimit: String, Hashable, Sendable, Codable, CaseIterable {
    /// `max_fuel` was used up.
    case fuel
    /// The initial memory, or growth that the module could not do without, exceeded `max_memory_bytes`.
    case memory
    /// More table elements than the node allows.
    case table
    /// The call stack was exhausted.
    case stack
    /// `max_output_bytes` over standard output, standard error, log and named outputs together.
    case output
    /// `timeout_seconds` of wall clock.
    case wallClock = "wall_clock"
    /// An interactive job waited longer than its session allows, at once or in all.
    case idle
}
