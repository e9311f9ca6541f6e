import Foundation

/// Checks of every tracked file, whatever its language.
enum TextChecks {
    // Spelled in parts, so that this file does not find itself.
    private static let machinePaths = ["/wo" + "rk/", "/ro" + "ot/", "/ho" + "me/", "/Us" + "ers/", "/opt/sw" + "ift"]
    private static let registryWords = [
        "index" + "-url", "find" + "-links", "trusted" + "-host", "pypi" + ".org", "python" + "hosted",
        "registry.npm" + "js", "artifact" + "ory", "deb.deb" + "ian.org", "proxy.golang" + ".org",
    ]

    static func findings(in file: SourceFile) -> [Finding] {
        // Most files hold nothing of the kind, and looking at bytes is fast.
        let bytes = Data(file.text.utf8)
        let machinePaths = machinePaths.filter { bytes.range(of: Data($0.utf8)) != nil }
        let registryWords = registryWords.filter { bytes.range(of: Data($0.utf8)) != nil }
        guard !machinePaths.isEmpty || !registryWords.isEmpty else { return [] }
        var findings: [Finding] = []
        for (index, line) in file.lines.enumerated() {
            for path in machinePaths where hasMachinePath(path, in: line) {
                findings.append(file.finding(index + 1, "a path of one machine: \(path)"))
            }
            for word in registryWords where line.contains(word) {
                findings.append(file.finding(index + 1, "a package registry or its setting: \(word)"))
            }
        }
        return findings
    }

    /// A path counts when it is absolute: nothing but a space, a quote or the like stands before it.
    private static func hasMachinePath(_ path: String, in line: Substring) -> Bool {
        var rest = line
        while let range = rest.firstRange(of: path) {
            let before = rest[..<range.lowerBound].last
            if before.map({ !($0.isLetter || $0.isNumber || "~._-*}$/".contains($0)) }) ?? true { return true }
            rest = rest[range.upperBound...]
        }
        return false
    }

    /// Whether a file is a small picture of the documentation, the one kind that may be no text.
    static func isPicture(_ bytes: [UInt8], at path: String) -> Bool {
        path.hasPrefix("docs/pictures/") && path.hasSuffix(".png") && bytes.count <= pictureBytesMax
            && bytes.starts(with: [0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A])
    }

    private static let pictureBytesMax = 100_000

    /// Why a tracked file is not text, `nil` when it is.
    static func binaryReason(_ bytes: [UInt8]) -> String? {
        if bytes.contains(0) { return "a binary file is tracked: it holds a zero byte" }
        if String(validating: bytes, as: UTF8.self) == nil { return "a binary file is tracked: it is not UTF-8" }
        return nil
    }
}
