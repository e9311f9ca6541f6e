import Foundation
import Testing

/// The functions that ARCHITECTURE.md's walks name, as `File.function`.
enum WalkChecks {
    /// The section of a page from one heading to the next.
    static func section(_ heading: String, of page: String) -> Substring? {
        guard let start = page.range(of: "## \(heading)\n") else { return nil }
        let rest = page[start.upperBound...]
        return rest.range(of: "\n## ").map { rest[..<$0.lowerBound] } ?? rest
    }

    /// Every code span of the form `File.function`.
    static func names(in section: Substring) -> [(file: String, function: String)] {
        section.split(separator: "`", omittingEmptySubsequences: false).enumerated().compactMap { index, span in
            let parts = span.split(separator: ".")
            guard index % 2 == 1, parts.count == 2, !span.contains(" "), let first = parts[0].first, first.isUppercase,
                let letter = parts[1].first, letter.isLowercase
            else { return nil }
            return (String(parts[0]), String(parts[1]))
        }
    }

    /// The names for which no file declares such a function.
    static func missing(in section: Substring, from files: [SourceFile]) -> [String] {
        names(in: section).filter { name in
            !files.contains { file in
                file.stem == name.file
                    && file.outline.declarations.contains { $0.keyword == "func" && $0.name == name.function }
            }
        }.map { "\($0.file).\($0.function)" }
    }

    /// Every code span that names a file of a target, such as `Yamux/YamuxSession.swift`.
    static func paths(in page: String) -> [String] {
        page.split(separator: "`", omittingEmptySubsequences: false).enumerated().compactMap { index, span in
            index % 2 == 1 && span.hasSuffix(".swift") && span.contains("/") && !span.contains(" ") ? String(span) : nil
        }
    }

    /// The files of targets that are named and are not there.
    static func absent(in page: String, from files: [SourceFile]) -> [String] {
        let known = files.map(\.path)
        return paths(in: page).filter { path in !known.contains { $0 == path || $0.hasSuffix("/Sources/\(path)") } }
    }
}

@Suite struct WalkChecksTests {
    @Test func everyHopOfTheWalksExists() throws {
        let page = String(decoding: try Repository().bytes("ARCHITECTURE.md"), as: UTF8.self)
        let walks = try #require(WalkChecks.section("Three walks, function by function", of: page))
        let files = try Repository.swiftFiles(under: ["libp2p/Sources/", "mesh/Sources/"])
        #expect(WalkChecks.names(in: walks).count > 50)
        #expect(WalkChecks.missing(in: walks, from: files).filter { $0 != "File.function" } == [])
    }

    @Test func everyFileThatTheTablesNameExists() throws {
        let page = String(decoding: try Repository().bytes("ARCHITECTURE.md"), as: UTF8.self)
        let files = try Repository.swiftFiles(under: ["libp2p/Sources/", "mesh/Sources/"])
        #expect(WalkChecks.paths(in: page).count > 200)
        #expect(WalkChecks.absent(in: page, from: files) == [])
    }

    @Test func aFileThatIsGoneIsFound() {
        let file = SourceFile(path: "mesh/Sources/JobMarket/Bell.swift", text: "")
        let page = "`JobMarket/Bell.swift`, `mesh/Sources/JobMarket/Bell.swift`; `JobMarket/Gong.swift`, `Bell.swift`"
        #expect(WalkChecks.absent(in: page, from: [file]) == ["JobMarket/Gong.swift"])
    }

    @Test func aFunctionThatIsGoneIsFound() {
        let file = SourceFile(path: "mesh/Sources/JobMarket/Bell.swift", text: "struct Bell { func ring() {} }")
        let walk = "It begins with `Bell.ring`, `Bell.Limits` and `a.b`, then `Bell.toll`, the end"[...]
        #expect(WalkChecks.missing(in: walk, from: [file]) == ["Bell.toll"])
    }
}
