/// Checks that whatever the compiler cannot prove safe says why it is.
///
/// A use is covered by a `// SAFETY:` comment on its own line, in the comment right above its statement, or right above
/// any block, function or type that it stands in; so code around C can explain itself once per function or type.
enum SafetyChecks {
    static func findings(in file: SourceFile) -> [Finding] {
        guard file.target != nil else { return [] }
        let scopeOfLine = ScopeLines(file.outline)
        var reported: Set<Int> = []
        return file.tokens.indices.compactMap { index in
            guard let name = unsafeName(file.tokens, index) else { return nil }
            let line = file.tokens[index].line
            guard !reported.contains(line) else { return nil }
            if isCovered(line, in: file) { return nil }
            for scope in file.outline.chain(from: scopeOfLine.innermost(line)) {
                if isCovered(scope.statementLine, in: file) || isCovered(scope.openingLine, in: file) { return nil }
            }
            reported.insert(line)
            return file.finding(line, "\(name) without a `// SAFETY:` sentence above it")
        }
    }

    private static func unsafeName(_ tokens: [Token], _ index: Int) -> String? {
        let token = tokens[index]
        guard token.kind == .word else { return nil }
        let before = index > 0 ? tokens[index - 1].text : ""
        let after = index + 1 < tokens.count ? tokens[index + 1].text : ""
        if token.text == "unchecked", before == "@" { return "@unchecked" }
        if token.text == "preconcurrency", before == "@" { return "@preconcurrency" }
        if token.text == "unsafe", before == "(" { return "nonisolated(unsafe)" }
        if token.text == "unsafe" { return nil }
        let isPointer = token.text.hasPrefix("Unsafe") || token.text.hasPrefix("withUnsafe")
        if isPointer || token.text.hasPrefix("unsafe") && after != ":" { return token.text }
        return nil
    }

    /// Whether the line, or the comments and attributes right above it, hold the sentence.
    private static func isCovered(_ line: Int, in file: SourceFile) -> Bool {
        if file.lexer.comments[line]?.contains("SAFETY:") == true { return true }
        var above = line - 1
        while above > 0, above <= file.lines.count {
            let text = file.lines[above - 1].drop { $0 == " " }
            guard text.hasPrefix("//") || text.hasPrefix("@") else { return false }
            if text.contains("SAFETY:") { return true }
            above -= 1
        }
        return false
    }
}

/// Finds the innermost braced scope around a line.
private struct ScopeLines {
    private let scopes: [Scope]

    init(_ outline: SwiftOutline) { scopes = outline.scopes }

    func innermost(_ line: Int) -> Int? {
        var best: Int?
        for (index, scope) in scopes.enumerated() where scope.statementLine <= line && line <= scope.closingLine {
            best = index
        }
        return best
    }
}
