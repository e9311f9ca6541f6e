import Foundation

/// How long one operation took, over many samples: median and percentiles, never a mean alone.
struct Measurement: Codable {
    let name: String
    /// Operations that were timed.
    let operations: Int
    /// Bytes that one operation handles; nil where there is no meaning to it.
    let bytes: Int?
    let microsecondsP50: Double
    let microsecondsP95: Double
    let microsecondsP99: Double

    var perSecond: Double { 1_000_000 / microsecondsP50 }

    /// Times `operation` in batches, so that reading the clock does not count; the first tenth warms up and is left
    /// out.
    static func take(
        _ name: String, bytes: Int? = nil, samples: Int = 400, batch: Int = 25, _ operation: () throws -> Void
    ) rethrows -> Measurement {
        let clock = ContinuousClock()
        var durations: [Double] = []
        for sample in 0..<(samples + samples / 10) {
            let duration = try clock.measure { for _ in 0..<batch { try operation() } }
            if sample < samples / 10 { continue }
            let (seconds, attoseconds) = duration.components
            durations.append((Double(seconds) * 1e6 + Double(attoseconds) / 1e12) / Double(batch))
        }
        return Measurement(name, operations: samples * batch, bytes: bytes, microseconds: durations)
    }

    /// What some samples say, each the time of one operation; `operations` is their number where it is not given.
    init(_ name: String, operations: Int? = nil, bytes: Int? = nil, microseconds: [Double]) {
        let durations = microseconds.sorted()
        func percentile(_ share: Double) -> Double {
            durations[min(durations.count - 1, Int(Double(durations.count) * share))]
        }
        (self.name, self.operations, self.bytes) = (name, operations ?? durations.count, bytes)
        (microsecondsP50, microsecondsP95, microsecondsP99) = (percentile(0.5), percentile(0.95), percentile(0.99))
    }

    /// A line of a table for people.
    var line: String {
        let rate = bytes.map { String(format: "%9.1f MB/s", Double($0) * perSecond / 1e6) } ?? ""
        let times = String(
            format: "p50 %9.2f us  p95 %9.2f us  p99 %9.2f us", microsecondsP50, microsecondsP95, microsecondsP99)
        return name.padding(toLength: 34, withPad: " ", startingAt: 0) + times
            + String(format: "  %10.0f /s", perSecond) + rate
    }

    /// Prints measurements as a table or as JSON.
    static func report(_ measurements: [Measurement], asJSON: Bool) throws {
        if asJSON {
            let encoder = JSONEncoder()
            encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
            print(String(decoding: try encoder.encode(measurements), as: UTF8.self))
        } else {
            for measurement in measurements { print(measurement.line) }
        }
    }
}
