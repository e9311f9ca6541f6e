import Foundation
import Logging

/// How lines of the log are written (`log_format`).
enum LogFormat: String, Sendable {
    /// For people: time, level, sentence and fields.
    case text
    /// For programs: an object of JSON in each line.
    case json

    /// A line as JSON: its names are those of the text, the moment is whole and in UTC.
    private struct Record: Encodable {
        let time: String
        let level: String
        let message: String
        let fields: [String: String]
    }

    /// One line of the log, without its end. Nobody's text begins another line or moves a cursor: control characters
    /// are written out.
    func line(level: Logger.Level, message: String, metadata: Logger.Metadata, at moment: Date = Date()) -> String {
        let values = metadata.mapValues { "\($0)" }
        switch self {
        case .text:
            let clock = Readable.clock(UInt64(max(0, moment.timeIntervalSince1970 * 1_000)))
            return "\(clock) \(level.rawValue) \(Terminal.safe(message + SafeLogHandler.fields(values)))"
        case .json:
            let time = moment.formatted(Date.ISO8601FormatStyle(includingFractionalSeconds: true))
            let record = Record(time: time, level: level.rawValue, message: message, fields: values)
            let encoder = JSONEncoder()
            encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
            // Texts alone cannot fail to be JSON.
            let bytes = (try? encoder.encode(record)) ?? Data()
            return Terminal.safeJSON(String(decoding: bytes, as: UTF8.self))
        }
    }
}
