/// What a run used, as the executor metered it; fuel decides the price, and a replay must reproduce it.
package struct ResourceUsage: Hashable, Sendable, Codable {
    /// Fuel consumed.
    package var fuel: UInt64
    /// The highest sum of linear memories, in bytes.
    package var peakMemoryBytes: UInt64
    /// Calls of host functions by name.
    package var hostCalls: CanonicalMap<UInt64>
    /// Bytes the module read from inputs.
    package var bytesRead: UInt64
    /// Bytes the module wrote to outputs.
    package var bytesWritten: UInt64
    /// Wall clock of the run, in milliseconds; not reproducible, so a replay never compares it.
    package var wallMilliseconds: UInt64

    /// Nothing used.
    package static let none = ResourceUsage()

    package init(
        fuel: UInt64 = 0, peakMemoryBytes: UInt64 = 0, hostCalls: CanonicalMap<UInt64> = [:], bytesRead: UInt64 = 0,
        bytesWritten: UInt64 = 0, wallMilliseconds: UInt64 = 0
    ) {
        self.fuel = fuel
        self.peakMemoryBytes = peakMemoryBytes
        self.hostCalls = hostCalls
        self.bytesRead = bytesRead
        self.bytesWritten = bytesWritten
        self.wallMilliseconds = wallMilliseconds
    }

    enum CodingKeys: String, CodingKey {
        case fuel
        case peakMemoryBytes = "peak_memory_bytes"
        case hostCalls = "host_calls"
        case bytesRead = "bytes_read"
        case bytesWritten = "bytes_written"
        case wallMilliseconds = "wall_ms"
    }
}
