// Counts the words of all files below a folder: `mesh run WordCount.wasm --dir docs:/texts --workdir /job -- /texts`.
// Files with a byte of zero in their beginning, such as pictures, are no texts. Prints the commonest, and leaves them
// all in `words.tsv` in the working folder, most common first.

@main
struct WordCount {
    static let slash: UInt8 = 0x2F

    static func main() {
        let folders = Standard.arguments()
        if folders.isEmpty {
            Standard.complain("Name the folders whose words are to be counted.\n")
            Standard.exit(2)
        }
        var counts = Counts()
        for folder in folders {
            if !counts.add(folder) { Standard.exit(1) }
        }
        let ranking = counts.ranking
        var table: [UInt8] = []
        for entry in ranking { table += entry.word + [0x09] + Array("\(entry.count)\n".utf8) }
        if !Files.write(Array("words.tsv".utf8), table) {
            Standard.complain("words.tsv cannot be written: the job needs a working folder.\n")
            Standard.exit(1)
        }
        Standard.write("\(counts.words) words, \(ranking.count) different ones, in \(counts.files) files\n")
        for entry in ranking.prefix(10) { Standard.write(Array("\(entry.count)\t".utf8) + entry.word + [0x0A]) }
    }
}

/// How often each word was seen.
struct Counts {
    var files = 0
    var words = 0
    private var counts: [[UInt8]: Int] = [:]

    /// Adds the words of a file, or of all files below a folder; says what cannot be read.
    mutating func add(_ path: [UInt8]) -> Bool {
        guard let entries = Files.entries(in: path) else {
            guard let text = Files.read(path) else {
                Standard.complain("cannot read ")
                Standard.complain(String(decoding: path, as: UTF8.self) + "\n")
                return false
            }
            if text.prefix(1_024).contains(0) { return true }
            files += 1
            count(text)
            return true
        }
        for entry in entries {
            if !add(path + [WordCount.slash] + entry.name) { return false }
        }
        return true
    }

    /// Letters of ASCII, in lower case, make a word; bytes beyond it, as UTF-8 has them in other letters, belong to it.
    private mutating func count(_ text: [UInt8]) {
        var word: [UInt8] = []
        for byte in text + [0x20] {
            if byte >= 0x61 && byte <= 0x7A || byte >= 0x80 {
                word.append(byte)
            } else if byte >= 0x41 && byte <= 0x5A {
                word.append(byte + 0x20)
            } else if !word.isEmpty {
                words += 1
                counts[word, default: 0] += 1
                word.removeAll(keepingCapacity: true)
            }
        }
    }

    /// All words, the commonest first, those of the same count in the order of their bytes.
    var ranking: [(word: [UInt8], count: Int)] {
        counts.map { (word: $0.key, count: $0.value) }.sorted {
            $0.count != $1.count ? $0.count > $1.count : $0.word.lexicographicallyPrecedes($1.word)
        }
    }
}
