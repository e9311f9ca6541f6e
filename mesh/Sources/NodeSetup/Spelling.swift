/// Finds what a misspelt word was meant to be.
package enum Spelling {
    /// The longest word that is compared; a longer one is no misspelt name.
    private static let charactersMax = 32

    /// The name that is most like a word, if one is like it: it begins the same or few letters differ.
    package static func likely(_ word: String, among names: [String]) -> String? {
        let word = word.lowercased()
        guard !word.isEmpty, word.count <= charactersMax else { return nil }
        if word.count >= 2, let longer = names.first(where: { $0.hasPrefix(word) }) { return longer }
        let ranked = names.map { name in
            (name: name, distance: distance(Array(word), Array(name)), isBegun: word.hasPrefix(name))
        }
        // Of two as like it the one that it begins with is meant.
        guard let best = ranked.min(by: { ($0.distance, $1.isBegun ? 1 : 0) < ($1.distance, $0.isBegun ? 1 : 0) })
        else { return nil }
        if best.distance <= max(1, max(word.count, best.name.count) / 3) { return best.name }
        return word.count >= 2 ? names.first { word.hasPrefix($0) } : nil
    }

    /// How many letters are missing, added, changed or swapped with their neighbour.
    static func distance(_ one: [Character], _ other: [Character]) -> Int {
        var rows = [Array(0...other.count)]
        for (row, letter) in one.enumerated() {
            var next = [row + 1]
            for (column, counterpart) in other.enumerated() {
                let changed = rows[row][column] + (letter == counterpart ? 0 : 1)
                var least = min(changed, rows[row][column + 1] + 1, next[column] + 1)
                if row > 0, column > 0, letter == other[column - 1], one[row - 1] == counterpart {
                    least = min(least, rows[row - 1][column - 1] + 1)
                }
                next.append(least)
            }
            rows.append(next)
        }
        return rows[one.count][other.count]
    }
}
