/// A date: whole milliseconds since the Unix epoch, the only form of date in signed objects (PROTOCOL.md, "Encodings").
///
/// Arithmetic saturates, so a duration that a peer chose cannot trap. Code compares dates of other machines only with
/// an allowance for skew; this process's deadlines use monotonic time.
package struct UnixMilliseconds: Hashable, Comparable, Sendable, Codable, CustomStringConvertible {
    /// Milliseconds since 1970-01-01T00:00:00Z.
    package var value: UInt64

    /// The Unix epoch itself.
    package static let epoch = UnixMilliseconds(0)

    /// A date from milliseconds since the Unix epoch.
    package init(_ value: UInt64) {
        self.value = value
    }

    /// Reads a bare unsigned integer.
    package init(from decoder: any Decoder) throws {
        value = try decoder.singleValueContainer().decode(UInt64.self)
    }

    /// Writes a bare unsigned integer.
    package func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(value)
    }

    /// This date moved into the future; saturates at the largest date.
    package func advanced(milliseconds: UInt64) -> UnixMilliseconds {
        let (sum, overflow) = value.addingReportingOverflow(milliseconds)
        return UnixMilliseconds(overflow ? .max : sum)
    }

    /// Milliseconds from `earlier` to this date; zero if this date is not later.
    package func milliseconds(since earlier: UnixMilliseconds) -> UInt64 {
        value > earlier.value ? value - earlier.value : 0
    }

    /// The number as text.
    package var description: String { String(value) }

    package static func < (left: UnixMilliseconds, right: UnixMilliseconds) -> Bool {
        left.value < right.value
    }
}
