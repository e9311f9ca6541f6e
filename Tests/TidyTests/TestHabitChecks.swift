/// Checks that tests wait for conditions and never for time.
enum TestHabitChecks {
    static func findings(in file: SourceFile) -> [Finding] {
        guard file.isTest, file.isSwift else { return [] }
        return file.tokens.indices.compactMap { index in
            let token = file.tokens[index]
            guard token.kind == .word, index + 1 < file.tokens.count, file.tokens[index + 1].text == "(" else {
                return nil
            }
            guard ["sleep", "usleep", "nanosleep"].contains(token.text) else { return nil }
            guard !standsForEver(file.tokens, index) else { return nil }
            guard index == 0 || file.tokens[index - 1].text != "func" else { return nil }
            return file.finding(token.line, "\(token.text) in a test: wait for the condition itself")
        }
    }

    /// `sleep(for: .seconds(60))` and longer: a handler that never answers, until it is cancelled.
    private static func standsForEver(_ tokens: [Token], _ index: Int) -> Bool {
        let words = tokens[index..<min(index + 7, tokens.count)].map(\.text)
        guard words.count == 7, words[1...5].elementsEqual(["(", "for", ":", ".", "seconds"]) else { return false }
        guard index + 7 < tokens.count, let seconds = Int(tokens[index + 7].text) else { return false }
        return seconds >= 60
    }
}
