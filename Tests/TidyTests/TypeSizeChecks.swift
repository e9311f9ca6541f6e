/// Checks that a type stays small over all the files that it stands in: a type that does not fit holds another one.
enum TypeSizeChecks {
    static let filesMax = 3
    static let linesMax = 900

    /// The files and lines of a type in a target.
    struct Extent: Equatable {
        var files: Set<String> = []
        var lines = 0
    }

    /// What was too large when the check came. The numbers may only fall; what fits is taken out.
    static let exceptions: [String: (files: Int, lines: Int)] = [:]

    static func extents(of files: [SourceFile]) -> [String: Extent] {
        var extents: [String: Extent] = [:]
        for file in files {
            guard let target = file.target else { continue }
            for scope in file.outline.scopes where scope.parent == nil {
                guard let declaration = scope.declaration,
                    ["struct", "class", "enum", "actor", "extension"].contains(declaration.keyword)
                else { continue }
                let name = target + "." + fullName(declaration, in: file)
                extents[name, default: Extent()].files.insert(file.path)
                extents[name, default: Extent()].lines += scope.closingLine - declaration.line + 1
            }
        }
        return extents
    }

    static func findings(
        in files: [SourceFile], exceptions: [String: (files: Int, lines: Int)] = exceptions
    ) -> [Finding] {
        let extents = extents(of: files)
        var findings: [Finding] = []
        for (name, extent) in extents.sorted(by: { $0.key < $1.key }) {
            let most = exceptions[name] ?? (filesMax, linesMax)
            guard extent.files.count > most.files || extent.lines > most.lines else { continue }
            findings.append(
                Finding(
                    path: extent.files.sorted()[0], line: 1,
                    message: "\(name) has \(extent.lines) lines in \(extent.files.count) files, "
                        + "more than \(most.lines) in \(most.files)"))
        }
        for name in exceptions.keys.sorted() {
            let extent = extents[name] ?? Extent()
            guard extent.files.count <= filesMax, extent.lines <= linesMax else { continue }
            findings.append(
                Finding(
                    path: "Tests/TidyTests/TypeSizeChecks.swift", line: 1,
                    message: "\(name) fits now; take it out of the exceptions"))
        }
        return findings
    }

    /// `Outer.Inner` for an extension of a nested type.
    private static func fullName(_ declaration: Declaration, in file: SourceFile) -> String {
        let tokens = file.tokens
        guard declaration.keyword == "extension",
            var index = tokens.firstIndex(where: { $0.line == declaration.line && $0.text == "extension" })
        else { return declaration.name }
        var name = declaration.name
        index += 2
        while index + 1 < tokens.count, tokens[index].text == "." {
            name += "." + tokens[index + 1].text
            index += 2
        }
        return name
    }
}
