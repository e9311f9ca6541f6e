import Testing

@Suite struct FillerChecksTests {
    private func messages(_ comment: String, _ rest: String = "(a: Int) { self.a = a }") -> [String] {
        let text = "public struct FairQueue {\n    var a: Int\n    \(comment)\n    public init\(rest)\n}\n"
        return FillerChecks.findings(in: SourceFile(path: "mesh/Sources/IPLD/A.swift", text: text)).map(\.description)
    }

    @Test func commentsThatRepeatTheNameAreFound() {
        #expect(
            messages("/// A fair queue.") == [
                "mesh/Sources/IPLD/A.swift:3: the comment says nothing: /// A fair queue."
            ])
        #expect(messages("/// A queue.").count == 1)
        #expect(messages("/// An entry as given.").count == 1)
    }

    @Test func commentsThatSaySomethingPass() {
        #expect(messages("/// An empty queue.").isEmpty)
        #expect(messages("/// A queue of at most `a` bytes.").isEmpty)
        #expect(messages("// A queue.").isEmpty)
        #expect(messages("/// A queue.", "(a: Int) throws { self.a = a }").isEmpty, "errors want to be told")
    }

    @Test func aPlainInitializerNeedsNoComment() {
        let file = { (rest: String) in
            SourceFile(
                path: "mesh/Sources/IPLD/A.swift", text: "/// S.\npublic struct S {\n    public init\(rest)\n}\n")
        }
        #expect(DocumentationChecks.findings(in: file("(a: Int) {}")).isEmpty)
        #expect(DocumentationChecks.findings(in: file("?(a: Int) {}")).count == 1)
        #expect(DocumentationChecks.findings(in: file("(a: Int) throws {}")).count == 1)
    }
}
