/// Rows under aligned columns; every cell is made safe for the terminal.
struct Table {
    /// The side of its column to which a cell is aligned.
    enum Alignment {
        case left
        case right
    }

    private let titles: [String]
    private let alignments: [Alignment]
    private var rows: [[String]] = []

    /// A table with a title and an alignment per column.
    init(_ columns: [(title: String, alignment: Alignment)]) {
        titles = columns.map(\.title)
        alignments = columns.map(\.alignment)
    }

    /// Adds a row; missing cells are empty.
    mutating func add(_ cells: [String]) {
        let safe = cells.prefix(titles.count).map(Terminal.safe)
        rows.append(safe + Array(repeating: "", count: titles.count - safe.count))
    }

    /// The lines, titles first, without trailing blanks, fitted into the terminal.
    var text: String { text(columns: Terminal.outputColumns) }

    /// The lines, of at most `columns`. A row that is too wide is folded: the columns that do not fit go on below, and
    /// text in the last of them is broken at blanks.
    func text(columns: Int) -> String {
        let widths = titles.indices.map { column in
            ([titles[column]] + rows.map { $0[column] }).map(\.count).max() ?? 0
        }
        let words = rows.flatMap { $0.last?.split(separator: " ").map(\.count) ?? [] }
        let folds = Self.folds(widths, columns, textMin: max(Self.textMin, words.max() ?? 0))
        return heading(folds, widths, columns)
            + rows.map { row in folds.map { lines(of: row, fold: $0, widths, columns) }.joined() }.joined()
    }

    /// The titles: those of columns that go on below stand behind a slash, or folded in the same way if that is too
    /// long.
    private func heading(_ folds: [Fold], _ widths: [Int], _ columns: Int) -> String {
        let lines = folds.map { self.lines(of: titles, fold: $0, widths, columns) }
        guard folds.count > 1, let first = lines.first?.dropLast(), !first.contains("\n") else { return lines.joined() }
        let below = folds.dropFirst().map { titles[$0.columns].joined(separator: "  ") }
        let line = ([String(first)] + below).joined(separator: " / ") + "\n"
        return line.count - 1 <= columns ? line : lines.joined()
    }

    /// Columns that stand in one line, and by how much that line is indented.
    private struct Fold {
        let columns: Range<Int>
        let indent: Int
    }

    private static let foldIndent = 2
    /// The least room for text that is broken at blanks; with less it goes on below.
    private static let textMin = 24

    /// The folds of a row: as many columns in each as fit, the last column broken if it has room for text.
    private static func folds(_ widths: [Int], _ columns: Int, textMin: Int) -> [Fold] {
        var folds: [Fold] = []
        var start = 0
        while start < widths.count {
            let indent = start == 0 ? 0 : foldIndent
            var end = start
            var used = indent
            while end < widths.count {
                let needed = used + (end > start ? 2 : 0) + widths[end]
                let isText = end == widths.count - 1 && columns - used - 2 >= textMin
                guard needed <= columns || end == start || isText else { break }
                used = needed
                end += 1
            }
            folds.append(Fold(columns: start..<end, indent: indent))
            start = end
        }
        return folds
    }

    private func lines(of row: [String], fold: Fold, _ widths: [Int], _ columns: Int) -> String {
        var line = String(repeating: " ", count: fold.indent)
        for column in fold.columns {
            let cell = row[column]
            let isLast = column == fold.columns.upperBound - 1
            let room = isLast ? max(0, columns - line.count - cell.count) : widths[column]
            let blanks = String(repeating: " ", count: min(room, max(0, widths[column] - cell.count)))
            if isLast, line.count + cell.count > columns {
                let hang = columns - line.count >= Self.textMin ? line.count : fold.indent
                return TextLayout.lines(of: line + cell, columns: columns, hanging: hang)
                    .map { Self.trimmed($0) }.filter { !$0.isEmpty }.map { $0 + "\n" }.joined()
            }
            line += alignments[column] == .left ? cell + blanks : blanks + cell
            if !isLast { line += "  " }
        }
        let whole = Self.trimmed(line)
        return whole.isEmpty && fold.columns.lowerBound > 0 ? "" : whole + "\n"
    }

    private static func trimmed(_ line: String) -> String {
        var line = line
        while line.last == " " { line.removeLast() }
        return line
    }

    /// The widest name behind which all values are aligned; a longer one, which others chose, moves only its own.
    private static let nameMax = 40

    /// Names and values, one per line, the values aligned, fitted into the terminal.
    static func facts(
        _ facts: [(name: String, value: String)], columns: Int = Terminal.outputColumns
    ) -> String {
        let width = min(nameMax, facts.map(\.name.count).max() ?? 0)
        return facts.flatMap { fact in
            let blanks = String(repeating: " ", count: max(0, width - fact.name.count) + 2)
            let line = "\(fact.name)\(blanks)\(Terminal.safe(fact.value))"
            return TextLayout.lines(of: Self.trimmed(line), columns: columns)
        }.map { $0 + "\n" }.joined()
    }
}
