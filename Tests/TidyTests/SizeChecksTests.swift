import Testing

@Suite struct SizeChecksTests {
    private func messages(_ text: String, path: String = "mesh/Sources/IPLD/A.swift") -> [String] {
        SizeChecks.findings(in: SourceFile(path: path, text: text)).map(\.description)
    }

    private func body(_ lines: Int) -> String {
        String(repeating: "    step()\n", count: lines)
    }

    @Test func functionsHaveAtMost69Lines() {
        #expect(messages("func fits() {\n\(body(67))}\n") == [])
        #expect(
            messages("func long() {\n\(body(68))}\n")
                == ["mesh/Sources/IPLD/A.swift:1: func long has 70 lines, more than 69"])
    }

    @Test func initializersAndComputedPropertiesCountToo() {
        #expect(messages("struct S {\n    init(\n        a: Int\n    ) {\n\(body(80))    }\n}\n").count == 1)
        #expect(messages("struct S {\n    var long: Int {\n\(body(80))    }\n}\n").count == 1)
    }

    @Test func typesAndStoredPropertiesMayBeLong() {
        let members = (0..<100).map { "    var a\($0) = 1\n" }.joined()
        #expect(messages("struct S {\n\(members)}\n") == [])
        #expect(messages("struct S {\n    var a: Int\n    struct T {\n\(members)    }\n}\n") == [])
    }

    @Test func bracesInStringsAndCommentsDoNotCount() {
        let text = "func short() {\n    // }\n    let a = \"{ \\(b { $0 }) {\"\n    let c = #\"{\"#\n}\n\(body(100))"
        #expect(messages(text) == [])
    }

    @Test func nestedFunctionsAreMeasuredAlone() {
        let text = "func outer() {\n    func inner() {\n\(body(10))    }\n\(body(70))}\n"
        #expect(messages(text).count == 1)
        #expect(messages(text).first?.contains("func outer") == true)
    }

    @Test func filesHaveAtMost900LinesAndThePackage400() {
        #expect(messages(String(repeating: "\n", count: 900)) == [])
        #expect(messages(String(repeating: "\n", count: 901)).first?.contains("901 lines, more than 900") == true)
        let package = messages(String(repeating: "\n", count: 401), path: "Package.swift")
        #expect(package == ["Package.swift:401: the file has 401 lines, more than 400"])
    }

    @Test func linesHaveAtMost120Columns() {
        #expect(messages(String(repeating: "é", count: 120)) == [])
        #expect(
            messages("\n" + String(repeating: "x", count: 121)).first?.hasPrefix("mesh/Sources/IPLD/A.swift:2:") == true
        )
    }
}
