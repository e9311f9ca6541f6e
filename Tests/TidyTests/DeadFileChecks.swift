/// Checks that every file declares something, and something that another file mentions.
enum DeadFileChecks {
    static func findings(in files: [SourceFile]) -> [Finding] {
        var filesOfWord: [String: Int] = [:]
        for file in files { for word in Set(words(of: file)) { filesOfWord[word, default: 0] += 1 } }
        return files.compactMap { file in
            guard file.target != nil || file.isTest else { return nil }
            if file.tokens.isEmpty || file.outline.declarations.isEmpty && !isScript(file) {
                return file.finding(1, "the file declares nothing")
            }
            guard !isScript(file), !file.tokens.contains(where: { $0.text == "Suite" || $0.text == "Test" }) else {
                return nil
            }
            let names = declaredNames(of: file)
            guard !names.isEmpty, names.allSatisfy({ (filesOfWord[$0] ?? 0) < 2 }) else { return nil }
            return file.finding(
                1, "no other file mentions what this one declares: \(names.sorted().joined(separator: ", "))")
        }
    }

    /// A program: it runs from its top.
    private static func isScript(_ file: SourceFile) -> Bool {
        file.stem == "main"
            || file.tokens.indices.contains {
                file.tokens[$0].text == "main" && $0 > 0 && file.tokens[$0 - 1].text == "@"
            }
    }

    /// What stands at the top of the file, and the members of extensions, which may be of foreign types.
    private static func declaredNames(of file: SourceFile) -> Set<String> {
        var names: Set<String> = []
        for declaration in file.outline.declarations {
            if declaration.scope == nil {
                names.insert(declaration.name)
            } else if let scope = declaration.scope, file.outline.scopes[scope].declaration?.keyword == "extension" {
                names.insert(declaration.name)
            }
        }
        return names
    }

    private static func words(of file: SourceFile) -> [String] {
        file.tokens.filter { $0.kind == .word }.map(\.text)
    }
}
