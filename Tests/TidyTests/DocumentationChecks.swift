/// Checks that every public or package symbol has a `///` comment, its own or that of the protocol requirement which it
/// fulfils.
enum DocumentationChecks {
    /// The functions and properties that such protocols ask for; who implements one inherits its comment.
    static func requirements(of files: [SourceFile]) -> Set<String> {
        var names: Set<String> = []
        for file in files {
            for declaration in file.outline.declarations where ["func", "var"].contains(declaration.keyword) {
                guard let scope = declaration.scope, let parent = file.outline.scopes[scope].declaration else {
                    continue
                }
                if parent.keyword == "protocol", access(of: parent) != nil { names.insert(declaration.name) }
            }
        }
        return names
    }

    static func findings(in file: SourceFile, inherited: Set<String> = []) -> [Finding] {
        guard file.target != nil else { return [] }
        return file.outline.declarations.compactMap { declaration in
            guard let access = access(of: declaration, in: file), declaration.keyword != "extension",
                declaration.keyword != "deinit"
            else { return nil }
            // What these do is said by the standard library, once for all types.
            guard !["<", "=", "hash"].contains(declaration.name) else { return nil }
            if inherited.contains(declaration.name), conforms(declaration, in: file) { return nil }
            guard !isPlain(declaration, in: file), !isDocumented(declaration, in: file) else { return nil }
            let name = declaration.name == declaration.keyword ? "" : " \(declaration.name)"
            return file.finding(declaration.line, "\(access) \(declaration.keyword)\(name) has no /// comment")
        }
    }

    /// The word by which other targets see a declaration; nil where they do not.
    private static func access(of declaration: Declaration) -> String? {
        declaration.modifiers.first { ["public", "open", "package"].contains($0) }
    }

    /// The same for one that may have it from what it stands in.
    private static func access(of declaration: Declaration, in file: SourceFile) -> String? {
        if let own = access(of: declaration) { return own }
        if !Set(["private", "fileprivate", "internal"]).isDisjoint(with: declaration.modifiers) { return nil }
        guard let scope = declaration.scope, let parent = file.outline.scopes[scope].declaration else { return nil }
        switch parent.keyword {
        case "protocol", "extension": return access(of: parent)
        case "enum": return declaration.keyword == "case" ? access(of: parent) : nil
        default: return nil
        }
    }

    /// Whether the type around it names protocols; an extension may fulfil what the type named elsewhere.
    private static func conforms(_ declaration: Declaration, in file: SourceFile) -> Bool {
        guard let scope = declaration.scope, let parent = file.outline.scopes[scope].declaration else { return false }
        guard parent.keyword != "protocol" else { return false }
        if parent.keyword == "extension" { return true }
        let start = file.tokens.firstIndex { $0.line == parent.line && $0.text == parent.keyword }
        guard let start else { return false }
        return file.tokens[start...].prefix { $0.text != "{" }.contains { $0.text == ":" }
    }

    /// Whether it is an initializer that cannot fail: what it takes says what it does.
    static func isPlain(_ declaration: Declaration, in file: SourceFile) -> Bool {
        guard declaration.keyword == "init",
            let start = file.tokens.firstIndex(where: { $0.line == declaration.line && $0.text == "init" })
        else { return false }
        let signature = file.tokens[start...].prefix { $0.text != "{" && $0.line < declaration.line + 20 }
        return signature.dropFirst().first?.text != "?" && !signature.contains { $0.text == "throws" }
    }

    private static func isDocumented(_ declaration: Declaration, in file: SourceFile) -> Bool {
        // The comment stands above the attributes, or between them and the declaration.
        for line in stride(from: declaration.line - 1, through: declaration.firstLine - 1, by: -1) {
            guard let comment = file.lexer.comments[line] else { continue }
            if comment.hasPrefix("///") || comment.hasSuffix("*/") { return true }
        }
        return false
    }
}
