import Testing

@Suite struct BannedTokenChecksTests {
    private func messages(_ text: String, path: String) -> [String] {
        BannedTokenChecks.findings(in: SourceFile(path: path, text: text)).map(\.message)
    }

    @Test(arguments: [
        ("let a = b!", "force unwrap"),
        ("let a = b()!.c", "force unwrap"),
        ("let a = b[0]!", "force unwrap"),
        ("var a: Int!", "force unwrap"),
        ("let a = \"\\(b!)\"", "force unwrap"),
        ("let a = try! b()", "try!"),
        ("let a = b as! Int", "as!"),
        ("fatalError(\"no\")", "fatalError"),
        ("let a = (path as NSString).pathExtension", "one character"),
        ("// TODO" + ": later", "in a comment"),
        ("/* FIXME */", "in a comment"),
        ("Task { await a() }", "bare Task"),
        ("let a = Task(priority: .high) { 1 }", "bare Task"),
        ("Task.detached { }", "Task.detached"),
        ("var a: Task<Void, Never>?", "a stored Task"),
        ("print(a)", "print( outside the apps"),
        ("Thread.sleep(forTimeInterval: 1)", "blocks a thread"),
        ("usleep(10)", "blocks a thread"),
    ])
    func refusesEverywhere(text: String, reason: String) throws {
        let found = messages(text, path: "libp2p/Sources/LibP2P/A.swift")
        try #require(found.count == 1, "found: \(found)")
        #expect(found[0].contains(reason))
    }

    @Test(arguments: [
        ("func a() async {}", "async in Yamux"),
        ("final class A {}", "class in Yamux"),
        ("actor A {}", "actor in Yamux"),
        ("let a = Mutex(0)", "Mutex in Yamux"),
        ("let a = ContinuousClock.now", "ContinuousClock in Yamux"),
        ("let a = [1].shuffled()", "system's randomness"),
        ("let a = Int.random(in: 0..<3)", "system's randomness"),
        ("var g = SystemRandomNumberGenerator()", "SystemRandomNumberGenerator in Yamux"),
    ])
    func refusesInCores(text: String, reason: String) throws {
        let found = messages(text, path: "libp2p/Sources/Yamux/A.swift")
        try #require(found.count == 1, "found: \(found)")
        #expect(found[0].contains(reason))
        #expect(messages(text, path: "libp2p/Sources/LibP2P/A.swift") == [])
    }

    @Test(arguments: [
        "let a = !b && c != d && e !== f",
        "if !(a) { return }",
        "let a = \"b! try! fatalError Task { print(\"",
        "// a! and try! and print( are words here",
        "try await Task.sleep(for: a)\nTask.isCancelled",
        "let a = Int.random(in: 0..<3, using: &generator)",
        "try await withThrowingTaskGroup(of: Int.self) { group in group.addTask { 1 } }",
        "logger.print(a)",
        "#if !os(Linux)\n#endif",
    ])
    func allows(text: String) {
        #expect(messages(text, path: "libp2p/Sources/LibP2P/A.swift") == [])
    }

    @Test func appsMayPrint() {
        #expect(messages("print(1)", path: "mesh/Sources/mesh/A.swift") == [])
    }
}
