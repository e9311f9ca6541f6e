/// What stands on a terminal of some columns after a program has written to it, as lines without an end to scrolling.
///
/// It knows what the product uses: carriage return, line feed, backspace, tab, cursor movement by rows and columns, and
/// erasing. Colours are passed over. Everything else stands in `unknownSequences`.
struct TerminalScreen {
    private enum State {
        case text
        case escape
        /// After `ESC [`, with the parameters so far.
        case sequence(String)
    }

    let columns: Int
    /// The lines, without trailing blanks.
    var lines: [String] {
        rows.map { row in
            var line = String(String.UnicodeScalarView(row))
            while line.last == " " { line.removeLast() }
            return line
        }
    }
    /// The whole, without empty lines at its end.
    var text: String {
        var lines = self.lines
        while lines.last?.isEmpty == true { lines.removeLast() }
        return lines.joined(separator: "\n")
    }
    /// The lines that the program wrote over the edge, so that the terminal broke them, as they stood at the edge.
    private(set) var overflows: [String] = []
    /// Control sequences that this screen does not know.
    private(set) var unknownSequences: [String] = []
    /// Everything that was ever printed, without control sequences: also what was erased later.
    private(set) var printed = ""

    private var rows: [[Unicode.Scalar]] = [[]]
    private var row = 0
    private var column = 0
    private var state = State.text
    /// The bytes of a character of which the rest has not come yet.
    private var unfinished: [UInt8] = []

    init(columns: Int) {
        self.columns = columns
    }

    /// Takes what the program wrote next; a character or a sequence may be cut anywhere.
    mutating func write(_ bytes: some Sequence<UInt8>) {
        unfinished += bytes
        let complete = unfinished.count - Self.unfinishedTail(of: unfinished)
        let text = String(decoding: unfinished[..<complete], as: UTF8.self)
        unfinished.removeFirst(complete)
        for scalar in text.unicodeScalars { take(scalar) }
    }

    /// How many bytes at the end begin a character and do not finish it.
    private static func unfinishedTail(of bytes: [UInt8]) -> Int {
        for length in 1...3 where length <= bytes.count {
            let byte = bytes[bytes.count - length]
            if byte & 0b1100_0000 == 0b1000_0000 { continue }
            let wanted = byte >= 0xF0 ? 4 : byte >= 0xE0 ? 3 : byte >= 0xC0 ? 2 : 1
            return wanted > length ? length : 0
        }
        return 0
    }

    private mutating func take(_ scalar: Unicode.Scalar) {
        switch state {
        case .escape:
            state = scalar == "[" ? .sequence("") : .text
            if scalar != "[" { unknownSequences.append("ESC \(scalar)") }
        case .sequence(let parameters):
            if (0x40...0x7E).contains(scalar.value) {
                state = .text
                perform(scalar, parameters)
            } else {
                state = .sequence(parameters + String(scalar))
            }
        case .text:
            takeText(scalar)
        }
    }

    private mutating func takeText(_ scalar: Unicode.Scalar) {
        switch scalar {
        case "\u{1B}": state = .escape
        case "\r":
            column = 0
            printed.unicodeScalars.append(scalar)
        case "\n":
            move(toRow: row + 1)
            printed.unicodeScalars.append(scalar)
        case "\u{8}": column = max(0, column - 1)
        case "\t": column = min(columns - 1, (column / 8 + 1) * 8)
        case _ where scalar.value < 0x20 || scalar.value == 0x7F:
            unknownSequences.append("control \(scalar.value)")
        default:
            put(scalar)
            printed.unicodeScalars.append(scalar)
        }
    }

    private mutating func put(_ scalar: Unicode.Scalar) {
        if column == columns {
            overflows.append(lines[row])
            move(toRow: row + 1)
            column = 0
        }
        while rows[row].count <= column { rows[row].append(" ") }
        rows[row][column] = scalar
        column += 1
    }

    private mutating func move(toRow wanted: Int) {
        row = max(0, wanted)
        while rows.count <= row { rows.append([]) }
    }

    private mutating func perform(_ final: Unicode.Scalar, _ parameters: String) {
        let count = max(1, Int(parameters) ?? 1)
        switch (final, parameters) {
        case ("A", _): move(toRow: row - count)
        case ("B", _): move(toRow: row + count)
        case ("C", _): column = min(columns - 1, column + count)
        case ("D", _): column = max(0, column - count)
        case ("G", _): column = min(columns, count) - 1
        case ("K", ""), ("K", "0"): rows[row].removeSubrange(min(column, rows[row].count)...)
        case ("K", "2"): rows[row] = []
        case ("J", ""), ("J", "0"):
            rows[row].removeSubrange(min(column, rows[row].count)...)
            rows.removeSubrange((row + 1)...)
        case ("m", _), ("h", "?25"), ("l", "?25"): break
        default: unknownSequences.append("ESC [ \(parameters)\(final)")
        }
    }
}
