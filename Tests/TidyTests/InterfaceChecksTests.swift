import Foundation
import Testing

@Suite struct InterfaceChecksTests {
    /// What somebody who depends on the network sees changes on purpose only. `make api` writes the list anew.
    @Test func interfaceIsAsListed() throws {
        let symbols = InterfaceChecks.symbols(of: try Repository.swiftFiles(under: ["libp2p/Sources/"]))
        let list = try Repository().root.appendingPathComponent("libp2p/API.txt")
        if ProcessInfo.processInfo.environment["WRITE_API"] != nil {
            try Data((symbols.joined(separator: "\n") + "\n").utf8).write(to: list)
        }
        let listed = try String(contentsOf: list, encoding: .utf8).split(separator: "\n").map(String.init)
        let (added, removed) = (Set(symbols).subtracting(listed), Set(listed).subtracting(symbols))
        for symbol in added.sorted() { Issue.record("not in libp2p/API.txt (make api): \(symbol)") }
        for symbol in removed.sorted() { Issue.record("in libp2p/API.txt, and not in the sources: \(symbol)") }
    }

    @Test func onlyProductsArePublic() throws {
        let files = try Repository.swiftFiles(under: ["libp2p/Sources/", "mesh/Sources/"])
        for finding in files.flatMap(InterfaceChecks.findings) { Issue.record("\(finding)") }
    }

    @Test func declarationsAreListedWithoutBodies() {
        let text = """
            public struct Box: Sendable {
                public var width = 1
                public private(set) var height: Int { 2 }
                var hidden = 3
                public func fill(
                    with item: Int, _ call: () -> Void = {}
                ) async throws -> [Int] {
                    []
                }
            }
            public enum Kind {
                case small(Int)
            }
            """
        let file = SourceFile(path: "libp2p/Sources/LibP2P/A.swift", text: text)
        #expect(
            InterfaceChecks.symbols(of: [file]) == [
                "LibP2P.Box: public func fill(with item: Int, _ call: () -> Void = {}) async throws -> [Int]",
                "LibP2P.Box: public private(set) var height: Int", "LibP2P.Box: public var width",
                "LibP2P.Kind: case small(Int)", "LibP2P: public enum Kind", "LibP2P: public struct Box: Sendable",
            ])
    }

    @Test func whatIsOfNoProductIsNotPublic() {
        let text = "public struct Frame {}\nstruct Other {}"
        let findings = InterfaceChecks.findings(in: SourceFile(path: "libp2p/Sources/Yamux/A.swift", text: text))
        #expect(findings.map(\.line) == [1])
        #expect(InterfaceChecks.findings(in: SourceFile(path: "mesh/Sources/IPLD/A.swift", text: text)).count == 1)
        #expect(InterfaceChecks.findings(in: SourceFile(path: "libp2p/Sources/LibP2P/A.swift", text: text)) == [])
    }
}
