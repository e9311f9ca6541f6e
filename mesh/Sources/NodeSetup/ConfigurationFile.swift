import Foundation
import Multiformats
package import NodeAPI

/// A node's `config.json`, to be looked at and changed key by key.
///
/// It keeps the file as it is: a key that is not there stays away, and what a change leaves alone keeps its value. What
/// it writes is a configuration by `ConfigurationRule`, or it writes nothing.
package struct ConfigurationFile: Sendable {
    /// One key with its value.
    package struct Setting: Hashable, Sendable, Encodable {
        /// The key with that of its group: `executor.price_base`.
        package let key: String
        /// What the node takes it for; null for none.
        package let value: ConfigurationValue
        /// What the node takes where the file says nothing; null for none, or for what the machine has.
        package let standard: ConfigurationValue
        /// Where the value comes from.
        package let source: ConfigurationSource
        /// What is allowed, as a clause.
        package let allowed: String

        private enum CodingKeys: String, CodingKey {
            case key, value, allowed, source
            case standard = "default"
        }

        /// Whether the file says it.
        package var isInFile: Bool { source == .file }

        /// Writes where the value comes from by its name.
        package func encode(to encoder: any Encoder) throws {
            var container = encoder.container(keyedBy: CodingKeys.self)
            try container.encode(key, forKey: .key)
            try container.encode(value, forKey: .value)
            try container.encode(standard, forKey: .standard)
            try container.encode(source.rawValue, forKey: .source)
            try container.encode(allowed, forKey: .allowed)
        }
    }

    /// Where it is.
    package let path: String
    private var values: ConfigurationValue
    /// What comes before the file, by key.
    private var overrides: [String: (value: ConfigurationValue, source: ConfigurationSource)] = [:]
    private let file: ReplacedFile

    /// Reads the file, which has to be JSON; whether its values are allowed says `fault`.
    ///
    /// - Parameters:
    ///   - isToChange: whether others who change it wait until this one is gone, so that no change is lost.
    ///   - milliseconds: how long this one waits for another who does.
    package init(
        path: String, isToChange: Bool = false, waiting milliseconds: Int = FolderLock.waitMilliseconds
    ) throws(NodeServiceError) {
        self.path = path
        file = try ReplacedFile(path: path, isLocked: isToChange, waiting: milliseconds)
        guard let data = file.read() else { throw NodeConfiguration.unreadable(path) }
        guard let values = try? JSONDecoder().decode(ConfigurationValue.self, from: data), case .group = values else {
            let fault = ConfigurationRule.fault(in: data) ?? "it is no group of settings"
            throw NodeConfiguration.refusal(of: path, fault)
        }
        self.values = values
    }

    /// All keys, in the order of the rules.
    package static let keys = rules.map(\.key)

    /// All keys with their rules; those of a group behind its name and a full stop.
    static var rules: [(key: String, rule: ConfigurationRule)] {
        guard case .group(let groups) = ConfigurationRule.file else { return [] }
        return groups.flatMap { key, rule in
            guard case .group(let rules) = rule else { return [(key, rule)] }
            return rules.map { ("\(key).\($0.key)", $0.rule) }
        }
    }

    /// Everything in the file that no node can work with, each as a clause that names the key.
    package var faults: [String] {
        ConfigurationRule.file.faults(in: values, at: "") + [ConfigurationRule.apiFault(in: merged)].compactMap(\.self)
    }

    /// The values of the file with those that come before them.
    private var merged: ConfigurationValue {
        var merged = self
        for (key, override) in overrides { merged.put(override.value, at: key) }
        return merged.values
    }

    /// Refuses what no node can work with, by a sentence that names the key.
    package func requireSound() throws(NodeServiceError) {
        if let fault = faults.first { throw NodeConfiguration.refusal(of: path, fault) }
    }

    /// Has values of another source come before those of the file; their rules have allowed them.
    mutating func override(with values: [String: ConfigurationValue], from source: ConfigurationSource) {
        for (key, value) in values { overrides[key] = (value, source) }
    }

    /// What a node takes from the file and from what comes before it.
    func configuration() throws(NodeServiceError) -> NodeConfiguration {
        try requireSound()
        guard let data = try? JSONEncoder().encode(merged) else {
            throw NodeConfiguration.refusal(of: path, "its values cannot be read")
        }
        return try NodeConfiguration.decoded(data, of: path)
    }

    /// All settings, in the order of the rules.
    package var settings: [Setting] { Self.keys.compactMap { try? setting($0) } }

    /// One setting; an unknown key is refused.
    package func setting(_ key: String) throws(NodeServiceError) -> Setting {
        let rule = try Self.rule(of: key)
        let given = Self.value(key, in: values)
        let standard = Self.value(key, in: Self.standard) ?? .null
        if let override = overrides[key] {
            return Setting(
                key: key, value: override.value, standard: standard, source: override.source, allowed: rule.allowed)
        }
        let isInFile = given != nil && given != .null
        return Setting(
            key: key, value: isInFile ? given ?? .null : standard, standard: standard,
            source: isInFile ? .file : .standard, allowed: rule.allowed)
    }

    /// One setting, to be shown beside a change of it: also a key that is none and stands in the file all the same, or
    /// stood there.
    package func shown(_ key: String, wasThere: Bool = false) throws(NodeServiceError) -> Setting {
        if !wasThere, !isStray(key) { return try setting(key) }
        return Setting(
            key: key, value: Self.value(key, in: values) ?? .null, standard: .null,
            source: isStray(key) ? .file : .standard, allowed: "nothing")
    }

    /// Whether a key has a list of values.
    package static func isList(_ key: String) -> Bool {
        if case .list? = rules.first(where: { $0.key == key })?.rule { true } else { false }
    }

    /// Whether something stands in the file under a key that is no setting, and no group of settings.
    package func isStray(_ key: String) -> Bool {
        guard let value = Self.value(key, in: values), !Self.keys.contains(key) else { return false }
        guard case .group = value else { return true }
        return !Self.keys.contains { $0.hasPrefix("\(key).") }
    }

    /// Gives a key the value that words say: one word, or several for a list. Refuses what is not allowed there.
    package mutating func set(_ key: String, to words: [String]) throws(NodeServiceError) {
        put(try Self.value(of: words, for: key), at: key)
    }

    /// The value that words say for a key; refused where it is not allowed there.
    private static func value(of words: [String], for key: String) throws(NodeServiceError) -> ConfigurationValue {
        _ = try rule(of: key)
        switch allowed(words, for: key) {
        case .success(let value): return value
        case .failure(let fault): throw refusal("\(fault.clause).")
        }
    }

    /// Why a value is not allowed, as a clause.
    struct Fault: Error, CustomStringConvertible {
        let clause: String

        var description: String { clause }
    }

    /// The value that words say for a key, or what is wrong with it.
    static func allowed(_ words: [String], for key: String) -> Result<ConfigurationValue, Fault> {
        guard let rule = rules.first(where: { $0.key == key })?.rule else {
            return .failure(Fault(clause: "\(key) is no setting"))
        }
        guard let value = rule.value(of: words) else {
            return .failure(Fault(clause: "\(key) has one value, and \(words.count) are given"))
        }
        if let fault = rule.fault(in: value, at: key) { return .failure(Fault(clause: fault)) }
        return .success(value)
    }

    /// Takes a key out of the file, so that it has its default. One that is no setting goes, too, if it is there.
    package mutating func reset(_ key: String) throws(NodeServiceError) {
        if !isStray(key) { _ = try Self.rule(of: key) }
        put(nil, at: key)
    }

    /// Writes the file, whole or not at all, with the mode and the owner that it has; where it is a link, what that
    /// leads to. What was wrong with it elsewhere stays (`faults`), so that each fault can be mended by itself.
    package func write() throws(NodeServiceError) {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        guard let bytes = try? encoder.encode(values) else {
            throw NodeConfiguration.refusal(of: path, "its values cannot be written as JSON")
        }
        try file.write(bytes + Data("\n".utf8))
    }

    // MARK: The values

    /// What a fresh file has.
    private static let standard: ConfigurationValue = {
        guard let data = try? NodeConfiguration().encoded() else { return .group([:]) }
        return (try? JSONDecoder().decode(ConfigurationValue.self, from: data)) ?? .group([:])
    }()

    /// The setting that a misspelt key was meant to be: by its whole name, or by its name in a group.
    private static func likely(_ key: String) -> String? {
        if let whole = Spelling.likely(key, among: keys) { return whole }
        let names = keys.map { String($0.split(separator: ".").last ?? "") }
        return Spelling.likely(key, among: names).flatMap { names.firstIndex(of: $0) }.map { keys[$0] }
    }

    static func rule(of key: String) throws(NodeServiceError) -> ConfigurationRule {
        if let rule = rules.first(where: { $0.key == key })?.rule { return rule }
        let inner = keys.filter { $0.hasPrefix("\(key).") }
        let meant = keys.filter { $0.hasSuffix(".\(key)") }
        let hint =
            if !inner.isEmpty {
                "It is a group, with \(inner.joined(separator: ", "))."
            } else if !meant.isEmpty {
                "Name its group too: \(meant.joined(separator: " or "))."
            } else if let likely = likely(key) {
                "Did you mean \(likely)? mesh config list shows all settings."
            } else {
                "mesh config list shows all settings."
            }
        throw NodeServiceError(.invalidRequest, "\"\(key.cut(bytesMax: 80))\" is no setting.", hint: hint)
    }

    private static func refusal(_ sentence: String) -> NodeServiceError {
        NodeServiceError(
            .invalidRequest, "Nothing is changed: \(sentence)", hint: "docs/configuration.md tells of every setting.")
    }

    /// The names of a key: one, or those of its group and of its own.
    private static func names(_ key: String) -> [String] { key.split(separator: ".").map(String.init) }

    private static func value(_ key: String, in values: ConfigurationValue) -> ConfigurationValue? {
        names(key).reduce(values) { value, name in
            if case .group(let group)? = value { group[name] } else { nil }
        }
    }

    private mutating func put(_ value: ConfigurationValue?, at key: String) {
        let names = Self.names(key)
        guard case .group(var file) = values, let first = names.first else { return }
        if names.count == 1 {
            file[first] = value
        } else {
            var group: [String: ConfigurationValue] = [:]
            if case .group(let known)? = file[first] { group = known }
            group[names[1]] = value
            // A group that is not there is not made for nothing.
            if value != nil || file[first] != nil { file[first] = .group(group) }
        }
        values = .group(file)
    }
}

extension ConfigurationRule {
    /// The value that words of a command line stand for, as far as that can be told; nil for several words where one
    /// value stands. Whether it is allowed says `fault`.
    func value(of words: [String]) -> ConfigurationValue? {
        if case .list(let rule) = self {
            // As in a variable, commas stand between elements, too: no element of any setting has one.
            // A word without one is no empty list, which some settings take for everybody: it stands, and is refused.
            let elements = words.flatMap { word in
                let parts = word.split(separator: ",").map { $0.trimmingCharacters(in: .whitespaces) }
                let named = parts.filter { !$0.isEmpty }
                return named.isEmpty ? [word] : named
            }
            return .list(elements.compactMap { rule.value(of: [$0]) })
        }
        guard let word = words.first, words.count == 1 else { return nil }
        switch self {
        case .flag: return ["true": .flag(true), "false": .flag(false)][word] ?? .text(word)
        case .count:
            let isWhole = !word.isEmpty && word.utf8.allSatisfy { (0x30...0x39).contains($0) }
            return (isWhole ? UInt64(word) : nil).map { .count($0) } ?? .text(word)
        default: return .text(word)
        }
    }
}

extension ConfigurationValue {
    /// The value as a person types it: texts bare, the elements of a list behind each other, nothing for null.
    package var words: [String] {
        switch self {
        case .null: []
        case .text(let text): [text]
        case .list(let list): list.flatMap(\.words)
        case .flag, .count, .otherNumber, .group: [text]
        }
    }
}
