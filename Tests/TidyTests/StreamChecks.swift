/// Checks that streams between actors are bounded, or say why they need not be.
enum StreamChecks {
    private static let typeNames: Set<String> = ["AsyncStream", "AsyncThrowingStream"]

    static func findings(in file: SourceFile) -> [Finding] {
        guard file.target != nil else { return [] }
        return file.tokens.indices.compactMap { index in
            let context = BannedTokenChecks.Context(tokens: file.tokens, index: index)
            guard makesStream(context) else { return nil }
            let arguments = context.argumentWords()
            guard !arguments.contains("bufferingPolicy") || arguments.contains("unbounded"),
                !says(file, context.token.line)
            else { return nil }
            return file.finding(
                context.token.line, "a stream without a bound: give it a buffering policy, or say why in // BOUNDED:")
        }
    }

    private static func makesStream(_ context: BannedTokenChecks.Context) -> Bool {
        guard context.token.kind == .word else { return false }
        if context.text == "makeStream" {
            return context.before?.text == "." && context.after?.text == "("
                && context.tokens[..<context.index].suffix(12).contains { typeNames.contains($0.text) }
        }
        guard typeNames.contains(context.text), ["(", "{"].contains(context.after?.text) else { return false }
        return !context.argumentWords().contains("unfolding")
    }

    private static func says(_ file: SourceFile, _ line: Int) -> Bool {
        (max(1, line - 3)...line).contains { file.lexer.comments[$0]?.contains("BOUNDED:") == true }
    }
}
