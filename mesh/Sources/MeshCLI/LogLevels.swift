import ArgumentParser
import Logging

/// How much a node logs, on the command line.
enum LogLevels {
    /// All levels, in words.
    static let names: String = {
        let all = Logger.Level.allCases.map(\.rawValue)
        return all.dropLast().joined(separator: ", ") + " or " + (all.last ?? "")
    }()

    /// The level of a name, as `config.json` has it.
    static func named(_ text: String) throws -> String {
        guard Logger.Level(rawValue: text) != nil else { throw ValidationError("it is one of \(names).") }
        return text
    }
}
