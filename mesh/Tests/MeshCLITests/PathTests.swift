import NodeAPI
import Testing

/// Parts of paths, of one character, too.
@Suite struct PathTests {
    @Test(arguments: [
        ("b", "", ""), (".", "", ""), ("", "", ""), ("/", "/", ""), ("/b", "/", ""), ("a/b", "a", ""),
        ("a/b/", "a", ""), ("a//b", "a", ""), ("/a/b.wasm", "/a", "wasm"), ("a.b/c", "a.b", ""), (".b", "", ""),
        ("b.", "", ""), ("b.tar.gz", "", "gz"), ("a/.wasm", "a", ""), ("ü.py", "", "py"),
    ])
    func parts(_ path: String, _ parent: String, _ ending: String) {
        #expect(path.parentFolder == parent && path.fileEnding == ending)
    }

    @Test func aHomeOfOneCharacterIsNoReasonToStop() {
        #expect(NodeServiceError.noPermission(for: .making, of: "b") == nil)
        #expect(NodeServiceError.noPermission(for: .reading, of: "b") == nil)
    }
}
