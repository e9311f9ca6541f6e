import Foundation
import Synchronization

/// Makes text safe for the terminal: no foreign text may move its cursor, change its colours or reorder its lines.
enum Terminal {
    /// One line of text with every control and reordering character written out, such as `\u{1B}` for escape.
    static func safe(_ text: String) -> String {
        escape(text, keeping: [])
    }

    /// Text of several lines: line breaks and tabs stay, every other control character is written out.
    static func safeLines(_ text: String) -> String {
        escape(text, keeping: ["\n", "\t"])
    }

    /// The same JSON, with every control and reordering character escaped.
    static func safeJSON(_ text: String) -> String {
        var result = ""
        result.reserveCapacity(text.utf8.count)
        for scalar in text.unicodeScalars {
            if scalar != "\n", isUnsafe(scalar) {
                for unit in String(scalar).utf16 {
                    let digits = String(unit, radix: 16, uppercase: true)
                    result += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
                }
            } else {
                result.unicodeScalars.append(scalar)
            }
        }
        return result
    }

    /// The columns that listings are fitted into; all that they need unless `fitOutput` found a terminal.
    static var outputColumns: Int { output.withLock { $0 } }
    private static let output = Mutex(Int.max)

    /// Lets listings fit the terminal at standard output, if there is one; a file or pipe gets whole lines.
    static func fitOutput() {
        if isatty(STDOUT_FILENO) == 1 { output.withLock { $0 = columns(STDOUT_FILENO) } }
    }

    /// Whether a descriptor is a terminal that understands cursor movement.
    static func isInteractive(_ descriptor: Int32) -> Bool {
        isatty(descriptor) == 1 && ProcessInfo.processInfo.environment["TERM"] != "dumb"
    }

    /// The columns of the terminal at a descriptor; 80 if unknown.
    static func columns(_ descriptor: Int32) -> Int {
        var size = winsize()
        guard ioctl(descriptor, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0 else { return 80 }
        return Int(size.ws_col)
    }

    private static func escape(_ text: String, keeping kept: Set<Unicode.Scalar>) -> String {
        guard text.unicodeScalars.contains(where: { isUnsafe($0) && !kept.contains($0) }) else { return text }
        var result = ""
        for scalar in text.unicodeScalars {
            switch scalar {
            case _ where kept.contains(scalar): result.unicodeScalars.append(scalar)
            case "\n": result += "\\n"
            case "\r": result += "\\r"
            case "\t": result += "\\t"
            case _ where isUnsafe(scalar): result += "\\u{\(String(scalar.value, radix: 16, uppercase: true))}"
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result
    }

    /// Control characters, line and paragraph separators, and everything that reorders or hides text.
    private static func isUnsafe(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.value {
        case 0x00..<0x20, 0x7F..<0xA0, 0xAD, 0x061C, 0x200B...0x200F, 0x2028...0x202E, 0x2060...0x206F, 0xFEFF,
            0xFFF9...0xFFFB, 0xE0000...0xE007F:
            true
        default: false
        }
    }
}
