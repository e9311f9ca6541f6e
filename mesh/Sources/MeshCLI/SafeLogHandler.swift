import Foundation
import Logging
import Synchronization

/// Writes the log to standard error, one safe line per message: a peer's chosen name can neither control the terminal
/// nor pretend to be another line. Logging never waits (`LogWriter`).
struct SafeLogHandler: LogHandler {
    /// The level of a log, which all copies of its loggers share that were given none of their own.
    final class Threshold: Sendable {
        private let value: Mutex<Logger.Level>

        init(_ level: Logger.Level) { value = Mutex(level) }

        var level: Logger.Level {
            get { value.withLock { $0 } }
            set { value.withLock { $0 = newValue } }
        }
    }

    var metadata: Logger.Metadata = [:]
    let threshold: Threshold
    private var ownLevel: Logger.Level?
    var logLevel: Logger.Level {
        get { ownLevel ?? threshold.level }
        set { ownLevel = newValue }
    }
    var writer = LogWriter.standardError
    private let format: LogFormat

    init(threshold: Threshold, format: LogFormat = .text) {
        self.threshold = threshold
        self.format = format
    }

    /// A logger of a level.
    static func logger(level: Logger.Level) -> Logger { logger(Threshold(level)) }

    /// A logger of a level that may change.
    static func logger(_ threshold: Threshold, format: LogFormat = .text) -> Logger {
        Logger(label: "mesh") { _ in SafeLogHandler(threshold: threshold, format: format) }
    }

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
        let all = metadata.merging(event.metadata ?? [:]) { _, new in new }
        writer.write(format.line(level: event.level, message: "\(event.message)", metadata: all))
    }

    /// `name=value` of every field, first `event`, then by name. A value with spaces, quotation marks or `=` stands in
    /// quotation marks, so that programs can take lines apart.
    static func fields(_ values: [String: String]) -> String {
        values.sorted { ($0.key == "event" ? 0 : 1, $0.key) < ($1.key == "event" ? 0 : 1, $1.key) }
            .map { " \($0.key)=\(quoted($0.value))" }.joined()
    }

    private static func quoted(_ value: String) -> String {
        // By scalars: a quotation mark with a combining mark behind it is one for whoever takes the line apart.
        let scalars = value.unicodeScalars
        guard scalars.isEmpty || scalars.contains(where: { $0.properties.isWhitespace || $0 == "\"" || $0 == "=" })
        else { return value }
        var escaped = ""
        for scalar in scalars {
            if scalar == "\\" || scalar == "\"" { escaped.unicodeScalars.append("\\") }
            escaped.unicodeScalars.append(scalar)
        }
        return "\"\(escaped)\""
    }
}
