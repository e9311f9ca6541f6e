import Multiformats
import Testing

@testable import GuestFiles

/// What selections pick, and what they give.
@Suite struct CollectingTests {
    private func tree(_ pattern: String, workingFolder: String? = "/job") throws -> [String] {
        var files = try GuestFileSystem(.job, world: .at(0))
        try files.createDirectory(.init("out"), in: .at(0))
        try files.createDirectory(.init("out/deep"), in: .at(0))
        try files.createDirectory(.init("out/deep/er"), in: .at(0))
        try files.createDirectory(.init("out/empty"), in: .at(0))
        for path in [
            "main.py", "out/a.txt", "out/b.txt", "out/c.csv", "out/.hidden", "out/deep/d.txt", "out/deep/er/e.txt",
        ] {
            try files.close(try files.make(path, path))
        }
        try files.symlink(.text("a.txt"), at: .init("out/link"), in: .at(0))
        let selection = try FileSelection(.text(pattern), workingFolder: workingFolder.map { .text($0) })
        let collected = try files.collect(selection, in: .at(0))
        files.checkInvariants()
        return collected.map { Self.lines($0, "") } ?? ["nothing"]
    }

    static func lines(_ node: CollectedNode, _ path: String) -> [String] {
        switch node {
        case .mounted: ["\(path) mounted"]
        case .file(let file): ["\(path) \(file.bytes)"]
        case .symbolicLink(let target, _): ["\(path) -> \(String(decoding: target, as: UTF8.self))"]
        case .directory(let entries, _):
            entries.isEmpty ? ["\(path)/"] : entries.flatMap { lines($0.node, path + "/\($0.name)") }
        }
    }

    static let cases: [(String, [String])] = [
        ("main.py", [" 7"]),
        ("/job/main.py", [" 7"]),
        ("out/a.txt", [" 9"]),
        ("out/link", [" -> a.txt"]),
        ("missing", ["nothing"]),
        ("main.py/x", ["nothing"]),
        ("out/link/x", ["nothing"]),
        ("out/empty", ["/"]),
        ("out/deep", ["/d.txt 14", "/er/e.txt 17"]),
        ("out/deep/", ["/d.txt 14", "/er/e.txt 17"]),
        ("out/*.txt", ["/a.txt 9", "/b.txt 9"]),
        ("out/?.txt", ["/a.txt 9", "/b.txt 9"]),
        ("out/[ac].*", ["/a.txt 9", "/c.csv 9"]),
        ("out/[!ac].*", ["/b.txt 9"]),
        ("out/[a-b].txt", ["/a.txt 9", "/b.txt 9"]),
        ("out/d*", ["/deep/d.txt 14", "/deep/er/e.txt 17"]),
        ("out/*/*.txt", ["/deep/d.txt 14"]),
        ("out/**/e.txt", ["/deep/er/e.txt 17"]),
        ("**/[de].txt", ["/out/deep/d.txt 14", "/out/deep/er/e.txt 17"]),
        ("**/a.txt", ["/out/a.txt 9"]),
        ("out/**/**/d.txt", ["/deep/d.txt 14"]),
        (
            "out/**",
            [
                "/.hidden 11", "/a.txt 9", "/b.txt 9", "/c.csv 9", "/deep/d.txt 14", "/deep/er/e.txt 17", "/empty/",
                "/link -> a.txt",
            ]
        ),
        (
            "out/**/*.txt",
            ["/a.txt 9", "/b.txt 9", "/deep/d.txt 14", "/deep/er/e.txt 17"]
        ),
        ("out/.h*", ["/.hidden 11"]),
        ("out/\\a.txt", ["/a.txt 9"]),
        ("o*t/a.txt", ["/out/a.txt 9"]),
        ("main.py/**", [" 7"]),
        ("/dev/*", ["nothing"]),
        ("/dev/null", ["nothing"]),
    ]

    @Test(arguments: cases)
    func selectionsPickInTheOrderOfBytes(pattern: String, lines: [String]) throws {
        #expect(try tree(pattern) == lines)
    }

    @Test(arguments: [
        ("", FileSelection.Fault.empty), ("a\0", .zeroByte), ("../x", .dots), ("a/./b", .dots), ("a/**/..", .dots),
        ("out/[a", .openBracket), ("out/[", .openBracket), ("out/[]", .openBracket), ("out/[z-a]", .emptyRange),
        ("out/\\", .endsInBackslash), (String(repeating: "x", count: 1_025), .tooLong),
        (String(repeating: "n", count: 256), .tooLong),
    ])
    func patternsThatAreNoneAreRefused(pattern: String, fault: FileSelection.Fault) {
        #expect(throws: fault) { try FileSelection(.text(pattern), workingFolder: .text("/job")) }
    }

    @Test func relativePatternsNeedAWorkingFolder() {
        #expect(throws: FileSelection.Fault.noWorkingFolder) { try FileSelection(.text("x"), workingFolder: nil) }
    }

    @Test func whatIsUnchangedIsItsCID() throws {
        let source = HeldContent()
        let deep = source.folder([("f", source.file("1"))])
        let seen = source.folder([("g", source.file("2")), ("h", source.file("3"))])
        let folder = source.folder([("deep", deep), ("seen", seen), ("k", source.file("4")), ("l", source.link("k"))])
        var files = try GuestFileSystem(.of([.init("/job", .tree(folder))]), world: .at(0, source))
        let all = try FileSelection(.text("/job"), workingFolder: nil)
        let world = GuestWorld.at(7, source)
        #expect(try files.collect(all, in: world) == .mounted(folder))
        // Looking changes nothing.
        _ = try files.text("seen/g", in: world)
        #expect(try files.collect(all, in: world) == .mounted(folder))
        // Writing the same bytes is a change of that file and of nothing beside it.
        let number = try files.make("seen/g", "2", in: world)
        guard case .directory(let entries, _)? = try files.collect(all, in: world) else {
            Issue.record("no folder")
            return
        }
        #expect(entries.map(\.name.description) == ["deep", "k", "l", "seen"])
        #expect(entries[0].node == .mounted(deep))
        guard case .directory(let inner, _) = entries[3].node, case .file(let file) = inner[0].node else {
            Issue.record("\(entries)")
            return
        }
        #expect(file.modifiedNanoseconds == 7)
        #expect(inner[1].node == .mounted(source.file("3")))
        #expect(try files.contents(of: file, at: 0, count: 99, in: world) == .text("2"))
        // A name that comes and goes leaves the folder changed: its order of creation is another.
        try files.close(number)
        try files.unlink(.init("seen/g"), in: world)
        guard
            case .directory(let less, _)? = try files.collect(
                FileSelection(.text("/job/seen"), workingFolder: nil), in: world)
        else {
            Issue.record("no folder")
            return
        }
        #expect(less.map(\.node) == [.mounted(source.file("3"))])
    }

    @Test func collectingIsNotReading() throws {
        let source = HeldContent()
        let file = source.file([UInt8](repeating: 1, count: 9_000))
        let folder = source.folder([("f", file)])
        var files = try GuestFileSystem(.of([.init("/job", .tree(folder))]), world: .at(0, source))
        let number = try files.make("f", in: .at(0, source))
        _ = try files.write(number, [UInt8](repeating: 2, count: 4_096), in: .at(0, source))
        let selection = try FileSelection(.text("/job/f"), workingFolder: nil)
        guard case .file(let collected)? = try files.collect(selection, in: .at(0, source)) else {
            Issue.record("no file")
            return
        }
        #expect(try files.contents(of: collected, at: 4_000, count: 200, in: .at(0, source)).count == 200)
        #expect(files.record.entries.first { $0.cid == file }?.ranges == [])
    }
}
