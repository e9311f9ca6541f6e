import Testing

@Suite struct TextChecksTests {
    private func messages(_ text: String) -> [String] {
        TextChecks.findings(in: SourceFile(path: "a.md", text: text)).map(\.description)
    }

    @Test func machinePathsAreRefused() {
        let folder = "/wo" + "rk/main"
        #expect(messages("fine\ncd \(folder)") == ["a.md:2: a path of one machine: /wo" + "rk/"])
        #expect(messages("\"/ho" + "me/someone/mesh\"").count == 1)
        #expect(messages("a/ro" + "ot/b ~/ho" + "me/x") == [])
    }

    @Test func registriesAreRefused() {
        #expect(messages("pip install --index" + "-url x").count == 1)
    }

    @Test func binaryFilesAreRefused() {
        #expect(TextChecks.binaryReason([0x00, 0x61, 0x73, 0x6d]) == "a binary file is tracked: it holds a zero byte")
        #expect(TextChecks.binaryReason([0xff, 0xfe, 0x41]) == "a binary file is tracked: it is not UTF-8")
        #expect(TextChecks.binaryReason(Array("text with é\n".utf8)) == nil)
        let picture: [UInt8] = [0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A, 0]
        #expect(TextChecks.isPicture(picture, at: "docs/pictures/page.png"))
        #expect(!TextChecks.isPicture(picture, at: "mesh/page.png"))
        #expect(!TextChecks.isPicture([0x7F, 0x45, 0x4C, 0x46], at: "docs/pictures/page.png"))
        #expect(!TextChecks.isPicture(picture + [UInt8](repeating: 0, count: 100_000), at: "docs/pictures/page.png"))
    }

    @Test func namesThatSayNothingAreRefused() {
        let helper = SourceFile(path: "mesh/Sources/IPLD/PeerHelper.swift", text: "struct PeerHelper {}")
        #expect(NameChecks.findings(in: helper).count == 2)
        let other = SourceFile(path: "mesh/Sources/IPLD/Peer.swift", text: "struct Node {}")
        #expect(
            NameChecks.findings(in: other).map(\.message) == [
                "the file declares or extends no type that it could be named after"
            ])
        let nested = SourceFile(path: "mesh/Sources/IPLD/PeerState.swift", text: "extension Peer { enum State {} }")
        #expect(NameChecks.findings(in: nested) == [])
        let fine = SourceFile(path: "mesh/Sources/IPLD/Peer+Text.swift", text: "extension Peer {}")
        #expect(NameChecks.findings(in: fine) == [])
    }

    @Test func handlersThatNeverAnswerAreAllowed() {
        let waiting = SourceFile(path: "mesh/Tests/A/B.swift", text: "try? await Task.sleep(for: .seconds(600))")
        #expect(TestHabitChecks.findings(in: waiting) == [])
    }

    @Test func sleepingTestsAreRefused() {
        let sleeping = SourceFile(path: "mesh/Tests/A/B.swift", text: "try await Task.sleep(for: .seconds(1))")
        #expect(
            TestHabitChecks.findings(in: sleeping).map(\.message) == ["sleep in a test: wait for the condition itself"])
    }
}
