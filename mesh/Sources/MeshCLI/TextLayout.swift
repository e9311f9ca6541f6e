/// Fits text into the columns of a terminal: broken at blanks, and cut only where a listing has no room.
enum TextLayout {
    /// The longest label that continuation lines are indented by.
    private static let labelMax = 26

    /// A line as lines of at most `columns`.
    ///
    /// What follows a label stays behind it: `used     1,234 fuel, …` goes on under the `1`. A word that is longer than
    /// what is left, such as a CID, gets a line of its own; one that is longer than a whole line, such as an address,
    /// is broken behind a slash. `hanging` is how far all lines but the first are indented, if not by the label.
    static func lines(of line: String, columns: Int, hanging: Int? = nil) -> [String] {
        guard line.count > columns, columns > 0 else { return [line] }
        let label = label(of: line)
        let hanging = hanging ?? label.count
        let indent = String(repeating: " ", count: hanging < columns ? hanging : 0)
        var lines: [String] = []
        var current = label
        var isEmpty = true
        for word in line.dropFirst(label.count).split(separator: " ", omittingEmptySubsequences: false) {
            let longer = isEmpty ? current + word : current + " " + word
            if longer.count <= columns || word.isEmpty {
                current = longer
                isEmpty = false
                continue
            }
            if let full = trimmed(current) { lines.append(full) }
            current = indent + word
            // Where there is no room for all of the indent, a little of it shows what the word belongs to.
            if current.count > columns { current = String(repeating: " ", count: min(2, indent.count)) + word }
            if current.count > columns { current = String(word) }
            while current.count > columns {
                let piece = piece(of: current, columns)
                lines.append(piece)
                current = String(current.dropFirst(piece.count))
            }
            isEmpty = false
        }
        if let last = trimmed(current) { lines.append(last) }
        // Of nothing but blanks one line is left.
        return lines.isEmpty ? [""] : lines
    }

    /// Text of several lines, each fitted.
    static func text(_ text: String, columns: Int) -> String {
        text.split(separator: "\n", omittingEmptySubsequences: false)
            .flatMap { lines(of: String($0), columns: columns) }.joined(separator: "\n")
    }

    /// A text cut to a number of columns, with `…` for what is missing.
    static func cut(_ text: String, to columns: Int) -> String {
        text.count <= columns ? text : String(text.prefix(max(0, columns - 1))) + "…"
    }

    /// The part of a line that its continuation is indented by: blanks, and a first column that two blanks end.
    private static func label(of line: String) -> String {
        let start = line.prefix { $0 == " " }
        let rest = line.dropFirst(start.count)
        guard let gap = rest.firstRange(of: "  "), gap.lowerBound > rest.startIndex else { return String(start) }
        let end = rest[gap.lowerBound...].firstIndex { $0 != " " } ?? rest.endIndex
        let label = line[..<end]
        return label.count <= labelMax ? String(label) : String(start)
    }

    /// The beginning of a word that fits, to behind its last slash if there is one.
    private static func piece(of word: String, _ columns: Int) -> String {
        let most = word.prefix(columns)
        guard let slash = most.lastIndex(of: "/"), slash > most.startIndex else { return String(most) }
        return String(most[..<slash])
    }

    /// A line without its trailing blanks; nil if nothing is left.
    private static func trimmed(_ line: String) -> String? {
        guard let last = line.lastIndex(where: { $0 != " " }) else { return nil }
        return String(line[...last])
    }
}
