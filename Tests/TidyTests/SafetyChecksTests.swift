import Testing

@Suite struct SafetyChecksTests {
    private func findings(_ text: String) -> [Finding] {
        SafetyChecks.findings(in: SourceFile(path: "mesh/Sources/CoVM/A.swift", text: text))
    }

    @Test(arguments: [
        "final class A: @unchecked Sendable {}",
        "nonisolated(unsafe) var a = 1",
        "func a() {\n    b.withUnsafeBytes { c($0) }\n}",
        "// It is fine.\nlet a: UnsafeRawPointer",
        "let a = unsafeBitCast(b, to: C.self)",
        "// SAFETY: this is about the other one.\nlet a = 1\nlet b: UnsafeRawPointer",
        "func a() {\n    // SAFETY: of the inner block only.\n    b {\n    }\n    c.withUnsafeBytes { }\n}",
    ])
    func refuses(text: String) {
        #expect(findings(text).count == 1)
        #expect(findings(text).first?.message.contains("without a `// SAFETY:` sentence") == true)
    }

    @Test(arguments: [
        "// SAFETY: all state is behind the lock.\nfinal class A: @unchecked Sendable {}",
        "/// A.\n// SAFETY: the store owns it.\nfunc a(\n    b: Int\n) {\n    c { d.withUnsafeBytes { e($0) } }\n}",
        "func a() {\n    // SAFETY: the pointer is used before b ends.\n    b.withUnsafeBytes { c($0) }\n}",
        "nonisolated(unsafe) var a = 1  // SAFETY: written once, before any thread starts.",
        "// withUnsafeBytes is not called here\nlet a = \"UnsafePointer\"",
        "// SAFETY: the event loop is the only one who calls.\n@available(*, unavailable)\nlet a: UnsafeRawPointer",
    ])
    func allows(text: String) {
        #expect(findings(text) == [])
    }
}
