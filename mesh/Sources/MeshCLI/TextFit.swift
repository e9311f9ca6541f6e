/// Text of a page fitted to a terminal: words move to the next line, and identifiers stay whole.
enum TextFit {
    /// The lines of a text: the first begins at `indent` columns, the others at `hanging`; a word that is too long for
    /// that begins a line of its own at the edge.
    static func lines(_ text: String, width: Int, indent: Int, hanging: Int) -> [String] {
        var lines: [String] = []
        var line = String(repeating: " ", count: indent)
        var isEmpty = true
        for word in text.split(separator: " ", omittingEmptySubsequences: true) {
            if !isEmpty, line.count + 1 + word.count > width {
                lines.append(line)
                line = String(repeating: " ", count: hanging)
                isEmpty = true
            }
            if isEmpty, line.count + word.count > width {
                if line.contains(where: { $0 != " " }) { lines.append(line) }
                line = ""
            }
            line += (isEmpty ? "" : " ") + word
            isEmpty = false
        }
        return lines + [line]
    }

    /// A text cut to a number of columns, with `…` for what is missing.
    static func cut(_ text: String, to columns: Int) -> String {
        text.count <= columns ? text : String(text.prefix(max(0, columns - 1))) + "…"
    }

    /// Names and values, one per line, the values aligned; on a narrow terminal a value continues on the next line.
    static func facts(_ facts: [(name: String, value: String)], width: Int?) -> String {
        guard let width else { return Table.facts(facts) }
        let names = facts.map(\.name.count).max() ?? 0
        return facts.map { fact in
            let name = fact.name + String(repeating: " ", count: names - fact.name.count + 2)
            let value = Terminal.safe(fact.value)
            if name.count + value.count <= width { return name + value + "\n" }
            var rest = lines(value, width: width, indent: name.count, hanging: name.count)
            let first = rest[0]
            if first.hasPrefix(String(repeating: " ", count: name.count)) {
                rest[0] = name + first.dropFirst(name.count)
            } else {
                rest.insert(fact.name, at: 0)
            }
            return rest.joined(separator: "\n") + "\n"
        }.joined()
    }
}
