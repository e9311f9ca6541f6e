/// A file of the repository, read and, when it is Swift, taken apart.
struct SourceFile {
    /// The path from the root of the repository, with slashes.
    let path: String
    let text: String
    let lines: [Substring]
    let lexer: SwiftLexer
    let outline: SwiftOutline

    init(path: String, text: String) {
        self.path = path
        self.text = text
        lines = text.split(separator: "\n", omittingEmptySubsequences: false)
        lexer = SwiftLexer(path.hasSuffix(".swift") ? text : "")
        outline = SwiftOutline(lexer.tokens)
    }

    var tokens: [Token] { lexer.tokens }

    var isSwift: Bool { path.hasSuffix(".swift") }

    /// The target that the file belongs to, when it stands under the `Sources` of one of the halves.
    var target: String? {
        let parts = path.split(separator: "/")
        return parts.count > 3 && parts[1] == "Sources" ? String(parts[2]) : nil
    }

    /// Whether the file belongs to the half that knows nothing of the mesh.
    var isOfNetwork: Bool { path.hasPrefix("libp2p/") }

    /// Whether the file stands under a folder of tests.
    var isTest: Bool { path.split(separator: "/").dropLast().contains("Tests") }

    /// The file's name without folder and extension.
    var stem: String {
        let name = path.split(separator: "/").last ?? ""
        return String(name.split(separator: ".").first ?? "")
    }

    func finding(_ line: Int, _ message: String) -> Finding {
        Finding(path: path, line: line, message: message)
    }
}

/// One thing that is not as the house wants it.
struct Finding: Equatable, CustomStringConvertible {
    var path: String
    var line: Int
    var message: String

    var description: String { "\(path):\(line): \(message)" }
}
