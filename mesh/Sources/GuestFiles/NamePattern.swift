/// A pattern for one name: `*` stands for any bytes, `?` for one character, `[a-z]` for one of several, `[!a-z]` for
/// one of all others, and `\` before a character for itself. A dot at the start is a character like others.
///
/// A character is a Unicode scalar, or a byte that is no UTF-8. Nothing is folded, and ranges are by number.
struct NamePattern: Hashable, Sendable {
    private enum Token: Hashable, Sendable {
        case character(UInt32)
        case anyCharacter
        case anyRest
        case oneOf([ClosedRange<UInt32>], isNegated: Bool)
    }

    private var tokens: [Token] = []

    /// Throws where the pattern is broken off.
    init(_ bytes: some Sequence<UInt8>) throws(FileSelection.Fault) {
        let units = Self.characters(Array(bytes))
        var index = 0
        while index < units.count {
            let unit = units[index]
            index += 1
            switch unit {
            case Self.star:
                if tokens.last != .anyRest { tokens.append(.anyRest) }
            case Self.question: tokens.append(.anyCharacter)
            case Self.open: tokens.append(try Self.set(units, &index))
            case Self.backslash:
                guard index < units.count else { throw .endsInBackslash }
                tokens.append(.character(units[index]))
                index += 1
            default: tokens.append(.character(unit))
            }
        }
    }

    private static let star = UInt32(UInt8(ascii: "*"))
    private static let question = UInt32(UInt8(ascii: "?"))
    private static let open = UInt32(UInt8(ascii: "["))
    private static let close = UInt32(UInt8(ascii: "]"))
    private static let dash = UInt32(UInt8(ascii: "-"))
    private static let backslash = UInt32(UInt8(ascii: "\\"))
    private static let negations: Set<UInt32> = [UInt32(UInt8(ascii: "!")), UInt32(UInt8(ascii: "^"))]

    /// What stands in brackets; a `]` right after the opening stands for itself.
    private static func set(_ units: [UInt32], _ index: inout Int) throws(FileSelection.Fault) -> Token {
        var ranges: [ClosedRange<UInt32>] = []
        let isNegated = index < units.count && negations.contains(units[index])
        if isNegated { index += 1 }
        while index < units.count {
            if units[index] == close, !ranges.isEmpty {
                index += 1
                return .oneOf(ranges, isNegated: isNegated)
            }
            let first = try member(units, &index)
            guard index + 1 < units.count, units[index] == dash, units[index + 1] != close else {
                ranges.append(first...first)
                continue
            }
            index += 1
            let last = try member(units, &index)
            guard first <= last else { throw .emptyRange }
            ranges.append(first...last)
        }
        throw .openBracket
    }

    private static func member(_ units: [UInt32], _ index: inout Int) throws(FileSelection.Fault) -> UInt32 {
        if units[index] == backslash { index += 1 }
        guard index < units.count else { throw .openBracket }
        defer { index += 1 }
        return units[index]
    }

    /// Scalars, and bytes that are none as numbers past all scalars.
    private static func characters(_ bytes: [UInt8]) -> [UInt32] {
        var parser = Unicode.UTF8.ForwardParser()
        var iterator = bytes.makeIterator()
        var position = 0
        var characters: [UInt32] = []
        while true {
            switch parser.parseScalar(from: &iterator) {
            case .valid(let encoded):
                characters.append(Unicode.UTF8.decode(encoded).value)
                position += encoded.count
            case .error(let length):
                characters += bytes[position..<position + length].map { 0x11_0000 + UInt32($0) }
                position += length
            case .emptyInput: return characters
            }
        }
    }

    /// Whether there is a wildcard in a part of a pattern.
    static func isPattern(_ bytes: some Sequence<UInt8>) -> Bool {
        bytes.contains { [UInt8(ascii: "*"), UInt8(ascii: "?"), UInt8(ascii: "["), UInt8(ascii: "\\")].contains($0) }
    }

    /// Whether a name fits. Takes at most as many steps as name times pattern: of several `*` only the last is tried
    /// again.
    func matches(_ name: FileName) -> Bool {
        let text = Self.characters(name.bytes)
        var position = 0
        var token = 0
        var retry: (token: Int, position: Int)?
        while true {
            if token < tokens.count, tokens[token] == .anyRest {
                retry = (token, position)
                token += 1
            } else if position < text.count, token < tokens.count, fits(text[position], tokens[token]) {
                position += 1
                token += 1
            } else if position == text.count, token == tokens.count {
                return true
            } else if let last = retry, last.position < text.count {
                retry = (last.token, last.position + 1)
                position = last.position + 1
                token = last.token + 1
            } else {
                return false
            }
        }
    }

    private func fits(_ character: UInt32, _ token: Token) -> Bool {
        switch token {
        case .character(let own): own == character
        case .anyCharacter: true
        case .oneOf(let ranges, let isNegated): ranges.contains { $0.contains(character) } != isNegated
        case .anyRest: false
        }
    }
}
