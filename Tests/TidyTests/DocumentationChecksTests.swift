import Testing

@Suite struct DocumentationChecksTests {
    private func findings(_ text: String) -> [String] {
        DocumentationChecks.findings(in: SourceFile(path: "mesh/Sources/IPLD/A.swift", text: text)).map {
            "\($0.line): \($0.message)"
        }
    }

    @Test(arguments: [
        ("public struct A {}", "1: public struct A"),
        ("/// A.\npublic struct A {\n    public init(a: Int) throws {}\n}", "3: public init has"),
        ("/// A.\npublic enum A {\n    /// B.\n    case b\n    case c\n}", "5: public case c"),
        ("/// A.\npublic protocol A {\n    func b()\n}", "3: public func b"),
        ("/// A.\npublic protocol A {\n    var b: Int { get }\n}", "3: public var b"),
        ("public extension A {\n    func b() {}\n}", "2: public func b"),
        ("extension A {\n    @inlinable\n    public static func b() {}\n}", "3: public func b"),
        ("public private(set) var a = 1", "1: public var a"),
        ("// A.\npublic typealias A = Int", "2: public typealias A"),
        ("public actor A {}", "1: public actor A"),
        ("package struct A {}", "1: package struct A"),
        ("/// A.\npackage enum A {\n    case c\n}", "3: package case c"),
        ("/// A.\npackage protocol A {\n    func b()\n}", "3: package func b"),
        ("extension A: B {\n    public subscript(i: Int) -> Int { 0 }\n}", "2: public subscript has"),
    ])
    func refuses(text: String, expected: String) throws {
        let found = findings(text)
        try #require(found.count == 1, "found: \(found)")
        #expect(found[0].hasPrefix(expected))
    }

    @Test(arguments: [
        "/// A.\npublic struct A {}",
        "/// A.\n@frozen\npublic struct A {}",
        "/// A.\n@available(*, deprecated) public func a() {}",
        "/** A. */\npublic struct A {}",
        "struct A {\n    init() {}\n    var b = 1\n}",
        "/// A.\npublic enum A {\n    /// B.\n    case b\n    private enum Keys { case c }\n}",
        "/// A.\npublic func a(_ b: B) {\n    switch b {\n    case .c: let d = 1\n    }\n}",
        "/// A.\npublic enum A {\n    /// B.\n    public static func b(_ x: X) { switch x { case .y: break } }\n}",
        "extension A {\n    public static func == (a: A, b: A) -> Bool { true }\n}",
        "public import Crypto\npublic extension A {}",
    ])
    func allows(text: String) {
        #expect(findings(text) == [])
    }

    @Test func whoFulfilsAPublicProtocolInheritsItsComments() {
        let source = """
            /// A.
            public protocol A {
                /// B.
                func b()
            }
            /// C.
            public struct C: A {
                public func b() {}
            }
            /// D.
            public struct D {
                public func b() {}
            }
            """
        let file = SourceFile(path: "mesh/Sources/IPLD/A.swift", text: source)
        let inherited = DocumentationChecks.requirements(of: [file])
        #expect(inherited == ["b"])
        #expect(DocumentationChecks.findings(in: file, inherited: inherited).map(\.line) == [12])
    }
}
