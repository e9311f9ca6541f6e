/// A declaration found in the tokens of a file.
struct Declaration: Equatable {
    /// `func`, `var`, `struct`, `case` and so on.
    var keyword: String
    var name: String
    /// Modifiers and attributes before the keyword, such as `public`, `static`, `@inlinable`.
    var modifiers: [String]
    /// The line of the first modifier or attribute; a doc comment ends on the line above.
    var firstLine: Int
    /// The line of the keyword.
    var line: Int
    /// The index of the braced scope it stands in, `nil` at the top of the file.
    var scope: Int?
}

/// A pair of braces and what opened it.
struct Scope {
    /// The declaration whose body this is; `nil` for closures and statements.
    var declaration: Declaration?
    var parent: Int?
    var openingLine: Int
    var closingLine: Int
    /// The line on which the statement that opened it begins.
    var statementLine: Int
}

/// Declarations and braced scopes of one file, as far as the checks need them.
struct SwiftOutline {
    private(set) var declarations: [Declaration] = []
    private(set) var scopes: [Scope] = []

    private let tokens: [Token]
    private var open: [Int] = []
    private var parenthesisDepth = 0
    private var parenthesisLines: [Int] = []
    /// The declaration that waits for its body, and the depth of parentheses where it stands.
    private var pending: (declaration: Declaration, depth: Int, hasValue: Bool)?
    private var statementLine = 1

    private static let typeKeywords: Set<String> = ["struct", "class", "enum", "actor", "protocol", "extension"]
    private static let bodyKeywords: Set<String> = ["func", "init", "deinit", "subscript", "var"]
    private static let plainKeywords: Set<String> = ["let", "case", "typealias", "associatedtype", "operator"]
    private static let modifiers: Set<String> = [
        "public", "open", "private", "fileprivate", "internal", "package", "static", "final", "class", "mutating",
        "nonmutating", "override", "required", "convenience", "indirect", "lazy", "weak", "unowned", "nonisolated",
        "isolated", "dynamic", "prefix", "postfix", "infix", "consuming", "borrowing", "distributed",
    ]

    init(_ tokens: [Token]) {
        self.tokens = tokens
        for index in tokens.indices { visit(index) }
        let end = tokens.last?.line ?? 1
        for scope in open { scopes[scope].closingLine = end }
    }

    /// The scope and all that it stands in, from the inside out.
    func chain(from scope: Int?) -> [Scope] {
        var chain: [Scope] = []
        var next = scope
        while let index = next {
            chain.append(scopes[index])
            next = scopes[index].parent
        }
        return chain
    }

    private mutating func visit(_ index: Int) {
        let token = tokens[index]
        noteStatement(index)
        switch token.text {
        case "(" where token.kind == .punctuation, "[" where token.kind == .punctuation:
            parenthesisDepth += 1
            parenthesisLines.append(statementLine)
        case ")" where token.kind == .punctuation, "]" where token.kind == .punctuation:
            parenthesisDepth -= 1
            statementLine = parenthesisLines.popLast() ?? token.line
        case "{" where token.kind == .punctuation: openScope(token)
        case "}" where token.kind == .punctuation: closeScope(token)
        case "=" where token.kind == .punctuation:
            if pending?.depth == parenthesisDepth { pending?.hasValue = true }
        default:
            if token.kind == .word { declare(index) }
        }
    }

    /// A statement goes on over a line end inside parentheses and before words that cannot begin one.
    private mutating func noteStatement(_ index: Int) {
        let token = tokens[index]
        guard index == 0 || tokens[index - 1].line < token.line else { return }
        let goesOn: Set<String> = ["where", "-", "throws", "async", "{", ")", "]", ".", ":", "&", "|", "?", ","]
        if !goesOn.contains(token.text) { statementLine = token.line }
        if let waiting = pending, waiting.declaration.keyword == "var", waiting.depth == parenthesisDepth,
            token.text != "{"
        {
            pending = nil
        }
    }

    private mutating func openScope(_ token: Token) {
        var declaration: Declaration?
        if let waiting = pending, waiting.depth == parenthesisDepth,
            waiting.declaration.keyword != "var" || !waiting.hasValue
        {
            declaration = waiting.declaration
            pending = nil
        }
        open.append(scopes.count)
        scopes.append(
            Scope(
                declaration: declaration, parent: open.dropLast().last, openingLine: token.line,
                closingLine: token.line, statementLine: declaration?.firstLine ?? min(statementLine, token.line)))
    }

    private mutating func closeScope(_ token: Token) {
        if let scope = open.popLast() { scopes[scope].closingLine = token.line }
        if let waiting = pending, waiting.depth == parenthesisDepth { pending = nil }
    }

    private mutating func declare(_ index: Int) {
        let token = tokens[index]
        let before = index > 0 ? tokens[index - 1] : nil
        let after = index + 1 < tokens.count ? tokens[index + 1] : nil
        // `.init(…)`, `self.case`, a label `func:` and the like are no declarations.
        if before?.text == "." || after?.text == ":" && after?.afterSpace == false { return }
        let isType = Self.typeKeywords.contains(token.text)
        let isBody = Self.bodyKeywords.contains(token.text)
        guard isType || isBody || Self.plainKeywords.contains(token.text) else { return }
        if isType, after?.kind != .word || ["func", "var", "let", "in"].contains(after?.text) { return }
        if token.text == "operator", !["prefix", "infix", "postfix"].contains(before?.text) { return }
        if token.text == "init", let next = after?.text, !["(", "?", "!", "<"].contains(next) { return }
        if token.text == "case", !isEnumCase() { return }
        if parenthesisDepth > 0, !isInBracesInsideParentheses(), token.text != "func" { return }
        let (modifiers, firstLine) = modifiersBefore(index)
        let names = ["init", "deinit", "subscript"]
        let declaration = Declaration(
            keyword: token.text, name: names.contains(token.text) ? token.text : after?.text ?? "",
            modifiers: modifiers, firstLine: firstLine, line: token.line, scope: open.last)
        declarations.append(declaration)
        if isType || isBody {
            pending = (declaration, parenthesisDepth, false)
        } else if pending?.depth == parenthesisDepth {
            pending = nil
        }
    }

    private func isEnumCase() -> Bool {
        guard let scope = open.last else { return false }
        return scopes[scope].declaration?.keyword == "enum"
    }

    /// Declarations in a closure that is an argument are real; a word in a parameter list is not.
    private func isInBracesInsideParentheses() -> Bool {
        guard let scope = open.last else { return false }
        return scopes[scope].declaration == nil
    }

    private func modifiersBefore(_ index: Int) -> (modifiers: [String], firstLine: Int) {
        var modifiers: [String] = []
        var firstLine = tokens[index].line
        var next = index - 1
        while next >= 0 {
            var word = next
            if tokens[word].text == ")", tokens[word].kind == .punctuation {
                var depth = 0
                repeat {
                    if tokens[word].text == ")" { depth += 1 }
                    if tokens[word].text == "(" { depth -= 1 }
                    word -= 1
                } while word >= 0 && depth > 0
                guard word >= 0 else { break }
            }
            let isAttribute = word > 0 && tokens[word - 1].text == "@"
            let isModifier = Self.modifiers.contains(tokens[word].text) && tokens[word].line == firstLine
            guard isAttribute || isModifier else { break }
            let hasArgument = word != next
            let argument = hasArgument ? "(" + tokens[(word + 2)..<next].map(\.text).joined() + ")" : ""
            modifiers.insert((isAttribute ? "@" : "") + tokens[word].text + argument, at: 0)
            next = isAttribute ? word - 2 : word - 1
            firstLine = tokens[next + 1].line
        }
        return (modifiers, firstLine)
    }
}
