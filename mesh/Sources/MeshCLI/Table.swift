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

    /// The lines, titles first, without trailing blanks.
    var text: String {
        let widths = titles.indices.map { column in
            ([titles[column]] + rows.map { $0[column] }).map(\.count).max() ?? 0
        }
        return ([titles] + rows).map { line(of: $0, widths) + "\n" }.joined()
    }

    private func line(of cells: [String], _ widths: [Int]) -> String {
        var line = ""
        for (column, cell) in cells.enumerated() {
            let blanks = String(repeating: " ", count: widths[column] - cell.count)
            line += alignments[column] == .left ? cell + blanks : blanks + cell
            if column < cells.count - 1 { line += "  " }
        }
        while line.last == " " { line.removeLast() }
        return line
    }

    /// Names and values, one per line, the values aligned.
    static func facts(_ facts: [(name: String, value: String)]) -> String {
        let width = facts.map(\.name.count).max() ?? 0
        return facts.map { fact in
            let blanks = String(repeating: " ", count: width - fact.name.count + 2)
            return "\(fact.name)\(blanks)\(Terminal.safe(fact.value))\n"
        }.joined()
    }
}
