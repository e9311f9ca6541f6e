/// Checks for words and characters that the house does not allow in its sources.
enum BannedTokenChecks {
    static func findings(in file: SourceFile) -> [Finding] {
        guard let target = file.target else { return [] }
        let layer = HouseLayer.of(target: target)
        var findings = commentFindings(in: file)
        for index in file.tokens.indices where file.tokens[index].kind != .string {
            let context = Context(tokens: file.tokens, index: index)
            var message = trap(context) ?? unstructured(context)
            if message == nil, layer != .apps { message = output(context) }
            if message == nil, layer?.isSansIO == true, file.path != ImportChecks.memoFile {
                message = waiting(context, layer: layer, target: target)
            }
            if let message { findings.append(file.finding(file.tokens[index].line, message)) }
        }
        return findings
    }

    /// A token with its neighbours.
    struct Context {
        let tokens: [Token]
        let index: Int

        var text: String { tokens[index].text }
        var token: Token { tokens[index] }
        var before: Token? { index > 0 ? tokens[index - 1] : nil }
        var after: Token? { index + 1 < tokens.count ? tokens[index + 1] : nil }

        /// The text of the tokens from here on, as many as asked for.
        func sequence(_ count: Int) -> [String] {
            tokens[index..<min(index + count, tokens.count)].map(\.text)
        }

        /// The words inside the parentheses that follow, one level deep.
        func argumentWords() -> [String] {
            guard after?.text == "(" else { return [] }
            var words: [String] = []
            var depth = 0
            for token in tokens[(index + 1)...] {
                if token.text == "(" { depth += 1 }
                if token.text == ")" { depth -= 1 }
                if depth == 0 { break }
                if depth == 1 { words.append(token.text) }
            }
            return words
        }
    }

    private static func commentFindings(in file: SourceFile) -> [Finding] {
        file.lexer.comments.sorted { $0.key < $1.key }.compactMap { line, text in
            for word in ["TODO", "FIXME", "XXX"] where text.contains(word) {
                return file.finding(line, "\(word) in a comment: do it, or write an issue")
            }
            return nil
        }
    }

    /// What ends the process on bad input.
    private static func trap(_ context: Context) -> String? {
        if context.text == "fatalError" {
            return "fatalError: return a typed error, or use a precondition that says what it saw"
        }
        if context.index >= 3, context.tokens[context.index - 3].text == "NSString",
            ["pathExtension", "deletingPathExtension", "deletingLastPathComponent"].contains(context.text)
        {
            return "NSString's \(context.text) ends the process for a path of one character: see String+Paths"
        }
        guard context.text == "!", context.token.kind == .punctuation, !context.token.afterSpace,
            let before = context.before, context.after?.text != "=" || context.after?.afterSpace == true
        else { return nil }
        if before.text == "try" || before.text == "as" { return "\(before.text)!: handle the failure" }
        let ends = [")", "]", "}", ">", "?"]
        guard before.kind != .punctuation || ends.contains(before.text) else { return nil }
        return "force unwrap: bind the value, or throw"
    }

    /// Tasks that no one owns, and blocked threads.
    private static func unstructured(_ context: Context) -> String? {
        switch context.text {
        case "Task" where context.before?.text != ".":
            if ["{", "("].contains(context.after?.text) || context.sequence(3) == ["Task", ".", "init"] {
                return "bare Task: let a task group or `async let` own it"
            }
            if context.sequence(3) == ["Task", ".", "detached"] { return "Task.detached: let a task group own it" }
            if context.sequence(2) == ["Task", "<"] { return "a stored Task: let a task group own the work" }
        case "usleep":
            return "\(context.text) blocks a thread"
        case "sleep" where context.after?.text == "(" && context.before?.text != "." && context.before?.text != "func":
            return "sleep blocks a thread"
        case "Thread" where context.sequence(3) == ["Thread", ".", "sleep"]:
            return "Thread.sleep blocks a thread"
        default:
            break
        }
        return nil
    }

    private static func output(_ context: Context) -> String? {
        let isCall = ["print", "debugPrint", "dump"].contains(context.text) && context.after?.text == "("
        guard isCall, context.before?.text != ".", context.before?.text != "func" else { return nil }
        return "\(context.text)( outside the apps: log, or return the text"
    }

    /// What a core, a type or a format may not do: wait, share, look at a clock, roll dice.
    private static func waiting(_ context: Context, layer: HouseLayer?, target: String) -> String? {
        let word = context.text
        guard context.token.kind == .word else { return nil }
        switch word {
        case "SystemRandomNumberGenerator" where target == "PlanetaryMesh":
            return nil  // Keys and salts are made of the system's randomness, and of nothing else.
        case "async", "await", "Task", "Mutex", "NSLock", "DispatchQueue", "ContinuousClock", "SuspendingClock",
            "SystemRandomNumberGenerator":
            return "\(word) in \(target): what decides may not wait, lock, read a clock or roll dice"
        case "actor":
            guard context.after?.kind == .word, context.before?.text != "." else { return nil }
            return "actor in \(target): cores, types and formats are values"
        case "class":
            // Codable's encoder and decoder protocols need shared storage; nothing else here does.
            guard context.after?.kind == .word, context.before?.text != ".", target != "IPLD" else { return nil }
            return "class in \(target): cores, types and formats are values"
        case "random", "randomElement", "shuffled", "shuffle":
            guard context.before?.text == ".", context.after?.text == "(" else { return nil }
            guard !context.argumentWords().contains("using") else { return nil }
            return "\(word)() with the system's randomness: pass a generator with `using:`"
        default:
            return nil
        }
    }
}
