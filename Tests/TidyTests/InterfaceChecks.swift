/// What the modules of a product offer: one line for each public declaration, as it is written in the source.
enum InterfaceChecks {
    /// The modules of the network's products; in all others, and in the mesh's half, nothing is public.
    static let productModules: Set<String> = [
        "Bitswap", "Determinism", "GossipSub", "Kademlia", "LibP2P", "Multiformats", "P2PServices", "P2PTesting",
        "PeerIdentity", "Peers",
    ]

    /// Public declarations in modules that are of no product.
    static func findings(in file: SourceFile) -> [Finding] {
        guard let target = file.target, !productModules.contains(target) else { return [] }
        return file.outline.declarations.filter { $0.modifiers.contains("public") }.map {
            file.finding($0.line, "\($0.name) is public, and \(target) is of no product: make it package")
        }
    }

    /// The lines of the list, sorted; the same twice is left out.
    static func symbols(of files: [SourceFile]) -> [String] {
        var lines: Set<String> = []
        for file in files {
            guard let target = file.target, productModules.contains(target) else { continue }
            for declaration in file.outline.declarations where isPublic(declaration, in: file) {
                let around = file.outline.chain(from: declaration.scope).reversed().compactMap(\.declaration?.name)
                lines.insert(
                    "\((["\(target)"] + around).joined(separator: ".")): \(signature(of: declaration, in: file))")
            }
        }
        return lines.sorted()
    }

    private static func isPublic(_ declaration: Declaration, in file: SourceFile) -> Bool {
        if ["extension", "deinit"].contains(declaration.keyword) { return false }
        if declaration.modifiers.contains("public") { return true }
        guard let scope = declaration.scope, let parent = file.outline.scopes[scope].declaration,
            parent.modifiers.contains("public")
        else { return false }
        return parent.keyword == "protocol" || parent.keyword == "enum" && declaration.keyword == "case"
    }

    /// The declaration without its body, value and line ends.
    private static func signature(of declaration: Declaration, in file: SourceFile) -> String {
        var text = ""
        var depth = 0
        let lines = file.lines[(declaration.line - 1)...].map { $0.drop { $0 == " " } }
        for (index, line) in lines.enumerated() {
            let continues = ["where ", "async", "throws", "->", ")", "&"].contains { line.hasPrefix($0) }
            if index > 0, depth == 0, !continues { break }
            if index > 0, text.last != "(", !line.hasPrefix(")") { text += " " }
            var isOver = false
            for character in line {
                if "([".contains(character) { depth += 1 }
                if ")]".contains(character) { depth -= 1 }
                let isValue = character == "=" && ["let", "var"].contains(declaration.keyword)
                if depth == 0, character == "{" || isValue {
                    isOver = true
                    break
                }
                text.append(character)
            }
            if isOver { break }
        }
        while text.last == " " { text.removeLast() }
        return text
    }
}
