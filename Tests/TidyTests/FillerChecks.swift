/// Checks that a comment over an initializer says something: one that repeats the type's name, or that its values are
/// "as given", is better left out (`DocumentationChecks` does not ask for it).
enum FillerChecks {
    private static let emptyWords: Set<String> = ["a", "an", "the", "as", "given", "from", "it", "part", "of", "with"]

    static func findings(in file: SourceFile) -> [Finding] {
        guard file.target != nil else { return [] }
        return file.outline.declarations.compactMap { declaration in
            guard declaration.keyword == "init", let type = typeName(of: declaration, in: file),
                let comment = file.lexer.comments[declaration.firstLine - 1], comment.hasPrefix("/// "),
                file.lexer.comments[declaration.firstLine - 2]?.hasPrefix("///") != true,
                DocumentationChecks.isPlain(declaration, in: file)
            else { return nil }
            let said = words(of: comment.dropFirst(4)).subtracting(emptyWords)
            let endsEmpty = comment.hasSuffix(" as given.")
            guard said.isSubset(of: words(ofName: type)) || endsEmpty && said.count <= 3 else { return nil }
            return file.finding(declaration.firstLine - 1, "the comment says nothing: \(comment)")
        }
    }

    private static func typeName(of declaration: Declaration, in file: SourceFile) -> String? {
        declaration.scope.flatMap { file.outline.scopes[$0].declaration?.name }
    }

    private static func words(of text: Substring) -> Set<String> {
        Set(text.split { !$0.isLetter }.map { singular($0.lowercased()) })
    }

    private static func words(ofName name: String) -> Set<String> {
        var words: [String] = [""]
        for character in name {
            if character.isUppercase, words[words.count - 1].last?.isLowercase == true { words.append("") }
            words[words.count - 1].append(character)
        }
        return Set(words.map { singular($0.lowercased()) })
    }

    private static func singular(_ word: String) -> String { word.hasSuffix("s") ? String(word.dropLast()) : word }
}
