/// Checks that what goes wrong can be said in words: a user may get to see any error, and must not read the names of
/// cases and types.
enum WordChecks {
    /// A target with the types that conform to a protocol in it, by their own names.
    private struct Types {
        var errors: [String: Finding] = [:]
        var speaking: Set<String> = []
    }

    /// The simulator's notes are for those who read its code.
    private static let ofTheHouse: Set<String> = ["MeshSimulation"]

    /// Errors without a description of their own.
    static func silentErrors(in files: [SourceFile]) -> [Finding] {
        var targets: [String: Types] = [:]
        for file in files where file.isSwift {
            guard let target = file.target else { continue }
            for head in heads(of: file.tokens) {
                if head.protocols.contains("Error") {
                    let message = "\(head.name) has no words: make it CustomStringConvertible"
                    targets[target, default: Types()].errors[head.name] = file.finding(head.line, message)
                }
                if head.protocols.contains("CustomStringConvertible") {
                    targets[target, default: Types()].speaking.insert(head.name)
                }
            }
        }
        return targets.sorted { $0.key < $1.key }.flatMap { _, types in
            types.errors.filter { !types.speaking.contains($0.key) }.map(\.value).sorted { $0.path < $1.path }
        }
    }

    /// Texts that are made of a value's structure.
    static func structures(in file: SourceFile) -> [Finding] {
        guard let target = file.target, !ofTheHouse.contains(target) else { return [] }
        return file.tokens.indices.compactMap { index in
            let words = file.tokens[index..<min(index + 4, file.tokens.count)].map(\.text)
            guard words.count == 4, words[0] == "String", words[1] == "(", words[3] == ":" else { return nil }
            guard ["describing", "reflecting"].contains(words[2]) else { return nil }
            return file.finding(
                file.tokens[index].line, "String(\(words[2]):) may name types and cases: say it in words")
        }
    }

    /// Codes of an enum that no source outside of `files` makes: a code that nothing returns must not be listed.
    static func unmade(_ name: String, in file: SourceFile, by others: [SourceFile]) -> [Finding] {
        let cases = cases(of: name, in: file)
        guard !cases.isEmpty else { return [file.finding(1, "the enum \(name) has no cases, or is not here")] }
        var made: Set<String> = []
        for other in others {
            for index in other.tokens.indices.dropFirst() where other.tokens[index - 1].text == "." {
                made.insert(other.tokens[index].text)
            }
        }
        return cases.filter { !made.contains($0.name) }.map { unused in
            file.finding(unused.line, "nothing makes \(name).\(unused.name): take it out")
        }
    }

    /// The cases of an enum, by their names.
    static func cases(of name: String, in file: SourceFile) -> [(name: String, line: Int)] {
        file.outline.declarations.filter { declaration in
            declaration.keyword == "case"
                && declaration.scope.flatMap { file.outline.scopes[$0].declaration }?.name == name
        }.map { ($0.name, $0.line) }
    }

    /// The heads of types and extensions: the last part of the name, and what stands behind the colon.
    private static func heads(of tokens: [Token]) -> [(name: String, protocols: Set<String>, line: Int)] {
        var heads: [(name: String, protocols: Set<String>, line: Int)] = []
        for index in tokens.indices
        where ["struct", "class", "enum", "actor", "extension"].contains(tokens[index].text)
            && tokens[index].kind == .word
        {
            var name = ""
            var protocols: Set<String> = []
            var isBehindColon = false
            for token in tokens[(index + 1)...] {
                if token.text == "{" || token.text == "where" || token.text == ";" { break }
                if token.text == ":" { isBehindColon = true }
                guard token.kind == .word else { continue }
                if isBehindColon { protocols.insert(token.text) } else { name = token.text }
            }
            if isBehindColon { heads.append((name, protocols, tokens[index].line)) }
        }
        return heads
    }
}
