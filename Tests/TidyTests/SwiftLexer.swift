/// One word, operator character or string of Swift source, with where it stands.
struct Token: Equatable {
    enum Kind: Equatable {
        /// Identifiers, keywords and numbers.
        case word
        /// One character of punctuation.
        case punctuation
        /// A whole string literal; code inside its interpolations follows as tokens of its own.
        case string
    }

    var kind: Kind
    var text: String
    var line: Int
    /// Whether a space, a comment or a line end stands between this token and the one before it.
    var afterSpace: Bool
}

/// The comments and tokens of one file; text in strings and comments is never taken for code.
///
/// It knows nested block comments, multi-line and raw strings and their interpolations. It knows no regex literals:
/// the sources have none, and the cores are not allowed any.
struct SwiftLexer {
    private(set) var tokens: [Token] = []
    /// The comment text on each line, from its slashes on; lines count from 1.
    private(set) var comments: [Int: String] = [:]

    private let bytes: [UInt8]
    private var position = 0
    private var line = 1
    private var afterSpace = true

    init(_ source: String) {
        bytes = Array(source.utf8)
        lexCode(untilClosingParenthesis: false)
    }

    private func byte(_ offset: Int = 0) -> UInt8? {
        position + offset < bytes.count ? bytes[position + offset] : nil
    }

    private func looking(at text: StaticString) -> Bool {
        text.withUTF8Buffer { wanted in
            position + wanted.count <= bytes.count && bytes[position..<(position + wanted.count)].elementsEqual(wanted)
        }
    }

    private mutating func advance() {
        if bytes[position] == UInt8(ascii: "\n") { line += 1 }
        position += 1
    }

    private mutating func add(_ kind: Token.Kind, _ text: String, line: Int) {
        tokens.append(Token(kind: kind, text: text, line: line, afterSpace: afterSpace))
        afterSpace = false
    }

    private mutating func lexCode(untilClosingParenthesis: Bool) {
        var depth = 0
        while let next = byte() {
            switch next {
            case UInt8(ascii: " "), UInt8(ascii: "\t"), UInt8(ascii: "\r"), UInt8(ascii: "\n"):
                afterSpace = true
                advance()
            case UInt8(ascii: "/") where looking(at: "//"): lexLineComment()
            case UInt8(ascii: "/") where looking(at: "/*"): lexBlockComment()
            case UInt8(ascii: "\""): lexString(hashes: 0)
            case UInt8(ascii: "#") where hashesBeforeString() > 0: lexString(hashes: hashesBeforeString())
            case _ where Self.isWord(next): lexWord()
            default:
                if untilClosingParenthesis {
                    if next == UInt8(ascii: "(") { depth += 1 }
                    if next == UInt8(ascii: ")") {
                        if depth == 0 { return }
                        depth -= 1
                    }
                }
                add(.punctuation, String(UnicodeScalar(next)), line: line)
                advance()
            }
        }
    }

    private static func isWord(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "_"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "$"), UInt8(ascii: "`"), 0x80...:
            return true
        default:
            return false
        }
    }

    private mutating func lexWord() {
        let start = position
        while let next = byte(), Self.isWord(next) { advance() }
        add(.word, String(decoding: bytes[start..<position], as: UTF8.self), line: line)
    }

    private mutating func note(_ comment: ArraySlice<UInt8>, line: Int) {
        comments[line, default: ""] += String(decoding: comment, as: UTF8.self)
    }

    private mutating func lexLineComment() {
        let start = position
        while let next = byte(), next != UInt8(ascii: "\n") { advance() }
        note(bytes[start..<position], line: line)
        afterSpace = true
    }

    private mutating func lexBlockComment() {
        var depth = 0
        var lineStart = position
        repeat {
            if looking(at: "/*") {
                depth += 1
                position += 2
            } else if looking(at: "*/") {
                depth -= 1
                position += 2
            } else {
                if byte() == UInt8(ascii: "\n") {
                    note(bytes[lineStart..<position], line: line)
                    lineStart = position + 1
                }
                advance()
            }
        } while depth > 0 && position < bytes.count
        note(bytes[min(lineStart, position)..<position], line: line)
        afterSpace = true
    }

    private func hashesBeforeString() -> Int {
        var count = 0
        while byte(count) == UInt8(ascii: "#") { count += 1 }
        return byte(count) == UInt8(ascii: "\"") ? count : 0
    }

    private mutating func lexString(hashes: Int) {
        let startLine = line
        position += hashes
        let isMultiline = looking(at: "\"\"\"")
        let quotes = isMultiline ? 3 : 1
        position += quotes
        let index = tokens.count
        add(.string, "", line: startLine)
        var text: [UInt8] = []
        while let next = byte() {
            if next == UInt8(ascii: "\""), closes(quotes: quotes, hashes: hashes) {
                position += quotes + hashes
                break
            }
            if !isMultiline, next == UInt8(ascii: "\n") { break }
            if next == UInt8(ascii: "\\"), hasHashes(hashes, at: 1) {
                position += 1 + hashes
                if byte() == UInt8(ascii: "(") {
                    position += 1
                    lexCode(untilClosingParenthesis: true)
                }
                if position < bytes.count { advance() }
                continue
            }
            text.append(next)
            advance()
        }
        tokens[index].text = String(decoding: text, as: UTF8.self)
        afterSpace = false
    }

    private func hasHashes(_ count: Int, at offset: Int) -> Bool {
        (0..<count).allSatisfy { byte(offset + $0) == UInt8(ascii: "#") }
    }

    private func closes(quotes: Int, hashes: Int) -> Bool {
        (0..<quotes).allSatisfy { byte($0) == UInt8(ascii: "\"") } && hasHashes(hashes, at: quotes)
    }
}
