import Determinism
import Testing

@testable import GuestFiles

@Suite struct NamePatternTests {
    @Test(arguments: [
        ("*", "anything", true), ("*", ".hidden", true), ("a*", "a", true), ("a*", "ba", false), ("*a", "ba", true),
        ("*a*", "bab", true), ("a**b", "ab", true), ("*.tar.*", "x.tar.gz", true), ("?", "é", true),
        ("?", "ab", false), ("??", "é", false), ("[a-c]", "b", true), ("[a-c]", "d", false), ("[!a-c]", "d", true),
        ("[^a-c]", "a", false), ("[]]", "]", true), ("[!]]", "]", false), ("[a-]", "-", true), ("[-a]", "-", true),
        ("[\\]]", "]", true), ("[а-я]", "ж", true), ("[а-я]", "z", false), ("\\*", "*", true), ("\\*", "x", false),
        ("A", "a", false), ("é", "e\u{301}", false), ("a*b*c", "aXbXbXc", true), ("a*b*c", "aXbXbX", false),
    ])
    func fits(pattern: String, name: String, isMatched: Bool) throws {
        #expect(try NamePattern(pattern.utf8).matches(try FileName(.text(name))) == isMatched)
    }

    @Test func bytesThatAreNoCharactersAreOneEach() throws {
        let name = try FileName([0x61, 0xff, 0xc3])
        #expect(try NamePattern("a??".utf8).matches(name))
        #expect(try !NamePattern("a?".utf8).matches(name))
        #expect(try NamePattern([0x2a, 0xff, 0x3f]).matches(name))
    }

    /// The same by trying everything.
    private func slowly(_ pattern: [Character], _ name: [Character]) -> Bool {
        guard let first = pattern.first else { return name.isEmpty }
        if first == "*" {
            return (0...name.count).contains { slowly(Array(pattern.dropFirst()), Array(name.dropFirst($0))) }
        }
        guard let own = name.first, first == "?" || first == own else { return false }
        return slowly(Array(pattern.dropFirst()), Array(name.dropFirst()))
    }

    @Test func matchingIsThatOfTryingEverything() throws {
        var generator = SeededGenerator(seed: 3)
        for _ in 0..<3_000 {
            let pattern = (0..<Int.random(in: 1...6, using: &generator)).map { _ in
                "ab*?".randomElement(using: &generator) ?? "a"
            }
            let name = (0..<Int.random(in: 1...7, using: &generator)).map { _ in
                "ab".randomElement(using: &generator) ?? "a"
            }
            let matches = try NamePattern(String(pattern).utf8).matches(try FileName(.text(String(name))))
            #expect(matches == slowly(pattern, name), "\(String(pattern)) \(String(name))")
        }
    }

    @Test func manyStarsTakeNoLongTime() throws {
        // Trying everything would take 10^40 steps.
        let pattern = try NamePattern((String(repeating: "a*", count: 100) + "b").utf8)
        #expect(try !pattern.matches(FileName(.text(String(repeating: "a", count: 255)))))
    }
}
