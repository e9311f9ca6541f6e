/// Checks that files are named after what stands in them, and that names say something.
enum NameChecks {
    static let emptyWords = ["Util", "Utils", "Utilities", "Helper", "Helpers", "Manager", "Misc"]
    static let namingKeywords: Set<String> = ["struct", "class", "enum", "actor", "protocol", "extension", "typealias"]

    static func findings(in file: SourceFile) -> [Finding] {
        guard file.target != nil else { return [] }
        var findings: [Finding] = []
        let types = file.outline.declarations.filter { !["func", "var", "let", "case"].contains($0.keyword) }
        for declaration in types {
            for word in emptyWords where declaration.name.hasSuffix(word) {
                findings.append(file.finding(declaration.line, "the name \(declaration.name) says nothing: \(word)"))
            }
        }
        for word in emptyWords where file.stem.hasSuffix(word) {
            findings.append(file.finding(1, "the file's name says nothing: \(word)"))
        }
        let functions = file.outline.declarations.filter { $0.keyword == "func" && $0.scope == nil }
        let names = Set((types.filter { namingKeywords.contains($0.keyword) } + functions).map { $0.name.lowercased() })
        let words = words(of: file.stem)
        let isNamed = names.contains { name in
            words.contains { name.contains($0) } || file.stem.lowercased().hasPrefix(name)
        }
        // A file of many small types of one kind is named after the kind.
        let isCollection = types.count { $0.scope == nil && $0.keyword != "extension" } > 1
        if !isNamed, !isCollection, file.stem != "main" {
            findings.append(file.finding(1, "the file declares or extends no type that it could be named after"))
        }
        return findings
    }

    /// `Job` and `View` of `JobViews+Rows`: at least one of them has to be found in the name of a type in the file.
    private static func words(of stem: String) -> [String] {
        var words: [String] = [""]
        for character in stem {
            if character == "+" { break }
            if character.isUppercase, words[words.count - 1].last?.isLowercase == true { words.append("") }
            words[words.count - 1].append(character)
        }
        return words.map { ($0.hasSuffix("s") ? String($0.dropLast()) : $0).lowercased() }
    }
}
