import Testing

/// Checks that the manifest of the network alone says what the one at the root says.
enum ManifestChecks {
    /// The lists that both manifests have, by their first lines; each ends with a line of one bracket.
    static let sharedLists = [
        "let network: [Target] = [", "let networkTests: [Target] = [", "let strict: [SwiftSetting] = [",
    ]

    /// What the manifest of the network has otherwise than the one at the root.
    static func findings(root: String, network: String) -> [String] {
        var findings: [String] = []
        for list in sharedLists {
            let (wanted, found) = (block(list, in: root), block(list, in: network))
            if wanted == nil { findings.append("Package.swift has no \(list)") }
            if wanted != found { findings.append("libp2p/Package.swift has another \(list)") }
        }
        if !(products(root).starts(with: products(network))) || products(network).isEmpty {
            findings.append("libp2p/Package.swift has other products")
        }
        let known = Set(lines(of: root))
        for line in lines(of: network) where line.contains("static let") || line.contains(".package(") {
            if !known.contains(line) { findings.append("Package.swift has no line \(line)") }
        }
        if network.contains("unsafeFlags") { findings.append("libp2p/Package.swift has unsafe flags") }
        return findings
    }

    private static func block(_ start: String, in text: String) -> [Substring]? {
        let rest = lines(of: text).drop { $0 != start }
        return rest.isEmpty ? nil : Array(rest.prefix { $0 != "]" })
    }

    /// The lines of the list of products, in which those of the network come first.
    private static func products(_ text: String) -> [Substring] {
        Array(lines(of: text).drop { $0 != "    products: [" }.prefix { $0 != "    ]," })
    }

    private static func lines(of text: String) -> [Substring] { text.split(separator: "\n") }
}

@Suite struct ManifestChecksTests {
    @Test func manifestsAreEqualWhereTheyShareAList() throws {
        let repository = try Repository()
        let root = String(decoding: try repository.bytes("Package.swift"), as: UTF8.self)
        let network = String(decoding: try repository.bytes("libp2p/Package.swift"), as: UTF8.self)
        #expect(ManifestChecks.findings(root: root, network: network) == [])
    }

    /// The first example is the one that is built and run (`make example`).
    @Test func readmeShowsTheExampleAsItIs() throws {
        let repository = try Repository()
        let readme = String(decoding: try repository.bytes("libp2p/README.md"), as: UTF8.self)
        let example = String(decoding: try repository.bytes("libp2p/Example/Sources/Example/main.swift"), as: UTF8.self)
        #expect(readme.contains("```swift\n\(example)```\n"), "libp2p/README.md shows another example")
        #expect(example.split(separator: "\n", omittingEmptySubsequences: false).count <= 60)
    }

    @Test func differencesAreFound() {
        let lists =
            ManifestChecks.sharedLists.map { "\($0)\n    one\n]\n" }.joined() + "    products: [\n        two\n    ],\n"
        #expect(ManifestChecks.findings(root: lists, network: lists) == [])
        let changed = lists.replacing("one", with: "two", maxReplacements: 1)
        #expect(
            ManifestChecks.findings(root: lists, network: changed)
                == ["libp2p/Package.swift has another let network: [Target] = ["])
        let fewer = lists.replacing("        two\n", with: "")
        #expect(ManifestChecks.findings(root: fewer, network: lists) == ["libp2p/Package.swift has other products"])
        let extended = lists + "    static let nio = 1\n"
        #expect(
            ManifestChecks.findings(root: lists, network: extended) == [
                "Package.swift has no line     static let nio = 1"
            ])
        #expect(ManifestChecks.findings(root: lists, network: lists + "unsafeFlags").count == 1)
    }
}
