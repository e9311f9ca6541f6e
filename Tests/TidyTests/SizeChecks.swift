/// Checks that files, functions and lines stay readable.
enum SizeChecks {
    /// As many as a type may have over all its files (`TypeSizeChecks`): nothing is cut to fit a file.
    static let fileLinesMax = TypeSizeChecks.linesMax
    static let functionLinesMax = 69
    static let packageLinesMax = 400
    static let lineColumnsMax = 120

    static func findings(in file: SourceFile) -> [Finding] {
        var findings: [Finding] = []
        let count = file.text.hasSuffix("\n") ? file.lines.count - 1 : file.lines.count
        let most = file.path == "Package.swift" ? packageLinesMax : fileLinesMax
        if count > most { findings.append(file.finding(count, "the file has \(count) lines, more than \(most)")) }
        for scope in file.outline.scopes {
            guard let declaration = scope.declaration,
                ["func", "init", "deinit", "subscript", "var"].contains(declaration.keyword)
            else { continue }
            let length = scope.closingLine - declaration.line + 1
            if length > functionLinesMax {
                let name = "\(declaration.keyword) \(declaration.name)"
                findings.append(
                    file.finding(declaration.line, "\(name) has \(length) lines, more than \(functionLinesMax)"))
            }
        }
        for (index, line) in file.lines.enumerated() where line.count > lineColumnsMax {
            findings.append(file.finding(index + 1, "the line has \(line.count) columns, more than \(lineColumnsMax)"))
        }
        return findings
    }
}
