/// The four limits that every job carries (PROTOCOL.md, "Job parameters"); the executor adds its own for table and
/// stack.
package struct ExecutionLimits: Hashable, Sendable {
    /// Wall clock of the run, in seconds.
    package var timeoutSeconds: UInt64
    /// Fuel of the engine.
    package var maxFuel: UInt64
    /// Linear memories together, in bytes.
    package var maxMemoryBytes: UInt64
    /// Standard output, standard error, log and named outputs together, in bytes.
    package var maxOutputBytes: UInt64

    package init(timeoutSeconds: UInt64, maxFuel: UInt64, maxMemoryBytes: UInt64, maxOutputBytes: UInt64) {
        self.timeoutSeconds = timeoutSeconds
        self.maxFuel = maxFuel
        self.maxMemoryBytes = maxMemoryBytes
        self.maxOutputBytes = maxOutputBytes
    }

    /// A client's defaults: 30 s, 10^10 fuel, 256 MiB, 16 MiB.
    package static let standard = ExecutionLimits(
        timeoutSeconds: 30, maxFuel: 10_000_000_000, maxMemoryBytes: 256 << 20, maxOutputBytes: 16 << 20)
}
