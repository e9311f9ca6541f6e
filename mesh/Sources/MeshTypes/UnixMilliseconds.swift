/// A date: whole milliseconds since the Unix epoch, the only form of date in signed objects (PROTOCOL.md, "Encodings").
///
/// Arithmetic saturates, so a duration that a peer chose cannot trap. Code compares dates of other machines only with
/// an allowance for skew; this process's deadlines use monotonic time.
public struct UnixMilliseconds: Hashable, Comparable, Sendable, Codable, CustomStringConvertible {
    /// Milliseconds since 1970-01-01T00:00:00Z.
    public var value: UInt64

    /// The Unix epoch itself.
    public static let epoch = UnixMilliseconds(0)

    /// A date from milliseconds since the Unix epoch.
    public init(_ value: UInt64) {
        self.value = value
    }

    /// Reads a bare unsigned integer.
    public init(from decoder: any Decoder) throws {
        value = try decoder.singleValueContainer().decode(UInt64.self)
    }

    /// Writes a bare unsigned integer.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(value)
    }

    /// This date moved into the future; saturates at the largest date.
    public func advanced(milliseconds: UInt64) -> UnixMilliseconds {
        let (sum, overflow) = value.addingReportingOverflow(milliseconds)
        return UnixMilliseconds(overflow ? .max : sum)
    }

    /// Milliseconds from `earlier` to this date; zero if this date is not later.
    public func milliseconds(since earlier: UnixMilliseconds) -> UInt64 {
        value > earlier.value ? value - earlier.value : 0
    }

    /// The number as text.
    public var description: String { String(value) }

    public static func < (left: UnixMilliseconds, right: UnixMilliseconds) -> Bool {
        left.value < right.value
    }
}
