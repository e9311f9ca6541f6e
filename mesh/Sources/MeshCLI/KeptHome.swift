import ArgumentParser

/// The home folder that a user named, in the commands that advice names: what is advised works as it stands.
struct KeptHome {
    /// Commands that are of no home, or that make one.
    private static let homeless: Set<String> = ["init", "new", "devnet", "completions", "version", "restore"]

    private let option: String

    /// Keeps the folder that `--home` named.
    init(_ path: String) {
        let isPlain = path.allSatisfy { $0.isLetter || $0.isNumber || "/._-~+,:@%".contains($0) }
        option = " --home " + (isPlain ? path : "'" + path.replacing("'", with: "'\\''") + "'")
    }

    /// Advice with the folder behind each command of a node; what it says of a node elsewhere stays.
    func kept(in advice: String) -> String {
        var told = ""
        var rest = advice[...]
        while let found = rest.firstRange(of: "mesh ") {
            let isWord =
                found.lowerBound == rest.startIndex
                ? told.last.map { !Self.isOfWord($0) } ?? true
                : !Self.isOfWord(rest[rest.index(before: found.lowerBound)])
            told += rest[..<found.lowerBound]
            // "An option of mesh up" advises nothing.
            let isNamed = told.hasSuffix(" of ")
            told += "mesh "
            rest = rest[found.upperBound...]
            guard isWord, !isNamed, let end = Self.endOfCommand(in: rest) else { continue }
            told += rest[..<end]
            rest = rest[end...]
            if !rest.hasPrefix(" --home"), !rest.hasPrefix(" there") { told += option }
        }
        return told + rest
    }

    private static func isOfWord(_ character: Character) -> Bool {
        character.isLetter || character.isNumber || "-_/.".contains(character)
    }

    /// Where the name of the command ends that a text begins with; nil if it begins with none, or with one of no home.
    private static func endOfCommand(in text: Substring) -> Substring.Index? {
        var known = Mesh.configuration.subcommands
        var end: Substring.Index?
        var rest = text
        while true {
            let word = rest.prefix { $0.isLetter || $0 == "-" }
            guard let next = known.first(where: { $0._commandName == word }) else { return end }
            if end == nil, homeless.contains(String(word)) { return nil }
            end = word.endIndex
            known = next.configuration.subcommands
            guard rest[word.endIndex...].hasPrefix(" ") else { return end }
            rest = rest[rest.index(after: word.endIndex)...]
        }
    }
}
