// A job worth looking at: reads any UTF-8 text on standard input and draws its portrait for a terminal, in 72 columns:
// its size and reading time, the words it is about, how long its words and sentences are, its longest words, and how
// full its lines are from the first to the last. The figures are also left as the named output `summary.json`.

@main
struct TextPortrait {
    static func main() {
        let bytes = Standard.readAll()
        Mesh.log(.info, "read \(bytes.count) bytes")
        Mesh.progress(100)
        let text = Text(bytes)
        Mesh.progress(600)
        if text.words == 0 {
            Standard.complain("There are no words on standard input; give this job a text as its input \"stdin\".\n")
            Standard.exit(1)
        }
        var page = Page()
        page.draw(text)
        Standard.write(page.bytes)
        Mesh.progress(900)
        if !Mesh.output("summary.json", summary(text)) {
            Mesh.log(.warning, "summary.json could not be written")
        }
        Mesh.log(.info, "\(text.words) words, \(text.counts.count) different ones")
        Mesh.progress(1000)
    }

    /// The figures as JSON, keys in alphabetical order.
    static func summary(_ text: Text) -> [UInt8] {
        var json = Page()
        json.add("{\"bytes\":\(text.byteCount),\"characters\":\(text.characters),")
        json.add("\"different_words\":\(text.counts.count),\"lines\":\(text.lines),")
        json.add("\"longest_sentence_words\":\(text.longestSentence),\"reading_seconds\":\(text.readingSeconds),")
        json.add("\"sentences\":\(text.sentences),\"top_words\":[")
        for (index, entry) in text.subjects(10).enumerated() {
            json.add(index == 0 ? "{\"count\":\(entry.count),\"word\":\"" : ",{\"count\":\(entry.count),\"word\":\"")
            json.bytes += entry.word
            json.add("\"}")
        }
        json.add("],\"words\":\(text.words)}\n")
        return json.bytes
    }
}

// MARK: Reading

/// What there is to say about a text, found in one pass over its scalars.
struct Text {
    static let wordsPerMinute = 230

    let byteCount: Int
    var characters = 0
    var lines = 0
    var words = 0
    var sentences = 0
    var longestSentence = 0
    var counts: [[UInt8]: Int] = [:]
    /// Words by length in letters; the last place is for all longer ones.
    var lengths = [Int](repeating: 0, count: 17)
    /// Words in each line.
    var wordsInLines: [Int] = []

    private var word: [UInt8] = []
    private var letters = 0
    private var hasLetter = false
    private var sentence = 0
    private var wordsInLine = 0

    var readingSeconds: Int { (words * 60 + Text.wordsPerMinute - 1) / Text.wordsPerMinute }

    init(_ bytes: [UInt8]) {
        byteCount = bytes.count
        var decoder = Scalars(bytes)
        var mayEndSentence = false
        var isLineEmpty = true
        while let scalar = decoder.next() {
            // A continuation of the character before it is not counted.
            if !Script.isMark(scalar) { characters += 1 }
            if Script.isWordPart(scalar) {
                Script.append(Script.lowercase(scalar), to: &word)
                if !Script.isMark(scalar) { letters += 1 }
                if !Script.isDigit(scalar) { hasLetter = true }
                mayEndSentence = false
                isLineEmpty = false
                continue
            }
            // An apostrophe belongs to a word that goes on after it; a trailing one is cut off in `endWord`.
            if (scalar == 0x27 || scalar == 0x2019) && letters > 0 {
                word.append(0x27)
                continue
            }
            endWord()
            let isSpace = scalar == 0x20 || scalar == 0x0A || scalar == 0x0D || scalar == 0x09
            // A full stop ends a sentence only before a space: version 1.0 and a.b are none. So does an empty line.
            if isSpace && mayEndSentence || scalar == 0x3002 { endSentence() }
            mayEndSentence = scalar == 0x2E || scalar == 0x21 || scalar == 0x3F || scalar == 0x2026
            if scalar == 0x0A {
                if isLineEmpty { endSentence() }
                endLine()
            }
            isLineEmpty = scalar == 0x0A || isLineEmpty && isSpace
        }
        endWord()
        endSentence()
        if let last = bytes.last, last != 0x0A { endLine() }
    }

    private mutating func endWord() {
        while word.last == 0x27 { word.removeLast() }
        if hasLetter && !word.isEmpty {
            words += 1
            sentence += 1
            counts[word, default: 0] += 1
            lengths[min(letters, lengths.count - 1)] += 1
            wordsInLine += 1
        }
        word = []
        letters = 0
        hasLetter = false
    }

    private mutating func endLine() {
        lines += 1
        wordsInLines.append(wordsInLine)
        wordsInLine = 0
    }

    private mutating func endSentence() {
        if sentence > 0 { sentences += 1 }
        longestSentence = max(longestSentence, sentence)
        sentence = 0
    }

    /// The most frequent words that say something, at most `limit`.
    func subjects(_ limit: Int) -> [(word: [UInt8], count: Int)] {
        var list: [(word: [UInt8], count: Int)] = []
        for (word, count) in counts where count > 1 && word.count > 2 && !Script.isCommon(word) {
            list.append((word, count))
        }
        if list.isEmpty { for (word, count) in counts { list.append((word, count)) } }
        list.sort { $0.count != $1.count ? $0.count > $1.count : precedes($0.word, $1.word) }
        return Array(list.prefix(limit))
    }

    /// The mean number of words in a line, in tenths, for each of at most `limit` equally long slices of the text.
    func shape(_ limit: Int) -> [Int] {
        let columns = min(limit, wordsInLines.count)
        var shape: [Int] = []
        for column in 0..<columns {
            let first = column * wordsInLines.count / columns
            let last = (column + 1) * wordsInLines.count / columns
            shape.append(wordsInLines[first..<last].reduce(0, +) * 10 / (last - first))
        }
        return shape
    }

    /// The longest words, at most `limit`.
    func longest(_ limit: Int) -> [[UInt8]] {
        var list: [(word: [UInt8], width: Int)] = []
        for word in counts.keys { list.append((word, Script.width(word))) }
        list.sort { $0.width != $1.width ? $0.width > $1.width : precedes($0.word, $1.word) }
        return Array(list.prefix(limit).map { $0.word })
    }

    private func precedes(_ left: [UInt8], _ right: [UInt8]) -> Bool {
        left.lexicographicallyPrecedes(right)
    }
}

/// Decodes UTF-8; a byte that is none becomes U+FFFD.
struct Scalars {
    private let bytes: [UInt8]
    private(set) var offset = 0

    init(_ bytes: [UInt8]) { self.bytes = bytes }

    mutating func next() -> UInt32? {
        guard offset < bytes.count else { return nil }
        let first = UInt32(bytes[offset])
        offset += 1
        if first < 0x80 { return first }
        let more =
            first >= 0xF0 && first < 0xF5
            ? 3 : first >= 0xE0 && first < 0xF0 ? 2 : first >= 0xC2 && first < 0xE0 ? 1 : 0
        guard more > 0, offset + more <= bytes.count else { return 0xFFFD }
        var value = first & (0x3F >> UInt32(more))
        for index in 0..<more {
            let byte = UInt32(bytes[offset + index])
            guard byte & 0xC0 == 0x80 else { return 0xFFFD }
            value = value << 6 | (byte & 0x3F)
        }
        offset += more
        return value
    }
}

/// What has to be known of the world's scripts, without tables: letters, marks, case, width.
enum Script {
    static func isDigit(_ scalar: UInt32) -> Bool { scalar >= 0x30 && scalar <= 0x39 }

    static func isWordPart(_ scalar: UInt32) -> Bool {
        switch scalar {
        case 0x30...0x39, 0x41...0x5A, 0x61...0x7A: true
        case 0..<0xC0, 0xD7, 0xF7: scalar == 0xAA || scalar == 0xB5 || scalar == 0xBA
        // Punctuation, arrows, mathematics, boxes, symbols, emoji, private use, and what could not be decoded.
        case 0x2000...0x206F, 0x2070...0x2BFF, 0x3000...0x303F, 0xE000...0xF8FF, 0xFE00...0xFE6F, 0xFF00...0xFF0F: false
        case 0xFFF0...0xFFFF, 0x1F000...0x1FAFF: false
        default: true
        }
    }

    static func isMark(_ scalar: UInt32) -> Bool {
        (scalar >= 0x300 && scalar <= 0x36F) || (scalar >= 0xFE00 && scalar <= 0xFE0F) || scalar == 0x200D
    }

    static func lowercase(_ scalar: UInt32) -> UInt32 {
        switch scalar {
        case 0x41...0x5A, 0xC0...0xD6, 0xD8...0xDE, 0x391...0x3A9, 0x410...0x42F: scalar + 0x20
        case 0x400...0x40F: scalar + 0x50
        case 0x100...0x137, 0x14A...0x177, 0x460...0x481, 0x1E00...0x1E95: scalar | 1
        case 0x139...0x148, 0x179...0x17E: scalar & 1 == 1 ? scalar + 1 : scalar
        default: scalar
        }
    }

    static func append(_ scalar: UInt32, to bytes: inout [UInt8]) {
        if scalar < 0x80 {
            bytes.append(UInt8(scalar))
        } else if scalar < 0x800 {
            bytes.append(UInt8(0xC0 | scalar >> 6))
            bytes.append(UInt8(0x80 | scalar & 0x3F))
        } else if scalar < 0x10000 {
            bytes.append(UInt8(0xE0 | scalar >> 12))
            bytes.append(UInt8(0x80 | scalar >> 6 & 0x3F))
            bytes.append(UInt8(0x80 | scalar & 0x3F))
        } else {
            bytes.append(UInt8(0xF0 | scalar >> 18))
            bytes.append(UInt8(0x80 | scalar >> 12 & 0x3F))
            bytes.append(UInt8(0x80 | scalar >> 6 & 0x3F))
            bytes.append(UInt8(0x80 | scalar & 0x3F))
        }
    }

    /// Columns of a terminal that a text takes.
    static func width(_ bytes: [UInt8]) -> Int {
        var scalars = Scalars(bytes)
        var width = 0
        while let scalar = scalars.next() {
            if isMark(scalar) { continue }
            let isWide =
                (scalar >= 0x1100 && scalar <= 0x115F) || (scalar >= 0x2E80 && scalar <= 0xA4CF)
                || (scalar >= 0xAC00 && scalar <= 0xD7A3) || (scalar >= 0xF900 && scalar <= 0xFAFF)
                || (scalar >= 0xFF00 && scalar <= 0xFF60) || (scalar >= 0x1F300 && scalar <= 0x1FAFF)
            width += isWide ? 2 : 1
        }
        return width
    }

    private static let common: Set<[UInt8]> = {
        let text: StaticString = """
            a about after all also an and any are as at be because been before being between both but by can \
            could did do does doing down each few for from further had has have having he her here hers him \
            his how if in into is it its it's itself just may me more most must my no nor not now of off on \
            once one only or other our out over own per same she should so some such than that the their \
            them then there these they this those through to too under until up use used using very via was \
            we were what when where which while who why will with within without would yet you your e.g i.e
            """
        var set: Set<[UInt8]> = []
        var word: [UInt8] = []
        text.withUTF8Buffer { buffer in
            for byte in buffer {
                if byte == 0x20 {
                    set.insert(word)
                    word = []
                } else {
                    word.append(byte)
                }
            }
        }
        set.insert(word)
        return set
    }()

    static func isCommon(_ word: [UInt8]) -> Bool { common.contains(word) }
}

// MARK: Drawing

/// Text for a terminal, 72 columns wide.
struct Page {
    static let columns = 72
    var bytes: [UInt8] = []

    mutating func add(_ text: String) { bytes += Array(text.utf8) }
    mutating func space(_ count: Int) { for _ in 0..<max(0, count) { bytes.append(0x20) } }

    mutating func add(_ text: String, width: Int) {
        add(text)
        space(width - text.utf8.count)
    }

    mutating func right(_ text: String, width: Int) {
        space(width - text.utf8.count)
        add(text)
    }

    mutating func heading(_ text: String) {
        add("\n  ")
        add(text)
        add("\n  ")
        for _ in 0..<text.utf8.count { add("─") }
        add("\n")
    }

    /// A number with a comma between thousands.
    static func grouped(_ number: Int) -> String {
        let digits = Array("\(number)".utf8)
        var text = ""
        for (index, digit) in digits.enumerated() {
            if index > 0 && (digits.count - index) % 3 == 0 { text += "," }
            text += "\(digit - 0x30)"
        }
        return text
    }

    private static let blocks: [StaticString] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉", "█"]
    private static let heights: [StaticString] = [" ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"]

    private mutating func add(_ text: StaticString) { text.withUTF8Buffer { bytes += $0 } }

    /// A bar of `value` of `limit`, in eighths of a column; something is always seen of what is there.
    mutating func bar(_ value: Int, of limit: Int, width: Int) {
        let eighths = value == 0 ? 0 : max(1, value * width * 8 / max(1, limit))
        for _ in 0..<eighths / 8 { add(Page.blocks[8]) }
        add(Page.blocks[eighths % 8])
    }

    mutating func draw(_ text: Text) {
        let minutes = text.readingSeconds / 60
        let seconds = text.readingSeconds % 60
        add("\n  ▞▚ PORTRAIT OF A TEXT\n\n  ")
        add("\(Page.grouped(text.words)) words, \(Page.grouped(text.counts.count)) of them different; ")
        add("\(Page.grouped(text.lines)) lines, \(Page.grouped(text.characters)) characters\n  ")
        add("\(minutes) min \(seconds) s to read; a sentence has \(text.words / max(1, text.sentences)) words, ")
        add("the longest \(text.longestSentence)\n")
        drawSubjects(text)
        drawLengths(text)
        drawLongest(text)
        drawShape(text)
    }

    private mutating func drawSubjects(_ text: Text) {
        heading("What it is about")
        let list = text.subjects(15)
        let widest = list.reduce(0) { max($0, min(24, Script.width($1.word))) }
        let most = list.first?.count ?? 1
        for entry in list {
            add("  ")
            let width = Script.width(entry.word)
            bytes += entry.word
            space(widest - width + 1)
            let room = Page.columns - widest - 10
            bar(entry.count, of: most, width: room)
            add(" \(entry.count)\n")
        }
    }

    private mutating func drawLengths(_ text: Text) {
        heading("How long its words are")
        let most = text.lengths.reduce(1) { max($0, $1) }
        for length in 1..<text.lengths.count where text.lengths[length] > 0 {
            right(length == text.lengths.count - 1 ? "\(length)+" : "\(length)", width: 5)
            add(" ")
            bar(text.lengths[length], of: most, width: Page.columns - 16)
            add(" \(text.lengths[length] * 100 / max(1, text.words)) %\n")
        }
    }

    private mutating func drawLongest(_ text: Text) {
        heading("Its longest words")
        for word in text.longest(5) {
            add("  ")
            bytes += word
            add("\n")
        }
    }

    /// Four lines of columns: each is a slice of the text, and as high as its lines are full.
    private mutating func drawShape(_ text: Text) {
        heading("How full its lines are, from the first to the last")
        let shape = text.shape(Page.columns - 4)
        let most = shape.reduce(1) { max($0, $1) }
        let rows = 4
        for row in 0..<rows {
            add("  ")
            for fullness in shape {
                let height = (fullness * rows * 8 + most - 1) / most - (rows - 1 - row) * 8
                add(Page.heights[min(8, max(0, height))])
            }
            add("\n")
        }
        add("\n")
    }
}
